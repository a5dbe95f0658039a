//! The command line of a program: commands that need its tasks, and those that ask a running copy of it.

use std::ffi::OsString;
use std::future::{Future, IntoFuture};
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitCode, Termination};
use std::time::Duration;

use clap::CommandFactory;

use super::announced::Announced;
use super::args::{DaemonCommand, Global, ProgramCommand, ProgramLine};
use super::check::Findings;
use super::live::Target;
use super::output::Tone;
use super::store::Store;
use super::{Failure, Output, live, parsed, plan, shells};
use crate::config::daemon::{NAMES, is_name, name_of};
use crate::config::{Read, SchedulerConfig};
use crate::daemon::{Daemon, DaemonStatus, DaemonStop};
use crate::foreground;
use crate::scheduler::Scheduler;

/// How much longer than its own shutdown a daemon may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Gives a program its command line: `run`, `daemon start`, `list`, `trigger` and the others; `--help` tells.
///
/// The settings of a file and of the environment, as [`SchedulerConfig::load`] reads them, lie below those that the
/// program has set. `run` and `daemon` open a control socket that only this user and root can use, by which the other
/// commands reach the running program. Nothing is done before the result is awaited, or returned from `main`:
///
/// ```no_run,standalone_crate
/// use symphra_scheduler::{Scheduler, cli, interval};
///
/// #[interval(seconds = 10)]
/// async fn health_check() {
///     println!("ok");
/// }
///
/// fn main() -> cli::Program {
///     cli::main(Scheduler::from_registry())
/// }
/// ```
///
/// ```no_run
/// use std::process::ExitCode;
/// use symphra_scheduler::{Scheduler, cli};
///
/// #[tokio::main]
/// async fn main() -> ExitCode {
///     // … a pool is opened …
///     cli::main(Scheduler::from_registry()).await
/// }
/// ```
pub fn main(scheduler: Scheduler) -> Program {
    Program { scheduler, arguments: std::env::args_os().collect() }
}

/// A program that has not read its command line yet: await it for its exit code, or return it from `main`, where it
/// makes a runtime of its own.
///
/// ```no_run
/// use std::process::ExitCode;
/// use symphra_scheduler::{Scheduler, cli};
///
/// #[tokio::main]
/// async fn main() -> ExitCode {
///     let program: cli::Program = cli::main(Scheduler::from_registry());
///     let code = program.await;
///     println!("bye");
///     code
/// }
/// ```
#[derive(Debug)]
#[must_use = "a program does nothing until it is awaited or returned from `main`"]
pub struct Program {
    scheduler: Scheduler,
    arguments: Vec<OsString>,
}

impl Program {
    async fn run(self) -> ExitCode {
        ExitCode::from(match self.line() {
            Ok(line) => {
                let output = line.global.output();
                match Box::pin(run(line, self.scheduler, &self.arguments, &output)).await {
                    Ok(code) => output.exit_code(code),
                    Err(failure) => failure.tell(&output),
                }
            }
            Err(code) => code,
        })
    }

    fn line(&self) -> Result<ProgramLine, u8> {
        parsed(command(&self.arguments), &self.arguments)
    }
}

/// The command line of the program that was called so.
fn command(arguments: &[OsString]) -> clap::Command {
    let program = arguments.first().map(Path::new).and_then(Path::file_name);
    let name = program.map_or_else(|| "program".to_owned(), |name| name.to_string_lossy().into_owned());
    ProgramLine::command().name(name.clone()).bin_name(name)
}

impl IntoFuture for Program {
    type Output = ExitCode;
    type IntoFuture = Pin<Box<dyn Future<Output = ExitCode> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl Termination for Program {
    fn report(self) -> ExitCode {
        match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.run()),
            Err(error) => {
                let failure = Failure::failed(format!("the runtime cannot be made: {error}"));
                ExitCode::from(failure.tell(&Output::of_process(super::Form::Text, super::Color::Auto)))
            }
        }
    }
}

async fn run(line: ProgramLine, scheduler: Scheduler, arguments: &[OsString], output: &Output) -> Result<u8, Failure> {
    let ProgramLine { global, config, command } = line;
    match &command {
        ProgramCommand::Completions(args) => return shells::completions(args.shell, self::command(arguments), output),
        ProgramCommand::Man => return shells::manual(self::command(arguments), output),
        _ => {}
    }
    if let (Some(file), Some(read)) = (&config, scheduler.settings().read_from()) {
        return Err(Failure::Usage(format!(
            "--config {} would not be heeded: this program reads its settings itself, from {read}; change those, or drop \
             --config",
            file.display(),
        )));
    }
    if let ProgramCommand::Check(_) = &command {
        return Ok(check(scheduler, config.as_deref(), &global, arguments, output).await);
    }
    let Read { config, wrong, .. } = SchedulerConfig::read_what_is_right(config.as_deref());
    let scheduler = configured(scheduler, config, &global);
    if let Some(wrong) = wrong {
        return Err(match &command {
            ProgramCommand::Run | ProgramCommand::Daemon(DaemonCommand::Start | DaemonCommand::Restart) => {
                scheduler.refused(wrong)
            }
            _ => wrong.into(),
        }
        .into());
    }
    let name = name(&scheduler, arguments)?;
    let target =
        Target { name: name.clone(), pid: global.pid, start: Some(program(arguments)), store: Store::of(&scheduler) };
    match command {
        ProgramCommand::Run => {
            let scheduler = scheduler.controlled(name);
            match output.is_json() {
                true => foreground::run_announced(scheduler, &Announced).await?,
                false => foreground::run(scheduler).await?,
            }
            Ok(0)
        }
        ProgramCommand::Daemon(command) => daemon(command, scheduler, name, output).await,
        ProgramCommand::Live(command) => live::run(*command, &target, Some(&scheduler), output).await,
        ProgramCommand::Migrate => target.store.migrate(scheduler.backend_name(), output).await,
        #[cfg(feature = "dashboard")]
        ProgramCommand::Dashboard(args) => super::dashboard::run(&args, target.store, Some(&scheduler), output).await,
        ProgramCommand::Plan(args) => plan::run(&args, scheduler, output),
        ProgramCommand::Check(_) | ProgramCommand::Completions(_) | ProgramCommand::Man => {
            unreachable!("it was answered before the settings were asked for")
        }
    }
}

/// The scheduler with what was read below what the program has set. A program that reads its settings itself has read
/// them already.
fn configured(scheduler: Scheduler, loaded: SchedulerConfig, global: &Global) -> Scheduler {
    scheduler.adjust(|code| {
        let mut config = if code.was_read() { code } else { code.over(loaded) };
        config.daemon.name = global.name.clone().or(config.daemon.name);
        config
    })
}

async fn check(
    scheduler: Scheduler,
    file: Option<&Path>,
    global: &Global,
    arguments: &[OsString],
    output: &Output,
) -> u8 {
    let Read { config, set_aside, wrong } = SchedulerConfig::read_what_is_right(file);
    let scheduler = configured(scheduler, config, global);
    let name = name(&scheduler, arguments).unwrap_or_else(|_| name_of_file(arguments));
    let findings = Findings::of(scheduler, &name, wrong.as_ref(), &set_aside).await;
    output.show(&findings, Findings::text);
    if findings.is_ok() { 0 } else { Failure::FAILED }
}

/// The name under which the program runs as a daemon and is found by commands.
fn name(scheduler: &Scheduler, arguments: &[OsString]) -> Result<String, Failure> {
    match &scheduler.settings().daemon.name {
        Some(name) if is_name(name) => Ok(name.clone()),
        Some(name) => Err(Failure::Usage(format!("{name:?} is no name; allowed is {NAMES}"))),
        None => Ok(name_of_file(arguments)),
    }
}

fn name_of_file(arguments: &[OsString]) -> String {
    name_of(Path::new(arguments.first().map_or("".as_ref(), |program| program.as_os_str())))
}

/// How the program is called, for advice.
fn program(arguments: &[OsString]) -> String {
    arguments.first().map_or_else(String::new, |program| program.to_string_lossy().into_owned())
}

async fn daemon(command: DaemonCommand, scheduler: Scheduler, name: String, output: &Output) -> Result<u8, Failure> {
    let daemon = Daemon::of(scheduler.settings().daemon.clone());
    let patience = scheduler.settings().patience().saturating_add(STOP_GRACE);
    match command {
        DaemonCommand::Start => {
            let progress = live::Progress::spinner(output, "starting");
            let pid = scheduler.controlled(name).daemon().await?;
            drop(progress);
            output.show(&live::daemon_view("running", Some(pid)), |_, _| format!("started, PID {pid}"));
            Ok(0)
        }
        DaemonCommand::Restart => {
            let progress = live::Progress::spinner(output, "restarting: what runs may end");
            let pid = daemon.restart(scheduler.controlled(name), patience).await?;
            drop(progress);
            output.show(&live::daemon_view("running", Some(pid)), |_, _| format!("started, PID {pid}"));
            Ok(0)
        }
        DaemonCommand::Stop => {
            let progress = live::Progress::spinner(output, "stopping: what runs may end");
            let stopped = daemon.stop(patience).await?;
            drop(progress);
            let (word, pid) = match stopped {
                DaemonStop::NotRunning => ("not_running", None),
                DaemonStop::Ended { pid } => ("stopped", Some(pid)),
                DaemonStop::Killed { pid } => ("killed", Some(pid)),
            };
            output.show(&live::daemon_view(word, pid), |_, _| stopped.to_string());
            Ok(match stopped {
                DaemonStop::NotRunning => Failure::NOT_RUNNING,
                DaemonStop::Ended { .. } => 0,
                DaemonStop::Killed { .. } => Failure::FAILED,
            })
        }
        DaemonCommand::Status => {
            let status = daemon.status().await?;
            let (word, pid, tone, code) = match status {
                DaemonStatus::Running { pid, .. } => ("running", Some(pid), Tone::Good, 0),
                DaemonStatus::Stale { pid } => ("stale", pid, Tone::Bad, Failure::FAILED),
                DaemonStatus::Stopped => ("not_running", None, Tone::Plain, Failure::NOT_RUNNING),
                DaemonStatus::Foreign { pid } => ("foreign", pid, Tone::Warning, Failure::FAILED),
            };
            let since = match status {
                DaemonStatus::Running { since, .. } => Some(since),
                _ => None,
            };
            let view = live::daemon_status_view(word, pid, since);
            output.show(&view, |_, output| output.paint(&status.to_string(), tone));
            Ok(code)
        }
    }
}
