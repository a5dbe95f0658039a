//! A store that is asked because no scheduler is at hand, and that may be away: each question says so then, soon, and finds it
//! again when it is back. It is opened as it is: who only looks makes nothing.
//!
//! Nobody tells of what other processes do, so it is looked at: once a second at most, and only while somebody listens.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use serde_json::Value;
use symphra_scheduler_core::format_duration;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::Failed;
use crate::backend::{Backend, RunQuery};
use crate::clock::Clock;
use crate::control::{Actor, Question, Stored, kind_of};
use crate::error::Error;
use crate::run::RunState;
use crate::task::Task;

/// How long the store may say nothing to a question that costs it nothing, before whoever asks is told that it is away.
const REACH_MAX: Duration = Duration::from_secs(5);

/// How long an answer may take once the store is there: a list of very many tasks is long.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long after it could not be opened that is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// How often the store is looked at while somebody listens.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many tasks a look sees: of those beyond it only runs and changes are news, and not what was skipped.
const TASKS_SEEN_MAX: usize = 500;

/// How many of the latest runs a look sees, and how many of those that are alive: a page shows no more.
const RUNS_SEEN_MAX: usize = 200;

/// The store while it is being opened.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Arc<dyn Backend>, Error>> + Send>>;

/// A store without a scheduler.
pub(crate) struct Alone {
    /// Where it is, the password masked.
    place: String,
    opens: Box<dyn Fn() -> Opening + Send + Sync>,
    opened: watch::Sender<Opened>,
    /// What the program declares, where it is known.
    declared: Vec<Task>,
    zone: Tz,
    seen: watch::Sender<Seen>,
    listened: Notify,
}

/// How far it has come with opening the store.
enum Opened {
    /// It is being tried, and why it was not possible before, if that was tried.
    NotYet(Option<String>),
    Open(Arc<dyn Backend>),
}

/// What a look has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Away,
    /// A print of what pages show: another one is another state.
    Stands(u64),
    /// There will be no more looks.
    Ended,
}

impl Alone {
    pub(crate) fn new(
        place: String,
        declared: Vec<Task>,
        zone: Tz,
        opens: impl Fn() -> Opening + Send + Sync + 'static,
    ) -> Self {
        let opened = watch::Sender::new(Opened::NotYet(None));
        let (seen, listened) = (watch::Sender::new(Seen::Nothing), Notify::new());
        Self { place, opens: Box::new(opens), opened, declared, zone, seen, listened }
    }

    pub(super) async fn ask(&self, question: &Question, actor: &Actor) -> Result<Value, Failed> {
        let backend = self.reached().await?;
        self.in_time(ANSWER_MAX, async {
            let stored = Stored::look(backend, self.declared.clone(), self.zone, Clock::default()).await?;
            stored.for_actor(actor.clone()).answer(question).await
        })
        .await
    }

    pub(super) async fn answers(&self) -> bool {
        self.reached().await.is_ok()
    }

    /// Why the store does not answer, if it does not.
    pub(crate) async fn away(&self) -> Option<String> {
        self.reached().await.err().map(|failed| failed.message)
    }

    /// The store, which has just answered.
    async fn reached(&self) -> Result<Arc<dyn Backend>, Failed> {
        self.in_time(REACH_MAX, async {
            let backend = self.open().await;
            backend.changes(None).await?;
            Ok(backend)
        })
        .await
    }

    /// The store, once it is open.
    async fn open(&self) -> Arc<dyn Backend> {
        let mut opened = self.opened.subscribe();
        loop {
            if let Opened::Open(backend) = &*opened.borrow_and_update() {
                return Arc::clone(backend);
            }
            // The sender is here, so the wait cannot fail.
            let _ = opened.changed().await;
        }
    }

    /// What `asked` comes to; that the store is away is told with its place.
    async fn in_time<T>(&self, max: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        let place = &self.place;
        match timeout(max, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_backend() => {
                Err(Failed::new(kind_of(&error), format!("the store {place} does not answer: {error:?}")))
            }
            Ok(Err(error)) => Err(Failed::new(kind_of(&error), format!("{error:?}"))),
            Err(_) => {
                let why = match &*self.opened.borrow() {
                    Opened::NotYet(Some(why)) => why.clone(),
                    _ => format!("it has said nothing for {}", format_duration(max)),
                };
                Err(Failed::new("backend", format!("the store {place} does not answer: {why}")))
            }
        }
    }

    pub(super) fn looks(&self) -> Looks {
        let looks = Looks(self.seen.subscribe());
        self.listened.notify_one();
        looks
    }

    /// Opens the store, and looks at it as long as somebody listens. It never ends, and nothing is answered without it.
    pub(crate) async fn follow(&self) {
        loop {
            let opened = match (self.opens)().await {
                Ok(backend) => Opened::Open(backend),
                Err(error) => Opened::NotYet(Some(format!("{error:?}"))),
            };
            let is_open = matches!(opened, Opened::Open(_));
            self.opened.send_replace(opened);
            if is_open {
                break;
            }
            sleep(OPEN_AGAIN).await;
        }
        loop {
            if self.seen.receiver_count() == 0 {
                self.listened.notified().await;
                continue;
            }
            let seen = match self.reached().await {
                Ok(backend) => self.in_time(ANSWER_MAX, look(&*backend)).await.map_or(Seen::Away, Seen::Stands),
                Err(_) => Seen::Away,
            };
            self.seen.send_if_modified(|known| {
                let is_news = *known != seen && *known != Seen::Ended;
                if is_news {
                    *known = seen;
                }
                is_news
            });
            sleep(LOOK_EVERY).await;
        }
    }

    /// Ends the news of all who listen.
    pub(crate) fn end(&self) {
        self.seen.send_replace(Seen::Ended);
    }
}

/// A print of what pages show of the store.
async fn look(backend: &dyn Backend) -> Result<u64, Error> {
    let mut print = DefaultHasher::new();
    backend.changes(None).await?.version.hash(&mut print);
    let alive: Vec<RunState> = RunState::ALL.into_iter().filter(|state| !state.is_final()).collect();
    for states in [Vec::new(), alive] {
        let query = RunQuery { states, limit: Some(RUNS_SEEN_MAX), ..RunQuery::default() };
        for run in backend.runs(&query).await? {
            (run.id, run.state, run.attempt, run.finished_at).hash(&mut print);
        }
    }
    let tasks: Vec<_> = backend.tasks().await?.into_iter().map(|task| task.key).take(TASKS_SEEN_MAX).collect();
    for task in backend.look(&tasks).await? {
        (task.key, task.mark, task.runs).hash(&mut print);
    }
    for node in backend.nodes().await? {
        (node.node, node.presence.to_string(), node.held).hash(&mut print);
    }
    Ok(print.finish())
}

/// The looks at a store, for one who listens.
pub(crate) struct Looks(watch::Receiver<Seen>);

impl Looks {
    pub(super) async fn next(&mut self) -> Option<()> {
        // Who comes after the end has seen it already.
        if *self.0.borrow() == Seen::Ended {
            return None;
        }
        self.0.changed().await.ok()?;
        (*self.0.borrow_and_update() != Seen::Ended).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::schedule::Schedule;
    use crate::scheduler::Scheduler;

    #[tokio::test]
    async fn a_look_differs_when_something_has_changed_and_only_then() {
        let memory = MemoryBackend::new();
        let hour = Schedule::interval(Duration::from_secs(3_600)).expect("an hour is possible");
        let go = Arc::new(Notify::new());
        let waits = Task::new("waits", hour, {
            let go = Arc::clone(&go);
            move || {
                let go = Arc::clone(&go);
                async move { go.notified().await }
            }
        });
        let scheduler = Scheduler::empty().backend(memory.clone()).register(waits).start().await.expect("it starts");
        let mut seen = look(&memory).await.expect("it answers");
        assert_eq!(seen, look(&memory).await.expect("it answers"), "nothing has happened");
        let mut is_news = async || {
            let before = std::mem::replace(&mut seen, look(&memory).await.expect("it answers"));
            before != seen
        };
        scheduler.pause_task("waits").await.expect("it is there");
        assert!(is_news().await, "a pause");
        scheduler.resume_task("waits").await.expect("it is there");
        assert!(is_news().await, "its end");
        let mut events = scheduler.events();
        scheduler.trigger_task("waits").await.expect("it is there");
        assert!(is_news().await, "a run");
        go.notify_one();
        while !matches!(events.next().await, Some(crate::events::SchedulerEvent::RunEnded { .. })) {}
        assert!(is_news().await, "its end");
        scheduler.stop().await.expect("it stops");
        assert!(is_news().await, "the end of a node");
    }
}
