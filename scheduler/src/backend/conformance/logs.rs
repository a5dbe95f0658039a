//! Promises about what is kept of the logs of runs.

use std::sync::Arc;

use super::{Subject, Ticking, dying, finish, node, now, retry};
use crate::backend::{End, Finish, Hold, Retention, Stored, TaskRules};
use crate::outcome::Outcome;
use crate::run::RunState;

/// What an attempt wrote is kept with its run, alive or not, and that of the next attempt takes its place.
pub async fn the_log_of_the_last_attempt_is_kept(backend: Subject) {
    let task = Written::new(&backend, TaskRules::default()).await;
    let hold = task.ticking.hold(&node("a"), 1).await;
    assert_eq!(task.log(1).await, None, "nothing is written yet");
    task.end(1, hold, retry(now(&backend).await), Some("first line, 支付\nsecond \0 line")).await;
    let log = task.log(1).await.expect("it is kept while the run waits for its next attempt");
    assert_eq!(log.replace('\0', "\u{fffd}"), "first line, 支付\nsecond \u{fffd} line");
    let hold = task.ticking.claim_until_some(&node("b"), 1).await[0].hold;
    task.end(1, hold, End::Final(Outcome::Succeeded), Some("at last")).await;
    assert_eq!(task.log(1).await.as_deref(), Some("at last"), "it is kept with a run that has ended");
    let hold = task.ticking.hold(&node("a"), 2).await;
    task.end(2, hold, End::Final(Outcome::Succeeded), None).await;
    assert_eq!(task.log(2).await, None, "another run has another");
    assert_eq!(task.log(3).await, None, "and one that is not there has none");
}

/// An attempt that wrote nothing has no log, not that of the one before.
pub async fn a_silent_attempt_has_no_log(backend: Subject) {
    let task = Written::new(&backend, TaskRules::default()).await;
    let hold = task.ticking.hold(&node("a"), 1).await;
    task.end(1, hold, retry(now(&backend).await), Some("disk full")).await;
    let hold = task.ticking.claim_until_some(&node("b"), 1).await[0].hold;
    task.end(1, hold, End::Final(Outcome::Succeeded), None).await;
    assert_eq!(task.log(1).await, None);
}

/// A stale end and one of an attempt that never began leave the log as it is, and so does the death of a node.
pub async fn what_stores_no_attempt_leaves_its_log(backend: Subject) {
    let task = Written::new(&backend, TaskRules::default()).await;
    let hold = task.ticking.hold(&dying("a"), 1).await;
    let at = now(&backend).await;
    task.end(1, hold, retry(at), Some("first")).await;
    assert_eq!(task.try_end(1, hold, End::Final(Outcome::Succeeded), Some("stale")).await, Stored::Stale);
    let hold = task.ticking.claim_until_some(&node("b"), 1).await[0].hold;
    let (key, id, token) = (task.ticking.key, task.ticking.id(1), hold.token);
    let back = Finish { task: key, id, token, end: End::HandBack, started_at: None, finished_at: at, log: None };
    assert!(matches!(finish(&backend, back).await, Stored::Done { .. }));
    assert_eq!(task.log(1).await.as_deref(), Some("first"), "what was given back had not begun");
    task.ticking.claim_until_some(&super::mortal("c"), 1).await;
    task.ticking.claim_until_some(&node("d"), 1).await;
    assert_eq!(task.log(1).await.as_deref(), Some("first"), "nobody knows what a dead node had written");
}

/// A log is kept no longer than its run.
pub async fn a_log_goes_with_its_run(backend: Subject) {
    const RUNS: u64 = 200;
    let retention = Arc::new(Retention { runs: 5, failures: 0, ..Retention::default() });
    let task = Written::new(&backend, TaskRules { retention, ..TaskRules::default() }).await;
    for n in 1..=RUNS {
        let hold = task.ticking.hold(&node("a"), n).await;
        task.end(n, hold, End::Final(Outcome::Succeeded), Some("x")).await;
    }
    let kept = task.ticking.rows().await;
    let mut logs = 0;
    for n in 1..=RUNS {
        let is_kept = kept.iter().any(|run| run.id == task.ticking.id(n) && run.state == RunState::Succeeded);
        let has_log = task.log(n).await.is_some();
        assert!(is_kept || !has_log, "run {n} is gone and its log is not");
        logs += usize::from(has_log);
    }
    assert!(logs >= 5, "{logs} are kept of the last five runs");
}

/// A task whose runs write.
struct Written {
    backend: Subject,
    ticking: Ticking,
}

impl Written {
    async fn new(backend: &Subject, rules: TaskRules) -> Self {
        Self { backend: Arc::clone(backend), ticking: Ticking::with(backend, "pay", rules).await }
    }

    async fn log(&self, n: u64) -> Option<String> {
        self.backend.log(self.ticking.id(n)).await.expect("a log is read").map(String::from)
    }

    async fn end(&self, n: u64, hold: Hold, end: End, log: Option<&str>) {
        let stored = self.try_end(n, hold, end, log).await;
        assert!(matches!(stored, Stored::Done { .. }), "who holds a run can end it: {stored:?}");
    }

    async fn try_end(&self, n: u64, hold: Hold, end: End, log: Option<&str>) -> Stored {
        let at = now(&self.backend).await;
        let (task, id, token) = (self.ticking.key, self.ticking.id(n), hold.token);
        let log = log.map(Box::from);
        finish(&self.backend, Finish { task, id, token, end, started_at: Some(at), finished_at: at, log }).await
    }
}
