//! Reading the overrides of tasks again while the scheduler runs, all of them or none.

use crate::config::{Again, SchedulerConfig};
use crate::error::{Error, Problem};
use crate::handle::SchedulerHandle;
use crate::logging::Entry;
use crate::scheduler::Scheduler;
use crate::task::Task;

/// The tasks as the program declares them, and the configuration that lies over them.
pub(super) struct Reload {
    declared: Vec<Task>,
    filtered: Vec<String>,
    config: SchedulerConfig,
    /// The settings that were changed, as was last read, and count from the next start on.
    waiting: Vec<&'static str>,
}

impl Reload {
    /// What a scheduler needs to read its overrides again; `None` if it has read none.
    pub(super) fn of(scheduler: &Scheduler) -> Option<Self> {
        let (declared, filtered, config) = scheduler.declared();
        config.was_read().then(|| Self {
            declared: declared.to_vec(),
            filtered: filtered.to_vec(),
            config: config.clone(),
            waiting: Vec::new(),
        })
    }

    /// [`again`](Self::again), with what became of it in the log.
    pub(super) async fn again_and_say(&mut self, handle: &SchedulerHandle) {
        match self.again(handle).await {
            Ok(tasks) => {
                handle.logger().write(Entry::ConfigReloaded { tasks: &tasks.join(", ") });
                if !self.waiting.is_empty() {
                    handle.logger().write(Entry::ConfigNeedsRestart { keys: &self.waiting.join(", ") });
                }
            }
            Err(error) => handle.logger().write(Entry::ConfigRefused { error: &error }),
        }
    }

    /// Reads again, and declares anew those tasks of which something else is said now; returns their names.
    ///
    /// # Errors
    /// Everything that is wrong in what was read, or with the tasks as they would be; then nothing has changed.
    pub(super) async fn again(&mut self, handle: &SchedulerHandle) -> Result<Vec<String>, Error> {
        let present = self.config.clone();
        let read = tokio::task::spawn_blocking(move || present.read_again()).await;
        let Again { config, waiting } = read.map_err(|_| Error::stopped("the runtime has ended"))??;
        let overrides = config.overrides();
        let before = self.config.overrides().laid_over(self.declared.clone());
        let after = overrides.laid_over(self.declared.clone());
        let differs = |(before, after): &(Task, Task)| !before.says_the_same(after);
        let changed: Vec<Task> = before.into_iter().zip(after).filter(differs).map(|(_, after)| after).collect();

        let mut problems: Vec<Problem> =
            overrides.unknown(self.declared.iter().map(Task::name), &self.filtered).collect();
        for task in &changed {
            problems.extend(overrides.named_in(task.name(), task.problems(config.zone()).1));
            problems.extend(overrides.named_in(task.name(), handle.unsupported(task)));
        }
        if !problems.is_empty() {
            return Err(Error::overrides(problems));
        }
        let names = handle.redeclare(&changed).await?;
        (self.config, self.waiting) = (config, waiting);
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::chrono_tz::Tz;
    use crate::clock::Clock;
    use crate::logging::seen::{Seen, Written};
    use crate::test_util::{Chaos, Fault};
    use crate::{MemoryBackend, Schedule, TaskOverride, Timestamp};

    fn program(file: &Path) -> Scheduler {
        let task = |name: &'static str| {
            Task::new(name, Schedule::interval(Duration::from_secs(3_600)).expect("a period"), || async {})
        };
        let config =
            SchedulerConfig::from_file(file).expect("a right file").task("billing", TaskOverride::new().priority(7));
        Scheduler::empty()
            .clock(Clock::starting_at(Timestamp::from_millis(0)))
            .register(task("report"))
            .register(task("billing"))
            .register(task("web"))
            .config(config)
            .filter(|task| task.name() != "web")
    }

    fn write(file: &Path, text: &str) {
        std::fs::write(file, text).expect("the file is written");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_again_holds_and_what_was_counted_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("scheduler.yaml");
        write(&file, "tasks: { report: { enabled: false } }");
        let scheduler = program(&file);
        let mut reload = Reload::of(&scheduler).expect("it was read");
        let handle = scheduler.start().await.expect("it starts");
        assert!(handle.task("report").expect("a task").pause.is_some());
        handle.trigger_task("report").await.expect("a run");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(handle.metrics()[1].successful_runs, 1);

        write(
            &file,
            "tasks: { report: { interval: 5s, timezone: Asia/Tokyo, tags: [fast] }, web: { enabled: false } }",
        );
        assert_eq!(reload.again(&handle).await.expect("a right file"), ["report"]);
        let report = handle.task("report").expect("a task");
        assert!(report.pause.is_none());
        assert_eq!((report.schedule.describe().as_str(), report.timezone), ("every 5 seconds", Tz::Asia__Tokyo));
        assert_eq!((&*report.tags[0], report.successful_runs), ("fast", 1));
        assert_eq!(handle.task("billing").expect("a task").priority, 7);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(
            handle.metrics()[1].successful_runs,
            3,
            "the new schedule fires, and is counted where the old one was"
        );
        assert!(reload.again(&handle).await.expect("a right file").is_empty(), "nothing has changed since");
        let ledger = handle.ledger("report").await.expect("a ledger");
        assert_eq!(ledger.occurrences, ledger.runs + ledger.recorded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_file_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("scheduler.yaml");
        write(&file, "tasks: { report: { interval: 5s } }");
        let scheduler = program(&file);
        let mut reload = Reload::of(&scheduler).expect("it was read");
        let handle = scheduler.start().await.expect("it starts");
        for (text, part) in [
            ("tasks: { report: { interval: 9s, jittr: 5s } }", "did you mean jitter?"),
            ("tasks: { report: { interval: 9s }, reprot: {} }", "there is no task \"reprot\""),
            ("tasks: { report: { interval: 9s, overlap: allow, max_instances: 2 } }", "contradicts"),
            ("tasks: {", "column"),
        ] {
            write(&file, text);
            let said = reload.again(&handle).await.expect_err(text).to_string();
            assert!(said.contains(part), "{text}: {said}");
            assert_eq!(handle.task("report").expect("a task").schedule.describe(), "every 5 seconds");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_leaves_every_task_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("scheduler.yaml");
        write(&file, "tasks: { report: { interval: 5s } }");
        let clock = Clock::starting_at(Timestamp::from_millis(0));
        let chaos = Chaos::new(MemoryBackend::with_clock(clock.clone()));
        let scheduler = program(&file).clock(clock).backend(chaos.clone());
        let mut reload = Reload::of(&scheduler).expect("it was read");
        let handle = scheduler.start().await.expect("it starts");
        write(&file, "tasks: { report: { interval: 9s }, billing: { interval: 9s } }");
        chaos.fail_on("register", Fault::Before);
        reload.again(&handle).await.expect_err("the store fails");
        for (task, words) in [("report", "every 5 seconds"), ("billing", "every hour")] {
            assert_eq!(handle.task(task).expect("a task").schedule.describe(), words);
        }
        chaos.heal();
        assert_eq!(reload.again(&handle).await.expect("the store is back"), ["report", "billing"]);
        assert_eq!(handle.task("billing").expect("a task").schedule.describe(), "every 9 seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn what_became_of_it_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("scheduler.yaml");
        write(&file, "");
        let seen = Seen::default();
        let scheduler = program(&file).logger(seen.clone());
        let mut reload = Reload::of(&scheduler).expect("it was read");
        let handle = scheduler.start().await.expect("it starts");

        write(&file, "tasks: { report: { interval: 9s }, billing: { tags: [x] } }");
        reload.again_and_say(&handle).await;
        assert_eq!(seen.take("config.reloaded").field("tasks"), "report, billing");
        write(&file, "tasks: { report: { interval: 9x } }");
        reload.again_and_say(&handle).await;
        assert!(seen.take("config.refused").field("error").contains("scheduler.yaml:1"));
        super::super::nothing_to_reload(&handle);
        seen.take("config.not_read");
        seen.all().iter().for_each(Written::is_as_listed);
    }

    #[tokio::test(start_paused = true)]
    async fn settings_that_wait_for_the_next_start_are_said_as_long_as_they_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("scheduler.yaml");
        write(&file, "max_workers: 3\nlease: 20s\n");
        let seen = Seen::default();
        let scheduler = program(&file).logger(seen.clone());
        let mut reload = Reload::of(&scheduler).expect("it was read");
        let handle = scheduler.start().await.expect("it starts");
        let mut said_of = async |text: &str| {
            let before = seen.all().len();
            write(&file, text);
            reload.again_and_say(&handle).await;
            let mut events = seen.all().split_off(before);
            events.retain(|event| event.name.starts_with("config."));
            events.iter().for_each(Written::is_as_listed);
            let said = events.iter().map(|event| {
                let fields: Vec<&str> = event.fields.iter().map(|(_, value)| value.as_str()).collect();
                format!("{} {}", event.name, fields.join(" "))
            });
            said.collect::<Vec<_>>()
        };
        let same = "# moved\nscheduler: { lease: 20s, max_workers: 3 }\n";
        assert_eq!(said_of(same).await, ["config.reloaded "]);
        let other = "max_workers: 5\nlease: 25s\ntasks: { report: { interval: 9s } }\n";
        let waits = "config.needs_restart max_workers, lease";
        assert_eq!(said_of(other).await, ["config.reloaded report", waits]);
        assert_eq!(said_of(other).await, ["config.reloaded ", waits], "it waits still");
        let refused = said_of("max_workers: 6\ntasks: { reprot: {} }\n").await;
        assert!(refused.len() == 1 && refused[0].starts_with("config.refused "), "nothing counts of it: {refused:?}");
        assert_eq!(said_of(same).await, ["config.reloaded report"], "nothing waits any more");
    }

    #[test]
    fn what_was_not_read_cannot_be_read_again() {
        assert!(Reload::of(&Scheduler::empty().config(SchedulerConfig::new().max_workers(3))).is_none());
    }
}
