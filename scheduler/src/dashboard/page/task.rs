//! The page of one task: when it runs, how it has run, and why it did not.

use maud::{Markup, html};
use serde::Deserialize;

use super::parts::{action, badge, instant, pause, short};
use super::shell::{Section, page};
use super::text::encoded;
use super::{Frame, chart, runs, tasks};
use crate::control::view::{At, BackfillView, ExplanationView, RecordView, RunView, TaskPage};

/// How many runs the charts look back.
pub(in crate::dashboard) const HISTORY: usize = 60;

/// How many occurrences a preview lists; the others are counted.
const PREVIEWED: usize = 20;

/// What is asked of a task, out of the address; what is empty is not asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct TaskQuery {
    pub(in crate::dashboard) name: String,
    /// The instant that is to be explained.
    pub(in crate::dashboard) at: String,
    /// The range of which a backfill is previewed.
    pub(in crate::dashboard) from: String,
    pub(in crate::dashboard) to: String,
    /// `on`, as a ticked box sends it.
    pub(in crate::dashboard) rerun: String,
}

/// What was told about it: an error is shown beside the form that asked.
#[derive(Clone, Debug, Default)]
pub(in crate::dashboard) struct Told {
    pub(in crate::dashboard) explained: Option<Result<ExplanationView, String>>,
    pub(in crate::dashboard) preview: Option<Result<BackfillView, String>>,
}

/// One task. `history` are its latest runs, the newest first, at most [`HISTORY`].
pub(in crate::dashboard) fn task(
    frame: &Frame<'_>,
    view: &TaskPage,
    history: &[RunView],
    query: &TaskQuery,
    told: &Told,
) -> Markup {
    let words = frame.language.words();
    let task = &view.task;
    let content = html! {
        div #task data-live {
            h1 { (short(&task.name)) " " (badge(frame, &task.status)) }
            p.lead { (tasks::schedule(frame, task)) }
            @if let Some(by) = &task.pause { (pause(frame, by)) }
        }
        (buttons(frame, view))
        div.columns {
            section.card #next data-live { h2 { (words.next_five) } (upcoming(frame, &view.next_occurrences)) }
            section.card #facts data-live { (facts(frame, view)) }
        }
        section #history data-live { h2 { (words.history) } (chart::history(frame, history)) }
        section #records data-live { h2 { (words.records) } (records(frame, &view.records)) }
        section #runs data-live {
            h2 { (words.latest_runs) }
            (runs::table(frame, &view.latest_runs, runs::Task::Known))
            p { a href={ (frame.base) "/runs?task=" (encoded(&task.name)) } { (words.all_runs) " →" } }
        }
        div.columns {
            (explain(frame, query, told))
            (backfill(frame, query, told))
        }
    };
    page(frame, Section::Tasks, &task.name, content)
}

fn buttons(frame: &Frame<'_>, view: &TaskPage) -> Markup {
    let words = frame.language.words();
    let name = [("task", view.task.name.as_str())];
    html! {
        div.actions #buttons data-live {
            (action(frame, "trigger", &name, html! {
                button.primary title=(words.trigger_hint) { (words.trigger) }
            }))
            @if view.task.pause.is_some() {
                (action(frame, "resume", &name, html! { button { (words.resume) } }))
            } @else {
                (action(frame, "pause", &name, html! {
                    label.inline { span.unseen { (words.pause_reason) }
                        input name="reason" maxlength="200" placeholder=(words.pause_reason);
                    }
                    button { (words.pause) }
                }))
            }
        }
    }
}

fn upcoming(frame: &Frame<'_>, next: &[At]) -> Markup {
    html! {
        @if next.is_empty() {
            p.empty { (frame.language.words().no_next) }
        } @else {
            ol.plain { @for at in next { li { (instant(frame, at)) } } }
        }
    }
}

fn facts(frame: &Frame<'_>, view: &TaskPage) -> Markup {
    let words = frame.language.words();
    let task = &view.task;
    html! {
        h2 { (words.ledger) }
        dl.facts {
            @if let Some(ledger) = view.ledger {
                div { dt { (words.all_occurrences) } dd { (ledger.occurrences) } }
                div { dt { (words.became_runs) } dd { (ledger.runs) } }
                div { dt { (words.recorded) } dd { (ledger.recorded) } }
            }
            div { dt { (words.runs) } dd { (tasks::counts(frame, task)) } }
            div { dt { (words.priority) } dd { (task.priority) } }
            div { dt { (words.source) } dd { code { (short(&task.source)) } } }
            @if !task.tags.is_empty() { div { dt { (words.tags) } dd { (tasks::tags(frame, &task.tags)) } } }
            @for (key, value) in &task.metadata { div { dt { (short(key)) } dd { (short(value)) } } }
        }
    }
}

fn records(frame: &Frame<'_>, records: &[RecordView]) -> Markup {
    let words = frame.language.words();
    html! {
        @if records.is_empty() {
            p.empty { (words.no_records) }
        } @else {
            table.cards {
                thead { tr {
                    th scope="col" { (words.reason) }
                    th scope="col" { (words.count) }
                    th scope="col" { (words.first) }
                    th scope="col" { (words.last) }
                    th scope="col" { (words.note) }
                } }
                tbody {
                    @for record in records {
                        tr {
                            th scope="row" { (short(frame.language.reason(&record.reason))) }
                            td data-label=(words.count) { div { (record.count) } }
                            td data-label=(words.first) { div { (instant(frame, &record.first)) } }
                            td data-label=(words.last) { div { (instant(frame, &record.last)) } }
                            td data-label=(words.note) {
                                div { @match &record.note { Some(note) => (short(note)), None => span.hint { "–" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn explain(frame: &Frame<'_>, query: &TaskQuery, told: &Told) -> Markup {
    let words = frame.language.words();
    html! {
        section.card #explain {
            h2 { (words.explain) }
            form method="get" action={ (frame.base) "/task#explain" } {
                input type="hidden" name="name" value=(query.name);
                label { (words.instant)
                    input name="at" value=(query.at) required aria-describedby="instant-hint";
                }
                p.hint #instant-hint { (words.instant_hint) }
                button { (words.explain) }
            }
            @match &told.explained {
                Some(Ok(explained)) => {
                    p.answer role="status" { (short(&explained.sentence)) }
                    @if let Some(run) = &explained.run {
                        p { a href={ (frame.base) "/run?id=" (encoded(&run.id)) } { (words.run) " " (badge(frame, &run.state)) } }
                    }
                    @if explained.previous.is_some() || explained.next.is_some() {
                        p { (words.neighbours) ":" }
                        ul.plain {
                            @for at in [&explained.previous, &explained.next].into_iter().flatten() {
                                li { (instant(frame, at)) }
                            }
                        }
                    }
                }
                Some(Err(says)) => (refused(says)),
                None => p.hint { (words.explain_hint) },
            }
        }
    }
}

fn backfill(frame: &Frame<'_>, query: &TaskQuery, told: &Told) -> Markup {
    let words = frame.language.words();
    html! {
        section.card #backfill {
            h2 { (words.backfill) }
            form method="get" action={ (frame.base) "/task#backfill" } {
                input type="hidden" name="name" value=(query.name);
                label { (words.from) input name="from" value=(query.from) required aria-describedby="instant-hint"; }
                label { (words.to) input name="to" value=(query.to) aria-describedby="instant-hint"; }
                label.check { input type="checkbox" name="rerun" checked[query.rerun == "on"]; " " (words.rerun) }
                button { (words.preview) }
            }
            @match &told.preview {
                Some(Ok(preview)) => (previewed(frame, query, preview)),
                Some(Err(says)) => (refused(says)),
                None => p.hint { (words.backfill_hint) },
            }
        }
    }
}

fn previewed(frame: &Frame<'_>, query: &TaskQuery, preview: &BackfillView) -> Markup {
    let words = frame.language.words();
    let mut hidden = vec![("task", query.name.as_str()), ("from", &query.from)];
    hidden.extend((!query.to.is_empty()).then_some(("to", query.to.as_str())));
    hidden.extend((query.rerun == "on").then_some(("rerun", "on")));
    html! {
        @if preview.occurrences.is_empty() {
            p.answer role="status" { (words.nothing_to_backfill) }
        } @else {
            p.answer role="status" { strong { (preview.occurrences.len()) } " " (words.would_run) }
            ul.plain {
                @for at in preview.occurrences.iter().take(PREVIEWED) { li { (instant(frame, at)) } }
                @if preview.occurrences.len() > PREVIEWED { li { "… +" (preview.occurrences.len() - PREVIEWED) } }
            }
            @if preview.left_out > 0 { p.hint { (preview.left_out) " " (words.left_out) } }
            (action(frame, "backfill", &hidden, html! { button.primary { (words.begin_backfill) } }))
        }
    }
}

fn refused(says: &str) -> Markup {
    html! { p.notice.bad role="alert" { span aria-hidden="true" { "✕ " } (short(says)) } }
}
