//! What must be true of the whole, once the script has ended: the ledgers, the fate of every run, and what can only be
//! seen by looking back.

use std::collections::{BTreeMap, HashMap, HashSet};

use symphra_scheduler::backend::RunRow;
use symphra_scheduler::test_util::TestScheduler;
use symphra_scheduler::{Ledger, Origin, Overlap, Record, RunId, RunState, SchedulerEvent, StopReport};

use super::body::How;
use super::calendar::Rule;
use super::journal::{Journal, ROUNDING, RunSeen, Seen, made_at};
use super::scenario::TaskSpec;

/// So many ended runs of a task are kept.
const KEPT_MAX: usize = 100;

/// Checks the ledgers of all tasks; the occurrences of each by now.
pub(crate) async fn account<B>(journal: &Journal, test: &TestScheduler<B>) -> Vec<Option<u64>> {
    let scenario = std::sync::Arc::clone(&journal.see().scenario);
    let mut occurrences = Vec::new();
    let stats = test.stats();
    let is_full = stats.queued_runs + stats.active_workers >= scenario.max_workers + scenario.queue_size;
    let marks = if is_full { Marks::MayWait } else { Marks::AreDealtWith };
    for (number, spec) in scenario.tasks.iter().enumerate() {
        if !journal.see().tasks[number].is_registered {
            occurrences.push(None);
            continue;
        }
        let ledger = test.ledger(&spec.name).await.expect("it is registered");
        let records = test.records(&spec.name).await.expect("it is registered");
        journal.see().note(format_args!("{} {ledger:?}", spec.name));
        // Not in the condition, where the lock would be held for the whole block.
        let balance = balance(&journal.see(), number, spec, ledger, &records, marks);
        if let Err(wrong) = balance {
            journal.see().violation(format_args!("{}: {wrong}; {ledger:?} {records:?}", spec.name));
        }
        occurrences.push(Some(ledger.occurrences));
    }
    occurrences
}

/// Whether what is due may wait as a mark, because as many runs are held as may be: triggered ones are in a pause too.
#[derive(Clone, Copy, PartialEq)]
enum Marks {
    MayWait,
    AreDealtWith,
}

fn balance(
    seen: &Seen,
    number: usize,
    spec: &TaskSpec,
    ledger: Ledger,
    records: &[Record],
    marks: Marks,
) -> Result<(), String> {
    let task = &seen.tasks[number];
    if !ledger.balances() {
        return Err("its ledger does not balance".into());
    }
    if ledger.recorded != records.iter().map(|record| record.count).sum::<u64>() {
        return Err("its records are not what its ledger counts".into());
    }
    if ledger.runs < task.scheduled_runs {
        return Err(format!("{} occurrences have begun as runs", task.scheduled_runs));
    }
    if spec.max_runs.is_some_and(|max| ledger.runs > max) {
        return Err(format!("more runs than {:?}", spec.max_runs));
    }
    if task.versions.iter().any(|version| version.calendar.is_delay()) {
        return Ok(());
    }
    let most = at_most(seen, number, spec);
    if ledger.occurrences > most {
        return Err(format!("there were {most} occurrences at most"));
    }
    let is_over = spec.max_runs.is_some_and(|max| ledger.runs >= max);
    if is_over || marks == Marks::MayWait {
        return Ok(());
    }
    let least = at_least(seen, number, spec);
    if ledger.occurrences < least {
        return Err(format!("there were {least} occurrences at least"));
    }
    if seen.set_back.is_empty() {
        for record in records {
            let (first, last) = (record.first.as_millis(), record.last.as_millis());
            let within: u64 = task.versions.iter().map(|version| version.calendar.count(first - 1, last)).sum();
            if record.count > within {
                return Err(format!("{within} occurrences lie in {record:?}"));
            }
        }
    }
    Ok(())
}

/// How many occurrences may have fallen due: those of each schedule while it counted, on the clock as it was shown, and
/// so again what was shown again.
fn at_most(seen: &Seen, number: usize, spec: &TaskSpec) -> u64 {
    let (now, versions) = (seen.now().wall, &seen.tasks[number].versions);
    let mut shown = Vec::new();
    let mut from = i64::MIN;
    for &(before, after) in &seen.set_back {
        shown.push((from, before));
        from = after;
    }
    shown.push((from, now));
    let mut most = 0;
    for (place, version) in versions.iter().enumerate() {
        let since = version.asked;
        let until = versions
            .get(place + 1)
            .map_or(i64::MAX, |next| if seen.set_back.is_empty() { next.answered } else { i64::MAX });
        for &(from, to) in &shown {
            let is_first = from == i64::MIN;
            let slack = if is_first { 0 } else { spec.jitter + 1_000 };
            most += version.calendar.count(since.max(from.saturating_sub(slack)), to.min(until));
        }
    }
    most + past_at_first_sight(seen, number)
}

/// How many occurrences must have fallen due: whatever the clock has shown since the task was there, but for what its
/// jitter may still hold back.
fn at_least(seen: &Seen, number: usize, spec: &TaskSpec) -> u64 {
    let (now, versions) = (seen.now().wall, &seen.tasks[number].versions);
    // A clock that is set back shows again what lies before the first registration.
    let registered = versions[0].answered;
    let mut least = 0;
    for (place, version) in versions.iter().enumerate() {
        let until = versions.get(place + 1).map_or(now - ROUNDING, |next| next.asked) - spec.jitter;
        least += version.calendar.count(version.answered.max(registered), until);
    }
    // Set back before that instant, the clock has not come to it yet.
    least + if seen.set_back.is_empty() { past_at_first_sight(seen, number) } else { 0 }
}

/// A task of one instant that was past when it was first seen has that one occurrence.
fn past_at_first_sight(seen: &Seen, number: usize) -> u64 {
    let first = &seen.tasks[number].versions[0];
    u64::from(matches!(first.calendar.rule, Rule::Once(at) if at <= first.answered))
}

/// Every task whose schedule goes on has had more occurrences since.
pub(crate) async fn goes_on<B>(journal: &Journal, test: &TestScheduler<B>, before: &[Option<u64>]) {
    let scenario = std::sync::Arc::clone(&journal.see().scenario);
    for (number, spec) in scenario.tasks.iter().enumerate() {
        let Some(before) = before[number] else { continue };
        let ledger = test.ledger(&spec.name).await.expect("it is registered");
        let seen = journal.see();
        let (now, version) = (seen.now().wall, seen.tasks[number].versions.last().expect("it is registered"));
        // A clock that was set back shows again what lies before the first registration, where no occurrence is.
        let registered = seen.tasks[number].versions[0].answered;
        let next = version.calendar.next(version.answered.max(registered).max(now - 100_000));
        // A delay names no instant before its mark, and waits until a clock that was set back has come to it.
        let shown = seen.set_back.iter().map(|&(before, _)| before).max().filter(|_| version.calendar.is_delay());
        let is_due = next.is_some_and(|at| (at + spec.jitter).max(shown.unwrap_or(at)) < now - 1_000);
        let is_over = spec.max_runs.is_some_and(|max| ledger.runs >= max);
        // Behind a mark that lies ahead what is shown again is recorded, so that it goes on as well.
        if is_due && !is_over && ledger.occurrences <= before && is_fast(seen.scenario.max_workers, &scenario.tasks) {
            drop(seen);
            journal.see().violation(format_args!("{} has no more occurrences: {ledger:?}", spec.name));
        }
    }
}

/// Whether the workers keep up, so that no task waits as a mark for long.
fn is_fast(workers: usize, tasks: &[TaskSpec]) -> bool {
    workers >= 3 && tasks.iter().all(|task| task.body.duration_max <= 900)
}

/// Every run that began has an end, or is listed; and its end is what its attempts say.
pub(crate) fn every_run<B>(journal: &Journal, test: &TestScheduler<B>, report: &StopReport, rows: &[RunRow]) {
    let told = test.told();
    let mut ended: HashMap<RunId, RunState> = HashMap::new();
    let mut wrong = Vec::new();
    for event in &told {
        if let SchedulerEvent::RunEnded { run, state, .. } = event
            && let Some(before) = ended.insert(*run, *state)
        {
            wrong.push(format!("{run} ends twice: {before}, {state}"));
        }
    }
    let by_id: HashMap<RunId, &RunRow> = rows.iter().map(|row| (row.id, row)).collect();
    if by_id.len() != rows.len() {
        wrong.push("a run has two rows".into());
    }
    let listed: HashSet<RunId> = report.cancelled.iter().map(|run| run.id).collect();
    let mut kept: BTreeMap<u64, usize> = BTreeMap::new();
    rows.iter().filter(|row| row.state.is_final()).for_each(|row| *kept.entry(row.task.0).or_default() += 1);
    let seen = journal.see();
    for (&id, run) in &seen.runs {
        let spec = &seen.scenario.tasks[run.task];
        let Some(row) = by_id.get(&id) else {
            let key = test.store().key_of(&spec.name).map_or(u64::MAX, |key| key.0);
            let is_pruned = kept.get(&key).is_some_and(|&kept| kept >= KEPT_MAX);
            // What was between two attempts may have been cancelled in the store, which is not told as an event.
            let goes_on = run.attempts.last().is_some_and(|&last| seen.attempts[last].ended.is_none());
            if !is_pruned || goes_on && !listed.contains(&id) {
                wrong.push(format!("{}: {id} began and is lost", spec.name));
            }
            continue;
        };
        if row.state == RunState::Running && !listed.contains(&id) {
            wrong.push(format!("{}: {id} is left running", spec.name));
        }
        wrong.extend(contradicts(&seen, spec, id, &run.attempts, row.state));
    }
    drop(seen);
    for wrong in wrong {
        journal.see().violation(wrong);
    }
}

/// What the state of a run says that its attempts do not.
fn contradicts(seen: &Seen, spec: &TaskSpec, id: RunId, attempts: &[usize], state: RunState) -> Option<String> {
    let last = &seen.attempts[*attempts.last()?];
    let (ended, how) = last.ended?;
    let counted = attempts.iter().filter(|&&attempt| !seen.attempts[attempt].is_abandoned).count();
    // What a stop has cut short past its timeout may have ended by either, and counts or not.
    let is_used_up = attempts.len() >= spec.tries().max as usize;
    let is_last = is_used_up || how == How::FailedForGood;
    let is_timed_out = spec.timeout.is_some_and(|timeout| ended.passed - last.began.passed >= timeout);
    let is_so = match state {
        RunState::Succeeded => how == How::Succeeded && !is_timed_out,
        RunState::Failed => {
            matches!(how, How::Failed | How::FailedUntil(_) | How::FailedForGood | How::Panicked | How::Heeded)
                && is_last
        }
        RunState::TimedOut => is_timed_out && (last.is_abandoned || is_used_up),
        RunState::Retrying => how != How::Succeeded || is_timed_out,
        RunState::Abandoned => spec.at_most_once,
        _ => true,
    };
    (!is_so)
        .then(|| format!("{}: {id} is {state}, and attempt {} of {counted} ended as {how:?}", spec.name, last.number))
}

/// Of a task that may not overlap itself no more runs are between their beginning and their end than it allows.
pub(crate) fn alive_at_once(journal: &Journal) {
    let mut seen = journal.see();
    let mut wrong = Vec::new();
    let mut steps: Vec<Vec<(usize, i64, RunId)>> = vec![Vec::new(); seen.tasks.len()];
    // Of a trigger whose answer was lost it is not known whether it may run beside others.
    let is_unsure = |run: &RunSeen| seen.scenario.has_faults && matches!(run.origin, Origin::Trigger(_));
    for (&id, run) in seen.runs.iter().filter(|(id, run)| !seen.beside.contains(*id) && !is_unsure(run)) {
        let mut open = None;
        let mut until = 0;
        for &attempt in &run.attempts {
            let attempt = &seen.attempts[attempt];
            open.get_or_insert(attempt.began.seq);
            until = attempt.ended.map_or(usize::MAX, |(ended, _)| ended.seq);
            if attempt.is_abandoned {
                // It went back to the queue, and has not begun again until it does.
                steps[run.task].extend([(open.take().unwrap_or(0), 1, id), (until, -1, id)]);
            }
        }
        if let Some(from) = open {
            steps[run.task].extend([(from, 1, id), (until, -1, id)]);
        }
    }
    for (number, mut steps) in steps.into_iter().enumerate() {
        let Some(max) = seen.scenario.tasks[number].alive_max() else { continue };
        steps.sort_by_key(|&(seq, step, _)| (seq, step));
        let mut alive = 0;
        for (_, step, id) in steps {
            alive += step;
            if alive > max as i64 {
                wrong.push(format!("task {number}: with {id} there are {alive} runs alive, and {max} may be"));
            }
        }
    }
    wrong.truncate(5);
    wrong.into_iter().for_each(|wrong| seen.violation(wrong));
}

/// No run begins while one of a higher priority waits for nothing but a worker.
///
/// Which runs do can be told of tasks whose occurrences are accepted and handed to the executor in one step, which are
/// those on a grid that skip or allow overlaps, outside a group (a fixed delay waits for a trigger's run), where nothing moves runs about meanwhile; and the instant is the
/// one in the id, where the store answers at once and no clock is set.
pub(crate) fn priorities(journal: &Journal) {
    let mut seen = journal.see();
    let scenario = std::sync::Arc::clone(&seen.scenario);
    if scenario.has_faults || scenario.steps_clock || scenario.restarts {
        return;
    }
    let mut wrong = Vec::new();
    for (place, waited) in seen.attempts.iter().enumerate().filter(|(_, attempt)| attempt.number == 1) {
        let spec = &scenario.tasks[waited.task];
        let is_on_a_grid = !matches!(spec.rule, Rule::Delay(_));
        let skips = matches!(spec.overlap, None | Some(Overlap::Skip | Overlap::Allow));
        let is_direct = is_on_a_grid && skips && !spec.in_group;
        let accepted = made_at(waited.run) - scenario.begins_at;
        let is_moved = seen.disturbed.iter().any(|&at| accepted <= at && at <= waited.began.passed);
        if !is_direct || is_moved || spec.pause_after.is_some() || seen.runs[&waited.run].origin != Origin::Schedule {
            continue;
        }
        let meanwhile = seen.attempts[..place].iter().rev().take_while(|other| other.began.passed > accepted);
        let passed_over = meanwhile.into_iter().find(|other| scenario.tasks[other.task].priority < spec.priority);
        if let Some(other) = passed_over {
            wrong.push(format!("{} begins before {}, which was accepted at {accepted}", other.run, waited.run));
        }
    }
    wrong.truncate(5);
    wrong.into_iter().for_each(|wrong| seen.violation(wrong));
}
