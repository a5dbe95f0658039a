//! Keeps in the store what somebody asked for, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use symphra_scheduler_core::format_duration;
use tokio::time::timeout;

use super::answer::Actor;
use super::{How, Question};
use crate::backend::{Backend, BackendError, NewAction};

/// How long a store may take to keep it: who asked waits for that, and has been served.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest that is kept of a change, of an actor and of what came of it: a line each.
const CHARS_MAX: usize = 500;

/// What somebody asks for, as it is kept.
pub(super) struct Noted {
    task: Option<Arc<str>>,
    change: String,
}

impl Noted {
    /// Of a question that changes something.
    pub(super) fn of(question: &Question) -> Option<Self> {
        question.is_change().then(|| {
            let (name, fields) = question.words();
            let task = fields.iter().find(|(field, _)| field == "task").map(|(_, task)| task.as_str().into());
            let fields: Vec<String> = fields.into_iter().map(|(field, value)| format!("{field}: {value}")).collect();
            Self { task, change: format!("{name} ({})", fields.join(", ")) }
        })
    }

    /// Has a store keep it. Who asked is answered all the same where that fails.
    pub(super) async fn keep(
        self,
        store: &dyn Backend,
        actor: &Actor,
        outcome: Result<(), String>,
    ) -> Result<(), BackendError> {
        let outcome = outcome.err().unwrap_or_else(|| "done".to_owned());
        let action =
            NewAction { actor: cut(&actor.name()), task: self.task, change: cut(&self.change), outcome: cut(&outcome) };
        timeout(PATIENCE, store.note(&action)).await.unwrap_or_else(|_| {
            let says = format!("it has said nothing for {}", format_duration(PATIENCE));
            Err(BackendError::new("keep what was asked for", says))
        })
    }
}

fn cut(text: &str) -> Arc<str> {
    text.chars().take(CHARS_MAX).collect::<String>().into()
}

impl Question {
    /// Whether it changes anything.
    pub(crate) const fn is_change(&self) -> bool {
        match self {
            Self::List { .. }
            | Self::Find(_)
            | Self::Show { .. }
            | Self::Next { .. }
            | Self::Day { .. }
            | Self::Runs { .. }
            | Self::Log { .. }
            | Self::Explain { .. }
            | Self::Backfill { how: How::Preview, .. }
            | Self::Nodes
            | Self::Health
            | Self::Actions { .. }
            | Self::Dead { .. } => false,
            Self::Backfill { .. }
            | Self::Trigger { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Reschedule { .. }
            | Self::Cancel { .. }
            | Self::Reset { .. }
            | Self::RunAgain { .. }
            | Self::DropLetter { .. } => true,
        }
    }

    /// Its name, and what of it is given: the task, and all else by name.
    fn words(&self) -> (String, Vec<(String, String)>) {
        use serde_json::Value;
        let written = serde_json::to_value(self).expect("a question has string keys and no value that JSON lacks");
        let Value::Object(named) = written else { return (written.to_string(), Vec::new()) };
        let (name, fields) = named.into_iter().next().expect("it has a name");
        let Value::Object(fields) = fields else { return (name, Vec::new()) };
        let of_all = fields.get("task") == Some(&Value::Null);
        let given = fields.into_iter().filter_map(|(field, value)| match value {
            Value::Null | Value::Bool(false) => None,
            Value::String(text) => Some((field, text)),
            other => Some((field, other.to_string())),
        });
        let all = of_all.then(|| ("all".to_owned(), "true".to_owned()));
        let mut given: Vec<_> = given.filter(|(field, _)| field != "how").chain(all).collect();
        given.sort_by(|(a, _), (b, _)| (a != "task").cmp(&(b != "task")).then(a.cmp(b)));
        (name.replace('_', "-"), given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(question: &Question) -> (Option<String>, String) {
        let noted = Noted::of(question).expect("it changes something");
        (noted.task.map(|task| task.to_string()), noted.change)
    }

    #[test]
    fn a_change_is_kept_in_a_line_with_its_task() {
        let task = || "pay \"all\"".to_owned();
        let pause =
            |task: Option<String>, reason: Option<&str>| Question::Pause { task, reason: reason.map(str::to_owned) };
        assert_eq!(
            change(&pause(Some(task()), Some("the shop moves"))),
            (Some(task()), "pause (task: pay \"all\", reason: the shop moves)".to_owned())
        );
        assert_eq!(change(&pause(None, None)), (None, "pause (all: true)".to_owned()));
        let letter = "0190".to_owned();
        assert_eq!(change(&Question::RunAgain { letter }), (None, "run-again (letter: 0190)".to_owned()));
        let backfill = |how| Question::Backfill { task: task(), from: "2026-01-01".into(), to: None, rerun: true, how };
        assert_eq!(
            change(&backfill(How::Wait)),
            (Some(task()), "backfill (task: pay \"all\", from: 2026-01-01, rerun: true)".to_owned())
        );
        assert!(Noted::of(&backfill(How::Preview)).is_none(), "who only looks has asked for nothing");
        assert!(Noted::of(&Question::Nodes).is_none());
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(cut(&"é".repeat(CHARS_MAX + 1)).chars().count(), CHARS_MAX);
    }

    #[tokio::test]
    async fn a_backfill_is_kept_when_it_begins_for_who_waits_may_go_before_it_ends() {
        use crate::{Schedule, Scheduler, SchedulerEvent, Task};

        let schedule = Schedule::interval(Duration::from_millis(50)).expect("a period");
        let never_ends = Task::new("report", schedule, std::future::pending::<()>);
        let handle = Scheduler::empty().register(never_ends).start().await.expect("it starts");
        let mut events = handle.events();
        // Of what did not run there is something to run.
        while !matches!(events.next().await.expect("it goes on"), SchedulerEvent::Recorded { .. }) {}
        let from = "2026-01-01T00:00:00Z".to_owned();
        let asked = Question::Backfill { task: "report".into(), from, to: None, rerun: false, how: How::Wait };
        let (progress, _waits) = tokio::sync::mpsc::channel(1);
        let actor = Actor::named("uid 501".into());
        let kept = async {
            loop {
                let kept = handle.actions(10).await.expect("memory answers");
                if !kept.is_empty() {
                    return kept;
                }
                tokio::task::yield_now().await;
            }
        };
        let kept = tokio::select! {
            answer = super::super::answer::answer(&handle, asked, &actor, progress) => panic!("it has not ended: {answer:?}"),
            kept = timeout(Duration::from_secs(60), kept) => kept.expect("it is kept meanwhile"),
        };
        assert_eq!((kept.len(), &*kept[0].told.outcome), (1, "done"));
        handle.stop_now().await.expect("it stops");
    }
}
