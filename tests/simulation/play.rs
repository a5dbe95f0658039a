//! One scenario from its beginning to its end: bodies, a script of commands and troubles, and the last account.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastrand::Rng;
use symphra_scheduler::backend::{Backend, RunQuery};
use symphra_scheduler::chrono_tz::Tz;
use symphra_scheduler::test_util::{Chaos, TestScheduler};
use symphra_scheduler::{
    Error, MemoryBackend, Overlap, RunContext, RunFilter, RunState, Schedule, Scheduler, Task, Triggered,
};

use super::body::work;
use super::calendar::{Rule, utc};
use super::journal::Journal;
use super::scenario::{Scenario, millis, one_in};
use super::verdict;

/// What became of a seed.
pub(crate) struct Played {
    pub(crate) violations: Vec<String>,
    pub(crate) transcript: String,
}

/// Plays the scenario of `seed`, in a runtime of its own.
pub(crate) fn play(seed: u64) -> Played {
    // The ids of runs are drawn from what is drawn here, and their waits between attempts from the ids.
    fastrand::seed(seed);
    let scenario = Arc::new(Scenario::draw(seed));
    let journal = Journal::new(Arc::clone(&scenario));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(act_out(scenario, journal.clone()));
    let mut seen = journal.see();
    Played { violations: std::mem::take(&mut seen.violations), transcript: std::mem::take(&mut seen.transcript) }
}

async fn act_out(scenario: Arc<Scenario>, journal: Journal) {
    let chaos: Arc<OnceLock<Chaos>> = Arc::default();
    scenario.tasks.iter().for_each(|spec| journal.see().note(format_args!("drawn {spec:?}")));
    for task in 0..scenario.declared {
        let mut seen = journal.see();
        seen.tasks[task].is_registered = true;
        seen.tasks[task].is_paused = scenario.tasks[task].disabled;
        let calendar = scenario.tasks[task].calendar(scenario.begins_at);
        seen.counts_from(task, calendar);
    }
    let build = {
        let (scenario, journal, chaos) = (Arc::clone(&scenario), journal.clone(), Arc::clone(&chaos));
        move |store: MemoryBackend| {
            journal.see().start();
            let store = chaos.get_or_init(|| Chaos::new(store)).clone();
            let registered = |task: &usize| journal.see().tasks[*task].is_registered;
            let tasks: Vec<usize> = (0..scenario.tasks.len()).filter(registered).collect();
            let scheduler = Scheduler::empty().config(scenario.config()).backend(store);
            tasks.into_iter().fold(scheduler, |scheduler, number| scheduler.register(task(&scenario, &journal, number)))
        }
    };
    let test = match TestScheduler::with_store(utc(scenario.begins_at), build).await {
        Ok(test) => test,
        Err(error) => return journal.see().violation(format_args!("it does not start: {error}")),
    };
    let chaos = chaos.get().expect("it has started").clone();
    let random = Rng::with_seed(scenario.seed ^ 0x5c21_9700);
    let mut play = Play { scenario, journal, test, chaos, random };
    for _ in 0..play.scenario.script_len {
        let result = play.step().await;
        if let Err(error) = result {
            play.journal.see().violation(format_args!("a command fails: {error}"));
        }
        let (now, shown) = (play.journal.see().now(), play.test.now());
        assert_eq!(now.wall, shown.timestamp_millis(), "the model and the kit show one time");
    }
    if let Err(error) = play.conclude().await {
        play.journal.see().violation(format_args!("the end fails: {error}"));
    }
}

/// The task with the body that its draws make.
fn task(scenario: &Arc<Scenario>, journal: &Journal, number: usize) -> Task {
    let spec = &scenario.tasks[number];
    let journal = journal.clone();
    let body = move |run: RunContext| {
        let going = journal.begin(number, &run);
        work(going, run)
    };
    spec.dress(Task::new(spec.name.clone(), spec.rule.schedule(), body))
}

struct Play<B> {
    scenario: Arc<Scenario>,
    journal: Journal,
    test: TestScheduler<B>,
    chaos: Chaos,
    random: Rng,
}

/// A command that the store could not be reached for is given again, as a person would.
macro_rules! insist {
    ($command:expr) => {{
        loop {
            match $command.await {
                Err(error) if Error::is_backend(&error) => tokio::time::sleep(Duration::from_millis(137)).await,
                other => break other,
            }
        }
    }};
}

impl<B: Fn() -> Scheduler> Play<B> {
    async fn step(&mut self) -> Result<(), Error> {
        match self.random.u8(..100) {
            0..42 => self.advance().await,
            42..50 => self.advance_to_an_instant().await,
            50..56 => self.step_clock(),
            56..62 => return self.pause_or_resume().await,
            62..65 => return self.pause_or_resume_all().await,
            65..71 => return self.trigger().await,
            71..75 => return self.backfill().await,
            75..80 => return self.cancel().await,
            80..84 => return self.reschedule().await,
            84..90 => return self.register_or_unregister().await,
            90..93 => return self.restart().await,
            93..100 => self.trouble(),
            _ => {}
        }
        Ok(())
    }

    fn note(&self, what: impl std::fmt::Display) {
        self.journal.see().note(what);
    }

    async fn advance(&mut self) {
        let by = match self.random.u8(..10) {
            0 => self.random.i64(0..5),
            1..4 => self.random.i64(0..2_000),
            9 => self.random.i64(60_000..240_000),
            _ => self.random.i64(0..60_000),
        };
        self.note(format_args!("advance {by}"));
        self.test.advance(millis(by)).await;
    }

    /// To an occurrence of a task, or to the millisecond before it or after it, where races are.
    async fn advance_to_an_instant(&mut self) {
        let task = self.random.usize(..self.scenario.tasks.len());
        let now = self.journal.see().now().wall;
        let next = self.journal.see().tasks[task].versions.last().and_then(|version| version.calendar.next(now));
        let Some(at) = next.filter(|&at| at < now + 600_000) else { return };
        let by = (at - now + self.random.i64(-1..=1)).max(0);
        self.note(format_args!("advance to {at} by {by}"));
        self.test.advance(millis(by)).await;
    }

    fn step_clock(&mut self) {
        if !self.scenario.steps_clock {
            return;
        }
        let by = if self.random.bool() { self.random.i64(1..3_000) } else { self.random.i64(1_000..600_000) };
        let forward = self.random.bool();
        self.note(format_args!("set the clock by {by}, forward: {forward}"));
        self.journal.see().step_clock(if forward { by } else { -by });
        if forward {
            self.test.set_clock_forward(millis(by));
        } else {
            self.test.set_clock_back(millis(by));
        }
    }

    fn registered(&mut self) -> Option<(usize, String)> {
        let seen = self.journal.see();
        let registered: Vec<usize> = (0..seen.tasks.len()).filter(|&task| seen.tasks[task].is_registered).collect();
        drop(seen);
        let task = self.random.choice(registered)?;
        Some((task, self.scenario.tasks[task].name.clone()))
    }

    async fn pause_or_resume(&mut self) -> Result<(), Error> {
        let Some((task, name)) = self.registered() else { return Ok(()) };
        self.journal.see().disturb();
        if self.random.bool() {
            self.note(format_args!("pause {name}"));
            insist!(self.test.pause_task_with(&name, "the script"))?;
            self.journal.see().tasks[task].is_paused = true;
        } else {
            self.note(format_args!("resume {name}"));
            self.journal.see().tasks[task].is_paused = false;
            insist!(self.test.resume_task(&name))?;
        }
        self.journal.see().disturb();
        Ok(())
    }

    async fn pause_or_resume_all(&mut self) -> Result<(), Error> {
        self.journal.see().disturb();
        if self.random.bool() {
            self.note("pause all");
            insist!(self.test.pause_all("the script"))?;
            self.journal.see().all_paused = true;
        } else {
            self.note("resume all");
            self.journal.see().all_paused = false;
            insist!(self.test.resume_all())?;
        }
        self.journal.see().disturb();
        Ok(())
    }

    async fn trigger(&mut self) -> Result<(), Error> {
        let Some((_, name)) = self.registered() else { return Ok(()) };
        let policies = [Overlap::Skip, Overlap::BufferOne, Overlap::BufferAll, Overlap::CancelRunning, Overlap::Allow];
        let triggered = match self.random.u8(..2) {
            0 => Triggered::Accepted(insist!(self.test.trigger_task(&name))?),
            _ => {
                let overlap = self.random.choice(policies).expect("some");
                let triggered = insist!(self.test.trigger_with(&name, overlap))?;
                if let (Overlap::Allow, Triggered::Accepted(id)) = (overlap, triggered) {
                    self.journal.see().beside.insert(id);
                }
                triggered
            }
        };
        self.note(format_args!("trigger {name}: {triggered:?}"));
        Ok(())
    }

    async fn backfill(&mut self) -> Result<(), Error> {
        let Some((_, name)) = self.registered() else { return Ok(()) };
        let now = self.test.now();
        let from = now - symphra_scheduler::chrono::TimeDelta::milliseconds(self.random.i64(1_000..90_000));
        let answer = insist!(async {
            let backfill = self.test.backfill(&name, from..=now);
            backfill.await
        });
        match answer {
            Ok(backfilled) => self.note(format_args!("backfill {name}: {} runs", backfilled.runs.len())),
            // A fixed delay has no occurrences to run again.
            Err(error) => self.note(format_args!("backfill {name}: {error}")),
        }
        Ok(())
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        let alive = RunFilter::new().state(RunState::Queued).state(RunState::Running).state(RunState::Retrying);
        let runs = self.test.runs(&alive).await?;
        let Some(run) = self.random.choice(runs) else { return Ok(()) };
        let answer = insist!(self.test.cancel_run(run.id));
        self.note(format_args!("cancel {} {}: {:?}", run.id, run.state, answer.is_ok()));
        match answer {
            Ok(()) => {
                let mut seen = self.journal.see();
                let now = seen.now().passed;
                seen.cancelled.insert(run.id, now);
                seen.disturb();
                Ok(())
            }
            // The answer to an earlier call may have been lost.
            Err(error) if error.is_unknown_run() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn reschedule(&mut self) -> Result<(), Error> {
        let Some((task, name)) = self.registered().filter(|_| self.scenario.reschedules) else { return Ok(()) };
        let Some(mut calendar) = self.journal.see().tasks[task].versions.last().map(|version| version.calendar.clone())
        else {
            return Ok(());
        };
        let period = self.random.i64(1_000..20_000);
        calendar.rule = match calendar.rule {
            Rule::Delay(_) => Rule::Delay(period),
            _ if self.random.bool() => Rule::Every(period),
            _ => Rule::Cron("*/10 * * * * *".parse().expect("a valid expression")),
        };
        let rule = calendar.rule;
        {
            let mut seen = self.journal.see();
            seen.may_count(task, calendar);
            seen.disturb();
        }
        let answer = insist!(self.test.reschedule(&name, rule.schedule()));
        self.note(format_args!("reschedule {name} {rule:?}: {:?}", answer.is_ok()));
        match answer {
            Ok(()) => self.journal.see().answered(task),
            // Its window has ended.
            Err(error) if error.is_config() => drop(self.journal.see().tasks[task].versions.pop()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn register_or_unregister(&mut self) -> Result<(), Error> {
        let number = self.random.usize(..self.scenario.tasks.len());
        if !self.journal.see().tasks[number].is_registered {
            return self.register(number).await;
        }
        if self.journal.see().tasks.iter().filter(|task| task.is_registered).count() == 1 {
            return Ok(());
        }
        let name = self.scenario.tasks[number].name.clone();
        self.note(format_args!("unregister {name}"));
        self.journal.see().disturb();
        self.test.unregister(&name).await?;
        let mut seen = self.journal.see();
        seen.tasks[number].is_registered = false;
        seen.tasks[number].was_removed = true;
        seen.disturb();
        Ok(())
    }

    async fn register(&mut self, number: usize) -> Result<(), Error> {
        // So that the instant of the first registration is known.
        self.chaos.heal();
        self.note(format_args!("register {number}"));
        {
            let mut seen = self.journal.see();
            seen.tasks[number].is_registered = true;
            let now = seen.now().wall;
            if seen.tasks[number].versions.is_empty() {
                seen.tasks[number].is_paused = self.scenario.tasks[number].disabled;
                seen.counts_from(number, self.scenario.tasks[number].calendar(now));
            }
        }
        self.test.register(task(&self.scenario, &self.journal, number)).await
    }

    async fn restart(&mut self) -> Result<(), Error> {
        if !self.scenario.restarts {
            return Ok(());
        }
        self.heal().await;
        let down = if one_in(&mut self.random, 4) { self.random.i64(0..3_600_000) } else { self.random.i64(0..60_000) };
        self.note(format_args!("restart, {down} ms down"));
        {
            let mut seen = self.journal.see();
            seen.is_stopping = true;
            seen.disturb();
        }
        let report = self.test.restart(millis(down)).await?;
        let mut seen = self.journal.see();
        seen.note(format_args!("restarted, cancelled {}", report.cancelled.len()));
        if report.unstored > 0 {
            seen.violation("a stop leaves something unstored, although the store answers");
        }
        seen.disturb();
        Ok(())
    }

    fn trouble(&mut self) {
        if !self.scenario.has_faults {
            return;
        }
        if self.random.bool() {
            let seed = self.random.u64(..);
            self.note(format_args!("the store fails by {seed}"));
            self.chaos.fail_at_random(seed);
        } else {
            self.note("the store is healed");
            self.chaos.heal();
        }
    }

    /// Heals the store, and waits until what had failed has been done.
    async fn heal(&self) {
        self.chaos.heal();
        self.test.advance(Duration::from_secs(10)).await;
    }

    async fn conclude(&mut self) -> Result<(), Error> {
        self.note("the end");
        for number in 0..self.scenario.tasks.len() {
            let comes_back = {
                let seen = self.journal.see();
                !seen.tasks[number].is_registered && !seen.tasks[number].versions.is_empty()
            };
            if comes_back {
                self.register(number).await?;
            }
        }
        self.heal().await;
        // In a pause everything that has fallen due is recorded at once, so that the ledgers are complete.
        self.journal.see().disturb();
        self.test.pause_all("the account").await?;
        self.journal.see().all_paused = true;
        self.test.advance(Duration::from_secs(6)).await;
        let before = verdict::account(&self.journal, &self.test).await;
        self.revive(before).await?;
        self.journal.see().is_stopping = true;
        let began = tokio::time::Instant::now();
        let report = self.test.stop().await?;
        if began.elapsed() > Duration::from_secs(33) || report.unstored > 0 {
            self.journal.see().violation(format_args!("a stop took {:?}: {report:?}", began.elapsed()));
        }
        let rows = self.test.store().runs(&RunQuery::default()).await.expect("memory answers");
        verdict::every_run(&self.journal, &self.test, &report, &rows);
        verdict::alive_at_once(&self.journal);
        verdict::priorities(&self.journal);
        Ok(())
    }

    /// All is well again, so everything fires.
    async fn revive(&mut self, before: Vec<Option<u64>>) -> Result<(), Error> {
        self.journal.see().all_paused = false;
        self.test.resume_all().await?;
        for number in 0..self.scenario.tasks.len() {
            if self.journal.see().tasks[number].is_registered {
                self.journal.see().tasks[number].is_paused = false;
                self.test.resume_task(&self.scenario.tasks[number].name).await?;
            }
        }
        let probe = Schedule::interval(Duration::from_secs(1)).expect("a valid period");
        self.test.register(Task::new("probe", probe, async || {}).priority(100).timezone(Tz::UTC)).await?;
        self.test.advance(Duration::from_secs(150)).await;
        if self.test.fired("probe").is_empty() {
            self.journal.see().violation("nothing fires any more");
        }
        verdict::goes_on(&self.journal, &self.test, &before).await;
        Ok(())
    }
}
