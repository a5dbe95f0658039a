//! Promises about what people have asked for.

use std::sync::Arc;

use super::{Subject, now};
use crate::backend::{ACTIONS_MAX, Action, NewAction};

fn pause(number: usize) -> NewAction {
    NewAction {
        actor: "uid 501".into(),
        task: Some(format!("task {number}").into()),
        change: format!("pause (task: task {number}, reason: \"'支付'\")").into(),
        outcome: "done".into(),
    }
}

async fn note(backend: &Subject, action: &NewAction) {
    backend.note(action).await.expect("it is kept");
}

async fn kept(backend: &Subject, limit: usize) -> Vec<Action> {
    backend.actions(limit).await.expect("the question is answered")
}

/// What was asked for is listed with who asked and what came of it, the last first, under the store's clock; of what was asked for
/// so often that not all is kept, the last.
pub async fn what_was_asked_for_is_kept_the_last_of_it(backend: Subject) {
    assert_eq!(kept(&backend, 10).await, [], "an empty store has none");
    let before = now(&backend).await;
    let of_all = NewAction {
        actor: "dashboard (token)".into(),
        task: None,
        change: "resume (all: true)".into(),
        outcome: "unknown_task: there is none".into(),
    };
    note(&backend, &pause(0)).await;
    note(&backend, &of_all).await;
    let after = now(&backend).await;
    let listed = kept(&backend, 10).await;
    let told: Vec<&NewAction> = listed.iter().map(|action| &action.told).collect();
    assert_eq!(told, [&of_all, &pause(0)]);
    assert!(listed.iter().all(|action| (before..=after).contains(&action.at)), "{before} {listed:?} {after}");
    assert_eq!(kept(&backend, 1).await, listed[..1]);
    assert_eq!(kept(&backend, 0).await, []);
    for number in 1..=ACTIONS_MAX {
        note(&backend, &pause(number)).await;
    }
    let listed = kept(&backend, usize::MAX).await;
    let tasks: Vec<Option<Arc<str>>> = listed.into_iter().map(|action| action.told.task).collect();
    let expected: Vec<Option<Arc<str>>> = (1..=ACTIONS_MAX).rev().map(|number| pause(number).task).collect();
    assert_eq!(tasks, expected);
}
