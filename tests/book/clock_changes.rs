//! The table of what happens when clocks change: each of its rows is what the scheduler answers, in both languages.

use symphra_scheduler::chrono::DateTime;
use symphra_scheduler::chrono_tz::Tz;
use symphra_scheduler::test_util::{Simulated, simulate};
use symphra_scheduler::{Schedule, Scheduler, Task, Timestamp, parse_duration};

use super::page;

const FORMAT: &str = "%Y-%m-%d %H:%M %:z";

/// A row without what it says in words.
#[derive(Debug, PartialEq)]
struct Row {
    zone: String,
    schedule: String,
    occurrences: Vec<String>,
}

fn rows(language: &str) -> Vec<Row> {
    let page = page(language, "schedules.md");
    let cases = page.lines().filter(|line| line.matches('|').count() == 5 && line.matches('`').count() == 4);
    let rows = cases.map(|line| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        assert!(!cells[1].is_empty(), "a case without a name: {line}");
        Row {
            zone: cells[2].to_owned(),
            schedule: cells[3].to_owned(),
            occurrences: cells[4].split(", ").map(str::to_owned).collect(),
        }
    });
    rows.collect()
}

/// What the scheduler makes of a row's schedule from the first of its occurrences to the last. An interval counts from the
/// registration, which is then one period before.
fn answered(row: &Row) -> Vec<String> {
    let zone: Tz = row.zone.parse().expect("a zone");
    let at = |text: &String| DateTime::parse_from_str(text, FORMAT).expect(text).timestamp_millis();
    let first = row.occurrences.first().map(at).expect("an occurrence");
    let last = row.occurrences.last().map(at).expect("an occurrence");
    let before = parse_duration(&row.schedule).map_or(1, |period| i64::try_from(period.as_millis()).expect("a period"));
    let schedule: Schedule = row.schedule.parse().expect("a schedule");
    let scheduler = Scheduler::empty().register(Task::new("task", schedule, async || {}).timezone(zone));
    let [from, to] = [first - before, last + 1].map(Timestamp::from_millis);
    let all = simulate(scheduler, from, to).run().expect("it can be looked at");
    let instants = all["task"].iter().map(|step| match step {
        Simulated::Runs { scheduled_at, .. } => *scheduled_at,
        other => panic!("{row:?}: {other:?}"),
    });
    let local =
        instants.map(|at| DateTime::from_timestamp_millis(at.as_millis()).expect("an instant").with_timezone(&zone));
    local.map(|at| at.format(FORMAT).to_string()).collect()
}

#[test]
fn what_happens_when_clocks_change_is_as_the_table_says() {
    let english = rows("en");
    assert!(english.len() > 20, "the table is found: {english:?}");
    assert_eq!(english, rows("zh"), "both languages show the same");
    for row in &english {
        assert_eq!(answered(row), row.occurrences, "{} in {}", row.schedule, row.zone);
    }
}
