//! Bugs of the step that fires an occurrence: of the mark, of the clock that it is compared with, and of records.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use symphra_scheduler::backend::{
    Admission, Backend, BackendFuture, Firing, Holder, Registered, Registration, TaskKey,
};
use symphra_scheduler::{MemoryBackend, Timestamp};

use super::Defect;

/// Fires what `change` makes of each firing.
fn fires<'a>(
    store: &'a MemoryBackend,
    holder: &'a Holder,
    firings: &'a [Firing],
    change: impl Fn(&mut Firing),
) -> BackendFuture<'a, Vec<Admission>> {
    let mut changed = firings.to_vec();
    changed.iter_mut().for_each(change);
    Box::pin(async move { store.enqueue(holder, &changed).await })
}

/// Where the mark of a task stands.
async fn mark(store: &MemoryBackend, task: TaskKey) -> Option<Timestamp> {
    store.look(&[task]).await.expect("memory answers").first().map(|task| task.mark)
}

const INSTANT: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct MarkStays;

impl Defect for MarkStays {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        fires(store, holder, firings, |firing| {
            // What passes something over is told from what was shown again by its mark.
            if firing.passed.is_none() {
                firing.advance_to = firing.mark;
            }
        })
    }
}

#[derive(Debug)]
pub(super) struct MarkInTwoSteps;

impl Defect for MarkInTwoSteps {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        Box::pin(async move {
            let mut changed = firings.to_vec();
            let mut is_equal = Vec::with_capacity(changed.len());
            for firing in &changed {
                is_equal.push(mark(store, firing.task).await == Some(firing.mark));
            }
            tokio::time::sleep(INSTANT).await;
            for (firing, is_equal) in changed.iter_mut().zip(is_equal) {
                if let (Some(mark), true) = (mark(store, firing.task).await, is_equal) {
                    firing.mark = mark;
                }
            }
            store.enqueue(holder, &changed).await
        })
    }
}

#[derive(Debug)]
pub(super) struct MarkItself;

impl Defect for MarkItself {
    fn register<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        tasks: &'a [Registration],
    ) -> BackendFuture<'a, Vec<Registered>> {
        Box::pin(async move {
            let mut registered = store.register(holder, tasks).await?;
            registered.iter_mut().for_each(|task| task.mark = task.mark.minus(INSTANT));
            Ok(registered)
        })
    }

    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        Box::pin(async move {
            let mut changed = firings.to_vec();
            for firing in &mut changed {
                if let Some(mark) = mark(store, firing.task).await.filter(|mark| mark.minus(INSTANT) == firing.mark) {
                    firing.mark = mark;
                }
            }
            store.enqueue(holder, &changed).await
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct FirstLeftOut(Mutex<HashSet<TaskKey>>);

impl Defect for FirstLeftOut {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = firings.to_vec();
        let is_first: Vec<bool> = firings.iter().map(|firing| known.insert(firing.task)).collect();
        drop(known);
        for (firing, _) in changed.iter_mut().zip(&is_first).filter(|&(_, &is_first)| is_first) {
            (firing.run, firing.passed) = (None, None);
        }
        Box::pin(async move {
            let mut admissions = store.enqueue(holder, &changed).await?;
            for ((admission, firing), is_first) in admissions.iter_mut().zip(firings).zip(is_first) {
                if is_first && *admission == Admission::Passed {
                    *admission = Admission::MarkMoved(firing.advance_to);
                }
            }
            Ok(admissions)
        })
    }
}

#[derive(Debug)]
pub(super) struct Early;

impl Defect for Early {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        fires(store, holder, firings, |firing| {
            if let Some(run) = &mut firing.run {
                run.due_at = Timestamp::MIN;
            }
        })
    }
}

#[derive(Debug)]
pub(super) struct RecordForgotten;

impl Defect for RecordForgotten {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        fires(store, holder, firings, |firing| firing.passed = None)
    }
}

#[derive(Debug)]
pub(super) struct RecordTwice;

impl Defect for RecordTwice {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        fires(store, holder, firings, |firing| {
            if let Some(passed) = &mut firing.passed {
                passed.count *= 2;
            }
        })
    }
}
