//! How a scheduler is, as it travels and is printed.

use chrono_tz::Tz;
use serde::{Serialize, Serializer};

use super::view::{At, ClockView, HealthView, RunningView, StaleView, StoreView};
use crate::handle::Health;

impl HealthView {
    /// With local instants of `zone`.
    pub(super) fn of(health: &Health, zone: Tz) -> Self {
        let well = health.is_well();
        let Health { alive, ready, store, stuck, stale, workers_taken_by, clock, clock_repeats_until } = health;
        Self {
            well,
            alive: *alive,
            ready: *ready,
            store: Some(StoreView {
                unreachable_since: store.unreachable_since.map(|at| At::new(at, zone)),
                error: store.error.as_deref().map(str::to_owned),
                lease_lost: store.lease_lost,
                in_contact_since: At::new(store.in_contact_since, zone),
            }),
            stuck: stuck.iter().map(RunningView::of).collect(),
            stale: (stale.iter())
                .map(|stale| StaleView {
                    task: stale.task.to_string(),
                    last_success: stale.last_success.map(|at| At::new(at, zone)),
                    expected_by: At::new(stale.expected_by, zone),
                })
                .collect(),
            workers_taken_by: workers_taken_by.iter().map(RunningView::of).collect(),
            clock: Some(ClockView { offset_ms: clock.offset.num_milliseconds(), is_off: clock.is_off }),
            clock_repeats_until: clock_repeats_until.map(|until| At::new(until, zone)),
        }
    }
}

/// What the command `health` prints with `--json`, and the dashboard answers; local instants are in UTC, for a scheduler's
/// health does not know its zone.
impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        HealthView::of(self, Tz::UTC).serialize(serializer)
    }
}
