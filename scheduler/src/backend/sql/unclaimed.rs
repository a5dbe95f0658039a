//! Runs that no node claims, because none knows their task any more: they wait for so long, and are then ended, with the
//! reason.
//!
//! What keeps a run from being claimed although its task is known (a pause, a run of its task or its group that is held) keeps
//! it from being ended here too.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Database, Failed, Shared};
use crate::outcome::CancelCause;

/// How long a run waits for a node that knows its task.
const WAIT_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How often it is looked for such runs, which nearly no store has. The first look is so long after the store was opened
/// that nodes which start with it have had their turn.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// How many runs are ended in one step.
const BATCH: usize = 256;

/// Ends such runs, for as long as the store is open.
pub(super) async fn end<D: Database>(shared: Arc<Shared<D>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        while matches!(shared.in_time(shared.end_unclaimed(WAIT_MAX)).await, Ok(BATCH)) {}
    }
}

impl<D: Database> Shared<D> {
    /// Ends runs that have waited for longer than `wait_max`, a batch at most; tells how many.
    async fn end_unclaimed(&self, wait_max: Duration) -> Result<usize, Failed> {
        #[derive(Deserialize)]
        struct Unclaimed {
            id: String,
            task: i64,
        }
        let wait_ms = u64::try_from(wait_max.as_millis()).unwrap_or(u64::MAX);
        let mut step = self.begin().await?;
        let input = json!({ "wait_ms": wait_ms, "max": BATCH });
        let found: Vec<Unclaimed> = step.list(&self.statements.unclaimed, input).await?;
        if found.is_empty() {
            return Ok(0);
        }
        step.lock(found.iter().map(|run| run.task)).await?;
        let oldest = step.now.minus(wait_max);
        let mut ended = 0;
        // Somebody may have taken them while the locks were waited for.
        for (_, run) in step.runs(found.into_iter().map(|run| run.id)).await? {
            // The instant of a backfill's run may be older than the run itself.
            if run.holder.is_none() && run.run_id()?.made_at() < oldest {
                step.ask_to_cancel(run, CancelCause::Unclaimed)?;
                ended += 1;
            }
        }
        self.commit(step).await?;
        Ok(ended)
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::TaskName;
    use crate::backend::sql::InSql;
    use crate::backend::{
        Backend, Claim, Command, Holder, Registered, Registration, RunQuery, SqliteBackend, Submission, TaskRules,
    };
    use crate::migrate::Migrate;
    use crate::run::{Origin, RunId, RunState};
    use crate::schedule::{Schedule, Timetable};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    const MOMENT: Duration = Duration::from_millis(300);

    async fn store() -> SqliteBackend {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let url = format!("sqlite://{}/store.db", folder.display());
        SqliteBackend::options().namespace("unclaimed").migrate(Migrate::Auto).connect(&url).await.expect("it opens")
    }

    async fn registered(store: &SqliteBackend, name: &str) -> Registered {
        let timetable = Timetable::new(Schedule::interval(DAY).expect("a period"), chrono_tz::Tz::UTC);
        let name = TaskName::new(name).expect("a name");
        let task = Registration { name, timetable: Arc::new(timetable), rules: TaskRules::default() };
        store.register(&Holder::new("a", DAY), &[task]).await.expect("it is registered").remove(0)
    }

    /// A trigger, made now.
    async fn triggered(store: &SqliteBackend, task: &Registered, number: u128) -> RunId {
        let at = store.heartbeat(&Holder::new("a", DAY)).await.expect("it is answered");
        let id = RunId::from_parts(at, number);
        let origin = Origin::Trigger(id);
        let submission = Submission { id, task: task.key, origin, scheduled_at: Some(at), overlap: None };
        store.submit(&[submission]).await.expect("it is accepted");
        id
    }

    /// How many runs that have waited for longer than a moment are ended.
    async fn ended(store: &SqliteBackend) -> usize {
        store.sql().shared.end_unclaimed(MOMENT).await.expect("it is looked")
    }

    async fn state(store: &SqliteBackend, id: RunId) -> (RunState, Option<String>) {
        let query = RunQuery { id: Some(id), ..RunQuery::default() };
        let run = store.runs(&query).await.expect("it is kept").remove(0);
        (run.state, run.failure.map(Into::into))
    }

    #[tokio::test]
    async fn what_nobody_claims_for_too_long_is_ended_with_the_reason() {
        let store = store().await;
        let task = registered(&store, "old").await;
        let gone = triggered(&store, &task, 1).await;
        assert_eq!(
            store.sql().shared.end_unclaimed(WAIT_MAX).await.expect("it is looked"),
            0,
            "14 days have not passed"
        );
        tokio::time::sleep(2 * MOMENT).await;
        let waits = triggered(&store, &task, 2).await;
        assert_eq!(ended(&store).await, 1);
        let (state_of, why) = state(&store, gone).await;
        assert_eq!(state_of, RunState::Cancelled);
        assert!(why.is_some_and(|why| why.contains("no node that knows its task")), "it says why");
        assert_eq!(state(&store, waits).await.0, RunState::Queued);
        assert_eq!(ended(&store).await, 0, "once");
    }

    #[tokio::test]
    async fn what_waits_for_another_reason_goes_on_to_wait() {
        let store = store().await;
        let (paused, busy) = (registered(&store, "paused").await, registered(&store, "busy").await);
        let first = triggered(&store, &busy, 1).await;
        let claim = Claim { number: 1, tasks: [busy.key].into(), max: 1 };
        let held = store.claim(&Holder::new("a", DAY), &claim).await.expect("it is answered").runs;
        assert_eq!(held[0].id, first);
        let waits = [triggered(&store, &busy, 2).await, triggered(&store, &paused, 3).await];
        let pause = Command::Pause { task: Some(paused.key), by: "ada".into(), reason: None };
        store.control(&pause).await.expect("it is paused");
        tokio::time::sleep(2 * MOMENT).await;
        assert_eq!(ended(&store).await, 0, "one waits for the run before it, one for the end of a pause");
        for id in waits {
            assert_eq!(state(&store, id).await.0, RunState::Queued);
        }
    }
}
