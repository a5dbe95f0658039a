//! How the rows that a step has changed are written: few statements, whatever their number.

use serde::Serialize;
use serde_json::json;

use super::super::rows::{Ended, NEW_RUN, PROGRESS, Part, RUN, Run, TASK, Task, which};
use super::super::statements::Statements;
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
            let full: Vec<i64> =
                self.changed_tasks.keys().copied().filter(|id| self.tasks[id].kept >= PRUNE_EVERY).collect();
            if !full.is_empty() {
                full.iter().for_each(|&id| self.task_mut(id).kept = 0);
                self.tell(&sql.prune, json!({ "ids": full })).await?;
                self.tell(&sql.prune_logs, json!({ "ids": full })).await?;
            }
        }
        if !self.changed_runs.is_empty() {
            let runs: Vec<Run> = std::mem::take(&mut self.changed_runs).into_values().collect();
            let input = text::input(&Rows { tasks: NONE, runs: &runs });
            expect_rows(self.tx.tell(&sql.save_runs, &input).await?, runs.len(), "a run is gone")?;
        }
        let advanced = std::mem::take(&mut self.advanced);
        let born = std::mem::take(&mut self.born);
        let progress = which(TASK, PROGRESS);
        let (mut fired, mut in_progress, mut declared) = (Vec::new(), Vec::new(), Vec::new());
        for (id, before) in std::mem::take(&mut self.changed_tasks) {
            let task = &self.tasks[&id];
            let mark_was = advanced.get(&id).copied();
            let part = Part { row: task, which: &progress, more: mark_was };
            match task.differs_in_progress_only(&before) {
                true if mark_was.is_none() => in_progress.push(part),
                true => fired.push(part),
                false => {
                    declared.push(task);
                    fired.extend(mark_was.map(|_| part));
                }
            }
        }
        write_marks_and_runs(&mut self.tx, sql, &fired, &born).await?;
        if !in_progress.is_empty() {
            self.tx.tell(&sql.save_progress, &text::input(&Rows { tasks: &in_progress, runs: NONE })).await?;
        }
        if !declared.is_empty() {
            self.tx.tell(&sql.save_tasks, &text::input(&Rows { tasks: &declared, runs: NONE })).await?;
        }
        Ok(())
    }
}

impl<T: Transaction> Step<'_, T> {
    /// Ends no run, by all statements that end runs: a user without a right to one of their tables is told so when a program
    /// starts, and not by each end of a run, which would be tried again and again.
    pub(in super::super) async fn end_nothing(&mut self) -> Result<(), Failed> {
        let sql = self.sql;
        let ends = sql.end_runs.iter().chain([&sql.save_logs, &sql.prune, &sql.prune_logs]);
        for statement in ends {
            self.tell(statement, json!({ "run_ids": [], "ended": [], "logs": [], "ids": [] })).await?;
        }
        Ok(())
    }
}

/// Advances marks, and inserts runs, where there are such.
async fn write_marks_and_runs<T: Transaction>(
    tx: &mut T,
    sql: &Statements,
    fired: &[Part<'_, Task>],
    born: &[Run],
) -> Result<(), Failed> {
    let new = which(RUN, NEW_RUN);
    let runs: Vec<_> = born.iter().map(|run| Part { row: run, which: &new, more: None }).collect();
    if !fired.is_empty() {
        match &sql.fire[..] {
            [advance, _] => {
                let input = text::input(&Rows { tasks: fired, runs: NONE });
                expect_rows(tx.tell(advance, &input).await?, fired.len(), "a mark moved under its lock")?;
            }
            [both] => {
                let input = text::input(&Rows { tasks: fired, runs: &runs });
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
