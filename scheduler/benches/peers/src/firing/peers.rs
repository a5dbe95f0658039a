//! The peers, each as its own documentation starts it.

use std::time::Duration;

use chrono::Utc;
use clokwerk::{AsyncScheduler, Job as _, TimeUnits as _};
#[cfg(feature = "delay_timer")]
use delay_timer::{entity::DelayTimerBuilder, timer::task::TaskBuilder};
use tokio_cron_scheduler::{Job, JobScheduler};

use super::{Load, contender::Alive};
use crate::{Failure, lateness::Recorder};

const CLOKWERK_POLL: Duration = Duration::from_millis(10);
/// The default of tokio-cron-scheduler, whose channels drop what exceeds them.
const CHANNEL_SIZE_DEFAULT: usize = 200;

/// Channels are raised as the number of tasks needs: with the default, firings beyond 200 at one instant are lost.
pub(super) async fn tokio_cron_scheduler(load: Load, recorder: &'static Recorder) -> Result<Alive, Failure> {
    let channel_size = CHANNEL_SIZE_DEFAULT.max(load.every_second + load.daily);
    let scheduler = JobScheduler::new_with_channel_size(channel_size).await?;
    let body = move |_, _| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { recorder.started() })
    };
    for _ in 0..load.every_second {
        scheduler.add(Job::new_async("* * * * * *", body)?).await?;
    }
    for (hour, minute) in load.daily_minutes() {
        scheduler.add(Job::new_async(format!("0 {minute} {hour} * * *"), body)?).await?;
    }
    scheduler.start().await?;
    Ok(Box::new(scheduler))
}

pub(super) fn clokwerk(load: Load, recorder: &'static Recorder) -> Result<Alive, Failure> {
    let mut scheduler = AsyncScheduler::with_tz(Utc);
    for _ in 0..load.every_second {
        scheduler.every(1.second()).run(move || async move { recorder.started() });
    }
    for (hour, minute) in load.daily_minutes() {
        scheduler
            .every(1.day())
            .at(&format!("{hour:02}:{minute:02}:00"))
            .run(move || async move { recorder.started() });
    }
    tokio::spawn(async move {
        loop {
            scheduler.run_pending().await;
            tokio::time::sleep(CLOKWERK_POLL).await;
        }
    });
    Ok(Box::new(()))
}

/// On a runtime of its own, as its documentation begins: its bodies run there.
#[cfg(feature = "delay_timer")]
pub(super) fn delay_timer(load: Load, recorder: &'static Recorder) -> Result<Alive, Failure> {
    let timer = DelayTimerBuilder::default().tokio_runtime_by_default().build();
    let body = move || async move { recorder.started() };
    let mut ids = 1..;
    let mut add = |expression: &str| -> Result<(), Failure> {
        let mut task = TaskBuilder::default();
        task.set_task_id(ids.next().expect("the ids do not end"));
        let task = task.set_frequency_repeated_by_cron_str(expression).spawn_async_routine(body)?;
        Ok(timer.add_task(task)?)
    };
    for _ in 0..load.every_second {
        add("* * * * * * *")?;
    }
    for (hour, minute) in load.daily_minutes() {
        add(&format!("0 {minute} {hour} * * * *"))?;
    }
    Ok(Box::new(timer))
}
