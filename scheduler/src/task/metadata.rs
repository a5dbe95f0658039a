//! Facts about a task, and what of them may be shown.

use std::borrow::Cow;
use std::fmt;

use crate::secret;

/// Facts about a task: texts by key, in the order in which they were given.
///
/// Code reads them as they are. What is shown of them, by commands, as JSON and by `Debug`, hides secrets: see
/// [`shown`](Self::shown).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use symphra_scheduler::{Schedule, Scheduler, Task};
///
/// let sync = Task::new("sync", "1h".parse::<Schedule>()?, || async {})
///     .metadata("owner", "billing")
///     .metadata("api_token", "hunter2");
/// let scheduler = Scheduler::empty().register(sync).start().await?;
/// let metadata = scheduler.task("sync")?.metadata;
/// assert_eq!(metadata.get("api_token"), Some("hunter2"));
/// assert_eq!(format!("{metadata:?}"), r#"[("owner", "billing"), ("api_token", "***")]"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(Cow<'static, str>, Cow<'static, str>)>);

impl Metadata {
    /// The text under a key, as it was given.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// All of them, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// All of them, as people may see them. A text whose key tells of a secret (`password`, `secret`, `token`,
    /// `credential`, `key` as a word, and the like) is `***`, and so is the password in a URL.
    pub fn shown(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.iter().map(|(key, value)| (key, secret::shown(key, value)))
    }

    /// A second text under one key replaces the first.
    pub(crate) fn set(&mut self, key: Cow<'static, str>, value: Cow<'static, str>) {
        self.0.retain(|(known, _)| *known != key);
        self.0.push((key, value));
    }

    /// These, with `others` over them.
    pub(super) fn set_all(&mut self, others: &Self) {
        others.0.iter().cloned().for_each(|(key, value)| self.set(key, value));
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shown()).finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Schedule, Task, TaskOverride};

    #[test]
    fn a_secret_is_in_no_debug_of_a_task_or_an_override() {
        let schedule: Schedule = "1h".parse().expect("a period");
        let task = Task::new("sync", schedule, || async {}).metadata("dsn", "redis://app:hunter2@db/0");
        let changed = TaskOverride::new().metadata("apiKey", "hunter2").metadata("owner", "billing");
        for shown in [format!("{task:?}"), format!("{changed:?}"), format!("{:?}", task.clone().overridden(&changed))] {
            assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
        }
        let both = task.overridden(&changed);
        let facts: Vec<_> = both.options().metadata.iter().collect();
        assert_eq!(facts, [("dsn", "redis://app:hunter2@db/0"), ("apiKey", "hunter2"), ("owner", "billing")]);
    }
}
