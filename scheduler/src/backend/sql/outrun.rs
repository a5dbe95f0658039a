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

    /// Notes what has become of firings, beside what was known before of other tasks. A lock that was left alone may be that of
    /// an end or of a trigger: the next time it is waited for.
    pub(super) fn note<'a>(
        &self,
        holder: &Holder,
        mut known: HashSet<TaskKey>,
        answers: impl Iterator<Item = (&'a Firing, &'a Admission)>,
    ) {
        for (firing, answer) in answers {
            match answer {
                Admission::MarkMoved(mark) if *mark != firing.mark => _ = known.insert(firing.task),
                _ => _ = known.remove(&firing.task),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use symphra_scheduler_core::Timestamp;

    use super::*;

    #[test]
    fn who_is_outrun_leaves_a_lock_alone_once_and_waits_for_it_the_next_time() {
        let (outrun, holder) = (Outrun::default(), Holder::new("a", Duration::from_secs(30)));
        let mark = Timestamp::from_millis(7);
        let firing = Firing {
            id: RunId::from_parts(mark, 1),
            task: TaskKey(1),
            mark,
            advance_to: mark.plus(Duration::from_secs(1)),
            since: Timestamp::MIN,
            run: None,
            passed: None,
            behind: None,
        };
        let answered = |answer| {
            let known = outrun.of(&holder);
            outrun.note(&holder, known, [(&firing, &answer)].into_iter());
            outrun.0.lock().expect("nobody panicked").get(&holder.node).is_some_and(|known| !known.is_empty())
        };
        assert!(answered(Admission::MarkMoved(firing.advance_to)), "another node was quicker");
        assert!(!answered(Admission::MarkMoved(mark)), "the lock was somebody's");
        assert!(answered(Admission::MarkMoved(firing.advance_to)));
        assert!(!answered(Admission::Passed), "nobody was quicker");
        outrun.note(&holder, HashSet::from([firing.task]), std::iter::empty());
        outrun.forget(&holder, [firing.task].into_iter());
        assert!(outrun.of(&holder).is_empty(), "what it does not have it is not outrun at");
    }
}
