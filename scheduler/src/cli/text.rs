//! Views as text for people: tables and facts.

use std::fmt::Write as _;
use std::time::Duration;

use symphra_scheduler_core::format_duration;

use super::Output;
use super::output::{Cell, Column, Tone, clean};
use super::view::{
    ActionView, At, BackfillView, ChangeView, ExplanationView, HealthView, LetterView, LogView, NextView, NodeView,
    RecordView, RunView, RunningView, TaskPage, TaskView,
};
use crate::terminal::clean_lines;

const NOTHING: &str = "–";

fn at(at: Option<&At>) -> String {
    at.map_or_else(|| NOTHING.to_owned(), |at| at.local.clone())
}

fn number(number: Option<impl ToString>) -> String {
    number.map_or_else(|| NOTHING.to_owned(), |number| number.to_string())
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

pub(crate) fn tasks(tasks: &[TaskView], output: &Output) -> String {
    let columns = [
        Column::text("TASK"),
        Column::word("STATUS"),
        Column::text("SCHEDULE"),
        Column::text("NEXT"),
        Column::number("RUNS"),
        Column::number("FAILED"),
    ];
    let row = |task: &TaskView| {
        let failed = if task.failed_runs.is_some_and(|runs| runs > 0) { Tone::Bad } else { Tone::Plain };
        vec![
            task.name.clone().into(),
            Cell::status(&task.status),
            task.schedule.clone().into(),
            at(task.next.as_ref()).into(),
            number(task.total_runs).into(),
            Cell::toned(number(task.failed_runs), failed),
        ]
    };
    output.table(&columns, tasks.iter().map(row).collect(), "no task")
}

pub(crate) fn page(page: &TaskPage, output: &Output) -> String {
    let task = &page.task;
    let mut facts: Vec<(&str, Cell)> = vec![
        ("task", task.name.clone().into()),
        ("status", Cell::status(&task.status)),
        ("schedule", task.schedule.clone().into()),
        ("timezone", task.timezone.clone().into()),
    ];
    if let Some(pause) = &task.pause {
        let reason = pause.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let says = format!("by {} since {}{reason}", pause.by, pause.since.local);
        facts.push(("paused", Cell::toned(says, Tone::Warning)));
    }
    if !task.tags.is_empty() {
        facts.push(("tags", task.tags.join(", ").into()));
    }
    for (key, value) in &task.metadata {
        facts.push((key, value.clone().into()));
    }
    if task.priority != 0 {
        facts.push(("priority", task.priority.to_string().into()));
    }
    facts.push(("source", task.source.clone().into()));
    if let Some(ledger) = page.ledger {
        let says = format!("{} = {} runs + {} recorded", ledger.occurrences, ledger.runs, ledger.recorded);
        facts.push(("occurrences", says.into()));
    }
    let mut parts = vec![output.facts(&facts)];
    if !page.next_occurrences.is_empty() {
        let next: Vec<String> = page.next_occurrences.iter().map(|at| format!("  {}", at.local)).collect();
        parts.push(format!("next:\n{}", next.join("\n")));
    }
    if !page.records.is_empty() {
        parts.push(format!("did not run:\n{}", records(&page.records, output)));
    }
    if !page.latest_runs.is_empty() {
        parts.push(format!("latest runs:\n{}", runs(&page.latest_runs, output)));
    }
    parts.join("\n\n")
}

fn records(records: &[RecordView], output: &Output) -> String {
    let columns = [
        Column::text("FIRST"),
        Column::text("LAST"),
        Column::number("COUNT"),
        Column::text("REASON"),
        Column::text("NOTE"),
    ];
    let row = |record: &RecordView| {
        vec![
            record.first.local.clone().into(),
            record.last.local.clone().into(),
            record.count.to_string().into(),
            record.reason.clone().into(),
            record.note.clone().unwrap_or_default().into(),
        ]
    };
    output.table(&columns, records.iter().map(row).collect(), "")
}

pub(crate) fn next(tasks: &[NextView], output: &Output) -> String {
    let columns = [Column::text("NEXT"), Column::text("TASK"), Column::text("SCHEDULE")];
    let mut rows: Vec<(&str, Vec<Cell>)> = Vec::new();
    for task in tasks {
        for at in &task.next {
            let cells = vec![at.local.clone().into(), task.task.clone().into(), task.schedule.clone().into()];
            rows.push((&at.utc, cells));
        }
    }
    rows.sort_by_key(|(utc, _)| *utc);
    output.table(&columns, rows.into_iter().map(|(_, row)| row).collect(), "nothing is to come")
}

/// From how many columns on a terminal has room for how late and how long runs were, and where.
const WIDE: u16 = 160;

pub(crate) fn runs(runs: &[RunView], output: &Output) -> String {
    let is_wide = output.has_columns(WIDE);
    let mut columns = vec![
        Column::word("RUN"),
        Column::text("TASK"),
        Column::word("STATE"),
        Column::text("SCHEDULED"),
        Column::text("ORIGIN"),
        Column::number("ATTEMPT"),
    ];
    if is_wide {
        columns.extend([Column::number("LATE"), Column::number("TOOK"), Column::text("NODE")]);
    }
    columns.push(Column::text("FAILURE"));
    let row = |run: &RunView| {
        let mut row: Vec<Cell> = vec![
            run.id.clone().into(),
            run.task.clone().into(),
            Cell::status(&run.state),
            run.scheduled_at.local.clone().into(),
            // The id that follows the word is that of the run, or of the backfill, which JSON has.
            run.origin.split(' ').next().unwrap_or_default().into(),
            run.attempt.to_string().into(),
        ];
        if is_wide {
            let node = run.node.clone().unwrap_or_default();
            row.extend([length(run.lateness_ms).into(), length(run.duration_ms).into(), node.into()]);
        }
        row.push(run.failure.clone().unwrap_or_default().into());
        row
    };
    let mut shown = output.table(&columns, runs.iter().map(row).collect(), "no run");
    if let Some(next) = runs.last().and_then(|last| last.next_page.as_deref()) {
        _ = write!(shown, "\n\nthere are further runs: --after {next}");
    }
    shown
}

fn length(millis: Option<u64>) -> String {
    millis.map_or_else(String::new, |millis| format_duration(Duration::from_millis(millis)))
}

pub(crate) fn letters(letters: &[LetterView], output: &Output) -> String {
    let columns = [
        Column::word("RUN"),
        Column::text("TASK"),
        Column::word("STATE"),
        Column::text("DIED"),
        Column::number("ATTEMPT"),
        Column::text("FAILURE"),
        Column::text("ARGUMENTS"),
    ];
    let row = |letter: &LetterView| {
        vec![
            letter.id.clone().into(),
            letter.task.clone().into(),
            Cell::status(&letter.state),
            letter.died_at.local.clone().into(),
            letter.attempt.to_string().into(),
            letter.failure.clone().unwrap_or_default().into(),
            short(&letter.arguments.to_string()).into(),
        ]
    };
    output.table(&columns, letters.iter().map(row).collect(), "no dead letter")
}

/// How many characters of a job's arguments a table shows; JSON has all of them.
const ARGUMENTS_CHARS_MAX: usize = 80;

fn short(text: &str) -> String {
    match text.char_indices().nth(ARGUMENTS_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(crate) fn log(log: &LogView, output: &Output) -> String {
    let LogView { run, log } = log;
    let (task, at) = (clean(&run.task), &run.scheduled_at.local);
    let state = output.paint(&clean(&run.state), Tone::of(&run.state));
    let head = format!("{task}, scheduled at {at}, {state}, attempt {}", run.attempt);
    match log {
        Some(log) if log.attempt == run.attempt => format!("{head}\n{}", clean_lines(&log.text)),
        Some(log) => format!("{head}; what attempt {} wrote:\n{}", log.attempt, clean_lines(&log.text)),
        None if run.finished_at.is_none() => format!("{head}\nwhat an attempt writes is kept when it ends"),
        None => format!("{head}\nnothing is kept of its log"),
    }
}

pub(crate) fn explanation(explanation: &ExplanationView, output: &Output) -> String {
    let tone = match (&*explanation.outcome, &explanation.run) {
        ("ran", Some(run)) => Tone::of(&run.state),
        ("recorded", _) => Tone::Warning,
        _ => Tone::Plain,
    };
    format!("{}: {}", clean(&explanation.task), output.paint(&clean(&explanation.sentence), tone))
}

pub(crate) fn change(change: &ChangeView, _: &Output) -> String {
    let what = match (&change.task, &change.run) {
        (None, Some(run)) => format!("run {run}"),
        (Some(task), Some(run)) => format!("{}, run {run}", clean(task)),
        (Some(task), None) => clean(task),
        (None, None) => "all tasks".to_owned(),
    };
    let mut text = format!("{} {what}", change.done);
    if let Some(schedule) = &change.schedule {
        text = format!("{text}: {schedule}");
    }
    if let Some(next) = &change.next {
        text = format!("{text}; next at {}", next.local);
    }
    text
}

pub(crate) fn backfill(backfill: &BackfillView, _: &Output) -> String {
    let left_out = match backfill.left_out {
        0 => String::new(),
        count => format!("; {count} more are beyond the most that one backfill runs"),
    };
    let Some(id) = &backfill.id else {
        let mut lines = vec![format!("{} would run", plural(backfill.occurrences.len(), "occurrence"))];
        lines.extend(backfill.occurrences.iter().map(|at| format!("  {}", at.local)));
        return lines.join("\n");
    };
    if backfill.runs.is_empty() {
        return "nothing to run: no occurrence of the range since the first registration lacks a success".to_owned();
    }
    let runs = plural(backfill.runs.len(), "run");
    match &backfill.ended {
        None => format!("backfill {id}: {runs}, one after another{left_out}"),
        Some(ended) => {
            let ended: Vec<String> = ended.iter().map(|(state, count)| format!("{count} {state}")).collect();
            format!("backfill {id}: {runs}: {}{left_out}", ended.join(", "))
        }
    }
}

pub(crate) fn nodes(nodes: &[NodeView], output: &Output) -> String {
    let columns = [
        Column::text("NODE"),
        Column::word("PRESENCE"),
        Column::text("SEEN"),
        Column::number("RUNS"),
        Column::number("PID"),
        Column::text("BACKEND"),
        Column::text("VERSION"),
        Column::number("TASKS"),
        Column::text("WORKERS"),
        Column::text("QUEUE"),
        Column::text("UP"),
    ];
    let of = |part: Option<usize>, whole: Option<usize>| match (part, whole) {
        (Some(part), Some(whole)) => format!("{part}/{whole}"),
        _ => NOTHING.to_owned(),
    };
    let up = |seconds| symphra_scheduler_core::format_duration(std::time::Duration::from_secs(seconds));
    let row = |node: &NodeView| {
        vec![
            node.node.clone().into(),
            Cell::status(&node.presence),
            node.seen_at.as_ref().map_or_else(|| "now".to_owned(), |at| at.local.clone()).into(),
            node.held_runs.to_string().into(),
            number(node.pid).into(),
            node.backend.clone().into(),
            number(node.version.as_ref()).into(),
            number(node.tasks).into(),
            of(node.active_workers, node.max_workers).into(),
            of(node.queued_runs, node.queue_size).into(),
            number(node.uptime_seconds.map(up)).into(),
        ]
    };
    output.table(&columns, nodes.iter().map(row).collect(), "no node")
}

pub(crate) fn actions(actions: &[ActionView], output: &Output) -> String {
    let columns = [Column::text("AT"), Column::text("ACTOR"), Column::text("CHANGE"), Column::text("OUTCOME")];
    let row = |action: &ActionView| {
        let ActionView { at, actor, change, outcome, .. } = action;
        vec![at.local.clone().into(), actor.clone().into(), change.clone().into(), outcome.clone().into()]
    };
    output.table(&columns, actions.iter().map(row).collect(), "nothing was asked for")
}

pub(crate) fn health(health: &HealthView, output: &Output) -> String {
    let mut lines = vec![match health.well {
        true => output.paint("well", Tone::Good),
        false => output.paint("not well", Tone::Bad),
    }];
    if !health.alive {
        lines.push("it fires no more: it was asked to stop, or has stopped".to_owned());
    }
    if !health.ready {
        lines.push("its store does not answer".to_owned());
    }
    if let Some(store) = &health.store {
        if let Some(since) = &store.unreachable_since {
            let error = store.error.as_deref().map_or_else(String::new, |error| format!(": {}", clean(error)));
            lines.push(format!("it has not reached its store since {}{error}", since.local));
        }
        if store.lease_lost {
            lines.push("its lease may have run out: others may take over its runs".to_owned());
        }
    }
    if let Some(clock) = health.clock.as_ref().filter(|clock| clock.is_off) {
        let how = if clock.offset_ms < 0 { "behind" } else { "ahead of" };
        lines.push(format!("the clock of its store is {} ms {how} this machine's", clock.offset_ms.abs()));
    }
    let running = |run: &RunningView, says: &str| {
        format!("{}, run {}: {says} {} s", clean(&run.task), run.id, run.running_seconds)
    };
    lines.extend(health.stuck.iter().map(|run| running(run, "cannot be stopped, it never awaits; it runs for")));
    for stale in &health.stale {
        let last = stale.last_success.as_ref().map_or_else(|| "never".to_owned(), |last| last.local.clone());
        let expected = &stale.expected_by.local;
        lines.push(format!("{}: a success was due by {expected}; the last was: {last}", clean(&stale.task)));
    }
    lines.extend(health.workers_taken_by.iter().map(|run| running(run, "takes one of the workers, all taken, for")));
    if let Some(until) = &health.clock_repeats_until {
        lines.push(format!("the clock was set back: until {} what falls due is recorded", until.local));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use symphra_scheduler_core::Timestamp;

    use super::*;
    use crate::control::view::{At, ClockView, StoreView};

    #[test]
    fn runs_tell_how_late_and_where_if_there_is_room_and_where_others_are() {
        let at = At::new(Timestamp::from_millis(0), Tz::UTC);
        let run = RunView {
            id: "1".into(),
            task: "pay".into(),
            origin: "schedule".into(),
            state: "failed".into(),
            attempt: 2,
            scheduled_at: at.clone(),
            due_at: at,
            started_at: None,
            finished_at: None,
            missed: None,
            failure: Some("disk full: quota".into()),
            node: Some("host-a".into()),
            lateness_ms: Some(1_500),
            duration_ms: Some(60_000),
            next_page: Some("ended.7".into()),
        };
        let wide = runs(std::slice::from_ref(&run), &Output::plain(Some(160)));
        for part in ["LATE", "1s500ms", "TOOK", "1m", "NODE", "host-a", "disk full: quota", "--after ended.7"] {
            assert!(wide.contains(part), "{part}: {wide}");
        }
        let narrow = runs(&[RunView { next_page: None, ..run }], &Output::plain(Some(120)));
        assert!(!narrow.contains("LATE") && !narrow.contains("host-a") && !narrow.contains("--after"), "{narrow}");
        assert!(narrow.contains("disk full: quota"), "{narrow}");
    }

    #[test]
    fn whatever_is_not_well_is_named() {
        let at = At::new(Timestamp::from_millis(0), Tz::UTC);
        let store = StoreView { unreachable_since: None, error: None, lease_lost: false, in_contact_since: at.clone() };
        let well = HealthView {
            well: true,
            alive: true,
            ready: true,
            store: Some(store.clone()),
            stuck: Vec::new(),
            stale: Vec::new(),
            workers_taken_by: Vec::new(),
            clock: Some(ClockView { offset_ms: 900, is_off: false }),
            clock_repeats_until: None,
        };
        let said = |view: &HealthView| health(view, &Output::plain(None));
        assert_eq!(said(&well), "well");
        let off =
            |offset_ms| HealthView { clock: Some(ClockView { offset_ms, is_off: true }), well: false, ..well.clone() };
        assert_eq!(said(&off(-2_000)), "not well\nthe clock of its store is 2000 ms behind this machine's");
        assert_eq!(said(&off(1_500)), "not well\nthe clock of its store is 1500 ms ahead of this machine's");
        let away =
            StoreView { unreachable_since: Some(at), error: Some("refused\u{1b}".into()), lease_lost: true, ..store };
        let said = said(&HealthView { store: Some(away), ready: false, well: false, ..well.clone() });
        for part in ["does not answer", "has not reached its store since 1970", ": refused", "others may take over"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}
