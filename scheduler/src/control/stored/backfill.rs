//! Backfills that are asked of a store: its nodes execute them, or the next that starts.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::{Seen, Stored};
use crate::backend::RunQuery;
use crate::control::How;
use crate::control::answer::backfill::{Watched, of_task, shown};
use crate::control::answer::instant;
use crate::control::view::{At, BackfillView};
use crate::error::Error;
use crate::handle::{BackfillOf, Backfilled};
use crate::run::{RunId, RunIds};

/// How often runs that are waited for are looked at: more often than the history forgets any.
const LOOK_EACH: Duration = Duration::from_secs(1);

impl Stored {
    pub(super) async fn backfilled(
        &self,
        name: &str,
        from: &str,
        to: Option<&str>,
        rerun: bool,
        how: How,
    ) -> Result<BackfillView, Error> {
        let Seen { task, plan, .. } = self.see(name).await?;
        let (key, zone) = (task.key, plan.zone());
        let to = to.map_or(Ok(Timestamp::MAX), |to| instant(to, zone))?;
        let from = instant(from, zone)?;
        let range = BackfillOf { backend: &*self.backend, name, key, plan: &plan, from, to, successful_too: rerun };
        let wanted = range.wanted(self.clock.now()).await?;
        if how == How::Preview {
            let occurrences = wanted.instants.iter().map(|&at| At::new(at, zone)).collect();
            return Ok(BackfillView { occurrences, ..of_task(name) });
        }
        if how == How::Wait && !wanted.instants.is_empty() && !self.has_node().await? {
            return Err(Error::refused(
                "no program runs on this store, so nobody would end what is waited for; start one, or leave out --wait: the \
                 next that starts runs it",
            ));
        }
        let (now, mut ids) = (self.clock.now(), RunIds::new(fastrand::Rng::new()));
        let id = ids.next(now);
        let submissions = wanted.submissions(key, id, || ids.next(now));
        let runs: Vec<RunId> = submissions.iter().map(|submission| submission.id).collect();
        let answers = if runs.is_empty() { Vec::new() } else { self.backend.submit(&submissions).await? };
        let accepted = Backfilled::of(name, id, runs, &answers, wanted.left_out)?;
        let mut view = shown(name, &accepted);
        if how == How::Wait {
            let mut watched = Watched::new(accepted.runs);
            while watched.all_ended().is_none() {
                tokio::time::sleep(LOOK_EACH).await;
                if !self.has_node().await? {
                    return Err(Error::refused(
                        "the last program on this store has ended, so nobody ends what is waited for; the next that starts \
                         goes on with it",
                    ));
                }
                let known = self.backend.runs(&RunQuery::of(key)).await?;
                watched.see(known.iter().map(|run| (run.id, run.state)));
            }
            view.ended = watched.all_ended().cloned();
        }
        Ok(view)
    }
}
