//! Tasks that come and go while the scheduler runs: what they leave behind, and what the store is told.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use tokio::time::Instant;

use super::super::event::{Actions, Event};
use super::super::state::{Now, State};
use super::rig::{Rig, every, instant, pass, seconds};
use crate::Task;
use crate::TaskName;
use crate::backend::{Backend, Capabilities, Claimed, Claims, Hold, Registered, TaskKey, Token};
use crate::executor::{Ended, Ran};
use crate::outcome::{Failure, Outcome};
use crate::retry::Advice;
use crate::run::{Origin, RunId, RunIds, RunState};
use crate::task::{Alike, LiveTask};
use crate::test_util::{Chaos, Fault};

/// How many tasks come and go.
const COMING_AND_GOING: u64 = 20_000;

/// How many of them are there at once.
const AT_ONCE: u64 = 1_000;

#[test]
fn what_the_engine_knows_is_bounded_by_the_tasks_that_it_has() {
    let wall = instant("2026-06-01T00:00:00Z");
    let now = Now { wall, is_sure: true, at: Instant::now(), passed: Duration::ZERO };
    let mut state = State::new(RunIds::new(fastrand::Rng::with_seed(1)), seconds(1), 10, Capabilities::durable());
    let mut actions = Actions::default();
    for first in (0..COMING_AND_GOING).step_by(AT_ONCE as usize) {
        for key in first..first + AT_ONCE {
            // Each is due at another instant, far away.
            let task = Task::new(format!("task {key}"), every(1_000_000_000 + key), async || {});
            let name = TaskName::new(task.name()).expect("a valid name");
            let seen = Registered::at_first_sight(TaskKey(key), task.timetable(Tz::UTC).into(), wall);
            let registered = Registered { behind: Some(wall), ..seen };
            let live = Arc::new(LiveTask::new(&task, name, &registered, wall, &mut Alike::default()));
            state.decide(Event::Added(live, Box::new(registered)), now, &mut actions);
        }
        // A run of one of them fails twice: before its task is removed, and after.
        for (key, is_removed) in [(first, false), (first + 1, true)] {
            let job = given(&mut state, TaskKey(key), now, &mut actions);
            if is_removed {
                state.decide(Event::Removed(TaskKey(key)), now, &mut actions);
            }
            let outcome = Outcome::Failed(Failure::error(&std::io::Error::other("disk full")));
            let ran = Some(Ran { began: now.at, duration: Duration::ZERO });
            let ended = Ended { job, outcome, advice: Advice::ByPolicy, ran, log: None };
            state.decide(Event::Ended(vec![ended]), now, &mut actions);
        }
        for key in first..first + AT_ONCE {
            state.decide(Event::Removed(TaskKey(key)), now, &mut actions);
        }
        while !actions.unregister.is_empty() {
            actions.unregister.clear();
            state.decide(Event::Unregistered, now, &mut actions);
        }
        actions = Actions::default();
        let finishing = std::mem::take(&mut state.to_finish).len();
        state.held -= finishing;
    }
    let most = AT_ONCE as usize;
    assert!(state.tasks.len() <= most + 1, "{} places of tasks", state.tasks.len());
    assert!(state.timer.len <= 4 * most, "{} entries of the timer", state.timer.len);
    assert_eq!(state.places.as_ref().map(std::collections::HashMap::len), Some(0));
    assert_eq!((state.put_off.len(), state.behind.len(), state.to_unregister.len()), (0, 0, 0));
    let names: std::collections::HashSet<_> = state.tasks.iter().map(|task| task.live.name.to_string()).collect();
    assert_eq!(names, ["nobody".to_owned()].into(), "nor does a body stay");
}

/// Has the store give a run of a task.
fn given(state: &mut State, task: TaskKey, now: Now, actions: &mut Actions) -> crate::executor::Job {
    let _ = state.begin_claim(now);
    let run = Claimed {
        task,
        id: RunId::from_parts(now.wall, task.0.into()),
        hold: Hold { token: Token(1), previous_success: None },
        origin: Origin::Schedule,
        scheduled_at: now.wall,
        due_at: now.wall,
        missed: None,
        attempt: 1,
        abandoned: 0,
        was: RunState::Queued,
        arguments: None,
    };
    state.decide(Event::Claimed(Claims { runs: vec![run], next_at: None }), now, actions);
    let job = actions.start.pop().expect("the run begins");
    job.task.tally().accepted();
    job.task.tally().began(Duration::ZERO);
    job
}

#[tokio::test(start_paused = true)]
async fn a_store_in_memory_forgets_tasks_that_came_and_went() {
    let rig = Rig::new();
    let scheduler = rig.start([rig.quick("stays", every(10_000))]).await;
    for first in (0..COMING_AND_GOING).step_by(AT_ONCE as usize) {
        let names: Vec<String> = (first..first + AT_ONCE).map(|number| format!("task {number}")).collect();
        for name in &names {
            scheduler.register(rig.lasting(name.clone(), every(3_600_000), seconds(0))).await.expect("it is new");
        }
        for name in &names {
            scheduler.unregister(name).await.expect("it is there");
        }
    }
    pass(seconds(10)).await;
    let kept = rig.store.tasks().await.expect("memory answers");
    assert_eq!(kept.len(), 10_001, "those that came last, and the one that stays");
    assert!(rig.store.key_of("task 0").is_none() && rig.store.key_of("task 19999").is_some());
    assert_eq!(rig.fired("stays"), [10_000]);
    assert_eq!(scheduler.stats().tasks, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_task_that_is_unregistered_stays_in_the_program() {
    let rig = Rig::new();
    let scheduler = rig.start([]).await;
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let task = Task::new("holds", every(1_000), move || {
        let inside = Arc::clone(&inside);
        async move { drop(inside) }
    });
    scheduler.register(task).await.expect("it is new");
    pass(seconds(3)).await;
    assert_eq!(Arc::strong_count(&held), 2);
    scheduler.unregister("holds").await.expect("it is there");
    pass(seconds(3)).await;
    assert_eq!(Arc::strong_count(&held), 1, "its body is dropped");
}

/// The names of what has run, and how often.
fn starts(rig: &Rig) -> usize {
    rig.log.of("hello").len()
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_has_any_more_runs_at_its_next_start() {
    let rig = Rig::new();
    let hello = || rig.quick("hello", every(86_400_000)).run_on_start(true);
    let (one, other) = (rig.start([hello()]).await, rig.start([hello()]).await);
    pass(seconds(1)).await;
    assert_eq!(starts(&rig), 1, "the other was not the first");
    one.unregister("hello").await.expect("it is there");
    one.register(hello()).await.expect("it was removed");
    pass(seconds(1)).await;
    assert_eq!(starts(&rig), 1, "another node has it");
    for node in [&one, &other] {
        node.unregister("hello").await.expect("it is there");
    }
    pass(seconds(1)).await;
    other.register(hello()).await.expect("it was removed");
    pass(seconds(1)).await;
    assert_eq!(starts(&rig), 2, "nobody had it");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_told_when_it_is_back_and_what_was_registered_again_stays() {
    let rig = Rig::new();
    let hello = || rig.quick("hello", every(86_400_000)).run_on_start(true);
    let store = Chaos::new(rig.store.clone());
    let scheduler = rig.scheduler([hello()]).backend(store.clone()).start().await.expect("it starts");
    pass(seconds(1)).await;
    // The store does what it is asked, and its answers are lost: it is asked again and again.
    store.fail_on("unregister", Fault::After);
    scheduler.unregister("hello").await.expect("it is there");
    pass(seconds(1)).await;
    let other = rig.start([hello()]).await;
    pass(seconds(1)).await;
    assert_eq!(starts(&rig), 2, "nobody else had it");
    scheduler.register(hello()).await.expect("it was removed");
    other.stop().await.expect("it stops");
    pass(seconds(30)).await;
    store.heal();
    pass(seconds(30)).await;
    let third = rig.start([hello()]).await;
    pass(seconds(1)).await;
    assert_eq!(starts(&rig), 2, "it was registered again, and what came late did not undo that");
    third.stop().await.expect("it stops");

    store.cut_off();
    scheduler.unregister("hello").await.expect("it is taken out although the store is away");
    pass(seconds(60)).await;
    store.reconnect();
    pass(seconds(30)).await;
    let _fourth = rig.start([hello()]).await;
    pass(seconds(1)).await;
    assert_eq!(starts(&rig), 3, "nobody had it");
}
