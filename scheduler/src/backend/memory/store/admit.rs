//! What becomes of an occurrence, a trigger or a backfill: a run that is held, one that waits, or a record.

use symphra_scheduler_core::Timestamp;

use super::alive::Links;
use super::waiting::{Lane, Waiting};
use super::{AliveRun, FIRST_TOKEN, Step, Store, index};
use crate::backend::{Admission, Firing, NewRun, Record, Refusal, RunRow, Submission, Submitted, TRIGGERS_WAITING_MAX};
use crate::outcome::CancelCause;
use crate::run::{Missed, Origin, RunState};
use crate::schedule::{BUFFERED_MAX, Overlap};

/// How many submissions are remembered, to recognise one whose answer was lost: more than can be under way.
const SUBMITTED_MAX: usize = 2_048;

/// How a task receives a run.
enum Room {
    /// It may begin.
    Free,
    /// It waits.
    Wait,
    /// It waits in the place of those that waited before, and until the oldest that has begun, which is in this slot, has
    /// been cancelled.
    AfterOldest(Option<u32>),
    /// There is none.
    Refused(Refusal),
}

impl Store {
    pub(in super::super) fn fire(&mut self, firing: &Firing, holder: u32, now: Timestamp) -> Admission {
        let Some(number) = self.find(firing.task) else { return Admission::MarkMoved(firing.advance_to) };
        let task = &self.tasks[number as usize];
        let is_repeated = task.last_step.is_some_and(|(id, _)| id == firing.id);
        if is_repeated || task.mark != firing.mark {
            return self.repeated(firing, holder);
        }
        let is_behind_otherwise = firing.shown_again().is_some() && task.behind() != firing.behind;
        if task.since != firing.since || is_behind_otherwise {
            return Admission::Outdated;
        }
        if task.is_exhausted() {
            return Admission::Exhausted;
        }
        let Some(run) = &firing.run else {
            self.advance(firing, Step::Passed);
            return Admission::Passed;
        };
        if run.due_at > now {
            return Admission::Early(now);
        }
        if run.accept_until.is_some_and(|until| now > until) {
            return Admission::Late(now);
        }
        if self.is_paused(task) {
            return self.refuse(firing, run, Refusal::Paused, now);
        }
        match self.room(number, Some(task.rules.overlap), run.origin) {
            Room::Refused(refusal) => self.refuse(firing, run, refusal, now),
            Room::Free => {
                self.advance(firing, Step::Run);
                self.tasks[number as usize].ledger.count_run();
                let slot = self.insert(RunRow::accepted(firing.id, firing.task, run));
                self.give(slot, holder);
                Admission::Claimed(self.hold(slot))
            }
            Room::Wait => {
                self.advance(firing, Step::Run);
                self.tasks[number as usize].ledger.count_run();
                let slot = self.insert(RunRow::accepted(firing.id, firing.task, run));
                self.enter_waiting(slot);
                Admission::Queued { cancel: None }
            }
            Room::AfterOldest(oldest) => {
                self.advance(firing, Step::Run);
                self.tasks[number as usize].ledger.count_run();
                self.replace_waiting(number, now);
                let cancel = oldest.and_then(|oldest| self.ask_to_cancel(oldest, CancelCause::Replaced, now));
                let slot = self.insert(RunRow::accepted(firing.id, firing.task, run));
                self.enter_waiting(slot);
                // What was between two attempts has ended by this, and left its room.
                if cancel.is_none() && self.may_begin(slot, Lane::Scheduled) {
                    self.leave_waiting(slot);
                    self.give(slot, holder);
                    return Admission::Claimed(self.hold(slot));
                }
                Admission::Queued { cancel }
            }
        }
    }

    fn advance(&mut self, firing: &Firing, step: Step) {
        let task = &mut self.tasks[index(firing.task)];
        match firing.shown_again() {
            Some(shown) => task.settle_behind(Some(shown.last)),
            None if firing.advance_to != firing.mark => task.settle_behind(None),
            None => {}
        }
        task.mark = firing.advance_to;
        task.last_step = Some((firing.id, step));
        if let Some(passed) = &firing.passed {
            // The grid of a fixed delay goes on from what was passed over.
            task.last_end = Some(passed.last);
            task.record(passed.clone());
        }
    }

    fn refuse(&mut self, firing: &Firing, run: &NewRun, refusal: Refusal, now: Timestamp) -> Admission {
        self.advance(firing, Step::Recorded(refusal));
        let note = match refusal {
            Refusal::Paused => self.pause(&self.tasks[index(firing.task)]).map(|pause| pause.to_string()),
            other => other.note(),
        };
        let task = &mut self.tasks[index(firing.task)];
        task.last_end = Some(now);
        task.record(Record::one(refusal.reason(), run.scheduled_at).noted(note));
        if let Refusal::CoveredBy(by) = refusal
            && let Some(&slot) = self.by_id.get(&by)
        {
            // What it would have stood for itself is covered with it.
            let first = run.missed.map_or(run.scheduled_at, |missed| missed.first);
            let count = 1 + run.missed.map_or(0, |missed| missed.count);
            let missed = self.alive.get_mut(slot).row.missed.get_or_insert(Missed::new(0, first));
            missed.count += count;
        }
        Admission::Recorded(refusal)
    }

    /// How the task receives one more run under `overlap`; `None` lets it wait, however many do.
    fn room(&self, task: u32, overlap: Option<Overlap>, origin: Origin) -> Room {
        let row = &self.tasks[task as usize];
        let is_full = row.rules.alive_max.is_some_and(|max| row.alive() >= max as usize);
        let Some(overlap) = overlap else { return Room::Wait };
        if overlap == Overlap::Allow || !is_full {
            return if self.group_has_room(row.group) { Room::Free } else { Room::Wait };
        }
        let mut begun = row.begun.iter(&self.alive);
        let waiting = self.waiting_of(task);
        match overlap {
            Overlap::Allow | Overlap::Skip => {
                let of_waiting = waiting.into_iter().flat_map(Waiting::all_queued);
                let by = begun.chain(of_waiting).next().expect("a task that is full has a run");
                Room::Refused(Refusal::Overlap(self.alive.get(by).row.id))
            }
            Overlap::BufferOne => match waiting.and_then(|waiting| waiting.newest_buffered(origin)) {
                Some(waiting) => Room::Refused(Refusal::CoveredBy(self.alive.get(waiting).row.id)),
                None => Room::Wait,
            },
            Overlap::BufferAll if waiting.is_some_and(|waiting| waiting.buffered(origin) >= BUFFERED_MAX) => {
                Room::Refused(Refusal::BufferFull)
            }
            Overlap::BufferAll => Room::Wait,
            Overlap::CancelRunning => Room::AfterOldest(begun.next()),
        }
    }

    /// Under `cancel_running` only the newest waits: those before it end.
    fn replace_waiting(&mut self, task: u32, now: Timestamp) {
        let replaced: Vec<u32> = self.waiting_of(task).into_iter().flat_map(Waiting::scheduled).collect();
        for slot in replaced {
            self.ask_to_cancel(slot, CancelCause::Replaced, now);
        }
    }

    pub(in super::super) fn submit(&mut self, submission: &Submission, now: Timestamp) -> Submitted {
        let at = submission.scheduled_at.unwrap_or(now);
        if self.submitted.ids.contains(&submission.id) {
            return Submitted::Queued { cancel: None };
        }
        let Some(number) = self.find(submission.task) else { return Submitted::UnknownTask };
        let row = &self.tasks[number as usize];
        if submission.origin == Origin::Start && self.is_paused(row) {
            return Submitted::Refused(Refusal::Paused);
        }
        let is_start = submission.origin == Origin::Start;
        if is_start && row.last_start == Some(at) {
            return Submitted::Queued { cancel: None };
        }
        let submitted = row.waiting.as_ref().map_or(0, |waiting| waiting.submitted());
        if submission.origin != Origin::Start && submitted >= TRIGGERS_WAITING_MAX {
            return Submitted::TooMany;
        }
        let mut cancel = None;
        match self.room(number, submission.overlap, submission.origin) {
            Room::Refused(refusal) => return Submitted::Refused(refusal),
            Room::AfterOldest(oldest) => {
                self.replace_waiting(number, now);
                cancel = oldest.and_then(|oldest| self.ask_to_cancel(oldest, CancelCause::Replaced, now));
            }
            Room::Free | Room::Wait => {}
        }
        let run = NewRun { origin: submission.origin, scheduled_at: at, due_at: now, missed: None, accept_until: None };
        self.submitted.remember(submission.id, SUBMITTED_MAX);
        let slot = self.insert(RunRow::accepted(submission.id, submission.task, &run));
        if is_start {
            self.tasks[number as usize].last_start = Some(at);
        }
        self.alive.get_mut(slot).beside = submission.overlap == Some(Overlap::Allow);
        self.enter_waiting(slot);
        self.log.push(super::Change::Runnable);
        Submitted::Queued { cancel }
    }

    /// Inserts a run that is queued, and yet to be given to a holder or to those that wait.
    pub(super) fn insert(&mut self, mut row: RunRow) -> u32 {
        row.state = RunState::Queued;
        row.attempt = 0;
        let id = row.id;
        let slot = self.alive.insert(AliveRun {
            row,
            token: FIRST_TOKEN,
            holder: None,
            claim: None,
            abandoned: 0,
            put_off_by: None,
            deaths: 0,
            beside: false,
            number: 0,
            links: Links::default(),
            cancelling: None,
        });
        self.by_id.insert(id, slot);
        slot
    }

    /// The answer to a firing that was made before, or whose mark somebody else has moved.
    fn repeated(&self, firing: &Firing, holder: u32) -> Admission {
        if let Some(&slot) = self.by_id.get(&firing.id) {
            let run = self.alive.get(slot);
            if run.holder == Some(holder) && run.claim.is_some() {
                // A claim has brought it since the first call: given a second time, it would be executed twice.
                return Admission::Queued { cancel: None };
            }
            if run.holder == Some(holder) {
                return Admission::Claimed(self.hold(slot));
            }
            if run.holder.is_none() {
                let task = &self.tasks[index(firing.task)];
                let begun = task.begun.iter(&self.alive).map(|slot| self.alive.get(slot));
                let mut replaced = begun.filter(|other| other.cancelling == Some(CancelCause::Replaced));
                return Admission::Queued { cancel: replaced.next().map(|other| other.row.id) };
            }
        }
        let task = &self.tasks[index(firing.task)];
        match task.last_step {
            Some((id, Step::Passed)) if id == firing.id => Admission::Passed,
            Some((id, Step::Recorded(refusal))) if id == firing.id => Admission::Recorded(refusal),
            _ => Admission::MarkMoved(task.mark),
        }
    }
}
