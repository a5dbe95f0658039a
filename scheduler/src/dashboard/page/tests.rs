//! Every page with hostile input: whatever a program wrote, a page holds no element, attribute or endless text of it.

use serde_json::json;
use symphra_scheduler_core::Timestamp;

use super::*;
use crate::control::FoundView;
use crate::control::day::{DayRow, DayView, MinuteView, NamedView, QUARTERS};
use crate::control::view::{
    ActionView, At, BackfillView, ExplanationView, HealthView, LetterView, LogView, NodeView, RunView, TaskPage,
    TaskView,
};

/// An element, an end of an attribute, a mark that turns the direction of text, and the length of a book.
fn hostile() -> String {
    format!("<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{202e}evil{}", "x".repeat(10_000))
}

const NOW_MS: i64 = 1_800_000_000_000;

fn at() -> At {
    At::new(Timestamp::from_millis(NOW_MS), chrono_tz::UTC)
}

fn run_of(text: &str, state: &str) -> RunView {
    serde_json::from_value(json!({
        "id": text, "task": text, "origin": text, "state": state, "attempt": 2, "scheduled_at": at(), "due_at": at(),
        "started_at": at(), "finished_at": at(), "missed": { "count": 3, "first": at() }, "failure": text, "node": text,
    }))
    .expect("a run")
}

fn task_of(text: &str, status: &str) -> TaskView {
    serde_json::from_value(json!({
        "name": text, "schedule": text, "timezone": "UTC", "status": status, "next": at(),
        "pause": { "by": text, "reason": text, "since": at() }, "tags": [text], "metadata": [[text, text]],
        "priority": 0, "source": text, "running": 0, "total_runs": 3, "successful_runs": 1, "failed_runs": 2,
    }))
    .expect("a task")
}

fn found_of(tasks: &[TaskView], page: usize) -> FoundView {
    let statuses = tasks.iter().map(|task| (task.status.clone(), 1)).collect();
    let tags = tasks.iter().flat_map(|task| task.tags.clone()).collect();
    let found = tasks.len();
    FoundView { tasks: tasks.to_vec(), found, page, pages: 1, all: found, statuses, tags }
}

fn row_of(task: &str, occurrences: usize) -> DayRow {
    DayRow { task: task.to_owned(), quarters: vec![1; QUARTERS], occurrences, goes_on_ms: None }
}

fn day_of(page: usize, pages: usize) -> DayView {
    let (rows, busiest) = (Vec::new(), Vec::new());
    DayView { from_ms: 0, rows, page, pages, idle: NamedView::default(), busiest }
}

fn frame(rights: Rights) -> Frame<'static> {
    Frame {
        base: "/ops",
        language: Language::English,
        rights,
        session: Session::SignedIn,
        done: Some("<script>"),
        now: Timestamp::from_millis(NOW_MS),
    }
}

fn page_of(text: &str) -> TaskPage {
    TaskPage {
        task: task_of(text, text),
        next_occurrences: vec![at()],
        ledger: None,
        records: vec![
            serde_json::from_value(json!({ "reason": text, "first": at(), "last": at(), "count": 1, "note": text }))
                .expect("a record"),
        ],
        latest_runs: vec![run_of(text, "failed")],
    }
}

/// All pages, made of `text` wherever a program or an address may have written.
fn all_pages(frame: &Frame<'_>, text: &str) -> Vec<(&'static str, String)> {
    let owned = || text.to_owned();
    let query = TaskQuery { name: owned(), at: owned(), from: owned(), to: owned(), rerun: owned() };
    let told = Told {
        explained: Some(Ok(ExplanationView {
            task: owned(),
            at: at(),
            outcome: owned(),
            sentence: owned(),
            run: Some(run_of(text, "failed")),
            record: None,
            previous: Some(at()),
            next: None,
        })),
        preview: Some(Ok(BackfillView {
            task: owned(),
            id: None,
            occurrences: vec![at(); 30],
            runs: Vec::new(),
            left_out: 1,
            ended: None,
        })),
    };
    let refused = Told { explained: Some(Err(owned())), preview: Some(Err(owned())) };
    let log: LogView = LogView {
        run: run_of(text, "running"),
        log: Some(serde_json::from_value(json!({ "attempt": 1, "text": text })).expect("a log")),
    };
    let letter: LetterView = serde_json::from_value(json!({
        "id": text, "task": text, "state": "failed", "attempt": 3, "scheduled_at": at(), "died_at": at(),
        "failure": text, "version": 1, "arguments": { text: text },
    }))
    .expect("a letter");
    let node: NodeView = serde_json::from_value(json!({
        "node": text, "presence": text, "held_runs": 1, "backend": "sqlite", "version": text, "tzdb": text,
    }))
    .expect("a node");
    let running = json!([{ "task": text, "id": text, "attempt": 1, "running_seconds": 9 }]);
    let health: HealthView = serde_json::from_value(json!({
        "well": false, "alive": false, "ready": false, "stuck": running, "workers_taken_by": running,
        "store": { "unreachable_since": at(), "error": text, "lease_lost": true, "in_contact_since": at() },
        "stale": [{ "task": text, "expected_by": at() }], "clock": { "offset_ms": 4, "is_off": true },
    }))
    .expect("a health");
    let named = || NamedView { count: 1, first: vec![owned()] };
    let busiest = vec![MinuteView { at_ms: 0, tasks: named() }];
    let day = DayView { rows: vec![row_of(text, 2)], idle: named(), busiest, ..day_of(1, 1) };
    let action = ActionView { at: at(), actor: owned(), task: Some(owned()), change: owned(), outcome: owned() };
    let search = TaskSearch { q: String::new(), status: String::new(), tag: owned(), page: owned() };
    let runs_search = RunSearch { task: owned(), state: owned(), from: owned(), to: owned(), after: owned() };
    let many: Vec<RunView> = (0..=RUNS_SHOWN).map(|_| run_of(text, "failed")).collect();
    let page = page_of(text);
    [
        ("tasks", tasks(frame, &found_of(&[task_of(text, "paused")], 1), &search)),
        ("task", task(frame, &page, &page.latest_runs, &query, &told)),
        ("task, refused", task(frame, &page, &page.latest_runs, &query, &refused)),
        ("timeline", timeline(frame, &day)),
        ("runs", runs(frame, &many, &runs_search)),
        ("run", run(frame, &log)),
        ("nodes", nodes(frame, &[node], &health)),
        ("letters", letters(frame, &[letter], text)),
        ("actions", actions(frame, &[action])),
        ("problem", problem(frame, text, text)),
        ("sign in", sign_in(frame, SignIn::Refused)),
    ]
    .map(|(name, page)| (name, page.into_string()))
    .into()
}

#[test]
fn what_a_program_wrote_becomes_no_element_and_no_attribute() {
    for (name, page) in all_pages(&frame(Rights::Write), &hostile()) {
        assert_eq!(page.matches("<script").count(), 1, "{name}: only our own");
        assert!(!page.contains("<img src=x"), "{name}");
        assert!(!page.contains("\"'>"), "{name}");
        for (place, _) in page.match_indices(" onerror=") {
            assert!(page[..place].ends_with("src=x"), "{name}: only as text");
        }
    }
}

#[test]
fn a_long_text_is_cut() {
    let told = "y".repeat(10_000);
    let page = run(
        &frame(Rights::Read),
        &LogView { run: RunView { task: "t".to_owned(), id: "i".to_owned(), ..run_of(&told, "failed") }, log: None },
    );
    let longest = page.into_string().split(|c| c != 'y').map(str::len).max();
    assert_eq!(longest, Some(text::LONG_BYTES_MAX));
}

#[test]
fn text_that_turns_the_direction_stays_within_its_element() {
    let turned = "\u{202e}desrever";
    for (name, page) in all_pages(&frame(Rights::Write), turned) {
        for (place, _) in page.match_indices(turned) {
            let before = &page[..place];
            let element = &before[before.rfind('<').expect("an element")..];
            let apart = element.starts_with("<bdi>")
                || element.starts_with("<pre dir=\"auto\"")
                // In an attribute, a title or an option it is no text of the page's flow.
                || !element.contains('>')
                || element.starts_with("<title>");
            assert!(apart, "{name}: {element}");
        }
    }
}

#[test]
fn nothing_is_inline_and_nothing_is_asked_of_others() {
    for (name, page) in all_pages(&frame(Rights::Write), "plain") {
        for inline in [" style=", " onclick=", "<style", "javascript:", "http://", "https://"] {
            assert!(!page.contains(inline), "{name}: {inline}");
        }
        for link in ["href=\"", "src=\"", "action=\""] {
            for (place, _) in page.match_indices(link) {
                let address = &page[place + link.len()..];
                assert!(address.starts_with("/ops/") || address.starts_with("#main"), "{name}: {}", &address[..20]);
            }
        }
    }
}

#[test]
fn who_may_only_read_gets_no_form_that_changes() {
    for (name, page) in all_pages(&frame(Rights::Read), "plain") {
        assert!(!page.contains("/ops/do/"), "{name}");
    }
    let writer = all_pages(&frame(Rights::Write), "plain");
    for change in ["trigger", "resume", "pause", "backfill", "cancel", "run-again", "drop-letter"] {
        let action = format!("action=\"/ops/do/{change}\"");
        assert!(writer.iter().any(|(_, page)| page.contains(&action)), "{change}");
    }
}

#[test]
fn every_page_has_its_landmarks_and_one_heading_of_the_first_level() {
    for (name, page) in all_pages(&frame(Rights::Write), "plain") {
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
        assert_eq!(page.matches("<main").count(), 1, "{name}");
        assert!(page.contains("<html lang=\"en\">") && page.contains("href=\"#main\""), "{name}");
        let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}: an id stands twice");
    }
}

#[test]
fn a_chinese_page_says_so_and_leaves_the_programs_words_alone() {
    let frame = Frame { language: Language::Chinese, ..frame(Rights::Write) };
    let view = TaskView { schedule_zh: "每小时".to_owned(), ..task_of("rechnung", "failed") };
    let page = tasks(&frame, &found_of(&[view], 1), &TaskSearch::default()).into_string();
    assert!(page.contains("每小时"));
    assert!(page.contains("<html lang=\"zh\">") && page.contains("任务") && page.contains("失败"));
    assert!(page.contains("rechnung"));
}

#[test]
fn a_page_of_many_tasks_leads_to_those_beside_it_with_the_same_search() {
    let of = |page: usize| {
        let search = TaskSearch { q: "a b".to_owned(), tag: "x".to_owned(), ..TaskSearch::default() };
        let found = FoundView { pages: 3, ..found_of(&[task_of("report", "pending")], page) };
        tasks(&frame(Rights::Read), &found, &search).into_string()
    };
    let (before, after) = ("/ops/tasks?q=a%20b&amp;status=&amp;tag=x&amp;page=1", "tag=x&amp;page=3");
    assert!(of(2).contains(before) && of(2).contains(after) && of(2).contains("2 / 3"));
    assert!(!of(1).contains("&amp;page=0") && !of(3).contains("&amp;page=4"));
    let none = FoundView { all: 7, ..found_of(&[], 1) };
    assert!(tasks(&frame(Rights::Read), &none, &TaskSearch::default()).into_string().contains("No task is like that."));
}

#[test]
fn one_occurrence_is_told_as_one_and_tasks_without_any_are_named_below() {
    let idle = NamedView { count: 14, first: vec!["never".to_owned()] };
    let day = DayView { rows: vec![row_of("daily", 1)], idle, ..day_of(1, 1) };
    let page = timeline(&frame(Rights::Read), &day).into_string();
    assert!(page.contains("1 occurrence<") && !page.contains("1 occurrences"), "{page}");
    let (rows, below) = page.split_once("Not within 24 hours").expect("it is said");
    assert!(!rows.contains("task?name=never") && below.contains("task?name=never"), "{page}");
    assert!(below.contains("+13"), "{page}");
    let quiet = DayView { idle: NamedView { count: 1, first: Vec::new() }, ..day_of(1, 1) };
    assert!(timeline(&frame(Rights::Read), &quiet).into_string().contains("Nothing falls due within 24 hours."));
    assert!(timeline(&frame(Rights::Read), &day_of(1, 1)).into_string().contains("There are no tasks."));
}

#[test]
fn what_falls_into_one_minute_is_named() {
    let tasks = NamedView { count: 14, first: vec!["invoices".to_owned(), "mails".to_owned()] };
    let busiest = vec![MinuteView { at_ms: 9 * 3_600_000 + 30 * 60_000, tasks }];
    let day = DayView { rows: vec![row_of("invoices", 1), row_of("mails", 1)], busiest, ..day_of(1, 1) };
    let page = timeline(&frame(Rights::Read), &day).into_string();
    for told in ["at most <strong>14</strong>", "09:30", " +12"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let alone = DayView { busiest: Vec::new(), ..day };
    assert!(timeline(&frame(Rights::Read), &alone).into_string().contains("No two tasks fall due in the same minute."));
}

#[test]
fn pages_of_the_day_lead_to_each_other() {
    let of = |page| {
        let day = DayView { rows: vec![row_of("daily", 1)], ..day_of(page, 3) };
        timeline(&frame(Rights::Read), &day).into_string()
    };
    assert!(
        of(2).contains("/ops/timeline?page=1") && of(2).contains("/ops/timeline?page=3") && of(2).contains("2 / 3")
    );
    assert!(!of(1).contains("?page=0") && !of(3).contains("?page=4"));
}

#[test]
fn charts_show_how_long_and_how_late_runs_were_that_have_ended_the_oldest_first() {
    let ended = |second: i64, state: &str, lateness_ms: u64, duration_ms: u64| {
        let scheduled_at = At::new(Timestamp::from_millis(second * 1_000), chrono_tz::UTC);
        let (lateness_ms, duration_ms) = (Some(lateness_ms), Some(duration_ms));
        RunView { scheduled_at, lateness_ms, duration_ms, ..run_of("own", state) }
    };
    // One that executes, although an attempt of it has ended, and one that was cancelled before it began: both lack what is shown.
    let alive = RunView { finished_at: None, ..run_of("own", "retrying") };
    let newest_first = [
        alive,
        ended(3, "failed", 40, 2_000),
        ended(2, "succeeded", 7, 150),
        run_of("own", "cancelled"),
        ended(1, "succeeded", 8, 30),
    ];
    let charts = chart::history(&frame(Rights::Read), &newest_first).into_string();
    let [durations, lateness] = charts.split("<figure>").skip(1).collect::<Vec<_>>()[..] else {
        panic!("two charts: {charts}")
    };
    let titles = |chart: &str| -> Vec<String> {
        let rest = chart.split("<title>").skip(1);
        rest.filter_map(|rest| rest.split("</title>").next()).map(str::to_owned).collect()
    };
    let at = |second: i64, says: &str| format!("1970-01-01 00:00:0{second} UTC: {says}");
    assert_eq!(titles(durations), [at(1, "30 ms, succeeded"), at(2, "150 ms, succeeded"), at(3, "2 s, failed")]);
    assert_eq!(titles(lateness), [at(1, "8 ms, succeeded"), at(2, "7 ms, succeeded"), at(3, "40 ms, failed")]);
    assert!(durations.contains("median 150 ms, longest 2 s; 1 / 3 failed"), "{durations}");
    assert!(lateness.contains("median 8 ms, longest 40 ms; 1 / 3 failed"), "{lateness}");
    assert_eq!((durations.matches("bad cap").count(), lateness.matches("bad cap").count()), (1, 1), "a cap for one");
    let none = chart::history(&frame(Rights::Read), &newest_first[..1]).into_string();
    assert!(!none.contains("<svg"), "{none}");
}

#[test]
fn a_word_in_the_address_is_shown_only_if_it_is_one_of_ours() {
    let of = |done| {
        let frame = Frame { done: Some(done), ..frame(Rights::Read) };
        actions(&frame, &[]).into_string()
    };
    assert!(of("triggered").contains("A run was added."));
    assert!(!of("pay-here").contains("pay-here"));
}
