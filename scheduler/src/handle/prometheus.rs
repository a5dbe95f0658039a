//! What a scheduler tells Prometheus: read from its counts when it is asked, so that a run costs nothing for it but two
//! observations.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use symphra_scheduler_core::Timestamp;

use super::SchedulerHandle;
use super::health::stale;
use crate::meters::{OTHER, Timed, add};

/// What all names begin with.
const PREFIX: &str = "symphra_scheduler";

/// The type of what [`export_prometheus`](SchedulerHandle::export_prometheus) makes, for the header `Content-Type`.
///
/// ```
/// use symphra_scheduler::{PROMETHEUS_CONTENT_TYPE, SchedulerHandle};
///
/// /// The answer to a scrape, whatever serves it.
/// fn scrape(scheduler: &SchedulerHandle) -> (&'static str, String) {
///     (PROMETHEUS_CONTENT_TYPE, scheduler.export_prometheus())
/// }
/// ```
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl SchedulerHandle {
    /// The metrics of this node in the [text format of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/),
    /// to be answered to a scrape with [`PROMETHEUS_CONTENT_TYPE`].
    ///
    /// Counts are of this node since its start; [`reset_metrics`](Self::reset_metrics) has those of runs begin anew, which Prometheus takes
    /// for a restart. The first 1,000 tasks have a label of their own, the others are told together as the task `_other`:
    /// [`MetricsConfig`](crate::MetricsConfig). What there is says the book, on its page on metrics.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), symphra_scheduler::Error> {
    /// let scheduler = symphra_scheduler::Scheduler::empty().start().await?;
    /// assert!(scheduler.export_prometheus().contains("\nsymphra_scheduler_up 1\n"));
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn export_prometheus(&self) -> String {
        let meters = &self.0.surroundings.meters;
        let mut registry = Registry::with_prefix(PREFIX);
        let mut timed = |name, help, timed: &Timed| match timed {
            Timed::Together(histogram) => registry.register_with_unit(name, help, Unit::Seconds, histogram.clone()),
            Timed::ByTask(family) => registry.register_with_unit(name, help, Unit::Seconds, family.clone()),
        };
        timed("lateness", "How long after it was due an attempt started", &meters.lateness);
        timed("run_duration", "How long an attempt of a run took", &meters.duration);
        registry.register("misfires", "Occurrences that did not run, by reason", meters.misfires.clone());
        registry.register_collector(Box::new(Scrape(self.clone())));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).expect("a text takes all that is written");
        text
    }
}

/// What is counted elsewhere, looked up when it is asked for.
struct Scrape(SchedulerHandle);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

/// What is told of a task, or of all that share a label.
#[derive(Default)]
struct Told {
    runs: [u64; 5],
    last_success: Option<Timestamp>,
    /// Of one that is registered and has a label of its own.
    is_stale: Option<bool>,
}

/// In the order of [`Tally::outcomes`](crate::tally::Tally::outcomes).
const OUTCOMES: [&str; 5] = ["succeeded", "failed", "timed_out", "abandoned", "cancelled"];

impl Scrape {
    /// The tasks that have labels of their own, and all others together.
    fn tasks(&self) -> BTreeMap<String, Told> {
        let shared = &*self.0.0;
        let (meters, now) = (&shared.surroundings.meters, shared.clock.now());
        let retired = meters.retired().into_iter();
        let retired = retired.map(|(label, runs)| (label.as_str().to_owned(), Told { runs, ..Told::default() }));
        let mut told: BTreeMap<String, Told> = retired.collect();
        let mut others = [0; 5];
        for task in shared.directory().iter() {
            let tally = *task.tally();
            let label = meters.label(&task.name);
            if label.is_shared() {
                add(&mut others, tally.outcomes());
                continue;
            }
            let told = told.entry(label.as_str().to_owned()).or_default();
            add(&mut told.runs, tally.outcomes());
            told.last_success = tally.last_success;
            told.is_stale = Some(stale(task, now).is_some());
        }
        if others != [0; 5] {
            add(&mut told.entry(OTHER.to_owned()).or_default().runs, others);
        }
        told
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let handle = &self.0;
        let (stats, health, tasks) = (handle.stats(), handle.0.link.outage(), self.tasks());
        let mut runs = encoder.encode_descriptor("runs", "Runs that ended, by outcome", None, MetricType::Counter)?;
        for (task, told) in &tasks {
            for (outcome, count) in OUTCOMES.iter().zip(told.runs) {
                let labels = [("task", task.as_str()), ("outcome", outcome)];
                ConstCounter::new(count).encode(runs.encode_family(&labels)?)?;
            }
        }
        let help = "When a run last succeeded since the start, in seconds of Unix time";
        let mut last = gauge(&mut encoder, "last_success_timestamp", help, Some(&Unit::Seconds))?;
        for (task, told) in &tasks {
            if let Some(at) = told.last_success {
                let labels = [("task", task.as_str())];
                ConstGauge::new(seconds(at.as_millis())).encode(last.encode_family(&labels)?)?;
            }
        }
        let help = "1 if the task has not succeeded for longer than its schedule or its expect_success_within promises";
        let mut stale = gauge(&mut encoder, "stale", help, None)?;
        for (task, told) in &tasks {
            if let Some(is_stale) = told.is_stale {
                let labels = [("task", task.as_str())];
                ConstGauge::new(i64::from(is_stale)).encode(stale.encode_family(&labels)?)?;
            }
        }
        let stuck = handle.running_runs().iter().filter(|run| run.stuck).count();
        let whole = [
            ("queue_depth", "Accepted runs that wait for a worker", stats.queued_runs),
            ("running", "Runs that execute", stats.active_workers),
            ("workers_stuck", "Runs that should have ended and cannot be stopped", stuck),
            ("tasks", "Tasks that are registered", stats.tasks),
            ("up", "1 while the scheduler fires", usize::from(stats.running)),
            ("ready", "1 while the store answers", usize::from(health.is_none())),
        ];
        for (name, help, value) in whole {
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(gauge(&mut encoder, name, help, None)?)?;
        }
        let offset = handle.0.clock.offset_millis();
        let timed = [
            ("clock_offset", "How far the store's clock is ahead of this node's", seconds(offset)),
            ("uptime", "How long ago the scheduler started", stats.uptime.as_secs_f64()),
        ];
        for (name, help, value) in timed {
            ConstGauge::new(value).encode(gauge(&mut encoder, name, help, Some(&Unit::Seconds))?)?;
        }
        let help = "Calls of the store that failed, each try for itself";
        let errors = encoder.encode_descriptor("backend_errors", help, None, MetricType::Counter)?;
        ConstCounter::new(handle.0.link.errors()).encode(errors)
    }
}

fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    unit: Option<&'a Unit>,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, unit, MetricType::Gauge)
}

#[expect(clippy::cast_precision_loss, reason = "a float tells milliseconds exactly for longer than there are years")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}
