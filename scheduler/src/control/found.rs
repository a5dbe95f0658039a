//! Tasks that are looked for, a page at a time: thousands are looked through, and only those of the page are told.
//!
//! Invariant: what is counted is counted over all tasks, whatever page is asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Language;

use super::view::TaskView;
use crate::task::TaskInfo;

/// How many tasks one page holds: what a browser lays out at once, whatever number there is.
pub(crate) const TASKS_ON_PAGE: usize = 100;

/// How many tags are told: past it a person searches.
const TAGS_MAX: usize = 200;

/// Which tasks are looked for; what is empty is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Search {
    /// Each of its words is in the name, a tag or the schedule.
    pub(crate) text: String,
    pub(crate) status: String,
    pub(crate) tag: String,
    /// Counted from 1; one that there is not is the nearest that there is.
    pub(crate) page: usize,
}

/// A page of the tasks that were found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundView {
    pub(crate) tasks: Vec<TaskView>,
    pub(crate) found: usize,
    /// Counted from 1.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// How many there are, found or not, and how many of each status.
    pub(crate) all: usize,
    pub(crate) statuses: BTreeMap<String, usize>,
    /// The tags that there are, in order: the first of them.
    pub(crate) tags: Vec<String>,
}

/// What a search looks at.
pub(super) trait Searched {
    fn name(&self) -> &str;
    fn status(&self) -> String;
    fn tags(&self) -> impl Iterator<Item = &str>;
    /// In English and in Chinese: costly, so it is asked for last.
    fn schedule(&self) -> [String; 2];
    fn into_view(self) -> TaskView;
}

impl Searched for TaskInfo {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(AsRef::as_ref)
    }

    fn schedule(&self) -> [String; 2] {
        [self.schedule.describe(), self.schedule.describe_in(Language::Chinese)]
    }

    fn into_view(self) -> TaskView {
        TaskView::of(self)
    }
}

#[cfg(all(test, feature = "cli"))]
impl Searched for TaskView {
    fn name(&self) -> &str {
        &self.name
    }

    fn status(&self) -> String {
        self.status.clone()
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(String::as_str)
    }

    fn schedule(&self) -> [String; 2] {
        [self.schedule.clone(), self.schedule_zh.clone()]
    }

    fn into_view(self) -> TaskView {
        self
    }
}

impl Search {
    /// The page of those among `all` that are looked for, in their order.
    pub(super) fn among<T: Searched>(&self, all: Vec<T>) -> FoundView {
        let words: Vec<String> = self.text.split_whitespace().map(str::to_lowercase).collect();
        let (mut statuses, mut tags, of_all) = (BTreeMap::new(), BTreeSet::new(), all.len());
        let mut found = Vec::new();
        for task in all {
            let status = task.status();
            for tag in task.tags() {
                if !tags.contains(tag) {
                    tags.insert(tag.to_owned());
                }
            }
            let wanted = (self.status.is_empty() || status == self.status)
                && (self.tag.is_empty() || task.tags().any(|tag| tag == self.tag))
                && holds(&task, &words);
            *statuses.entry(status).or_default() += 1;
            if wanted {
                found.push(task);
            }
        }
        let pages = found.len().div_ceil(TASKS_ON_PAGE).max(1);
        let page = self.page.clamp(1, pages);
        let of_found = found.len();
        let shown = found.into_iter().skip((page - 1) * TASKS_ON_PAGE).take(TASKS_ON_PAGE);
        FoundView {
            tasks: shown.map(Searched::into_view).collect(),
            found: of_found,
            page,
            pages,
            all: of_all,
            statuses,
            tags: tags.into_iter().take(TAGS_MAX).collect(),
        }
    }
}

/// Whether each of the words, which are in lower case, is in the name, a tag or the schedule.
fn holds<T: Searched>(task: &T, words: &[String]) -> bool {
    let has = |text: &str, word: &str| text.to_lowercase().contains(word);
    let mut rest =
        words.iter().filter(|word| !has(task.name(), word) && !task.tags().any(|tag| has(tag, word))).peekable();
    if rest.peek().is_none() {
        return true;
    }
    let schedule = task.schedule();
    rest.all(|word| schedule.iter().any(|said| has(said, word)))
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    fn task(name: &str, tag: &str, status: &str) -> TaskView {
        serde_json::from_value(serde_json::json!({
            "name": name, "schedule": "every hour", "schedule_zh": "每小时", "timezone": "UTC", "status": status,
            "next": null, "pause": null, "tags": [tag], "metadata": [], "priority": 0, "source": "", "running": 0,
            "total_runs": null, "successful_runs": null, "failed_runs": null,
        }))
        .expect("a task")
    }

    fn search(text: &str) -> Search {
        Search { text: text.to_owned(), ..Search::default() }
    }

    #[test]
    fn every_word_is_looked_for_in_the_name_the_tags_and_the_schedule_of_both_languages() {
        let all = || vec![task("Send_Invoices", "billing", "failed"), task("reindex", "search", "running")];
        let found = |text: &str| search(text).among(all()).tasks.into_iter().map(|task| task.name).collect::<Vec<_>>();
        assert_eq!(found(""), ["Send_Invoices", "reindex"]);
        assert_eq!(found("invoices BILL"), ["Send_Invoices"]);
        assert_eq!(found("hour search"), ["reindex"]);
        assert_eq!(found("每小时 invoices"), ["Send_Invoices"]);
        assert!(found("hour invoices search").is_empty());
    }

    #[test]
    fn what_is_counted_is_counted_over_all_and_a_page_that_there_is_not_is_the_nearest() {
        let all =
            || (0..250).map(|n| task(&format!("{n:03}"), ["a", "b"][n % 2], ["failed", "pending"][n % 2])).collect();
        let last = Search { tag: "a".to_owned(), page: 99, ..Search::default() }.among::<TaskView>(all());
        assert_eq!((last.page, last.pages, last.found, last.all, last.tasks.len()), (2, 2, 125, 250, 25));
        assert_eq!(last.tasks[0].name, "200");
        assert_eq!((last.statuses["failed"], last.statuses["pending"]), (125, 125));
        assert_eq!(last.tags, ["a", "b"]);
        let none = Search { status: "paused".to_owned(), ..Search::default() }.among::<TaskView>(all());
        assert_eq!((none.page, none.pages, none.found), (1, 1, 0));
    }

    #[test]
    fn the_tags_that_are_told_are_bounded() {
        let all = (0..1_000).map(|n| task("t", &format!("{n:04}"), "pending")).collect::<Vec<_>>();
        assert_eq!(search("").among(all).tags.len(), TAGS_MAX);
    }
}
