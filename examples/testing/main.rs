//! How do I test what my tasks do without waiting? The real scheduler runs on a virtual clock: a day passes at once.
//!
//! The same code stands in a test under `#[tokio::test(start_paused = true)]`.

use std::time::{Duration, Instant};

use symphra_scheduler::test_util::{Simulated, TestScheduler, assert_fired, simulate};
use symphra_scheduler::{Misfire, RunContext, Schedule, Scheduler, Task, chrono_tz::Tz};

/// What the program under test starts.
fn program() -> Scheduler {
    let nightly = Schedule::cron("30 2 * * *").expect("a valid expression");
    let backup = Task::new("backup", nightly, async |run: RunContext| match run.attempt() {
        1 => Err("the disk is busy"),
        _ => Ok(()),
    });
    Scheduler::empty().register(backup.timezone(Tz::America__New_York))
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), symphra_scheduler::Error> {
    let began = Instant::now();

    // The clocks of New York go forward at 02:00 on 8 March 2026: there is no 02:30, so it runs at 03:00, 07:00 UTC.
    let mut test = TestScheduler::new("2026-03-07T00:00:00-05:00", program).await?;
    test.run_until("2026-03-09T00:00:00-04:00").await;
    assert_fired!(test, "backup", ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z"]);

    // Each run failed once and was tried again.
    let stats = test.stats();
    println!("two days: {} runs succeeded, {} attempts were repeated", stats.successful_runs, stats.retried_attempts);

    // Stopped for three days: the newest missed run is made up for, and covers the others.
    test.restart(Duration::from_secs(3 * 24 * 60 * 60)).await?;
    println!("after three days away: {:?}", test.fired("backup").last());
    assert!(test.balanced_ledger("backup").await.balances());

    // A year of a schedule, without running anything.
    let weekly = Task::new("weekly", Schedule::cron("0 9 * * MON").expect("a valid expression"), async || {});
    let weekly = Scheduler::empty().register(weekly.misfire(Misfire::Skip));
    let year = simulate(weekly, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
        .down("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z")
        .run()?;
    let runs = year["weekly"].iter().filter(|step| matches!(step, Simulated::Runs { .. })).count();
    println!("a year with a month away: {runs} of 52 Mondays");

    println!("all of it in {:?}", began.elapsed());
    Ok(())
}
