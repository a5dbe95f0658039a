//! The same calls make the same store, for an owner that folds as it goes and for the next, which begins with its image and reads
//! its records.
//!
//! That they do is so because the owner goes on with what becomes of its image: of one that does not, what is listed in vain as
//! something to claim is another, and with it what a call answers and which of two runs of one rank comes first.

use std::fmt::Write as _;

use chrono_tz::Tz;

use super::*;
use crate::TaskName;
use crate::backend::{Begin, Cancelled, End, Group, JobArguments, NewRun, Reason, TaskRules, Token, Unique};
use crate::outcome::Outcome;
use crate::run::{Missed, Origin, RunState};
use crate::schedule::{Delivery, Overlap, Schedule, Timetable};

const SEEDS: u64 = 30;
const CALLS: usize = 400;

/// No program reads arguments of this version.
const READS: u32 = 3;

#[test]
fn replay_makes_the_store_of_its_owner() {
    let seeds = match std::env::var("SYMPHRA_SEED") {
        Ok(seed) => vec![seed.parse().expect("SYMPHRA_SEED is a number")],
        Err(_) => (0..SEEDS).map(|_| fastrand::u64(..)).collect(),
    };
    for seed in seeds {
        World::new(seed).play();
    }
}

/// A run that somebody got.
struct Got {
    task: TaskKey,
    id: RunId,
    token: Token,
}

/// A store as its owner has it and as the next will, and what a caller knows of it.
struct World {
    seed: u64,
    random: fastrand::Rng,
    at: At,
    /// It makes the calls, and folds now and then.
    owner: Replica,
    /// It has read the last image, and the records after it.
    heir: Replica,
    tasks: Vec<TaskKey>,
    got: Vec<Got>,
    claims: u64,
    ids: u128,
    last: Vec<Call>,
    story: String,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: fastrand::Rng::with_seed(seed),
            at: At { now: Timestamp::from_millis(1_000_000), passed_ns: 1 },
            owner: Replica::new(),
            heir: Replica::new(),
            tasks: Vec::new(),
            got: Vec::new(),
            claims: 0,
            ids: 0,
            last: Vec::new(),
            story: String::new(),
        }
    }

    fn play(mut self) {
        for _ in 0..CALLS {
            let passed = self.random.u64(0..2_000);
            self.at.now = match self.random.u8(..) {
                // The next owner's clock may be behind.
                0 => self.at.now.minus(Duration::from_millis(passed)),
                _ => self.at.now.plus(Duration::from_millis(passed)),
            };
            self.at.passed_ns += passed * 1_000_000 + self.random.u64(0..1_000_000);
            let call = match self.random.usize(0..10) {
                0 if !self.last.is_empty() => {
                    let again = self.random.usize(0..self.last.len());
                    self.last[again].clone()
                }
                _ => self.call(),
            };
            self.make(call);
            if self.random.usize(0..40) == 0 {
                self.fold();
            }
        }
        self.fold();
    }

    fn told(&self) -> String {
        format!("SYMPHRA_SEED={}\n{}", self.seed, self.story)
    }

    fn make(&mut self, call: Call) {
        let json = serde_json::to_string(&(self.at, &call)).expect("it is written");
        _ = writeln!(self.story, "{json}");
        let answer = self.owner.call(&call, self.at);
        let (at, read): (At, Call) = serde_json::from_str(&json).expect("it is read");
        assert_eq!(in_order(&answer), in_order(&self.heir.call(&read, at)), "{}", self.told());
        self.learn(&call, answer);
        self.last.push(call);
        self.last.drain(..self.last.len().saturating_sub(8));
    }

    fn fold(&mut self) {
        assert_eq!(written(&self.owner), written(&self.heir), "{}", self.told());
        let lost = self.got.iter().map(|got| Holding { task: got.task, id: got.id, token: got.token });
        let lost = Question::Lost { held: lost.collect() };
        let states = vec![RunState::Queued, RunState::Running, RunState::Retrying];
        let alive = Question::RunsPage { query: RunQuery { states, ..RunQuery::default() } };
        let letters = Question::DeadLetters { query: LetterQuery::default(), after: None };
        let look = Question::Look { tasks: self.tasks.clone() };
        for question in [look, lost, alive, letters, Question::Nodes { after: None }] {
            let answers = [&self.owner, &self.heir].map(|replica| in_order(&replica.ask(&question, self.at)));
            assert_eq!(answers[0], answers[1], "{}", self.told());
        }
        if self.random.bool() {
            // The owner has died.
            std::mem::swap(&mut self.owner, &mut self.heir);
        }
        let parts = self.owner.image();
        let read = parts.iter().map(|part| serde_json::to_string(part).expect("it is written"));
        let read = read.map(|part| serde_json::from_str(&part).expect("it is read"));
        self.heir = Replica::of_image(read.collect());
        let before = std::mem::replace(&mut self.owner, Replica::new());
        self.owner = before.going_on_as(parts);
        _ = writeln!(self.story, "fold");
    }

    fn learn(&mut self, call: &Call, answer: Answer) {
        match (call, answer) {
            (Call::Register { .. }, Answer::Registered(registered)) => {
                for task in registered {
                    if !self.tasks.contains(&task.key) {
                        self.tasks.push(task.key);
                    }
                }
                self.tasks.sort_unstable();
            }
            (Call::Enqueue { firings, .. }, Answer::Admissions(admissions)) => {
                for (firing, admission) in firings.iter().zip(admissions) {
                    if let Admission::Claimed(hold) = admission {
                        self.got.push(Got { task: firing.task, id: firing.id, token: hold.token });
                    }
                }
            }
            (Call::Claim { .. }, Answer::Claims(claims)) => {
                self.got.extend(claims.runs.iter().map(|run| Got {
                    task: run.task,
                    id: run.id,
                    token: run.hold.token,
                }));
            }
            _ => {}
        }
        self.got.drain(..self.got.len().saturating_sub(40));
    }

    fn call(&mut self) -> Call {
        let holder = self.holder();
        match self.random.usize(0..35) {
            _ if self.tasks.is_empty() => self.register(holder),
            0..2 => self.register(holder),
            2 => {
                let version = self.random.u64(0..=self.owner.version());
                let task = self.task();
                Call::Unregister { holder, tasks: vec![crate::backend::Unregistration { task, version }] }
            }
            3..6 => Call::Heartbeat { holder },
            6..12 => self.enqueue(holder),
            12 => {
                let tasks: Vec<TaskKey> = self.tasks.clone();
                let reads = self.random.u32(0..READS);
                let jobs = tasks.iter().filter(|_| reads > 0).map(|&task| (task, reads)).collect();
                Call::Name { set: set(tasks.len(), reads), total: tasks.len(), told: 0, tasks, jobs }
            }
            13..17 => {
                self.claims += 1;
                let number = self.claims;
                // Seldom one that was told before there were as many.
                let least = if self.random.usize(0..4) == 0 { 1 } else { self.tasks.len() };
                let set = set(self.random.usize(least..=self.tasks.len()), self.random.u32(0..READS));
                Call::Claim { holder, number, set, max: self.random.usize(1..5) }
            }
            17..21 => self.finish(),
            21 => self.submit(),
            22 => Call::Control { command: self.command() },
            23 => Call::Cancel { run: self.run() },
            24 if self.random.bool() => Call::Leave { holder },
            24 => Call::Submit { submissions: Vec::new() },
            25..30 => self.enqueue_jobs(),
            30 => Call::RunAgain { letter: self.letter(), again: self.id() },
            31 => Call::DropLetter { letter: self.letter() },
            32 => Call::Note {
                action: NewAction {
                    actor: "somebody".into(),
                    task: None,
                    change: self.random.u64(..).to_string().into(),
                    outcome: "done".into(),
                },
            },
            _ => Call::EndUnclaimed { waited_ms: self.random.u64(0..600_000), max: 3 },
        }
    }

    fn holder(&mut self) -> Holder {
        let (node, lease) = [("a", 10), ("b", 12), ("c", 30)][self.random.usize(0..3)];
        Holder::new(node, Duration::from_secs(lease))
    }

    fn task(&mut self) -> TaskKey {
        self.tasks[self.random.usize(0..self.tasks.len())]
    }

    fn id(&mut self) -> RunId {
        self.ids += 1;
        RunId::from_parts(self.at.now, self.ids)
    }

    fn run(&mut self) -> RunId {
        match self.got.is_empty() {
            true => self.id(),
            false => self.got[self.random.usize(0..self.got.len())].id,
        }
    }

    fn timetable(&mut self) -> Arc<Timetable> {
        let schedule = Schedule::interval(Duration::from_secs(self.random.u64(1..4))).expect("a period");
        Arc::new(Timetable::new(schedule, Tz::UTC))
    }

    fn register(&mut self, holder: Holder) -> Call {
        let number = self.random.usize(0..6);
        let overlaps = [Overlap::Skip, Overlap::BufferOne, Overlap::BufferAll, Overlap::CancelRunning, Overlap::Allow];
        let groups = [None, Some(("g", 1)), Some(("h", 3))];
        let group = groups[number % 3].map(|(name, max)| Group { name: name.into(), max });
        let rules = TaskRules {
            alive_max: Some(1 + number as u32 % 2),
            overlap: overlaps[self.random.usize(0..overlaps.len())],
            delivery: if number == 1 { Delivery::AtMostOnce } else { Delivery::AtLeastOnce },
            priority: self.random.i8(-2..3),
            group,
            max_runs: (number == 2).then_some(9),
            pause_after: (number == 3).then_some(2),
            disabled: self.random.u8(..) < 20,
            run_on_start: self.random.bool(),
            reads: self.random.u32(0..READS),
            ..TaskRules::default()
        };
        let name = TaskName::new(&format!("t{number}")).expect("a name");
        Call::Register { holder, tasks: vec![Registration { name, timetable: self.timetable(), rules }] }
    }

    fn enqueue(&mut self, holder: Holder) -> Call {
        let tasks = self.random.choose_multiple(self.tasks.clone(), 2);
        let firings = tasks.into_iter().filter_map(|task| self.firing(task));
        let firings = firings.collect();
        Call::Enqueue { holder, firings }
    }

    fn firing(&mut self, task: TaskKey) -> Option<Firing> {
        let Answer::Looked { registered, .. } = self.owner.ask(&Question::Look { tasks: vec![task] }, self.at) else {
            panic!("it is looked")
        };
        let task = registered.into_iter().next()?;
        let advance_to = task.mark.plus(Duration::from_millis(self.random.u64(1..1_500)));
        let run = NewRun {
            origin: Origin::Schedule,
            scheduled_at: advance_to,
            due_at: advance_to,
            missed: self.random.bool().then_some(Missed { count: 2, first: task.mark }),
            accept_until: (self.random.u8(..) < 30).then_some(advance_to),
        };
        let passed = self.random.bool().then(|| Record::one(Reason::Missed, task.mark).noted(Some("a note")));
        let run = (self.random.u8(..) < 220 || passed.is_none()).then_some(run);
        let (mark, since, behind) = (task.mark, task.since, task.behind);
        Some(Firing { id: self.id(), task: task.key, mark, advance_to, since, run, passed, behind })
    }

    fn finish(&mut self) -> Call {
        let (at, error) = (self.at.now, std::io::Error::other("it failed"));
        let got = self.random.choose_multiple(0..self.got.len(), 2);
        let ended = got.into_iter().map(|place| {
            let Got { task, id, token } = self.got[place];
            let end = match self.random.usize(0..6) {
                0..3 => End::Final(Outcome::Succeeded),
                3 => End::Final(Outcome::Failed(crate::outcome::Failure::error(&error))),
                4 => End::Retry {
                    at: at.plus(Duration::from_millis(self.random.u64(0..3_000))),
                    failure: "again".into(),
                },
                _ => End::HandBack,
            };
            let log = self.random.bool().then(|| "it wrote \"this\"\n".into());
            Finish { task, id, token, end, started_at: Some(at), finished_at: at, log }
        });
        Call::Finish { ended: ended.collect() }
    }

    fn submit(&mut self) -> Call {
        let (id, whole) = (self.id(), RunId::from_parts(Timestamp::from_millis(5), 5));
        let origin = [Origin::Trigger(id), Origin::Backfill(whole), Origin::Start][self.random.usize(0..3)];
        let overlap = [None, Some(Overlap::Allow), Some(Overlap::CancelRunning)][self.random.usize(0..3)];
        let scheduled_at = self.random.bool().then_some(self.at.now);
        Call::Submit { submissions: vec![Submission { id, task: self.task(), origin, scheduled_at, overlap }] }
    }

    fn enqueue_jobs(&mut self) -> Call {
        let jobs = (0..self.random.usize(1..4)).map(|_| {
            let (id, task, version) = (self.id(), self.task(), self.random.u32(1..READS));
            let json = ["{\"to\":\"ada\"}", "", "\u{1}\\"][self.random.usize(0..3)];
            let moment = Duration::from_millis(self.random.u64(0..20_000));
            let begin = [
                Begin::Now,
                Begin::At(self.at.now.plus(moment)),
                Begin::At(self.at.now.minus(moment)),
                Begin::After(moment),
            ];
            let key = ["ada", "", "\u{1}\""][self.random.usize(0..3)];
            let unique = Unique { key: key.into(), at_least: self.random.bool().then_some(moment) };
            NewJob {
                id,
                task,
                arguments: JobArguments { version, json: json.into() },
                begin: begin[self.random.usize(0..begin.len())],
                priority: self.random.bool().then(|| self.random.i8(-3..4)),
                unique: self.random.bool().then_some(unique),
            }
        });
        Call::EnqueueJobs { jobs: jobs.collect() }
    }

    /// A job that has failed, if there is one.
    fn letter(&mut self) -> RunId {
        let question = Question::DeadLetters { query: LetterQuery::default(), after: None };
        let Answer::Letters { letters, .. } = self.owner.ask(&question, self.at) else { panic!("they are listed") };
        match letters.is_empty() {
            true => self.run(),
            false => letters[self.random.usize(0..letters.len())].id,
        }
    }

    fn command(&mut self) -> Command {
        let task = self.task();
        let some = self.random.bool().then_some(task);
        match self.random.usize(0..6) {
            0 | 1 => Command::Pause { task: some, by: "me".into(), reason: Some("so".into()) },
            2 | 3 => Command::Resume { task: some },
            4 => Command::Reschedule { task, timetable: self.timetable() },
            _ => Command::ResetMark { task },
        }
    }
}

/// What some tasks are called, of whose jobs arguments up to this version are read.
fn set(tasks: usize, reads: u32) -> u64 {
    tasks as u64 * u64::from(READS) + u64::from(reads)
}

fn written(replica: &Replica) -> Vec<String> {
    replica.image().iter().map(|part| serde_json::to_string(part).expect("it is written")).collect()
}

/// An answer as text; what has no order in it has one here.
fn in_order(answer: &Answer) -> String {
    let mut answer = answer.clone();
    if let Answer::Changes { changes, .. } = &mut answer {
        changes.cancelled.sort_by_key(|&Cancelled { id, was, .. }| (id, was));
        changes.resumed.sort_unstable();
    }
    serde_json::to_string(&answer).expect("it is written")
}
