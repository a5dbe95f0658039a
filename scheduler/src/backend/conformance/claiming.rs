//! Promises about claims: which runs a node gets, in which order, and what a group holds back.

use std::sync::Arc;

use super::{
    PATIENCE, SHORT, Subject, Ticking, after, beat, changes, claim, claim_until_some, control, declared, dying, every,
    ids, node, now, pause, retry, submit, tick, trigger, version,
};
use crate::backend::{Admission, Claim, Claimed, End, Finish, Group, Holder, Stored, TaskKey, TaskRules, Token};
use crate::outcome::Outcome;
use crate::run::RunState;
use crate::schedule::Overlap;

/// Rules of a task in the group `db`, of which `max` runs may be held at once.
fn in_group(max: u32) -> TaskRules {
    let group = Some(Group { name: Arc::from("db"), max });
    TaskRules { alive_max: None, overlap: Overlap::Allow, group, ..TaskRules::default() }
}

/// The same claim again, by the same holder, finds the runs that it had got, under the same tokens; the next finds none.
pub async fn a_claim_whose_answer_was_lost_is_recognised(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let holder = node("b");
    task.hold(&dying("dead"), 1).await;
    task.hold(&holder, 2).await;
    let (number, got) = claim_until_some(&backend, &holder, 1, &[task.key]).await;
    assert_eq!(ids(&got), [task.id(1)], "what it has already is not among them");
    assert_eq!(task.claim(&holder, number).await, got, "a repeated claim has the same answer");
    assert_eq!(task.claim(&holder, number + 1).await, [], "another claim does not get them again");

    submit(&backend, trigger(task.key, 1)).await;
    let got = task.claim(&holder, number + 2).await;
    assert_eq!(got.len(), 1, "a run that waits is claimed");
    submit(&backend, trigger(task.key, 2)).await;
    let asked = now(&backend).await;
    let again = claim(&backend, &holder, number + 2, &[task.key]).await;
    assert_eq!(again.runs, got, "a repeated claim has the same answer, and no more: it may be one that was given up");
    assert!(
        again.next_at.is_some_and(|at| at <= after(asked, 60_000)),
        "what it left can be claimed at once: {again:?}"
    );
    assert_eq!(task.claim(&holder, number + 3).await.len(), 1, "which the next one does");
    assert_eq!(task.claim(&node("c"), number + 3).await, [], "the number is the holder's own");
}

/// A claim that comes after a later one of its holder gets nothing: nobody waits for its answer, and what it got would be
/// executed by nobody for as long as its holder lives.
pub async fn a_claim_that_was_given_up_gets_nothing(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let holder = node("b");
    assert_eq!(task.claim(&holder, 7).await, [], "there is nothing yet");
    for number in 1..=2 {
        submit(&backend, trigger(task.key, number)).await;
    }
    assert_eq!(task.claim(&holder, 6).await, [], "it was given up before");
    let mut got = Vec::new();
    for number in 8..=9 {
        let claim = Claim { number, tasks: [task.key].into(), jobs: [].into(), max: 1 };
        got.extend(backend.claim(&holder, &claim).await.expect("a claim is answered").runs);
    }
    assert_eq!(got.len(), 2, "the next ones get what waits, and the last claim is still the last");
    assert_eq!(task.claim(&holder, 8).await, [], "what it had got belongs to nobody who asks for it now");
    assert_eq!(ids(&task.claim(&holder, 9).await), [got[1].id]);
}

/// A node gets runs of the tasks that it names, no more than it asks for, the oldest first.
pub async fn only_runs_of_known_tasks_are_claimed_the_oldest_first(backend: Subject) {
    let (known, unknown) = (Ticking::unlimited(&backend, "known").await, Ticking::unlimited(&backend, "unknown").await);
    let dead = dying("dead");
    unknown.hold(&dead, 1).await;
    for n in 1..=3 {
        known.hold(&dead, n).await;
    }
    let none = Claim { number: 0, tasks: [known.key].into(), jobs: [].into(), max: 0 };
    let none = backend.claim(&node("b"), &none).await.expect("a claim is answered");
    assert!(none.runs.is_empty(), "who asks for none gets none");
    // All of them have one holder, so when one can be taken over, all can.
    let got = known.claim_until_some(&node("b"), 1).await;
    assert_eq!(ids(&got), [known.id(1), known.id(2), known.id(3)], "runs of known tasks, the oldest first");
}

/// A claim gets at most what it asks for, and the next gets the rest.
pub async fn a_claim_gets_no_more_than_it_asks_for(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    for number in 1..=5 {
        submit(&backend, trigger(task.key, number)).await;
    }
    let mut all = Vec::new();
    for (number, expected) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
        let claim = Claim { number, tasks: [task.key].into(), jobs: [].into(), max: 2 };
        let got = backend.claim(&node("a"), &claim).await.expect("a claim is answered").runs;
        assert_eq!(got.len(), expected, "claim {number}");
        all.extend(ids(&got));
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5, "each run is claimed once");
}

/// Runs are claimed by priority, where the backend knows one, and then by the instant at which they were due, whether they wait, are tried again, or
/// come from a dead node.
pub async fn claims_go_by_priority_and_then_by_instant(backend: Subject) {
    let rules = |priority| TaskRules { priority, ..in_group(8) };
    let low = Ticking::with(&backend, "low", rules(-1)).await;
    let plain = Ticking::with(&backend, "plain", rules(0)).await;
    let other = Ticking::with(&backend, "other", rules(0)).await;
    let high = Ticking::with(&backend, "high", rules(1)).await;
    let filler = Ticking::with(&backend, "filler", in_group(8)).await;
    let blocker = node("blocker");
    let retried = plain.hold(&blocker, 1).await;
    let mut holds = Vec::new();
    for n in 1..=7 {
        holds.push((n, filler.hold(&blocker, n).await));
    }
    // The group is full: what falls due now waits.
    for task in [&low, &high] {
        task.wait(1).await;
    }
    plain.wait(2).await;
    other.wait(1).await;
    other.wait(2).await;
    plain.wait(3).await;
    // Its next attempt is due before all others of its priority.
    let at = plain.at(1).minus(super::SHORT);
    assert!(matches!(plain.end(1, retried, retry(at)).await, Stored::Done { more: true }));
    for (n, hold) in holds {
        filler.succeed(n, hold).await;
    }
    let due = |task: &Ticking, n| (task.at(n), task.id(n));
    let mut expected: Vec<_> = vec![
        (1, due(&high, 1)),
        (0, (at, plain.id(1))),
        (0, due(&plain, 2)),
        (0, due(&other, 1)),
        (0, due(&other, 2)),
        (0, due(&plain, 3)),
        (-1, due(&low, 1)),
    ];
    let has_priority = backend.capabilities().priority;
    expected.sort_by_key(|&(priority, due)| (if has_priority { -priority } else { 0 }, due));
    let expected: Vec<_> = expected.into_iter().map(|(_, (_, id))| id).collect();
    let tasks = [low.key, plain.key, other.key, high.key];
    let mut claimed = Vec::new();
    for number in 1..=7 {
        let mut tasks = tasks.to_vec();
        tasks.sort();
        let claim = Claim { number, tasks: tasks.into(), jobs: [].into(), max: 1 };
        claimed.extend(ids(&backend.claim(&node("b"), &claim).await.expect("a claim is answered").runs));
    }
    assert_eq!(claimed, expected, "the higher priority first, then what was due first");
}

/// The order holds however much waits of one task and however little of others, and whatever a full group holds back.
pub async fn a_claim_takes_as_many_of_a_task_as_come_first(backend: Subject) {
    const DEEP: u64 = 40;
    let full = Ticking::with(&backend, "full", in_group(1)).await;
    full.hold(&node("other"), 1).await;
    let deep = Ticking::unlimited(&backend, "deep").await;
    let mut expected = Vec::new();
    for number in 1..=DEEP {
        let waiting = [trigger(full.key, number), trigger(deep.key, number)];
        expected.push(waiting[1].id);
        backend.submit(&waiting).await.expect("submissions are answered");
    }
    tick(&backend, now(&backend).await).await;
    let mut tasks = vec![full.key, deep.key];
    for number in 1..=8 {
        let shallow = Ticking::unlimited(&backend, &format!("shallow {number}")).await;
        submit(&backend, trigger(shallow.key, 1)).await;
        tasks.push(shallow.key);
    }
    tasks.sort();
    let mut claimed = Vec::new();
    for number in 1..=3 {
        let claim = Claim { number, tasks: tasks.clone().into(), jobs: [].into(), max: 24 };
        claimed.push(backend.claim(&node("a"), &claim).await.expect("a claim is answered").runs);
    }
    assert_eq!(claimed.iter().map(Vec::len).collect::<Vec<_>>(), [24, 24, 0], "all but what the group holds back");
    let got = ids(&claimed.concat());
    assert_eq!(got[..expected.len()], expected, "what waits first is claimed first");
}

/// A claim of many tasks takes one run of each as well as many of one.
pub async fn a_claim_takes_what_waits_of_many_tasks(backend: Subject) {
    const TASKS: u64 = 300;
    let rules = TaskRules { alive_max: None, overlap: Overlap::Allow, ..TaskRules::default() };
    let names: Vec<String> = (0..TASKS).map(|number| format!("task {number}")).collect();
    let tasks: Vec<_> = names.iter().map(|name| declared(name, &every(60), &rules)).collect();
    let tasks = backend.register(&node("a"), &tasks).await.expect("a registration is answered");
    let waiting: Vec<_> = tasks.iter().map(|task| trigger(task.key, 1)).collect();
    backend.submit(&waiting).await.expect("submissions are answered");
    let mut keys: Vec<TaskKey> = tasks.iter().map(|task| task.key).collect();
    keys.sort();
    let keys: Arc<[TaskKey]> = keys.into();
    let mut claimed = Vec::new();
    for number in 1..=3 {
        let claim = Claim { number, tasks: Arc::clone(&keys), jobs: [].into(), max: 150 };
        claimed.push(backend.claim(&node("a"), &claim).await.expect("a claim is answered").runs.len());
    }
    assert_eq!(claimed, [150, 150, 0]);
}

/// A pause holds back what is scheduled of a dead node, and not what was asked for behind it.
pub async fn a_pause_does_not_hide_what_was_asked_for(backend: Subject) {
    let task = Ticking::unlimited(&backend, "pay").await;
    let (first, second) = (dying("first"), node("b"));
    for number in 1..=3 {
        task.hold(&first, number).await;
    }
    submit(&backend, trigger(task.key, 1)).await;
    let asked = task.claim(&first, 1).await;
    assert_eq!(asked.len(), 1, "it is claimed");
    control(&backend, pause(Some(task.key))).await;
    let (_, got) = claim_one_until_some(&backend, &second, task.key).await;
    assert_eq!(ids(&got), ids(&asked), "what was asked for runs in a pause");
}

/// What `holder`, whose heart beats, claims of a task, one run at a time, as soon as there is something.
async fn claim_one_until_some(backend: &Subject, holder: &Holder, task: TaskKey) -> (u64, Vec<Claimed>) {
    let waiting = async {
        for number in 1.. {
            beat(backend, holder).await;
            let claim = Claim { number, tasks: [task].into(), jobs: [].into(), max: 1 };
            let claimed = backend.claim(holder, &claim).await.expect("a claim is answered").runs;
            if !claimed.is_empty() {
                return (number, claimed);
            }
            tokio::time::sleep(SHORT / 5).await;
        }
        unreachable!("the numbers do not end")
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("what may begin can be claimed")
}

/// A run of a dead node comes after waiting runs of a higher priority, and before those of a lower one.
pub async fn a_run_of_a_dead_node_has_its_place_in_the_order(backend: Subject) {
    let rules = |priority| TaskRules { priority, alive_max: None, overlap: Overlap::Allow, ..TaskRules::default() };
    let high = Ticking::with(&backend, "high", rules(1)).await;
    let orphan = Ticking::with(&backend, "orphan", rules(0)).await;
    let low = Ticking::with(&backend, "low", rules(-1)).await;
    let witness = Ticking::new(&backend, "witness").await;
    let dead = dying("dead");
    orphan.hold(&dead, 1).await;
    witness.hold(&dead, 1).await;
    submit(&backend, trigger(high.key, 1)).await;
    submit(&backend, trigger(low.key, 1)).await;
    witness.claim_until_some(&node("b"), 1).await;
    let claimed = claim(&backend, &node("b"), 1_000_000, &[high.key, orphan.key, low.key]).await.runs;
    let tasks: Vec<_> = claimed.iter().map(|run| run.task).collect();
    let expected = match backend.capabilities().priority {
        true => [high.key, orphan.key, low.key],
        // The occurrence was due long before somebody asked for the others.
        false => [orphan.key, high.key, low.key],
    };
    assert_eq!(tasks, expected, "the higher priority first");
}

/// A run whose group is full waits, and is claimed when a run of the group has ended, of whichever task.
pub async fn a_run_whose_group_is_full_waits(backend: Subject) {
    let first = Ticking::with(&backend, "first", in_group(1)).await;
    let second = Ticking::with(&backend, "second", in_group(1)).await;
    let apart = Ticking::new(&backend, "apart").await;
    let hold = first.hold(&node("a"), 1).await;
    second.wait(1).await;
    first.wait(2).await;
    apart.hold(&node("a"), 1).await;
    let tasks = [first.key, second.key];
    assert_eq!(claim(&backend, &node("b"), 1, &tasks).await.runs, [], "the group is full");
    let before = version(&backend).await;
    let ended = first.end(1, hold, End::Final(Outcome::Succeeded)).await;
    assert_eq!(ended, Stored::Done { more: true }, "what waits is told to who ended the run");
    assert!(changes(&backend, before).await.runnable, "and to the other nodes, who may know more tasks");
    let claimed = claim(&backend, &node("b"), 2, &tasks).await.runs;
    assert_eq!(claimed.len(), 1, "one has room");
    assert_eq!((claimed[0].was, claimed[0].attempt), (RunState::Queued, 1), "it begins");
    assert_eq!(claim(&backend, &node("c"), 1, &tasks).await.runs, [], "the group is full again");
    super::succeed(&backend, claimed[0].task, claimed[0].id, claimed[0].hold).await;
    assert_eq!(claim(&backend, &node("c"), 2, &tasks).await.runs.len(), 1, "then the other");
}

/// No more runs of a group are held than may be, whoever fires its tasks at once, one by one or many in a batch.
pub async fn a_group_keeps_its_limit_whoever_fires_at_once(backend: Subject) {
    const MAX: usize = 2;
    for round in 0..4 {
        let group = Some(Group { name: format!("db-{round}").into(), max: MAX as u32 });
        let rules = TaskRules { group, ..in_group(1) };
        let mut firings = Vec::new();
        for number in 0..80 {
            let task = Ticking::with(&backend, &format!("task-{round}-{number}"), rules.clone()).await;
            firings.push(task.firing(1));
        }
        // A node alone with all of them; then eight nodes at once.
        let each = if round == 0 { firings.len() } else { firings.len() / 8 };
        let calls = firings.chunks(each).enumerate().map(|(number, some)| {
            let (backend, some) = (Arc::clone(&backend), some.to_vec());
            tokio::spawn(async move { backend.enqueue(&node(&format!("node-{number}")), &some).await })
        });
        let calls: Vec<_> = calls.collect();
        let (mut held, mut waiting) = (0, 0);
        for call in calls {
            for admission in call.await.expect("no call panics").expect("an enqueue is answered") {
                match admission {
                    Admission::Claimed(_) => held += 1,
                    Admission::Queued { cancel: None } => waiting += 1,
                    other => panic!("a run waits for its group, or begins: {other:?}"),
                }
            }
        }
        assert_eq!((held, waiting), (MAX, firings.len() - MAX), "round {round}");
    }
}

/// A batch is answered in its order, whatever its length: of ends, those that are stale among those that are not.
pub async fn a_long_batch_is_answered_in_its_order(backend: Subject) {
    let holder = node("a");
    let mut tasks = Vec::new();
    for number in 0..90 {
        tasks.push(Ticking::new(&backend, &format!("task-{number}")).await);
    }
    // Each third comes from who believes in a mark that is not there.
    let firing = |(number, task): (usize, &Ticking)| task.firing(if number % 3 == 0 { 2 } else { 1 });
    let firings: Vec<_> = tasks.iter().enumerate().map(firing).collect();
    let answers = backend.enqueue(&holder, &firings).await.expect("an enqueue is answered");
    let mut ends = Vec::new();
    for (number, (task, answer)) in tasks.iter().zip(&answers).enumerate() {
        match answer {
            Admission::MarkMoved(mark) if number % 3 == 0 => assert_eq!(*mark, task.start),
            Admission::Claimed(hold) if number % 3 != 0 => {
                let token = if number % 3 == 1 { hold.token } else { Token(hold.token.0 + 1) };
                let (end, at) = (End::Final(Outcome::Succeeded), task.at(1));
                let (task, id) = (task.key, task.id(1));
                ends.push(Finish { task, id, token, end, started_at: Some(at), finished_at: at, log: None });
            }
            other => panic!("the answer of task {number} is another's: {other:?}"),
        }
    }
    let stored = backend.finish(&ends).await.expect("a finish is answered");
    assert_eq!(stored.len(), ends.len());
    for (place, stored) in stored.iter().enumerate() {
        assert_eq!(*stored == Stored::Stale, place % 2 == 1, "end {place}: {stored:?}");
    }
}

/// A run between two attempts holds no place in its group, and waits for one before the next attempt.
pub async fn a_retrying_run_holds_no_place_in_its_group(backend: Subject) {
    let first = Ticking::with(&backend, "first", in_group(1)).await;
    let second = Ticking::with(&backend, "second", in_group(1)).await;
    let hold = first.hold(&node("a"), 1).await;
    first.end(1, hold, retry(first.at(2))).await;
    let hold = second.hold(&node("a"), 1).await;
    assert_eq!(first.claim(&node("b"), 1).await, [], "it is due, and the group is full");
    let ended = second.end(1, hold, End::Final(Outcome::Succeeded)).await;
    assert_eq!(ended, Stored::Done { more: true }, "it may go on now");
    assert_eq!(ids(&first.claim(&node("b"), 2).await), [first.id(1)], "and does");
}

/// A task that is declared into a group, or out of it, takes its runs along.
pub async fn a_declaration_moves_a_task_between_groups(backend: Subject) {
    let first = Ticking::with(&backend, "first", in_group(1)).await;
    let second = Ticking::with(&backend, "second", in_group(1)).await;
    let hold = first.hold(&node("a"), 1).await;
    let apart = TaskRules { group: None, ..in_group(1) };
    super::register(&backend, &node("a"), super::declared("first", &super::every(1), &apart)).await;
    let other = second.hold(&node("a"), 1).await;
    first.succeed(1, hold).await;
    second.wait(2).await;
    second.succeed(1, other).await;
    assert_eq!(ids(&second.claim(&node("a"), 1).await), [second.id(2)], "the group has its room back, and no more");
    assert_eq!(second.fire(&node("a"), 3).await, Admission::Queued { cancel: None }, "it is full by that one");
}

/// Runs that wait are claimed by one node each, however many claim at once.
pub async fn a_waiting_run_is_claimed_by_one_node(backend: Subject) {
    const NODES: u64 = 8;
    let task = Ticking::unlimited(&backend, "pay").await;
    for number in 1..=20 {
        submit(&backend, trigger(task.key, number)).await;
    }
    let claims: Vec<_> = (1..=NODES)
        .map(|name| {
            let (backend, key) = (backend.clone(), task.key);
            tokio::spawn(async move {
                let holder = node(&format!("node-{name}"));
                let mut got = Vec::new();
                for number in 1.. {
                    let claimed = claim(&backend, &holder, number, &[key]).await.runs;
                    if claimed.is_empty() {
                        return got;
                    }
                    got.extend(ids(&claimed));
                }
                unreachable!("the numbers do not end")
            })
        })
        .collect();
    let mut all = Vec::new();
    for claim in claims {
        all.extend(claim.await.expect("no node panics"));
    }
    all.sort();
    assert_eq!(all.len(), 20, "all are claimed");
    all.dedup();
    assert_eq!(all.len(), 20, "each once");
}

/// The rules that were declared last hold, also for runs that wait already.
pub async fn other_rules_hold_from_the_registration_on(backend: Subject) {
    let task = Ticking::overlapping(&backend, "pay", Overlap::BufferAll).await;
    let other = Ticking::new(&backend, "other").await;
    task.hold(&node("a"), 1).await;
    task.wait(2).await;
    submit(&backend, trigger(other.key, 1)).await;
    let before = version(&backend).await;
    let overlap = Overlap::BufferAll;
    let rules = TaskRules { alive_max: Some(2), priority: -5, overlap, ..TaskRules::default() };
    super::register(&backend, &node("b"), super::declared("pay", &super::every(1), &rules)).await;
    assert!(changes(&backend, before).await.tasks.iter().any(|told| told.key == task.key), "all nodes are told");
    let claimed = claim(&backend, &node("b"), 1, &[task.key, other.key]).await.runs;
    assert_eq!(ids(&claimed), [trigger(other.key, 1).id, task.id(2)], "there is room, and the other comes first");
}
