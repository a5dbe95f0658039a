//! What the book says of apalis on the page for those who come from it, asked of that crate itself. Each sentence that holds
//! is printed; one that does not ends the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use apalis::prelude::*;
use apalis_cron::{CronScheduler, Tick};
use chrono::{Datelike, TimeZone, Utc, Weekday};
use symphra_scheduler_core::CronExpr;
use tokio::time::{sleep, timeout};

/// The program of the page.
#[expect(dead_code, unreachable_pub, reason = "it is compiled, as the book shows it")]
mod page {
    use std::str::FromStr;
    use std::time::Duration;

    use apalis::layers::retry::RetryPolicy;
    use apalis::prelude::*;
    use apalis_cron::{CronScheduler, Tick};
    use cron::Schedule;

    #[derive(Debug, Clone)]
    struct Welcome {
        to: String,
    }

    async fn report(_tick: Tick) -> Result<(), BoxDynError> {
        println!("report");
        Ok(())
    }

    async fn send_welcome(mail: Welcome) -> Result<(), BoxDynError> {
        println!("to {}", mail.to);
        Ok(())
    }

    pub async fn run() -> Result<(), BoxDynError> {
        let schedule = Schedule::from_str("0 30 9 * * Mon-Fri")?;
        let reports = WorkerBuilder::new("report")
            .backend(CronScheduler::new(schedule))
            .retry(RetryPolicy::retries(2))
            .timeout(Duration::from_secs(30))
            .build(report);

        let mut mails = MemoryStorage::new();
        mails.push(Welcome { to: "ada@example.org".to_owned() }).await?;
        let mailer = WorkerBuilder::new("send_welcome").backend(mails).concurrency(10).build(send_welcome);

        tokio::try_join!(reports.run(), mailer.run())?;
        Ok(())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    days()?;
    asleep()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        failures().await?;
        overlap().await
    })
}

fn says(sentence: &str, holds: bool) {
    assert!(holds, "not so: {sentence}");
    println!("so it is: {sentence}");
}

fn days() -> Result<(), Failure> {
    let from = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().ok_or("a moment")?;
    let theirs = |text: &str| text.parse::<cron::Schedule>().map(|schedule| schedule.after(&from).next());
    let ours = |text: &str| -> Result<_, Failure> {
        Ok(text
            .parse::<CronExpr>()?
            .next_after(from.with_timezone(&chrono_tz::Tz::UTC))
            .map(|at| at.with_timezone(&Utc)))
    };
    says("five fields are refused", theirs("30 9 * * *").is_err());
    let sunday = theirs("0 0 12 * * 1")?;
    says("1 is Sunday there", sunday.is_some_and(|at| at.weekday() == Weekday::Sun));
    says("and Monday here", ours("0 0 12 * * 1")?.is_some_and(|at| at.weekday() == Weekday::Mon));
    says("0 is refused there", theirs("0 0 12 * * 0").is_err());
    says("names mean the same", theirs("0 0 12 * * Mon-Fri")? == ours("0 0 12 * * Mon-Fri")?);
    let both = theirs("0 0 12 13 * Fri")?;
    says("both day fields have to match there", both.is_some_and(|at| at.day() == 13 && at.weekday() == Weekday::Fri));
    says("which is a + here", both == ours("0 0 12 13 * +FRI")?);
    let paris = chrono_tz::Europe::Paris;
    let before = paris.with_ymd_and_hms(2026, 3, 28, 12, 0, 0).single().ok_or("a moment")?;
    let skipped = "0 30 2 * * *".parse::<cron::Schedule>()?.after(&before).next();
    says("what falls in a gap is left out there", skipped.is_some_and(|at| at.day() == 30));
    let made_up = "0 30 2 * * *".parse::<CronExpr>()?.next_after(before);
    says("and runs right after it here", made_up.is_some_and(|at| at.day() == 29));
    Ok(())
}

fn every_second() -> Result<CronScheduler<cron::Schedule>, Failure> {
    Ok(CronScheduler::new("* * * * * *".parse()?))
}

async fn failures() -> Result<(), Failure> {
    let (began, ticks) = (Arc::new(AtomicU32::new(0)), Arc::new(std::sync::Mutex::new(Vec::new())));
    let (count, seen) = (began.clone(), ticks.clone());
    let worker = WorkerBuilder::new("fails").backend(every_second()?).build(move |tick: Tick| {
        count.fetch_add(1, Ordering::SeqCst);
        if let Ok(mut seen) = seen.lock() {
            seen.push(tick.get_timestamp());
        }
        async { Err::<(), BoxDynError>("as it happens".into()) }
    });
    drop(timeout(Duration::from_secs(4), worker.run()).await);
    let mut instants = ticks.lock().map_err(|_| "a lock")?.clone();
    let all = instants.len();
    instants.dedup();
    says("without a layer for it nothing is tried again", all == instants.len() && began.load(Ordering::SeqCst) >= 2);
    Ok(())
}

async fn overlap() -> Result<(), Failure> {
    let (at_once, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (running, peak) = (at_once.clone(), most.clone());
    let worker = WorkerBuilder::new("slow").backend(every_second()?).build(move |_tick: Tick| {
        let (running, peak) = (running.clone(), peak.clone());
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_secs(3)).await;
            running.fetch_sub(1, Ordering::SeqCst);
        }
    });
    drop(timeout(Duration::from_secs(7), worker.run()).await);
    println!("of a task that takes three periods {} run at once", most.load(Ordering::SeqCst));
    Ok(())
}

/// A runtime that stands still for four seconds, as a machine does that sleeps.
fn asleep() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Arc::new(AtomicU32::new(0));
    let count = began.clone();
    let worker = WorkerBuilder::new("tick").backend(every_second()?).build(move |_tick: Tick| {
        count.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    runtime.block_on(async {
        let worker = tokio::spawn(async move { drop(timeout(Duration::from_secs(7), worker.run()).await) });
        sleep(Duration::from_millis(2_500)).await;
        let before = began.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_secs(4));
        sleep(Duration::from_millis(400)).await;
        let after = began.load(Ordering::SeqCst) - before;
        println!("{after} runs after four seconds asleep");
        // That one, and those that have fallen due since.
        says("of what was missed one run is made up for, and nobody is told of the others", (1..=3).contains(&after));
        worker.abort();
    });
    Ok(())
}
