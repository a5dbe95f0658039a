//! One seed of a cluster from its beginning to its end: nodes that come and go, troubles, commands, and the last account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use symphra_scheduler::backend::{Backend, Submission};
use symphra_scheduler::chrono::TimeDelta;
use symphra_scheduler::test_util::{Chaos, Fault, TestCluster, TestNode};
use symphra_scheduler::{Error, Origin, RunContext, RunFilter, RunId, RunState, Scheduler, SchedulerHandle, Task};

use super::super::body::{Attempted, How, work};
use super::super::bugs::{Bug, Planted};
use super::super::calendar::{Rule, utc};
use super::super::scenario::{TaskSpec, millis};
use super::account::{Account, ticks};
use super::contact::{Contact, Fate};
use super::journal::{Journal, NodeSeen, Violation};
use super::world::{Kind, LEASE, RESTS_AFTER, Trouble, Version, World};

/// How long a node may still repeat what has failed once its troubles are over.
const REPEATS_FOR: i64 = 6_000;

/// How often it is looked whether all has come to rest.
const LOOKS_MAX: usize = 400;

/// A stop with bodies that go on takes as long as it may, and no longer.
const STOP_MAX: Duration = Duration::from_secs(33);

/// What became of a seed.
pub(crate) struct Played {
    pub(crate) violations: Vec<Violation>,
    pub(crate) transcript: String,
}

/// Plays the world of `seed` on a store with a bug, or without, in a runtime of its own.
pub(crate) fn play(seed: u64, bug: Option<Bug>) -> Played {
    // The names of holders and the ids of runs are drawn from what is drawn here.
    fastrand::seed(seed);
    let world = Arc::new(World::draw(seed));
    let journal = Journal::new(Arc::clone(&world));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(act_out(world, journal.clone(), bug));
    let mut seen = journal.see();
    Played { violations: std::mem::take(&mut seen.violations), transcript: std::mem::take(&mut seen.transcript) }
}

async fn act_out(world: Arc<World>, journal: Journal, bug: Option<Bug>) {
    let cluster = TestCluster::new(utc(world.begins_at)).await.expect("time is paused");
    journal.see().start();
    world.tasks.iter().for_each(|spec| journal.see().note(format_args!("drawn {spec:?}")));
    let store = Planted::new(cluster.store().clone(), bug);
    let account = Account::new(journal.clone(), cluster.store().clone(), store.clone());
    let random = Rng::with_seed(world.seed ^ 0x7c1a_55e5);
    let declared = vec![None; world.tasks.len()];
    let (up, ending) = (Vec::new(), Vec::new());
    let mut play =
        Play { world, journal, cluster, store, account, random, up, declared, is_away: false, ending, submitted: 0 };
    let broken = Arc::clone(&play.journal.see().broken);
    let journal = play.journal.clone();
    tokio::select! {
        biased;
        // Where a bug is planted, one promise that is seen broken is enough.
        () = broken.notified(), if bug.is_some() => {}
        played = play.through() => if let Err(error) = played {
            journal.see().violation("commands are carried out", format_args!("{error:?}"));
        },
    }
}

/// A node that is there, and what is wrong with it.
struct Up {
    number: usize,
    node: TestNode,
    chaos: Chaos,
    troubles: BTreeMap<Trouble, u64>,
}

struct Play {
    world: Arc<World>,
    journal: Journal,
    cluster: TestCluster,
    store: Planted,
    account: Account,
    random: Rng,
    up: Vec<Up>,
    /// In which version each task was declared last.
    declared: Vec<Option<Version>>,
    is_away: bool,
    /// When troubles end: of a node, or of all.
    ending: Vec<(i64, Option<usize>, Trouble)>,
    submitted: u128,
}

impl Play {
    async fn through(&mut self) -> Result<(), Error> {
        let (troubles, nodes) = (self.world.troubles.clone(), self.world.nodes);
        self.note(format_args!("{nodes} nodes, {troubles:?}"));
        self.world.tasks.iter().for_each(|task| self.note(format_args!("{task:?}")));
        for _ in 0..nodes {
            self.start_node().await?;
        }
        while self.now() < self.world.ends_at {
            self.pass_some_time().await;
            if !self.is_away && self.up.len() < nodes && self.random.u8(..10) < 4 {
                self.start_node().await?;
            }
            if !troubles.is_empty() && self.random.u8(..10) < 6 {
                let trouble = *self.random.choice(&troubles).expect("some");
                self.make(trouble).await?;
            }
            if self.random.u8(..10) < 3 {
                self.ask_for_a_run();
            }
            self.account.look().await;
        }
        self.come_to_rest().await?;
        self.calm().await;
        self.account.close().await;
        self.stop_all().await
    }

    fn now(&self) -> i64 {
        self.journal.see().now()
    }

    fn note(&self, what: impl std::fmt::Display) {
        self.journal.see().note(what);
    }

    async fn pass_some_time(&mut self) {
        let by = match self.random.u8(..10) {
            0 => self.random.i64(0..5),
            1..4 => self.random.i64(0..2_000),
            4..8 => self.random.i64(0..8_000),
            8 => self.until_an_instant(),
            _ => self.random.i64(8_000..25_000),
        };
        self.pass(by).await;
    }

    /// To an occurrence of a task, or to the millisecond before it or after it, where races are.
    fn until_an_instant(&mut self) -> i64 {
        let (task, now) = (self.random.usize(..self.world.tasks.len()), self.now());
        let next = self.journal.see().tasks[task].versions.last().and_then(|(_, calendar)| calendar.next(now));
        let beside = self.random.i64(-1..=1);
        next.filter(|&at| at < now + 60_000).map_or(0, |at| (at - now + beside).max(0))
    }

    /// Lets time pass, and troubles end in it.
    async fn pass(&mut self, by: i64) {
        let until = self.now() + by;
        loop {
            self.ending.sort_unstable();
            let next = self.ending.first().copied().filter(|&(at, ..)| at <= until);
            let at = next.map_or(until, |(at, ..)| at);
            self.cluster.advance(millis((at - self.now()).max(0))).await;
            let Some((_, node, trouble)) = next else { return };
            self.ending.remove(0);
            self.end(node, trouble);
        }
    }

    /// Some of the tasks, in one of the versions, where that is among the troubles.
    async fn start_node(&mut self) -> Result<(), Error> {
        let is_mixed = self.world.has(Trouble::Versions);
        let version = if is_mixed && self.random.bool() { Version::Other } else { Version::One };
        let random = &mut self.random;
        let knows = (0..self.world.tasks.len())
            .map(|task| !is_mixed || self.world.kind(task) != Kind::Drawn || random.u8(..5) > 0)
            .collect();
        let is_wrong = self.world.has(Trouble::Clocks) && self.random.bool();
        let ahead = if is_wrong { self.random.i64(-60_000..60_000) } else { 0 };
        self.start(knows, version, ahead).await
    }

    async fn start(&mut self, knows: Vec<bool>, version: Version, ahead: i64) -> Result<(), Error> {
        let number = self.journal.see().nodes.len();
        self.note(format_args!("n{number} starts in version {version:?}, {ahead} ms ahead, knows {knows:?}"));
        let chaos = Chaos::new(self.store.clone());
        let config = self.world.config(&format!("n{number}"));
        let mut scheduler = Scheduler::empty().config(config).backend(chaos.clone());
        for task in (0..knows.len()).filter(|&task| knows[task]) {
            let rule = self.world.rule(task, version);
            scheduler = scheduler.register(self.task(number, task, rule));
            let mut seen = self.journal.see();
            let first = seen.tasks[task].versions.first().map(|(_, calendar)| calendar.registered);
            let is_changed = self.declared[task].is_some_and(|last| self.world.differ(task, last, version));
            if first.is_none() || is_changed {
                let registered = first.unwrap_or_else(|| seen.now());
                seen.counts_from_now(task, self.world.calendar(task, rule, registered));
            }
            self.declared[task] = Some(version);
        }
        let contact = Contact::new(self.now());
        self.journal.see().nodes.push(NodeSeen { contact, knows });
        let node = self.cluster.start(scheduler, TimeDelta::milliseconds(ahead)).await?;
        self.up.push(Up { number, node, chaos, troubles: BTreeMap::new() });
        Ok(())
    }

    fn task(&self, node: usize, number: usize, rule: Rule) -> Task {
        let (journal, spec) = (self.journal.clone(), &self.world.tasks[number]);
        let name = spec.name.clone();
        match self.world.kind(number) {
            Kind::Job => Task::job(name, move |_: u64, run: RunContext| work(journal.begin(node, number, &run), run)),
            Kind::Sleeper => spec.dress(Task::new(name, rule.schedule(), move |run: RunContext| {
                let going = journal.begin(node, number, &run);
                async move {
                    run.cancelled().await;
                    going.end(How::Heeded);
                }
            })),
            _ => TaskSpec { rule, ..spec.clone() }.dress(Task::new(name, rule.schedule(), move |run: RunContext| {
                work(journal.begin(node, number, &run), run)
            })),
        }
    }

    async fn make(&mut self, trouble: Trouble) -> Result<(), Error> {
        let now = self.now();
        match trouble {
            Trouble::Versions => return Ok(()),
            Trouble::Operators => return self.operate().await,
            Trouble::Stops => return self.stop_one().await,
            Trouble::StoreAway => {
                self.note("the store is away");
                self.is_away = true;
                let lasts = self.lasting();
                self.ending.push((now + lasts, None, trouble));
                (0..self.up.len()).for_each(|place| self.apply(place));
                return Ok(());
            }
            _ => {}
        }
        if self.up.is_empty() {
            return Ok(());
        }
        let place = self.random.usize(..self.up.len());
        let number = self.up[place].number;
        match trouble {
            Trouble::Kills => self.kill(place),
            Trouble::Clocks => {
                let by = if self.random.bool() { self.random.i64(-19..20) } else { self.random.i64(-120_000..120_000) };
                self.note(format_args!("the clock of n{number} is set by {by}"));
                self.up[place].node.step_clock(TimeDelta::milliseconds(by));
            }
            _ => {
                let (lasts, drawn) = (self.lasting(), self.random.u64(..));
                self.note(format_args!("{trouble:?} of n{number} for {lasts} ms"));
                self.ending.push((now + lasts, Some(number), trouble));
                self.up[place].troubles.insert(trouble, drawn);
                self.apply(place);
            }
        }
        Ok(())
    }

    fn lasting(&mut self) -> i64 {
        match self.random.u8(..4) {
            0 => self.random.i64(0..3_000),
            1 => self.random.i64(3_000..12_000),
            // Longer than a lease.
            _ => self.random.i64(10_000..30_000),
        }
    }

    fn end(&mut self, node: Option<usize>, trouble: Trouble) {
        match node {
            None => {
                self.note("the store is back");
                self.is_away = false;
                (0..self.up.len()).for_each(|place| self.apply(place));
            }
            Some(number) => {
                let Some(place) = self.up.iter().position(|up| up.number == number) else { return };
                self.note(format_args!("{trouble:?} of n{number} ends"));
                self.up[place].troubles.remove(&trouble);
                self.apply(place);
            }
        }
    }

    /// Has the troubles of a node be as they are noted, and says so in the journal.
    fn apply(&mut self, place: usize) {
        let (is_away, now) = (self.is_away, self.now());
        let up = &self.up[place];
        up.chaos.heal();
        for (trouble, &drawn) in &up.troubles {
            match trouble {
                Trouble::Cuts => up.chaos.cut_off(),
                Trouble::Calls => up.chaos.fail_at_random(drawn),
                Trouble::BeatsUnanswered => up.chaos.fail_on("heartbeat", Fault::After),
                Trouble::BeatsRefused => up.chaos.fail_on("heartbeat", Fault::Before),
                Trouble::NoticesLate => up.chaos.fail_on("changes", Fault::Slow(Duration::from_millis(drawn % 5_000))),
                _ => {}
            }
        }
        if is_away {
            up.chaos.cut_off();
        }
        let silent = [Trouble::Cuts, Trouble::BeatsRefused, Trouble::Freezes];
        let is_silent = is_away || silent.iter().any(|trouble| up.troubles.contains_key(trouble));
        let is_troubled = is_away || !up.troubles.is_empty();
        if up.troubles.contains_key(&Trouble::Freezes) {
            up.node.freeze()
        } else {
            up.node.thaw()
        }
        let contact = &mut self.journal.see().nodes[up.number].contact;
        contact.silent.set(is_silent, now);
        contact.troubled.set(is_troubled, if is_troubled { now } else { now + REPEATS_FOR });
    }

    fn kill(&mut self, place: usize) {
        let up = self.up.remove(place);
        self.note(format_args!("n{} is killed", up.number));
        self.journal.see().is_killed(up.number);
        self.buried(up.number, Fate::Killed);
        up.node.kill();
    }

    fn buried(&self, number: usize, fate: Fate) {
        let mut seen = self.journal.see();
        let now = seen.now();
        let contact = &mut seen.nodes[number].contact;
        contact.fate = fate;
        contact.silent.set(true, now);
        contact.troubled.set(true, now);
    }

    /// A node with which nothing is wrong, and that has done all that had failed.
    fn well(&mut self) -> Option<usize> {
        let since = self.now() - 1;
        let seen = self.journal.see();
        let well = |&place: &usize| seen.nodes[self.up[place].number].contact.is_well_since(since);
        let well: Vec<usize> = (0..self.up.len()).filter(well).collect();
        drop(seen);
        self.random.choice(well)
    }

    async fn stop_one(&mut self) -> Result<(), Error> {
        match self.well() {
            Some(place) if self.up.len() > 1 => self.stop(place).await,
            _ => Ok(()),
        }
    }

    async fn stop(&mut self, place: usize) -> Result<(), Error> {
        let up = self.up.remove(place);
        let (number, began) = (up.number, tokio::time::Instant::now());
        self.note(format_args!("n{number} stops"));
        let now = self.now();
        self.journal.see().nodes[number].contact.fate = Fate::Stops(now);
        let report = up.node.stop().await?;
        self.buried(number, Fate::Stopped(now));
        if report.unstored > 0 || began.elapsed() > STOP_MAX {
            let took = began.elapsed();
            self.journal.see().violation("a stop ends in time", format_args!("n{number}: {took:?}, {report:?}"));
        }
        Ok(())
    }

    /// A trigger or a job, by whichever node, which may be killed before it is answered.
    fn ask_for_a_run(&mut self) {
        if self.up.is_empty() {
            return;
        }
        let place = self.random.usize(..self.up.len());
        let task = self.random.usize(..self.world.tasks.len());
        let (up, name) = (&self.up[place], self.world.tasks[task].name.clone());
        let kind = self.world.kind(task);
        if kind == Kind::Sleeper || !self.journal.see().nodes[up.number].knows[task] {
            return;
        }
        let (handle, journal, number) = (SchedulerHandle::clone(&up.node), self.journal.clone(), up.number);
        self.note(format_args!("n{number} is asked for a run of {name}"));
        let asked = async move {
            let answer = match kind {
                Kind::Job => handle.enqueue(name.as_str(), 7_u64).await,
                _ => handle.trigger_task(&name).await,
            };
            if let Ok(id) = answer {
                let mut seen = journal.see();
                seen.note(format_args!("{name}: {id} is accepted"));
                seen.accepted.push(id);
            }
        };
        drop(up.node.spawn(asked));
    }

    async fn operate(&mut self) -> Result<(), Error> {
        let Some(place) = self.well() else { return Ok(()) };
        let number = self.up[place].number;
        let task = self.random.usize(..self.world.tasks.len());
        let name = self.world.tasks[task].name.clone();
        if self.world.kind(task) != Kind::Drawn || !self.journal.see().nodes[number].knows[task] {
            return Ok(());
        }
        let handle = SchedulerHandle::clone(&self.up[place].node);
        match self.random.u8(..10) {
            0..3 => {
                self.note(format_args!("{name} is paused"));
                handle.pause_task(&name).await?;
                self.journal.see().pause(task, true);
            }
            3..6 => {
                self.note(format_args!("{name} is resumed"));
                self.journal.see().pause(task, false);
                handle.resume_task(&name).await?;
            }
            6..9 => {
                let alive = RunFilter::new().task(&name).state(RunState::Queued).state(RunState::Running);
                let runs = handle.runs(&alive.state(RunState::Retrying)).await?;
                let Some(run) = self.random.choice(runs) else { return Ok(()) };
                self.note(format_args!("{name}: {} is cancelled", run.id));
                handle.cancel_run(run.id).await?;
                let mut seen = self.journal.see();
                let now = seen.now();
                seen.cancelled.insert(run.id, now);
            }
            _ => return self.reschedule(&handle, task, &name).await,
        }
        Ok(())
    }

    async fn reschedule(&mut self, handle: &SchedulerHandle, task: usize, name: &str) -> Result<(), Error> {
        let last = self.journal.see().tasks[task].versions.last().map(|(_, calendar)| calendar.clone());
        let Some(mut calendar) = last.filter(|last| matches!(last.rule, Rule::Every(_))) else { return Ok(()) };
        calendar.rule = Rule::Every(self.random.i64(1_000..20_000));
        self.note(format_args!("{name} is rescheduled: {:?}", calendar.rule));
        match handle.reschedule(name, calendar.rule.schedule()).await {
            Ok(()) => self.journal.see().counts_from_now(task, calendar),
            // Its window has ended, or ends before the next.
            Err(error) if error.is_config() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// All troubles end, and all that was late is done.
    async fn come_to_rest(&mut self) -> Result<(), Error> {
        self.note("all is well again");
        self.ending.clear();
        self.is_away = false;
        for place in 0..self.up.len() {
            self.up[place].troubles.clear();
            self.apply(place);
        }
        self.start(vec![true; self.world.tasks.len()], Version::One, 0).await?;
        self.pass(2 * LEASE + i64::try_from(RESTS_AFTER.as_millis()).expect("a short time")).await;
        for _ in 0..LOOKS_MAX {
            let handle = SchedulerHandle::clone(&self.up.last().expect("it has started").node);
            for task in (0..self.world.tasks.len()).filter(|&task| self.world.kind(task) == Kind::Drawn) {
                // Also where its failures have paused it.
                self.journal.see().pause(task, false);
                handle.resume_task(&self.world.tasks[task].name).await?;
            }
            self.account.look().await;
            self.pass(15_000).await;
            if self.account.is_at_rest().await {
                break;
            }
        }
        Ok(())
    }

    /// What must be prompt when nothing is wrong, also where it is asked of the store and not of a node.
    async fn calm(&mut self) {
        self.pass(12_000).await;
        let (count, late) = ticks(&self.journal.see(), 10);
        if count != 10 || late > 50 {
            let says = format_args!("{count} of 10 occurrences, up to {late} ms late").to_string();
            self.journal.see().violation("all fires again", says);
        }
        for _ in 0..3 {
            let id = self.submit(Kind::Probe).await;
            self.pass(500).await;
            self.has_begun(id);
            self.pass(800).await;
        }
        let (sleeps, waits) = (self.submit(Kind::Sleeper).await, self.submit(Kind::Sleeper).await);
        self.pass(500).await;
        self.has_begun(sleeps);
        for id in [waits, sleeps] {
            self.note(format_args!("{id} is cancelled"));
            self.store.cancel(id).await.expect("memory answers");
            let now = self.now();
            self.journal.see().cancelled.insert(id, now);
            self.pass(500).await;
        }
        let mut seen = self.journal.see();
        if seen.executing().any(|attempt| attempt.run == sleeps) {
            seen.violation("what is cancelled ends", format_args!("{sleeps} goes on, where nothing is wrong"));
        }
    }

    fn has_begun(&self, id: RunId) {
        let mut seen = self.journal.see();
        if !seen.runs.contains_key(&id) {
            seen.violation("what may begin does", format_args!("{id} waits, where nothing is wrong"));
        }
    }

    /// Adds a run to the store, as a program without an engine does.
    async fn submit(&mut self, kind: Kind) -> RunId {
        self.submitted += 1;
        let name = &self.world.tasks[self.world.of(kind)].name;
        let task = self.cluster.store().key_of(name).expect("all nodes have it");
        let id = RunId::from_parts(self.cluster.now().into(), self.submitted);
        let submission = Submission { id, task, origin: Origin::Trigger(id), scheduled_at: None, overlap: None };
        self.note(format_args!("{name}: {id} is submitted"));
        self.store.submit(&[submission]).await.expect("memory answers");
        self.journal.see().accepted.push(id);
        id
    }

    async fn stop_all(&mut self) -> Result<(), Error> {
        while !self.up.is_empty() {
            self.stop(0).await?;
        }
        self.account.look().await;
        if !self.account.is_at_rest().await {
            self.journal.see().violation("every run comes to its end", "a stop of all nodes leaves some alive");
        }
        Ok(())
    }
}
