//! What one seed means: how many nodes there are, their tasks in two versions, and which troubles come.

use std::time::Duration;

use fastrand::Rng;
use symphra_scheduler::chrono_tz::Tz;
use symphra_scheduler::{HistoryConfig, Misfire, Overlap, SchedulerConfig};

use super::super::calendar::{Calendar, Rule};
use super::super::scenario::{BodySpec, GROUP, TaskSpec, Tries, millis, one_in};

/// The shortest that a program may ask for.
pub(crate) const LEASE: i64 = 10_000;

/// 2026-06-01T00:00:00Z.
const BEGINS_AT: i64 = 1_780_272_000_000;

/// Later than any seed goes on.
const NEVER: i64 = BEGINS_AT + 1_000 * 24 * 3_600_000;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) begins_at: i64,
    /// The end of the window of all drawn tasks: afterwards they come to rest.
    pub(crate) ends_at: i64,
    /// The drawn ones, and then one of each other [kind](Kind).
    pub(crate) tasks: Vec<TaskSpec>,
    /// What the other version of the program declares, where it declares something else.
    other: Vec<Option<Rule>>,
    pub(crate) nodes: usize,
    pub(crate) max_workers: usize,
    queue_size: usize,
    pub(crate) group_max: u32,
    pub(crate) troubles: Vec<Trouble>,
}

/// What may be wrong in a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// Nodes are killed.
    Kills,
    /// Nodes stand still.
    Freezes,
    /// A node is cut off from the store.
    Cuts,
    /// The store is away, for all.
    StoreAway,
    /// Calls are refused, lose their answers or are slow.
    Calls,
    /// Heartbeats are refused, while other calls get through.
    BeatsRefused,
    /// Heartbeats lose their answers.
    BeatsUnanswered,
    /// Notices come late.
    NoticesLate,
    /// The clocks of nodes are wrong, and are set.
    Clocks,
    /// Nodes stop as they should.
    Stops,
    /// Nodes have some of the tasks, in one of two versions.
    Versions,
    /// Operators pause, cancel and reschedule.
    Operators,
}

const TROUBLES: [Trouble; 12] = [
    Trouble::Kills,
    Trouble::Freezes,
    Trouble::Cuts,
    Trouble::StoreAway,
    Trouble::Calls,
    Trouble::BeatsRefused,
    Trouble::BeatsUnanswered,
    Trouble::NoticesLate,
    Trouble::Clocks,
    Trouble::Stops,
    Trouble::Versions,
    Trouble::Operators,
];

/// What a task is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Drawn,
    /// Fires each second, for ever: what goes on when all is well again.
    Tick,
    /// Is triggered when all is well again.
    Probe,
    /// The same, and goes on until it is cancelled.
    Sleeper,
    /// Is enqueued with arguments.
    Job,
}

/// The kinds that are there in each seed, in the order in which they follow the drawn tasks.
const OTHERS: [(Kind, &str); 4] =
    [(Kind::Tick, "tick"), (Kind::Probe, "probe"), (Kind::Sleeper, "sleeper"), (Kind::Job, "job")];

impl World {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let begins_at = BEGINS_AT + random.i64(0..1_000);
        let ends_at = begins_at + random.i64(120_000..300_000);
        let drawn = random.usize(1..6);
        let mut tasks: Vec<TaskSpec> =
            (0..drawn).map(|number| draw_task(&mut random, number, begins_at, ends_at)).collect();
        let other = tasks.iter().map(|task| match task.rule {
            Rule::Every(period) => Some(Rule::Every(if random.bool() { period * 2 } else { period / 2 + 500 })),
            _ => None,
        });
        let other = other.collect();
        tasks.extend(OTHERS.map(|(kind, name)| {
            let never = TaskSpec { overlap: Some(Overlap::Allow), ..TaskSpec::plain(name, Rule::Once(NEVER)) };
            let body = BodySpec { duration_max: 900, failures: 20, ignores_cancellation: false };
            match kind {
                Kind::Tick => TaskSpec::plain(name, Rule::Every(1_000)),
                Kind::Sleeper => TaskSpec { overlap: None, ..never },
                Kind::Job => TaskSpec { body, ..never },
                _ => never,
            }
        }));
        let troubles = TROUBLES.into_iter().filter(|_| random.bool()).collect();
        Self {
            seed,
            begins_at,
            ends_at,
            tasks,
            other,
            nodes: random.usize(2..5),
            max_workers: random.usize(2..8),
            queue_size: random.usize(1..20),
            group_max: random.u32(1..3),
            troubles,
        }
    }

    pub(crate) fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    pub(crate) fn kind(&self, task: usize) -> Kind {
        let drawn = self.tasks.len() - OTHERS.len();
        task.checked_sub(drawn).map_or(Kind::Drawn, |place| OTHERS[place].0)
    }

    /// The task of a kind of which there is one.
    pub(crate) fn of(&self, kind: Kind) -> usize {
        (0..self.tasks.len()).find(|&task| self.kind(task) == kind).expect("there is one of each")
    }

    /// What a version of the program declares.
    pub(crate) fn rule(&self, task: usize, version: Version) -> Rule {
        let other = self.other.get(task).copied().flatten().filter(|_| version == Version::Other);
        other.unwrap_or(self.tasks[task].rule)
    }

    /// Whether two versions of the program declare the task otherwise.
    pub(crate) fn differ(&self, task: usize, one: Version, other: Version) -> bool {
        // Both may have been drawn alike.
        self.rule(task, one) != self.rule(task, other)
    }

    pub(crate) fn calendar(&self, task: usize, rule: Rule, registered: i64) -> Calendar {
        Calendar { rule, ..self.tasks[task].calendar(registered) }
    }

    pub(crate) fn config(&self, node: &str) -> SchedulerConfig {
        // So that no run of a seed is pruned.
        let history = HistoryConfig::new().runs(100_000).failures(100_000);
        let config = SchedulerConfig::new().max_workers(self.max_workers).queue_size(self.queue_size);
        config.group(GROUP, self.group_max).lease(millis(LEASE)).node(node).history(history)
    }
}

/// Which version of the program a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Other,
}

/// A task that comes to rest soon after its window.
fn draw_task(random: &mut Rng, number: usize, begins_at: i64, ends_at: i64) -> TaskSpec {
    let task = TaskSpec::draw(random, number, begins_at, Tz::UTC);
    let is_seldom = matches!(task.rule, Rule::Cron(_)) && task.calendar(begins_at).count(begins_at, ends_at) < 5;
    let rule = match task.rule {
        _ if is_seldom => Rule::Every(random.i64(2_000..30_000)),
        Rule::Once(at) => Rule::Once(at.min(ends_at)),
        rule => rule,
    };
    let is_once = matches!(rule, Rule::Once(_));
    let waits = task.overlap == Some(Overlap::BufferAll) || task.misfire == Some(Misfire::RunAll);
    let tries = Tries::fixed(random.u32(1..5), random.i64(200..4_000));
    TaskSpec {
        rule,
        start: task.start.filter(|_| !is_once),
        end: (!is_once).then_some(ends_at),
        except: task.except.filter(|_| !is_seldom),
        retry: (!task.at_most_once && random.bool()).then_some(tries),
        run_on_start: false,
        disabled: false,
        body: BodySpec {
            duration_max: if waits { 300 } else { *random.choice(&[0, 50, 3_000, 12_000, 25_000]).expect("some") },
            failures: if one_in(random, 2) { 0 } else { 25 },
            ..task.body
        },
        ..task
    }
}

/// How long after its window a task may have something to do at the latest, if nothing waits for it.
pub(crate) const RESTS_AFTER: Duration = Duration::from_secs(30);
