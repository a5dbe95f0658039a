//! What is measured of runs for metrics beside the tallies of their tasks: histograms, and what is counted by reason.
//!
//! Nobody waits for it: an observation is an addition under a lock that is held for no longer. Labels are bounded: the first
//! tasks have one each, all others share one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;

use crate::backend::Reason;
use crate::task::TaskName;

/// What all tasks beyond the limit are called together, and one that has this name.
pub(crate) const OTHER: &str = "_other";

/// Bounds of the histogram of lateness, in seconds: punctual is within 50 ms.
const LATENESS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

/// Bounds of the histogram of how long attempts took, in seconds: from a millisecond to a day.
const DURATION: [f64; 15] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

/// The task of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OfTask(Option<TaskName>);

impl OfTask {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_ref().map_or(OTHER, TaskName::as_str)
    }

    /// Whether it is the one of all tasks that have none of their own.
    pub(crate) const fn is_shared(&self) -> bool {
        self.0.is_none()
    }
}

impl EncodeLabelSet for OfTask {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("task", self.as_str()).encode(encoder.encode_label())
    }
}

/// The task of a series, and why its occurrences did not run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OfReason(OfTask, Reason);

impl EncodeLabelSet for OfReason {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)?;
        ("reason", self.1.word()).encode(encoder.encode_label())
    }
}

/// A histogram over all tasks, or one for each.
#[derive(Clone, Debug)]
pub(crate) enum Timed {
    Together(Histogram),
    ByTask(Family<OfTask, Histogram, Bounds>),
}

/// Makes histograms with these bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl Timed {
    fn new(bounds: &'static [f64], by_task: bool) -> Self {
        let bounds = Bounds(bounds);
        if by_task { Self::ByTask(Family::new_with_constructor(bounds)) } else { Self::Together(bounds.new_metric()) }
    }

    fn observe(&self, labels: &Labels, task: &TaskName, duration: Duration) {
        let seconds = duration.as_secs_f64();
        match self {
            Self::Together(histogram) => histogram.observe(seconds),
            Self::ByTask(family) => family.get_or_create(&labels.of(task)).observe(seconds),
        }
    }
}

/// Which tasks have a label of their own: those that were seen first, for good.
#[derive(Debug)]
struct Labels {
    max: usize,
    known: Mutex<HashSet<TaskName>>,
}

impl Labels {
    fn of(&self, task: &TaskName) -> OfTask {
        let mut known = self.lock();
        let is_new = !known.contains(task) && known.len() < self.max && task.as_str() != OTHER;
        let is_known = if is_new { known.insert(task.clone()) } else { known.contains(task) };
        OfTask(is_known.then(|| task.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<TaskName>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is measured.
#[derive(Debug)]
pub(crate) struct Meters {
    labels: Labels,
    pub(crate) lateness: Timed,
    pub(crate) duration: Timed,
    pub(crate) misfires: Family<OfReason, Counter>,
    /// How runs of tasks ended that were unregistered: a counter that went down would be taken for one that began anew.
    retired: Mutex<HashMap<OfTask, [u64; 5]>>,
}

impl Meters {
    /// Of so many tasks by name, their histograms too or not.
    pub(crate) fn new((max, by_task): (usize, bool)) -> Self {
        Self {
            labels: Labels { max, known: Mutex::default() },
            lateness: Timed::new(&LATENESS, by_task),
            duration: Timed::new(&DURATION, by_task),
            misfires: Family::default(),
            retired: Mutex::default(),
        }
    }

    /// An attempt has begun so late.
    pub(crate) fn began(&self, task: &TaskName, lateness: Duration) {
        self.lateness.observe(&self.labels, task, lateness);
    }

    /// An attempt took so long.
    pub(crate) fn took(&self, task: &TaskName, duration: Duration) {
        self.duration.observe(&self.labels, task, duration);
    }

    /// So many occurrences did not run.
    pub(crate) fn recorded(&self, task: &TaskName, reason: Reason, count: u64) {
        self.misfires.get_or_create(&OfReason(self.labels.of(task), reason)).inc_by(count);
    }

    /// A task is unregistered, whose runs have ended so.
    pub(crate) fn retire(&self, task: &TaskName, outcomes: [u64; 5]) {
        let label = self.labels.of(task);
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        add(retired.entry(label).or_default(), outcomes);
    }

    /// How runs of tasks ended that are not registered any more.
    pub(crate) fn retired(&self) -> HashMap<OfTask, [u64; 5]> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts the ends of runs anew.
    pub(crate) fn reset(&self) {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// By which label a task is told.
    pub(crate) fn label(&self, task: &TaskName) -> OfTask {
        self.labels.of(task)
    }
}

/// Adds counts to others, one by one.
pub(crate) fn add(counts: &mut [u64; 5], more: [u64; 5]) {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}
