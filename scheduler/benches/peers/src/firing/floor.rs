//! The floor: one bare tokio task per job, asleep until its instant. No names, no history, no overlap, no stop.

use std::time::Duration;

use super::{Load, contender::Alive};
use crate::lateness::{Recorder, since_1970};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(super::SECONDS_OF_A_DAY);

pub(super) fn start(load: Load, recorder: &'static Recorder) -> Alive {
    for _ in 0..load.every_second {
        tokio::spawn(fire(Duration::ZERO, SECOND, recorder));
    }
    for (hour, minute) in load.daily_minutes() {
        tokio::spawn(fire(Duration::from_secs(hour * 3_600 + minute * 60), DAY, recorder));
    }
    Box::new(())
}

/// The instants `offset + n × period` of the wall clock, each computed from the clock and never one twice.
async fn fire(offset: Duration, period: Duration, recorder: &'static Recorder) {
    let mut last = Duration::ZERO;
    loop {
        let now = since_1970();
        let periods = (now - offset).as_secs() / period.as_secs() + 1;
        let due = (offset + Duration::from_secs(periods * period.as_secs())).max(last + period);
        tokio::time::sleep(due - now).await;
        recorder.started();
        last = due;
    }
}
