//! The list of runs: those that are alive, those that have ended since the list was begun in their places among them, and then
//! those that had ended before.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::Store;
use crate::backend::{RunCursor, RunQuery, RunRow, RunRows, TaskKey};

impl Store {
    /// A page of runs.
    pub(in super::super) fn runs_page(&self, query: &RunQuery) -> RunRows {
        let limit = query.limit.unwrap_or(usize::MAX);
        RunRows::first_of(self.listed(query).take(limit.saturating_add(1)).collect(), limit)
    }

    /// The runs that are asked for, however many, each with its place.
    pub(in super::super) fn listed(&self, query: &RunQuery) -> impl Iterator<Item = (RunCursor, RunRow)> {
        let wanted = |row: &&RunRow| query.includes(row);
        let (mut alive, mut end) = (Vec::new(), query.after.map_or(u64::MAX, |after| after.ends_below()));
        if let Some(ended_before) = query.after.map_or(Some(self.history.last_end()), |after| after.ended_before()) {
            // Those that have ended since are where they were.
            let ended_since = self.ended_below(query.task, u64::MAX).take_while(|&(number, _)| number > ended_before);
            let is_behind = |row: &&RunRow| query.after.is_none_or(|after| after.is_before_alive(row));
            // Who asks for runs that have ended looks through none that has not.
            let asks_alive = query.states.is_empty() || query.states.iter().any(|state| !state.is_final());
            let running = asks_alive.then(|| self.alive.iter().map(|run| &run.row)).into_iter().flatten();
            let running = running.chain(ended_since.map(|(_, row)| row));
            let waiting = asks_alive.then(|| self.waiting_jobs()).into_iter().flatten();
            let waiting = waiting.filter(|row| wanted(&row) && is_behind(&row));
            alive = running.filter(|row| wanted(row) && is_behind(row)).map(Cow::Borrowed).collect::<Vec<_>>();
            alive.extend(waiting.map(Cow::Owned));
            alive.sort_unstable_by_key(|row| Reverse((row.scheduled_at, row.id)));
            end = ended_before.saturating_add(1);
        }
        let ended_before = end.saturating_sub(1);
        let alive = alive.into_iter().map(move |row| {
            (RunCursor::Alive { ended_before, scheduled_at: row.scheduled_at, id: row.id }, row.into_owned())
        });
        // Who asks for what is alive walks through no history.
        let asks_for_ended = query.states.is_empty() || query.states.iter().any(|state| state.is_final());
        let ended = asks_for_ended.then(|| self.ended_below(query.task, end)).into_iter().flatten();
        let ended = ended.filter(|(_, row)| query.includes(row));
        alive.chain(ended.map(|(end, row)| (RunCursor::Ended { end }, row.clone())))
    }

    /// Runs whose ends have lower numbers than `end`, the last first: all of them, or those of one task.
    fn ended_below(&self, task: Option<TaskKey>, end: u64) -> impl Iterator<Item = (u64, &RunRow)> {
        let of_task = task.and_then(|task| self.find(task)).map(|task| &self.tasks[task as usize].kept);
        let all = task.is_none().then(|| self.history.all_below(end));
        let of_task = of_task.map(|kept| self.history.of_task_below(kept, end));
        all.into_iter().flatten().chain(of_task.into_iter().flatten())
    }
}
