//! What becomes of occurrences: runs that are held, runs that wait, or records.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::json;

use super::rows::{Run, Task, at, id};
use super::text::{self, Became};
use super::{Database, Failed, Shared, Step, Transaction, halves};
use crate::backend::{Admission, Firing, Holder, NewRun, Record, Refusal};
use crate::outcome::CancelCause;
use crate::run::{Origin, RunId};
use crate::schedule::{BUFFERED_MAX, Overlap};

/// How a task receives a run.
pub(super) enum Room {
    /// It may begin.
    Free,
    /// It waits.
    Wait,
    /// It waits in the place of those that waited before, and until the oldest that has begun has been cancelled.
    AfterOldest(Option<RunId>),
    /// There is none.
    Refused(Refusal),
}

/// What is there of a full task.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Crowd {
    id: i64,
    /// The run that began first.
    oldest: Option<String>,
    /// The run that waits first.
    first: Option<String>,
    newest_scheduled: Option<String>,
    newest_asked: Option<String>,
    scheduled: u64,
    asked: u64,
}

/// The groups that a step is about: how many runs each may have held, and has.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<String, GroupRow>);

#[derive(Deserialize)]
struct GroupRow {
    name: String,
    max: u64,
    held: u64,
    /// How many of its tasks have queued runs.
    waiting: u64,
}

impl Groups {
    pub(super) fn has_room(&self, group: Option<&str>) -> bool {
        group.and_then(|group| self.0.get(group)).is_none_or(|group| group.held < group.max)
    }

    /// Whether runs of the group wait for room.
    pub(super) fn is_waited_for(&self, group: Option<&str>) -> bool {
        group.and_then(|group| self.0.get(group)).is_some_and(|group| group.waiting > 0)
    }

    pub(super) fn take(&mut self, group: Option<&str>) {
        if let Some(group) = group.and_then(|group| self.0.get_mut(group)) {
            group.held += 1;
        }
    }
}

impl<T: Transaction> Step<'_, T> {
    /// What is there of those of the tasks that are full.
    pub(super) async fn crowds(&mut self, tasks: Vec<i64>) -> Result<BTreeMap<i64, Crowd>, Failed> {
        if tasks.is_empty() {
            return Ok(BTreeMap::new());
        }
        let crowds: Vec<Crowd> = self.list(&self.sql.crowd, json!({ "ids": tasks })).await?;
        Ok(crowds.into_iter().map(|crowd| (crowd.id, crowd)).collect())
    }

    /// Locks the groups of the tasks.
    pub(super) async fn groups(&mut self) -> Result<Groups, Failed> {
        let mut names: Vec<&str> = self.tasks.values().filter_map(|task| task.grp.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Ok(Groups::default());
        }
        let input = json!({ "names": names });
        self.tell(&self.sql.lock_groups, input.clone()).await?;
        let groups: Vec<GroupRow> = self.list(&self.sql.groups, input).await?;
        Ok(Groups(groups.into_iter().map(|group| (group.name.clone(), group)).collect()))
    }

    /// How a task receives one more run under `overlap`; `None` lets it wait, however many do.
    pub(super) fn room(
        &self,
        task: &Task,
        crowd: Option<&Crowd>,
        groups: &Groups,
        overlap: Option<Overlap>,
        origin: Origin,
    ) -> Result<Room, Failed> {
        let Some(overlap) = overlap else { return Ok(Room::Wait) };
        let (Some(crowd), true) = (crowd, overlap != Overlap::Allow && task.is_full()) else {
            return Ok(if groups.has_room(task.grp.as_deref()) { Room::Free } else { Room::Wait });
        };
        let is_asked_for = matches!(origin, Origin::Trigger(_) | Origin::Backfill(_));
        let (newest, waiting) = match is_asked_for {
            true => (&crowd.newest_asked, crowd.asked),
            false => (&crowd.newest_scheduled, crowd.scheduled),
        };
        Ok(match overlap {
            Overlap::Allow | Overlap::Skip => {
                let by = crowd.oldest.as_deref().or(crowd.first.as_deref());
                let by = by.ok_or_else(|| Failed::broken("a full task has no run"))?;
                Room::Refused(Refusal::Overlap(text::run_id(by)?))
            }
            Overlap::BufferOne => match newest {
                Some(waiting) => Room::Refused(Refusal::CoveredBy(text::run_id(waiting)?)),
                None => Room::Wait,
            },
            Overlap::BufferAll if waiting >= BUFFERED_MAX as u64 => Room::Refused(Refusal::BufferFull),
            Overlap::BufferAll => Room::Wait,
            Overlap::CancelRunning => Room::AfterOldest(crowd.oldest.as_deref().map(text::run_id).transpose()?),
        })
    }

    /// Under `cancel_running` only the newest waits, and the oldest that has begun is asked to end. The answer is that one,
    /// if a node has to cancel it.
    pub(super) async fn make_way(&mut self, task: i64, oldest: Option<RunId>) -> Result<Option<RunId>, Failed> {
        let waiting: Vec<Run> = self.list(&self.sql.runs_scheduled, json!({ "ids": [task] })).await?;
        for run in waiting {
            self.ask_to_cancel(run, CancelCause::Replaced)?;
        }
        let Some(oldest) = oldest else { return Ok(None) };
        let mut oldest = self.runs([oldest.to_string()]).await?;
        match oldest.pop_first() {
            Some((_, oldest)) => Ok(self.ask_to_cancel(oldest, CancelCause::Replaced)?),
            None => Ok(None),
        }
    }

    async fn fire(
        &mut self,
        firing: &Firing,
        node: &str,
        crowd: Option<&Crowd>,
        groups: &mut Groups,
    ) -> Result<Admission, Failed> {
        let task = self.tasks[&id(firing.task)].clone();
        let is_behind_otherwise =
            firing.shown_again().is_some() && task.behind != firing.behind.map(|behind| behind.as_millis());
        if task.since != firing.since.as_millis() || is_behind_otherwise {
            return Ok(Admission::Outdated);
        }
        if task.is_exhausted() {
            return Ok(Admission::Exhausted);
        }
        let Some(run) = &firing.run else {
            self.advance_by(firing, Became::Passed);
            return Ok(Admission::Passed);
        };
        if run.due_at > self.now {
            return Ok(Admission::Early(self.now));
        }
        if run.accept_until.is_some_and(|until| self.now > until) {
            return Ok(Admission::Late(self.now));
        }
        if self.is_paused(&task) {
            return self.refuse(firing, run, Refusal::Paused).await;
        }
        if let Some(same) = self.fired_before_a_reset(&task, run).await? {
            return self.refuse(firing, run, Refusal::Overlap(same)).await;
        }
        let overlap = text::read_overlap(&task.overlap)?;
        let room = self.room(&task, crowd, groups, Some(overlap), run.origin)?;
        if let Room::Refused(refusal) = room {
            return self.refuse(firing, run, refusal).await;
        }
        self.advance_by(firing, Became::Run);
        self.task_mut(task.id).count_run();
        let cancel = match room {
            Room::AfterOldest(oldest) => self.make_way(task.id, oldest).await?,
            _ => None,
        };
        let mut born = Run::queued(firing.id, self.task_mut(task.id), run);
        let may_begin = match room {
            Room::Free => true,
            // What was between two attempts has ended by this, and left its room.
            Room::AfterOldest(_) => {
                cancel.is_none() && self.tasks[&task.id].has_room() && groups.has_room(task.grp.as_deref())
            }
            Room::Wait | Room::Refused(_) => false,
        };
        if !may_begin {
            self.insert(born);
            return Ok(Admission::Queued { cancel });
        }
        groups.take(task.grp.as_deref());
        self.begin(&mut born, node);
        let hold = born.hold(&self.tasks[&task.id]);
        self.insert(born);
        Ok(Admission::Claimed(hold))
    }

    /// The run of the same key, if it is still alive: an operator has put the mark back behind it.
    async fn fired_before_a_reset(&mut self, task: &Task, run: &NewRun) -> Result<Option<RunId>, Failed> {
        let scheduled_at = run.scheduled_at.as_millis();
        if task.reset_upto.is_none_or(|upto| upto < scheduled_at) {
            return Ok(None);
        }
        let keys = json!({ "keys": [{ "task": task.id, "scheduled_at": scheduled_at }] });
        let same: Vec<Run> = self.list(&self.sql.runs_of_keys, keys).await?;
        Ok(same.first().map(Run::run_id).transpose()?)
    }

    /// Has a run that is about to be inserted begin in the hands of `node`.
    fn begin(&mut self, run: &mut Run, node: &str) {
        run.began = Some(self.task_mut(run.task).number());
        run.holder = Some(node.into());
        run.state = crate::run::RunState::Running.to_string();
        run.attempt = 1;
    }

    fn advance_by(&mut self, firing: &Firing, became: Became) {
        let task = id(firing.task);
        self.advance(task, firing.advance_to.as_millis());
        let row = self.task_mut(task);
        match firing.shown_again() {
            Some(shown) => row.behind = Some(shown.last.as_millis()),
            None if firing.advance_to != firing.mark => row.behind = None,
            None => {}
        }
        row.step_id = Some(firing.id.to_string());
        row.step = Some(text::became(became));
        if let Some(passed) = &firing.passed {
            // The grid of a fixed delay goes on from what was passed over.
            row.last_end = Some(passed.last.as_millis());
            self.record(task, passed.clone());
        }
    }

    async fn refuse(&mut self, firing: &Firing, run: &NewRun, refusal: Refusal) -> Result<Admission, Failed> {
        let task = id(firing.task);
        let note = match refusal {
            Refusal::Paused => self.pause(&self.tasks[&task])?.map(|pause| pause.to_string()),
            other => other.note(),
        };
        self.advance_by(firing, Became::Recorded(refusal));
        self.task_mut(task).last_end = Some(self.now.as_millis());
        self.record(task, Record::one(refusal.reason(), run.scheduled_at).noted(note));
        if let Refusal::CoveredBy(by) = refusal
            && let Some((_, mut covering)) = self.runs([by.to_string()]).await?.pop_first()
        {
            // What it would have stood for itself is covered with it.
            let first = run.missed.map_or(run.scheduled_at, |missed| missed.first);
            let count = 1 + run.missed.map_or(0, |missed| super::rows::count(missed.count));
            covering.missed_first.get_or_insert(first.as_millis());
            covering.missed = Some(covering.missed.unwrap_or(0) + count);
            self.change(covering);
        }
        Ok(Admission::Recorded(refusal))
    }

    /// The answer to a firing that was made before, or whose mark somebody else has moved.
    async fn repeated(&mut self, firing: &Firing, run: Option<Run>, node: &str) -> Result<Admission, Failed> {
        let task = self.tasks[&id(firing.task)].clone();
        if let Some(run) = run {
            match run.holder.as_deref() {
                // A claim has brought it since the first call: given a second time, it would be executed twice.
                Some(holder) if holder == node && run.claim.is_some() => {
                    return Ok(Admission::Queued { cancel: None });
                }
                Some(holder) if holder == node => return Ok(Admission::Claimed(run.hold(&task))),
                Some(_) => {}
                None => {
                    let crowd = self.crowds(vec![task.id]).await?.remove(&task.id).unwrap_or_default();
                    let oldest = self.runs(crowd.oldest).await?.pop_first();
                    let replaced = oldest.filter(|(_, run)| run.cancelling() == Some(CancelCause::Replaced));
                    let cancel = replaced.map(|(_, run)| run.run_id()).transpose()?;
                    return Ok(Admission::Queued { cancel });
                }
            }
        }
        let is_this = task.step_id.as_deref() == Some(firing.id.to_string().as_str());
        let became = task.step.as_deref().filter(|_| is_this).map(text::read_became).transpose()?;
        Ok(match became {
            Some(Became::Passed) => Admission::Passed,
            Some(Became::Recorded(refusal)) => Admission::Recorded(refusal),
            Some(Became::Run) | None => Admission::MarkMoved(at(task.mark)),
        })
    }
}

impl<D: Database> Shared<D> {
    pub(super) async fn enqueue(&self, holder: &Holder, firings: &[Firing]) -> Result<Vec<Admission>, Failed> {
        self.greet(holder).await?;
        let outrun = self.outrun.of(holder);
        let (doubtful, plain): (Vec<&Firing>, Vec<&Firing>) =
            firings.iter().partition(|firing| outrun.contains(&firing.task) && firing.shown_again().is_none());
        let mut answers = self.too_late(&doubtful).await?;
        let open: Vec<&Firing> = doubtful.into_iter().filter(|firing| !answers.contains_key(&firing.id)).collect();
        if self.goes_by_two(plain.len() + open.len()) {
            let ([plain, plain_too], [open, open_too]) =
                (halves(plain, |firing| firing.task), halves(open, |firing| firing.task));
            let both = tokio::join!(self.fire(holder, plain, open), self.fire(holder, plain_too, open_too));
            answers.extend(both.0?.into_iter().chain(both.1?));
        } else {
            answers.extend(self.fire(holder, plain, open).await?);
        }
        self.outrun.note(holder, outrun, firings.iter().map(|firing| (firing, &answers[&firing.id])));
        Ok(firings.iter().map(|firing| answers[&firing.id]).collect())
    }

    /// Fires `plain` occurrences, and those of the `doubtful` ones of whose tasks nobody else has the lock.
    async fn fire(
        &self,
        holder: &Holder,
        plain: Vec<&Firing>,
        doubtful: Vec<&Firing>,
    ) -> Result<HashMap<RunId, Admission>, Failed> {
        let mut answers = HashMap::with_capacity(plain.len() + doubtful.len());
        if plain.is_empty() && doubtful.is_empty() {
            return Ok(answers);
        }
        let mut step = self.begin().await?;
        if !plain.is_empty() {
            step.lock(plain.iter().map(|firing| id(firing.task))).await?;
        }
        let mut firings = plain;
        if !doubtful.is_empty() {
            step.lock_free(doubtful.iter().map(|firing| id(firing.task))).await?;
            let (free, taken): (Vec<&Firing>, Vec<&Firing>) =
                doubtful.into_iter().partition(|firing| step.tasks.contains_key(&id(firing.task)));
            firings.extend(free);
            answers.extend(taken.iter().map(|firing| (firing.id, Admission::MarkMoved(firing.mark))));
        }
        let full = firings.iter().filter_map(|firing| {
            let task = step.tasks.get(&id(firing.task))?;
            (firing.run.is_some() && task.is_full() && task.mark == firing.mark.as_millis()).then_some(task.id)
        });
        let full = full.collect();
        let crowds = step.crowds(full).await?;
        let mut groups = step.groups().await?;
        // Where another node was quicker, these are all: they are looked up together.
        let repeated = firings
            .iter()
            .filter(|firing| step.tasks.get(&id(firing.task)).is_some_and(|task| is_repeated(firing, task)));
        let repeated: Vec<String> = repeated.map(|firing| firing.id.to_string()).collect();
        let mut made_before = step.runs(repeated).await?;
        for firing in firings {
            let admission = match step.tasks.get(&id(firing.task)) {
                None => Admission::MarkMoved(firing.advance_to),
                Some(task) if is_repeated(firing, task) => {
                    let run = made_before.remove(&firing.id.to_string());
                    step.repeated(firing, run, &holder.node).await?
                }
                Some(task) => {
                    let crowd = crowds.get(&task.id);
                    step.fire(firing, &holder.node, crowd, &mut groups).await?
                }
            };
            answers.insert(firing.id, admission);
        }
        self.commit(step).await?;
        Ok(answers)
    }
}

/// Whether the firing was made before, or somebody else has moved the mark.
fn is_repeated(firing: &Firing, task: &Task) -> bool {
    task.mark != firing.mark.as_millis() || task.step_id.as_deref() == Some(firing.id.to_string().as_str())
}
