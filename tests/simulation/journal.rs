//! What happens, as the bodies see it, and what may be said of it at once. Each attempt of each body passes through here;
//! what breaks a promise is noted, and the seed fails with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use symphra_scheduler::{Misfire, Origin, RunContext, RunId};
use tokio::time::Instant;

use super::body::{Act, Attempted, How};
use super::calendar::{Calendar, Rule};
use super::scenario::{Scenario, TaskSpec};

/// How late an occurrence may be accepted as itself: the default of `misfire_grace`.
const MISFIRE_GRACE: i64 = 1_000;

/// How long a body may go on after it was asked to end.
const CANCEL_GRACE: i64 = 5_000;

/// A timer rings at the next whole millisecond, and a timeout with its grace are two timers.
pub(crate) const ROUNDING: i64 = 3;

#[derive(Clone)]
pub(crate) struct Journal(Arc<Mutex<Seen>>);

/// What has been seen.
pub(crate) struct Seen {
    pub(crate) scenario: Arc<Scenario>,
    began: Option<Instant>,
    stepped: i64,
    seq: usize,
    pub(crate) tasks: Vec<TaskSeen>,
    pub(crate) runs: BTreeMap<RunId, RunSeen>,
    pub(crate) attempts: Vec<Attempt>,
    keys: HashMap<(usize, Origin, i64), RunId>,
    executing: usize,
    executing_of_group: usize,
    backfills: HashMap<RunId, (usize, i64)>,
    pub(crate) all_paused: bool,
    pub(crate) is_stopping: bool,
    /// Until when the wall clock ran before each time it was set back, and from where it went on.
    pub(crate) set_back: Vec<(i64, i64)>,
    /// When something was done that moves waiting runs about.
    pub(crate) disturbed: Vec<i64>,
    pub(crate) cancelled: HashMap<RunId, i64>,
    pub(crate) beside: HashSet<RunId>,
    pub(crate) violations: Vec<String>,
    pub(crate) transcript: String,
}

/// A task, and which of its schedules counted when.
#[derive(Default)]
pub(crate) struct TaskSeen {
    pub(crate) versions: Vec<Version>,
    pub(crate) is_registered: bool,
    /// Whether it was ever taken out.
    pub(crate) was_removed: bool,
    pub(crate) is_paused: bool,
    runs: u64,
    pub(crate) scheduled_runs: u64,
    /// When its last scheduled run ended, at the earliest: from there a fixed delay counts.
    last_end: Option<i64>,
}

/// A schedule that counted from an instant on.
pub(crate) struct Version {
    pub(crate) calendar: Calendar,
    /// The wall clock when it was asked for and when that was answered: it counts from an instant between.
    pub(crate) asked: i64,
    pub(crate) answered: i64,
    /// The latest instant that the clock had shown by the answer.
    latest: i64,
}

pub(crate) struct RunSeen {
    pub(crate) task: usize,
    pub(crate) origin: Origin,
    number: u64,
    pub(crate) attempts: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) seq: usize,
    /// Milliseconds that have passed.
    pub(crate) passed: i64,
    pub(crate) wall: i64,
}

pub(crate) struct Attempt {
    pub(crate) task: usize,
    pub(crate) run: RunId,
    pub(crate) number: u32,
    pub(crate) began: Moment,
    pub(crate) ended: Option<(Moment, How)>,
    /// Cut short by a stop, and so given back.
    pub(crate) is_abandoned: bool,
}

/// An attempt that goes on; dropped without having ended, it was cut short.
pub(crate) struct Going {
    journal: Journal,
    attempt: usize,
    act: Act,
    how: How,
}

impl Attempted for Going {
    fn act(&self) -> Act {
        self.act
    }

    fn end(mut self, how: How) {
        self.how = how;
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.journal.see().end(self.attempt, self.how);
    }
}

impl Journal {
    pub(crate) fn new(scenario: Arc<Scenario>) -> Self {
        let tasks = scenario.tasks.iter().map(|_| TaskSeen::default()).collect();
        Self(Arc::new(Mutex::new(Seen {
            scenario,
            began: None,
            stepped: 0,
            seq: 0,
            tasks,
            runs: BTreeMap::new(),
            attempts: Vec::new(),
            keys: HashMap::new(),
            executing: 0,
            executing_of_group: 0,
            backfills: HashMap::new(),
            all_paused: false,
            is_stopping: false,
            set_back: Vec::new(),
            disturbed: Vec::new(),
            cancelled: HashMap::new(),
            beside: HashSet::new(),
            violations: Vec::new(),
            transcript: String::new(),
        })))
    }

    pub(crate) fn see(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, task: usize, run: &RunContext) -> Going {
        let (attempt, act) = self.see().begin(task, run);
        Going { journal: self.clone(), attempt, act, how: How::Dropped }
    }
}

impl Seen {
    /// A scheduler starts, the first or another.
    pub(crate) fn start(&mut self) {
        self.began.get_or_insert_with(Instant::now);
        self.is_stopping = false;
    }

    /// The virtual present, as the contract's clocks show it.
    pub(crate) fn now(&self) -> Moment {
        let passed = self.began.map_or(0, |began| i64::try_from(began.elapsed().as_millis()).expect("a short test"));
        Moment { seq: self.seq, passed, wall: self.scenario.begins_at + passed + self.stepped }
    }

    pub(crate) fn note(&mut self, what: impl std::fmt::Display) {
        let now = self.now();
        writeln!(self.transcript, "{} {} {what}", now.passed, now.wall).expect("writing into a String cannot fail");
    }

    pub(crate) fn violation(&mut self, what: impl std::fmt::Display) {
        let now = self.now();
        self.note(format_args!("VIOLATION {what}"));
        self.violations.push(format!("at {} ms (wall {}): {what}", now.passed, super::calendar::utc(now.wall)));
    }

    pub(crate) fn step_clock(&mut self, by: i64) {
        let before = self.now().wall;
        self.stepped += by;
        if by < 0 {
            self.set_back.push((before, before + by));
        }
    }

    /// The latest instant that the clock has shown.
    pub(crate) fn latest(&self) -> i64 {
        self.set_back.iter().map(|&(before, _)| before).max().unwrap_or(i64::MIN).max(self.now().wall)
    }

    /// A moment at which waiting runs may go back to the store.
    pub(crate) fn disturb(&mut self) {
        let now = self.now().passed;
        self.disturbed.push(now);
    }

    /// Another schedule counts, from now on or, until [`answered`](Self::answered), from a later instant.
    pub(crate) fn counts_from(&mut self, task: usize, calendar: Calendar) {
        let now = self.now().wall;
        self.tasks[task].versions.push(Version { calendar, asked: now, answered: now, latest: i64::MAX });
        self.answered(task);
    }

    /// The latest schedule of the task counts at last.
    pub(crate) fn answered(&mut self, task: usize) {
        let (now, latest) = (self.now().wall, self.latest());
        if let Some(version) = self.tasks[task].versions.last_mut() {
            (version.answered, version.latest) = (now, latest);
        }
    }

    /// A schedule that was asked for may count already.
    pub(crate) fn may_count(&mut self, task: usize, calendar: Calendar) {
        self.counts_from(task, calendar);
        self.tasks[task].versions.last_mut().expect("it was added").latest = i64::MAX;
    }

    fn begin(&mut self, task: usize, run: &RunContext) -> (usize, Act) {
        let scenario = Arc::clone(&self.scenario);
        let spec = &scenario.tasks[task];
        let (id, origin, at) = (run.run_id(), run.origin(), run.scheduled_at().timestamp_millis());
        self.seq += 1;
        let now = self.now();
        self.note(format_args!("{} begins {id} {origin} {at} attempt {}", spec.name, run.attempt()));
        self.check_key(task, id, origin, at);
        if !self.runs.contains_key(&id) {
            self.tasks[task].runs += 1;
            let number = self.tasks[task].runs;
            self.runs.insert(id, RunSeen { task, origin, number, attempts: Vec::new() });
            if origin == Origin::Schedule {
                self.check_occurrence(task, spec, run, now);
            }
        }
        self.check_may_go_on(task, spec, run);
        self.check_attempt(spec, id, run.attempt(), now);
        self.check_backfill(origin, at, id);
        self.executing += 1;
        self.executing_of_group += usize::from(spec.in_group);
        let (executing, of_group) = (self.executing, self.executing_of_group);
        if executing > scenario.max_workers {
            self.violation(format_args!("{executing} bodies execute, on {} workers", scenario.max_workers));
        }
        if of_group > scenario.group_max as usize {
            self.violation(format_args!("{of_group} bodies of the group execute"));
        }
        let index = self.attempts.len();
        let number = run.attempt();
        self.attempts.push(Attempt { task, run: id, number, began: now, ended: None, is_abandoned: false });
        let seen = self.runs.get_mut(&id).expect("it was added");
        seen.attempts.push(index);
        let seed = scenario.seed ^ (task as u64) << 48 ^ seen.number << 16 ^ u64::from(number);
        (index, Act::draw(&mut Rng::with_seed(seed), spec.body))
    }

    /// One run for one key, and one key for one run.
    fn check_key(&mut self, task: usize, id: RunId, origin: Origin, at: i64) {
        let known = *self.keys.entry((task, origin, at)).or_insert(id);
        if known != id {
            self.violation(format_args!("task {task}: runs {known} and {id} are both of {origin} {at}"));
        }
        if self.runs.get(&id).is_some_and(|run| (run.task, run.origin) != (task, origin)) {
            self.violation(format_args!("two runs are called {id}"));
        }
    }

    fn check_occurrence(&mut self, task: usize, spec: &TaskSpec, run: &RunContext, now: Moment) {
        let (id, at) = (run.run_id(), run.scheduled_at().timestamp_millis());
        let made_at = made_at(id);
        if made_at < at {
            self.violation(format_args!("{}: {id} was made before {at}, its instant", spec.name));
        }
        // It was decided upon when it was due; if it begins earlier on the wall clock, that was set back meanwhile.
        if now.wall < at && !self.set_back.iter().any(|&(before, _)| before >= made_at) {
            self.violation(format_args!("{}: {id} of {at} begins early", spec.name));
        }
        let seen = &mut self.tasks[task];
        seen.scheduled_runs += 1;
        if spec.max_runs.is_some_and(|max| seen.scheduled_runs > max) {
            let runs = seen.scheduled_runs;
            self.violation(format_args!("{}: {runs} runs, and {:?} may be", spec.name, spec.max_runs));
        }
        self.check_counted(task, spec, at, made_at);
    }

    fn check_counted(&mut self, task: usize, spec: &TaskSpec, at: i64, made_at: i64) {
        let seen = &self.tasks[task];
        let versions = &seen.versions;
        let counted = |number: usize, version: &Version| {
            let is_first = number == 0;
            // The one instant of a task may be past when it is first seen, and a delay counts from an end, whatever the
            // clock has shown at its registration.
            let is_free = is_first && matches!(version.calendar.rule, Rule::Once(_))
                || version.calendar.is_delay() && !self.set_back.is_empty();
            let has_begun = at > version.asked || is_free;
            let is_over = versions.get(number + 1).is_some_and(|next| at > next.latest);
            has_begun && !is_over && (version.calendar.is_delay() || version.calendar.includes(at))
        };
        if !versions.iter().enumerate().any(|(number, version)| counted(number, version)) {
            self.violation(format_args!("{}: {at} is no occurrence of a schedule that counts", spec.name));
            return;
        }
        if versions.last().is_some_and(|version| version.calendar.is_delay()) {
            // A run that waits was accepted by the period that counted then.
            let periods = versions.iter().map(|version| match version.calendar.rule {
                Rule::Delay(period) => period,
                _ => 0,
            });
            let from = seen.last_end.zip(periods.min()).map(|(end, period)| end + period);
            if self.set_back.is_empty() && from.is_some_and(|from| at < from) {
                self.violation(format_args!("{}: {at} is less than a period after the last end: {from:?}", spec.name));
            }
            return;
        }
        let late = made_at - at - spec.jitter;
        let first_is_once = matches!(spec.rule, Rule::Once(_));
        let too_late = match (spec.misfire, spec.catch_up) {
            (Some(Misfire::Skip), _) => late > MISFIRE_GRACE,
            (_, Some(window)) => late > MISFIRE_GRACE.max(window),
            _ => false,
        };
        if too_late && !first_is_once {
            self.violation(format_args!("{}: {at} was accepted {late} ms late", spec.name));
        }
    }

    /// Nothing that a pause, a removal or a cancellation holds back begins.
    fn check_may_go_on(&mut self, task: usize, spec: &TaskSpec, run: &RunContext) {
        let (id, seen) = (run.run_id(), &self.tasks[task]);
        let is_held_back = matches!(run.origin(), Origin::Schedule | Origin::Start);
        if is_held_back && (seen.is_paused || self.all_paused) {
            self.violation(format_args!("{}: {id} begins in a pause", spec.name));
        }
        if !self.tasks[task].is_registered {
            self.violation(format_args!("{}: {id} begins after its task was unregistered", spec.name));
        }
        if self.cancelled.contains_key(&id) {
            self.violation(format_args!("{}: {id} begins after it was cancelled", spec.name));
        }
    }

    fn check_attempt(&mut self, spec: &TaskSpec, id: RunId, number: u32, now: Moment) {
        let of_run = &self.runs[&id].attempts;
        let Some(&last) = of_run.last() else {
            if number != 1 {
                self.violation(format_args!("{}: {id} begins with attempt {number}", spec.name));
            }
            return;
        };
        let failed = of_run.iter().filter(|&&attempt| !self.attempts[attempt].is_abandoned).count();
        let failed = u32::try_from(failed).expect("few attempts");
        let last = &self.attempts[last];
        let (last_number, began, is_abandoned) = (last.number, last.began, last.is_abandoned);
        let Some((ended, how)) = last.ended else {
            self.violation(format_args!("{}: two attempts of {id} at once", spec.name));
            return;
        };
        if number != last_number + 1 {
            self.violation(format_args!("{}: attempt {number} of {id} follows {last_number}", spec.name));
        }
        let tries = spec.tries();
        if failed >= tries.max && !is_abandoned || spec.at_most_once {
            self.violation(format_args!("{}: {id} has one attempt more than it may", spec.name));
        }
        if is_abandoned {
            return;
        }
        let took = ended.passed - began.passed;
        let is_timed_out = spec.timeout.is_some_and(|timeout| took >= timeout);
        let wait = match how {
            How::Succeeded | How::FailedForGood if !is_timed_out => {
                self.violation(format_args!("{}: {id} is tried again after {how:?}", spec.name));
                return;
            }
            How::FailedUntil(wait) if !is_timed_out => wait,
            _ => tries.wait_at_least(failed),
        };
        let is_set_back = self.set_back.iter().any(|&(before, _)| before >= began.wall);
        if !is_set_back && now.wall < began.wall + took + wait - 1 {
            self.violation(format_args!("{}: {id} is tried again before its wait of {wait} ms", spec.name));
        }
    }

    /// Runs of a backfill come one after another, the oldest first.
    fn check_backfill(&mut self, origin: Origin, at: i64, id: RunId) {
        let Origin::Backfill(backfill) = origin else { return };
        let is_first = self.runs[&id].attempts.is_empty();
        let (executing, last) = self.backfills.entry(backfill).or_insert((0, i64::MIN));
        *executing += 1;
        let (executing, last_at) = (*executing, *last);
        *last = at.max(*last);
        if executing > 1 {
            self.violation(format_args!("{executing} runs of backfill {backfill} execute"));
        }
        if is_first && at < last_at {
            self.violation(format_args!("backfill {backfill} runs {at} after {last_at}"));
        }
    }

    fn end(&mut self, index: usize, how: How) {
        self.seq += 1;
        let now = self.now();
        let scenario = Arc::clone(&self.scenario);
        let attempt = &mut self.attempts[index];
        attempt.ended = Some((now, how));
        attempt.is_abandoned = how == How::Dropped && self.is_stopping;
        let (task, id, began) = (attempt.task, attempt.run, attempt.began);
        let spec = &scenario.tasks[task];
        self.note(format_args!("{} ends {id} {how:?}", spec.name));
        self.executing -= 1;
        self.executing_of_group -= usize::from(spec.in_group);
        let origin = self.runs[&id].origin;
        if let Origin::Backfill(backfill) = origin {
            self.backfills.entry(backfill).or_default().0 -= 1;
        }
        let took = now.passed - began.passed;
        if spec.timeout.is_some_and(|timeout| took > timeout + CANCEL_GRACE + ROUNDING) {
            self.violation(format_args!(
                "{}: an attempt of {id} took {took} ms, its timeout notwithstanding",
                spec.name
            ));
        }
        if self.cancelled.get(&id).is_some_and(|&at| now.passed > at + CANCEL_GRACE + ROUNDING) {
            self.violation(format_args!(
                "{}: {id} goes on for longer than the grace after it was cancelled",
                spec.name
            ));
        }
        if origin == Origin::Schedule {
            self.tasks[task].last_end = Some(began.wall + took - 1);
        }
    }
}

/// The instant in the id of a run, which is that of the decision to fire.
pub(crate) fn made_at(id: RunId) -> i64 {
    let (seconds, nanos) = id.as_uuid().get_timestamp().expect("version 7 has a time").to_unix();
    i64::try_from(seconds).expect("a time of this age") * 1_000 + i64::from(nanos / 1_000_000)
}
