//! Promises about the mark: what fires, what does not, and how often.

use super::{Subject, Ticking, after, enqueue, every, node, now, once, register};
use crate::backend::conformance::declared;
use crate::backend::{Admission, Firing, NewRun, Reason, Record, Refusal, TaskRules};
use crate::run::{Missed, RunState};

/// Of many callers with one belief about the mark, one inserts the run; the others are told where the mark stands.
pub async fn one_of_many_callers_fires_an_occurrence(backend: Subject) {
    const CALLERS: u64 = 16;
    let task = Ticking::unlimited(&backend, "pay").await;
    let calls: Vec<_> = (1..=CALLERS)
        .map(|caller| {
            let (backend, holder) = (backend.clone(), node(&format!("node-{caller}")));
            let firing = Firing { id: task.id(caller), ..task.firing(1) };
            tokio::spawn(async move { enqueue(&backend, &holder, firing).await })
        })
        .collect();
    let mut fired = 0;
    for call in calls {
        match call.await.expect("no caller panics") {
            Admission::Claimed(_) => fired += 1,
            other => assert_eq!(other, Admission::MarkMoved(task.at(1)), "who comes second is told the mark"),
        }
    }
    assert_eq!(fired, 1, "an occurrence fires once");
    assert_eq!(task.rows().await.len(), 1, "an occurrence is one run");
    assert_eq!(task.look().await.mark, task.at(1), "the mark stands at what has fired");
}

/// A run that was just fired is held: running, in its first attempt, with what it stands for.
pub async fn a_fired_run_is_held_in_its_first_attempt(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let missed = Some(Missed::new(3, task.at(1)));
    let due_at = after(task.at(4), 200);
    let run = Some(NewRun { missed, due_at, ..task.run(4) });
    let passed = Some(Record::span(Reason::Missed, task.at(1), task.at(3), 3));
    let covering = Firing { mark: task.at(0), passed, run, ..task.firing(4) };
    let answer = enqueue(&backend, &node("a"), covering).await;
    let Admission::Claimed(hold) = answer else { panic!("what is due runs: {answer:?}") };
    assert_eq!(hold.previous_success, None, "there was no run before");
    let row = task.row(4).await;
    assert_eq!((row.state, row.attempt, row.missed), (RunState::Running, 1, missed), "it is under way");
    assert_eq!((row.scheduled_at, row.due_at), (task.at(4), due_at), "with both of its instants");
    assert_eq!(task.claim(&node("b"), 1).await, [], "what is held is not claimed");
    task.accounts_for(1, 3).await;
}

/// The same call again, by the same holder, finds its own run and token, and makes no second one.
pub async fn a_call_whose_answer_was_lost_is_recognised(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let holder = node("a");
    let hold = task.hold(&holder, 1).await;
    assert_eq!(task.fire(&holder, 1).await, Admission::Claimed(hold), "a repeated call is the same");
    let elsewhere = task.fire(&node("b"), 1).await;
    assert_eq!(elsewhere, Admission::MarkMoved(task.at(1)), "the run of one holder is not that of another");
    assert_eq!(task.rows().await.len(), 1, "there is one run");

    let full = task.firing(2);
    let passed = Some(Record::one(Reason::ClockSetBack, task.at(1)));
    let standing = Firing { mark: task.at(2), advance_to: task.at(2), run: None, passed, ..task.firing(3) };
    for step in [full, standing] {
        let first = enqueue(&backend, &holder, step.clone()).await;
        assert_eq!(enqueue(&backend, &holder, step).await, first, "a repeated call has the same answer");
    }
    task.accounts_for(1, 2).await;
}

/// A caller that was outrun gets the same answers as any other: that of a run which is its own, also if the mark has been
/// moved on by others since, that of what it fires first, and where the marks are of what it fires too late.
pub async fn who_was_outrun_is_answered_as_ever(backend: Subject) {
    let [own, lost, fresh] = ["own", "lost", "fresh"].map(|name| Ticking::unlimited(&backend, name));
    let (own, lost, fresh) = (own.await, lost.await, fresh.await);
    let (holder, quicker) = (node("a"), node("b"));
    let hold = own.hold(&holder, 1).await;
    own.hold(&quicker, 2).await;
    lost.hold(&quicker, 1).await;
    let late = Firing { id: lost.id(7), ..lost.firing(1) };
    for time in ["the first time", "and the second"] {
        let batch = [late.clone(), own.firing(1), Firing { id: lost.id(8), ..lost.firing(1) }];
        let answers = backend.enqueue(&holder, &batch).await.expect("an enqueue is answered");
        let moved = Admission::MarkMoved(lost.at(1));
        assert_eq!(answers, [moved, Admission::Claimed(hold), moved], "{time}");
    }
    let answers = backend.enqueue(&holder, &[late, fresh.firing(1)]).await.expect("an enqueue is answered");
    assert!(matches!(answers[..], [Admission::MarkMoved(_), Admission::Claimed(_)]), "{answers:?}");
    assert_eq!((own.rows().await.len(), lost.rows().await.len()), (2, 1), "an occurrence is one run");
}

/// A repeated call about a run that has ended meanwhile does not make it again.
pub async fn a_run_that_has_ended_is_not_fired_again(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let hold = task.hold(&node("a"), 1).await;
    task.succeed(1, hold).await;
    assert_eq!(task.fire(&node("a"), 1).await, Admission::MarkMoved(task.at(1)), "it has fired");
    assert_eq!(task.rows().await.len(), 1, "there is one run");
    task.accounts_for(1, 0).await;
}

/// What is due after the store's clock is refused, and the mark stays.
pub async fn nothing_is_accepted_before_the_stores_clock_says_so(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let before = now(&backend).await;
    let run = Some(NewRun { due_at: after(before, 600_000), ..task.run(1) });
    let answer = enqueue(&backend, &node("a"), Firing { run, ..task.firing(1) }).await;
    let Admission::Early(clock) = answer else { panic!("what is not due is refused: {answer:?}") };
    assert!(before <= clock && clock <= now(&backend).await, "the refusal tells the store's clock");
    assert_eq!(task.look().await.mark, task.start, "a refusal leaves the mark");
    assert!(task.rows().await.is_empty(), "nor is there a run");
    task.accounts_for(0, 0).await;
}

/// What comes after the instant until which it is accepted is refused, and the mark stays.
pub async fn what_comes_too_late_is_left_for_the_misfire_policy(backend: Subject) {
    let task = Ticking::new(&backend, "pay").await;
    let run = Some(NewRun { accept_until: Some(task.at(2)), ..task.run(1) });
    let answer = enqueue(&backend, &node("a"), Firing { run, ..task.firing(1) }).await;
    assert!(matches!(answer, Admission::Late(_)), "what is late is a misfire: {answer:?}");
    assert_eq!(task.look().await.mark, task.start, "a refusal leaves the mark");
    task.accounts_for(0, 0).await;
}

/// A batch has one answer for each firing, in its order, whatever becomes of the others.
pub async fn answers_come_in_the_order_of_the_batch(backend: Subject) {
    let free = Ticking::new(&backend, "free").await;
    let moved = Ticking::new(&backend, "moved").await;
    let early = Ticking::new(&backend, "early").await;
    let passing = Ticking::new(&backend, "passing").await;
    let full = Ticking::new(&backend, "full").await;
    full.hold(&node("a"), 1).await;
    let ahead = Some(NewRun { due_at: after(now(&backend).await, 600_000), ..early.run(1) });
    let passed = Some(Record::one(Reason::Missed, passing.at(1)));
    let batch = [
        Firing { mark: after(moved.start, 5), ..moved.firing(1) },
        Firing { run: ahead, ..early.firing(1) },
        free.firing(1),
        Firing { passed, run: None, ..passing.firing(1) },
        full.firing(2),
    ];
    let answers = backend.enqueue(&node("a"), &batch).await.expect("an enqueue is answered");
    assert_eq!(answers.len(), 5, "each firing has its answer");
    assert_eq!(answers[0], Admission::MarkMoved(moved.start));
    assert!(matches!(answers[1], Admission::Early(_)), "{:?}", answers[1]);
    assert!(matches!(answers[2], Admission::Claimed(_)), "{:?}", answers[2]);
    assert_eq!(answers[3], Admission::Passed);
    assert_eq!(answers[4], Admission::Recorded(Refusal::Overlap(full.id(1))));
}

/// After `max_runs` occurrences have become runs there are none: nothing is done and nothing recorded. Triggers do not
/// count, and neither does what was recorded.
pub async fn after_its_last_run_a_task_has_no_occurrences(backend: Subject) {
    if !backend.capabilities().max_runs {
        return;
    }
    let rules = TaskRules { max_runs: Some(2), ..TaskRules::default() };
    let task = Ticking::with(&backend, "pay", rules).await;
    super::submit(&backend, super::trigger(task.key, 1)).await;
    let triggered = task.claim(&node("a"), 1).await.remove(0);
    assert!(matches!(task.fire(&node("a"), 1).await, Admission::Recorded(_)), "the trigger fills the task");
    super::succeed(&backend, task.key, triggered.id, triggered.hold).await;
    for n in 2..=3 {
        let hold = task.hold(&node("a"), n).await;
        task.succeed(n, hold).await;
    }
    let seen = task.look().await;
    assert_eq!((seen.runs, seen.max_runs), (2, Some(2)), "a look tells how many there were, and may be");
    assert_eq!(task.fire(&node("b"), 4).await, Admission::Exhausted, "the schedule is over");
    assert_eq!(task.look().await.mark, task.at(3), "the mark stays");
    task.accounts_for(2, 1).await;
    let again = register(&backend, &node("b"), declared("pay", &every(1), &TaskRules::default())).await;
    assert_eq!((again.runs, again.max_runs), (2, None), "the number survives a registration, and the limit is another");
}

/// A task seen for the first time gets the present as mark and anchor; registered again, it has both as they stand.
pub async fn a_new_task_has_missed_nothing_and_a_known_one_keeps_its_mark(backend: Subject) {
    let rules = TaskRules::default();
    let before = now(&backend).await;
    let new = register(&backend, &node("a"), declared("pay", &every(1), &rules)).await;
    let later = now(&backend).await;
    assert!(before <= new.mark && new.mark <= later, "the mark of a new task is the store's present");
    assert_eq!(new.anchor, new.mark, "the anchor of a new task is the store's present");
    assert_eq!((new.pause, new.alive, new.runs, new.last_end), (None, None, 0, None), "nothing has happened yet");

    let known = Ticking::new(&backend, "pay").await;
    let again = register(&backend, &node("b"), declared("pay", &every(1), &rules)).await;
    assert_eq!((again.key, again.mark, again.anchor), (new.key, known.start, new.anchor), "a known task keeps all");
    let other = register(&backend, &node("a"), declared("ship", &every(1), &rules)).await;
    assert_ne!(other.key, new.key, "two tasks have two keys");

    let past = new.mark.minus(super::HOUR);
    let batch = [declared("once", &once(past), &rules), declared("pay", &every(1), &rules)];
    let answers = backend.register(&node("a"), &batch).await.expect("a registration is answered");
    let just_before = past.minus(std::time::Duration::from_millis(1));
    assert_eq!(answers[0].mark, just_before, "an only instant that is past is not passed over");
    assert!(answers[0].anchor >= before, "the anchor is the first registration all the same");
    assert_eq!((answers[1].key, answers[1].mark), (new.key, known.start), "answers come in the order of the batch");
    let unknown = crate::backend::TaskKey(u64::from(u32::MAX));
    let looked = backend.look(&[other.key, unknown, new.key]).await.expect("a look is answered");
    let keys: Vec<_> = looked.iter().map(|task| task.key).collect();
    assert_eq!(keys, [other.key, new.key], "a look is answered in its order, without what is not known");
}

/// A firing that is repeated after a claim of the same holder has got its run is not given it a second time.
pub async fn a_repeated_firing_does_not_give_what_a_claim_has_got(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", crate::schedule::Overlap::BufferOne).await;
    let hold = task.hold(&node("a"), 1).await;
    task.wait(2).await;
    task.succeed(1, hold).await;
    let run = task.claim(&node("a"), 1).await.remove(0);
    assert_eq!(run.id, task.id(2));
    // The answer to the first call was lost, and comes again after the claim's.
    assert_eq!(task.fire(&node("a"), 2).await, Admission::Queued { cancel: None }, "it waited, and the claim has it");
    task.succeed(2, run.hold).await;
    task.accounts_for(2, 0).await;
}
