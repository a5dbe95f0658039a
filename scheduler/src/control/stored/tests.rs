//! Lists of runs of a store that no program keeps, while tasks come and go between two pages.

use std::future::pending;

use super::*;
use crate::MemoryBackend;
use crate::scheduler::Scheduler;

/// A task that is triggered, and whose runs do not end.
fn lasting(name: &'static str) -> Task {
    let hour = Schedule::interval(std::time::Duration::from_secs(3_600)).expect("an hour is possible");
    Task::new(name, hour, pending::<()>).max_instances(10)
}

#[tokio::test]
async fn a_list_of_runs_goes_on_behind_those_of_tasks_that_came_after_the_look() {
    let memory = MemoryBackend::new();
    let scheduler = Scheduler::empty().backend(memory.clone()).register(lasting("known")).start().await;
    let scheduler = scheduler.expect("it starts");
    scheduler.trigger_task("known").await.expect("it is there");
    let stored = Stored::look(Arc::new(memory), Vec::new(), Tz::UTC, Clock::default()).await.expect("it answers");
    scheduler.register(lasting("came")).await.expect("it is possible");
    for _ in 0..5 {
        scheduler.trigger_task("came").await.expect("it is there");
    }
    let (task, from, to) = (None, None, None);
    let asked = Question::Runs { task, states: Vec::new(), from, to, after: None, count: 2 };
    let runs = stored.answer(&asked).await.expect("it answers");
    let tasks: Vec<_> = runs.as_array().expect("a list").iter().map(|run| run["task"].as_str()).collect();
    assert_eq!(tasks, [Some("known")], "two pages of runs of the other are before it");
    scheduler.stop_now().await.expect("it stops");
}
