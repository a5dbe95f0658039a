//! The page of all tasks: search, filter, and a hundred of them at a time.

use maud::{Markup, html};
use serde::Deserialize;

use super::parts::{action, badge, confirmed, short, task_link, when};
use super::shell::{Section, page};
use super::text::encoded;
use super::{Frame, Language};
use crate::control::view::TaskView;
use crate::control::{FoundView, Search};

/// The statuses in the order in which they want to be looked at.
const STATUSES: [&str; 8] =
    ["failed", "retrying", "running", "paused", "pending", "completed", "cancelled", "declared"];

/// Which tasks are asked for, out of the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct TaskSearch {
    pub(in crate::dashboard) q: String,
    pub(in crate::dashboard) status: String,
    pub(in crate::dashboard) tag: String,
    /// Counted from 1.
    pub(in crate::dashboard) page: String,
}

impl TaskSearch {
    /// What is asked of the scheduler.
    pub(in crate::dashboard) fn asked(&self) -> Search {
        let Self { q, status, tag, page } = self.clone();
        Search { text: q, status, tag, page: page.parse().unwrap_or(1) }
    }

    /// The address of another page of the same search.
    fn address(&self, base: &str, page: usize) -> String {
        let Self { q, status, tag, .. } = self;
        format!("{base}/tasks?q={}&status={}&tag={}&page={page}", encoded(q), encoded(status), encoded(tag))
    }
}

/// The tasks that are asked for: a page of those that were found.
pub(in crate::dashboard) fn tasks(frame: &Frame<'_>, found: &FoundView, search: &TaskSearch) -> Markup {
    let words = frame.language.words();
    let (number, pages) = (found.page, found.pages);
    let content = html! {
        h1 { (words.tasks) }
        div #statuses data-live { (statuses(frame, found, search)) }
        (form(frame, found, search))
        section #results data-live aria-label=(words.tasks) {
            p.hint role="status" { (frame.language.so_many(found.found, found.all)) }
            @if found.tasks.is_empty() {
                p.empty { (if found.all == 0 { words.no_tasks } else { words.nothing_found }) }
            } @else {
                (table(frame, &found.tasks))
            }
            @if pages > 1 {
                nav.pages aria-label=(words.page) {
                    @if number > 1 { a href=(search.address(frame.base, number - 1)) { "← " (words.previous_page) } }
                    span { (number) " / " (pages) }
                    @if number < pages { a href=(search.address(frame.base, number + 1)) { (words.next_page) " →" } }
                }
            }
        }
        div.actions {
            (confirmed(frame, words.pause_all, words.pause_all_hint, action(frame, "pause", &[], html! {
                label { (words.pause_reason) input name="reason" maxlength="200"; }
                button.danger { (words.sure_pause_all) }
            })))
            (action(frame, "resume", &[], html! { button { (words.resume_all) } }))
        }
    };
    page(frame, Section::Tasks, words.tasks, content)
}

/// How many tasks there are of each status, each a link that filters by it.
fn statuses(frame: &Frame<'_>, found: &FoundView, search: &TaskSearch) -> Markup {
    html! {
        ul.statuses {
            @for status in STATUSES {
                @if let Some(count) = found.statuses.get(status) {
                    li {
                        a href={ (frame.base) "/tasks?status=" (status) }
                            aria-current=[(search.status == status).then_some("true")] {
                            strong { (count) } " " (badge(frame, status))
                        }
                    }
                }
            }
        }
    }
}

fn form(frame: &Frame<'_>, found: &FoundView, search: &TaskSearch) -> Markup {
    let words = frame.language.words();
    html! {
        form.filter role="search" method="get" action={ (frame.base) "/tasks" } data-search="results" {
            label.wide { (words.search)
                input type="search" name="q" value=(search.q) placeholder=(words.search_hint) autocomplete="off";
            }
            label { (words.status)
                select name="status" {
                    option value="" { (words.any) }
                    @for status in STATUSES {
                        option value=(status) selected[search.status == status] { (frame.language.value(status)) }
                    }
                }
            }
            label { (words.tag)
                select name="tag" {
                    option value="" { (words.any) }
                    @for tag in &found.tags {
                        option value=(tag) selected[search.tag == *tag] { (short(tag)) }
                    }
                }
            }
            button { (words.filter) }
            a.button href={ (frame.base) "/tasks" } { (words.clear) }
        }
    }
}

fn table(frame: &Frame<'_>, tasks: &[TaskView]) -> Markup {
    let words = frame.language.words();
    html! {
        table.cards.tasks {
            thead { tr {
                th scope="col" { (words.name) }
                th scope="col" { (words.status) }
                th scope="col" { (words.schedule) }
                th scope="col" { (words.next) }
                th scope="col" { (words.runs) }
            } }
            tbody {
                @for task in tasks {
                    tr.bad[task.status == "failed"] {
                        th scope="row" {
                            (task_link(frame, &task.name))
                            @if !task.tags.is_empty() { (tags(frame, &task.tags)) }
                        }
                        td.status data-label=(words.status) {
                            div {
                                (badge(frame, &task.status))
                                @if let Some(reason) = task.pause.as_ref().and_then(|pause| pause.reason.as_ref()) {
                                    div.hint { (short(reason)) }
                                }
                            }
                        }
                        td data-label=(words.schedule) { div { (schedule(frame, task)) } }
                        td data-label=(words.next) {
                            div { @match &task.next { Some(at) => (when(frame, at)), None => span.hint { "–" } } }
                        }
                        td data-label=(words.runs) { div { (counts(frame, task)) } }
                    }
                }
            }
        }
    }
}

/// The schedule in words of the page, and the zone of its clock. What has no occurrences needs none.
pub(super) fn schedule(frame: &Frame<'_>, task: &TaskView) -> Markup {
    let told = match frame.language {
        Language::Chinese if !task.schedule_zh.is_empty() => &task.schedule_zh,
        _ => &task.schedule,
    };
    html! { (short(told)) @if task.next.is_some() { " " span.hint.whole { (task.timezone) } } }
}

/// The tags of a task, each a link to all that have it.
pub(super) fn tags(frame: &Frame<'_>, tags: &[String]) -> Markup {
    html! {
        span.tags {
            @for tag in tags { a.tag href={ (frame.base) "/tasks?tag=" (encoded(tag)) } { (short(tag)) } " " }
        }
    }
}

/// How many runs there were, and how they ended.
pub(super) fn counts(frame: &Frame<'_>, task: &TaskView) -> Markup {
    let words = frame.language.words();
    html! {
        @match (task.successful_runs, task.failed_runs, task.total_runs) {
            (Some(0), Some(0), _) => span.hint { (words.none_yet) },
            (Some(good), Some(bad), _) => {
                @if good > 0 { span.whole { (good) " " span.hint { (words.succeeded_runs) } } " " }
                @if bad > 0 { strong.bad.whole { (bad) " " (words.failed_runs) } }
            }
            (_, _, Some(all)) => (all),
            _ => span.hint { "–" },
        }
    }
}
