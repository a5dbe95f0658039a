//! How the rows that a step has changed are written: few statements, whatever their number.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::super::rows::{Ended, NEW_RUN, Part, RUN, Row, Run, Task, which};
use super::super::statements::{Saving, Statements};
use super::super::text;
use super::super::{Failed, Transaction};
use super::Step;

/// A task is pruned when it has got this many rows of history since the last time: its rows are then at most so many more
/// than its [`Retention`](crate::backend::Retention) says.
const PRUNE_EVERY: i64 = 50;

impl<T: Transaction> Step<'_, T> {
    /// Writes what has become of runs and tasks so far, so that statements which follow find it.
    pub(in super::super) async fn write_runs_and_tasks(&mut self) -> Result<(), Failed> {
        let sql = self.sql;
        if !self.run_logs.is_empty() {
            // Before the history is pruned, and with it the logs: one that came later would outlive its run.
            let logs = std::mem::take(&mut self.run_logs);
            self.tell(&sql.save_logs, json!({ "logs": logs })).await?;
        }
        let mut full: Vec<i64> = Vec::new();
        if !self.gone.is_empty() {
            let (gone, ended) = (std::mem::take(&mut self.gone), std::mem::take(&mut self.ended));
            let (gone, rows): (&[String], &[Ended]) = (&gone, &ended);
            let parts = match sql.end_runs.len() {
                // What is not for a statement is not read by it.
                2 => vec![EndedRuns { run_ids: gone, ended: &[] }, EndedRuns { run_ids: &[], ended: rows }],
                _ => vec![EndedRuns { run_ids: gone, ended: rows }],
            };
            for (statement, part) in sql.end_runs.iter().zip(&parts) {
                expect_rows(self.tx.tell(statement, &text::input(part)).await?, rows.len(), "a run ended twice")?;
            }
            full.extend(self.changed_tasks.keys().filter(|&id| self.tasks[id].kept >= PRUNE_EVERY));
            if !full.is_empty() {
                full.iter().for_each(|&id| self.task_mut(id).kept = 0);
                self.tell(&sql.prune, json!({ "ids": full })).await?;
                self.tell(&sql.prune_logs, json!({ "ids": full })).await?;
            }
        }
        if !self.job_ends.is_empty() {
            let ends = std::mem::take(&mut self.job_ends);
            self.write_job_ends(ends).await?;
            if !full.is_empty() {
                // As seldom as the history: they are at most so many more. Also where the last end left no letter, for others
                // did.
                self.crowd_out_letters(&full).await?;
            }
        }
        if !self.changed_runs.is_empty() {
            let runs: Vec<Run> = std::mem::take(&mut self.changed_runs).into_values().collect();
            let input = text::input(&Rows { tasks: NONE, runs: &runs });
            expect_rows(self.tx.tell(&sql.save_runs, &input).await?, runs.len(), "a run is gone")?;
        }
        let advanced = std::mem::take(&mut self.advanced);
        let born = std::mem::take(&mut self.born);
        let changed_tasks = std::mem::take(&mut self.changed_tasks);
        let changed = changed_tasks.iter().map(|(id, before)| Changed { task: &self.tasks[id], before });
        let (fired, others): (Vec<Changed<'_>>, Vec<_>) =
            changed.partition(|changed| advanced.contains_key(&changed.task.id));
        let [few, progress] = &sql.save_progress;
        let (in_progress, mut declared): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|changed| changed.fits(progress));
        declared.extend(fired.iter().filter(|changed| !changed.fits(progress)).copied());
        let is_end = fired.is_empty() && declared.is_empty() && in_progress.iter().all(|changed| changed.fits(few));
        if self.has_read_ending_only && !is_end {
            return Err(Failed::broken("an end changes of a task what it has not read"));
        }
        write_marks_and_runs(&mut self.tx, sql, &fired, &advanced, &born).await?;
        if !in_progress.is_empty() {
            let saving = narrowest(&sql.save_progress, &in_progress);
            let rows: Vec<_> = in_progress.iter().map(|changed| changed.part(saving, None)).collect();
            self.tx.tell(&saving.say, &text::input(&Rows { tasks: &rows, runs: NONE })).await?;
        }
        if !declared.is_empty() {
            let declared: Vec<&Task> = declared.iter().map(|changed| changed.task).collect();
            self.tx.tell(&sql.save_tasks, &text::input(&Rows { tasks: &declared, runs: NONE })).await?;
        }
        Ok(())
    }

    /// Ends no run, by all statements that end runs: a user without a right to one of their tables is told so when a program
    /// starts, and not by each end of a run, which would be tried again and again.
    pub(in super::super) async fn end_nothing(&mut self) -> Result<(), Failed> {
        let sql = self.sql;
        let ends = sql.end_runs.iter().chain([&sql.save_logs, &sql.prune, &sql.prune_logs]);
        let ends = ends.chain([&sql.jobs.bury, &sql.jobs.forget]);
        for statement in ends {
            self.tell(statement, json!({ "run_ids": [], "ended": [], "logs": [], "ids": [], "dead": [] })).await?;
        }
        Ok(())
    }
}

/// A task that was changed, and how it was when it was last written.
#[derive(Clone, Copy)]
struct Changed<'a> {
    task: &'a Task,
    before: &'a Task,
}

impl<'a> Changed<'a> {
    /// Whether all that has changed is written by these statements.
    fn fits<S>(&self, saving: &Saving<S>) -> bool {
        self.task.differs_only_in(&saving.which, self.before)
    }

    fn part<S>(&self, saving: &'a Saving<S>, more: Option<i64>) -> Part<'a, Task> {
        Part { row: self.task, which: &saving.which, more }
    }
}

/// Those of the statements that write the fewest columns, and all that has changed.
fn narrowest<'s, S>([few, many]: &'s [Saving<S>; 2], changed: &[Changed<'_>]) -> &'s Saving<S> {
    if changed.iter().all(|changed| changed.fits(few)) { few } else { many }
}

/// Advances marks, each from where it was, and inserts runs, where there are such.
async fn write_marks_and_runs<T: Transaction>(
    tx: &mut T,
    sql: &Statements,
    fired: &[Changed<'_>],
    marks_were: &BTreeMap<i64, i64>,
    born: &[Run],
) -> Result<(), Failed> {
    let new = which(RUN, NEW_RUN);
    let runs: Vec<_> = born.iter().map(|run| Part { row: run, which: &new, more: None }).collect();
    if !fired.is_empty() {
        let saving = narrowest(&sql.fire, fired);
        let tasks = fired.iter().map(|changed| changed.part(saving, Some(marks_were[&changed.task.id])));
        let tasks: Vec<_> = tasks.collect();
        match &saving.say[..] {
            [advance, _] => {
                let input = text::input(&Rows { tasks: &tasks, runs: NONE });
                expect_rows(tx.tell(advance, &input).await?, fired.len(), "a mark moved under its lock")?;
            }
            [both] => {
                let input = text::input(&Rows { tasks: &tasks, runs: &runs });
                return expect_rows(tx.tell(both, &input).await?, runs.len(), "a mark moved under its lock");
            }
            _ => unreachable!("a firing is one statement or two"),
        }
    }
    if runs.is_empty() {
        return Ok(());
    }
    let input = text::input(&Rows { tasks: NONE, runs: &runs });
    expect_rows(tx.tell(&sql.insert_runs, &input).await?, runs.len(), "a run is there already")
}

/// Rows to be written.
#[derive(Serialize)]
struct Rows<'a, T, R> {
    tasks: &'a [T],
    runs: &'a [R],
}

const NONE: &[()] = &[];

/// Runs that end: which they are, and their rows of history.
#[derive(Serialize)]
struct EndedRuns<'a> {
    run_ids: &'a [String],
    ended: &'a [Ended],
}

/// What a locked row and the statements say of one another: otherwise the step is undone, and its caller is told.
fn expect_rows(changed: u64, expected: usize, broken: &'static str) -> Result<(), Failed> {
    if changed == expected as u64 { Ok(()) } else { Err(Failed::broken(broken)) }
}
