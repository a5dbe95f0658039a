//! Who gets which run: those that wait, those whose next attempt is due, and those of dead nodes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::{Run, at};
use super::step::Change;
use super::{Database, Failed, Shared, Step, Transaction, text};
use crate::backend::jobs::STEP_BYTES_MAX;
use crate::backend::rows::ClaimTurn;
use crate::backend::{Cancelled, Claim, Claimed, Claims, Died, Holder, NODE_DEATHS_MAX, TaskKey};
use crate::outcome::{Failure, Outcome};
use crate::run::RunState;

/// How many tasks are looked at before they are compared with those that the node knows: nodes that know all of them need no
/// more, and one that does not has the database compare them.
const LOOKED_AT: usize = 256;

/// How many looks of a claim are at single tasks.
const LOOKS_MAX: u32 = 8;

/// A task in which something might be claimed, or a run whose next attempt is to come.
#[derive(Deserialize)]
struct Due {
    task: i64,
    due_at: i64,
}

/// A run that might be claimed, and its lane.
#[derive(Deserialize)]
struct Candidate(Run, i64);

/// The lane of jobs that wait, and are no runs yet; the others are numbered from 0 on by the store.
const NEW_JOBS: i64 = -1;

/// The order of claims.
type Rank = (Reverse<i64>, i64, i64, i64, String);

/// The runs that might be claimed next, the first first. Of each lane of a task so many are there as were looked at; when
/// they are taken, more are looked at.
#[derive(Default)]
struct Front {
    candidates: BTreeMap<Rank, Candidate>,
    /// By task and lane.
    lanes: BTreeMap<(i64, i64), Lane>,
    taken: HashSet<String>,
    /// How often more was looked at.
    looks: u32,
    /// How long the arguments of jobs are, and those that are brought together.
    bytes: HashMap<String, usize>,
    brought: usize,
}

/// How far a lane is read.
#[derive(Default)]
struct Lane {
    read: usize,
    taken: usize,
    /// Whether there may be more.
    is_cut: bool,
}

impl<D: Database> Shared<D> {
    pub(super) async fn claim(&self, holder: &Holder, claim: &Claim) -> Result<Claims, Failed> {
        self.greet(holder).await?;
        let mut step = self.begin().await?;
        let mut claims = Claims::default();
        match step.number_claim(&holder.node, claim).await? {
            ClaimTurn::New => {}
            ClaimTurn::Repeated => {
                claims.runs = step.claimed_before(&holder.node, claim).await?;
                claims.next_at = (claims.runs.len() < claim.max).then_some(step.now);
                return Ok(claims);
            }
            ClaimTurn::GivenUp => return Ok(claims),
        }
        let mut next_now = None;
        let mut tasks = step.claimable(&holder.node, claim, claim.max).await?;
        let jobs = step.claimable_jobs(claim).await?;
        tasks.extend(jobs.tasks());
        if claim.max > 0 && !tasks.is_empty() {
            step.lock_free(tasks).await?;
            let (runs, is_cut) = step.take(&holder.node, claim).await?;
            claims.runs = runs;
            next_now = is_cut.then_some(step.now);
        }
        let next_attempt = step.next_attempt(claim).await?;
        claims.next_at = next_attempt.into_iter().chain(jobs.next_at()).map(at).chain(next_now).min();
        self.commit(step).await?;
        Ok(claims)
    }
}

impl Front {
    /// Whether the arguments of a run are brought with those that the claim brings already.
    fn fits(&mut self, run: &Run) -> bool {
        let bytes = self.brought + self.bytes.get(&run.id).copied().unwrap_or_default();
        let fits = bytes <= STEP_BYTES_MAX || self.brought == 0;
        if fits {
            self.brought = bytes;
        }
        fits
    }

    fn takes(&mut self, run: &Run, lane: i64) {
        self.lanes.entry((run.task, lane)).or_default().taken += 1;
        self.taken.insert(run.id.clone());
    }

    /// The tasks that have a lane of which there may be more, and of which that is so.
    fn tasks_in(&self, is_so: impl Fn(&Lane) -> bool) -> Vec<i64> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.is_cut && is_so(lane));
        let mut tasks: Vec<i64> = lanes.map(|(&(task, _), _)| task).collect();
        tasks.dedup();
        tasks
    }
}

impl<T: Transaction> Step<'_, T> {
    /// Notes the number of a claim, unless it is an old one.
    async fn number_claim(&mut self, node: &str, claim: &Claim) -> Result<ClaimTurn, Failed> {
        #[derive(Deserialize)]
        struct Node {
            last_claim: Option<u64>,
        }
        let known: Option<Node> = self.ask(&self.sql.node, json!({ "node": node })).await?;
        let turn = claim.turn(known.and_then(|known| known.last_claim));
        if turn == ClaimTurn::New {
            let number = super::rows::count(claim.number);
            self.tell(&self.sql.save_claim, json!({ "node": node, "claim": number })).await?;
        }
        Ok(turn)
    }

    /// What the same claim has got before.
    async fn claimed_before(&mut self, node: &str, claim: &Claim) -> Result<Vec<Claimed>, Failed> {
        let input = json!({ "node": node, "claim": super::rows::count(claim.number) });
        let runs: Vec<Run> = self.list(&self.sql.runs_claimed, input).await?;
        self.lock(runs.iter().map(|run| run.task)).await?;
        let mut runs: Vec<Run> = runs.into_iter().filter(|run| is_wanted(claim, run.task)).collect();
        runs.sort_by_key(|run| self.rank(run));
        let claimed = runs.iter().take(claim.max).map(|run| {
            let was = run.was.as_deref().map_or(Ok(RunState::Queued), text::state)?;
            self.claimed(run, was)
        });
        let claimed = claimed.collect::<Result<_, _>>()?;
        self.with_arguments(claimed).await
    }

    /// The tasks in which something might be claimed, as many as could fill the claim.
    async fn claimable(&mut self, node: &str, claim: &Claim, wanted: usize) -> Result<Vec<i64>, Failed> {
        let max = wanted.saturating_add(LOOKED_AT);
        let input = json!({ "node": node, "max": max });
        let found: Vec<Due> = self.list(&self.sql.claimable, input).await?;
        let was_cut = found.len() == max;
        let known: Vec<i64> = found.iter().map(|due| due.task).filter(|&task| is_wanted(claim, task)).collect();
        if !was_cut || known.len() >= wanted {
            return Ok(known);
        }
        let input = json!({ "node": node, "max": max, "known": all(claim) });
        let found: Vec<Due> = self.list(&self.sql.claimable_known, input).await?;
        Ok(found.iter().map(|due| due.task).collect())
    }

    /// Takes the first of the runs of the locked tasks that may begin; tells whether there are more, whose arguments would be too
    /// long together with those that are brought.
    async fn take(&mut self, node: &str, claim: &Claim) -> Result<(Vec<Claimed>, bool), Failed> {
        let wanted = claim.max;
        let ids: Vec<i64> = self.tasks.keys().copied().collect();
        let mut front = Front::default();
        // One more than a task's share: a task of which one run waits is known to have no more.
        let depth = 1 + (2 * wanted).div_ceil(ids.len().max(1));
        self.look_at(&mut front, claim, node, ids, depth).await?;
        self.look_at_jobs(&mut front, claim, wanted).await?;
        let mut groups = self.groups().await?;
        let (mut claimed, mut begun, mut is_cut) = (Vec::new(), Vec::new(), false);
        while let Some((_, Candidate(mut run, lane))) = front.candidates.pop_first() {
            let was = run.run_state()?;
            if was == RunState::Running {
                if self.ends_with_its_node(&run)? {
                    front.takes(&run, lane);
                    self.look_further(&mut front, claim, node, &run, lane).await?;
                    continue;
                }
                run.deaths += 1;
                run.abandoned += 1;
                run.holder = None;
                // Its place in its group is free by the death of its node, and taken by this.
            }
            if claimed.len() == wanted {
                continue;
            }
            let task = &self.tasks[&run.task];
            let is_held_back = (run.is_scheduled() || run.is_job()) && self.is_paused(task);
            let needs_room = was == RunState::Queued && run.beside == 0;
            let group = task.grp.clone();
            let has_place = was == RunState::Running || groups.has_room(group.as_deref());
            if is_held_back || needs_room && !task.has_room() || !has_place {
                continue;
            }
            if !front.fits(&run) {
                is_cut = true;
                break;
            }
            if was != RunState::Running {
                groups.take(group.as_deref());
            }
            if was == RunState::Retrying && run.put_off_by.as_deref() != Some(node) {
                self.log.push(Change::Resumed(run.run_id()?));
            }
            front.takes(&run, lane);
            match lane {
                NEW_JOBS => self.begin_job(&mut run, node),
                _ => self.give(&mut run, node),
            }
            run.claim = Some(super::rows::count(claim.number));
            run.was = Some(was.to_string());
            claimed.push(self.claimed(&run, was)?);
            if claimed.len() < wanted {
                self.look_further(&mut front, claim, node, &run, lane).await?;
            }
            match lane {
                NEW_JOBS => begun.push(run),
                _ => self.change(run),
            }
        }
        self.write_begun_jobs(&begun).await?;
        Ok((self.with_arguments(claimed).await?, is_cut))
    }

    /// Reads the first candidates of each lane of these tasks, `depth` of a lane, or more where the claimer cannot read what
    /// comes first.
    async fn look_at(
        &mut self,
        front: &mut Front,
        claim: &Claim,
        node: &str,
        mut tasks: Vec<i64>,
        mut depth: usize,
    ) -> Result<(), Failed> {
        while !tasks.is_empty() {
            let input = json!({ "node": node, "ids": tasks, "max": depth });
            let candidates: Vec<Candidate> = self.list(&self.sql.candidates, input).await?;
            let jobs = candidates.iter().filter(|candidate| candidate.0.is_job());
            let jobs: Vec<String> = jobs.map(|candidate| candidate.0.id.clone()).collect();
            let jobs = self.facts_of_jobs(jobs).await?;
            for Candidate(run, lane) in &candidates {
                front.lanes.entry((run.task, *lane)).or_default().read = 0;
            }
            for candidate in candidates {
                let Candidate(run, lane) = &candidate;
                let there = front.lanes.entry((run.task, *lane)).or_default();
                there.read += 1;
                there.is_cut = there.read == depth;
                let job = jobs.get(&run.id);
                if front.taken.contains(&run.id) {
                    continue;
                }
                if run.is_job() && !job.is_some_and(|job| claim.reads(TaskKey(run.task.unsigned_abs()), job.version)) {
                    // It is left to others, and those behind it are not.
                    front.takes(run, *lane);
                    self.set_aside(candidate.0, node)?;
                    continue;
                }
                let (own, due_at) = self.rank(run);
                let priority = job.map_or(own, |job| Reverse(job.priority));
                if let Some(job) = job {
                    front.bytes.insert(run.id.clone(), job.bytes);
                }
                front.candidates.insert((priority, due_at, run.scheduled_at, run.made, run.id.clone()), candidate);
            }
            tasks = front.tasks_in(|lane| lane.taken >= lane.read);
            depth *= 2;
        }
        Ok(())
    }

    /// Reads the first jobs that wait of each of the locked tasks: as many as could be claimed, so that none is read later.
    async fn look_at_jobs(&mut self, front: &mut Front, claim: &Claim, wanted: usize) -> Result<(), Failed> {
        for (run, priority, bytes) in self.waiting_for_a_claim(claim, wanted).await? {
            front.bytes.insert(run.id.clone(), bytes);
            let rank = (Reverse(priority), run.due_at, run.scheduled_at, run.made, run.id.clone());
            front.candidates.insert(rank, Candidate(run, NEW_JOBS));
        }
        Ok(())
    }

    /// Reads more where a lane has been taken from as far as it was read: at once of all tasks of which that is soon so, and
    /// after some such looks of all that there are, so that they stay few.
    async fn look_further(
        &mut self,
        front: &mut Front,
        claim: &Claim,
        node: &str,
        run: &Run,
        lane: i64,
    ) -> Result<(), Failed> {
        let is_used_up = |lane: &Lane| lane.is_cut && lane.taken >= lane.read;
        if !front.lanes.get(&(run.task, lane)).is_some_and(is_used_up) {
            return Ok(());
        }
        front.looks += 1;
        let is_soon = |lane: &Lane| front.looks > LOOKS_MAX || 2 * lane.taken >= lane.read;
        let tasks = front.tasks_in(is_soon);
        let read = front.lanes.values().filter(|lane| lane.is_cut && is_soon(lane)).map(|lane| lane.read).max();
        self.look_at(front, claim, node, tasks, 2 * read.unwrap_or_default()).await
    }

    /// Has a job that `node` cannot read, and that has begun, wait for somebody who can, without room: after a roll-back it
    /// would keep its task from all other work.
    fn set_aside(&mut self, mut run: Run, node: &str) -> Result<(), Failed> {
        match run.run_state()? {
            RunState::Queued => return Ok(()),
            RunState::Running => {
                if self.ends_with_its_node(&run)? {
                    return Ok(());
                }
                run.deaths += 1;
                run.abandoned += 1;
                run.holder = None;
            }
            _ if run.put_off_by.as_deref() != Some(node) => self.log.push(Change::Resumed(run.run_id()?)),
            _ => {}
        }
        self.enter_queue(&mut run);
        self.log.push(Change::Runnable);
        self.change(run);
        Ok(())
    }

    /// Ends a run whose node is dead, if it may not be executed again.
    fn ends_with_its_node(&mut self, run: &Run) -> Result<bool, Failed> {
        let (now, deaths) = (self.now, run.deaths + 1);
        let task = &self.tasks[&run.task];
        if let Some(cause) = run.cancelling() {
            let (id, task) = (run.run_id()?, TaskKey(run.task.unsigned_abs()));
            self.log.push(Change::Cancelled(Cancelled { id, task, cause, was: RunState::Queued }));
            self.end_run(run.clone(), &Outcome::Cancelled(cause), None, now);
        } else if task.at_most_once != 0 {
            self.tell_of_death(run, RunState::Abandoned)?;
            self.end_in(run.clone(), RunState::Abandoned, Some("its node died".into()), None, now);
        } else if deaths >= i64::from(NODE_DEATHS_MAX) {
            let deaths = u32::try_from(deaths).unwrap_or(u32::MAX);
            self.tell_of_death(run, RunState::Failed)?;
            self.end_run(run.clone(), &Outcome::Failed(Failure::node_died(deaths)), None, now);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Tells the nodes of a run that is about to end because its holder died.
    fn tell_of_death(&mut self, run: &Run, state: RunState) -> Result<(), Failed> {
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        self.log.push(Change::Died(Died {
            id: run.run_id()?,
            task: TaskKey(run.task.unsigned_abs()),
            node: run.holder.as_deref().unwrap_or_default().into(),
            attempt: count(run.attempt),
            deaths: count(run.deaths + 1),
            state,
            ended_at: self.now,
        }));
        Ok(())
    }

    /// When the next attempt of a run of the claim's tasks is due.
    async fn next_attempt(&mut self, claim: &Claim) -> Result<Option<i64>, Failed> {
        let first = |found: &[Due]| found.iter().find(|due| is_wanted(claim, due.task)).map(|due| due.due_at);
        let found: Vec<Due> = self.list(&self.sql.retrying, json!({ "max": LOOKED_AT })).await?;
        let next = first(&found);
        if next.is_some() || found.len() < LOOKED_AT {
            return Ok(next);
        }
        let found: Vec<Due> = self.list(&self.sql.retrying_known, json!({ "max": 1, "known": all(claim) })).await?;
        Ok(first(&found))
    }

    /// The order in which runs are claimed.
    fn rank(&self, run: &Run) -> (Reverse<i64>, i64) {
        let priority = self.tasks.get(&run.task).map_or(0, |task| task.priority);
        (Reverse(priority), run.due_at)
    }

    fn claimed(&self, run: &Run, was: RunState) -> Result<Claimed, Failed> {
        Ok(Claimed {
            task: TaskKey(run.task.unsigned_abs()),
            id: run.run_id()?,
            hold: run.hold(&self.tasks[&run.task]),
            origin: run.origin()?,
            scheduled_at: at(run.scheduled_at),
            due_at: at(run.due_at),
            missed: run.missed(),
            attempt: u32::try_from(run.attempt).unwrap_or(u32::MAX),
            abandoned: u32::try_from(run.abandoned).unwrap_or(u32::MAX),
            was,
            arguments: None,
        })
    }
}

fn is_wanted(claim: &Claim, task: i64) -> bool {
    claim.tasks.binary_search(&TaskKey(task.unsigned_abs())).is_ok()
}

fn all(claim: &Claim) -> Value {
    claim.tasks.iter().map(|&task| super::rows::id(task)).collect()
}
