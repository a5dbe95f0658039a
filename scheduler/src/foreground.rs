//! Running in the foreground: the table of tasks at start, signals, and what is said at the end.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::pin;

use symphra_scheduler_core::TZDB_VERSION;

use self::signals::{Signal, Signals};
#[cfg(feature = "cli")]
use crate::control::Server;
use crate::engine::StopReport;
use crate::error::Error;
use crate::handle::{SchedulerHandle, StopOnDrop};
use crate::logging::{Entry, Logger};
use crate::scheduler::Scheduler;
use crate::stats::Stats;
use crate::task::TaskInfo;

#[cfg(feature = "config")]
mod reload;
mod signals;

/// Runs until a signal asks to stop, and drains.
pub(crate) async fn run(scheduler: Scheduler) -> Result<(), Error> {
    let up = |handle: &SchedulerHandle| {
        say(handle, &start_up_table(handle, terminal_width()));
        Ok(())
    };
    let stopping =
        |handle: &SchedulerHandle| say(handle, "stopping: what runs may end; a second signal stops at once\n");
    if let Some((handle, report)) = attend(scheduler, up, stopping).await? {
        say(&handle, &farewell(&handle.stats(), &report));
    }
    Ok(())
}

/// Starts, tells `up`, runs until a signal asks to stop, tells `stopping`, and drains; a second signal stops at once.
/// Nothing is returned if the signal came before the start was done.
pub(crate) async fn attend(
    scheduler: Scheduler,
    up: impl FnOnce(&SchedulerHandle) -> Result<(), Error>,
    stopping: impl FnOnce(&SchedulerHandle),
) -> Result<Option<(StopOnDrop, StopReport)>, Error> {
    // Everything at once, before the first of it: also what is wrong with the log is among it.
    #[cfg(feature = "logging")]
    scheduler.check()?;
    #[cfg(feature = "logging")]
    let _log = crate::logging::init_unless_set(&scheduler.settings().logging)?;
    // Listened to before anything starts, so that an early Ctrl+C drains too.
    let mut signals = Signals::listen().map_err(Error::signals)?;
    #[cfg(feature = "config")]
    let mut reload = reload::Reload::of(&scheduler);
    #[cfg(feature = "cli")]
    let control = scheduler.control_name().map(str::to_owned);
    let handle = tokio::select! {
        handle = scheduler.start() => handle?,
        // A store that does not answer must not keep the program from ending.
        () = signals.stop() => return Ok(None),
    };
    // Nobody else has a handle: when this future is dropped, the scheduler must not go on unseen.
    let handle = handle.stop_on_drop();
    // Open before anybody is told that the scheduler is up: commands may follow at once.
    #[cfg(feature = "cli")]
    let control = open_control(control, &handle).await;
    if let Err(error) = up(&handle) {
        handle.stop_now().await?;
        return Err(error);
    }
    let ended = {
        let mut ended = pin!(handle.wait());
        loop {
            tokio::select! {
                ended = &mut ended => break Some(ended),
                signal = signals.next() => match signal {
                    Signal::Stop => break None,
                    Signal::Reload => {
                        #[cfg(feature = "config")]
                        if let Some(reload) = &mut reload {
                            // A store that does not answer must not keep the program from ending, and what is asked for
                            // meanwhile is done after it.
                            let mut is_wanted = true;
                            let mut is_stopping = false;
                            while is_wanted && !is_stopping {
                                is_wanted = false;
                                let mut again = pin!(reload.again_and_say(&handle));
                                loop {
                                    tokio::select! {
                                        () = &mut again => break,
                                        signal = signals.next() => match signal {
                                            Signal::Reload => is_wanted = true,
                                            Signal::Stop => {
                                                is_stopping = true;
                                                break;
                                            }
                                        },
                                    }
                                }
                            }
                            if is_stopping {
                                break None;
                            }
                            continue;
                        }
                        nothing_to_reload(&handle);
                    }
                },
            }
        }
    };
    let report = match ended {
        Some(report) => report?,
        None => {
            stopping(&handle);
            tokio::select! {
                report = handle.stop() => report?,
                () = signals.stop() => handle.stop_now().await?,
            }
        }
    };
    #[cfg(feature = "cli")]
    if let Some(control) = control {
        control.close().await;
    }
    Ok(Some((handle, report)))
}

/// Firing is what the program is for: without the socket it goes on, and says so.
#[cfg(feature = "cli")]
async fn open_control(name: Option<String>, handle: &SchedulerHandle) -> Option<Server> {
    match Server::open(&name?, handle).await {
        Ok(server) => Some(server),
        Err(error) => {
            handle.logger().write(Entry::ControlFailed { error: &error });
            let warning = format!("warning: commands will not reach this program: {error}\n");
            write(handle.logger(), &mut std::io::stderr().lock(), &warning);
            None
        }
    }
}

/// What SIGHUP asks for.
fn nothing_to_reload(handle: &SchedulerHandle) {
    handle.logger().write(Entry::ConfigNotRead {});
}

/// Runs until `until` is ready, and drains.
pub(crate) async fn run_until(scheduler: Scheduler, until: impl Future<Output = ()>) -> Result<StopReport, Error> {
    let handle = scheduler.start().await?.stop_on_drop();
    say(&handle, &start_up_table(&handle, terminal_width()));
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
    say(&handle, &farewell(&handle.stats(), &report));
    Ok(report)
}

fn say(handle: &SchedulerHandle, text: &str) {
    write(handle.logger(), &mut std::io::stdout().lock(), text);
}

/// A closed terminal or pipe is no reason to stop firing, so what cannot be written is let go.
fn write(logger: &Logger, out: &mut impl std::io::Write, text: &str) {
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        logger.write(Entry::OutputClosed {});
    }
}

/// How many characters a line of the terminal takes; nothing if standard output is none.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// The table of tasks, in lines of at most `width` characters where that can be: into a file or a pipe goes all of it.
fn start_up_table(handle: &SchedulerHandle, width: Option<usize>) -> String {
    let (tasks, stats) = (handle.list_tasks(), handle.stats());
    let mut rows = vec![["task", "schedule", "zone", "next", "source"].map(str::to_owned)];
    rows.extend(tasks.iter().map(row));
    let mut widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    if let Some(width) = width {
        narrow(&mut widths, width);
    }

    let mut table = format!(
        "symphra-scheduler {}: {} on {}, backend {}, tz database {TZDB_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        plural(tasks.len() as u64, "task"),
        stats.node,
        stats.backend,
    );
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = if column == SOURCE { cut_front(cell, width) } else { cut_back(cell, width) };
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

fn cut_back(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Of a path the end says most.
fn cut_front(cell: &str, width: usize) -> String {
    let length = cell.chars().count();
    if length <= width {
        return cell.to_owned();
    }
    ['…'].into_iter().chain(cell.chars().skip(length - width.saturating_sub(1))).collect()
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
        let table = start_up_table(&started(Duration::from_secs(60)).await, None);
        for part in ["1 task", "backend memory", "tidy up", "every minute", "UTC", "foreground.rs:"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
        assert!(!table.contains("note:"), "there is nothing to note:\n{table}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_interval_that_counts_from_this_start_is_said_at_start() {
        let table = start_up_table(&started(Duration::from_secs(2 * 60 * 60)).await, None);
        assert!(table.contains("note: task \"tidy up\"") && table.contains("give it a `start`"), "{table}");
    }

    #[cfg(feature = "logging")]
    #[tokio::test]
    async fn what_is_wrong_with_the_log_and_with_the_tasks_is_told_in_one_go() {
        let config = crate::SchedulerConfig::new()
            .logging(crate::logging::LoggingConfig::new().level("loud").file("/nowhere/at/all.log"));
        let hourly = || Task::new("hourly", Schedule::cron("@hourly").expect("a valid expression"), || async {});
        let scheduler = Scheduler::empty().config(config).register(hourly()).register(hourly());
        let said = scheduler.run().await.expect_err("it cannot start").to_string();
        assert!(said.contains("logging.level = \"loud\"") && said.contains("named \"hourly\""), "{said}");
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
