//! Firings of tasks that another node was quicker to fire the last time: they are made without waiting for anybody.
//!
//! Where several nodes fire the same tasks, the locks that the slower ones take in vain hold up the one that is quicker. So a
//! node first looks whether the mark has been moved, without a lock, and then leaves alone what somebody else has locked.
//! This is about cost alone: what fires is compared and advanced under the task's lock as ever.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::json;

use super::rows::{at, id};
use super::{Database, Failed, Shared};
use crate::backend::text;
use crate::backend::{Admission, Firing, Holder, TaskKey};
use crate::run::RunId;

/// By holder, the tasks of which another was quicker to fire the last occurrence.
#[derive(Debug, Default)]
pub(super) struct Outrun(Mutex<HashMap<Arc<str>, HashSet<TaskKey>>>);

impl Outrun {
    /// Takes what is known of `holder`. Where its call fails nothing is known any more: called again, it has to wait for what
    /// has become of the first, which may still be under way.
    pub(super) fn of(&self, holder: &Holder) -> HashSet<TaskKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&holder.node).unwrap_or_default()
    }

    /// Notes what has become of firings, beside what was known before of other tasks.
    pub(super) fn note<'a>(
        &self,
        holder: &Holder,
        mut known: HashSet<TaskKey>,
        answers: impl Iterator<Item = (TaskKey, &'a Admission)>,
    ) {
        for (task, answer) in answers {
            match answer {
                Admission::MarkMoved(_) => _ = known.insert(task),
                _ => _ = known.remove(&task),
            }
        }
        if !known.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&holder.node), known);
        }
    }

    /// Forgets tasks that `holder` has given up.
    pub(super) fn forget(&self, holder: &Holder, tasks: impl Iterator<Item = TaskKey>) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&holder.node) {
            tasks.for_each(|task| _ = known.remove(&task));
        }
    }
}

impl<D: Database> Shared<D> {
    /// Which of the firings come too late, with their answers: their marks have been moved, and not by themselves.
    pub(super) async fn too_late(&self, firings: &[&Firing]) -> Result<HashMap<RunId, Admission>, Failed> {
        #[derive(Deserialize)]
        struct Moved {
            id: String,
            mark: i64,
        }
        if firings.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = firings.iter().map(
            |firing| json!({ "id": firing.id.to_string(), "task": id(firing.task), "mark": firing.mark.as_millis() }),
        );
        let input = json!({ "firings": rows.collect::<Vec<_>>() });
        let moved: Vec<Moved> = self.read().await?.list(&self.statements.too_late, input).await?;
        let answers =
            moved.into_iter().map(|Moved { id, mark }| Ok((text::run_id(&id)?, Admission::MarkMoved(at(mark)))));
        answers.collect()
    }
}
