//! The page of all tasks: search, filter, and a hundred of them at a time.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde::Deserialize;

use super::Frame;
use super::parts::{action, badge, confirmed, maybe_instant, short, task_link};
use super::shell::{Section, page};
use super::text::encoded;
use crate::control::view::TaskView;

/// How many tasks one page holds: what a browser lays out at once, whatever number there is.
const TASKS_SHOWN: usize = 100;

/// How many tags are offered in the list: past it a person searches.
const TAGS_OFFERED_MAX: usize = 200;

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
    /// Every word of the search is in the name, a tag or the schedule.
    fn finds(&self, task: &TaskView, words: &[String]) -> bool {
        let holds = |text: &str, word: &str| text.to_lowercase().contains(word);
        (self.status.is_empty() || task.status == self.status)
            && (self.tag.is_empty() || task.tags.contains(&self.tag))
            && words.iter().all(|word| {
                holds(&task.name, word) || holds(&task.schedule, word) || task.tags.iter().any(|tag| holds(tag, word))
            })
    }

    /// The address of another page of the same search.
    fn address(&self, base: &str, page: usize) -> String {
        let Self { q, status, tag, .. } = self;
        format!("{base}/tasks?q={}&status={}&tag={}&page={page}", encoded(q), encoded(status), encoded(tag))
    }
}

/// The tasks that are asked for, out of all.
pub(in crate::dashboard) fn tasks(frame: &Frame<'_>, all: &[TaskView], search: &TaskSearch) -> Markup {
    let words = frame.language.words();
    let wanted: Vec<String> = search.q.split_whitespace().map(str::to_lowercase).collect();
    let found: Vec<&TaskView> = all.iter().filter(|task| search.finds(task, &wanted)).collect();
    let pages = found.len().div_ceil(TASKS_SHOWN).max(1);
    let number = search.page.parse::<usize>().unwrap_or(1).clamp(1, pages);
    let from = (number - 1) * TASKS_SHOWN;
    let shown = &found[from..found.len().min(from + TASKS_SHOWN)];
    let content = html! {
        h1 { (words.tasks) }
        div #statuses data-live { (statuses(frame, all, search)) }
        (form(frame, all, search))
        section #results data-live aria-label=(words.tasks) {
            p.hint role="status" { (frame.language.so_many(found.len(), all.len())) }
            @if shown.is_empty() {
                p.empty { (if all.is_empty() { words.no_tasks } else { words.nothing_found }) }
            } @else {
                (table(frame, shown))
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
fn statuses(frame: &Frame<'_>, all: &[TaskView], search: &TaskSearch) -> Markup {
    html! {
        ul.statuses {
            @for status in STATUSES {
                @let count = all.iter().filter(|task| task.status == status).count();
                @if count > 0 {
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

fn form(frame: &Frame<'_>, all: &[TaskView], search: &TaskSearch) -> Markup {
    let words = frame.language.words();
    let tags: BTreeSet<&str> = all.iter().flat_map(|task| task.tags.iter().map(String::as_str)).collect();
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
                    @for tag in tags.into_iter().take(TAGS_OFFERED_MAX) {
                        option value=(tag) selected[search.tag == tag] { (short(tag)) }
                    }
                }
            }
            button { (words.filter) }
            a.button href={ (frame.base) "/tasks" } { (words.clear) }
        }
    }
}

fn table(frame: &Frame<'_>, tasks: &[&TaskView]) -> Markup {
    let words = frame.language.words();
    html! {
        table.cards {
            thead { tr {
                th scope="col" { (words.name) }
                th scope="col" { (words.status) }
                th scope="col" { (words.schedule) }
                th scope="col" { (words.next) }
                th scope="col" { (words.runs) }
            } }
            tbody {
                @for task in tasks {
                    tr {
                        th scope="row" {
                            (task_link(frame, &task.name))
                            @if !task.tags.is_empty() { (tags(frame, &task.tags)) }
                        }
                        td data-label=(words.status) {
                            div {
                                (badge(frame, &task.status))
                                @if let Some(reason) = task.pause.as_ref().and_then(|pause| pause.reason.as_ref()) {
                                    div.hint { (short(reason)) }
                                }
                            }
                        }
                        td data-label=(words.schedule) { div { (short(&task.schedule)) " " span.hint { (task.timezone) } } }
                        td data-label=(words.next) { div { (maybe_instant(frame, task.next.as_ref())) } }
                        td data-label=(words.runs) { div { (counts(frame, task)) } }
                    }
                }
            }
        }
    }
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
            (Some(good), Some(bad), _) => {
                (good) " " span.hint { (words.succeeded_runs) }
                @if bad > 0 { ", " strong.bad { (bad) " " (words.failed_runs) } }
            }
            (_, _, Some(all)) => (all),
            _ => span.hint { "–" },
        }
    }
}
