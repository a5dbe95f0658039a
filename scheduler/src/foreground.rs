//! Running in the foreground: what is said at start and at the end, signals, and what they ask for.
//!
//! Invariant: nothing here waits for whoever reads the output, so that a signal is heeded at every moment.

use std::future::Future;
use std::pin::pin;

#[cfg(feature = "cli")]
use crate::control::Server;
use crate::engine::StopReport;
use crate::error::Error;
use crate::handle::{SchedulerHandle, StopOnDrop};
use crate::logging::Entry;
use crate::scheduler::Scheduler;
use printer::Printer;
use reload::Reload;
pub(crate) use signals::Signals;
use signals::{Asks, Signal};
use text::Text;

#[cfg(not(feature = "config"))]
#[path = "foreground/no_reload.rs"]
mod reload;
#[cfg(feature = "config")]
mod reload;

mod printer;
mod signals;
mod text;

/// What the foreground says, to people or to programs. Each text ends its last line.
pub(crate) trait Announce: Sync {
    /// The tasks are registered, and fire from now on.
    fn started(&self, handle: &SchedulerHandle) -> String;

    /// Nothing fires any more, and what runs may end.
    fn stopping(&self, handle: &SchedulerHandle) -> String;

    /// The stop is over.
    fn stopped(&self, handle: &SchedulerHandle, report: &StopReport) -> String;
}

/// Runs until a signal asks to stop, and drains.
pub(crate) async fn run(scheduler: Scheduler) -> Result<(), Error> {
    run_announced(scheduler, &Text::of_process()).await
}

/// The same, said in the words of `words`.
pub(crate) async fn run_announced(scheduler: Scheduler, words: &impl Announce) -> Result<(), Error> {
    let printer = Printer::stdout();
    let up = |handle: &SchedulerHandle| {
        printer.print(words.started(handle), handle.logger());
        Ok(())
    };
    let stopping = |handle: &SchedulerHandle| printer.print(words.stopping(handle), handle.logger());
    let ended = attend(scheduler, up, stopping).await;
    if let Ok(Some((handle, report))) = &ended {
        printer.print(words.stopped(handle, report), handle.logger());
    }
    printer.finish().await;
    ended.map(drop)
}

/// Runs until `until` is ready, and drains.
pub(crate) async fn run_until(scheduler: Scheduler, until: impl Future<Output = ()>) -> Result<StopReport, Error> {
    let (printer, words) = (Printer::stdout(), Text::of_process());
    let handle = scheduler.start().await?.stop_on_drop();
    printer.print(words.started(&handle), handle.logger());
    let ended = {
        let mut ended = pin!(handle.wait());
        tokio::select! {
            ended = &mut ended => Some(ended),
            () = until => None,
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => handle.stop().await,
    };
    if let Ok(report) = &ended {
        printer.print(words.stopped(&handle, report), handle.logger());
    }
    printer.finish().await;
    ended
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
    let mut reload = Reload::of(&scheduler);
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
    let ended = tokio::select! {
        ended = handle.wait() => Some(ended),
        () = stop_asked(&handle, &mut signals, &mut reload) => None,
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

/// Ready when a signal asks to stop; those that ask for the overrides are heeded until then.
async fn stop_asked(handle: &SchedulerHandle, signals: &mut impl Asks, reload: &mut Option<Reload>) {
    while signals.next().await == Signal::Reload {
        match reload {
            Some(reload) => match read_again(handle, signals, reload).await {
                Signal::Reload => {}
                Signal::Stop => return,
            },
            None => nothing_to_reload(handle),
        }
    }
}

/// What is said if SIGHUP comes to a program that has read nothing.
fn nothing_to_reload(handle: &SchedulerHandle) {
    handle.logger().write(Entry::ConfigNotRead {});
}

/// Has the overrides read again, and once more if that is asked for meanwhile. Answers with the signal that it has obeyed:
/// a store that does not answer must not keep the program from ending.
async fn read_again(handle: &SchedulerHandle, signals: &mut impl Asks, reload: &mut Reload) -> Signal {
    loop {
        let mut is_asked_again = false;
        let mut reading = pin!(reload.again_and_say(handle));
        loop {
            tokio::select! {
                () = &mut reading => break,
                signal = signals.next() => match signal {
                    Signal::Reload => is_asked_again = true,
                    Signal::Stop => return Signal::Stop,
                },
            }
        }
        if !is_asked_again {
            return Signal::Reload;
        }
    }
}

/// Firing is what the program is for: without the socket it goes on, and says so.
#[cfg(feature = "cli")]
async fn open_control(name: Option<String>, handle: &SchedulerHandle) -> Option<Server> {
    match Server::open(&name?, handle).await {
        Ok(server) => Some(server),
        Err(error) => {
            handle.logger().write(Entry::ControlFailed { error: &error });
            let warning = format!("warning: commands will not reach this program: {error}\n");
            Printer::stderr().print(warning, handle.logger());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use symphra_scheduler_core::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::{Schedule, Task};

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

    #[cfg(feature = "config")]
    mod reloading {
        use super::*;
        use crate::MemoryBackend;
        use crate::config::SchedulerConfig;
        use crate::logging::seen::Seen;
        use crate::test_util::{Chaos, Held};

        impl Asks for tokio::sync::mpsc::Receiver<Signal> {
            async fn next(&mut self) -> Signal {
                self.recv().await.expect("the test goes on")
            }
        }

        /// A program whose overrides are read from a file, with a store that holds what is registered until it is let go.
        struct Reloaded {
            file: tempfile::NamedTempFile,
            store: Chaos,
            seen: Seen,
            reload: Option<Reload>,
            handle: SchedulerHandle,
        }

        impl Reloaded {
            async fn new() -> Self {
                let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
                let (store, seen) = (Chaos::new(MemoryBackend::new()), Seen::default());
                let hourly = Schedule::interval(Duration::from_secs(3_600)).expect("a possible period");
                let scheduler = Scheduler::empty()
                    .register(Task::new("report", hourly, || async {}))
                    .config(SchedulerConfig::from_file(file.path()).expect("an empty file"))
                    .backend(store.clone())
                    .logger(seen.clone());
                let reload = Reload::of(&scheduler);
                let handle = scheduler.start().await.expect("it starts");
                store.hold("register", Held::Call);
                Self { file, store, seen, reload, handle }
            }

            fn write(&self, text: &str) {
                std::fs::write(self.file.path(), text).expect("it is written");
            }

            /// Waits until it is so; until a test gives up, if it never is.
            async fn until(&self, is_so: impl Fn(&Self) -> bool) {
                while !is_so(self) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }

        const PATIENCE: Duration = Duration::from_secs(30);

        #[tokio::test]
        async fn a_second_hang_up_while_the_first_is_obeyed_is_not_lost() {
            let mut program = Reloaded::new().await;
            let (signals, mut asked) = tokio::sync::mpsc::channel(1);
            let mut reload = program.reload.take();
            let attended = stop_asked(&program.handle, &mut asked, &mut reload);
            let calls = program.store.calls();
            let story = async {
                program.write("tasks: { report: { interval: 9s } }");
                signals.send(Signal::Reload).await.expect("it is heeded");
                program.until(|program| program.store.calls() > calls).await;
                program.write("tasks: { report: { interval: 7s } }");
                signals.send(Signal::Reload).await.expect("it is heeded");
                // There is room again when it was taken, while the first is held.
                drop(signals.reserve().await.expect("it is heeded"));
                program.store.let_go("register");
                let reloaded = |program: &Reloaded| {
                    program.seen.all().iter().filter(|event| event.name == "config.reloaded").count()
                };
                program.until(|program| reloaded(program) == 2).await;
                signals.send(Signal::Stop).await.expect("it is heeded");
            };
            tokio::time::timeout(PATIENCE, async { tokio::join!(attended, story) }).await.expect("both are obeyed");
            let task = program.handle.task("report").expect("it is there");
            assert_eq!(task.schedule.describe(), "every 7 seconds");
        }

        #[tokio::test]
        async fn a_store_that_does_not_answer_to_a_reload_keeps_no_program_from_ending() {
            let mut program = Reloaded::new().await;
            let (signals, mut asked) = tokio::sync::mpsc::channel(1);
            let mut reload = program.reload.take();
            let attended = stop_asked(&program.handle, &mut asked, &mut reload);
            let calls = program.store.calls();
            let story = async {
                program.write("tasks: { report: { interval: 9s } }");
                signals.send(Signal::Reload).await.expect("it is heeded");
                program.until(|program| program.store.calls() > calls).await;
                signals.send(Signal::Stop).await.expect("it is heeded");
            };
            tokio::time::timeout(PATIENCE, async { tokio::join!(attended, story) }).await.expect("it stops");
        }
    }
}
