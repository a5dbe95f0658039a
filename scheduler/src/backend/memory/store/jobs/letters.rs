//! Dead letters: jobs that have failed for good, until they are run again, dropped or given up.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use symphra_scheduler_core::Timestamp;

use super::{JobRow, Jobs, Stand};
use crate::backend::memory::store::{Change, Store};
use crate::backend::{Enqueued, LETTERS_KEPT_FOR, LETTERS_LISTED, LETTERS_MAX, LetterQuery, LetterRow, TaskKey};
use crate::run::RunId;

/// The place of a letter among all: when it died, the order in which it came, and its run.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub(in crate::backend) struct ListedLetter(Timestamp, u64, RunId);

impl JobRow {
    fn letter(&self, id: RunId) -> Option<LetterRow> {
        let Stand::Dead(death) = &self.stand else { return None };
        Some(LetterRow {
            task: self.task,
            id,
            arguments: (*self.arguments).clone(),
            scheduled_at: self.scheduled_at,
            died_at: death.at,
            state: death.state,
            attempt: death.attempt,
            failure: death.failure.clone(),
        })
    }
}

impl Jobs {
    /// Gives up a letter, but for its key, if that is to be held for longer.
    pub(super) fn give_up(&mut self, id: RunId, now: Timestamp) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        let Stand::Dead(death) = &row.stand else { return };
        let Some(until) = row.unique_until.filter(|&until| until > now) else { return self.forget(id) };
        let died = (death.at, row.number, id);
        let task = row.task;
        let bytes = row.bytes();
        self.dead_bytes -= bytes;
        self.bytes -= bytes;
        row.be_over();
        self.dead.remove(&died);
        self.of(task).dead.remove(&died);
        self.over.insert((until, id));
    }

    pub(super) fn prune_letters(&mut self, task: TaskKey, now: Timestamp) {
        while let Some(of) = self.of_tasks.get(&task)
            && let Some(&(died_at, _, id)) = of.dead.first()
            && (of.dead.len() > LETTERS_MAX || now.since(died_at) > LETTERS_KEPT_FOR)
        {
            self.give_up(id, now);
        }
    }
}

impl Store {
    pub(in super::super::super) fn dead_letters(&self, query: &LetterQuery, now: Timestamp) -> Vec<LetterRow> {
        let listed = self.letters_after(query, None, now).map(|(_, letter)| letter);
        listed.take(query.limit.unwrap_or(LETTERS_LISTED)).collect()
    }

    /// The letters that are asked for, however many, after the one that was listed last.
    pub(in super::super::super) fn letters_after(
        &self,
        query: &LetterQuery,
        after: Option<ListedLetter>,
        now: Timestamp,
    ) -> impl Iterator<Item = (ListedLetter, LetterRow)> {
        let dead: Option<&BTreeSet<_>> = match query.task {
            Some(task) => self.jobs.of_tasks.get(&task).map(|of| &of.dead),
            None => Some(&self.jobs.dead),
        };
        let (wanted, end) = (
            query.id,
            after.map_or(Bound::Unbounded, |ListedLetter(at, number, id)| Bound::Excluded((at, number, id))),
        );
        let dead = dead.into_iter().flat_map(move |dead| dead.range((Bound::Unbounded, end)).rev());
        let kept = dead.filter(move |(died_at, ..)| now.since(*died_at) <= LETTERS_KEPT_FOR);
        kept.filter(move |(.., id)| wanted.is_none_or(|wanted| wanted == *id)).filter_map(|&(at, number, id)| {
            let letter = self.jobs.rows.get(&id)?.letter(id)?;
            Some((ListedLetter(at, number, id), letter))
        })
    }

    pub(in super::super::super) fn run_again(
        &mut self,
        letter: RunId,
        again: RunId,
        now: Timestamp,
    ) -> Option<Enqueued> {
        if self.jobs.has_had(again) {
            return Some(Enqueued::Queued);
        }
        let row = self.jobs.rows.get(&letter).filter(|row| matches!(row.stand, Stand::Dead(_)))?;
        let (task, key, arguments) = (row.task, row.key.clone(), Arc::clone(&row.arguments));
        let (priority, unique_until) = (row.priority, row.unique_until);
        let holder = key.as_ref().and_then(|key| self.jobs.holder_of(task, key, now));
        if let Some(known) = holder.filter(|&known| known != letter) {
            return Some(Enqueued::Known(known));
        }
        if self.jobs.is_full(task, 0) {
            return Some(Enqueued::TooMany);
        }
        self.jobs.forget(letter);
        self.jobs.made += 1;
        let (number, stand) = (self.jobs.made, Stand::Waits);
        let row = JobRow { task, arguments, priority, scheduled_at: now, key, unique_until, number, stand };
        self.jobs.wait(again, row, now);
        self.log.push(Change::Runnable);
        Some(Enqueued::Queued)
    }

    pub(in super::super::super) fn drop_letter(&mut self, letter: RunId, now: Timestamp) -> bool {
        let is_there = self.jobs.rows.get(&letter).is_some_and(|row| matches!(row.stand, Stand::Dead(_)));
        if is_there {
            self.jobs.give_up(letter, now);
        }
        is_there
    }
}
