//! What is wrong with a task by itself, and what its options mean together. Pure.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::{Timestamp, check_task_name, format_duration};

use super::{Alike, Task, TaskName};
use crate::backend::{Capabilities, Group, Registration, Retention, TaskRules};
use crate::config::SchedulerConfig;
use crate::error::Problem;
use crate::executor::{Needs, Provided};
use crate::retry::RetryPolicy;
use crate::schedule::{Delay, Delivery, Misfire, Overlap, Plan, Timetable, Window};

/// The longest jitter: what is longer is a schedule of its own.
pub(crate) const JITTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest timeout.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How old a missed occurrence may be under `run_all` if the task does not say it.
const CATCH_UP_ALL: Duration = Duration::from_secs(24 * 60 * 60);

/// The highest priority, and with a minus the lowest.
pub(crate) const PRIORITY_MAX: i8 = 100;

impl Task {
    /// Everything that is wrong with this task by itself, and its name if that is right.
    pub(crate) fn problems(&self, zone: Tz) -> (Option<TaskName>, Vec<Problem>) {
        let mut found = Vec::new();
        let name = TaskName::new(&self.name)
            .map_err(|reason| found.push(Problem::Name { name: self.name.to_string(), reason, source: self.source }))
            .ok();
        let mut said = self.impossible_values();
        said.extend(self.contradictions());
        match self.is_job() {
            true => said.extend(self.not_for_jobs()),
            false => said.extend(self.never_due(zone)),
        }
        let wrong = |says| Problem::Task { name: self.name.to_string(), says, source: self.source };
        found.extend(said.into_iter().map(wrong));
        (name, found)
    }

    /// What its arguments need and nobody provides.
    pub(crate) fn unmet_needs(&self, provided: &Provided) -> Vec<Problem> {
        let mut needs = Needs::among(provided);
        self.call.look_for_needs(&mut needs);
        let missing = needs.missing().into_iter();
        missing.map(|says| Problem::MissingState { name: self.name.to_string(), says, source: self.source }).collect()
    }

    fn impossible_values(&self) -> Vec<String> {
        let options = &self.options;
        let mut said = options.retry.as_ref().map_or_else(Vec::new, |policy| policy.problems());
        let never = [
            ("max_instances", options.max_instances.map(u64::from)),
            ("max_runs", options.max_runs),
            ("pause_after", options.pause_after.map(u64::from)),
        ];
        for (option, _) in never.iter().filter(|(_, value)| *value == Some(0)) {
            said.push(format!("{option} = 0 would never let it run; allowed is 1 or more"));
        }
        for (option, value, least, most) in [
            ("timeout", options.timeout, Duration::from_millis(1), TIMEOUT_MAX),
            ("jitter", options.jitter, Duration::ZERO, JITTER_MAX),
            ("catch_up_window", options.catch_up_window, Duration::ZERO, Duration::MAX),
            ("expect_success_within", options.expect_success_within, Duration::from_millis(1), Duration::MAX),
        ] {
            if let Some(value) = value.filter(|value| *value < least || *value > most) {
                let range = format!("{} to {}", format_duration(least), format_duration(most));
                said.push(format!("{option} = {} is not possible; allowed is {range}", format_duration(value)));
            }
        }
        if options.priority.unsigned_abs() > PRIORITY_MAX.unsigned_abs() {
            said.push(format!("priority = {} is not possible; allowed is -100 to 100", options.priority));
        }
        if let Some(group) = &options.group
            && let Err(error) = check_task_name(group)
        {
            said.push(format!("group {group:?}: {error}"));
        }
        said
    }

    fn contradictions(&self) -> Vec<String> {
        let options = &self.options;
        let mut said = Vec::new();
        let mut contradicts = |first: &str, second: &str, why: &str| {
            said.push(format!("{first} {why}, so {second} beside it contradicts it; drop one of them"));
        };
        if options.overlap == Some(Overlap::Allow) && options.max_instances.is_some() {
            contradicts("overlap = \"allow\"", "max_instances", "has no limit");
        }
        if options.delivery == Delivery::AtMostOnce && options.retry.is_some() {
            contradicts("delivery = \"at_most_once\"", "retry", "is one attempt");
        }
        if options.delay == Delay::FixedDelay {
            let beside = [
                ("misfire", options.misfire.is_some()),
                ("catch_up_window", options.catch_up_window.is_some()),
                ("overlap", options.overlap.is_some()),
                ("max_instances", options.max_instances.is_some()),
            ];
            for (option, _) in beside.into_iter().filter(|(_, given)| *given) {
                contradicts("delay = \"fixed_delay\"", option, "is never missed and never overlaps itself");
            }
            if self.schedule.period().is_none() {
                said.push(
                    "delay = \"fixed_delay\" counts from the end of a run, which only an interval can; drop it".into(),
                );
            }
        }
        if options.misfire == Some(Misfire::RunAll)
            && !matches!(options.overlap, Some(Overlap::BufferAll | Overlap::Allow))
        {
            said.push(
                "misfire = \"run_all\" needs overlap = \"buffer_all\" or \"allow\" beside it: another would drop what \
                 is caught up"
                    .into(),
            );
        }
        if options.misfire == Some(Misfire::Skip) && options.catch_up_window.is_some() {
            said.push("misfire = \"skip\" catches nothing up, so catch_up_window beside it has no meaning".into());
        }
        said
    }

    /// What has no meaning without a schedule.
    fn not_for_jobs(&self) -> Vec<String> {
        let options = &self.options;
        let given = [
            ("a schedule", !self.schedule.is_never()),
            ("timezone", options.timezone.is_some()),
            ("start", options.start.is_some()),
            ("end", options.end.is_some()),
            ("except", options.except.is_some()),
            ("jitter", options.jitter.is_some()),
            ("delay", options.delay != Delay::FixedRate),
            ("max_runs", options.max_runs.is_some()),
            ("overlap", options.overlap.is_some()),
            ("misfire", options.misfire.is_some()),
            ("catch_up_window", options.catch_up_window.is_some()),
            ("run_on_start", options.run_on_start),
            ("expect_success_within", options.expect_success_within.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        given
            .map(|(option, _)| {
                format!("it is a job, which runs when it is enqueued: {option} has no meaning for it; drop it")
            })
            .collect()
    }

    /// What it asks for by name and its backend lacks.
    pub(crate) fn unsupported(&self, backend: &str, can: Capabilities) -> Vec<Problem> {
        let options = &self.options;
        let asked = [
            ("priority", i64::from(options.priority).to_string(), options.priority != 0 && !can.priority),
            ("max_runs", options.max_runs.unwrap_or_default().to_string(), options.max_runs.is_some() && !can.max_runs),
        ];
        let lacking = asked.into_iter().filter(|(.., is_lacking)| *is_lacking);
        let lacking = lacking.map(|(option, value, _)| {
            format!(
                "{option} = {value} is more than the backend \"{backend}\" can do; drop it, or use a backend that can: \
                 memory, sqlite, postgres, redis"
            )
        });
        let jobs = (self.is_job() && !can.jobs).then(|| {
            format!(
                "it is a job (#[task] or Task::job), and the backend \"{backend}\" has no jobs; use a backend that has: memory, \
                 sqlite, postgres, redis, rabbitmq"
            )
        });
        let says = lacking.chain(jobs);
        says.map(|says| Problem::Unsupported { name: self.name.to_string(), says, source: self.source }).collect()
    }

    fn never_due(&self, zone: Tz) -> Option<String> {
        let window = self.window(zone);
        if window.end < window.start {
            return Some(format!("end ({}) lies before start ({}), so it would never run", window.end, window.start));
        }
        let plan = Plan::new(self.timetable(zone).into(), &self.name, Timestamp::MIN, Timestamp::MIN);
        if plan.next(Timestamp::MIN).is_some() {
            return None;
        }
        let beside = if self.options.except.is_some() { " outside its `except`" } else { "" };
        Some(format!("its schedule ({}) has no occurrence at all{beside}", self.schedule.describe()))
    }

    fn zone(&self, default: Tz) -> Tz {
        self.options.timezone.unwrap_or(default)
    }

    fn window(&self, default_zone: Tz) -> Window {
        let zone = self.zone(default_zone);
        Window {
            start: self.options.start.map_or(Window::ALWAYS.start, |moment| moment.resolve(zone)),
            end: self.options.end.map_or(Window::ALWAYS.end, |moment| moment.resolve(zone)),
        }
    }

    /// Everything that decides which instants are occurrences of this task.
    pub(crate) fn timetable(&self, default_zone: Tz) -> Timetable {
        Timetable {
            window: self.window(default_zone),
            anchored: self.options.start.is_some(),
            except: self.options.except.clone(),
            jitter: self.options.jitter.unwrap_or_default(),
            delay: self.options.delay,
            ..Timetable::new(self.schedule, self.zone(default_zone))
        }
    }

    /// What a store is told of this task; `retention` is one value for all tasks of the settings.
    pub(crate) fn registration(
        &self,
        name: TaskName,
        config: &SchedulerConfig,
        retention: &Arc<Retention>,
        alike: &mut Alike,
    ) -> Registration {
        let timetable = alike.timetables.one(self.timetable(config.zone()));
        Registration { name, timetable, rules: self.rules(config, retention) }
    }

    /// What a store has to heed about the runs of this task.
    fn rules(&self, config: &SchedulerConfig, retention: &Arc<Retention>) -> TaskRules {
        let options = &self.options;
        TaskRules {
            alive_max: self.alive_max(),
            overlap: self.overlap_policy(),
            delivery: options.delivery,
            priority: options.priority,
            group: options.group.as_deref().map(|name| Group { name: name.into(), max: config.group_max(name) }),
            max_runs: options.max_runs,
            pause_after: options.pause_after,
            disabled: options.disabled,
            run_on_start: options.run_on_start,
            reads: self.reads(),
            retention: Arc::clone(retention),
        }
    }

    pub(crate) fn overlap_policy(&self) -> Overlap {
        match self.options.delay {
            // Never missed, only late: what falls due beside a trigger waits for it.
            Delay::FixedDelay => Overlap::BufferOne,
            Delay::FixedRate => self.options.overlap.unwrap_or_default(),
        }
    }

    /// How failed attempts are retried; `None` is the default.
    pub(crate) fn retry_policy(&self) -> Option<Box<RetryPolicy>> {
        match self.options.delivery {
            Delivery::AtMostOnce => Some(Box::new(RetryPolicy::none())),
            Delivery::AtLeastOnce => self.options.retry.clone(),
        }
    }

    /// How old a missed occurrence may be to become a run.
    pub(crate) fn caught_up_within(&self) -> Option<Duration> {
        match self.options.misfire {
            Some(Misfire::RunAll) => Some(self.options.catch_up_window.unwrap_or(CATCH_UP_ALL)),
            _ => self.options.catch_up_window,
        }
    }

    /// How many runs may be alive at once; `None` is no limit.
    pub(crate) fn alive_max(&self) -> Option<u32> {
        match self.overlap_policy() {
            // As many as there are workers, if it does not say otherwise: jobs come because somebody wants them done.
            _ if self.is_job() => self.options.max_instances,
            Overlap::Allow => None,
            _ => Some(self.options.max_instances.unwrap_or(1)),
        }
    }
}
