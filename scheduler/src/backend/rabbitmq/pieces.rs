//! What is asked of the owner in pieces, each of which is one message: what has no bound, or might be heavy.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::ask::{Failed, Shared};
use super::message::Request;
use super::{TOGETHER_MAX, done};
use crate::backend::memory::replica::{Answer, Call, Further, NAMED_MAX, Question, jobs_of};
use crate::backend::weight::{Weigh, pieces};
use crate::backend::{
    Changes, Claim, Claims, Command, Holder, LETTERS_LISTED, LetterQuery, LetterRow, NamedTask, NodeRow, Registered,
    Registration, RunQuery, RunRow, RunRows, TaskKey,
};
use crate::outcome::ERROR_TEXT_BYTES_MAX;

/// How many tasks are registered by one call. Where each stands is its answer, with who paused it and why.
const REGISTERED_MAX: usize = 250;

/// How heavy a pause may be, which is told with each task that it holds.
const PAUSE_MAX: usize = ERROR_TEXT_BYTES_MAX;

/// How often the tasks of a claim are told anew at most: the owner has forgotten them as soon as it had heard them.
const NAMED_AGAIN_MAX: usize = 3;

/// Makes a call for each piece of `items`; the answers, one after the other.
pub(super) async fn each<T: Weigh + Clone, A>(
    store: &Shared,
    items: &[T],
    call: impl Fn(Vec<T>) -> Call,
    read: fn(Answer) -> Option<Vec<A>>,
) -> Result<Vec<A>, Failed> {
    let mut answers = Vec::with_capacity(items.len());
    for some in pieces(items, TOGETHER_MAX) {
        answers.extend(store.get(Request::Call(call(some.to_vec())), read).await?);
    }
    Ok(answers)
}

pub(super) async fn register(
    store: &Shared,
    holder: Holder,
    tasks: &[Registration],
) -> Result<Vec<Registered>, Failed> {
    let mut registered = Vec::with_capacity(tasks.len());
    let read = |answer| if let Answer::Registered(held) = answer { Some(held) } else { None };
    for some in pieces(tasks, REGISTERED_MAX) {
        let call = Call::Register { holder: holder.clone(), tasks: some.to_vec() };
        registered.extend(store.get(Request::Call(call), read).await?);
    }
    Ok(registered)
}

pub(super) async fn look(store: &Shared, tasks: &[TaskKey]) -> Result<Vec<Registered>, Failed> {
    let read = |answer| match answer {
        Answer::Looked { seen, registered } => Some((seen, registered)),
        _ => None,
    };
    of_each(store, tasks, |tasks| Question::Look { tasks }, read).await
}

/// The last runs of tasks to end.
pub(super) async fn last_ended(store: &Shared, tasks: &[TaskKey]) -> Result<Vec<RunRow>, Failed> {
    let read = |answer| match answer {
        Answer::LastEnded { seen, rows } => Some((seen, rows)),
        _ => None,
    };
    of_each(store, tasks, |tasks| Question::LastEnded { tasks }, read).await
}

/// Asks about each of these tasks: about many at once, as many of which are answered as go into one message.
async fn of_each<A>(
    store: &Shared,
    mut tasks: &[TaskKey],
    ask: fn(Vec<TaskKey>) -> Question,
    read: fn(Answer) -> Option<(usize, Vec<A>)>,
) -> Result<Vec<A>, Failed> {
    let mut answers = Vec::with_capacity(tasks.len());
    while !tasks.is_empty() {
        let some = &tasks[..tasks.len().min(TOGETHER_MAX)];
        let (seen, answered) = store.get(question(ask(some.to_vec())), read).await?;
        answers.extend(answered);
        tasks = &tasks[seen.clamp(1, some.len())..];
    }
    Ok(answers)
}

/// What has changed, with all tasks of which something has.
pub(super) async fn changes(store: &Shared, request: Request) -> Result<Changes, Failed> {
    let read = |answer| match answer {
        Answer::Changes { changes, further } => Some((changes, further)),
        _ => None,
    };
    let (mut changes, mut further) = store.get(request, read).await?;
    // Tasks of later pieces may have changed again meanwhile, which is told again.
    while let Further::AllFrom(from) = further {
        let read = |answer| match answer {
            Answer::LookedAtAll { registered, next } => Some((registered, next)),
            _ => None,
        };
        let (registered, next) = store.get(question(Question::LookAtAll { from }), read).await?;
        changes.tasks.extend(registered);
        further = next.map_or(Further::Nothing, Further::AllFrom);
    }
    if let Further::These(tasks) = further {
        changes.tasks.extend(look(store, &tasks).await?);
    }
    Ok(changes)
}

pub(super) async fn control(store: &Shared, command: Command) -> Result<Changes, Failed> {
    if let Command::Pause { by, reason, .. } = &command {
        let bytes = by.len() + reason.as_ref().map_or(0, |reason| reason.len());
        if bytes > PAUSE_MAX {
            return Err(Failed::Refused(format!(
                "who pauses and why has {bytes} bytes, and on RabbitMQ {PAUSE_MAX} are allowed: say it shorter"
            )));
        }
    }
    changes(store, Request::Call(Call::Control { command })).await
}

/// A claim names its tasks by what they hash to: a node that knows thousands tells the owner once which they are.
pub(super) async fn claims(store: &Shared, holder: Holder, claim: Claim) -> Result<Claims, Failed> {
    let mut hasher = DefaultHasher::new();
    // The same tasks of which another version of a program reads other arguments are another set.
    (&claim.tasks, &claim.jobs).hash(&mut hasher);
    let set = hasher.finish();
    let Claim { number, tasks, jobs, max } = claim;
    let read = |answer| match answer {
        Answer::Claims(claims) => Some(Some(claims)),
        Answer::UnknownSet => Some(None),
        _ => None,
    };
    let total = tasks.len();
    let call = || Request::Call(Call::Claim { holder: holder.clone(), number, set, max });
    for _ in 0..NAMED_AGAIN_MAX {
        if let Some(claims) = store.get(call(), read).await? {
            return Ok(claims);
        }
        let mut told = 0;
        while told < total.max(1) {
            let some = &tasks[told..total.min(told + NAMED_MAX)];
            let call = Call::Name { set, total, told, tasks: some.to_vec(), jobs: jobs_of(&jobs, some).to_vec() };
            store.get(Request::Call(call), done).await?;
            told += some.len().max(1);
        }
    }
    store.get(call(), read).await?.ok_or(Failed::Forgotten)
}

/// A page of runs.
pub(super) async fn runs_page(store: &Shared, mut query: RunQuery) -> Result<RunRows, Failed> {
    let mut page = RunRows::default();
    let limit = query.limit;
    loop {
        let read = |answer| if let Answer::RunsPage(rows) = answer { Some(rows) } else { None };
        query.limit = limit.map(|limit| limit.saturating_sub(page.rows.len()));
        let some = store.get(question(Question::RunsPage { query: query.clone() }), read).await?;
        page.rows.extend(some.rows);
        (page.next, query.after) = (some.next, some.next);
        if page.next.is_none() || limit.is_some_and(|limit| page.rows.len() >= limit) {
            return Ok(page);
        }
    }
}

/// Dead letters, the last to die first.
pub(super) async fn letters(store: &Shared, mut query: LetterQuery) -> Result<Vec<LetterRow>, Failed> {
    let (mut letters, mut after) = (Vec::new(), None);
    let limit = query.limit.unwrap_or(LETTERS_LISTED);
    loop {
        let read = |answer| match answer {
            Answer::Letters { letters, next } => Some((letters, next)),
            _ => None,
        };
        query.limit = Some(limit.saturating_sub(letters.len()));
        let (some, next) = store.get(question(Question::DeadLetters { query: query.clone(), after }), read).await?;
        letters.extend(some);
        after = next;
        if after.is_none() || letters.len() >= limit {
            return Ok(letters);
        }
    }
}

/// All tasks, by name.
pub(super) async fn tasks(store: &Shared) -> Result<Vec<NamedTask>, Failed> {
    let (mut tasks, mut from) = (Vec::new(), Some(0));
    while let Some(place) = from {
        let read = |answer| match answer {
            Answer::Tasks { tasks, next } => Some((tasks, next)),
            _ => None,
        };
        let (some, next) = store.get(question(Question::Tasks { from: place }), read).await?;
        tasks.extend(some);
        from = next;
    }
    tasks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(tasks)
}

pub(super) async fn nodes(store: &Shared) -> Result<Vec<NodeRow>, Failed> {
    let mut nodes: Vec<NodeRow> = Vec::new();
    loop {
        let read = |answer| match answer {
            Answer::Nodes { nodes, is_last } => Some((nodes, is_last)),
            _ => None,
        };
        let after = nodes.last().map(|node| node.node.clone());
        let (some, is_last) = store.get(question(Question::Nodes { after }), read).await?;
        nodes.extend(some);
        if is_last {
            return Ok(nodes);
        }
    }
}

const fn question(question: Question) -> Request {
    Request::Question(question)
}
