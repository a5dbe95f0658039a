//! Commands that ask a running program: from words to a question, and from its answer to text.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::LiveCommand;
use super::store::Store;
use super::view::{
    ActionView, BackfillView, ChangeView, ExplanationView, HealthView, LetterView, LogView, NextView, NodeView,
    RunView, TaskPage, TaskView,
};
use super::{Failure, Output, declared, text};
use crate::backend::is_not_made;
use crate::clock::Clock;
use crate::control::{self, Answer, Connection, How, Question, Stored};
use crate::daemon::Pid;
use crate::scheduler::Scheduler;

/// How often a spinner turns.
const SPIN_EACH: Duration = Duration::from_millis(120);

/// Which running program is asked.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) pid: Option<u32>,
    /// How the program is called, if it is this one.
    pub(super) start: Option<String>,
    /// What can be asked besides the running program.
    pub(super) store: Store,
}

/// Asks and prints: the running program, which knows more, or else its store. `declared` is this program, whose tasks can
/// be told without a running copy of it.
pub(super) async fn run(
    command: LiveCommand,
    target: &Target,
    declared: Option<&Scheduler>,
    output: &Output,
) -> Result<u8, Failure> {
    // Who names a process asks for no other.
    let has_store = target.store.is_some() && target.pid.is_none();
    let mut found = match &*target.name {
        "" => Vec::new(),
        name => match control::find(name, target.pid).await {
            Err(_) if has_store => Vec::new(),
            found => found?,
        },
    };
    match (found.len(), has_store) {
        (1, _) => match found.pop() {
            Some(connection) => ask(connection, command, output).await,
            None => Err(target.not_running()),
        },
        (_, true) => stored(command, target, declared, output).await,
        (0, false) => not_running(&command, target, declared, output),
        (_, false) => Err(target.ambiguous(&found)),
    }
}

/// What its store tells.
async fn stored(
    command: LiveCommand,
    target: &Target,
    declared: Option<&Scheduler>,
    output: &Output,
) -> Result<u8, Failure> {
    let backend = match target.store.open().await {
        Ok(Some(backend)) => backend,
        Ok(None) => return Err(target.not_running()),
        // Before its first start a program has declared tasks, and nothing else.
        Err(error) if is_not_made(&error) => {
            match declared.and_then(|program| declared::answer(&command, program, output)) {
                Some(told) => return told,
                None => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let (tasks, zone) =
        declared.map_or_else(Default::default, |program| (program.overridden(), program.settings().zone()));
    let store = Stored::look(backend, tasks, zone, Clock::default()).await?;
    // Nor has one whose store has just been made.
    if store.is_empty()
        && let Some(told) = declared.and_then(|program| declared::answer(&command, program, output))
    {
        return told;
    }
    let question = question(command);
    let value = store.answer(&question).await?;
    tell(&question, value, output)
}

/// What can be told without a running program.
fn not_running(
    command: &LiveCommand,
    target: &Target,
    declared: Option<&Scheduler>,
    output: &Output,
) -> Result<u8, Failure> {
    // Who names a process asks for no other.
    let declared = declared.filter(|_| target.pid.is_none());
    let told = declared.and_then(|scheduler| declared::answer(command, scheduler, output));
    told.unwrap_or_else(|| Err(target.not_running()))
}

impl Target {
    fn not_running(&self) -> Failure {
        let Self { name, pid, start, .. } = self;
        let which = pid.map_or_else(|| format!("\"{name}\""), |pid| format!("\"{name}\" with PID {pid}"));
        let advice = match start {
            Some(start) => format!("start it with `{start} run` or `{start} daemon start`"),
            None => "start it, or name another with --name, or its store with --url".to_owned(),
        };
        Failure::NotRunning(format!("no program {which} is running; {advice}"))
    }

    fn ambiguous(&self, found: &[Connection]) -> Failure {
        let pids: Vec<String> = found.iter().map(|connection| connection.pid.to_string()).collect();
        Failure::Failed {
            kind: "ambiguous".to_owned(),
            message: format!(
                "{} programs \"{}\" are running, PIDs {}; choose one with --pid",
                pids.len(),
                self.name,
                pids.join(" and "),
            ),
        }
    }
}

async fn ask(connection: Connection, command: LiveCommand, output: &Output) -> Result<u8, Failure> {
    let question = question(command);
    let mut bar = Progress::none();
    let answer = connection.ask(&question, |done, of| bar.advance(output, done, of)).await;
    drop(bar);
    let value = match answer? {
        Answer::Done(value) => value,
        Answer::Failed { kind, message } => return Err(Failure::Failed { kind, message }),
        Answer::Progress { .. } => return Err(Failure::failed("the program ended its answer with progress")),
    };
    tell(&question, value, output)
}

/// Prints what was answered.
fn tell(question: &Question, value: serde_json::Value, output: &Output) -> Result<u8, Failure> {
    match question {
        Question::List { .. } => show::<Vec<TaskView>>(value, output, |all, output| text::tasks(all, output)),
        Question::Find(_) | Question::Day { .. } => Err(Failure::failed("a page of a dashboard is no command")),
        Question::Show { .. } => show::<TaskPage>(value, output, text::page),
        Question::Next { .. } => show::<Vec<NextView>>(value, output, |all, output| text::next(all, output)),
        Question::Runs { .. } => show::<Vec<RunView>>(value, output, |all, output| text::runs(all, output)),
        Question::Dead { .. } => show::<Vec<LetterView>>(value, output, |all, output| text::letters(all, output)),
        Question::Log { .. } => show::<LogView>(value, output, text::log),
        Question::Explain { .. } => show::<ExplanationView>(value, output, text::explanation),
        Question::Actions { .. } => show::<Vec<ActionView>>(value, output, |all, output| text::actions(all, output)),
        Question::Nodes => show::<Vec<NodeView>>(value, output, |all, output| text::nodes(all, output)),
        Question::Health => {
            let health: HealthView = read(value)?;
            output.show(&health, text::health);
            Ok(if health.well { 0 } else { Failure::FAILED })
        }
        Question::Backfill { .. } => {
            let backfill: BackfillView = read(value)?;
            output.show(&backfill, text::backfill);
            let failed = backfill.ended.is_some_and(|ended| ended.keys().any(|state| state != "succeeded"));
            Ok(if failed { Failure::FAILED } else { 0 })
        }
        Question::Trigger { .. }
        | Question::Pause { .. }
        | Question::Resume { .. }
        | Question::Reschedule { .. }
        | Question::Cancel { .. }
        | Question::Reset { .. }
        | Question::RunAgain { .. }
        | Question::DropLetter { .. } => show::<ChangeView>(value, output, text::change),
    }
}

/// What the program answered is printed as it is understood here, so that JSON has the fields of this release.
fn show<T: Serialize + DeserializeOwned>(
    value: serde_json::Value,
    output: &Output,
    text: impl FnOnce(&T, &Output) -> String,
) -> Result<u8, Failure> {
    output.show(&read::<T>(value)?, text);
    Ok(0)
}

fn read<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::failed(format!("the program answers otherwise than this command expects: {error}")))
}

fn question(command: LiveCommand) -> Question {
    let many = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    match command {
        LiveCommand::List { status, tag } => Question::List { status, tag },
        LiveCommand::Show { task } => Question::Show { task },
        LiveCommand::Next { task, count } => Question::Next { task, count: many(count) },
        LiveCommand::Trigger { task } => Question::Trigger { task },
        LiveCommand::Pause { which, reason } => Question::Pause { task: which.task, reason },
        LiveCommand::Resume { which } => Question::Resume { task: which.task },
        LiveCommand::Reschedule { task, schedule } => Question::Reschedule { task, schedule },
        LiveCommand::Runs { task, state, from, to, after, count } => {
            let after = after.map(|after| after.to_string());
            Question::Runs { task, states: state, from, to, after, count: many(count) }
        }
        LiveCommand::Log { run } => Question::Log { run: run.to_string() },
        LiveCommand::Cancel { run } => Question::Cancel { run: run.to_string() },
        LiveCommand::Explain { task, instant } => Question::Explain { task, at: instant },
        LiveCommand::Backfill { task, from, to, rerun, preview, wait } => {
            let how = match (preview, wait) {
                (true, _) => How::Preview,
                (false, true) => How::Wait,
                (false, false) => How::Begin,
            };
            Question::Backfill { task, from, to, rerun, how }
        }
        LiveCommand::Nodes => Question::Nodes,
        LiveCommand::Actions { count } => Question::Actions { count: many(count) },
        LiveCommand::Health => Question::Health,
        LiveCommand::Reset { task } => Question::Reset { task },
        LiveCommand::Dead { task, count } => Question::Dead { task, count: many(count) },
        LiveCommand::RunAgain { letter } => Question::RunAgain { letter: letter.to_string() },
        LiveCommand::DropLetter { letter } => Question::DropLetter { letter: letter.to_string() },
    }
}

/// What `daemon` prints as JSON.
#[derive(Debug, Serialize)]
pub(super) struct DaemonView {
    status: &'static str,
    pid: Option<u32>,
}

pub(super) fn daemon_view(status: &'static str, pid: Option<Pid>) -> DaemonView {
    DaemonView { status, pid: pid.map(Pid::as_u32) }
}

/// The same of `daemon status`, which also tells since when it runs: in UTC, for a daemon has no zone.
#[derive(Debug, Serialize)]
pub(super) struct DaemonStatusView {
    #[serde(flatten)]
    daemon: DaemonView,
    since: Option<String>,
}

pub(super) fn daemon_status_view(
    status: &'static str,
    pid: Option<Pid>,
    since: Option<DateTime<Utc>>,
) -> DaemonStatusView {
    let since = since.map(|since| since.to_rfc3339_opts(SecondsFormat::Millis, true));
    DaemonStatusView { daemon: daemon_view(status, pid), since }
}

/// Progress on standard error, if that is a terminal. It is gone when this is dropped.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    fn none() -> Self {
        Self(None)
    }

    /// Something turns until it is done.
    pub(super) fn spinner(output: &Output, says: &'static str) -> Self {
        if !output.shows_progress() {
            return Self::none();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // Without it, what turns is an empty bar that says nothing.
        let bar = bar.with_style(ProgressStyle::default_spinner()).with_message(says);
        bar.enable_steady_tick(SPIN_EACH);
        Self(Some(bar))
    }

    fn advance(&mut self, output: &Output, done: usize, of: usize) {
        if !output.shows_progress() {
            return;
        }
        let bar = self.0.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(of as u64), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs have ended, {elapsed}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
