//! What one seed means: the tasks, their options and bodies, the limits of the scheduler, and which troubles come.

use std::time::Duration;

use fastrand::Rng;
use symphra_scheduler::chrono::{DateTime, Utc};
use symphra_scheduler::chrono_tz::Tz;
use symphra_scheduler::{Backoff, CronExpr, Delay, Delivery, Misfire, Overlap, RetryPolicy, SchedulerConfig, Task};

use super::calendar::{Calendar, Rule, utc};

/// Instants near which schedules are hard: clock changes of half an hour and of an hour, both ways, and plain days.
const BEGINNINGS: &[(&str, Tz)] = &[
    ("2026-06-01T00:00:00Z", Tz::UTC),
    ("2026-12-31T23:55:00Z", Tz::Asia__Kathmandu),
    ("2026-03-08T06:50:00Z", Tz::America__New_York),
    ("2026-11-01T05:45:00Z", Tz::America__New_York),
    ("2026-04-04T14:50:00Z", Tz::Australia__Lord_Howe),
    ("2026-10-03T15:20:00Z", Tz::Australia__Lord_Howe),
    ("2026-03-29T00:55:00Z", Tz::Europe__London),
];

const OFTEN: &[&str] = &["*/5 * * * * *", "*/20 * * * * *", "15,45 * * * * *", "* * * * *"];
const SELDOM: &[&str] =
    &["*/2 * * * *", "0 */7 * * * *", "30 2 * * *", "0 0,30 1,2 * * *", "*/15 1-3 * * *", "*/30 * 2 * * *"];

/// The troubles and the size of a scenario.
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) begins_at: i64,
    pub(crate) tasks: Vec<TaskSpec>,
    /// How many of the tasks are there from the start; the others are registered by the script.
    pub(crate) declared: usize,
    pub(crate) max_workers: usize,
    pub(crate) queue_size: usize,
    pub(crate) group_max: u32,
    pub(crate) has_faults: bool,
    pub(crate) steps_clock: bool,
    pub(crate) restarts: bool,
    pub(crate) reschedules: bool,
    pub(crate) script_len: usize,
}

/// A task, as the model knows it.
#[derive(Clone, Debug)]
pub(crate) struct TaskSpec {
    pub(crate) name: String,
    pub(crate) rule: Rule,
    pub(crate) zone: Tz,
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    pub(crate) except: Option<CronExpr>,
    pub(crate) overlap: Option<Overlap>,
    pub(crate) max_instances: Option<u32>,
    pub(crate) misfire: Option<Misfire>,
    pub(crate) catch_up: Option<i64>,
    pub(crate) jitter: i64,
    pub(crate) max_runs: Option<u64>,
    pub(crate) priority: i8,
    pub(crate) in_group: bool,
    pub(crate) timeout: Option<i64>,
    pub(crate) retry: Option<Tries>,
    pub(crate) at_most_once: bool,
    pub(crate) pause_after: Option<u32>,
    pub(crate) run_on_start: bool,
    pub(crate) disabled: bool,
    pub(crate) body: BodySpec,
}

/// A retry policy, with what the model needs of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    pub(crate) max: u32,
    pub(crate) strategy: Backoff,
    pub(crate) wait_min: i64,
    pub(crate) wait_max: i64,
    pub(crate) multiplier: f64,
    pub(crate) jitter: bool,
}

/// What the bodies of a task draw from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodySpec {
    pub(crate) duration_max: u64,
    /// Of a hundred attempts, how many do not succeed.
    pub(crate) failures: u8,
    pub(crate) ignores_cancellation: bool,
}

impl Tries {
    const STANDARD: Self = Self {
        max: 3,
        strategy: Backoff::Exponential,
        wait_min: 1_000,
        wait_max: 60_000,
        multiplier: 2.0,
        jitter: true,
    };

    /// So many attempts, so far apart.
    pub(crate) fn fixed(max: u32, wait_min: i64) -> Self {
        Self { max, strategy: Backoff::Fixed, wait_min, jitter: false, ..Self::STANDARD }
    }

    /// The shortest wait after the `failed`th failure.
    pub(crate) fn wait_at_least(&self, failed: u32) -> i64 {
        let wait = match self.strategy {
            Backoff::Exponential => {
                let exponent = i32::try_from(failed.max(1) - 1).expect("few attempts");
                (self.wait_min as f64 * self.multiplier.powi(exponent)).min(self.wait_max as f64)
            }
            _ => self.wait_min as f64,
        };
        let halved = self.jitter && self.strategy != Backoff::Random;
        (if halved { wait / 2.0 } else { wait }).floor() as i64
    }

    fn policy(&self) -> RetryPolicy {
        let policy = RetryPolicy::standard().max_attempts(self.max).strategy(self.strategy).jitter(self.jitter);
        policy.wait_max(millis(self.wait_max)).wait_min(millis(self.wait_min)).multiplier(self.multiplier)
    }

    fn draw(random: &mut Rng) -> Self {
        let wait_min = random.i64(0..4_000);
        match random.u8(..6) {
            0 => Self { max: 1, ..Self::STANDARD },
            1 => Self { max: 10, wait_min: 500, wait_max: 120_000, multiplier: 2.5, ..Self::STANDARD },
            2 => Self {
                max: random.u32(2..5),
                strategy: Backoff::Fixed,
                wait_min,
                jitter: random.bool(),
                ..Self::STANDARD
            },
            3 => Self {
                max: random.u32(2..5),
                strategy: Backoff::Random,
                wait_min,
                wait_max: wait_min + 5_000,
                ..Self::STANDARD
            },
            _ => Self {
                max: random.u32(2..6),
                wait_min,
                wait_max: wait_min + 9_000,
                jitter: random.bool(),
                ..Self::STANDARD
            },
        }
    }
}

impl TaskSpec {
    /// One without options, whose body returns at once.
    pub(crate) fn plain(name: &str, rule: Rule) -> Self {
        Self {
            name: name.into(),
            rule,
            zone: Tz::UTC,
            start: None,
            end: None,
            except: None,
            overlap: None,
            max_instances: None,
            misfire: None,
            catch_up: None,
            jitter: 0,
            max_runs: None,
            priority: 0,
            in_group: false,
            timeout: None,
            retry: None,
            at_most_once: false,
            pause_after: None,
            run_on_start: false,
            disabled: false,
            body: BodySpec { duration_max: 0, failures: 0, ignores_cancellation: false },
        }
    }

    /// Its occurrences as it declares them, if it is first registered then.
    pub(crate) fn calendar(&self, registered: i64) -> Calendar {
        let Self { rule, zone, start, end, except, .. } = *self;
        Calendar { rule, zone, start, end, except, registered }
    }

    /// How many of its runs may be alive; `None` is no limit.
    pub(crate) fn alive_max(&self) -> Option<usize> {
        match self.overlap {
            Some(Overlap::Allow) => None,
            _ => Some(self.max_instances.unwrap_or(1) as usize),
        }
    }

    pub(crate) fn tries(&self) -> Tries {
        if self.at_most_once { Tries { max: 1, ..Tries::STANDARD } } else { self.retry.unwrap_or(Tries::STANDARD) }
    }

    /// `task` with these options.
    pub(crate) fn dress(&self, mut task: Task) -> Task {
        task = task.timezone(self.zone).priority(self.priority).run_on_start(self.run_on_start).enabled(!self.disabled);
        if let Some(start) = self.start {
            task = task.start_at(utc(start));
        }
        if let Some(end) = self.end {
            task = task.end_at(utc(end));
        }
        if let Some(except) = self.except {
            task = task.except(except);
        }
        if let Some(overlap) = self.overlap {
            task = task.overlap(overlap);
        }
        if let Some(runs) = self.max_instances {
            task = task.max_instances(runs);
        }
        if let Some(misfire) = self.misfire {
            task = task.misfire(misfire);
        }
        if let Some(window) = self.catch_up {
            task = task.catch_up_window(millis(window));
        }
        if self.jitter > 0 {
            task = task.jitter(millis(self.jitter));
        }
        if let Some(runs) = self.max_runs {
            task = task.max_runs(runs);
        }
        if self.in_group {
            task = task.group(GROUP);
        }
        if let Some(timeout) = self.timeout {
            task = task.timeout(millis(timeout));
        }
        if let Some(tries) = &self.retry {
            task = task.retry(tries.policy());
        }
        if self.at_most_once {
            task = task.delivery(Delivery::AtMostOnce);
        }
        if let Some(runs) = self.pause_after {
            task = task.pause_after(runs);
        }
        if matches!(self.rule, Rule::Delay(_)) {
            task = task.delay(Delay::FixedDelay);
        }
        task
    }

    pub(crate) fn draw(random: &mut Rng, number: usize, begins_at: i64, zone: Tz) -> Self {
        let (rule, start) = draw_rule(random, begins_at);
        let is_delay = matches!(rule, Rule::Delay(_));
        let overlaps = [
            None,
            Some(Overlap::Skip),
            Some(Overlap::BufferOne),
            Some(Overlap::BufferAll),
            Some(Overlap::CancelRunning),
            Some(Overlap::Allow),
        ];
        let overlap = if is_delay { None } else { random.choice(overlaps).expect("some") };
        let catches_all = matches!(overlap, Some(Overlap::BufferAll | Overlap::Allow));
        let misfire = match random.u8(..4) {
            _ if is_delay => None,
            0 => Some(Misfire::RunOnce),
            1 => Some(Misfire::Skip),
            2 if catches_all => Some(Misfire::RunAll),
            _ => None,
        };
        let window = random.i64(1_000..120_000);
        let at_most_once = random.u8(..6) == 0;
        let sub_minute = matches!(rule, Rule::Every(_)) || is_among(&rule, &OFTEN[..3]);
        let excepts = ["0 */3 * * * *", "0-20 */7 * * * *"].map(|text| text.parse().expect("a valid expression"));
        Self {
            name: format!("task {number}"),
            rule,
            zone: if random.bool() { zone } else { random.choice(BEGINNINGS).expect("some").1 },
            start,
            end: one_in(random, 8).then(|| begins_at + random.i64(60_000..1_200_000)),
            except: (sub_minute && one_in(random, 6)).then(|| random.choice(excepts).expect("some")),
            overlap,
            max_instances: (!is_delay && overlap != Some(Overlap::Allow) && one_in(random, 2))
                .then(|| random.u32(1..4)),
            misfire,
            catch_up: (!is_delay && misfire != Some(Misfire::Skip) && one_in(random, 4)).then_some(window),
            jitter: if !is_delay && one_in(random, 4) { random.i64(1..5_000) } else { 0 },
            max_runs: one_in(random, 8).then(|| random.u64(1..40)),
            priority: if random.bool() { 0 } else { random.i8(-100..=100) },
            in_group: one_in(random, 4),
            timeout: one_in(random, 4).then(|| random.i64(200..15_000)),
            retry: (!at_most_once && random.bool()).then(|| Tries::draw(random)),
            at_most_once,
            pause_after: one_in(random, 10).then(|| random.u32(1..4)),
            run_on_start: one_in(random, 6),
            disabled: one_in(random, 12),
            body: BodySpec {
                duration_max: *random.choice(&[0, 50, 900, 3_000, 12_000, 30_000]).expect("some"),
                failures: *random.choice(&[0, 5, 30, 80]).expect("some"),
                ignores_cancellation: one_in(random, 3),
            },
        }
    }
}

fn draw_rule(random: &mut Rng, begins_at: i64) -> (Rule, Option<i64>) {
    let period = match random.u8(..20) {
        0 => random.i64(300..1_000),
        1..6 => 1_000,
        6..10 => random.i64(1_000..7_000),
        10..14 => 5_000,
        14..17 => 30_000,
        17 => 60_000,
        _ => random.i64(7_000..200_000),
    };
    let start = one_in(random, 4).then(|| begins_at + random.i64(-100_000..100_000));
    match random.u8(..10) {
        0..3 => (Rule::Cron(random.choice(OFTEN).expect("some").parse().expect("valid")), start),
        3..5 => (Rule::Cron(random.choice(SELDOM).expect("some").parse().expect("valid")), start),
        5..8 => (Rule::Every(period), start),
        8 => (Rule::Delay(period), None),
        _ => (Rule::Once(begins_at + random.i64(-60_000..600_000)), None),
    }
}

/// The group that some tasks share.
pub(crate) const GROUP: &str = "shared";

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let (at, zone) = *random.choice(BEGINNINGS).expect("some");
        let begins_at = at.parse::<DateTime<Utc>>().expect("an instant").timestamp_millis() + random.i64(0..1_000);
        let declared = random.usize(1..7);
        let tasks = (0..declared + 2).map(|number| TaskSpec::draw(&mut random, number, begins_at, zone));
        let mut tasks: Vec<TaskSpec> = tasks.collect();
        for task in &mut tasks {
            // A window without an occurrence is an error at start.
            let is_narrow = task.start.zip(task.end).is_some_and(|(start, end)| end < start + 60_000);
            if is_narrow || is_among(&task.rule, SELDOM) {
                task.end = None;
            }
            if let Rule::Once(_) = task.rule {
                (task.start, task.end) = (None, None);
            }
        }
        Self {
            seed,
            begins_at,
            tasks,
            declared,
            max_workers: random.usize(1..6),
            queue_size: random.usize(1..12),
            group_max: random.u32(1..3),
            has_faults: one_in(&mut random, 3),
            steps_clock: one_in(&mut random, 3),
            restarts: one_in(&mut random, 2),
            reschedules: one_in(&mut random, 2),
            script_len: random.usize(10..40),
        }
    }

    pub(crate) fn config(&self) -> SchedulerConfig {
        let config = SchedulerConfig::new().max_workers(self.max_workers).queue_size(self.queue_size);
        config.group(GROUP, self.group_max)
    }
}

fn is_among(rule: &Rule, expressions: &[&str]) -> bool {
    let Rule::Cron(cron) = rule else { return false };
    expressions.iter().any(|text| text.parse::<CronExpr>().is_ok_and(|known| known == *cron))
}

pub(crate) fn one_in(random: &mut Rng, of: u32) -> bool {
    random.u32(..of) == 0
}

pub(crate) fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}
