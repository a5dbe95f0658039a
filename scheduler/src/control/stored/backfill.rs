//! Backfills that are asked of a store: its nodes execute them, or the next that starts.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::{Seen, Stored};
use crate::backend::{RunQuery, TaskKey};
use crate::control::How;
use crate::control::answer::backfill::{Watched, of_task, shown};
use crate::control::answer::instant;
use crate::control::view::{At, BackfillView};
use crate::error::Error;
use crate::handle::{BackfillOf, Backfilled, Wanted};
use crate::run::{RunId, RunIds};

/// How often runs that are waited for are looked at: more often than the history forgets any.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// A backfill that was accepted.
pub(super) struct Begun {
    pub(super) view: BackfillView,
    task: TaskKey,
    runs: Vec<RunId>,
}

impl Stored {
    pub(super) async fn previewed(
        &self,
        name: &str,
        from: &str,
        to: Option<&str>,
        rerun: bool,
    ) -> Result<BackfillView, Error> {
        let seen = self.see(name).await?;
        let (wanted, zone) = (self.wanted(&seen, from, to, rerun).await?, seen.plan.zone());
        let occurrences = wanted.instants.iter().map(|&at| At::new(at, zone)).collect();
        Ok(BackfillView { occurrences, ..of_task(name) })
    }

    pub(super) async fn begun(
        &self,
        name: &str,
        from: &str,
        to: Option<&str>,
        rerun: bool,
        how: How,
    ) -> Result<Begun, Error> {
        let seen = self.see(name).await?;
        let wanted = self.wanted(&seen, from, to, rerun).await?;
        if how == How::Wait && !wanted.instants.is_empty() && !self.has_node().await? {
            return Err(Error::refused(
                "no program runs on this store, so nobody would end what is waited for; start one, or leave out --wait: the \
                 next that starts runs it",
            ));
        }
        let (now, task, mut ids) = (self.clock.now(), seen.task.key, RunIds::new(fastrand::Rng::new()));
        let id = ids.next(now);
        let submissions = wanted.submissions(task, id, || ids.next(now));
        let runs: Vec<RunId> = submissions.iter().map(|submission| submission.id).collect();
        let answers = if runs.is_empty() { Vec::new() } else { self.backend.submit(&submissions).await? };
        let accepted = Backfilled::of(name, id, runs, &answers, wanted.left_out)?;
        Ok(Begun { view: shown(name, &accepted), task, runs: accepted.runs })
    }

    /// Waits until all its runs have ended.
    pub(super) async fn ended(&self, Begun { mut view, task, runs }: Begun) -> Result<BackfillView, Error> {
        let mut watched = Watched::new(runs);
        while watched.all_ended().is_none() {
            tokio::time::sleep(LOOK_EACH).await;
            if !self.has_node().await? {
                return Err(Error::refused(
                    "the last program on this store has ended, so nobody ends what is waited for; the next that starts \
                     goes on with it",
                ));
            }
            let known = self.backend.runs(&RunQuery::of(task)).await?;
            watched.see(known.iter().map(|run| (run.id, run.state)));
        }
        view.ended = watched.all_ended().cloned();
        Ok(view)
    }

    async fn wanted(&self, seen: &Seen, from: &str, to: Option<&str>, rerun: bool) -> Result<Wanted, Error> {
        let Seen { name, task, plan } = seen;
        let zone = plan.zone();
        let to = to.map_or(Ok(Timestamp::MAX), |to| instant(to, zone))?;
        let from = instant(from, zone)?;
        let (backend, name, key) = (&*self.backend, name.as_str(), task.key);
        BackfillOf { backend, name, key, plan, from, to, successful_too: rerun }.wanted(self.clock.now()).await
    }
}
