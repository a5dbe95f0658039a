//! The pages of runs, and of one of them with what it wrote.

use maud::{Markup, html};
use serde::Deserialize;

use super::Frame;
use super::parts::{action, badge, confirmed, instant, long, maybe_instant, short, task_link};
use super::shell::{Section, page};
use super::text::encoded;
use crate::control::view::{LogView, RunView};

/// How many runs one page holds.
pub(in crate::dashboard) const RUNS_SHOWN: usize = 100;

const STATES: [&str; 8] =
    ["queued", "running", "retrying", "succeeded", "failed", "timed_out", "cancelled", "abandoned"];

/// Which runs are asked for, out of the address; what is empty is not asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct RunSearch {
    pub(in crate::dashboard) task: String,
    pub(in crate::dashboard) state: String,
    pub(in crate::dashboard) from: String,
    pub(in crate::dashboard) to: String,
    /// The place behind which the page begins.
    pub(in crate::dashboard) after: String,
}

/// The runs that were asked for, the newest first: a page of at most [`RUNS_SHOWN`].
pub(in crate::dashboard) fn runs(frame: &Frame<'_>, runs: &[RunView], search: &RunSearch) -> Markup {
    let words = frame.language.words();
    let RunSearch { task, state, from, to, .. } = search;
    let (of_task, in_state, since, until) = (encoded(task), encoded(state), encoded(from), encoded(to));
    let newest = format!("{}/runs?task={of_task}&state={in_state}&from={since}&to={until}", frame.base);
    let next = runs.last().and_then(|last| last.next_page.as_deref());
    let older = next.map(|next| format!("{newest}&after={}", encoded(next)));
    let content = html! {
        h1 { (words.runs) }
        form.filter role="search" method="get" action={ (frame.base) "/runs" } {
            label.wide { (words.task) input name="task" value=(search.task) autocomplete="off"; }
            label { (words.state)
                select name="state" {
                    option value="" { (words.any) }
                    @for state in STATES {
                        option value=(state) selected[search.state == state] { (frame.language.value(state)) }
                    }
                }
            }
            label { (words.from) input name="from" value=(search.from) placeholder="2026-12-31T09:00:00Z"; }
            label { (words.to) input name="to" value=(search.to) placeholder="2026-12-31T10:00:00Z"; }
            button { (words.filter) }
            a.button href={ (frame.base) "/runs" } { (words.clear) }
        }
        section #results data-live aria-label=(words.runs) {
            (table(frame, runs, Task::Shown))
            @if older.is_some() || !search.after.is_empty() {
                nav.pages aria-label=(words.page) {
                    @if !search.after.is_empty() { a href=(newest) { "← " (words.newest_runs) } }
                    @if let Some(older) = older { a href=(older) { (words.older) " →" } }
                }
            }
        }
    };
    page(frame, Section::Runs, words.runs, content)
}

/// Whether a table of runs says whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Shown,
    Known,
}

/// A table of runs.
pub(super) fn table(frame: &Frame<'_>, runs: &[RunView], task: Task) -> Markup {
    let words = frame.language.words();
    html! {
        @if runs.is_empty() {
            p.empty { (words.no_runs) }
        } @else {
            table.cards {
                thead { tr {
                    th scope="col" { (words.scheduled) }
                    @if task == Task::Shown { th scope="col" { (words.task) } }
                    th scope="col" { (words.state) }
                    th scope="col" { (words.attempt) }
                    th scope="col" { (words.lateness) }
                    th scope="col" { (words.duration) }
                    th scope="col" { (words.node) }
                    th scope="col" { (words.error) }
                } }
                tbody { @for run in runs { (row(frame, run, task)) } }
            }
        }
    }
}

fn row(frame: &Frame<'_>, run: &RunView, task: Task) -> Markup {
    let words = frame.language.words();
    html! {
        tr {
            th scope="row" { a href={ (frame.base) "/run?id=" (encoded(&run.id)) } { (run.scheduled_at.local) } }
            @if task == Task::Shown { td data-label=(words.task) { div { (task_link(frame, &run.task)) } } }
            td data-label=(words.state) { div { (badge(frame, &run.state)) } }
            td data-label=(words.attempt) { div { (run.attempt) } }
            td data-label=(words.lateness) { div { (length(frame, run.lateness_ms)) } }
            td data-label=(words.duration) { div { (length(frame, run.duration_ms)) } }
            td data-label=(words.node) { div { (node(run)) } }
            td.error data-label=(words.error) {
                div { @match &run.failure { Some(failure) => (short(failure)), None => span.hint { "–" } } }
            }
        }
    }
}

fn length(frame: &Frame<'_>, millis: Option<u64>) -> Markup {
    let millis = millis.map(|millis| i64::try_from(millis).unwrap_or(i64::MAX));
    html! {
        @match millis { Some(millis) => span.whole { (frame.language.length(millis)) }, None => span.hint { "–" } }
    }
}

fn node(run: &RunView) -> Markup {
    html! {
        @match &run.node { Some(node) => (short(node)), None => span.hint { "–" } }
    }
}

/// One run, with its error and what it wrote.
pub(in crate::dashboard) fn run(frame: &Frame<'_>, view: &LogView) -> Markup {
    let words = frame.language.words();
    let run = &view.run;
    let alive = matches!(run.state.as_str(), "queued" | "running" | "retrying");
    let content = html! {
        div #run data-live {
            h1 { (words.run) " " (task_link(frame, &run.task)) " " (badge(frame, &run.state)) }
            dl.facts {
                div { dt { "Id" } dd { code { (short(&run.id)) } } }
                div { dt { (words.origin) } dd { (short(frame.language.value(&run.origin))) } }
                div { dt { (words.attempt) } dd { (run.attempt) } }
                div { dt { (words.scheduled) } dd { (instant(frame, &run.scheduled_at)) } }
                div { dt { (words.due) } dd { (instant(frame, &run.due_at)) } }
                div { dt { (words.started) } dd { (maybe_instant(frame, run.started_at.as_ref())) } }
                div { dt { (words.ended) } dd { (maybe_instant(frame, run.finished_at.as_ref())) } }
                div { dt { (words.lateness) } dd { (length(frame, run.lateness_ms)) } }
                div { dt { (words.duration) } dd { (length(frame, run.duration_ms)) } }
                div { dt { (words.node) } dd { (node(run)) } }
                @if let Some(missed) = &run.missed {
                    div { dt { (words.stands_for) }
                        dd { (missed.count) ", " (words.first) " " (instant(frame, &missed.first)) } }
                }
            }
            @if let Some(failure) = &run.failure {
                section { h2 { (words.error) } (long(frame, failure)) }
            }
            section {
                h2 { (words.log) }
                @match &view.log {
                    Some(log) => { p.hint { (words.attempt) " " (log.attempt) } (long(frame, &log.text)) }
                    None => p.empty { (words.no_log) },
                }
            }
        }
        @if alive {
            div.actions {
                (confirmed(frame, words.cancel, words.cancel_hint, action(frame, "cancel", &[("run", &run.id)], html! {
                    button.danger { (words.sure_cancel) }
                })))
            }
        }
    };
    page(frame, Section::Runs, words.run, content)
}
