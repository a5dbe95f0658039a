//! Bugs of calls that are repeated because their answers were lost, and of answers to what was not done.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use symphra_scheduler::backend::{
    Admission, Backend, BackendFuture, Claim, Claims, Finish, Firing, Holder, Stored, Submission, Submitted,
};
use symphra_scheduler::{MemoryBackend, Origin, RunId, Timestamp};

use super::Defect;

/// What was seen before.
#[derive(Debug, Default)]
struct Known(Mutex<HashSet<RunId>>);

impl Known {
    /// Whether it was, and from now on it is.
    fn has(&self, id: RunId) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }
}

#[derive(Debug, Default)]
pub(super) struct FiringForgotten(Known);

impl Defect for FiringForgotten {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        Box::pin(async move {
            let mut admissions = store.enqueue(holder, firings).await?;
            for (admission, firing) in admissions.iter_mut().zip(firings) {
                let is_done = matches!(admission, Admission::Claimed(_) | Admission::Queued { .. });
                if is_done && self.0.has(firing.id) {
                    *admission = Admission::MarkMoved(firing.advance_to);
                }
            }
            Ok(admissions)
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct ClaimForgotten(AtomicU64);

impl Defect for ClaimForgotten {
    fn claim<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        claim: &'a Claim,
    ) -> BackendFuture<'a, Claims> {
        let another = Claim { number: u64::MAX - self.0.fetch_add(1, Ordering::SeqCst), ..claim.clone() };
        Box::pin(async move { store.claim(holder, &another).await })
    }
}

#[derive(Debug, Default)]
pub(super) struct TriggerTwice(Known);

impl Defect for TriggerTwice {
    fn submit<'a>(
        &'a self,
        store: &'a MemoryBackend,
        submissions: &'a [Submission],
    ) -> BackendFuture<'a, Vec<Submitted>> {
        let new = submissions.iter().filter(|it| matches!(it.origin, Origin::Trigger(_)) && !self.0.has(it.id));
        let another = |id: RunId| RunId::from_parts(Timestamp::from_millis(0), id.as_uuid().as_u128());
        let again: Vec<Submission> = new.map(|it| Submission { id: another(it.id), ..it.clone() }).collect();
        Box::pin(async move {
            store.submit(&again).await?;
            store.submit(submissions).await
        })
    }
}

/// Of so many ends one is lost.
const LOST_OF: u64 = 20;

#[derive(Debug, Default)]
pub(super) struct EndLost(AtomicU64);

impl Defect for EndLost {
    fn finish<'a>(&'a self, store: &'a MemoryBackend, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        if self.0.fetch_add(1, Ordering::SeqCst) % LOST_OF == LOST_OF - 1 {
            return Box::pin(std::future::ready(Ok(vec![Stored::Done { more: false }; ended.len()])));
        }
        store.finish(ended)
    }
}
