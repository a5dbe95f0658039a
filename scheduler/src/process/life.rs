//! The life of a process that is none: tasks that go on, stand still or are gone together.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

tokio::task_local! {
    static CURRENT: Life;
}

/// Clones are one life.
#[derive(Clone, Debug)]
pub(crate) struct Life(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    condition: Mutex<Condition>,
    /// Wakes its tasks in the order in which they wait, and not by chance as a `watch` does: a seed gives one transcript.
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Goes,
    StandsStill,
    IsOver,
}

impl Life {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { condition: Mutex::new(Condition::Goes), changed: Notify::new() }))
    }

    /// That in whose [scope](Self::scope) the caller is.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// What starts in `begins` has this life.
    pub(crate) async fn scope<T>(&self, begins: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), begins).await
    }

    /// From now on none of its tasks does anything, while time passes, as of a process that is stopped by a signal.
    pub(crate) fn freeze(&self) {
        self.becomes(Condition::StandsStill);
    }

    pub(crate) fn thaw(&self) {
        self.becomes(Condition::Goes);
    }

    /// None of its tasks does anything any more; each is dropped where it stands, at this instant.
    pub(crate) fn end(&self) {
        self.becomes(Condition::IsOver);
    }

    /// Nobody comes back from the dead.
    fn becomes(&self, next: Condition) {
        let mut condition = self.0.condition.lock().unwrap_or_else(PoisonError::into_inner);
        if *condition != Condition::IsOver {
            *condition = next;
        }
        drop(condition);
        self.0.changed.notify_waiters();
    }

    fn condition(&self) -> Condition {
        *self.0.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `task` while the life goes on; never returns if it ends before.
    pub(crate) async fn lives<T>(self, task: impl Future<Output = T>) -> T {
        {
            let mut task = pin!(task);
            loop {
                let mut changed = pin!(self.0.changed.notified());
                // Before the condition is looked at, so that no change is missed.
                changed.as_mut().enable();
                match self.condition() {
                    Condition::Goes => tokio::select! {
                        biased;
                        () = changed => {}
                        done = task.as_mut() => return done,
                    },
                    Condition::StandsStill => changed.await,
                    Condition::IsOver => break,
                }
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_frozen_stands_still_and_goes_on_where_it_stood() {
        let (life, began) = (Life::new(), Instant::now());
        let task = tokio::spawn(life.clone().lives(async {
            sleep(Duration::from_secs(5)).await;
            Instant::now()
        }));
        sleep(Duration::from_secs(1)).await;
        life.freeze();
        sleep(Duration::from_secs(60)).await;
        assert!(!task.is_finished());
        life.thaw();
        assert_eq!(task.await.expect("it ends").duration_since(began).as_secs(), 61, "its timer has run meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_killed_is_dropped_where_it_stands_and_does_not_come_back() {
        let (life, (says, said)) = (Life::new(), tokio::sync::oneshot::channel());
        let task = tokio::spawn(life.clone().lives(async move {
            sleep(Duration::from_secs(5)).await;
            says.send("it has ended").expect("somebody listens");
        }));
        sleep(Duration::from_secs(1)).await;
        life.end();
        life.thaw();
        assert!(said.await.is_err(), "what it held is gone, and it has said nothing");
        sleep(Duration::from_secs(60)).await;
        assert!(!task.is_finished());
    }
}
