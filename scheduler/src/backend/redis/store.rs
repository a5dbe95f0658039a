//! The calls of a store: what is asked of the script, and how long that may take.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, cmd};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;
use tokio::sync::Notify;

use super::STEP_MAX;
use super::known::Known;
use super::link::{self, Link};
use super::words::{At, BecameWord, ClaimedWord, FiringWord, HolderWord, Id, Key, Number, SubmissionWord};
use crate::backend::announced::Announced;
use crate::backend::line::{Failing, Line, Submits};
use crate::backend::text;
use crate::backend::{
    Admission, BackendError, Cancelled, Claim, Claims, End, Finish, Firing, Holder, Holding, Left, Stored, Submission,
    Submitted, TaskKey,
};
use crate::namespace::Namespace;
use crate::outcome::{CancelCause, Outcome};
use crate::run::RunId;

/// What every script begins with. Redis runs a script as one step; it makes each function anew for each call, so a call is told
/// no more of them than it needs.
macro_rules! script {
    ($($file:literal),*) => {
        concat!(
            include_str!("step.lua"),
            include_str!("callers.lua"),
            include_str!("jobs.lua"),
            include_str!("waiting.lua"),
            include_str!("runs.lua"),
            include_str!("nodes.lua"),
            $(include_str!($file),)*
            include_str!("call.lua"),
        )
    };
}

/// A script, and the calls that it knows.
const SCRIPTS: [(&str, &[&str]); 8] = [
    (script!("admit.lua"), &["enqueue", "submit"]),
    (script!("finish.lua"), &["finish", "lost", "cancel", "unclaimed"]),
    (script!("claim.lua"), &["claim", "name"]),
    (script!("declare.lua"), &["register", "unregister", "look", "control"]),
    (
        script!("look.lua"),
        &[
            "version",
            "changes",
            "get",
            "scan",
            "find",
            "alive",
            "last_end",
            "past",
            "last_ended",
            "planned",
            "letters",
            "open",
        ],
    ),
    (script!("letters.lua"), &["enqueue_jobs", "run_again", "drop_letter", "prune"]),
    (script!("actions.lua"), &["note", "actions"]),
    (script!(), &["heartbeat", "leave", "nodes"]),
];

/// How many tasks or runs one step is about: few enough that nobody waits long for it.
pub(super) const TOGETHER_MAX: usize = 1_000;

/// How many tasks a claim names. A node that claims more tells the store once which they are, and claims what it has named.
const NAMED_MAX: usize = 64;

/// How often a claim is tried whose tasks the store does not know: once, but for claims of one node that name others meanwhile.
const NAMINGS_MAX: usize = 3;

/// Why a step failed: nothing of it was done, or its answer was lost.
#[derive(Debug)]
pub(super) enum Failed {
    Redis(RedisError),
    /// What is stored cannot be read.
    Row(BackendError),
    /// The store has lost what it had answered.
    Gone,
    /// There was no answer in time.
    Silent,
}

impl Failing for Failed {
    fn is_of_a_row(&self) -> bool {
        match self {
            Self::Redis(error) => link::is_of_what_is_asked(error),
            Self::Row(_) => true,
            Self::Gone | Self::Silent => false,
        }
    }

    fn during(self, call: &'static str) -> BackendError {
        match self {
            Self::Redis(error) => BackendError::new(call, error),
            Self::Row(error) => error,
            Self::Gone => BackendError::new(
                call,
                "Redis has lost what it had answered: it was emptied, or a failover or a restart has undone its last writes; \
                 start the programs on it again",
            ),
            Self::Silent => BackendError::new(call, format!("there was no answer for {STEP_MAX:?}")),
        }
    }
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self::Row(error)
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Self {
        Self::Row(BackendError::new("read its rows", error))
    }
}

/// What the calls of a store share.
pub(super) struct Store {
    pub(super) link: Link,
    scripts: Vec<(Script, &'static str, &'static [&'static str])>,
    /// What its keys begin with: all of it is one hash tag, so that a Cluster keeps them together.
    prefix: String,
    meta: String,
    /// A key that never is: while a Cluster moves the store to another node, no step is made where only some of its keys are.
    absent: String,
    known: Known,
    pub(super) announced: Announced,
    submitting: Line,
    /// Told when there is something that others are to be told.
    pub(super) due: Notify,
}

impl Store {
    pub(super) fn new(link: Link, namespace: &Namespace) -> Self {
        let prefix = format!("{{symphra:{}}}:", namespace.as_str());
        Self {
            link,
            scripts: SCRIPTS.into_iter().map(|(code, calls)| (Script::new(code), code, calls)).collect(),
            meta: format!("{prefix}meta"),
            absent: format!("{prefix}absent"),
            prefix,
            known: Known::new(),
            announced: Announced::default(),
            submitting: Line::default(),
            due: Notify::new(),
        }
    }

    /// The name of a key, or of the channel, of this store.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Makes a step.
    pub(super) async fn call<R: DeserializeOwned>(&self, call: &str, input: &impl Serialize) -> Result<R, Failed> {
        self.call_with(call, input, &[]).await.map(|(answer, _)| answer)
    }

    /// Makes a step that is told of arguments of jobs, or tells them: they travel as they are beside what it is about.
    pub(super) async fn call_with<R: DeserializeOwned>(
        &self,
        call: &str,
        input: &impl Serialize,
        texts: &[&str],
    ) -> Result<(R, Vec<String>), Failed> {
        self.known.is_whole()?;
        let input = serde_json::to_string(input)?;
        let (script, code, _) =
            self.scripts.iter().find(|(.., calls)| calls.contains(&call)).expect("every call is in a script");
        let known = self.link.ask(|| self.evaluate("EVALSHA", script.get_hash(), call, &input, texts)).await;
        let (version, answer, store, number, texts): (i64, Vec<u8>, String, u64, Vec<String>) = match known {
            Err(Failed::Redis(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.link.ask(|| self.evaluate("EVAL", code, call, &input, texts)).await?
            }
            known => known?,
        };
        if version < 0 {
            self.known.lost();
        } else {
            self.known.has_answered(store, number);
        }
        // What was answered to a call that was made before the loss is nothing to go on from, either.
        if let Err(gone) = self.known.is_whole() {
            // Who waits for a change is told, too.
            self.announced.tell(i64::MAX);
            return Err(gone);
        }
        if version > 0 {
            self.announced.tell(version);
            self.due.notify_one();
        }
        Ok((serde_json::from_slice(&answer)?, texts))
    }

    fn evaluate(&self, how: &str, script: &str, call: &str, input: &str, texts: &[&str]) -> Cmd {
        let mut command = cmd(how);
        command.arg(script).arg(2).arg(&self.meta).arg(&self.absent).arg(call).arg(input);
        command.arg(self.known.store()).arg(self.known.caller()).arg(self.known.answered());
        command.arg(texts);
        command
    }

    pub(super) async fn heartbeat(&self, holder: &Holder) -> Result<Timestamp, Failed> {
        #[derive(Deserialize)]
        struct Beat {
            now: At,
        }
        let beat: Beat = self.call("heartbeat", &HolderWord::of(holder)).await?;
        Ok(beat.now.0)
    }

    pub(super) async fn leave(&self, holder: &Holder) -> Result<Vec<Left>, Failed> {
        let _: Nothing = self.call("leave", &HolderWord::of(holder)).await?;
        Ok(Vec::new())
    }

    pub(super) async fn enqueue(&self, holder: &Holder, firings: &[Firing]) -> Result<Vec<Admission>, Failed> {
        #[derive(Serialize)]
        struct Fired<'a> {
            holder: HolderWord<'a>,
            firings: Vec<FiringWord>,
        }
        let mut admissions = Vec::with_capacity(firings.len());
        for some in firings.chunks(TOGETHER_MAX) {
            let firings = some.iter().map(FiringWord::of).collect();
            let answered: Answers<BecameWord> =
                self.call("enqueue", &Fired { holder: HolderWord::of(holder), firings }).await?;
            for answer in answered.answers {
                admissions.push(answer.admission()?);
            }
        }
        Ok(admissions)
    }

    pub(super) async fn claim(&self, holder: &Holder, claim: &Claim) -> Result<Claims, Failed> {
        #[derive(Serialize)]
        struct Asked<'a> {
            holder: HolderWord<'a>,
            number: Number,
            max: usize,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tasks: Vec<Key>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            jobs: BTreeMap<String, u32>,
            /// The set of tasks that were named before, and how many they are.
            #[serde(skip_serializing_if = "Option::is_none")]
            named: Option<String>,
            count: usize,
            count_of_jobs: usize,
        }
        #[derive(Deserialize)]
        struct Got {
            #[serde(default)]
            runs: Vec<ClaimedWord>,
            next_at: Option<At>,
            #[serde(default)]
            is_unnamed: bool,
        }
        let (number, max, count) = (Number(claim.number), claim.max, claim.tasks.len());
        let named = (count > NAMED_MAX).then(|| name_of_set(claim));
        let (tasks, jobs) = match named {
            None => (keys(&claim.tasks), versions(&claim.jobs)),
            Some(_) => (Vec::new(), BTreeMap::new()),
        };
        let (holding, count_of_jobs) = (HolderWord::of(holder), claim.jobs.len());
        let asked = Asked { holder: holding, number, max, tasks, jobs, named, count, count_of_jobs };
        for _ in 0..NAMINGS_MAX {
            let (got, arguments): (Got, _) = self.call_with("claim", &asked, &[]).await?;
            match &asked.named {
                Some(set) if got.is_unnamed => self.name(holder, set, claim).await?,
                _ => {
                    let mut arguments = arguments.into_iter();
                    let runs = got.runs.into_iter().map(|run| run.read(&mut arguments)).collect::<Result<_, _>>()?;
                    return Ok(Claims { runs, next_at: got.next_at.map(|at| at.0) });
                }
            }
        }
        Err(BackendError::new("claim runs", "another claim of this node names other tasks").into())
    }

    /// Tells the store which tasks a node claims.
    async fn name(&self, holder: &Holder, set: &str, claim: &Claim) -> Result<(), Failed> {
        #[derive(Serialize)]
        struct Named<'a> {
            holder: HolderWord<'a>,
            named: &'a str,
            tasks: Vec<Key>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            jobs: BTreeMap<String, u32>,
        }
        let mut jobs = &*claim.jobs;
        for some in claim.tasks.chunks(TOGETHER_MAX) {
            // Both are in ascending order.
            let last = some.last().copied().unwrap_or(TaskKey(0));
            let (of_some, rest) = jobs.split_at(jobs.partition_point(|&(task, _)| task <= last));
            jobs = rest;
            let holder = HolderWord::of(holder);
            let named = Named { holder, named: set, tasks: keys(some), jobs: versions(of_some) };
            let _: Nothing = self.call("name", &named).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&self, ended: &[Finish]) -> Result<Vec<Stored>, Failed> {
        #[derive(Serialize)]
        struct Ended<'a> {
            ended: Vec<EndWord<'a>>,
        }
        let mut stored = Vec::with_capacity(ended.len());
        for some in ended.chunks(TOGETHER_MAX) {
            let ended = Ended { ended: some.iter().map(EndWord::of).collect() };
            let answered: Answers<u8> = self.call("finish", &ended).await?;
            stored.extend(answered.answers.into_iter().map(|answer| match answer {
                0 => Stored::Stale,
                more => Stored::Done { more: more > 1 },
            }));
        }
        Ok(stored)
    }

    pub(super) async fn lost(&self, held: &[Holding]) -> Result<Vec<RunId>, Failed> {
        #[derive(Serialize)]
        struct Held {
            id: Id,
            token: Number,
        }
        let mut lost = Vec::new();
        for some in held.chunks(TOGETHER_MAX) {
            let held: Vec<Held> = some.iter().map(|run| Held { id: Id(run.id), token: Number(run.token.0) }).collect();
            let seen: Runs = self.call("lost", &serde_json::json!({ "held": held })).await?;
            lost.extend(seen.runs.into_iter().map(|run| run.0));
        }
        Ok(lost)
    }

    pub(super) async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>, Failed> {
        #[derive(Deserialize)]
        struct Was {
            task: Option<Key>,
            #[serde(default)]
            was: String,
        }
        let was: Was = self.call("cancel", &serde_json::json!({ "run": Id(run) })).await?;
        let Some(Key(task)) = was.task else { return Ok(None) };
        Ok(Some(Cancelled { id: run, task, cause: CancelCause::Requested, was: text::state(&was.was)? }))
    }

    async fn submit(&self, submissions: &[Submission]) -> Result<Vec<Submitted>, Failed> {
        #[derive(Serialize)]
        struct Asked {
            submissions: Vec<SubmissionWord>,
        }
        let mut submitted = Vec::with_capacity(submissions.len());
        for some in submissions.chunks(TOGETHER_MAX) {
            let asked = Asked { submissions: some.iter().map(SubmissionWord::of).collect() };
            let answered: Answers<BecameWord> = self.call("submit", &asked).await?;
            for answer in answered.answers {
                submitted.push(answer.submitted()?);
            }
        }
        Ok(submitted)
    }
}

impl Submits for Store {
    type Failed = Failed;

    fn line(&self) -> &Line {
        &self.submitting
    }

    async fn submit_all(&self, submissions: &[Submission]) -> Result<Vec<Submitted>, Failed> {
        self.submit(submissions).await
    }
}

/// An answer that says nothing but that it was done.
#[derive(Deserialize)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
pub(super) struct Answers<A> {
    pub(super) answers: Vec<A>,
}

#[derive(Deserialize)]
pub(super) struct Runs {
    #[serde(default)]
    pub(super) runs: Vec<Id>,
}

/// The end of an attempt.
#[derive(Serialize)]
struct EndWord<'a> {
    task: Key,
    id: Id,
    token: Number,
    /// Unless it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<At>,
    finished_at: At,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

impl<'a> EndWord<'a> {
    fn of(ended: &'a Finish) -> Self {
        let (how, at, failure) = match &ended.end {
            End::Retry { at, failure } => (Some("retry"), Some(At(*at)), Some(failure.clone())),
            End::HandBack => (Some("hand_back"), None, None),
            End::Final(outcome) => (ended_as(outcome), None, outcome.text()),
        };
        Self {
            task: Key(ended.task),
            id: Id(ended.id),
            token: Number(ended.token.0),
            how,
            at,
            failure,
            started_at: ended.started_at.map(At),
            finished_at: At(ended.finished_at),
            log: ended.log.as_deref(),
        }
    }
}

const fn ended_as(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Succeeded => None,
        Outcome::Failed(_) => Some("failed"),
        Outcome::TimedOut(_) => Some("timed_out"),
        Outcome::Cancelled(_) => Some("cancelled"),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Tasks, as the script is told of them.
pub(super) fn keys(tasks: &[TaskKey]) -> Vec<Key> {
    tasks.iter().copied().map(Key).collect()
}

/// Up to which version a claimer reads the arguments of jobs, by task.
fn versions(jobs: &[(TaskKey, u32)]) -> BTreeMap<String, u32> {
    jobs.iter().map(|&(task, version)| (task.0.to_string(), version)).collect()
}

/// What tells a set of tasks, and of versions that it reads, from those that the same node has claimed before.
fn name_of_set(claim: &Claim) -> String {
    let mut hasher = DefaultHasher::new();
    (&claim.tasks, &claim.jobs).hash(&mut hasher);
    format!("{:x}", hasher.finish())
}
