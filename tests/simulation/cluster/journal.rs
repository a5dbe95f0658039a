//! What happens in a cluster, as the bodies see it, whichever node they run on. What breaks a promise is noted at once, and
//! the seed fails with it. Nothing here asks the scheduler or its store.
//!
//! Instants are milliseconds of the store's clock, which nobody sets.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use symphra_scheduler::{Misfire, Origin, RunContext, RunId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::body::{Act, Attempted, How};
use super::super::calendar::Calendar;
use super::super::journal::made_at;
use super::super::scenario::TaskSpec;
use super::contact::{Contact, Fate};
use super::world::World;

/// How late an occurrence may be accepted as itself: the default of `misfire_grace`.
const MISFIRE_GRACE: i64 = 1_000;

/// By how much a node may be wrong about the store's clock until it asks again: steps of its own that are too small to be
/// noticed add up. What it records may be ahead by so much; runs may not.
pub(crate) const CLOCK_SLACK: i64 = 60;

/// A body may take so long to end after it was asked to.
const CANCEL_GRACE: i64 = 5_000;

/// What is told at once arrives within this.
const AT_ONCE: i64 = 50;

#[derive(Clone)]
pub(crate) struct Journal(Arc<Mutex<Seen>>);

/// What has been seen.
pub(crate) struct Seen {
    pub(crate) world: Arc<World>,
    began: Instant,
    pub(crate) nodes: Vec<NodeSeen>,
    pub(crate) tasks: Vec<TaskSeen>,
    pub(crate) runs: BTreeMap<RunId, RunSeen>,
    pub(crate) attempts: Vec<Attempt>,
    /// Those that have not ended, on nodes that were not killed.
    open: Vec<usize>,
    keys: HashMap<(usize, Origin, i64), RunId>,
    /// The runs that somebody was promised.
    pub(crate) accepted: Vec<RunId>,
    /// The runs of which somebody was told that they are cancelled.
    pub(crate) cancelled: HashMap<RunId, i64>,
    pub(crate) violations: Vec<Violation>,
    /// Told of each violation.
    pub(crate) broken: Arc<Notify>,
    pub(crate) transcript: String,
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) promise: &'static str,
    pub(crate) says: String,
}

pub(crate) struct NodeSeen {
    pub(crate) contact: Contact,
    pub(crate) knows: Vec<bool>,
}

#[derive(Default)]
pub(crate) struct TaskSeen {
    /// Which occurrences have counted from when on.
    pub(crate) versions: Vec<(i64, Calendar)>,
    /// When it was paused, and until when.
    pauses: Vec<(i64, i64)>,
    scheduled_runs: u64,
}

pub(crate) struct RunSeen {
    pub(crate) attempts: Vec<usize>,
}

pub(crate) struct Attempt {
    pub(crate) task: usize,
    pub(crate) run: RunId,
    pub(crate) node: usize,
    pub(crate) number: u32,
    pub(crate) began: i64,
    /// `None` also if its node was killed.
    pub(crate) ended: Option<(i64, How)>,
}

/// An attempt that goes on.
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
    pub(crate) fn new(world: Arc<World>) -> Self {
        let tasks = world.tasks.iter().map(|_| TaskSeen::default()).collect();
        Self(Arc::new(Mutex::new(Seen {
            world,
            began: Instant::now(),
            nodes: Vec::new(),
            tasks,
            runs: BTreeMap::new(),
            attempts: Vec::new(),
            open: Vec::new(),
            keys: HashMap::new(),
            accepted: Vec::new(),
            cancelled: HashMap::new(),
            violations: Vec::new(),
            broken: Arc::default(),
            transcript: String::new(),
        })))
    }

    pub(crate) fn see(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, node: usize, task: usize, run: &RunContext) -> Going {
        let (attempt, act) = self.see().begin(node, task, run);
        Going { journal: self.clone(), attempt, act, how: How::Dropped }
    }
}

impl Seen {
    /// The cluster begins now.
    pub(crate) fn start(&mut self) {
        self.began = Instant::now();
    }

    /// What the store's clock shows.
    pub(crate) fn now(&self) -> i64 {
        self.world.begins_at + i64::try_from(self.began.elapsed().as_millis()).expect("a short test")
    }

    pub(crate) fn note(&mut self, what: impl std::fmt::Display) {
        let passed = self.now() - self.world.begins_at;
        writeln!(self.transcript, "{passed} {what}").expect("writing into a String cannot fail");
    }

    /// `promise` names what was promised, in the same words each time.
    pub(crate) fn violation(&mut self, promise: &'static str, what: impl std::fmt::Display) {
        let passed = self.now() - self.world.begins_at;
        self.note(format_args!("VIOLATION {promise}: {what}"));
        self.broken.notify_one();
        self.violations.push(Violation { promise, says: format!("{promise}: at {passed} ms: {what}") });
    }

    /// Another schedule counts from now on.
    pub(crate) fn counts_from_now(&mut self, task: usize, calendar: Calendar) {
        let now = self.now();
        self.tasks[task].versions.push((now, calendar));
    }

    /// From now on the task is paused, or not any more.
    pub(crate) fn pause(&mut self, task: usize, is_paused: bool) {
        let now = self.now();
        let pauses = &mut self.tasks[task].pauses;
        match pauses.last_mut() {
            Some((_, until)) if *until == i64::MAX => *until = if is_paused { i64::MAX } else { now },
            _ if is_paused => pauses.push((now, i64::MAX)),
            _ => {}
        }
    }

    /// None of the dead's attempts goes on.
    pub(crate) fn is_killed(&mut self, node: usize) {
        self.nodes[node].contact.fate = Fate::Killed;
        let attempts = &self.attempts;
        self.open.retain(|&open| attempts[open].node != node);
    }

    /// Whether the node may have lost what it had begun at `since`.
    fn may_have_lost(&self, node: usize, since: i64) -> bool {
        self.nodes[node].contact.may_have_lost(since, self.now())
    }

    /// Whether some node may have taken over what this attempt was about, so that it is executed again.
    fn may_be_taken_over(&self, attempt: &Attempt) -> bool {
        let (victim, now) = (&self.nodes[attempt.node].contact, self.now());
        let mut others = self.nodes.iter().enumerate().filter(|&(heir, _)| heir != attempt.node);
        others.any(|(_, heir)| heir.contact.may_take_over(victim, attempt.began, now))
    }

    /// The attempts that execute on nodes which surely hold their runs.
    pub(crate) fn executing(&self) -> impl Iterator<Item = &Attempt> {
        let open = self.open.iter().map(|&attempt| &self.attempts[attempt]);
        open.filter(|attempt| !self.may_have_lost(attempt.node, attempt.began))
    }

    fn begin(&mut self, node: usize, task: usize, run: &RunContext) -> (usize, Act) {
        let world = Arc::clone(&self.world);
        let spec = &world.tasks[task];
        let (id, origin, at) = (run.run_id(), run.origin(), run.scheduled_at().timestamp_millis());
        let number = run.attempt();
        self.note(format_args!("n{node}: {} begins {id} {origin} {at} attempt {number}", spec.name));
        let is_new = !self.runs.contains_key(&id);
        self.runs.entry(id).or_insert(RunSeen { attempts: Vec::new() });
        self.check_place(node, task, spec, id);
        self.check_key(task, spec, id, origin, at);
        if origin == Origin::Schedule {
            self.check_occurrence(task, spec, id, at, is_new);
        }
        self.check_attempt(spec, id, number);
        let index = self.attempts.len();
        let began = self.now();
        self.attempts.push(Attempt { task, run: id, node, number, began, ended: None });
        self.open.push(index);
        self.runs.get_mut(&id).expect("it was added").attempts.push(index);
        self.check_room(node, task, spec);
        let seed = world.seed ^ (task as u64) << 48 ^ at.unsigned_abs() << 8 ^ u64::from(number);
        (index, Act::draw(&mut Rng::with_seed(seed), spec.body))
    }

    /// It begins where it may.
    fn check_place(&mut self, node: usize, task: usize, spec: &TaskSpec, id: RunId) {
        let (now, seen) = (self.now(), &self.nodes[node]);
        let (is_dead, is_known) = (seen.contact.fate == Fate::Killed, seen.knows[task]);
        if is_dead {
            self.violation("the dead do nothing", format_args!("{id} begins on n{node}"));
        }
        if !is_known {
            self.violation("a node has only its own tasks", format_args!("{} on n{node}", spec.name));
        }
        let cancelled = self.cancelled.get(&id).copied();
        if cancelled.is_some_and(|at| now > at + AT_ONCE && self.nodes[node].contact.is_well_since(at)) {
            self.violation("what is cancelled does not begin", format_args!("{}: {id}", spec.name));
        }
    }

    /// One run for one key, and one key for one run.
    fn check_key(&mut self, task: usize, spec: &TaskSpec, id: RunId, origin: Origin, at: i64) {
        let known = *self.keys.entry((task, origin, at)).or_insert(id);
        if known != id {
            let name = &spec.name;
            self.violation("one run for one occurrence", format_args!("{name} of {at}: {known} and {id}"));
        }
        if let Origin::Trigger(own) | Origin::Job(own) = origin
            && own != id
        {
            self.violation("one run for one trigger", format_args!("{}: {own} and {id}", spec.name));
        }
    }

    fn check_occurrence(&mut self, task: usize, spec: &TaskSpec, id: RunId, at: i64, is_new: bool) {
        let (now, name) = (self.now(), &spec.name);
        if now < at {
            self.violation("never early", format_args!("{name}: {id} of {at} begins {} ms early", at - now));
        }
        if !is_occurrence(&self.tasks[task], at) {
            self.violation("only occurrences become runs", format_args!("{name}: {at} is none"));
        }
        // What has a fixed delay is never missed, only late.
        let is_delay = self.tasks[task].versions.iter().any(|(_, calendar)| calendar.is_delay());
        if !is_delay && self.tasks[task].pauses.iter().any(|&(from, until)| from < at && at + spec.jitter < until) {
            self.violation("nothing becomes a run in a pause", format_args!("{name}: {id} of {at}"));
        }
        if !is_new {
            return;
        }
        self.tasks[task].scheduled_runs += 1;
        let runs = self.tasks[task].scheduled_runs;
        if spec.max_runs.is_some_and(|max| runs > max) {
            self.violation("as many runs as may be", format_args!("{name}: {runs} of {:?}", spec.max_runs));
        }
        let late = made_at(id) - at - spec.jitter - CLOCK_SLACK;
        let is_first = self.tasks[task].versions.first().is_some_and(|&(since, _)| at <= since);
        let is_too_late = match (spec.misfire, spec.catch_up) {
            (Some(Misfire::Skip), _) => late > MISFIRE_GRACE,
            (_, Some(window)) => late > MISFIRE_GRACE.max(window),
            _ => false,
        };
        if is_too_late && !is_first && !is_delay {
            self.violation("what is too late does not run", format_args!("{name}: {at} was {late} ms late"));
        }
    }

    /// An attempt follows one that has failed, or whose node may have lost its run.
    fn check_attempt(&mut self, spec: &TaskSpec, id: RunId, number: u32) {
        let of_run: Vec<&Attempt> = self.runs[&id].attempts.iter().map(|&attempt| &self.attempts[attempt]).collect();
        let Some(&last) = of_run.last() else { return };
        let (name, now) = (&spec.name, self.now());
        let (last_number, last_node) = (last.number, last.node);
        let is_taken_over = self.may_be_taken_over(last);
        let is_given_back = self.is_given_back(last);
        // Whose end the store may not know.
        let lost = of_run.iter().filter(|attempt| self.may_be_taken_over(attempt) || self.is_given_back(attempt));
        let (lost, begun) = (lost.count(), of_run.len());
        let mut wrong = Vec::new();
        if number <= last_number {
            wrong.push(("attempts are counted", format!("attempt {number} of {id} follows {last_number}")));
        }
        if spec.at_most_once {
            wrong.push(("at most once", format!("attempt {number} of {id} follows {last_number}")));
        } else if begun - lost.min(begun) >= spec.tries().max as usize {
            wrong.push(("as many attempts as may be", format!("{id} has had {begun}, {lost} of them lost")));
        }
        let is_again = is_taken_over || is_given_back;
        match last.ended {
            _ if is_again => {}
            None => wrong.push(("one holder", format!("{id} is executed by n{last_node}, which is in contact"))),
            Some((ended, how)) => {
                let is_timed_out = spec.timeout.is_some_and(|timeout| ended - last.began >= timeout);
                let wait = match how {
                    How::FailedUntil(wait) if !is_timed_out => Some(wait),
                    How::Failed | How::Panicked => Some(spec.tries().wait_at_least(1)),
                    _ if is_timed_out => Some(spec.tries().wait_at_least(1)),
                    _ => None,
                };
                match wait {
                    None => wrong.push(("done once", format!("{id} again after {how:?} on n{last_node}"))),
                    Some(wait) if now + CLOCK_SLACK < ended + wait => {
                        wrong.push(("retried after its wait", format!("{id}, {} ms early", ended + wait - now)));
                    }
                    Some(_) => {}
                }
            }
        }
        for (promise, what) in wrong {
            self.violation(promise, format_args!("{name}: {what}"));
        }
    }

    /// Whether a stop has cut it short, so that it went back to the queue.
    fn is_given_back(&self, attempt: &Attempt) -> bool {
        let (Fate::Stops(from) | Fate::Stopped(from)) = self.nodes[attempt.node].contact.fate else { return false };
        attempt.ended.is_some_and(|(ended, how)| how == How::Dropped && ended >= from)
    }

    /// No more execute at once than may.
    fn check_room(&mut self, node: usize, task: usize, spec: &TaskSpec) {
        let mut of_task: Vec<RunId> = Vec::new();
        let (mut of_group, mut of_node) = (0, 0);
        for attempt in self.executing() {
            of_group += usize::from(self.world.tasks[attempt.task].in_group);
            of_node += usize::from(attempt.node == node);
            if attempt.task == task && !of_task.contains(&attempt.run) {
                of_task.push(attempt.run);
            }
        }
        let (of_task, world) = (of_task.len(), Arc::clone(&self.world));
        if spec.alive_max().is_some_and(|max| of_task > max) {
            self.violation("as many at once as may be", format_args!("{}: {of_task} execute", spec.name));
        }
        if spec.in_group && of_group > world.group_max as usize {
            self.violation("as many of a group at once as may be", format_args!("{of_group} execute"));
        }
        if of_node > world.max_workers {
            self.violation("as many on a node at once as it has workers", format_args!("n{node}: {of_node} execute"));
        }
    }

    fn end(&mut self, index: usize, how: How) {
        let (now, world) = (self.now(), Arc::clone(&self.world));
        self.open.retain(|&open| open != index);
        let attempt = &mut self.attempts[index];
        let (id, node, spec) = (attempt.run, attempt.node, &world.tasks[attempt.task]);
        if self.nodes[node].contact.fate == Fate::Killed {
            return;
        }
        attempt.ended = Some((now, how));
        self.note(format_args!("n{node}: {} ends {id} {how:?}", spec.name));
        let asked = self.cancelled.get(&id).copied();
        if asked.is_some_and(|at| now > at + CANCEL_GRACE + AT_ONCE && self.nodes[node].contact.is_well_since(at)) {
            self.violation("what is cancelled ends", format_args!("{}: {id} has gone on", spec.name));
        }
    }
}

/// Whether an instant lies where a schedule counted that has it.
fn is_occurrence(task: &TaskSeen, at: i64) -> bool {
    let until = |place: usize| task.versions.get(place + 1).map_or(i64::MAX, |&(since, _)| since);
    let mut versions = task.versions.iter().enumerate();
    versions.any(|(place, (since, calendar))| {
        // The one instant of a task may be past when it is first seen.
        let is_free = place == 0 && matches!(calendar.rule, super::super::calendar::Rule::Once(_));
        (at > *since || is_free) && at <= until(place) && (calendar.is_delay() || calendar.includes(at))
    })
}
