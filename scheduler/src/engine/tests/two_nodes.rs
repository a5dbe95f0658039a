//! Two schedulers at once on one store: what the one does, the other shows.

use super::rig::{LONG_LEASE, Rig, every, pass, seconds};
use crate::{RunContext, SchedulerConfig, Task, TaskStatus};

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_over_goes_on_where_another_node_declares_more_runs() {
    let rig = Rig::new();
    let tick = |runs| rig.quick("tick", every(10_000)).max_runs(runs);
    let first = rig.start([tick(1)]).await;
    let next = || first.task("tick").expect("it is there").next.map(|at| rig.millis(at.into()));
    pass(seconds(5)).await;
    assert_eq!(next(), Some(10_000));
    pass(seconds(20)).await;
    assert_eq!(next(), None, "its one run is over");

    let second = rig.start([tick(3)]).await;
    pass(seconds(0)).await;
    assert_eq!(next(), Some(30_000));
    second.stop().await.expect("it stops");
    pass(seconds(20)).await;
    assert_eq!(rig.fired("tick"), [10_000, 20_000, 30_000], "that of 20 s is caught up");
    assert_eq!(next(), None);

    let third = rig.start([tick(5)]).await;
    third.stop().await.expect("it stops");
    pass(seconds(0)).await;
    assert!(next().is_some());
    let fourth = rig.start([tick(1)]).await;
    fourth.stop().await.expect("it stops");
    pass(seconds(0)).await;
    assert_eq!(next(), None, "nor does it go on where fewer are declared than there were");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_another_node_tries_again_is_not_shown_as_waiting() {
    let rig = Rig::new();
    let log = rig.log.clone();
    let import = || {
        let log = log.clone();
        Task::new("import", every(10_000), move |run: RunContext| {
            log.write(&run);
            async move { if run.attempt() == 1 { Err("not yet") } else { Ok(()) } }
        })
    };
    // Its one worker is taken before the next attempt is due, and its queue with it.
    let hog = rig.lasting("hog", every(10_500), seconds(3_600)).overlap(crate::Overlap::Allow);
    let full = SchedulerConfig::new().max_workers(1).queue_size(1).lease(LONG_LEASE);
    let first = rig.scheduler([import(), hog]).config(full).start().await.expect("it starts");
    let status = || first.task("import").expect("it is there").status;
    pass(seconds(10)).await;
    assert_eq!(status(), TaskStatus::Retrying);

    let _second = rig.start([import()]).await;
    pass(seconds(5)).await;
    let attempts: Vec<u32> = rig.log.of("import").iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2]);
    assert_ne!(status(), TaskStatus::Retrying, "it is over elsewhere");
}
