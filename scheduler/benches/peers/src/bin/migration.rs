//! What the book says of tokio-cron-scheduler on the page for those who come from it, asked of that crate itself. Each sentence
//! that holds is printed; one that does not ends the program.
//!
//! `migration clocks` wants a clock that is about to change: `faketime '2026-03-29 00:59:57' … migration clocks`, in UTC.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Datelike, TimeZone, Utc, Weekday};
use chrono_tz::{Europe, Tz};
use croner::parser::{CronParser, Seconds};
use symphra_scheduler_core::CronExpr;
use tokio::time::sleep;
use tokio_cron_scheduler::{Job, JobBuilder, JobScheduler, JobSchedulerError};

/// The program of the page.
#[expect(unreachable_pub, reason = "as the book shows it")]
mod page {
    use std::time::Duration;
    use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

    pub async fn start() -> Result<JobScheduler, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let shanghai = chrono_tz::Asia::Shanghai;
        scheduler
            .add(Job::new_async_tz("0 30 9 * * Mon-Fri", shanghai, |_id, _scheduler| {
                Box::pin(async { println!("report") })
            })?)
            .await?;
        scheduler
            .add(Job::new_repeated_async(Duration::from_secs(10), |_id, _scheduler| {
                Box::pin(async { println!("health") })
            })?)
            .await?;
        scheduler.start().await?;
        Ok(scheduler)
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    if std::env::args().nth(1).as_deref() == Some("clocks") {
        return runtime.block_on(clocks());
    }
    fields()?;
    days()?;
    asleep()?;
    runtime.block_on(async {
        page::start().await?.shutdown().await?;
        overlap().await?;
        panics().await?;
        late().await
    })
}

fn says(sentence: &str, holds: bool) {
    assert!(holds, "not so: {sentence}");
    println!("so it is: {sentence}");
}

fn job(expression: &str) -> std::result::Result<tokio_cron_scheduler::Job, JobSchedulerError> {
    Job::new(expression, |_, _| {})
}

fn fields() -> Result<()> {
    says("five fields are refused", job("30 9 * * *").is_err());
    says("six fields begin with the second", job("0 30 9 * * *").is_ok());
    says("a year may follow", job("0 30 9 * * * 2030").is_ok());
    says("a nickname is taken", job("@daily").is_ok());
    says("the day after the 31st is an error when the job is made", job("0 0 0 32 * *").is_err());
    says("a 30th of February is one that never fires", {
        let at = |expression: &str| CronParser::builder().seconds(Seconds::Required).build().parse(expression);
        let now = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().ok_or("a moment")?;
        at("0 0 0 30 2 *")?.find_next_occurrence(&now, false).is_err()
    });
    says("which is no error when the job is made", job("0 0 0 30 2 *").is_ok());
    Ok(())
}

/// The next instants of an expression, as tokio-cron-scheduler asks croner for them and as ours has them.
fn next(expression: &str, ours: &str) -> Result<(Vec<DateTime<Tz>>, Vec<DateTime<Tz>>)> {
    let from = Tz::UTC.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().ok_or("a moment")?;
    let theirs = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build().parse(expression)?;
    let ours: CronExpr = ours.parse()?;
    Ok((theirs.iter_after(from).take(3).collect(), ours.occurrences_after(from).take(3).collect()))
}

fn days() -> Result<()> {
    let (theirs, ours) = next("0 0 12 * * 1", "0 0 12 * * 1")?;
    says("1 is Monday in both", theirs == ours && theirs[0].weekday() == Weekday::Mon);
    let (theirs, ours) = next("0 0 12 * * 0,7", "0 0 12 * * 0,7")?;
    says("0 and 7 are Sunday in both", theirs == ours && theirs[0].weekday() == Weekday::Sun);
    let (theirs, ours) = next("0 0 12 13 * 5", "0 0 12 13 * 5")?;
    says("both day fields: there both have to match, here either is enough", theirs != ours && theirs[0].day() == 13);
    let (theirs, ours) = next("0 0 12 13 * 5", "0 0 12 13 * +5")?;
    says("with a + before the day of week it is the same here", theirs == ours);
    Ok(())
}

async fn overlap() -> Result<()> {
    let (at_once, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut scheduler = JobScheduler::new().await?;
    let (running, peak) = (at_once.clone(), most.clone());
    let slow = Job::new_async("* * * * * *", move |_, _| {
        let (running, peak) = (running.clone(), peak.clone());
        Box::pin(async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_secs(3)).await;
            running.fetch_sub(1, Ordering::SeqCst);
        })
    })?;
    scheduler.add(slow).await?;
    scheduler.start().await?;
    sleep(Duration::from_secs(6)).await;
    says("a job that is still running when it is due again runs beside itself", most.load(Ordering::SeqCst) > 1);
    let before = at_once.load(Ordering::SeqCst);
    scheduler.shutdown().await?;
    says("shutdown does not wait for what runs", before > 0 && at_once.load(Ordering::SeqCst) > 0);
    Ok(())
}

async fn panics() -> Result<()> {
    let began = Arc::new(AtomicU32::new(0));
    std::panic::set_hook(Box::new(|_| {}));
    let mut scheduler = JobScheduler::new().await?;
    let count = began.clone();
    let broken = Job::new_async("* * * * * *", move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { panic!("as it happens") })
    })?;
    scheduler.add(broken).await?;
    scheduler.start().await?;
    sleep(Duration::from_secs(4)).await;
    says("a job that panics is not tried again, and runs at its next time", began.load(Ordering::SeqCst) > 1);
    drop(std::panic::take_hook());
    scheduler.shutdown().await?;
    Ok(())
}

async fn late() -> Result<()> {
    let worst = Arc::new(AtomicU32::new(0));
    let mut scheduler = JobScheduler::new().await?;
    let seen = worst.clone();
    let tick = Job::new_async("* * * * * *", move |_, _| {
        let seen = seen.clone();
        Box::pin(async move {
            seen.fetch_max(Utc::now().timestamp_subsec_millis(), Ordering::SeqCst);
        })
    })?;
    scheduler.add(tick).await?;
    scheduler.start().await?;
    sleep(Duration::from_secs(8)).await;
    println!("of eight runs the latest began {} ms after its second", worst.load(Ordering::SeqCst));
    scheduler.shutdown().await?;
    Ok(())
}

/// A runtime that stands still for four seconds, as a machine does that sleeps.
fn asleep() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Arc::new(AtomicU32::new(0));
    runtime.block_on(async {
        let mut scheduler = JobScheduler::new().await?;
        let count = began.clone();
        let tick = Job::new_async("* * * * * *", move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {})
        })?;
        scheduler.add(tick).await?;
        scheduler.start().await?;
        sleep(Duration::from_secs(2)).await;
        let before = began.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_secs(4));
        sleep(Duration::from_millis(600)).await;
        let after = began.load(Ordering::SeqCst) - before;
        // That one, and those that have fallen due since.
        says("of what was missed one run is made up for, and nobody is told of the others", (1..=3).contains(&after));
        scheduler.shutdown().await?;
        Ok(())
    })
}

/// A daily job at three in Paris, made two seconds before the clocks go forward.
async fn clocks() -> Result<()> {
    let at = |day: u32, hour: u32| {
        Europe::Paris.with_ymd_and_hms(2026, 3, day, hour, 0, 0).single().map(|at| at.with_timezone(&Utc))
    };
    let mut scheduler = JobScheduler::new().await?;
    let daily = JobBuilder::new()
        .with_timezone(Europe::Paris)
        .with_cron_job_type()
        .with_schedule("0 0 3 * * *")?
        .with_run_async(Box::new(|_, _| Box::pin(async {})))
        .build()?;
    let id = scheduler.add(daily).await?;
    scheduler.start().await?;
    sleep(Duration::from_secs(1)).await;
    says("before the change it is due at three", scheduler.next_tick_for_job(id).await? == at(29, 3));
    sleep(Duration::from_secs(5)).await;
    says("it has run, and is due at four, the same day", scheduler.next_tick_for_job(id).await? == at(29, 4));
    let ours: CronExpr = "0 0 3 * * *".parse()?;
    let next = ours.next_after(Utc::now().with_timezone(&Europe::Paris)).map(|at| at.with_timezone(&Utc));
    says("here it is due at three, the next day", next == at(30, 3));
    scheduler.shutdown().await?;
    Ok(())
}
