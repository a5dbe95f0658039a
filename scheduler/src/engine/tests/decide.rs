//! `decide` by itself: pure, and its account of what it holds is right after every event.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;
use tokio::time::Instant;

use super::super::event::{Actions, Batch, EndRunning, Event};
use super::super::notice::Notice;
use super::super::state::{Now, State};
use super::rig::{every, instant, millis, seconds};
use crate::TaskName;
use crate::backend::{
    Admission, Capabilities, Changes, Claimed, Claims, Died, Finish, Firing, Hold, Refusal, Registered, Stored,
    TaskKey, Token,
};
use crate::clock::ClockStep;
use crate::executor::{Ended, Job, Ran};
use crate::outcome::{CancelCause, Failure, Outcome};
use crate::retry::Advice;
use crate::run::{Origin, RunId, RunIds, RunState};
use crate::task::{Alike, LiveTask, Task};

fn hold(token: u64) -> Hold {
    Hold { token: Token(token), previous_success: None }
}

const HELD_MAX: usize = 7;
const TASKS: u64 = 12;

fn state(ids: u64, origin: Timestamp) -> State {
    let backend = Capabilities::volatile();
    let mut state = State::new(RunIds::new(fastrand::Rng::with_seed(ids)), seconds(1), HELD_MAX, backend);
    for key in 0..TASKS {
        let task = Task::new(format!("task {key}"), every(300 + 97 * key), async || {});
        let name = TaskName::new(task.name()).expect("a valid name");
        let registered = Registered::at_first_sight(TaskKey(key), task.timetable(Tz::UTC).into(), origin);
        let live = Arc::new(LiveTask::new(&task, name, &registered, origin, &mut Alike::default()));
        state.add(live, &registered);
    }
    state
}

/// A world around `decide` that answers by chance.
struct World {
    state: State,
    random: fastrand::Rng,
    now: Now,
    actions: Actions,
    executing: Vec<Job>,
    enqueueing: Option<Batch>,
    finishing: Option<Vec<Finish>>,
    claiming: bool,
    claim_max: usize,
    leaving: bool,
    transcript: String,
    /// What was told of ends.
    ends: Vec<(RunId, RunState)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let origin = instant("2026-06-01T00:00:00Z");
        Self {
            state: state(1, origin),
            random: fastrand::Rng::with_seed(seed),
            now: Now { wall: origin, is_sure: true, at: Instant::now(), passed: Duration::ZERO },
            actions: Actions::default(),
            executing: Vec::new(),
            enqueueing: None,
            finishing: None,
            claiming: false,
            claim_max: 0,
            leaving: false,
            transcript: String::new(),
            ends: Vec::new(),
        }
    }

    fn feed(&mut self, event: Event) {
        self.state.decide(event, self.now, &mut self.actions);
        let started: Vec<_> = self.actions.start.iter().map(|job| (job.id, job.scheduled_at, job.missed)).collect();
        let actions = &mut self.actions;
        let enqueue = actions.enqueue.take();
        self.ends.extend(actions.notices.iter().filter_map(|notice| match notice {
            Notice::Ended { id, state, .. } => Some((*id, *state)),
            Notice::Died { died, .. } => Some((died.id, died.state)),
            _ => None,
        }));
        writeln!(
            self.transcript,
            "{:?} {started:?} {:?} {:?} {:?} {:?}",
            enqueue.as_ref().map(|batch| &batch.firings),
            actions.finish,
            actions.end_running,
            std::mem::take(&mut actions.counted),
            std::mem::take(&mut actions.notices),
        )
        .expect("writing into a String cannot fail");
        for job in actions.start.drain(..) {
            job.task.tally().accepted();
            self.executing.push(job);
        }
        self.leaving |= std::mem::take(&mut actions.leave);
        let finish = std::mem::take(&mut actions.finish);
        if let Some(batch) = enqueue {
            assert!(self.enqueueing.is_none(), "one batch at a time");
            self.enqueueing = Some(batch);
        }
        if !finish.is_empty() {
            assert!(self.finishing.is_none(), "one call that stores at a time");
            self.finishing = Some(finish);
        }
        match self.actions.end_running.take() {
            Some(EndRunning::Abort) => self.end_all(),
            Some(EndRunning::GiveUp) => self.feed(Event::GaveUp(Vec::new())),
            Some(EndRunning::Ask) | None => {}
        }
        self.account();
    }

    /// What is held is what is being enqueued, executes, or waits to be stored; and it is bounded.
    fn account(&self) {
        let enqueueing = self.enqueueing.as_ref().map_or(0, |batch| batch.firings.len());
        let storing = self.finishing.as_ref().map_or(0, Vec::len) + self.state.to_finish.len();
        if !self.state.is_over() {
            assert_eq!(self.state.held, enqueueing + self.executing.len() + storing);
        }
        assert!(self.state.held <= HELD_MAX, "{} runs are held", self.state.held);
    }

    fn answer_enqueue(&mut self) {
        let Some(batch) = self.enqueueing.take() else { return };
        let random = &mut self.random;
        let admissions = batch.firings.iter().map(|firing| match (&firing.run, random.u8(..10)) {
            (None, 0..9) => Admission::Passed,
            (_, 9) => Admission::MarkMoved(firing.advance_to),
            (_, 8) => Admission::Early(self.now.wall),
            (_, 7) => Admission::Late(self.now.wall),
            (_, 6) => Admission::Recorded(Refusal::Overlap(RunId::from_parts(self.now.wall, 5))),
            (_, 5) => Admission::Queued { cancel: None },
            (_, token) => Admission::Claimed(hold(token.into())),
        });
        let admissions = admissions.collect();
        self.feed(Event::Enqueued(batch, admissions));
    }

    fn answer_finish(&mut self) {
        let Some(ended) = self.finishing.take() else { return };
        let random = &mut self.random;
        let stored = ended
            .iter()
            .map(|_| if random.u8(..10) == 0 { Stored::Stale } else { Stored::Done { more: random.bool() } })
            .collect();
        self.feed(Event::Stored(ended, stored));
    }

    fn end_some(&mut self) {
        let number = self.random.usize(..=self.executing.len());
        let ran = Some(Ran { began: self.now.at - millis(5), duration: millis(5) });
        let random = &mut self.random;
        let ended = self.executing.drain(..number).map(|job| {
            let outcome = match random.u8(..5) {
                0 => Outcome::Failed(Failure::error(&std::io::Error::other("disk full"))),
                1 => Outcome::TimedOut(seconds(1)),
                _ => Outcome::Succeeded,
            };
            job.task.tally().began(Duration::ZERO);
            Ended { job, outcome, advice: Advice::ByPolicy, ran, log: None }
        });
        let ended = ended.collect();
        self.feed(Event::Ended(ended));
    }

    fn end_all(&mut self) {
        let ended = self
            .executing
            .drain(..)
            .map(|job| Ended {
                job,
                outcome: Outcome::Cancelled(CancelCause::Stopped),
                advice: Advice::ByPolicy,
                ran: None,
                log: None,
            })
            .collect();
        self.feed(Event::Ended(ended));
    }

    fn begin_claim(&mut self) {
        if !self.claiming && self.state.claims_in(self.now).is_some_and(|wait| wait.is_zero()) {
            self.claiming = true;
            let (_, max) = self.state.begin_claim(self.now);
            self.claim_max = max;
        }
    }

    fn answer_claim(&mut self) {
        if !std::mem::take(&mut self.claiming) {
            return;
        }
        let number = self.random.usize(..=self.claim_max.min(2));
        let runs = (0..number).map(|_| Claimed {
            task: TaskKey(self.random.u64(..TASKS)),
            id: RunId::from_parts(self.now.wall, self.random.u128(..)),
            hold: hold(2),
            origin: Origin::Schedule,
            scheduled_at: self.now.wall,
            due_at: self.now.wall,
            missed: None,
            attempt: 2,
            abandoned: self.random.u32(..2),
            was: if self.random.bool() { RunState::Running } else { RunState::Queued },
            arguments: None,
        });
        let runs = runs.collect();
        let next_at = self.random.bool().then(|| self.now.wall.plus(seconds(1)));
        self.feed(Event::Claimed(Claims { runs, next_at }));
    }

    fn set_clock(&mut self) {
        let by = millis(self.random.u64(20..20_000));
        let (step, wall) = if self.random.bool() {
            (ClockStep::Forward(by), self.now.wall.plus(by))
        } else {
            (ClockStep::Back(by), self.now.wall.minus(by))
        };
        self.now.wall = wall;
        self.feed(Event::ClockStepped(step));
    }

    fn tick(&mut self) {
        let by = millis(self.random.u64(..700));
        self.now = Now { wall: self.now.wall.plus(by), passed: self.now.passed + by, at: self.now.at + by, ..self.now };
        self.feed(Event::Woke);
    }

    /// Some hundred events, and a stop.
    fn play(mut self) -> String {
        for _ in 0..400 {
            self.begin_claim();
            match self.random.u8(..12) {
                0..3 => self.tick(),
                3..6 => self.answer_enqueue(),
                6..8 => self.end_some(),
                8..10 => self.answer_finish(),
                10 => self.answer_claim(),
                _ => self.set_clock(),
            }
        }
        let stop = if self.random.bool() { Event::Drain(seconds(10)) } else { Event::StopNow };
        self.feed(stop);
        for _ in 0..400 {
            if self.state.is_over() {
                break;
            }
            if std::mem::take(&mut self.leaving) && self.random.bool() {
                self.feed(Event::Left(Vec::new()));
                continue;
            }
            match self.random.u8(..31) {
                0..27 => self.tick(),
                30 => self.answer_claim(),
                27 => self.answer_enqueue(),
                28 => self.end_some(),
                _ => self.answer_finish(),
            }
        }
        assert!(self.state.is_over(), "a stop comes to its end");
        let report = self.state.take_stop_report();
        writeln!(self.transcript, "{report:?}").expect("writing into a String cannot fail");
        self.transcript
    }
}

#[test]
fn the_same_events_give_the_same_actions_and_what_is_held_is_accounted_for() {
    let first = fastrand::u64(..);
    let mut all = String::new();
    for seed in (0..60).map(|n| first.wrapping_add(n)) {
        println!("seed {seed}");
        let transcript = World::new(seed).play();
        assert_eq!(transcript, World::new(seed).play(), "seed {seed}");
        all.push_str(&transcript);
    }
    for happens in [
        "reason: Missed",
        "reason: Overlap",
        "Retries",
        "ClockStepped(Back",
        "TakenOver",
        "Stale",
        "Some(Ask)",
        "Some(Abort)",
    ] {
        assert!(all.contains(happens), "{happens} never happens");
    }
}

#[test]
fn nothing_fires_after_a_stop_was_asked_for() {
    let mut world = World::new(7);
    world.feed(Event::Drain(seconds(10)));
    assert!(std::mem::take(&mut world.leaving), "nothing was under way");
    world.feed(Event::Left(Vec::new()));
    assert!(world.state.is_over());
    world.now.wall = world.now.wall.plus(seconds(60));
    world.feed(Event::Woke);
    assert!(world.enqueueing.is_none());
    assert_eq!((world.state.fires_at(), world.state.claims_in(world.now)), (None, None));
}

#[test]
fn a_task_is_asked_about_again_only_when_its_answer_is_there() {
    let mut world = World::new(7);
    world.now.wall = world.now.wall.plus(millis(350));
    world.feed(Event::Woke);
    let batch = world.enqueueing.as_ref().map(|batch| batch.firings.len());
    assert_eq!(batch, Some(1), "the task of 300 ms is due");
    world.now.wall = world.now.wall.plus(seconds(5));
    world.feed(Event::Woke);
    assert_eq!(world.state.fires_at(), None, "what falls due meanwhile goes together in the next call");
    let batch = world.enqueueing.take().expect("it is under way");
    let advance_to = batch.firings[0].advance_to;
    world.feed(Event::Enqueued(batch, vec![Admission::MarkMoved(advance_to)]));
    let next = world.enqueueing.as_ref().map(|batch| batch.firings.len());
    assert_eq!(next, Some(HELD_MAX), "as many as there is room for");
}

#[test]
fn a_node_that_is_outrun_leaves_what_is_behind_to_the_quicker_one_for_a_while() {
    let mut world = World::new(7);
    let answer = |world: &mut World, admission: fn(&Firing) -> Admission| {
        let batch = world.enqueueing.take().expect("it fires");
        let admissions = batch.firings.iter().map(admission).collect();
        world.feed(Event::Enqueued(batch, admissions));
    };
    let moved = |firing: &Firing| Admission::MarkMoved(firing.mark);
    world.now.wall = world.now.wall.plus(millis(350));
    world.feed(Event::Woke);
    world.now.wall = world.now.wall.plus(seconds(60));
    for _ in 0..3 {
        answer(&mut world, moved);
    }
    assert!(world.enqueueing.is_none(), "of each task it was told once that another node is quicker");
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let fires_at = world.state.fires_at().expect("they are behind");
        pauses.push(fires_at.since(world.now.wall));
        world.now.wall = world.now.wall.plus(seconds(1));
        world.feed(Event::Woke);
        while world.enqueueing.is_some() {
            answer(&mut world, moved);
        }
    }
    assert_eq!(pauses, [millis(40), millis(160), millis(160), millis(160)]);
    world.now.wall = world.now.wall.plus(seconds(1));
    world.feed(Event::Woke);
    answer(&mut world, |_| Admission::Passed);
    assert!(world.enqueueing.is_some(), "and goes on by itself as soon as the other one does not");
}

#[test]
fn the_pause_of_a_node_that_is_outrun_does_not_outlast_a_clock_that_is_set_back() {
    let mut world = World::new(7);
    world.now.wall = world.now.wall.plus(millis(350));
    world.feed(Event::Woke);
    world.now.wall = world.now.wall.plus(seconds(60));
    for _ in 0..3 {
        let batch = world.enqueueing.take().expect("it fires");
        let answers = batch.firings.iter().map(|firing| Admission::MarkMoved(firing.mark)).collect();
        world.feed(Event::Enqueued(batch, answers));
    }
    assert!(world.enqueueing.is_none() && world.state.fires_at() > Some(world.now.wall), "it pauses");
    world.now.wall = world.now.wall.minus(seconds(20));
    world.feed(Event::ClockStepped(ClockStep::Back(seconds(20))));
    assert!(
        world.enqueueing.is_some() || world.state.fires_at() <= Some(world.now.wall),
        "an instant of the clock before would be 20 s away"
    );
}

/// What the store says of task 0, as of `version`.
fn told(world: &World, version: u64, pause: Option<&str>) -> Event {
    let task = &world.state.tasks[0];
    let pause = pause.map(|by| crate::backend::Pause { by: by.into(), reason: None, since: world.now.wall });
    let seen = Registered::at_first_sight(task.live.key, Arc::clone(task.plan.timetable()), task.mark);
    let registered = Registered { version, pause, ..seen };
    Event::Changed(Changes { version, tasks: vec![registered], ..Changes::default() })
}

#[test]
fn what_comes_late_by_another_way_does_not_undo_what_is_newer() {
    let mut world = World::new(7);
    let paused_by = |world: &World| world.state.tasks[0].pause.as_ref().map(|pause| pause.by.to_string());
    world.feed(told(&world, 5, Some("ada")));
    world.feed(told(&world, 4, None));
    assert_eq!(paused_by(&world).as_deref(), Some("ada"), "the end of an earlier pause comes late");
    world.feed(told(&world, 6, None));
    world.feed(told(&world, 5, Some("ada")));
    assert_eq!(paused_by(&world), None, "and so does the beginning of one that has ended");
}

/// What happens to a run that its node holds, in one order or another.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// Its body ends.
    Ends,
    /// The store says that its end came too late.
    Stale,
    /// The store tells that it has ended by the death of its node.
    Died,
}

#[test]
fn the_end_of_a_run_whose_node_was_only_taken_for_dead_is_counted_once_in_every_order() {
    use Step::{Died, Ends, Stale};
    for (steps, state) in [
        (&[Died, Ends][..], RunState::Abandoned),
        (&[Died, Died, Ends], RunState::Abandoned),
        (&[Ends, Died, Stale], RunState::Succeeded),
        (&[Ends, Stale, Died], RunState::Succeeded),
        (&[Ends, Died, Stale, Died], RunState::Succeeded),
    ] {
        for is_behind_another in [false, true] {
            let told = ends_told(steps, is_behind_another);
            assert_eq!(told, [state], "{steps:?}, behind another: {is_behind_another}");
        }
    }
}

fn died(id: RunId, ended_at: Timestamp) -> Event {
    let (task, node, state) = (TaskKey(0), Arc::from("a"), RunState::Abandoned);
    let died = Died { id, task, node, attempt: 1, deaths: 1, state, ended_at };
    Event::Changed(Changes { died: vec![died], ..Changes::default() })
}

#[test]
fn a_run_that_is_over_does_not_begin_when_a_late_answer_brings_it() {
    let mut world = World::new(7);
    world.begin_claim();
    let id = RunId::from_parts(world.now.wall, 1);
    world.feed(died(id, world.now.wall));
    let (scheduled_at, due_at, was) = (world.now.wall, world.now.wall, RunState::Queued);
    let (task, origin) = (TaskKey(0), Origin::Schedule);
    let late = Claimed {
        task,
        id,
        hold: hold(1),
        origin,
        scheduled_at,
        due_at,
        missed: None,
        attempt: 1,
        abandoned: 0,
        was,
        arguments: None,
    };
    world.feed(Event::Claimed(Claims { runs: vec![late], next_at: None }));
    assert!(world.executing.is_empty() && world.finishing.is_none(), "nor is it given back");
}

/// Lets a run of task 0 go through `steps`, beside one of task 1 whose end may be just being stored; what was told of the
/// ends of the first.
fn ends_told(steps: &[Step], is_behind_another: bool) -> Vec<RunState> {
    let mut world = World::new(7);
    world.now.wall = world.now.wall.plus(millis(399));
    world.actions.with_ends = true;
    world.feed(Event::Woke);
    let batch = world.enqueueing.take().expect("two tasks are due");
    let admissions = vec![Admission::Claimed(hold(1)); batch.firings.len()];
    world.feed(Event::Enqueued(batch, admissions));
    let place = |world: &World, key| world.executing.iter().position(|job| job.task.key == TaskKey(key));
    let end = |world: &mut World, place: usize| {
        let job = world.executing.remove(place);
        job.task.tally().began(Duration::ZERO);
        let ran = Some(Ran { began: world.now.at, duration: Duration::ZERO });
        world.feed(Event::Ended(vec![Ended {
            job,
            outcome: Outcome::Succeeded,
            advice: Advice::ByPolicy,
            ran,
            log: None,
        }]));
    };
    if is_behind_another {
        let other = place(&world, 1).expect("its run executes");
        end(&mut world, other);
    }
    let run = world.executing[place(&world, 0).expect("its run executes")].id;
    for step in steps {
        match step {
            Step::Ends => {
                let its = place(&world, 0).expect("its run executes");
                end(&mut world, its);
            }
            Step::Stale => {
                while let Some(ended) = world.finishing.take() {
                    let stale = |end: &Finish| if end.id == run { Stored::Stale } else { Stored::Done { more: false } };
                    let stored = ended.iter().map(stale).collect();
                    world.feed(Event::Stored(ended, stored));
                }
            }
            Step::Died => world.feed(died(run, world.now.wall)),
        }
    }
    let tally = *world.state.tasks[0].live.tally();
    assert_eq!((tally.ended_runs(), tally.running), (1, 0), "{steps:?}");
    assert_eq!(world.actions.cancel, [(run, CancelCause::TakenOver)], "what of it is here is given up, once");
    assert!(world.state.claims_in(world.now).is_some_and(|wait| wait.is_zero()), "its place is free");
    world.ends.iter().filter(|(id, _)| *id == run).map(|&(_, state)| state).collect()
}
