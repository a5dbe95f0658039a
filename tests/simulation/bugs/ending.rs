//! Bugs of how runs end: tried again by two places, pruned while they are alive, cancelled in vain.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use symphra_scheduler::backend::{
    Admission, Backend, BackendFuture, Cancelled, End, Finish, Firing, Holder, RunQuery, RunRows, Stored,
};
use symphra_scheduler::{CancelCause, MemoryBackend, Outcome, RunId, RunState};

use super::Defect;
use super::holding::Tokens;

#[derive(Debug, Default)]
pub(super) struct RetriedTwice(Mutex<HashSet<RunId>>);

impl Defect for RetriedTwice {
    fn finish<'a>(&'a self, store: &'a MemoryBackend, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = ended.to_vec();
        for end in &mut changed {
            if let End::Final(Outcome::Failed(failure)) = &end.end
                && known.insert(end.id)
            {
                let at = end.finished_at.plus(Duration::from_secs(5));
                end.end = End::Retry { at, failure: failure.text().into() };
            }
        }
        drop(known);
        Box::pin(async move { store.finish(&changed).await })
    }
}

/// After so many ends a live run is pruned.
const PRUNED_AFTER: usize = 15;

#[derive(Debug, Default)]
pub(super) struct LivePruned {
    tokens: Tokens,
    seen: Mutex<(usize, HashSet<RunId>)>,
}

impl Defect for LivePruned {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        self.tokens.enqueue(store, holder, firings)
    }

    fn finish<'a>(&'a self, store: &'a MemoryBackend, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        Box::pin(async move {
            let stored = store.finish(ended).await?;
            let is_time = {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.0 += ended.len();
                seen.0 >= PRUNED_AFTER
            };
            let mut running = RunQuery::default();
            running.states.push(RunState::Running);
            let alive = if is_time { store.runs(&running).await? } else { Vec::new() };
            let held = alive.iter().find_map(|row| Some((row, self.tokens.of(row.id)?)));
            if let Some((row, token)) = held {
                let at = row.scheduled_at;
                let end = End::Final(Outcome::Succeeded);
                let end =
                    Finish { task: row.task, id: row.id, token, end, started_at: None, finished_at: at, log: None };
                if let [Stored::Done { .. }] = store.finish(&[end]).await?[..] {
                    let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.0 = 0;
                    seen.1.insert(row.id);
                }
            }
            Ok(stored)
        })
    }

    fn runs_page<'a>(&'a self, store: &'a MemoryBackend, query: &'a RunQuery) -> BackendFuture<'a, RunRows> {
        Box::pin(async move {
            let mut page = store.runs_page(query).await?;
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            page.rows.retain(|row| !seen.1.contains(&row.id));
            Ok(page)
        })
    }
}

/// Answers that a run which waits has been cancelled, and leaves it where it is.
#[derive(Debug)]
pub(super) struct CancelForgotten;

impl Defect for CancelForgotten {
    fn cancel<'a>(&'a self, store: &'a MemoryBackend, run: RunId) -> BackendFuture<'a, Option<Cancelled>> {
        Box::pin(async move {
            let mut query = RunQuery::default();
            query.id = Some(run);
            let rows = store.runs(&query).await?;
            match rows.first() {
                Some(row) if matches!(row.state, RunState::Queued | RunState::Retrying) => {
                    let cause = CancelCause::Requested;
                    Ok(Some(Cancelled { id: run, task: row.task, cause, was: row.state }))
                }
                _ => store.cancel(run).await,
            }
        })
    }
}
