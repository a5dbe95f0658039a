//! What bounds a task: windows, numbers of runs, groups, priorities, delays, jitter, and what is expected of it.

use std::time::Duration;

use symphra_scheduler::test_util::Fired;
use symphra_scheduler::{
    Backoff, CronExpr, Delay, HistoryConfig, Misfire, Origin, Reason, RetryPolicy, RunContext, Scheduler,
    SchedulerConfig, SchedulerHandle, Task, TaskStatus,
};

use crate::kit::{at, began, every, ledger, millis, records, runs, second, seconds, start, start_one};

fn tick() -> Task {
    Task::new("tick", every(10), async || {})
}

fn busy(name: &'static str, takes: u64) -> Task {
    Task::new(name, every(10), move || tokio::time::sleep(seconds(takes)))
}

#[tokio::test(start_paused = true)]
async fn after_max_runs_there_are_no_occurrences_whatever_happens() {
    let mut test = start_one(|| tick().max_runs(2).misfire(Misfire::Skip)).await;
    test.advance(seconds(15)).await;
    test.trigger_task("tick").await.expect("it is accepted");
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(20)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (15, 15), (20, 20)]);
    test.restart(seconds(30)).await.expect("it starts again");
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(30)).await;
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(30)).await;
    assert_eq!(test.fired("tick").len(), 3);
    assert_eq!(records(&test, "tick").await, []);
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
    assert!(test.next_occurrences("tick", 1).expect("it is there").is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_the_history_is_kept_what_the_settings_say() {
    let fails_at_first =
        |run: RunContext| async move { if second(run.scheduled_at()) <= 40 { Err("down") } else { Ok(()) } };
    let test = start(move || {
        let history = HistoryConfig::new().runs(2).failures(3);
        let task = Task::new("tick", every(10), fails_at_first).retry(RetryPolicy::none());
        Scheduler::empty().register(task).config(SchedulerConfig::new().history(history))
    })
    .await;
    test.advance(seconds(90)).await;
    let kept: Vec<_> = runs(&test, "tick").await.iter().map(|run| second(run.scheduled_at)).collect();
    assert_eq!(kept, [20, 30, 40, 80, 90], "three failures, and the last two runs");
    assert_eq!(ledger(&test, "tick").await, (9, 9, 0), "counts do not go with it");
}

#[tokio::test(start_paused = true)]
async fn a_task_stands_after_a_restart_as_its_last_run_ended() {
    let mut test = start(|| {
        let fails = Task::new("fails", every(10), async || Err::<(), _>("down")).retry(RetryPolicy::none());
        let never = Task::new("never", every(10_000), async || {});
        Scheduler::empty().register(tick()).register(fails).register(never)
    })
    .await;
    let statuses =
        |test: &SchedulerHandle| ["fails", "never", "tick"].map(|name| test.task(name).expect("it is there").status);
    let expected = [TaskStatus::Failed, TaskStatus::Pending, TaskStatus::Completed];
    test.advance(seconds(15)).await;
    assert_eq!(statuses(&test), expected);
    test.restart(seconds(1)).await.expect("it starts again");
    assert_eq!(statuses(&test), expected);
    assert_eq!(test.tasks_by_status(TaskStatus::Failed).len(), 1, "whoever is called at night finds it");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_group_makes_its_task_pending() {
    let test = start(|| {
        let config = SchedulerConfig::new().group("imports", 1);
        let task = |name, period| Task::new(name, every(period), || tokio::time::sleep(seconds(5))).group("imports");
        Scheduler::empty().config(config).register(task("a", 10)).register(task("b", 20))
    })
    .await;
    test.advance(seconds(34)).await;
    let status = |name| test.task(name).expect("it is there").status;
    assert_eq!(status("b"), TaskStatus::Completed);
    test.advance(seconds(7)).await;
    let statuses = [status("a"), status("b")];
    assert!(statuses.contains(&TaskStatus::Running) && statuses.contains(&TaskStatus::Pending), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn workers_that_are_always_taken_are_told_with_their_runs() {
    let of = |takes: u64| {
        start(move || {
            let config = SchedulerConfig::new().max_workers(2);
            let tasks = ["a", "b", "c", "d"].map(|name| busy(name, takes));
            tasks.into_iter().fold(Scheduler::empty().config(config), Scheduler::register)
        })
    };
    // No run takes long, but no worker is ever free.
    let test = of(9).await;
    test.advance(seconds(65)).await;
    assert!(test.health().workers_taken_by.is_empty(), "not yet");
    test.advance(seconds(10)).await;
    assert_eq!(test.health().workers_taken_by.len(), 2);
    assert!(!test.health().is_well());
    let test = of(1_000).await;
    test.advance(seconds(75)).await;
    let taken: Vec<_> = test.health().workers_taken_by.iter().map(|run| run.task.to_string()).collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    // Four runs of four seconds on two workers leave each free for two.
    let test = of(4).await;
    test.advance(seconds(200)).await;
    assert!(test.health().workers_taken_by.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_is_stale_when_two_of_its_occurrences_and_a_minute_have_passed_without_success() {
    let fails = || Task::new("tick", every(100), async || Err::<(), _>("down")).retry(RetryPolicy::none());
    let mut test = start_one(fails).await;
    test.advance(seconds(259)).await;
    assert!(test.health().stale.is_empty(), "two occurrences and a minute have not passed");
    test.advance(seconds(2)).await;
    let stale = test.health().stale;
    assert_eq!((stale.len(), stale[0].last_success, second(stale[0].expected_by)), (1, None, 260));
    test.restart(Duration::ZERO).await.expect("it starts again");
    assert!(test.health().stale.is_empty(), "counted from the start of this scheduler");

    let delayed = || Task::new("tick", every(100), async || Err::<(), _>("down")).delay(Delay::FixedDelay);
    let test = start_one(move || delayed().retry(RetryPolicy::none())).await;
    test.advance(seconds(259)).await;
    assert!(test.health().stale.is_empty());
    test.advance(seconds(2)).await;
    assert_eq!(second(test.health().stale[0].expected_by), 260, "two periods and a minute");
}

#[tokio::test(start_paused = true)]
async fn lateness_is_that_of_each_attempt_and_progress_that_of_the_run_that_runs() {
    let test = start(|| {
        let config = SchedulerConfig::new().max_workers(1);
        let again = RetryPolicy::standard().max_attempts(2).strategy(Backoff::Fixed).wait_min(seconds(2)).jitter(false);
        let tick = Task::new("tick", every(10), |run: RunContext| async move {
            run.progress("x".repeat(300));
            tokio::time::sleep(seconds(1)).await;
            if run.attempt() == 1 { Err("down") } else { Ok(()) }
        });
        Scheduler::empty().config(config).register(busy("first", 3).priority(9)).register(tick.retry(again))
    })
    .await;
    test.advance(Duration::from_millis(13_500)).await;
    let running = test.running_runs();
    let progress = running[0].progress.clone().expect("it was said");
    assert_eq!((running.len(), progress.chars().count()), (1, 200), "{progress}");
    test.advance(seconds(6)).await;
    let metrics = test.metrics().into_iter().find(|of| of.task == "tick").expect("it is there");
    let lateness = (metrics.last_lateness, metrics.average_lateness, metrics.max_lateness);
    let average = Some(Duration::from_millis(1_500));
    assert_eq!(lateness, (Some(Duration::ZERO), average, Some(seconds(3))), "the second attempt began when it was due");
    assert!(test.running_runs().is_empty(), "what was said goes with the run");
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_in_a_pause_does_not_count_for_max_runs() {
    let mut test = start_one(|| tick().max_runs(2)).await;
    test.advance(seconds(15)).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(30)).await;
    test.restart(seconds(10)).await.expect("it starts again");
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(30)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (60, 60)]);
    assert_eq!(records(&test, "tick").await, [(Reason::Paused, 20, 50, 4)]);
    assert_eq!(ledger(&test, "tick").await, (6, 2, 4));
    assert!(test.next_occurrences("tick", 1).expect("it is there").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_does_not_wait_for_a_triggers_run_that_a_restart_finds_alive() {
    let again = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(50)).jitter(false);
    let body = |run: RunContext| async move { if run.origin() == Origin::Schedule { Ok(()) } else { Err("down") } };
    let task = move || Task::new("tick", every(10), body).delay(Delay::FixedDelay).retry(again);
    let mut test = start_one(task).await;
    test.advance(seconds(12)).await;
    let run = test.trigger_task("tick").await.expect("it is accepted");
    test.restart(seconds(1)).await.expect("it starts again");
    test.cancel_run(run).await.expect("it waits for its next attempt");
    test.advance(seconds(18)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (12, 12), (20, 20), (30, 30)]);
    assert_eq!(ledger(&test, "tick").await, (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn once_max_runs_are_reached_nothing_lies_ahead() {
    let mut test = start_one(|| tick().max_runs(1).expect_success_within(seconds(60))).await;
    test.advance(seconds(11)).await;
    let says = test.explain("tick", at(20)).await.expect("memory answers").to_string();
    assert!(says.contains("max_runs were reached before"), "{says}");
    test.restart(Duration::ZERO).await.expect("it starts again");
    assert!(test.next_occurrences("tick", 1).expect("it is there").is_empty());
    test.pause_task("tick").await.expect("it pauses");
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(100)).await;
    assert!(test.next_occurrences("tick", 1).expect("it is there").is_empty());
    assert!(test.health().stale.is_empty(), "a schedule that is over owes nothing");
    assert_eq!(ledger(&test, "tick").await, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_on_start_is_no_occurrence() {
    let mut test = start_one(|| tick().run_on_start(true)).await;
    test.advance(seconds(15)).await;
    assert_eq!(began(&test, "tick"), [(0, 0), (10, 10)]);
    assert_eq!(runs(&test, "tick").await[0].origin, Origin::Start);
    test.restart(Duration::ZERO).await.expect("it starts again");
    test.advance(seconds(5)).await;
    assert_eq!(began(&test, "tick")[2..], [(15, 15), (20, 20)]);
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_window_includes_both_its_ends_and_what_is_excepted_is_no_occurrence() {
    let minutes = || {
        let schedule = symphra_scheduler::Schedule::cron("* * * * *").expect("it is valid");
        let except: CronExpr = "2-3 9 * * *".parse().expect("it is valid");
        Task::new("tick", schedule, async || {}).start_at(at(60).to_utc()).end_at(at(300).to_utc()).except(except)
    };
    let test = start_one(minutes).await;
    test.advance(seconds(3_600)).await;
    assert_eq!(began(&test, "tick"), [(60, 60), (240, 240), (300, 300)]);
    assert_eq!(ledger(&test, "tick").await, (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn of_a_group_only_so_many_run_at_once() {
    let test = start(|| {
        let grouped = |name| busy(name, 4).group("imports");
        let config = SchedulerConfig::new().group("imports", 2);
        Scheduler::empty().config(config).register(grouped("a")).register(grouped("b")).register(grouped("c"))
    })
    .await;
    test.advance(seconds(19)).await;
    let mut all: Vec<i64> = ["a", "b", "c"].iter().map(|task| began(&test, task)[0].1).collect();
    all.sort_unstable();
    assert_eq!(all, [10, 10, 14]);
    for task in ["a", "b", "c"] {
        assert_eq!(ledger(&test, task).await, (1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn where_workers_are_scarce_the_higher_priority_goes_first() {
    let test = start(|| {
        let config = SchedulerConfig::new().max_workers(1);
        let low = busy("low", 2).priority(-5);
        let high = busy("high", 2).priority(5);
        Scheduler::empty().config(config).register(low).register(busy("middle", 2)).register(high)
    })
    .await;
    test.advance(seconds(19)).await;
    let order: Vec<_> = test.all_fired().iter().map(|run| (run.task.to_string(), second(run.began_at))).collect();
    assert_eq!(order, [("high".into(), 10), ("middle".into(), 12), ("low".into(), 14)]);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_counts_from_the_end_of_the_last_attempt() {
    let body = |run: RunContext| async move {
        tokio::time::sleep(seconds(3)).await;
        if run.attempt() == 1 { Err("down") } else { Ok(()) }
    };
    let again = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(seconds(2)).jitter(false);
    let mut test = start_one(move || Task::new("tick", every(10), body).delay(Delay::FixedDelay).retry(again)).await;
    test.advance(seconds(27)).await;
    assert_eq!(began(&test, "tick"), [(10, 10)]);
    test.advance(seconds(2)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (28, 28)]);
    test.advance(seconds(8)).await;
    // The run of 28 has ended at 36; the next is due at 46, and late, not missed.
    test.restart(seconds(30)).await.expect("it starts again");
    test.advance(seconds(1)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (28, 28), (46, 67)]);
    assert_eq!(records(&test, "tick").await, []);
    assert_eq!(ledger(&test, "tick").await, (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn behind_a_clock_that_was_set_back_a_fixed_delay_names_no_instant_twice() {
    let test = start(|| {
        let config = SchedulerConfig::new().max_workers(1);
        let holder = Task::new("holder", every(1_000), || tokio::time::sleep(seconds(5)));
        Scheduler::empty().config(config).register(holder).register(tick().delay(Delay::FixedDelay))
    })
    .await;
    test.advance(seconds(39)).await;
    test.trigger_task("holder").await.expect("it is accepted");
    // The run of 40 waits for the worker until 10, by a clock that went back: ten seconds later it is 20 again.
    test.advance(seconds(2)).await;
    test.set_clock_back(seconds(34));
    test.advance(seconds(32)).await;
    let fired = || test.fired("tick").into_iter().map(millis).collect::<Vec<_>>();
    assert_eq!(fired(), [10_000, 20_000, 30_000, 40_000]);
    test.advance(seconds(2)).await;
    assert_eq!(
        fired(),
        [10_000, 20_000, 30_000, 40_000, 40_001],
        "the next is a millisecond after the mark, once that is reached"
    );
    assert_eq!(ledger(&test, "tick").await, (5, 5, 0), "a delay is late, and not missed");
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_that_falls_due_beside_a_trigger_waits_for_it_and_is_not_lost() {
    let test = start_one(|| busy("tick", 4).delay(Delay::FixedDelay)).await;
    test.advance(seconds(8)).await;
    test.trigger_task("tick").await.expect("it is accepted");
    test.advance(seconds(15)).await;
    // Due at 10, while the trigger's run goes on until 12; the next is due ten seconds after its own end, at 26.
    assert_eq!(began(&test, "tick"), [(8, 8), (10, 12)]);
    test.advance(seconds(4)).await;
    assert_eq!(began(&test, "tick"), [(8, 8), (10, 12), (26, 26)]);
    assert_eq!(ledger(&test, "tick").await, (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn in_a_pause_a_fixed_delay_records_one_instant_a_period() {
    let test = start_one(|| tick().delay(Delay::FixedDelay)).await;
    test.advance(seconds(15)).await;
    test.pause_task("tick").await.expect("it pauses");
    test.advance(seconds(30)).await;
    assert_eq!(records(&test, "tick").await, [(Reason::Paused, 20, 40, 3)]);
    test.resume_task("tick").await.expect("it resumes");
    test.advance(seconds(10)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (50, 50)]);
    assert_eq!(ledger(&test, "tick").await, (5, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn jitter_is_bounded_and_the_same_for_the_same_occurrence() {
    let task = || tick().jitter(seconds(6));
    let test = start_one(task).await;
    test.advance(seconds(100)).await;
    let late = |fired: Vec<Fired>| -> Vec<(i64, i64)> {
        fired.iter().map(|run| (second(run.scheduled_at), millis(run.began_at) - millis(run.scheduled_at))).collect()
    };
    let first = late(test.all_fired());
    assert!(first.len() >= 9 && first.iter().all(|(_, late)| (0..=6_000).contains(late)), "{first:?}");
    assert!(first.windows(2).any(|pair| pair[0].1 != pair[1].1), "{first:?}");
    test.balanced_ledger("tick").await;
    let mut again = start_one(task).await;
    again.advance(seconds(29)).await;
    again.restart(Duration::ZERO).await.expect("it starts again");
    again.advance(seconds(71)).await;
    assert_eq!(late(again.all_fired()), first);
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_success_for_too_long_is_stale() {
    let test = start_one(|| {
        Task::new("tick", every(10), async || Err::<(), _>("down"))
            .retry(RetryPolicy::none())
            .expect_success_within(seconds(25))
    })
    .await;
    test.advance(seconds(25)).await;
    assert!(test.health().stale.is_empty());
    test.advance(seconds(1)).await;
    let stale = test.health().stale;
    assert_eq!((stale.len(), stale[0].last_success, stale[0].expected_by), (1, None, at(25)));
    test.pause_task("tick").await.expect("it pauses");
    assert!(test.health().stale.is_empty(), "who is paused owes nothing");
}

#[tokio::test(start_paused = true)]
async fn tasks_are_found_by_status_and_tag_and_counted() {
    let test = start(|| {
        let fails = Task::new("fails", every(10), async || Err::<(), _>("down")).retry(RetryPolicy::none());
        Scheduler::empty()
            .register(tick().tags(["fast", "safe"]))
            .register(fails.tags(["fast"]))
            .register(busy("busy", 9))
            .register(Task::new("off", every(10), async || {}).enabled(false))
            .register(Task::new("later", every(1_000), async || {}))
    })
    .await;
    test.advance(seconds(15)).await;
    let named = |status| test.tasks_by_status(status).into_iter().map(|task| task.name.to_string()).collect::<Vec<_>>();
    assert_eq!(named(TaskStatus::Completed), ["tick"]);
    assert_eq!(named(TaskStatus::Failed), ["fails"]);
    assert_eq!(named(TaskStatus::Running), ["busy"]);
    assert_eq!(named(TaskStatus::Paused), ["off"]);
    assert_eq!(named(TaskStatus::Pending), ["later"]);
    let tagged: Vec<_> = test.tasks_by_tag("fast").into_iter().map(|task| task.name.to_string()).collect();
    assert_eq!(tagged, ["fails", "tick"]);
    let counts = test.task_counts();
    assert_eq!((counts.total, counts.enabled, counts.disabled), (5, 4, 1));
    assert!(counts.by_status.values().all(|count| *count == 1) && counts.by_status.len() == 5);
}

#[tokio::test(start_paused = true)]
async fn metrics_count_runs_and_are_reset() {
    let test = start_one(|| {
        Task::new("tick", every(10), |run: RunContext| async move {
            let nth = second(run.scheduled_at()) / 10;
            tokio::time::sleep(seconds(u64::try_from(nth).expect("it is after the start"))).await;
            if nth == 3 { Err("down") } else { Ok(()) }
        })
        .retry(RetryPolicy::none())
    })
    .await;
    test.advance(seconds(35)).await;
    let metrics = &test.metrics()[0];
    assert_eq!((metrics.total_runs, metrics.successful_runs, metrics.failed_runs), (3, 2, 1));
    assert_eq!((metrics.total_duration, metrics.average_duration), (seconds(6), Some(seconds(2))));
    assert_eq!((metrics.min_duration, metrics.max_duration), (Some(seconds(1)), Some(seconds(3))));
    assert_eq!((metrics.last_duration, metrics.consecutive_failures), (Some(seconds(3)), 1));
    assert_eq!((metrics.last_success, metrics.last_failure), (Some(at(22)), Some(at(33))));
    assert_eq!((metrics.last_lateness, metrics.max_lateness), (Some(Duration::ZERO), Some(Duration::ZERO)));
    test.reset_metrics();
    let metrics = &test.metrics()[0];
    assert_eq!((metrics.total_runs, metrics.last_duration, metrics.last_failure), (0, None, None));
    assert_eq!(ledger(&test, "tick").await, (3, 3, 0));
}
