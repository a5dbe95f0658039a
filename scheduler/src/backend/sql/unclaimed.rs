//! Runs that no node can claim, because none knows their task any more: they wait for so long, and are then ended, with the
//! reason.
//!
//! A job that ends so is a dead letter: it can be run again when its task is back. In the same hour what is left of jobs is
//! given up when its time is over.
//!
//! Who knows a task is kept: a run of one that some node knows waits for however long it has to, for a pause to end, for
//! those before it, for room.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Database, Failed, Shared};
use crate::outcome::CancelCause;

/// How long a run waits for a node that knows its task.
const WAIT_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How often it is looked for such runs, which nearly no store has. The first look is so long after the store was opened
/// that nodes which start with it have had their turn.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// When what is left of jobs is first looked at: a program that never lives for an hour gives it up too.
const FIRST_PRUNE: Duration = Duration::from_secs(60);

/// How many runs are ended in one step.
const BATCH: usize = 256;

/// Ends such runs, for as long as the store is open.
pub(super) async fn end<D: Database>(shared: Arc<Shared<D>>) {
    tokio::time::sleep(FIRST_PRUNE).await;
    while matches!(shared.in_turn(BTreeSet::new(), shared.prune_jobs()).await, Ok(true)) {}
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // What fails now is tried again in an hour.
        while matches!(shared.in_time(shared.end_unclaimed(WAIT_MAX)).await, Ok(1..)) {}
        while matches!(shared.in_turn(BTreeSet::new(), shared.prune_jobs()).await, Ok(true)) {}
    }
}

impl<D: Database> Shared<D> {
    /// Ends runs that have waited for longer than `wait_max`, a batch at most; tells how many. Jobs come first: of those that
    /// have begun there are fewer.
    pub(super) async fn end_unclaimed(&self, wait_max: Duration) -> Result<usize, Failed> {
        match self.end_unclaimed_jobs(wait_max, BATCH).await? {
            0 => self.end_unclaimed_runs(wait_max).await,
            ended => Ok(ended),
        }
    }

    async fn end_unclaimed_runs(&self, wait_max: Duration) -> Result<usize, Failed> {
        #[derive(Deserialize)]
        struct Unclaimed {
            id: String,
            task: i64,
            /// A node that has been dead for as long.
            holder: Option<String>,
        }
        let wait_ms = u64::try_from(wait_max.as_millis()).unwrap_or(u64::MAX);
        let mut step = self.begin().await?;
        let input = json!({ "wait_ms": wait_ms, "max": BATCH });
        let found: Vec<Unclaimed> = step.list(&self.statements.unclaimed, input).await?;
        if found.is_empty() {
            return Ok(0);
        }
        step.lock(found.iter().map(|run| run.task)).await?;
        let oldest = step.now.minus(wait_max);
        let mut runs = step.runs(found.iter().map(|run| run.id.clone())).await?;
        let mut ended = 0;
        for Unclaimed { id, holder, .. } in found {
            // Somebody may have taken it while the locks were waited for. And the instant of one that is caught up may be
            // older than the run itself.
            let Some(mut run) = runs.remove(&id).filter(|run| run.holder == holder) else { continue };
            if run.run_id()?.made_at() < oldest {
                run.holder = None;
                step.ask_to_cancel(run, CancelCause::Unclaimed)?;
                ended += 1;
            }
        }
        self.commit(step).await?;
        Ok(ended)
    }
}
