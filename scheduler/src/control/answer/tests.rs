//! Answers while the store says nothing, and while runs are waited for.

use super::*;
use crate::MemoryBackend;
use crate::clock::Clock;
use crate::scheduler::Scheduler;
use crate::task::Task;
use crate::test_util::{Chaos, Fault};

/// A scheduler with the task `often`, each second and paused, whose runs take 10 ms; the other tasks fire.
async fn started(seconds: u64, others: impl IntoIterator<Item = Task>) -> (SchedulerHandle, Chaos) {
    let clock = Clock::starting_at(Timestamp::from_millis(0));
    let chaos = Chaos::new(MemoryBackend::with_clock(clock.clone()));
    let second = Schedule::interval(Duration::from_secs(1)).expect("a possible period");
    let often = Task::new("often", second, || tokio::time::sleep(Duration::from_millis(10))).enabled(false);
    let scheduler = Scheduler::empty().clock(clock).backend(chaos.clone()).register(often);
    let scheduler = others.into_iter().fold(scheduler, Scheduler::register);
    let handle = scheduler.start().await.expect("it starts");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    (handle, chaos)
}

fn waited_for() -> Question {
    let from = "1970-01-01T00:00:00Z".to_owned();
    Question::Backfill { task: "often".to_owned(), from, to: None, rerun: true, how: How::Wait }
}

/// The answer, and how many lines of progress came before; nobody takes them before `patience` is over.
async fn asked(handle: &SchedulerHandle, question: Question, patience: Duration) -> (Answer, usize) {
    let (sender, mut progress) = mpsc::channel(4);
    let actor = Actor::named("somebody".into());
    let taken = async {
        tokio::time::sleep(patience).await;
        let mut lines = 0;
        while progress.recv().await.is_some() {
            lines += 1;
        }
        lines
    };
    tokio::join!(answer(handle, question, &actor, sender), taken)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_says_nothing_keeps_nobody_waiting_for_ever() {
    let (handle, chaos) = started(3, []).await;
    chaos.hang_on("submit");
    chaos.hang_on("control");
    let pause = Question::Pause { task: None, reason: None };
    for question in [Question::Trigger { task: "often".to_owned() }, pause, waited_for()] {
        let began = tokio::time::Instant::now();
        let (answer, _) = asked(&handle, question.clone(), Duration::ZERO).await;
        let Answer::Failed { kind, message } = answer else { panic!("{question:?}: {answer:?}") };
        assert_eq!(kind, "backend");
        assert!(message.contains("failed to answer in time: it has said nothing for 30s"), "{message}");
        assert_eq!(began.elapsed().as_secs(), 30, "{question:?}");
    }
    chaos.heal();
    let (answer, _) = asked(&handle, Question::Trigger { task: "often".to_owned() }, Duration::ZERO).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_that_end_while_nobody_looks_are_counted_though_they_are_kept_no_more() {
    for round in 0..8 {
        let (handle, _) = started(300, []).await;
        let (answer, _) = asked(&handle, waited_for(), Duration::from_secs(10)).await;
        let Answer::Done(told) = answer else { panic!("{round}: {answer:?}") };
        assert_eq!(told["ended"], serde_json::json!({ "succeeded": 300 }), "{round}");
        let kept = handle.runs(&RunFilter::new()).await.expect("it answers").len();
        assert!(kept < 300, "{round}: {kept} runs are kept, so that it proves nothing");
        handle.stop().await.expect("it stops");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_do_is_no_progress_of_those_who_wait() {
    let millisecond = Schedule::interval(Duration::from_millis(1)).expect("a possible period");
    let busy = Task::new("busy", millisecond, || async {});
    let (handle, _) = started(3, [busy]).await;
    let (answer, lines) = asked(&handle, waited_for(), Duration::ZERO).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
    assert!((1..=5).contains(&lines), "{lines} lines for three runs");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_while_runs_are_waited_for_ends_no_wait() {
    let (handle, chaos) = started(3, []).await;
    // Each look at the runs fails; the backfill itself asks for none, for it runs them all again.
    chaos.fail_on("runs", Fault::Before);
    let (answer, _) = asked(&handle, waited_for(), Duration::ZERO).await;
    let Answer::Done(told) = answer else { panic!("{answer:?}") };
    assert_eq!(told["ended"], serde_json::json!({ "succeeded": 3 }));
}
