//! How what a program would fire differs from what was written down before: `plan --against`. Pure.

use serde_json::{Value as Json, json};

use super::file::firings_to_json;
use super::firings::{Firings, Span};
use super::{Forecast, Planned, Rule};

/// What differs, by task name.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    /// The versions of the tz database, if they are two.
    pub(super) tzdb: Option<(&'a str, &'a str)>,
    pub(super) changes: Vec<Change<'a>>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Change<'a> {
    New(&'a Planned),
    Removed(&'a Planned),
    Changed { name: &'a str, rule: Vec<Differs<'a>>, firings: Moved },
}

/// A part of a rule that is not what it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Differs<'a> {
    pub(super) what: &'a str,
    pub(super) before: Option<String>,
    pub(super) now: Option<String>,
}

/// What became of the firings of a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Same,
    /// All of them, by the same distance; negative is earlier.
    Shifted {
        count: u64,
        millis: i64,
    },
    Other {
        gone: Firings,
        came: Firings,
    },
}

impl<'a> Difference<'a> {
    /// Of two forecasts of one span.
    pub(crate) fn between(before: &'a Forecast, now: &'a Forecast) -> Self {
        let (mut old, mut new) = (before.tasks.iter().peekable(), now.tasks.iter().peekable());
        let mut changes = Vec::new();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) => old.name.cmp(&new.name),
            };
            let old = if order.is_le() { old.next() } else { None };
            let new = if order.is_ge() { new.next() } else { None };
            changes.extend(change(old, new));
        }
        let tzdb = (before.tzdb != now.tzdb).then_some((&*before.tzdb, &*now.tzdb));
        Self { tzdb, changes }
    }

    /// Whether the program would do as before. Another tz database that changes no firing is no difference.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn to_json(&self, span: Span) -> Json {
        let (mut new, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for change in &self.changes {
            match change {
                Change::New(task) => new.push(task.to_json()),
                Change::Removed(task) => removed.push(task.to_json()),
                Change::Changed { name, rule, firings } => {
                    let rule =
                        rule.iter().map(|part| json!({ "what": part.what, "before": part.before, "now": part.now }));
                    changed.push(json!({
                        "name": name,
                        "changed": rule.collect::<Vec<_>>(),
                        "firings": firings.to_json(),
                    }));
                }
            }
        }
        json!({
            "format": "symphra-plan-difference",
            "version": 1,
            "from": span.from.to_string(),
            "to": span.to.to_string(),
            "equal": self.is_empty(),
            "tzdb": self.tzdb.map(|(before, now)| json!({ "before": before, "now": now })),
            "new": new,
            "removed": removed,
            "changed": changed,
        })
    }
}

impl Moved {
    fn to_json(&self) -> Json {
        match self {
            Self::Same => json!({ "moved": "none" }),
            Self::Shifted { count, millis } => json!({ "moved": "all", "count": count, "shift_ms": millis }),
            Self::Other { gone, came } => {
                json!({ "moved": "some", "gone": firings_to_json(gone), "came": firings_to_json(came) })
            }
        }
    }
}

fn change<'a>(old: Option<&'a Planned>, new: Option<&'a Planned>) -> Option<Change<'a>> {
    match (old, new) {
        (None, None) => None,
        (None, Some(new)) => Some(Change::New(new)),
        (Some(old), None) => Some(Change::Removed(old)),
        (Some(old), Some(new)) => {
            let (rule, firings) = (differing(&old.rule, &new.rule), moved(&old.firings, &new.firings));
            (!rule.is_empty() || firings != Moved::Same).then_some(Change::Changed { name: &new.name, rule, firings })
        }
    }
}

fn differing<'a>(before: &'a Rule, now: &'a Rule) -> Vec<Differs<'a>> {
    let enabled = |rule: &Rule| Some(rule.enabled.to_string());
    let mut parts = vec![
        ("schedule", Some(before.schedule.clone()), Some(now.schedule.clone())),
        ("timezone", Some(before.timezone.clone()), Some(now.timezone.clone())),
        ("enabled", enabled(before), enabled(now)),
    ];
    let mut options: Vec<&str> = before.options.iter().chain(&now.options).map(|(option, _)| &**option).collect();
    options.sort_unstable();
    options.dedup();
    parts.extend(options.into_iter().map(|option| (option, before.option(option), now.option(option))));
    let differs = parts.into_iter().filter(|(_, before, now)| before != now);
    differs.map(|(what, before, now)| Differs { what, before, now }).collect()
}

impl Rule {
    fn option(&self, name: &str) -> Option<String> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| value.clone())
    }
}

fn moved(before: &Firings, now: &Firings) -> Moved {
    if before == now {
        return Moved::Same;
    }
    if let Some(millis) = before.shift_to(now) {
        return Moved::Shifted { count: now.count(), millis };
    }
    let (gone, came) = (before.without(now), now.without(before));
    match (gone.count(), came.count()) {
        (0, 0) => Moved::Same,
        _ => Moved::Other { gone, came },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{day, program, task};
    use super::*;
    use crate::chrono_tz::Tz;
    use crate::task::Task;

    fn forecast(tasks: &[Task]) -> Forecast {
        Forecast::of(tasks, Tz::UTC, day())
    }

    fn parts<'a>(rule: &[Differs<'a>]) -> Vec<&'a str> {
        rule.iter().map(|part| part.what).collect()
    }

    #[test]
    fn a_program_that_does_as_before_differs_in_nothing() {
        let (before, now) = (forecast(&program()), forecast(&program()));
        let difference = Difference::between(&before, &now);
        assert!(difference.is_empty() && difference.tzdb.is_none());
        assert_eq!(difference.to_json(day())["equal"], true);
    }

    #[test]
    fn tasks_that_come_and_go_are_told() {
        let before = forecast(&[task("a", "1h"), task("b", "1h"), task("d", "1h")]);
        let now = forecast(&[task("b", "1h"), task("c", "1h"), task("e", "1h")]);
        let difference = Difference::between(&before, &now);
        let told = difference.changes.iter().map(|change| match change {
            Change::New(task) => format!("+{}", task.name),
            Change::Removed(task) => format!("-{}", task.name),
            Change::Changed { name, .. } => format!("~{name}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), ["-a", "+c", "-d", "+e"]);
        let json = difference.to_json(day());
        assert_eq!(
            (&json["equal"], &json["new"][1]["name"], &json["removed"][0]["count"]),
            (&json!(false), &json!("e"), &json!(23))
        );
    }

    #[test]
    fn a_task_that_changed_is_told_with_what_of_it_and_where_its_firings_went() {
        let shifted = |millis, count| Moved::Shifted { count, millis };
        for (before, now, what, expected) in [
            (task("t", "0 9 * * *"), task("t", "30 9 * * *"), vec!["schedule"], shifted(1_800_000, 1)),
            (task("t", "0 * * * *"), task("t", "30 * * * *"), vec!["schedule"], shifted(1_800_000, 24)),
            (
                task("t", "0 9 * * *"),
                task("t", "0 9 * * *").timezone(Tz::Asia__Tokyo),
                vec!["timezone"],
                shifted(-32_400_000, 1),
            ),
            // The same instants by another rule.
            (
                task("t", "@hourly"),
                task("t", "1h").start_at(day().from.to_utc()),
                vec!["schedule", "start"],
                Moved::Same,
            ),
            (
                task("t", "@hourly"),
                task("t", "@hourly").jitter(std::time::Duration::from_secs(5)),
                vec!["jitter"],
                Moved::Same,
            ),
        ] {
            let (before, now) = (forecast(&[before]), forecast(&[now]));
            let difference = Difference::between(&before, &now);
            let [Change::Changed { name: "t", rule, firings }] = &difference.changes[..] else {
                panic!("{difference:?}")
            };
            assert_eq!((parts(rule), firings), (what, &expected));
        }
        let (before, now) = (forecast(&[task("t", "@hourly")]), forecast(&[task("t", "@hourly").enabled(false)]));
        let difference = Difference::between(&before, &now);
        let [Change::Changed { rule, firings: Moved::Other { gone, came }, .. }] = &difference.changes[..] else {
            panic!("{difference:?}")
        };
        assert_eq!((parts(rule), gone.count(), came.count()), (vec!["enabled"], 24, 0));
        assert_eq!((rule[0].before.as_deref(), rule[0].now.as_deref()), (Some("true"), Some("false")));
    }
}
