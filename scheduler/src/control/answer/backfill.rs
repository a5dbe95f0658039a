//! Backfills that are asked for: previewed, begun, and waited for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use symphra_scheduler_core::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::{Actor, in_time, instant, zone_of};
use crate::control::view::{At, BackfillView};
use crate::error::Error;
use crate::events::{Events, SchedulerEvent};
use crate::handle::{Backfill, Backfilled, RunFilter, SchedulerHandle};
use crate::logging::Entry;
use crate::run::{RunId, RunState};

/// How often runs that are waited for are looked at: who waits hears from us that often.
const LOOK_EACH: Duration = Duration::from_secs(5);

/// A backfill as it was asked for.
pub(super) struct Asked {
    task: String,
    from: Timestamp,
    to: Timestamp,
    rerun: bool,
    /// As it was written, for the log.
    words: String,
}

impl Asked {
    pub(super) fn of(
        handle: &SchedulerHandle,
        task: String,
        from: &str,
        to: Option<&str>,
        rerun: bool,
    ) -> Result<Self, Error> {
        let zone = zone_of(handle, Some(&task))?;
        let words = format!("backfill of {task:?} from {from} to {}", to.unwrap_or("now"));
        let to = to.map_or(Ok(Timestamp::MAX), |to| instant(to, zone))?;
        Ok(Self { from: instant(from, zone)?, to, task, rerun, words })
    }

    fn on<'a>(&self, handle: &'a SchedulerHandle) -> Backfill<'a> {
        let asked = handle.backfill::<Utc>(&self.task, DateTime::from(self.from)..=DateTime::from(self.to));
        if self.rerun { asked.rerun() } else { asked }
    }

    pub(super) async fn preview(&self, handle: &SchedulerHandle) -> Result<BackfillView, Error> {
        let zone = handle.task(&self.task)?.timezone;
        let wanted = self.on(handle).preview().await?;
        let occurrences = wanted.into_iter().map(|at| At::new(at.into(), zone)).collect();
        Ok(BackfillView { occurrences, ..of_task(&self.task) })
    }

    pub(super) async fn begun(&self, handle: &SchedulerHandle, actor: &Actor) -> Result<Begun, Error> {
        handle.logger().write(Entry::ControlAsked { actor: &actor.0, change: &self.words });
        let accepted = self.on(handle).await?;
        Ok(Begun { view: shown(&self.task, &accepted), runs: accepted.runs })
    }
}

/// What is shown of a backfill of a task, before there is anything of it.
pub(in crate::control) fn of_task(task: &str) -> BackfillView {
    BackfillView {
        task: task.to_owned(),
        id: None,
        occurrences: Vec::new(),
        runs: Vec::new(),
        left_out: 0,
        ended: None,
    }
}

/// What is shown of one that was accepted.
pub(in crate::control) fn shown(task: &str, accepted: &Backfilled) -> BackfillView {
    BackfillView {
        id: Some(accepted.id.to_string()),
        runs: accepted.runs.iter().map(RunId::to_string).collect(),
        left_out: accepted.left_out,
        ..of_task(task)
    }
}

/// A backfill that was accepted.
pub(super) struct Begun {
    pub(super) view: BackfillView,
    runs: Vec<RunId>,
}

impl Begun {
    /// Waits until all its runs have ended, of which `events` tells from before it began.
    pub(super) async fn ended(
        self,
        handle: &SchedulerHandle,
        mut events: Events,
        progress: &mpsc::Sender<(usize, usize)>,
    ) -> Result<BackfillView, Error> {
        let Self { mut view, runs } = self;
        let mut watched = Watched::new(runs);
        let of = watched.alive.len();
        let mut look = interval(LOOK_EACH);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !watched.alive.is_empty() {
            let before = watched.alive.len();
            tokio::select! {
                event = events.next() => watched.hear(event)?,
                _ = look.tick() => {
                    // What is told of an end is exact; what is kept of it may be forgotten already.
                    while let Some(event) = events.try_next() {
                        watched.hear(Some(event))?;
                    }
                    if progress.send((of - watched.alive.len(), of)).await.is_err() {
                        break;
                    }
                    // Events may have been missed. A store that does not answer now is asked again.
                    if let Ok(known) = in_time(handle.runs(&RunFilter::new().task(&view.task))).await {
                        watched.see(known.iter().map(|run| (run.id, run.state)));
                    }
                }
            }
            let left = watched.alive.len();
            if left < before && progress.send((of - left, of)).await.is_err() {
                break;
            }
        }
        view.ended = Some(watched.ended);
        Ok(view)
    }
}

/// The runs that are waited for, and how those ended that have.
pub(in crate::control) struct Watched {
    alive: HashSet<RunId>,
    ended: BTreeMap<String, usize>,
}

impl Watched {
    pub(in crate::control) fn new(runs: Vec<RunId>) -> Self {
        Self { alive: runs.into_iter().collect(), ended: BTreeMap::new() }
    }

    /// How all have ended; nothing, as long as one has not.
    #[cfg(feature = "cli")]
    pub(in crate::control) fn all_ended(&self) -> Option<&BTreeMap<String, usize>> {
        self.alive.is_empty().then_some(&self.ended)
    }

    fn hear(&mut self, event: Option<SchedulerEvent>) -> Result<(), Error> {
        match event {
            Some(SchedulerEvent::RunEnded { run, state, .. }) => self.end(run, state.to_string()),
            None | Some(SchedulerEvent::Stopped) => {
                return Err(Error::stopped("the scheduler has stopped before all runs had ended"));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Takes in which runs of the task are known. One that is not is known to have ended.
    pub(in crate::control) fn see(&mut self, known: impl Iterator<Item = (RunId, RunState)>) {
        let states: HashMap<RunId, RunState> = known.collect();
        let is_alive = |run: &&RunId| states.get(*run).is_some_and(|state| !state.is_final());
        let gone: Vec<RunId> = self.alive.iter().filter(|run| !is_alive(run)).copied().collect();
        for run in gone {
            self.end(run, states.get(&run).map_or_else(|| "forgotten".to_owned(), ToString::to_string));
        }
    }

    fn end(&mut self, run: RunId, how: String) {
        if self.alive.remove(&run) {
            *self.ended.entry(how).or_default() += 1;
        }
    }
}
