//! A program that was stopped while occurrences fell due: what each misfire policy makes of them, and that a simulation
//! says the same.

use std::time::Duration;

use symphra_scheduler::test_util::{Simulated, simulate};
use symphra_scheduler::{Misfire, Missed, Overlap, Reason, RunContext, Scheduler, Task, Timestamp};

use crate::kit::{Log, START, at, began, every, ledger, records, second, seconds, start_one};

fn tick(period: u64) -> Task {
    Task::new("tick", every(period), async || {})
}

fn run_all(overlap: Overlap) -> Task {
    tick(10).misfire(Misfire::RunAll).overlap(overlap)
}

/// Runs `task`, every ten seconds, for a minute in which it is away from 15 to 45: three periods.
async fn away_for_three_periods(
    task: impl Fn() -> Task + Copy,
) -> (Vec<(i64, i64)>, Vec<(Reason, i64, i64, u64)>, (u64, u64, u64)) {
    let mut test = start_one(task).await;
    test.advance(seconds(15)).await;
    test.restart(seconds(30)).await.expect("it starts again");
    test.advance(seconds(14)).await;
    let real = (began(&test, "tick"), records(&test, "tick").await, ledger(&test, "tick").await);

    let simulation = simulate(Scheduler::empty().register(task()), START, at(60)).down(at(15), at(45));
    let simulated = simulation.run().expect("it could start");
    let mut runs: Vec<(i64, i64)> = Vec::new();
    let mut recorded: Vec<(Reason, i64, i64, u64)> = Vec::new();
    for step in &simulated["tick"] {
        match step {
            Simulated::Runs { scheduled_at, at, .. } => runs.push((second(*scheduled_at), second(*at))),
            Simulated::Recorded { reason, first, last, count } => {
                recorded.push((*reason, second(*first), second(*last), *count));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((&runs, &recorded), (&real.0, &real.1), "the simulation says otherwise");
    real
}

#[tokio::test(start_paused = true)]
async fn run_once_runs_the_newest_which_covers_the_others() {
    let (runs, records, ledger) = away_for_three_periods(|| tick(10)).await;
    assert_eq!(runs, [(10, 10), (40, 45), (50, 50)]);
    assert_eq!(records, [(Reason::Missed, 20, 30, 2)]);
    assert_eq!(ledger, (5, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn skip_runs_none() {
    let (runs, records, ledger) = away_for_three_periods(|| tick(10).misfire(Misfire::Skip)).await;
    assert_eq!(runs, [(10, 10), (50, 50)]);
    assert_eq!(records, [(Reason::Missed, 20, 40, 3)]);
    assert_eq!(ledger, (5, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn run_all_runs_each_and_the_oldest_first() {
    for overlap in [Overlap::Allow, Overlap::BufferAll] {
        let test = async |task: &dyn Fn() -> Task| {
            let mut test = start_one(task).await;
            test.advance(seconds(15)).await;
            test.restart(seconds(30)).await.expect("it starts again");
            test.advance(seconds(14)).await;
            assert_eq!(began(&test, "tick"), [(10, 10), (20, 45), (30, 45), (40, 45), (50, 50)]);
            assert_eq!(records(&test, "tick").await, []);
            assert_eq!(ledger(&test, "tick").await, (5, 5, 0));
        };
        test(&|| run_all(overlap)).await;
    }
    let (runs, ..) = away_for_three_periods(|| run_all(Overlap::Allow)).await;
    assert_eq!(runs, [(10, 10), (20, 45), (30, 45), (40, 45), (50, 50)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_caught_up_one_by_one_keeps_its_order_with_what_falls_due() {
    let takes_four = || {
        Task::new("tick", every(10), async || tokio::time::sleep(seconds(4)).await)
            .misfire(Misfire::RunAll)
            .overlap(Overlap::BufferAll)
    };
    let mut test = start_one(takes_four).await;
    test.advance(seconds(15)).await;
    test.restart(seconds(30)).await.expect("it starts again");
    test.advance(seconds(20)).await;
    assert_eq!(began(&test, "tick"), [(10, 10), (20, 45), (30, 49), (40, 53), (50, 57), (60, 61)]);
    assert_eq!(ledger(&test, "tick").await, (6, 6, 0));
}

#[tokio::test(start_paused = true)]
async fn the_run_that_covers_others_is_told_how_many_and_since_when() {
    let covers = Log::new();
    let log = covers.clone();
    let mut test = start_one(move || {
        let log = log.clone();
        Task::new("tick", every(10), move |run: RunContext| {
            log.write(run.missed());
            async {}
        })
    })
    .await;
    test.advance(seconds(15)).await;
    test.restart(seconds(30)).await.expect("it starts again");
    test.advance(seconds(5)).await;
    assert_eq!(covers.words(), [None, Some(Missed::new(2, at(20))), None]);
    test.balanced_ledger("tick").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_within_the_grace_is_no_misfire() {
    let mut test = start_one(|| tick(10)).await;
    test.advance(seconds(15)).await;
    test.restart(Duration::from_secs(26)).await.expect("it starts again");
    // It is 41: 40 is one second late, which is the grace.
    assert_eq!(began(&test, "tick"), [(10, 10), (30, 41), (40, 41)]);
    assert_eq!(records(&test, "tick").await, [(Reason::Missed, 20, 20, 1)]);
    assert_eq!(ledger(&test, "tick").await, (4, 3, 1));
}

#[tokio::test(start_paused = true)]
async fn the_catch_up_window_bounds_what_run_once_runs() {
    let (runs, records, ledger) = away_for_three_periods(|| tick(10).catch_up_window(seconds(5))).await;
    assert_eq!(runs, [(10, 10), (40, 45), (50, 50)], "40 is exactly as old as the window");
    assert_eq!(records, [(Reason::Missed, 20, 30, 2)]);
    assert_eq!(ledger, (5, 3, 2));

    let (runs, records, ledger) = away_for_three_periods(|| tick(10).catch_up_window(seconds(4))).await;
    assert_eq!(runs, [(10, 10), (50, 50)]);
    assert_eq!(records, [(Reason::TooOld, 20, 40, 3)]);
    assert_eq!(ledger, (5, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn the_catch_up_window_bounds_what_run_all_runs() {
    let (runs, records, ledger) = away_for_three_periods(|| run_all(Overlap::Allow).catch_up_window(seconds(20))).await;
    assert_eq!(runs, [(10, 10), (30, 45), (40, 45), (50, 50)]);
    assert_eq!(records, [(Reason::TooOld, 20, 20, 1)]);
    assert_eq!(ledger, (5, 4, 1));
}

#[tokio::test(start_paused = true)]
async fn run_all_looks_back_one_day_unless_it_is_told_otherwise_and_run_once_without_limit() {
    const HOUR: i64 = 3_600;
    let all = || tick(3_600).misfire(Misfire::RunAll).overlap(Overlap::Allow);
    let mut test = start_one(all).await;
    test.advance(seconds(5_400)).await;
    test.restart(seconds(72 * 3_600)).await.expect("it starts again");
    let back_at = 5_400 + 72 * HOUR;
    let caught_up: Vec<_> = (50..=73).map(|hour| (hour * HOUR, back_at)).collect();
    assert_eq!(began(&test, "tick")[1..], caught_up);
    assert_eq!(records(&test, "tick").await, [(Reason::TooOld, 2 * HOUR, 49 * HOUR, 48)]);
    assert_eq!(ledger(&test, "tick").await, (73, 25, 48));

    let mut test = start_one(|| tick(3_600)).await;
    test.advance(seconds(5_400)).await;
    test.restart(seconds(72 * 3_600)).await.expect("it starts again");
    assert_eq!(began(&test, "tick"), [(HOUR, HOUR), (73 * HOUR, back_at)]);
    assert_eq!(records(&test, "tick").await, [(Reason::Missed, 2 * HOUR, 72 * HOUR, 71)]);
    assert_eq!(ledger(&test, "tick").await, (73, 2, 71));
}

#[tokio::test(start_paused = true)]
async fn run_all_runs_the_newest_thousand() {
    for overlap in [Overlap::Allow, Overlap::BufferAll] {
        let mut test = start_one(move || run_all(overlap)).await;
        test.advance(seconds(15)).await;
        test.restart(seconds(20_000)).await.expect("it starts again");
        // Longer than it takes, in turns of one instant.
        test.advance(Duration::from_millis(2)).await;
        let instants: Vec<_> = test.fired("tick").into_iter().map(second).collect();
        let newest: Vec<_> = std::iter::once(10).chain((1_002..=2_001).map(|n| n * 10)).collect();
        assert_eq!(instants, newest, "{overlap}");
        assert_eq!(records(&test, "tick").await, [(Reason::TooMany, 20, 10_010, 1_000)]);
        assert_eq!(ledger(&test, "tick").await, (2_001, 1_001, 1_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_simulated_month_away_equals_a_real_one() {
    let task = || tick(7).misfire(Misfire::RunAll).overlap(Overlap::Allow);
    let (gone, back, end) = (at(100), at(30 * 86_400), at(30 * 86_400 + 50));
    let mut test = start_one(task).await;
    test.run_until(gone).await;
    test.restart(back.since(gone)).await.expect("it starts again");
    test.run_until(end).await;
    let simulation = simulate(Scheduler::empty().register(task()), START, end.plus(Duration::from_millis(1)));
    let simulated = simulation.down(gone, back).run().expect("it could start");
    let runs: Vec<Timestamp> = simulated["tick"]
        .iter()
        .filter_map(|step| match step {
            Simulated::Runs { scheduled_at, .. } => Some(*scheduled_at),
            _ => None,
        })
        .collect();
    let real: Vec<Timestamp> = test.fired("tick").into_iter().map(Timestamp::from).collect();
    assert_eq!(runs, real);
    test.balanced_ledger("tick").await;
}
