//! Promises about dead letters: jobs that have failed for good.

use super::jobs::Jobs;
use super::{SHORT, Subject, beat, ids, node, now, retry, row, runs, succeed};
use crate::backend::{
    End, Enqueued, JobArguments, LetterQuery, LetterRow, NODE_DEATHS_MAX, NewJob, RunQuery, TaskRules,
};
use crate::outcome::{CancelCause, Outcome};
use crate::run::{RunId, RunState};
use crate::schedule::Delivery;

async fn letters(jobs: &Jobs, query: &LetterQuery) -> Vec<LetterRow> {
    jobs.backend.dead_letters(query).await.expect("they are listed")
}

async fn dead(jobs: &Jobs) -> Vec<RunId> {
    letters(jobs, &LetterQuery::default()).await.iter().map(|letter| letter.id).collect()
}

/// Enqueues a job, and has it fail for good.
async fn bury(jobs: &Jobs, job: NewJob, claim: u64) {
    assert_eq!(jobs.enqueue(job).await, Enqueued::Queued);
    let run = jobs.claim(&node("a"), claim).await.remove(0);
    jobs.fail(&run).await;
}

/// A job that fails for good is a dead letter, with all that is known of it; one that is tried again is none, nor one that
/// succeeds or is cancelled.
pub async fn a_job_that_fails_is_a_dead_letter(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    for number in 1..=3 {
        jobs.enqueue(jobs.job(number)).await;
    }
    let claimed = jobs.claim(&node("a"), 1).await;
    jobs.end(&claimed[0], retry(now(&backend).await)).await;
    succeed(&backend, jobs.key, claimed[1].id, claimed[1].hold).await;
    jobs.end(&claimed[2], End::Final(Outcome::Cancelled(CancelCause::Requested))).await;
    assert_eq!(dead(&jobs).await, [], "none has failed");
    let (_, again) = claim_jobs_until_some(&jobs, 2).await;
    jobs.fail(&again[0]).await;
    let letters = letters(&jobs, &LetterQuery::default()).await;
    let [letter] = &letters[..] else { panic!("there is one: {letters:?}") };
    let ended = row(&backend, again[0].id).await;
    assert_eq!((letter.task, letter.id, letter.state), (jobs.key, again[0].id, RunState::Failed));
    assert_eq!((letter.attempt, Some(letter.died_at)), (2, ended.finished_at));
    assert_eq!((letter.scheduled_at, &letter.failure), (ended.scheduled_at, &ended.failure));
    assert!(letter.failure.as_ref().is_some_and(|failure| failure.contains("disk full")));
    assert_eq!(letter.arguments, jobs.job(1).arguments);
}

async fn claim_jobs_until_some(jobs: &Jobs, first: u64) -> (u64, Vec<crate::backend::Claimed>) {
    let waiting = async {
        for number in first.. {
            let claimed = jobs.claim(&node("a"), number).await;
            if !claimed.is_empty() {
                return (number, claimed);
            }
            tokio::time::sleep(SHORT / 5).await;
        }
        unreachable!("the numbers do not end")
    };
    tokio::time::timeout(super::PATIENCE, waiting).await.expect("what may begin can be claimed")
}

/// A job whose node dies is executed again with its arguments; if it may not be, or its nodes die too often, it is a dead
/// letter.
pub async fn a_job_whose_node_dies_is_not_lost(backend: Subject) {
    let once = TaskRules { alive_max: None, delivery: Delivery::AtMostOnce, ..TaskRules::default() };
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let Some(frail) = Jobs::with(&backend, "bill", once).await else { return };
    jobs.enqueue(jobs.job(1)).await;
    frail.enqueue(frail.job(1)).await;
    let dying = super::dying("dying");
    beat(&backend, &dying).await;
    assert_eq!(frail.claim(&dying, 1).await.len(), 1);
    let heir = super::mortal("heir");
    for death in 0..NODE_DEATHS_MAX {
        let holder = super::Holder::new(format!("node {death}"), super::LONG);
        beat(&backend, &holder).await;
        let claimed = jobs.claim(&holder, 1).await;
        assert_eq!(claimed[0].arguments.as_deref(), Some(&jobs.job(1).arguments), "after {death} deaths");
        // Who leaves with a run is dead to it, and it is free at once.
        backend.leave(&holder).await.expect("it is answered");
    }
    let mut number = 1;
    let waiting = async {
        loop {
            beat(&backend, &heir).await;
            number += 1;
            let _ = jobs.claim(&heir, number).await;
            let _ = frail.claim(&heir, number + 1_000).await;
            let (mut found, mut expected) = (dead(&jobs).await, vec![jobs.id(1), frail.id(1)]);
            found.sort();
            expected.sort();
            if found == expected {
                return;
            }
            tokio::time::sleep(SHORT / 5).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, waiting).await.expect("both are dead letters in the end");
    let abandoned = letters(&frail, &LetterQuery::of(frail.key)).await;
    assert_eq!(abandoned[0].state, RunState::Abandoned, "what may run once is not run again");
}

/// Letters are listed by what is asked, the last to die first.
pub async fn letters_are_listed_by_what_is_asked(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let Some(other) = Jobs::new(&backend, "bill").await else { return };
    for (number, task) in [(1, &jobs), (2, &jobs), (3, &other), (4, &jobs)] {
        bury(task, task.job(number), number).await;
        super::tick(&backend, now(&backend).await).await;
    }
    assert_eq!(dead(&jobs).await, [jobs.id(4), other.id(3), jobs.id(2), jobs.id(1)], "the last first");
    let first = letters(&jobs, &LetterQuery { limit: Some(1), ..LetterQuery::of(jobs.key) }).await;
    assert_eq!((first.len(), first[0].id), (1, jobs.id(4)));
    assert_eq!(letters(&jobs, &LetterQuery::of(other.key)).await.len(), 1, "those of a task");
    let one = letters(&jobs, &LetterQuery { id: Some(jobs.id(2)), ..LetterQuery::default() }).await;
    assert_eq!((one.len(), one[0].id), (1, jobs.id(2)), "the one of a run");
}

/// A letter is run again, with its arguments and its priority, as another run, and is none any more; who asks again because the
/// answer was lost makes no second one.
pub async fn a_letter_is_run_again_once(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    let arguments = JobArguments { version: 2, json: "{\"to\":\"ada\"}".into() };
    bury(&jobs, NewJob { arguments: arguments.clone(), priority: Some(7), ..jobs.job(1) }, 1).await;
    let seen = super::version(&backend).await;
    for _ in 0..2 {
        let answer = backend.run_again(jobs.id(1), jobs.id(2)).await.expect("it is answered");
        assert_eq!(answer, Some(Enqueued::Queued));
    }
    assert!(super::changes(&backend, seen).await.runnable, "all nodes are told that there is something");
    assert_eq!(dead(&jobs).await, [], "it is none any more");
    jobs.enqueue(NewJob { priority: Some(6), ..jobs.job(3) }).await;
    let claimed = jobs.claim(&node("a"), 2).await;
    assert_eq!(ids(&claimed), [jobs.id(2), jobs.id(3)], "it has its priority");
    assert_eq!((claimed[0].attempt, claimed[0].arguments.as_deref()), (1, Some(&arguments)));
    let answer = backend.run_again(jobs.id(1), jobs.id(4)).await.expect("it is answered");
    assert_eq!(answer, None, "there is no such letter");
    jobs.fail(&claimed[0]).await;
    assert_eq!(dead(&jobs).await, [jobs.id(2)], "it may die again");
    assert_eq!(runs(&backend, &RunQuery::of(jobs.key)).await.len(), 3, "both runs are kept");
}

/// A letter whose key another job has by now stays, and that job is the answer; when the key is free it is run again, and has
/// the key.
pub async fn a_letter_whose_key_is_taken_stays(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    bury(&jobs, jobs.unique(1, "ada", None), 1).await;
    assert_eq!(jobs.enqueue(jobs.unique(2, "ada", None)).await, Enqueued::Queued);
    let answer = backend.run_again(jobs.id(1), jobs.id(3)).await.expect("it is answered");
    assert_eq!(answer, Some(Enqueued::Known(jobs.id(2))));
    assert_eq!(dead(&jobs).await, [jobs.id(1)]);
    let run = jobs.claim(&node("a"), 2).await.remove(0);
    succeed(&backend, jobs.key, run.id, run.hold).await;
    let answer = backend.run_again(jobs.id(1), jobs.id(4)).await.expect("it is answered");
    assert_eq!(answer, Some(Enqueued::Queued));
    assert_eq!(jobs.enqueue(jobs.unique(5, "ada", None)).await, Enqueued::Known(jobs.id(4)));
}

/// A letter that holds its key itself is run again.
pub async fn a_letter_that_holds_its_key_is_run_again(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    bury(&jobs, jobs.unique(1, "ada", Some(super::HOUR)), 1).await;
    assert_eq!(jobs.enqueue(jobs.unique(2, "ada", None)).await, Enqueued::Known(jobs.id(1)));
    let answer = backend.run_again(jobs.id(1), jobs.id(3)).await.expect("it is answered");
    assert_eq!(answer, Some(Enqueued::Queued));
    assert_eq!(jobs.enqueue(jobs.unique(4, "ada", None)).await, Enqueued::Known(jobs.id(3)));
}

/// The key of a letter that is dropped is held for as long as was asked.
pub async fn a_dropped_letter_leaves_its_key_for_its_time(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    bury(&jobs, jobs.unique(1, "ada", Some(super::HOUR)), 1).await;
    assert!(backend.drop_letter(jobs.id(1)).await.expect("it is answered"));
    assert_eq!(dead(&jobs).await, [], "it is none any more");
    assert!(!backend.drop_letter(jobs.id(1)).await.expect("it is answered"));
    assert_eq!(jobs.enqueue(jobs.unique(2, "ada", None)).await, Enqueued::Known(jobs.id(1)));
    let answer = backend.run_again(jobs.id(1), jobs.id(3)).await.expect("it is answered");
    assert_eq!(answer, None, "there is no such letter");
}

/// A letter is dropped, once; what is alive cannot be.
pub async fn a_letter_is_dropped(backend: Subject) {
    let Some(jobs) = Jobs::new(&backend, "mail").await else { return };
    bury(&jobs, jobs.job(1), 1).await;
    jobs.enqueue(jobs.job(2)).await;
    assert!(!backend.drop_letter(jobs.id(2)).await.expect("it is answered"), "it is no letter");
    assert!(backend.drop_letter(jobs.id(1)).await.expect("it is answered"));
    assert!(!backend.drop_letter(jobs.id(1)).await.expect("it is answered"));
    assert_eq!(dead(&jobs).await, []);
    assert_eq!(row(&backend, jobs.id(1)).await.state, RunState::Failed, "its run is kept as others are");
    assert_eq!(ids(&jobs.claim(&node("a"), 2).await), [jobs.id(2)], "and nothing else was touched");
}
