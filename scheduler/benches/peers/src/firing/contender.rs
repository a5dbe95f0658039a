//! Who takes part.

use std::{any::Any, str::FromStr};

use super::{Load, floor, peers, symphra};
use crate::{Failure, lateness::Recorder};

/// What must live for a contender's tasks to go on firing.
pub(super) type Alive = Box<dyn Any + Send>;

/// One way to run tasks at their instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// One bare tokio task per job: what firing costs at least.
    Floor,
    /// Ours, by a cron expression.
    Symphra,
    /// Ours, by an interval.
    SymphraInterval,
    /// Ours, by a cron expression, with what is counted and measured for Prometheus.
    #[cfg(feature = "metrics")]
    SymphraMetrics,
    /// Ours with everything on: spans that a subscriber takes at INFO, events that somebody takes, retry and timeout, and
    /// metrics where they are built in.
    SymphraEverything,
    /// tokio-cron-scheduler, cron jobs.
    TokioCronScheduler,
    /// clokwerk's async scheduler, polled each 10 ms.
    Clokwerk,
    /// delay_timer, which has a wheel and threads of its own.
    #[cfg(feature = "delay_timer")]
    DelayTimer,
}

impl Contender {
    /// All of them, the floor first.
    pub const ALL: &[Self] = &[
        Self::Floor,
        Self::Symphra,
        Self::SymphraInterval,
        #[cfg(feature = "metrics")]
        Self::SymphraMetrics,
        Self::SymphraEverything,
        Self::TokioCronScheduler,
        Self::Clokwerk,
        #[cfg(feature = "delay_timer")]
        Self::DelayTimer,
    ];

    /// Its name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Symphra => "symphra",
            Self::SymphraInterval => "symphra-interval",
            #[cfg(feature = "metrics")]
            Self::SymphraMetrics => "symphra-metrics",
            Self::SymphraEverything => "symphra-everything",
            Self::TokioCronScheduler => "tokio-cron-scheduler",
            Self::Clokwerk => "clokwerk",
            #[cfg(feature = "delay_timer")]
            Self::DelayTimer => "delay_timer",
        }
    }

    /// Registers the tasks and starts to fire them.
    pub(super) async fn start(self, load: Load, recorder: &'static Recorder) -> Result<Alive, Failure> {
        match self {
            Self::Floor => Ok(floor::start(load, recorder)),
            Self::Symphra => symphra::start(load, symphra::Form::Cron, recorder).await,
            #[cfg(feature = "metrics")]
            Self::SymphraMetrics => symphra::start(load, symphra::Form::Cron, recorder).await,
            Self::SymphraInterval => symphra::start(load, symphra::Form::Interval, recorder).await,
            Self::SymphraEverything => symphra::start(load, symphra::Form::Everything, recorder).await,
            Self::TokioCronScheduler => peers::tokio_cron_scheduler(load, recorder).await,
            Self::Clokwerk => peers::clokwerk(load, recorder),
            #[cfg(feature = "delay_timer")]
            Self::DelayTimer => peers::delay_timer(load, recorder),
        }
    }
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|contender| contender.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().copied().map(Self::name).collect();
            format!("{name:?} is no contender; there are {}", names.join(", "))
        })
    }
}
