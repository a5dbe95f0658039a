//! The way to the store: since when it does not answer, and why, said once for each reason and at the end; and what a heartbeat
//! has to tell the engine.
//!
//! Shared by the heartbeat, the engine's calls and whoever asks how the scheduler is.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use symphra_scheduler_core::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::BackendError;
use crate::clock::{Measurement, StoreClock};
use crate::events::{SchedulerEvent, Teller};
use crate::logging::{Entry, Logger};
use crate::node::{Contact, Lease};

/// How a node stands to its store.
pub(crate) struct Link {
    lease: Arc<Lease>,
    clock: StoreClock,
    teller: Teller,
    logger: Logger,
    /// Wakes the engine.
    wake: Arc<Notify>,
    beat_now: Notify,
    /// How often the engine has asked for a measurement.
    asked: AtomicU64,
    /// Whether there is a measurement that nobody has taken.
    has_measured: AtomicBool,
    /// How many calls have failed, each try for itself.
    errors: AtomicU64,
    state: Mutex<State>,
}

/// How many reasons of one outage are said: a store that breaks down, is gone, starts and has lost something has four.
const REASONS_MAX: usize = 8;

struct State {
    /// How many of the engine's calls have failed and are being repeated.
    failing_calls: usize,
    /// Whether the last heartbeat was not answered.
    is_unanswered: bool,
    outage: Option<Outage>,
    in_contact_since: Timestamp,
    /// What of the node's may be another's by now, while nobody has looked.
    doubt: Option<Doubt>,
    /// The last measurement of the offset to the store's clock, and how often one had been asked for when it began.
    measured: Option<(Measurement, u64)>,
    /// The same of the last that was awaited.
    answered: u64,
}

/// What may be another's by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// What an answer has brought that was given before the node was cut off.
    Answered,
    /// All that it held when it was cut off for nearly a lease, and what answers will bring that are under way since then.
    All,
}

/// A time in which the store does not answer.
#[derive(Clone, Debug)]
pub(crate) struct Outage {
    pub(crate) since: Timestamp,
    began: Instant,
    /// What failed last, and why.
    pub(crate) error: Arc<str>,
    /// Why, by all that was said of it.
    reasons: Vec<String>,
}

/// How long it was silent before a heartbeat that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// As long as ever.
    Short,
    /// So long that the store lets its contact begin anew.
    Long,
    /// So long that its lease has run out, or nearly.
    ALease,
}

/// What becomes of runs that wait to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// They wait: there is no contact.
    NotYet,
    /// They begin.
    Trusted,
    /// They wait until somebody has looked whether they are still the node's own.
    InDoubt(Doubt),
}

impl Outage {
    /// Whether the reason is to be said: the first was not the one that lasts, where a connection breaks before a store is found
    /// to be full, or to have lost something.
    fn is_new(&mut self, reason: &str) -> bool {
        let is_new = self.reasons.len() < REASONS_MAX && !self.reasons.iter().any(|said| said == reason);
        if is_new {
            self.reasons.push(reason.to_owned());
        }
        is_new
    }
}

impl Link {
    pub(crate) fn new(lease: Arc<Lease>, clock: StoreClock, teller: Teller, logger: Logger, wake: Arc<Notify>) -> Self {
        let state = State {
            failing_calls: 0,
            is_unanswered: false,
            outage: None,
            in_contact_since: clock.now(),
            doubt: None,
            measured: None,
            answered: 0,
        };
        let (asked, has_measured) = (AtomicU64::new(0), AtomicBool::new(false));
        Self {
            lease,
            clock,
            teller,
            logger,
            wake,
            beat_now: Notify::new(),
            asked,
            has_measured,
            errors: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// A call has failed for the first time, and will be repeated until it has [got through](Self::got_through). If the
    /// store is away, a heartbeat soon says so.
    pub(super) fn failed(&self, error: &BackendError) {
        let mut state = self.state();
        state.failing_calls += 1;
        self.begin_outage(&mut state, error);
        self.beat_now.notify_one();
    }

    /// A try of a call has failed.
    pub(super) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// How many tries of calls have failed, heartbeats among them.
    #[cfg(feature = "metrics")]
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// A call that had failed was answered.
    pub(super) fn got_through(&self) {
        let mut state = self.state();
        state.failing_calls -= 1;
        self.end_outage(&mut state);
    }

    /// A heartbeat was not answered.
    pub(super) fn unanswered(&self, error: &BackendError, contact: Contact) {
        self.count_error();
        let mut state = self.state();
        state.is_unanswered = true;
        self.begin_outage(&mut state, error);
        if contact == Contact::Lost && self.lease.contact() != Contact::Lost {
            self.logger.write(Entry::LeaseLost {});
        }
        self.lease.set(contact);
    }

    /// A first heartbeat was answered, which is good until then.
    pub(super) fn renewed(&self, good_until: Instant) {
        self.lease.renew(good_until);
    }

    /// A heartbeat was answered, which is good until then.
    pub(super) fn answered(&self, silence: Silence, measured: Measurement, good_until: Instant, asked: u64) {
        let mut state = self.state();
        state.measured = Some((measured, asked));
        self.has_measured.store(true, Ordering::SeqCst);
        state.is_unanswered = false;
        if silence != Silence::Short {
            state.in_contact_since = self.clock.now();
        }
        if silence == Silence::ALease {
            state.doubt = Some(Doubt::All);
            self.lease.hold_back();
        }
        self.lease.renew(good_until);
        self.lease.set(Contact::Fine);
        self.end_outage(&mut state);
        let is_awaited = std::mem::replace(&mut state.answered, asked) != asked;
        if is_awaited || !self.lease.may_begin() || measured.contradicts(&self.clock) {
            self.wake.notify_one();
        }
    }

    /// Has the heart beat at once, because the offset to the store's clock is in question; and tells how often that was
    /// asked by now.
    pub(super) fn measure(&self) -> u64 {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.beat_now.notify_one();
        asked
    }

    /// How often a measurement was asked for: to be looked at before it begins.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// The last measurement, once, and how often one had been asked for when it began.
    pub(super) fn take_measured(&self) -> Option<(Measurement, u64)> {
        // A turn of the engine costs no lock for it.
        if self.has_measured.swap(false, Ordering::SeqCst) { self.state().measured.take() } else { None }
    }

    /// Returns when a heartbeat is wanted at once.
    pub(super) async fn beat_is_wanted(&self) {
        self.beat_now.notified().await;
    }

    /// What becomes of runs that wait to begin, once the contact is back. Whoever is told of a doubt looks into it.
    pub(super) fn returns(&self) -> Return {
        let mut state = self.state();
        if state.is_unanswered {
            return Return::NotYet;
        }
        match state.doubt.take() {
            Some(doubt) => Return::InDoubt(doubt),
            None => {
                self.lease.let_begin();
                Return::Trusted
            }
        }
    }

    /// What an answer brings may be another's by now: it was given before the contact was lost.
    pub(super) fn doubt_answer(&self) {
        self.state().doubt.get_or_insert(Doubt::Answered);
        self.lease.hold_back();
    }

    /// Whether runs that the node holds may begin.
    pub(super) fn may_begin(&self) -> bool {
        self.lease.may_begin()
    }

    /// Since when the store does not answer; `None` if it does.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.state().outage.clone()
    }

    /// Since when no silence was so long that the store let the node's contact begin anew.
    pub(crate) fn in_contact_since(&self) -> Timestamp {
        self.state().in_contact_since
    }

    fn begin_outage(&self, state: &mut State, error: &BackendError) {
        let cause = error.source();
        let told: Arc<str> = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")).into();
        let reason = cause.map_or_else(|| error.to_string(), ToString::to_string);
        let is_new = match &mut state.outage {
            Some(outage) => {
                outage.error = told;
                outage.is_new(&reason)
            }
            None => {
                self.teller.tell(|| SchedulerEvent::StoreUnreachable { error: Arc::clone(&told) });
                let (since, began) = (self.clock.now(), self.clock.monotonic());
                state.outage = Some(Outage { since, began, error: told, reasons: vec![reason] });
                true
            }
        };
        if is_new {
            let cause = cause.as_ref().map(|cause| cause as _);
            self.logger.write(Entry::StoreUnreachable { error, cause });
        }
    }

    fn end_outage(&self, state: &mut State) {
        if state.failing_calls > 0 || state.is_unanswered {
            return;
        }
        if let Some(outage) = state.outage.take() {
            let away = self.clock.monotonic().duration_since(outage.began);
            self.logger.write(Entry::StoreReachable { away: &format_args!("{away:?}") });
            self.teller.tell(|| SchedulerEvent::StoreReachable { away });
        }
    }

    /// What is guarded is consistent after each assignment, and a logger or a listener that panics is caught by theirs.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn each_reason_of_an_outage_is_said_once_and_not_too_many() {
        let (since, began) = (Timestamp::MIN, Clock::System.monotonic());
        let mut outage = Outage { since, began, error: "".into(), reasons: vec!["reset".into()] };
        assert!(!outage.is_new("reset"));
        assert!(outage.is_new("it has lost something"));
        assert!(!outage.is_new("it has lost something") && !outage.is_new("reset"));
        let said = (0..100).filter(|port| outage.is_new(&format!("port {port} is closed"))).count();
        assert_eq!(said, REASONS_MAX - 2);
    }
}
