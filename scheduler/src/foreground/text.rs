//! What the foreground says to people: the table of tasks at start, and what was done at the end.

use std::fmt::Write as _;

use symphra_scheduler_core::TZDB_VERSION;

use super::Announce;
use crate::engine::StopReport;
use crate::handle::SchedulerHandle;
use crate::stats::Stats;
use crate::task::TaskInfo;
use crate::terminal::{clean, cut_back, cut_front, padded, width_of};

/// Text of lines of at most `width` columns where that can be; as long as they need to be into a file or a pipe.
pub(super) struct Text {
    width: Option<usize>,
}

impl Text {
    /// For the standard output of this process.
    pub(super) fn of_process() -> Self {
        Self { width: terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0)) }
    }
}

impl Announce for Text {
    fn started(&self, handle: &SchedulerHandle) -> String {
        start_up_table(handle, self.width)
    }

    fn stopping(&self, _: &SchedulerHandle) -> String {
        "stopping: what runs may end; a second signal stops at once\n".to_owned()
    }

    fn stopped(&self, handle: &SchedulerHandle, report: &StopReport) -> String {
        farewell(&handle.stats(), report)
    }
}

/// The table of tasks, in lines of at most `width` columns where that can be: into a file or a pipe goes all of it.
fn start_up_table(handle: &SchedulerHandle, width: Option<usize>) -> String {
    let (tasks, stats) = (handle.list_tasks(), handle.stats());
    let mut rows = vec![["task", "schedule", "zone", "next", "source"].map(str::to_owned)];
    rows.extend(tasks.iter().map(row));
    let mut widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| width_of(&row[column])).max().unwrap_or(0));
    if let Some(width) = width {
        narrow(&mut widths, width);
    }

    let mut table = format!(
        "symphra-scheduler {}: {} on {}, backend {}, tz database {TZDB_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        plural(tasks.len() as u64, "task"),
        clean(&stats.node),
        stats.backend,
    );
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = if column == SOURCE { cut_front(cell, width) } else { cut_back(cell, width) };
            // Writing into a String cannot fail.
            let _ = write!(line, "  {}", padded(&cell, width));
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    for note in handle.notes() {
        let _ = writeln!(table, "  note: {}", clean(note));
    }
    table
}

const SOURCE: usize = 4;

/// Takes from the columns what a line has too much: from the source, the schedule, the name, each down to what can still
/// be told apart.
fn narrow(widths: &mut [usize; 5], width: usize) {
    for (column, least) in [(SOURCE, 12), (1, 16), (0, 12)] {
        let excess = widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(width);
        let spare = widths[column].saturating_sub(least);
        widths[column] -= excess.min(spare);
    }
}

fn row(task: &TaskInfo) -> [String; 5] {
    // A job is never over: it has no schedule.
    let none = if task.schedule.is_never() { "–" } else { "over" };
    let next = task.next.map_or_else(|| none.to_owned(), |next| next.format("%Y-%m-%d %H:%M:%S %Z").to_string());
    [clean(task.name.as_str()), task.schedule.describe(), task.timezone.to_string(), next, task.source.to_string()]
}

fn farewell(stats: &Stats, report: &StopReport) -> String {
    let mut text = format!(
        "stopped after {:.1} s: {}, {} failed, {} cancelled; {} recorded as not run\n",
        stats.uptime.as_secs_f64(),
        plural(stats.total_runs, "run"),
        stats.failed_runs,
        report.cancelled.len(),
        plural(stats.ledger.recorded, "occurrence"),
    );
    for run in &report.cancelled {
        let how = match (run.began, run.stuck) {
            (_, true) => "could not be stopped, its body never awaits",
            (true, false) => "was cancelled while it ran",
            (false, false) => "was cancelled before it began",
        };
        let _ = writeln!(text, "  {} of {} {how} (run {})", clean(run.task.as_str()), run.scheduled_at, run.id);
    }
    if report.unstored > 0 {
        let _ = writeln!(text, "  the ends of {} could not be stored", plural(report.unstored as u64, "run"));
    }
    text
}

fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use symphra_scheduler_core::Timestamp;

    use super::*;
    use crate::chrono_tz::Tz;
    use crate::clock::Clock;
    use crate::scheduler::Scheduler;
    use crate::{Schedule, Task};

    async fn started(period: Duration) -> SchedulerHandle {
        let schedule = Schedule::interval(period).expect("a possible period");
        Scheduler::empty().register(Task::new("tidy up", schedule, || async {})).start().await.expect("it starts")
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_shows_each_task_in_words_with_its_source() {
        let table = start_up_table(&started(Duration::from_secs(60)).await, None);
        for part in ["1 task", "backend memory", "tidy up", "every minute", "UTC", "foreground/text.rs:"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
        assert!(!table.contains("note:"), "there is nothing to note:\n{table}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_occurrence_stands_in_the_zone_of_its_task() {
        // 2026-05-28T20:26:40Z, which is the next day already in Shanghai.
        let clock = Clock::starting_at(Timestamp::from_millis(1_780_000_000_000));
        let morning = |name: &'static str, zone: Tz| {
            Task::new(name, Schedule::cron("30 9 * * *").expect("a valid expression"), || async {}).timezone(zone)
        };
        let gone = Schedule::once(DateTime::<Utc>::UNIX_EPOCH);
        let scheduler = Scheduler::empty()
            .clock(clock)
            .register(morning("auckland", Tz::Pacific__Auckland))
            .register(morning("london", Tz::Europe__London))
            .register(morning("shanghai", Tz::Asia__Shanghai))
            .register(Task::new("gone", gone, || async {}));
        let table = start_up_table(&scheduler.start().await.expect("it starts"), None);
        let cells = |line: &str| -> Vec<String> {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.take(4).map(str::to_owned).collect()
        };
        let rows: Vec<Vec<String>> = table.lines().skip(1).take(5).map(cells).collect();
        assert_eq!(
            rows,
            [
                ["task", "schedule", "zone", "next"],
                ["auckland", "at 09:30 every day", "Pacific/Auckland", "2026-05-29 09:30:00 NZST"],
                ["gone", "once, at 1970-01-01 00:00:00 UTC", "UTC", "over"],
                ["london", "at 09:30 every day", "Europe/London", "2026-05-29 09:30:00 BST"],
                ["shanghai", "at 09:30 every day", "Asia/Shanghai", "2026-05-29 09:30:00 CST"],
            ],
            "{table}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_interval_that_counts_from_this_start_is_said_at_start() {
        let table = start_up_table(&started(Duration::from_secs(2 * 60 * 60)).await, None);
        assert!(table.contains("note: task \"tidy up\"") && table.contains("give it a `start`"), "{table}");
    }

    #[tokio::test(start_paused = true)]
    async fn columns_stand_below_each_other_whatever_the_script_of_the_names() {
        let names = ["每日对账", "tidy", "発送 mail", "\u{202e}odd"];
        let schedule = || Schedule::interval(Duration::from_secs(60)).expect("a possible period");
        let tasks = names.map(|name| Task::new(name, schedule(), || async {}));
        let handle = tasks.into_iter().fold(Scheduler::empty(), Scheduler::register).start().await.expect("it starts");
        let table = start_up_table(&handle, None);
        for words in ["every minute", "UTC  "] {
            let places: Vec<usize> =
                table.lines().filter_map(|line| line.find(words).map(|place| width_of(&line[..place]))).collect();
            assert_eq!(places, [places[0]; 4], "{words}:\n{table}");
        }
        assert!(table.contains("  \u{fffd}odd  ") && !table.contains('\u{202e}'), "{table}");
        for width in [70, 74, 80] {
            let table = start_up_table(&handle, Some(width));
            assert!(table.lines().skip(1).all(|line| width_of(line) <= width), "{width}:\n{table}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_fits_a_terminal_and_is_whole_elsewhere() {
        let schedule = Schedule::cron("0 0/10 8-18 * * MON-FRI").expect("a valid expression");
        let task = Task::new("a name that takes its place in the table", schedule, || async {});
        let handle = Scheduler::empty().register(task).start().await.expect("it starts");
        let whole = start_up_table(&handle, None);
        assert!(!whole.contains('…') && whole.contains("a name that takes its place"), "{whole}");
        for width in [90, 100, 120] {
            let table = start_up_table(&handle, Some(width));
            for line in table.lines().skip(1) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            let place = whole.trim_end().rsplit(':').next().expect("the source ends with a line");
            assert!(table.trim_end().ends_with(&format!(":{place}")), "the line of the source is told:\n{table}");
        }
        assert_eq!(start_up_table(&handle, Some(1_000)), whole);
    }
}
