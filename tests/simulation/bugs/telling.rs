//! Bugs of what nodes are told of each other, and of what is asked of the store by people.

use symphra_scheduler::MemoryBackend;
use symphra_scheduler::backend::{Backend, BackendFuture, Changes, Command, Pause};

use super::Defect;

fn told<'a>(
    store: &'a MemoryBackend,
    version: Option<u64>,
    change: impl Fn(&mut Changes) + Send + 'a,
) -> BackendFuture<'a, Changes> {
    Box::pin(async move {
        let mut changes = store.changes(version).await?;
        change(&mut changes);
        Ok(changes)
    })
}

#[derive(Debug)]
pub(super) struct NotWoken;

impl Defect for NotWoken {
    fn changes<'a>(&'a self, store: &'a MemoryBackend, version: Option<u64>) -> BackendFuture<'a, Changes> {
        told(store, version, |changes| changes.runnable = false)
    }
}

#[derive(Debug)]
pub(super) struct CancelUntold;

impl Defect for CancelUntold {
    fn changes<'a>(&'a self, store: &'a MemoryBackend, version: Option<u64>) -> BackendFuture<'a, Changes> {
        told(store, version, |changes| changes.cancelled.clear())
    }
}

#[derive(Debug)]
pub(super) struct PauseHere;

impl Defect for PauseHere {
    fn control<'a>(&'a self, store: &'a MemoryBackend, command: &'a Command) -> BackendFuture<'a, Changes> {
        let Command::Pause { task: Some(task), by, reason } = command else { return store.control(command) };
        Box::pin(async move {
            let (version, mut tasks) = (store.changes(None).await?.version, store.look(&[*task]).await?);
            for task in &mut tasks {
                task.pause = Some(Pause { by: by.clone(), reason: reason.clone(), since: task.mark });
            }
            Ok(Changes { version, tasks, ..Changes::default() })
        })
    }
}

#[derive(Debug)]
pub(super) struct PauseForgotten;

impl Defect for PauseForgotten {
    fn control<'a>(&'a self, store: &'a MemoryBackend, command: &'a Command) -> BackendFuture<'a, Changes> {
        let Command::Pause { task, .. } = command else { return store.control(command) };
        let end = Command::Resume { task: *task };
        Box::pin(async move {
            let changes = store.control(command).await?;
            store.control(&end).await?;
            Ok(changes)
        })
    }
}
