//! Running in the foreground: the table of tasks at start, signals, and what is said at the end.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::pin;

use symphra_scheduler_core::TZDB_VERSION;

use crate::engine::StopReport;
use crate::error::Error;
use crate::handle::SchedulerHandle;
use crate::logging::{Entry, Logger};
use crate::scheduler::Scheduler;
use crate::stats::Stats;
use crate::task::TaskInfo;

/// Runs until a signal asks to stop, and drains.
pub(crate) async fn run(scheduler: Scheduler) -> Result<(), Error> {
    #[cfg(feature = "logging")]
    let _log = crate::logging::init_unless_set(&scheduler.settings().logging)?;
    // Listened to before anything starts, so that an early Ctrl+C drains too.
    let mut signals = Signals::listen().map_err(Error::signals)?;
    let handle = tokio::select! {
        handle = scheduler.start() => handle?,
        // A store that does not answer must not keep the program from ending.
        () = signals.next() => return Ok(()),
    };
    // Nobody else has a handle: when this future is dropped, the scheduler must not go on unseen.
    let handle = handle.stop_on_drop();
    let logger = handle.logger();
    say(logger, &start_up_table(&handle));
    let ended = {
        let mut ended = pin!(handle.wait());
        tokio::select! {
            ended = &mut ended => Some(ended),
            () = signals.next() => None,
        }
    };
    let report = match ended {
        Some(report) => report?,
        None => {
            say(logger, "stopping: what runs may end; a second signal stops at once\n");
            tokio::select! {
                report = handle.stop() => report?,
                () = signals.next() => handle.stop_now().await?,
            }
        }
    };
    say(logger, &farewell(&handle.stats(), &report));
    Ok(())
}

/// Runs until `until` is ready, and drains.
pub(crate) async fn run_until(scheduler: Scheduler, until: impl Future<Output = ()>) -> Result<StopReport, Error> {
    let handle = scheduler.start().await?.stop_on_drop();
    let logger = handle.logger();
    say(logger, &start_up_table(&handle));
    let ended = {
        let mut ended = pin!(handle.wait());
        tokio::select! {
            ended = &mut ended => Some(ended),
            () = until => None,
        }
    };
    let report = match ended {
        Some(report) => report?,
        None => handle.stop().await?,
    };
    say(logger, &farewell(&handle.stats(), &report));
    Ok(report)
}

fn say(logger: &Logger, text: &str) {
    write(logger, &mut std::io::stdout().lock(), text);
}

/// A closed terminal or pipe is no reason to stop firing, so what cannot be written is let go.
fn write(logger: &Logger, out: &mut impl std::io::Write, text: &str) {
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        logger.write(Entry::OutputClosed {});
    }
}

fn start_up_table(handle: &SchedulerHandle) -> String {
    let (tasks, stats) = (handle.list_tasks(), handle.stats());
    let mut rows = vec![["task", "schedule", "zone", "next", "source"].map(str::to_owned)];
    rows.extend(tasks.iter().map(row));
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));

    let mut table = format!(
        "symphra-scheduler {}: {} on {}, backend {}, tz database {TZDB_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        plural(tasks.len() as u64, "task"),
        stats.node,
        stats.backend,
    );
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing into a String cannot fail.
            let _ = write!(line, "  {cell:width$}");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    for note in handle.notes() {
        let _ = writeln!(table, "  note: {note}");
    }
    table
}

fn row(task: &TaskInfo) -> [String; 5] {
    let next = task.next.map_or_else(|| "over".to_owned(), |next| next.format("%Y-%m-%d %H:%M:%S %Z").to_string());
    [task.name.to_string(), task.schedule.describe(), task.timezone.to_string(), next, task.source.to_string()]
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
        let _ = writeln!(text, "  {} of {} {how} (run {})", run.task, run.scheduled_at, run.id);
    }
    if report.unstored > 0 {
        let _ = writeln!(text, "  the ends of {} could not be stored", plural(report.unstored as u64, "run"));
    }
    text
}

fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Ctrl+C, and SIGTERM where there is one.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    terminate: tokio::signal::windows::CtrlBreak,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(windows)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
    }

    /// The next signal that asks to stop.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use symphra_scheduler_core::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::logging::Level;
    use crate::logging::seen::Seen;
    use crate::{Schedule, Task};

    async fn started(period: Duration) -> SchedulerHandle {
        let schedule = Schedule::interval(period).expect("a possible period");
        Scheduler::empty().register(Task::new("tidy up", schedule, || async {})).start().await.expect("it starts")
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_shows_each_task_in_words_with_its_source() {
        let table = start_up_table(&started(Duration::from_secs(60)).await);
        for part in ["1 task", "backend memory", "tidy up", "every minute", "UTC", "foreground.rs:"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
        assert!(!table.contains("note:"), "there is nothing to note:\n{table}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_interval_that_counts_from_this_start_is_said_at_start() {
        let table = start_up_table(&started(Duration::from_secs(2 * 60 * 60)).await);
        assert!(table.contains("note: task \"tidy up\"") && table.contains("give it a `start`"), "{table}");
    }

    /// A terminal that is gone.
    struct Closed;

    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_output_is_said_and_no_reason_to_stop() {
        let seen = Seen::default();
        write(&Logger::with_adapter(seen.clone()), &mut Closed, "the table");
        assert_eq!(seen.take("output.closed").level, Level::DEBUG);
    }

    #[tokio::test(start_paused = true)]
    async fn a_foreground_whose_future_is_dropped_fires_no_more() {
        let (sender, mut fired) = tokio::sync::mpsc::unbounded_channel();
        let schedule = Schedule::interval(Duration::from_secs(1)).expect("a possible period");
        let tick = Task::new("tick", schedule, move || {
            let sender = sender.clone();
            async move { sender.send(()).map_err(|gone| gone.to_string()) }
        });
        let clock = Clock::starting_at(Timestamp::from_millis(0));
        let foreground = Scheduler::empty().clock(clock).register(tick).run_until(std::future::pending());
        let cut = tokio::time::timeout(Duration::from_millis(3_500), foreground).await;
        assert!(cut.is_err(), "it runs until it is dropped");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut count = 0;
        while fired.try_recv().is_ok() {
            count += 1;
        }
        assert!((1..=4).contains(&count), "{count} runs in 3.5 s, and none in the minute after");
        assert!(fired.is_closed(), "the task is gone with its scheduler");
    }
}
