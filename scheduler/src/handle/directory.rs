//! The tasks of a running scheduler by name, and the names of those that it had.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use symphra_scheduler_core::nearest;

use super::Shared;
use crate::backend::TaskKey;
use crate::error::Error;
use crate::task::{LiveTask, TaskName};

/// How many tasks that were unregistered are still known by name, for the runs that they left behind.
const REMOVED_MAX: usize = 10_000;

/// A name whose task is just being registered.
const RESERVED: u32 = u32::MAX;

pub(crate) struct Directory {
    tasks: Vec<Option<Arc<LiveTask>>>,
    /// The place of each task in `tasks`.
    places: HashMap<TaskName, u32>,
    free: Vec<u32>,
    /// The names by key, made when they are first asked for.
    names: Option<HashMap<TaskKey, TaskName>>,
    removed: VecDeque<(TaskKey, TaskName)>,
    /// Tasks of jobs by their functions.
    #[cfg(feature = "jobs")]
    functions: HashMap<std::any::TypeId, Vec<TaskName>>,
}

impl Directory {
    pub(crate) fn new(tasks: Vec<Option<Arc<LiveTask>>>, places: HashMap<TaskName, u32>) -> Self {
        #[cfg(feature = "jobs")]
        let functions = functions(&tasks);
        Self {
            tasks,
            places,
            free: Vec::new(),
            names: None,
            removed: VecDeque::new(),
            #[cfg(feature = "jobs")]
            functions,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<LiveTask>> {
        self.tasks.iter().flatten()
    }

    /// The tasks of jobs whose function this is.
    #[cfg(feature = "jobs")]
    pub(super) fn of_function(&self, function: std::any::TypeId) -> impl Iterator<Item = &Arc<LiveTask>> {
        let places = self.functions.get(&function).into_iter().flatten();
        places.filter_map(|name| self.tasks[*self.places.get(name)? as usize].as_ref())
    }

    #[cfg(feature = "jobs")]
    fn note_function(&mut self, task: &LiveTask) {
        if let Some(job) = task.job() {
            self.functions.entry(job.function).or_default().push(task.name.clone());
        }
    }

    #[cfg(feature = "jobs")]
    fn forget_function(&mut self, task: &LiveTask) {
        if let Some(names) = task.job().and_then(|job| self.functions.get_mut(&job.function)) {
            names.retain(|name| *name != task.name);
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Arc<LiveTask>, Error> {
        let place = self.places.get(name).filter(|&&place| place != RESERVED);
        match place.and_then(|&place| self.tasks[place as usize].clone()) {
            Some(task) => Ok(task),
            None => Err(Error::unknown_task(name, nearest(name, self.iter().map(|task| task.name.as_str())))),
        }
    }

    /// The key of a task that is or was registered.
    pub(super) fn key(&self, name: &str) -> Result<TaskKey, Error> {
        self.get(name).map(|task| task.key).or_else(|unknown| {
            let removed = self.removed.iter().rev().find(|(_, known)| known == name);
            removed.map(|(key, _)| *key).ok_or(unknown)
        })
    }

    /// Keeps the name for a task that is just being registered; an error if it is taken.
    pub(super) fn reserve(&mut self, name: &TaskName) -> Result<(), Option<Arc<LiveTask>>> {
        match self.places.get(name) {
            Some(&place) => Err(self.tasks.get(place as usize).cloned().flatten()),
            None => {
                self.places.insert(name.clone(), RESERVED);
                Ok(())
            }
        }
    }

    pub(super) fn release(&mut self, name: &TaskName) {
        if self.places.get(name) == Some(&RESERVED) {
            self.places.remove(name);
        }
    }

    pub(super) fn insert(&mut self, task: Arc<LiveTask>) {
        if let Some(names) = &mut self.names {
            names.insert(task.key, task.name.clone());
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.tasks.push(None);
            u32::try_from(self.tasks.len() - 1).expect("a scheduler has fewer than 2^32 tasks")
        });
        self.places.insert(task.name.clone(), place);
        #[cfg(feature = "jobs")]
        self.note_function(&task);
        self.tasks[place as usize] = Some(task);
    }

    /// Puts another declaration of a task in its place.
    #[cfg(feature = "config")]
    pub(super) fn replace(&mut self, task: &Arc<LiveTask>) -> Result<(), Error> {
        self.get(task.name.as_str())?;
        let place = self.places[&task.name];
        self.tasks[place as usize] = Some(Arc::clone(task));
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<Arc<LiveTask>, Error> {
        let task = self.get(name)?;
        #[cfg(feature = "jobs")]
        self.forget_function(&task);
        let place = self.places.remove(name).expect("a task that was found has a place");
        self.tasks[place as usize] = None;
        self.free.push(place);
        if self.removed.len() == REMOVED_MAX
            && let Some((key, name)) = self.removed.pop_front()
            && !self.places.contains_key(&name)
            && let Some(names) = &mut self.names
            && self.removed.iter().all(|(known, _)| *known != key)
        {
            names.remove(&key);
        }
        self.removed.push_back((task.key, task.name.clone()));
        Ok(task)
    }

    /// The name of a task that is or was registered.
    pub(super) fn name(&mut self, key: TaskKey) -> Option<TaskName> {
        let (tasks, removed) = (&self.tasks, &self.removed);
        let names = self.names.get_or_insert_with(|| {
            let removed = removed.iter().cloned();
            removed.chain(tasks.iter().flatten().map(|task| (task.key, task.name.clone()))).collect()
        });
        names.get(&key).cloned()
    }
}

/// Tasks of jobs by their functions.
#[cfg(feature = "jobs")]
fn functions(tasks: &[Option<Arc<LiveTask>>]) -> HashMap<std::any::TypeId, Vec<TaskName>> {
    let mut functions: HashMap<_, Vec<TaskName>> = HashMap::new();
    for (task, job) in tasks.iter().flatten().filter_map(|task| Some((task, task.job()?))) {
        functions.entry(job.function).or_default().push(task.name.clone());
    }
    functions
}

impl Shared {
    /// A panic cannot leave the directory half changed: each step is an insertion or a removal.
    pub(super) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}
