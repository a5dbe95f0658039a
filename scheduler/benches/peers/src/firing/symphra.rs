//! Symphra Scheduler: defaults, but for workers and queue, which are raised to the number of tasks.

use std::{collections::HashMap, time::Duration};

use symphra_scheduler::{RetryPolicy, Schedule, Scheduler, SchedulerConfig, Task, chrono::DateTime};
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

use super::{Load, contender::Alive};
use crate::{Failure, lateness::Recorder};

const SECOND: Duration = Duration::from_secs(1);
/// The defaults of `SchedulerConfig`, which small loads keep.
const MAX_WORKERS_DEFAULT: usize = 10;
const QUEUE_SIZE_DEFAULT: usize = 1_000;

/// How the tasks of one second are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `* * * * * *`
    Cron,
    /// A period of one second whose anchor is a full second.
    Interval,
    /// `* * * * * *`, with retry and timeout, under a subscriber at INFO, and with somebody who takes the events.
    Everything,
}

/// Each distinct schedule is parsed once: the attributes parse none at all at start.
pub(super) async fn start(load: Load, form: Form, recorder: &'static Recorder) -> Result<Alive, Failure> {
    let config = SchedulerConfig::new()
        .max_workers(load.every_second.max(MAX_WORKERS_DEFAULT))
        .queue_size(load.every_second.max(QUEUE_SIZE_DEFAULT));
    let mut scheduler = Scheduler::empty().config(config);
    let every_second = match form {
        Form::Cron | Form::Everything => Schedule::cron("* * * * * *")?,
        Form::Interval => Schedule::interval(SECOND)?,
    };
    for index in 0..load.every_second {
        let task = Task::new(format!("second-{index}"), every_second, move || async move { recorder.started() });
        scheduler = scheduler.register(match form {
            Form::Cron => task,
            Form::Everything => task.timeout(30 * SECOND).retry(RetryPolicy::aggressive()),
            Form::Interval => task.start_at(DateTime::UNIX_EPOCH),
        });
    }
    let mut schedules = HashMap::new();
    for (index, (hour, minute)) in load.daily_minutes().enumerate() {
        let schedule = match schedules.get(&(hour, minute)) {
            Some(schedule) => *schedule,
            None => {
                let schedule = Schedule::cron(&format!("0 {minute} {hour} * * *"))?;
                schedules.insert((hour, minute), schedule);
                schedule
            }
        };
        scheduler = scheduler
            .register(Task::new(format!("daily-{index}"), schedule, move || async move { recorder.started() }));
    }
    if form == Form::Everything {
        // A registry keeps the data of each span, which is what any layer above it costs at least.
        tracing_subscriber::registry().with(LevelFilter::INFO).init();
    }
    let handle = scheduler.start().await?;
    if form == Form::Everything {
        let mut events = handle.events();
        tokio::spawn(async move { while events.next().await.is_some() {} });
    }
    Ok(Box::new(handle))
}
