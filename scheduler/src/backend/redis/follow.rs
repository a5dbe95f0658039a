//! What has changed, for nodes that follow it: they are woken by what others publish, and look for themselves each second.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use redis::aio::PubSub;
use redis::cmd;
use serde::Deserialize;
use serde_json::json;

use super::store::{Failed, Store};
use super::words::{At, Id, Key};
use crate::backend::text;
use crate::backend::{BackendError, Cancelled, Changes, Died, TaskKey};

/// How often a node looks for changes although nobody has told it of any.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The shortest time between two messages: 20 a second.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// How often the connection that listens is asked whether it is there.
const PING_EVERY: u32 = 10;

const CHANNEL: &str = "changes";

/// How long a run waits for a node that knows its task.
const WAIT_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How often it is looked for such runs, which nearly no store has. The first look is so long after the store was opened
/// that nodes which start with it have had their turn.
const UNCLAIMED_EVERY: Duration = Duration::from_secs(60 * 60);

/// When what is left of jobs is first looked at: a program that never lives for an hour gives it up too.
const FIRST_PRUNE: Duration = Duration::from_secs(60);

/// How many runs are ended in one look.
const UNCLAIMED_MAX: usize = 256;

/// A change, as the log of the store has it.
#[derive(Deserialize)]
struct ChangeWord {
    kind: String,
    task: Option<Key>,
    run: Option<Id>,
    cause: Option<String>,
    was: Option<String>,
    node: Option<String>,
    attempt: Option<u32>,
    deaths: Option<u32>,
    state: Option<String>,
    at: Option<At>,
}

impl Store {
    /// The number of the store's last change.
    pub(super) async fn version(&self) -> Result<i64, Failed> {
        #[derive(Deserialize)]
        struct Seen {
            version: i64,
        }
        let seen: Seen = self.call("version", &json!({})).await?;
        Ok(seen.version)
    }

    pub(super) async fn changes(&self, version: Option<u64>) -> Result<Changes, Failed> {
        #[derive(Deserialize)]
        struct Changed {
            version: u64,
            #[serde(default)]
            changes: Vec<ChangeWord>,
        }
        let Some(since) = version else {
            let version = self.version().await?;
            self.announced.tell(version);
            return Ok(Changes { version: version.unsigned_abs(), ..Changes::default() });
        };
        let changed: Changed = self.call("changes", &json!({ "since": since })).await?;
        let mut changes = Changes { version: changed.version, ..Changes::default() };
        let (mut tasks, mut all) = (BTreeSet::new(), false);
        for change in changed.changes {
            add(change, &mut changes, &mut tasks, &mut all)?;
        }
        let tasks: Vec<TaskKey> = if all { self.all_tasks().await? } else { tasks.into_iter().collect() };
        changes.tasks = self.look(&tasks).await?;
        Ok(changes)
    }
}

fn add(
    change: ChangeWord,
    changes: &mut Changes,
    tasks: &mut BTreeSet<TaskKey>,
    all: &mut bool,
) -> Result<(), BackendError> {
    match (change.kind.as_str(), change.task, change.run) {
        ("task", Some(Key(task)), _) => _ = tasks.insert(task),
        ("cancelled", Some(Key(task)), Some(Id(id))) => changes.cancelled.push(Cancelled {
            id,
            task,
            cause: text::read_cause(change.cause.as_deref().unwrap_or_default()),
            was: text::state(change.was.as_deref().unwrap_or_default())?,
        }),
        ("resumed", _, Some(Id(run))) => changes.resumed.push(run),
        ("died", Some(Key(task)), Some(Id(id))) => changes.died.push(Died {
            id,
            task,
            node: change.node.unwrap_or_default().into(),
            attempt: change.attempt.unwrap_or_default(),
            deaths: change.deaths.unwrap_or_default(),
            state: text::state(change.state.as_deref().unwrap_or_default())?,
            ended_at: change.at.map_or(symphra_scheduler_core::Timestamp::MIN, |at| at.0),
        }),
        ("runnable", ..) => changes.runnable = true,
        // A kind that only a newer version knows: whatever it is about, all is looked at.
        _ => *all = true,
    }
    Ok(())
}

/// Looks for changes of other processes, as long as the store's thread is there.
pub(super) async fn follow(store: Arc<Store>) {
    let (mut listening, mut looks) = (None, 0);
    loop {
        if listening.is_none() {
            listening = store.link.listen(&store.key(CHANNEL)).await;
        }
        match &mut listening {
            Some(told) => {
                let is_there = hear(told, looks % PING_EVERY == PING_EVERY - 1).await;
                if !is_there {
                    listening = None;
                }
            }
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
        looks += 1;
        // Where it cannot be asked, nobody waits for less long: who calls finds out for himself, and this looks again.
        if let Ok(version) = store.version().await {
            store.announced.tell(version);
        }
    }
}

/// Returns when something is published, and at the latest after a while; tells whether the connection is there.
async fn hear(listening: &mut PubSub, is_pinged: bool) -> bool {
    if is_pinged && !matches!(tokio::time::timeout(LOOK_EVERY, listening.ping::<redis::Value>()).await, Ok(Ok(_))) {
        return false;
    }
    let mut messages = listening.on_message();
    // What is pinned here lives for this one message.
    let mut messages = std::pin::pin!(&mut messages);
    let next = poll_fn(|context| Pin::new(&mut **messages).poll_next(context));
    let told = tokio::time::timeout(LOOK_EVERY, next).await;
    if matches!(told, Ok(Some(_))) {
        // Several at once are one.
        tokio::time::sleep(PUBLISH_EVERY).await;
    }
    !matches!(told, Ok(None))
}

/// Tells other processes of changes, as long as the store's thread is there.
pub(super) async fn tell(store: Arc<Store>) {
    loop {
        store.due.notified().await;
        let publish = || cmd("PUBLISH").arg(store.key(CHANNEL)).arg("").take();
        // Those who are not woken look for themselves.
        let told = tokio::time::timeout(LOOK_EVERY, store.link.ask::<redis::Value>(publish));
        drop(told.await);
        tokio::time::sleep(PUBLISH_EVERY).await;
    }
}

/// Ends runs that nobody claims, and gives up what is left of jobs when its time is over, for as long as the store is open.
pub(super) async fn end_unclaimed(store: Arc<Store>) {
    tokio::time::sleep(FIRST_PRUNE).await;
    while matches!(store.prune_jobs().await, Ok(true)) {}
    loop {
        tokio::time::sleep(UNCLAIMED_EVERY).await;
        // What fails now is tried again in an hour.
        while matches!(store.end_unclaimed(WAIT_MAX, UNCLAIMED_MAX).await, Ok(UNCLAIMED_MAX)) {}
        while matches!(store.prune_jobs().await, Ok(true)) {}
    }
}
