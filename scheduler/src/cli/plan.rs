//! What would fire in a span of time if the program ran: `plan`. Pure; nothing is started and no store is asked.
//!
//! What only a store knows is assumed, and said of each task: from when an interval without `start` counts, how long a
//! run of a fixed delay takes, how many of `max_runs` are left.

mod against;
mod file;
mod firings;
mod load;
mod text;

use std::io::Read;

use chrono_tz::Tz;
use symphra_scheduler_core::{TZDB_VERSION, Timestamp, format_duration};

use self::against::Difference;
use self::firings::{Firings, Span};
use self::load::Load;
use super::args::PlanArgs;
use super::{Failure, Output, instant};
use crate::launch::Checked;
use crate::schedule::Timetable;
use crate::scheduler::Scheduler;
use crate::task::Task;

/// The longest span: what repeats by months is seen once.
pub(crate) const HOURS_MAX: u32 = 31 * 24;

const HOUR_MILLIS: i64 = 60 * 60 * 1_000;

const SPAN_MILLIS_MAX: i64 = HOURS_MAX as i64 * HOUR_MILLIS;

/// The longest plan that is read: ten thousand tasks of a month take a tenth of it.
const PLAN_BYTES_MAX: u64 = 64 << 20;

/// Shows the forecast of a program, or how it differs from one that was written down: exit code 1 if it does.
pub(super) fn run(args: &PlanArgs, scheduler: Scheduler, output: &Output) -> Result<u8, Failure> {
    let Checked { tasks, config, clock, .. } = scheduler.checked()?;
    let zone = config.zone();
    let Some(file) = &args.against else {
        let now = clock.now().as_millis();
        let minute = Timestamp::from_millis(now - now.rem_euclid(load::MINUTE_MILLIS));
        let from = args.from.as_deref().map_or(Ok(minute), |text| instant(text, zone))?;
        let to = Timestamp::from_millis(from.as_millis() + i64::from(args.hours) * HOUR_MILLIS);
        let forecast = Forecast::of(&tasks, zone, Span { from, to });
        match output.is_json() {
            true => output.show(&forecast.to_json(), |_, _| String::new()),
            false => output.print(&forecast.text(zone, output)),
        }
        return Ok(0);
    };
    let unreadable = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| unreadable(error.to_string()))?;
    if opened.metadata().is_ok_and(|found| found.is_dir()) {
        return Err(unreadable("it is a folder, and a plan is a file, as `plan --json` writes it".into()));
    }
    let read =
        opened.take(PLAN_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if read as u64 > PLAN_BYTES_MAX {
        return Err(unreadable(format!("it is no plan, which has at most {} MB", PLAN_BYTES_MAX >> 20)));
    }
    let before = Forecast::from_json(&text).map_err(|error| unreadable(error.to_string()))?;
    let now = Forecast::of(&tasks, zone, before.span);
    let difference = Difference::between(&before, &now);
    match output.is_json() {
        true => output.show(&difference.to_json(before.span), |_, _| String::new()),
        false => output.print(&difference.text(before.span, zone, output)),
    }
    Ok(if difference.is_empty() { 0 } else { Failure::FAILED })
}

/// All firings of a program within a span.
#[derive(Debug)]
pub(crate) struct Forecast {
    span: Span,
    tzdb: String,
    /// By name.
    tasks: Vec<Planned>,
}

/// What one task does within the span.
#[derive(Clone, Debug, PartialEq)]
struct Planned {
    name: String,
    rule: Rule,
    words: String,
    firings: Firings,
    notes: Vec<String>,
}

/// What decides when a task fires, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    schedule: String,
    timezone: String,
    enabled: bool,
    /// The options that are set, by name.
    options: Vec<(String, String)>,
}

impl Forecast {
    /// What `tasks` do in `span`, `zone` being that of tasks that name none.
    pub(crate) fn of(tasks: &[Task], zone: Tz, span: Span) -> Self {
        // Nobody knows when a job is enqueued.
        let scheduled = tasks.iter().filter(|task| !task.is_job());
        let mut tasks: Vec<_> = scheduled.map(|task| Planned::of(task, zone, span)).collect();
        tasks.sort_by(|one, other| one.name.cmp(&other.name));
        Self { span, tzdb: TZDB_VERSION.to_owned(), tasks }
    }

    fn load(&self) -> Load {
        Load::of(self.tasks.iter().map(|task| &task.firings), self.span)
    }
}

impl Planned {
    fn of(task: &Task, zone: Tz, span: Span) -> Self {
        let timetable = task.timetable(zone);
        let options = task.options();
        let most = if options.disabled { 0 } else { options.max_runs.unwrap_or(u64::MAX) };
        let firings = if most == 0 { Firings::default() } else { Firings::of(&timetable, span, most) };
        Self {
            name: task.name().to_owned(),
            rule: Rule::of(task, &timetable),
            words: timetable.schedule.describe(),
            firings,
            notes: notes(task, &timetable, span),
        }
    }
}

impl Rule {
    fn of(task: &Task, timetable: &Timetable) -> Self {
        let options = task.options();
        let set = [
            ("start", options.start.map(|at| at.to_string())),
            ("end", options.end.map(|at| at.to_string())),
            ("except", options.except.as_ref().map(ToString::to_string)),
            ("jitter", options.jitter.map(format_duration)),
            ("delay", timetable.is_fixed_delay().then(|| options.delay.to_string())),
            ("max_runs", options.max_runs.map(|runs| runs.to_string())),
        ];
        Self {
            schedule: timetable.schedule.written(),
            timezone: timetable.zone.to_string(),
            enabled: !options.disabled,
            options: set.into_iter().filter_map(|(option, value)| Some((option.to_owned(), value?))).collect(),
        }
    }
}

/// What is assumed of a task, and what of it the firings do not show.
fn notes(task: &Task, timetable: &Timetable, span: Span) -> Vec<String> {
    let options = task.options();
    let mut notes = Vec::new();
    if options.disabled {
        notes.push("disabled: it does not fire".to_owned());
        return notes;
    }
    if timetable.is_fixed_delay() {
        notes.push("fixed delay: each run is assumed to take no time".to_owned());
    }
    if timetable.period_from_registration().is_some() {
        notes.push(format!(
            "no `start`: its interval is assumed to count from {}",
            span.from.to_utc().format("%F %T UTC")
        ));
    }
    if let Some(runs) = options.max_runs {
        notes.push(format!("max_runs: all {runs} are assumed to be left"));
    }
    if let Some(jitter) = options.jitter.filter(|jitter| !jitter.is_zero()) {
        notes.push(format!("jitter: each starts up to {} later", format_duration(jitter)));
    }
    if options.run_on_start {
        notes.push("run_on_start: a run at the start of a node is not shown".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::Schedule;

    pub(super) fn day() -> Span {
        let at = |text: &str| Timestamp::from(text.parse::<chrono::DateTime<chrono::Utc>>().expect("an instant"));
        Span { from: at("2026-11-25T00:00:00Z"), to: at("2026-11-26T00:00:00Z") }
    }

    pub(super) fn task(name: &'static str, schedule: &str) -> Task {
        Task::new(name, schedule.parse::<Schedule>().expect("a schedule"), || async {})
    }

    /// A task of each kind.
    pub(super) fn program() -> Vec<Task> {
        vec![
            task("report", "0 30 9 * * MON-FRI").jitter(Duration::from_secs(30)),
            task("health_check", "10s"),
            task("cleanup", "@hourly").enabled(false),
            task("poll", "30s").delay(crate::Delay::FixedDelay),
            task("nightly", "0 2 * * *").timezone(Tz::Europe__Paris).except("0 2 * * SUN".parse().expect("cron")),
            task("backfill", "*/5 * * * *").max_runs(3),
            task("launch", "2026-11-25 12:00"),
            task("tick", "* * * * * *"),
            task("yearly", "0 0 1 1 *"),
        ]
    }

    fn planned(name: &str) -> Planned {
        let forecast = Forecast::of(&program(), Tz::Asia__Shanghai, day());
        forecast.tasks.into_iter().find(|task| task.name == name).expect(name)
    }

    #[test]
    fn each_task_fires_as_it_would() {
        for (name, count, first) in [
            ("report", 1, Some("2026-11-25T01:30:00.000Z")),
            ("health_check", 8_639, Some("2026-11-25T00:00:10.000Z")),
            ("cleanup", 0, None),
            ("poll", 2_879, Some("2026-11-25T00:00:30.000Z")),
            ("nightly", 1, Some("2026-11-25T01:00:00.000Z")),
            ("backfill", 3, Some("2026-11-25T00:00:00.000Z")),
            ("launch", 1, Some("2026-11-25T04:00:00.000Z")),
            ("tick", 86_400, Some("2026-11-25T00:00:00.000Z")),
            ("yearly", 0, None),
        ] {
            let firings = planned(name).firings;
            let told = firings.first().map(|at| at.to_string());
            assert_eq!((firings.count(), told.as_deref()), (count, first), "{name}");
        }
    }

    #[test]
    fn what_is_assumed_is_noted() {
        for (name, parts) in [
            ("report", &["up to 30s later"][..]),
            ("health_check", &["assumed to count from 2026-11-25 00:00:00 UTC"]),
            ("cleanup", &["disabled"]),
            ("poll", &["take no time", "count from"]),
            ("backfill", &["all 3 are assumed"]),
            ("tick", &[]),
        ] {
            let notes = planned(name).notes;
            assert_eq!(notes.len(), parts.len(), "{name}: {notes:?}");
            assert!(notes.iter().zip(parts).all(|(note, part)| note.contains(part)), "{name}: {notes:?}");
        }
    }

    #[test]
    fn many_tasks_of_a_day_are_forecast_in_little_memory() {
        let schedules = ["* * * * * *", "1ms", "*/7 * * * *", "0 9-17 * * MON-FRI", "30s"];
        let tasks: Vec<Task> = (0..10_000)
            .map(|n| {
                // Each second cron task is one of every second.
                let schedule = if n < 100 { schedules[n % 2] } else { schedules[2 + n % 3] };
                Task::new(format!("task {n}"), schedule.parse::<Schedule>().expect("a schedule"), || async {})
            })
            .collect();
        let forecast = Forecast::of(&tasks, Tz::Europe__Berlin, day());
        let kept: usize = forecast.tasks.iter().map(|task| task.firings.progressions().len()).sum();
        assert!(kept < 200 * 10_000, "{kept} progressions");
        assert_eq!(forecast.load().minutes.len(), 1_440);
        assert!(forecast.load().most > 50 * 60_000);
    }
}
