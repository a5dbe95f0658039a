//! The overrides of a configuration, in the order in which they are laid over the tasks.

use std::collections::{HashMap, HashSet};

use crate::error::Problem;
use crate::task::{Task, TaskOverride};

/// Overrides by task name. Later ones rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overrides(Vec<(String, TaskOverride)>);

impl Overrides {
    pub(super) fn push(&mut self, task: String, changed: TaskOverride) {
        self.0.push((task, changed));
    }

    /// The tasks with what is said of them, the last word ruling.
    pub(crate) fn laid_over(&self, tasks: Vec<Task>) -> Vec<Task> {
        if self.0.is_empty() {
            return tasks;
        }
        let mut by_task: HashMap<&str, Vec<&TaskOverride>> = HashMap::new();
        for (name, changed) in &self.0 {
            by_task.entry(name).or_default().push(changed);
        }
        let overridden = tasks.into_iter().map(|task| {
            let changes = by_task.get(task.name()).map_or(&[][..], Vec::as_slice);
            changes.iter().fold(task, |task, changed| task.overridden(changed))
        });
        overridden.collect()
    }

    /// A problem for each name that is neither among the tasks nor among those that a filter has taken out.
    pub(crate) fn unknown<'a>(
        &'a self,
        tasks: impl Iterator<Item = &'a str> + Clone + 'a,
        filtered: &'a [String],
    ) -> impl Iterator<Item = Problem> + 'a {
        let known: HashSet<&str> = match self.0.is_empty() {
            true => HashSet::new(),
            false => tasks.clone().chain(filtered.iter().map(String::as_str)).collect(),
        };
        let unknown = self.0.iter().filter(move |(name, _)| !known.contains(name.as_str()));
        unknown.map(move |(name, changed)| Problem::overridden(name, changed.place(), tasks.clone()))
    }

    /// What is wrong with the task named `name`, with the places that have a part in it.
    pub(crate) fn named_in(&self, name: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
        let places: Vec<String> = (self.0.iter())
            .filter(|(task, _)| !problems.is_empty() && task == name)
            .map(|(_, changed)| changed.place().map_or_else(|| "in code".to_owned(), |place| format!("by {place}")))
            .collect();
        for problem in &mut problems {
            if let (Problem::Task { says, .. }, false) = (problem, places.is_empty()) {
                *says = format!("{says} (overridden {})", places.join(", "));
            }
        }
        problems
    }

    /// These, laid over those of `below`.
    #[cfg(feature = "config")]
    pub(super) fn over(self, below: Self) -> Self {
        Self(below.0.into_iter().chain(self.0).collect())
    }

    /// Those that the program's code has set.
    #[cfg(feature = "config")]
    pub(super) fn of_code(&self) -> Self {
        Self(self.0.iter().filter(|(_, changed)| changed.place().is_none()).cloned().collect())
    }
}
