//! What can be written on the command line, declared: commands, options, their help. Values are checked here, so that
//! what is written wrong is told before anything is asked.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use symphra_scheduler_core::parse_instant;

use super::plan::HOURS_MAX;
use crate::control::RunCursor;
use crate::run::{RunId, RunState};
use crate::schedule::Schedule;
use crate::task::TaskStatus;

/// Exit codes, which every command shares.
const CODES: &str = "\
Exit codes:
  0  done
  1  failed, or not well
  2  wrong usage
  3  the program is not running";

/// The command line of a program.
#[derive(Debug, Parser)]
#[command(about = "A program of scheduled tasks", after_help = CODES, version, subcommand_required = true)]
#[command(arg_required_else_help = true)]
pub(super) struct ProgramLine {
    #[command(flatten)]
    pub(super) global: Global,

    /// Read this file of settings, and not the one that $SCHEDULER_CONFIG names or that is found
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(super) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: ProgramCommand,
}

/// The command line of the binary `symphra`.
#[derive(Debug, Parser)]
#[command(name = "symphra", about = "Asks and changes running programs of scheduled tasks", after_help = CODES, version)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct SymphraLine {
    #[command(flatten)]
    pub(super) global: Global,

    #[command(flatten)]
    pub(super) store: StoreArgs,

    #[command(subcommand)]
    pub(super) command: SymphraCommand,
}

/// The store of the program that is asked about.
#[derive(Debug, Args)]
#[command(next_help_heading = "The store")]
pub(super) struct StoreArgs {
    /// Where it is, such as sqlite://scheduler.db; without it $SCHEDULER_BACKEND_URL tells
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,

    /// The program in it: the name of its file, unless its settings name another
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) namespace: Option<String>,

    /// A file of settings that names it
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The program by its name: its daemon's, or that of its file
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) name: Option<String>,

    /// The process to ask, where several of one name run
    #[arg(long, global = true, value_name = "PID")]
    pub(super) pid: Option<u32>,

    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Print in colour; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(super) color: Color,
}

/// When there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// What a program can be told.
#[derive(Debug, Subcommand)]
pub(super) enum ProgramCommand {
    /// Run in the foreground until Ctrl+C or SIGTERM
    Run,
    /// Run in the background, and stop that
    #[command(subcommand)]
    Daemon(DaemonCommand),
    #[command(flatten)]
    Live(Box<LiveCommand>),
    /// Bring the store up to date
    Migrate,
    /// Serve the dashboard of the store, whether or not the program runs
    #[cfg(feature = "dashboard")]
    Dashboard(super::dashboard::DashboardArgs),
    /// Check tasks and settings without running anything
    Check(CheckArgs),
    /// Show what would fire, and what would fire otherwise than before
    Plan(PlanArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

/// What `symphra` can be told.
#[derive(Debug, Subcommand)]
pub(super) enum SymphraCommand {
    #[command(flatten)]
    Live(Box<LiveCommand>),
    /// Make the tables of the store, or bring them up to date
    Migrate,
    /// Serve the dashboard of the store, whether or not a program runs on it
    #[cfg(feature = "dashboard")]
    Dashboard(super::dashboard::DashboardArgs),
    /// Explain a cron expression, and list its next instants
    Cron(CronArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

/// What a daemon can be told.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum DaemonCommand {
    /// Start it, and return once it is up
    Start,
    /// Stop it; what runs may end
    Stop,
    /// Stop it if it runs, and start it
    Restart,
    /// Tell whether it runs: exit code 0 if it does, 1 if it was killed, 3 if it does not
    Status,
}

/// What is asked of a running program.
#[derive(Debug, Subcommand)]
pub(super) enum LiveCommand {
    /// List the tasks
    List {
        /// Only tasks that stand so
        #[arg(long, value_parser = statuses())]
        status: Option<String>,
        /// Only tasks with this tag
        #[arg(long)]
        tag: Option<String>,
    },
    /// Show one task
    Show {
        /// The task's name
        task: String,
    },
    /// List the next occurrences
    Next {
        /// The task's name; all tasks if none is given
        task: Option<String>,
        /// How many, of each task
        #[arg(short = 'n', long = "count", value_name = "COUNT", default_value_t = 5)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
        count: u32,
    },
    /// Run a task now, and leave its schedule alone
    Trigger {
        /// The task's name
        task: String,
    },
    /// Pause a task: what falls due is recorded, and never caught up
    Pause {
        #[command(flatten)]
        which: TaskOrAll,
        /// Why, which records and `explain` tell
        #[arg(long)]
        reason: Option<String>,
    },
    /// End the pause of a task
    Resume {
        #[command(flatten)]
        which: TaskOrAll,
    },
    /// Give a task another schedule, from now on
    Reschedule {
        /// The task's name
        task: String,
        /// A cron expression, a period such as 1m30s, or an instant
        #[arg(value_parser = a_schedule)]
        schedule: String,
    },
    /// List runs, the newest first
    Runs {
        /// The task's name; all tasks if none is given
        task: Option<String>,
        /// Only runs in this state; may be given several times
        #[arg(long, value_name = "STATE", value_parser = states())]
        state: Vec<String>,
        /// Only runs of this instant or later
        #[arg(long, value_name = "INSTANT", value_parser = an_instant)]
        from: Option<String>,
        /// Only runs of this instant or earlier
        #[arg(long, value_name = "INSTANT", value_parser = an_instant)]
        to: Option<String>,
        /// Only runs behind this place in the list, which the page before ends with
        #[arg(long, value_name = "PLACE")]
        after: Option<RunCursor>,
        /// How many
        #[arg(short = 'n', long = "count", value_name = "COUNT", default_value_t = 20)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
        count: u32,
    },
    /// Show what a run wrote: the last lines of its last attempt that has ended
    Log {
        /// Its id, which `runs` and `trigger` print
        run: RunId,
    },
    /// Cancel a run
    Cancel {
        /// Its id, which `runs` and `trigger` print
        run: RunId,
    },
    /// List dead letters, the last first: jobs that have failed for good
    Dead {
        /// The task's name; all tasks if none is given
        task: Option<String>,
        /// How many
        #[arg(short = 'n', long = "count", value_name = "COUNT", default_value_t = 20)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
        count: u32,
    },
    /// Enqueue the job of a dead letter again
    RunAgain {
        /// The id of its run, which `dead` prints
        letter: RunId,
    },
    /// Remove a dead letter
    DropLetter {
        /// The id of its run, which `dead` prints
        letter: RunId,
    },
    /// Tell what became of an instant of a task
    Explain {
        /// The task's name
        task: String,
        /// Such as 2026-12-31T09:30:00+08:00; without an offset it is local to the task's zone
        #[arg(value_parser = an_instant)]
        instant: String,
    },
    /// Run the occurrences of a range that have no successful run
    Backfill {
        /// The task's name
        task: String,
        /// The beginning of the range
        #[arg(long, value_name = "INSTANT", value_parser = an_instant)]
        from: String,
        /// Its end, included; the present if none is given
        #[arg(long, value_name = "INSTANT", value_parser = an_instant)]
        to: Option<String>,
        /// Run those too that have a successful run
        #[arg(long)]
        rerun: bool,
        /// Only list what would run
        #[arg(long, conflicts_with = "wait")]
        preview: bool,
        /// Wait until all have ended; exit code 1 if not all succeeded
        #[arg(long)]
        wait: bool,
    },
    /// Show the nodes
    Nodes,
    /// List what was asked for, the last first: by whom, and what came of it
    Actions {
        /// How many
        #[arg(short = 'n', long = "count", value_name = "COUNT", default_value_t = 20)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
        count: u32,
    },
    /// Tell whether all is well: exit code 0 if it is, 1 if not
    Health,
    /// Put the mark of a task that lies in the future back to the present
    Reset {
        /// The task's name
        task: String,
    },
}

/// One task, or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct TaskOrAll {
    /// The task's name
    pub(super) task: Option<String>,
    /// All tasks
    #[arg(long, action = ArgAction::SetTrue)]
    pub(super) all: bool,
}

/// What `check` takes.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {}

/// What `plan` takes.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// How many hours ahead
    #[arg(long, value_name = "COUNT", default_value_t = 24)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(HOURS_MAX)))]
    pub(crate) hours: u32,
    /// From when on; the present minute if none is given
    #[arg(long, value_name = "INSTANT", value_parser = an_instant)]
    pub(crate) from: Option<String>,
    /// Show what differs from what `plan --json` wrote into this file, for its hours: exit code 0 if nothing, 1 if
    /// something differs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hours", "from"])]
    pub(crate) against: Option<PathBuf>,
}

/// What `cron` takes.
#[derive(Debug, Args)]
pub(crate) struct CronArgs {
    /// The expression, in one argument
    pub(crate) expression: String,
    /// The zone in which it is read
    #[arg(long = "tz", value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: String,
    /// How many instants
    #[arg(short = 'n', long = "count", value_name = "COUNT", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) count: u32,
    /// From when on; the present if none is given
    #[arg(long, value_name = "INSTANT", value_parser = an_instant)]
    pub(crate) from: Option<String>,
    /// Describe it in Chinese
    #[arg(long)]
    pub(crate) zh: bool,
}

/// What `completions` takes.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh; that of $SHELL if none is given
    #[arg(value_parser = super::shells::shells())]
    pub(crate) shell: Option<Shell>,
}

/// The words for where a task may stand.
fn statuses() -> PossibleValuesParser {
    PossibleValuesParser::new(TaskStatus::ALL.map(|status| status.to_string()))
}

/// The words for where a run may stand.
fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(RunState::ALL.map(|state| state.to_string()))
}

/// Keeps the text: without an offset the instant is known only where the task's zone is.
fn an_instant(text: &str) -> Result<String, String> {
    parse_instant(text).map(|_| text.to_owned())
}

fn a_schedule(text: &str) -> Result<String, String> {
    Schedule::from_str(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
