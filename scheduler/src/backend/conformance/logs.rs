//! Promises about what is kept of the logs of runs.

use std::sync::Arc;

use super::{Subject, Ticking, claim_until_some, dying, finish, give_back, node, now, retry};
use crate::backend::{End, Finish, Hold, Retention, Stored, TaskRules};
use crate::outcome::Outcome;
use crate::schedule::Overlap;

/// What an attempt wrote is kept with its run, alive or not, and that of the next attempt takes its place.
pub async fn the_log_of_the_last_attempt_is_kept(backend: Subject) {
    let task = Written::new(&backend, TaskRules::default()).await;
    let hold = task.ticking.hold(&node("a"), 1).await;
    assert_eq!(task.log(1).await, None, "nothing is written yet");
    task.end(1, hold, retry(now(&backend).await), Some("first line, 支付\nsecond \0 line")).await;
    let (attempt, log) = task.log(1).await.expect("it is kept while the run waits for its next attempt");
    assert_eq!((attempt, &*log.replace('\0', "\u{fffd}")), (1, "first line, 支付\nsecond \u{fffd} line"));
    let hold = task.ticking.claim_until_some(&node("b"), 1).await[0].hold;
    task.end(1, hold, End::Final(Outcome::Succeeded), Some("at last")).await;
    assert_eq!(task.log(1).await, Some((2, "at last".into())), "it is kept with a run that has ended");
    let hold = task.ticking.hold(&node("a"), 2).await;
    task.end(2, hold, End::Final(Outcome::Succeeded), None).await;
    assert_eq!(task.log(2).await, None, "another run has another");
    assert_eq!(task.log(3).await, None, "and one that is not there has none");
}

/// An attempt that wrote nothing, a stale end, one that never began and the death of a node leave the log as it is.
pub async fn what_writes_nothing_leaves_the_log_as_it_is(backend: Subject) {
    let task = Written::new(&backend, TaskRules::default()).await;
    let first = Some((1, "first".to_owned()));
    let hold = task.ticking.hold(&node("a"), 1).await;
    task.end(1, hold, retry(now(&backend).await), Some("first")).await;
    assert_eq!(task.try_end(1, hold, End::Final(Outcome::Succeeded), Some("stale")).await, Stored::Stale);
    assert_eq!(task.log(1).await, first, "a stale end stores nothing");
    let (number, claimed) = claim_until_some(&backend, &node("b"), 1, &[task.ticking.key]).await;
    give_back(&backend, &claimed[0]).await;
    assert_eq!(task.log(1).await, first, "what was given back had not begun");
    let (_, claimed) = claim_until_some(&backend, &node("b"), number + 1, &[task.ticking.key]).await;
    task.end(1, claimed[0].hold, retry(now(&backend).await), None).await;
    assert_eq!(task.log(1).await, first, "it is the last attempt that wrote something");
    task.ticking.claim_until_some(&dying("c"), 1).await;
    let hold = task.ticking.claim_until_some(&node("d"), 1).await[0].hold;
    assert_eq!(task.log(1).await, first, "nobody knows what a dead node had written");
    task.end(1, hold, End::Final(Outcome::Succeeded), None).await;
    assert_eq!(task.log(1).await, first, "and it stays with the run that has ended");
}

/// A log is kept no longer than its run, also where more ends are stored at once than are kept.
pub async fn a_log_goes_with_its_run(backend: Subject) {
    const RUNS: u64 = 120;
    let retention = Arc::new(Retention { runs: 5, failures: 0, ..Retention::default() });
    let rules = TaskRules { retention, overlap: Overlap::Allow, alive_max: None, ..TaskRules::default() };
    let task = Written::new(&backend, rules).await;
    for together in [1..=20, 21..=RUNS] {
        let mut ends = Vec::new();
        for n in together {
            let hold = task.ticking.hold(&node("a"), n).await;
            ends.push(task.finish(n, hold, End::Final(Outcome::Succeeded), Some("x")).await);
        }
        backend.finish(&ends).await.expect("a finish is answered");
    }
    let kept = task.ticking.rows().await;
    let mut logs = 0;
    for n in 1..=RUNS {
        let is_kept = kept.iter().any(|run| run.id == task.ticking.id(n));
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

    async fn log(&self, n: u64) -> Option<(u32, String)> {
        let log = self.backend.log(self.ticking.id(n)).await.expect("a log is read");
        log.map(|log| (log.attempt, log.text.into()))
    }

    async fn end(&self, n: u64, hold: Hold, end: End, log: Option<&str>) {
        let stored = self.try_end(n, hold, end, log).await;
        assert!(matches!(stored, Stored::Done { .. }), "who holds a run can end it: {stored:?}");
    }

    async fn try_end(&self, n: u64, hold: Hold, end: End, log: Option<&str>) -> Stored {
        finish(&self.backend, self.finish(n, hold, end, log).await).await
    }

    async fn finish(&self, n: u64, hold: Hold, end: End, log: Option<&str>) -> Finish {
        let at = now(&self.backend).await;
        let (task, id, token) = (self.ticking.key, self.ticking.id(n), hold.token);
        Finish { task, id, token, end, started_at: Some(at), finished_at: at, log: log.map(Box::from) }
    }
}
