//! Promises about the list of runs as it is turned page by page.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::jobs::Jobs;
use super::{Subject, Ticking, disk_full, end, node, trigger};
use crate::backend::{
    Begin, Claim, Claimed, End, Holder, NewJob, Retention, RunCursor, RunQuery, RunRow, Stored, Submission, Submitted,
    TaskRules,
};
use crate::outcome::Outcome;
use crate::run::{RunId, RunState};

/// How many runs of one instant there are when the list is begun: more than a page of anybody's.
const RUNS: u64 = 300;

/// How many of them have ended by then.
const ENDED: usize = 90;

/// A task of which any number of runs may be alive and whose runs are kept, with [`RUNS`] of them at one instant.
struct Crowd {
    task: Ticking,
    backend: Subject,
    at: Timestamp,
    holder: Holder,
    claims: u64,
}

impl Crowd {
    async fn new(backend: &Subject, name: &str) -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        let retention = Arc::new(Retention { runs: 10_000, failures: 10_000, failures_for: day });
        let rules = TaskRules { alive_max: None, retention, ..TaskRules::default() };
        let task = Ticking::with(backend, name, rules).await;
        let at = task.at(1);
        let crowd = Self { task, backend: Arc::clone(backend), at, holder: node(name), claims: 0 };
        crowd.submit(1..=RUNS, at).await;
        crowd
    }

    async fn submit(&self, numbers: impl IntoIterator<Item = u64>, at: Timestamp) {
        let submissions: Vec<Submission> = (numbers.into_iter())
            .map(|number| Submission { scheduled_at: Some(at), ..trigger(self.task.key, number) })
            .collect();
        let answers = self.backend.submit(&submissions).await.expect("a submission is answered");
        assert!(answers.iter().all(|answer| *answer == Submitted::Queued { cancel: None }), "{answers:?}");
    }

    async fn claim(&mut self, max: usize) -> Vec<Claimed> {
        self.claims += 1;
        let claim = Claim { number: self.claims, tasks: [self.task.key].into(), jobs: [].into(), max };
        let claimed = self.backend.claim(&self.holder, &claim).await.expect("a claim is answered").runs;
        assert_eq!(claimed.len(), max, "as many wait");
        claimed
    }

    /// Ends runs, every third of them with an error.
    async fn end(&self, runs: impl IntoIterator<Item = Claimed>) {
        for (place, run) in runs.into_iter().enumerate() {
            let outcome = if place % 3 == 0 { disk_full() } else { Outcome::Succeeded };
            let stored = end(&self.backend, self.task.key, run.id, run.hold.token, End::Final(outcome)).await;
            assert!(matches!(stored, Stored::Done { .. }), "who holds a run can end it: {stored:?}");
        }
    }
}

async fn page(backend: &Subject, query: &RunQuery) -> (Vec<RunRow>, Option<RunCursor>) {
    let page = backend.runs_page(query).await.expect("runs are listed");
    assert!(page.rows.len() <= query.limit.unwrap_or(usize::MAX), "a page is no longer than was asked");
    // A place that has travelled as a text is the same.
    (page.rows, page.next.map(|next| next.to_string().parse().expect("it reads back")))
}

/// The list from its beginning, page by page; `meanwhile` is done before each further page.
async fn turned(backend: &Subject, query: &RunQuery, mut meanwhile: impl AsyncFnMut()) -> Vec<RunRow> {
    let (mut query, mut listed) = (query.clone(), Vec::new());
    loop {
        let (rows, next) = page(backend, &query).await;
        assert!(next.is_none() || Some(rows.len()) == query.limit, "a page with others behind it is full");
        listed.extend(rows);
        if next.is_none() {
            return listed;
        }
        query.after = next;
        meanwhile().await;
    }
}

fn ids(rows: &[RunRow]) -> Vec<RunId> {
    rows.iter().map(|row| row.id).collect()
}

/// On all stores the list has one order: what is alive, the latest instant first and of one instant the greatest id; then what has
/// ended, the last first. While nothing happens its pages, of whatever length, are the list.
pub async fn runs_have_one_order_in_which_pages_follow(backend: Subject) {
    let (mut crowd, other) = (Crowd::new(&backend, "pay").await, Ticking::unlimited(&backend, "ship").await);
    crowd.submit([RUNS + 1, RUNS + 2], crowd.task.at(5)).await;
    let claimed = crowd.claim(60).await;
    let ended: Vec<RunId> = claimed[..40].iter().rev().map(|run| run.id).collect();
    crowd.end(claimed.into_iter().take(40)).await;
    other.hold(&node("a"), 1).await;
    let hold = other.hold(&node("a"), 2).await;
    other.succeed(2, hold).await;

    let all = page(&backend, &RunQuery::default()).await.0;
    assert_eq!(all.len() as u64, RUNS + 4, "all are there");
    let (alive, over) = all.split_at(all.len() - 41);
    let place = |row: &RunRow| std::cmp::Reverse((row.scheduled_at, row.id));
    assert!(
        alive.iter().all(|row| !row.state.is_final()) && alive.is_sorted_by_key(place),
        "what is alive comes first"
    );
    assert_eq!(over[0].id, other.id(2), "then what has ended, the last first");
    assert_eq!(ids(&over[1..]), ended);
    for limit in [1, 7, 100, 303, 304, 305] {
        let query = RunQuery { limit: Some(limit), ..RunQuery::default() };
        let pages = turned(&backend, &query, async || ()).await;
        assert_eq!(ids(&pages), ids(&all), "in pages of {limit}");
    }
    let mut query = RunQuery { limit: Some(9), states: vec![RunState::Failed], ..RunQuery::of(crowd.task.key) };
    let failed: Vec<RunId> = over.iter().filter(|row| row.state == RunState::Failed).map(|row| row.id).collect();
    assert_eq!(ids(&turned(&backend, &query, async || ()).await), failed, "a filter leaves the order as it is");
    query = RunQuery { limit: Some(9), from: Some(crowd.task.at(2)), ..RunQuery::default() };
    let later: Vec<RunId> = all.iter().filter(|row| row.scheduled_at >= crowd.task.at(2)).map(|row| row.id).collect();
    assert_eq!(ids(&turned(&backend, &query, async || ()).await), later);
    query = RunQuery { limit: Some(0), ..RunQuery::default() };
    assert_eq!(page(&backend, &query).await, (Vec::new(), None), "a page of none is one");
}

/// A run that is there from the first page to the last, and is asked for all the while, is on one page and on no other, although
/// more runs than a page holds share its instant, and whatever others begin, end and come before a page is turned.
pub async fn pages_of_runs_meet_no_run_twice_and_leave_none_out(backend: Subject) {
    let jobs = Jobs::new(&backend, "mail").await;
    let all_states = RunState::ALL.to_vec();
    let done = vec![RunState::Succeeded, RunState::Failed];
    for (round, (of_one_task, states, limit)) in
        [(true, Vec::new(), 37), (false, all_states, 100), (false, Vec::new(), 41), (true, done, 20)]
            .into_iter()
            .enumerate()
    {
        let mut crowd = Crowd::new(&backend, &format!("pay {round}")).await;
        let claimed = crowd.claim(ENDED + 40).await;
        let mut running = claimed.into_iter();
        crowd.end(running.by_ref().take(ENDED)).await;
        if let Some(jobs) = &jobs {
            let first = 1_000 * round as u64;
            for number in first..first + 30 {
                jobs.enqueue(NewJob { begin: Begin::At(crowd.at), ..jobs.job(number) }).await;
            }
        }
        let query = RunQuery {
            task: of_one_task.then_some(crowd.task.key),
            from: Some(crowd.at),
            to: Some(crowd.at),
            states: states.clone(),
            limit: Some(limit),
            ..RunQuery::default()
        };
        let everything = RunQuery { limit: None, ..query.clone() };
        let there: BTreeSet<RunId> = ids(&page(&backend, &everything).await.0).into_iter().collect();
        let mut number = 2_000;
        let listed = turned(&backend, &query, async || {
            // Some of those that run end, some that wait begin and end at once, and others come: on either side of any place.
            let ending: Vec<Claimed> = running.by_ref().take(3).collect();
            crowd.end(ending).await;
            let begun = crowd.claim(4).await;
            crowd.end(begun).await;
            number += 2;
            crowd.submit([number, number + 1], crowd.at).await;
        })
        .await;
        let met: BTreeSet<RunId> = ids(&listed).into_iter().collect();
        assert_eq!(met.len(), listed.len(), "round {round}: none is met twice");
        let left_out: Vec<&RunId> = there.difference(&met).collect();
        assert_eq!(left_out, Vec::<&RunId>::new(), "round {round}: none is left out");
        assert!(there.len() >= if states.len() == 2 { ENDED } else { RUNS as usize }, "round {round}");
    }
}

/// A place is good although its run is kept no more: what is behind it follows.
pub async fn a_place_whose_run_is_pruned_is_one_still(backend: Subject) {
    let retention = Arc::new(Retention { runs: 2, failures: 0, failures_for: Duration::ZERO });
    let busy = Ticking::with(&backend, "busy", TaskRules { retention, ..TaskRules::default() }).await;
    let calm = Ticking::new(&backend, "calm").await;
    let run = async |task: &Ticking, n| {
        let hold = task.hold(&node("a"), n).await;
        task.succeed(n, hold).await;
    };
    for n in 1..=3 {
        run(&calm, n).await;
        run(&busy, n).await;
    }
    let mut query = RunQuery { limit: Some(1), ..RunQuery::default() };
    let (rows, next) = page(&backend, &query).await;
    assert_eq!(ids(&rows), [busy.id(3)]);
    for n in 4..=240 {
        run(&busy, n).await;
    }
    let kept = busy.rows().await;
    assert!(kept.iter().all(|row| row.scheduled_at > busy.at(3)), "the run of the place is pruned");
    query = RunQuery { after: next, limit: Some(10), ..RunQuery::default() };
    assert_eq!(page(&backend, &query).await, (calm.rows().await, None), "what has ended before it follows");
    query.task = Some(calm.key);
    assert_eq!(ids(&page(&backend, &query).await.0), [calm.id(3), calm.id(2), calm.id(1)], "of one task, too");
    query.task = Some(busy.key);
    assert_eq!(page(&backend, &query).await, (Vec::new(), None), "and nothing, if nothing of it is left");
}
