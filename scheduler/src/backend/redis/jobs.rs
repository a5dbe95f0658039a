//! Jobs and dead letters: what is asked of the script about them. What they are called with travels beside the rows, as it is,
//! and is bounded in each step: the server reads and writes it while nobody else is served.

use serde::Deserialize;
use serde_json::{Value, json};

use super::list::read_waiting;
use super::store::{Answers, Failed, Store, TOGETHER_MAX};
use super::words::{At, BecameWord, Id, Key, LetterWord, NewJobWord};
use crate::backend::{
    Enqueued, LETTERS_KEPT_FOR, LETTERS_LISTED, LetterQuery, LetterRow, NewJob, RunCursor, RunQuery, RunRow,
    STEP_BYTES_MAX, in_steps,
};
use crate::run::{RunId, RunState};

/// How many letters, or jobs that wait, are read at once.
const PAGE: usize = 500;

/// Where a page of what is read by score, from the highest on, has ended.
#[derive(Clone, Copy)]
struct Place {
    upto: At,
    /// How many of this score there were.
    skip: usize,
}

impl Place {
    fn of(upto: Option<At>, skip: Option<usize>) -> Option<Self> {
        Some(Self { upto: upto?, skip: skip.unwrap_or(0) })
    }

    fn goes_into(place: Option<Self>, asked: &mut Value) {
        if let Some(Self { upto, skip }) = place {
            (asked["upto"], asked["skip"]) = (json!(upto), skip.into());
        }
    }
}

impl Store {
    pub(super) async fn enqueue_jobs(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Failed> {
        let mut enqueued = Vec::with_capacity(jobs.len());
        for some in in_steps(jobs) {
            let asked = json!({ "jobs": some.iter().map(NewJobWord::of).collect::<Vec<_>>() });
            let arguments: Vec<&str> = some.iter().map(|job| &*job.arguments.json).collect();
            let (answered, _): (Answers<BecameWord>, _) = self.call_with("enqueue_jobs", &asked, &arguments).await?;
            for answer in answered.answers {
                enqueued.push(answer.enqueued()?);
            }
        }
        Ok(enqueued)
    }

    pub(super) async fn dead_letters(&self, query: &LetterQuery) -> Result<Vec<LetterRow>, Failed> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            rows: Vec<(Id, String)>,
            upto: Option<At>,
            skip: Option<usize>,
            now: At,
        }
        let limit = query.limit.unwrap_or(LETTERS_LISTED);
        let (mut letters, mut place): (Vec<LetterRow>, _) = (Vec::new(), None);
        while letters.len() < limit {
            let max = PAGE.min(limit - letters.len());
            let mut asked = json!({ "max": max, "bytes_max": STEP_BYTES_MAX });
            if let Some(task) = query.task {
                asked["task"] = json!(Key(task));
            }
            if let Some(id) = query.id {
                asked["id"] = json!(Id(id));
            }
            Place::goes_into(place, &mut asked);
            let (found, arguments): (Found, _) = self.call_with("letters", &asked, &[]).await?;
            let oldest = found.now.0.minus(LETTERS_KEPT_FOR);
            for ((Id(id), row), json) in found.rows.into_iter().zip(arguments) {
                let letter = serde_json::from_str::<LetterWord>(&row)?.read(id, json)?;
                // One that is asked for by its run is found whatever else is asked.
                if letter.died_at >= oldest && query.task.is_none_or(|task| task == letter.task) {
                    letters.push(letter);
                }
            }
            place = Place::of(found.upto, found.skip);
            if place.is_none() {
                break;
            }
        }
        Ok(letters)
    }

    pub(super) async fn run_again(&self, letter: RunId, again: RunId) -> Result<Option<Enqueued>, Failed> {
        #[derive(Deserialize)]
        struct Became {
            a: Option<Value>,
        }
        let answer: Value = self.call("run_again", &json!({ "letter": Id(letter), "again": Id(again) })).await?;
        if Became::deserialize(&answer)?.a.is_none() {
            return Ok(None);
        }
        Ok(Some(BecameWord::deserialize(answer)?.enqueued()?))
    }

    pub(super) async fn drop_letter(&self, letter: RunId) -> Result<bool, Failed> {
        #[derive(Deserialize)]
        struct Dropped {
            was_there: bool,
        }
        let dropped: Dropped = self.call("drop_letter", &json!({ "letter": Id(letter) })).await?;
        Ok(dropped.was_there)
    }

    /// Gives up letters that are too old, and keys whose time is over, a batch of each; tells whether there may be more.
    pub(super) async fn prune_jobs(&self) -> Result<bool, Failed> {
        #[derive(Deserialize)]
        struct Pruned {
            is_cut: bool,
        }
        let pruned: Pruned = self.call("prune", &json!({})).await?;
        Ok(pruned.is_cut)
    }

    /// Jobs that wait, the newest instant first, behind the query's place: `limit` at most.
    pub(super) async fn waiting_jobs(&self, query: &RunQuery, limit: usize) -> Result<Vec<RunRow>, Failed> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            rows: Vec<(Id, String)>,
            behind: Option<(At, Id)>,
        }
        let mut rows = Vec::new();
        if !query.states.is_empty() && !query.states.contains(&RunState::Queued) {
            return Ok(rows);
        }
        let mut asked = json!({ "max": TOGETHER_MAX.min(PAGE.max(limit)) });
        if let Some(task) = query.task {
            asked["task"] = json!(Key(task));
        }
        if let Some(from) = query.from {
            asked["least"] = json!(At(from));
        }
        if let Some(to) = query.to {
            asked["upto"] = json!(At(to));
        }
        if let Some(RunCursor::Alive { scheduled_at, id, .. }) = query.after {
            asked["behind"] = json!((At(scheduled_at), Id(id)));
        }
        while rows.len() < limit {
            let found: Found = self.call("planned", &asked).await?;
            for (Id(id), row) in found.rows {
                rows.push(read_waiting(&row, id)?);
            }
            let Some(behind) = found.behind else { break };
            asked["behind"] = json!(behind);
        }
        rows.truncate(limit);
        Ok(rows)
    }
}
