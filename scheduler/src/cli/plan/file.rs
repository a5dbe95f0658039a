//! A forecast as JSON, and back: the whole of it, so that what fires can be compared with what another version fired.
//!
//! The format carries a number. A file of another number, or one that was cut off, is refused with the place.

use std::fmt;

use chrono::DateTime;
use serde_json::{Map, Value as Json, json};
use symphra_scheduler_core::Timestamp;

use super::firings::{Firings, Progression, Span};
use super::load::Load;
use super::{Forecast, Planned, Rule};

const FORMAT: &str = "symphra-plan";

/// Raised when a reader of the earlier number would misread the file.
const VERSION: u64 = 1;

/// Why a text is no forecast.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Forecast {
    pub(crate) fn to_json(&self) -> Json {
        let load = self.load();
        json!({
            "format": FORMAT,
            "version": VERSION,
            "from": self.span.from.to_string(),
            "to": self.span.to.to_string(),
            "tzdb": self.tzdb,
            "tasks": self.tasks.iter().map(Planned::to_json).collect::<Vec<_>>(),
            "load": self.load_to_json(&load),
        })
    }

    fn load_to_json(&self, load: &Load) -> Json {
        let busiest = load.busiest(self.tasks.iter().map(|task| &task.firings)).into_iter().map(|busy| {
            let tasks = busy.tasks.iter();
            let tasks = tasks.map(|&(task, firings)| json!({ "name": self.tasks[task].name, "firings": firings }));
            json!({ "at": busy.at.to_string(), "firings": busy.firings, "tasks": tasks.collect::<Vec<_>>() })
        });
        json!({ "minutes": load.minutes, "busiest": busiest.collect::<Vec<_>>() })
    }

    /// Reads what [`to_json`](Self::to_json) has written; `load` is worked out anew.
    pub(crate) fn from_json(text: &str) -> Result<Self, Unreadable> {
        let json: Json = serde_json::from_str(text).map_err(|error| {
            let how = if error.is_eof() { "ends too early, it was cut off" } else { "is no JSON" };
            Unreadable(format!("it {how}: {error}"))
        })?;
        let root = Node { path: String::new(), json: &json };
        let format = root.get("format").and_then(|format| format.text());
        if format.ok() != Some(FORMAT) {
            return Err(Unreadable(format!("it is not the output of `plan --json`: format is not {FORMAT:?}")));
        }
        let version = root.get("version")?.number()?;
        if version != VERSION {
            return Err(Unreadable(format!("version: {version} is not known here, only {VERSION}; write it anew")));
        }
        let span = Span { from: root.get("from")?.instant()?, to: root.get("to")?.instant()? };
        let millis = span.to.as_millis().saturating_sub(span.from.as_millis());
        if millis <= 0 || millis > super::SPAN_MILLIS_MAX {
            return Err(Unreadable(format!("to: {} is not 1 to {} hours after from", span.to, super::HOURS_MAX)));
        }
        let mut tasks: Vec<Planned> = Vec::new();
        let nodes = root.get("tasks")?;
        for node in nodes.elements()? {
            let task = Planned::from_json(&node, span)?;
            if tasks.last().is_some_and(|before| before.name >= task.name) {
                return node.get("name")?.wrong("a name after that of the task before");
            }
            tasks.push(task);
        }
        Ok(Self { span, tzdb: root.get("tzdb")?.text()?.to_owned(), tasks })
    }
}

pub(super) fn firings_to_json(firings: &Firings) -> Json {
    let all = firings.progressions().iter();
    all.map(|one| json!({ "first": one.first.to_string(), "every_ms": one.every_millis, "count": one.count })).collect()
}

impl Planned {
    pub(super) fn to_json(&self) -> Json {
        let options: Map<String, Json> =
            self.rule.options.iter().map(|(option, value)| (option.clone(), value.as_str().into())).collect();
        json!({
            "name": self.name,
            "schedule": self.rule.schedule,
            "words": self.words,
            "timezone": self.rule.timezone,
            "enabled": self.rule.enabled,
            "options": options,
            "count": self.firings.count(),
            "first": self.firings.first().map(|at| at.to_string()),
            "last": self.firings.last().map(|at| at.to_string()),
            "firings": firings_to_json(&self.firings),
            "notes": self.notes,
        })
    }

    fn from_json(node: &Node<'_>, span: Span) -> Result<Self, Unreadable> {
        let options = node.get("options")?;
        let Json::Object(set) = options.json else { return options.wrong("an object") };
        let options = set.keys().map(|option| Ok((option.clone(), options.get(option)?.text()?.to_owned())));
        let rule = Rule {
            schedule: node.get("schedule")?.text()?.to_owned(),
            timezone: node.get("timezone")?.text()?.to_owned(),
            enabled: node.get("enabled")?.flag()?,
            options: options.collect::<Result<_, _>>()?,
        };
        let firings = node.get("firings")?;
        let progressions = firings.elements()?.map(|one| {
            Ok(Progression {
                first: one.get("first")?.instant()?,
                every_millis: one.get("every_ms")?.number()?,
                count: one.get("count")?.number()?,
            })
        });
        let progressions = progressions.collect::<Result<Vec<_>, _>>()?;
        let Some(checked) = Firings::checked(progressions, span) else {
            return firings.wrong("progressions one after another between `from` and `to`");
        };
        let notes = node.get("notes")?;
        let notes = notes.elements()?.map(|note| Ok(note.text()?.to_owned()));
        Ok(Self {
            name: node.get("name")?.text()?.to_owned(),
            rule,
            words: node.get("words")?.text()?.to_owned(),
            firings: checked,
            notes: notes.collect::<Result<_, _>>()?,
        })
    }
}

/// A value of a file, and where it stands.
struct Node<'a> {
    path: String,
    json: &'a Json,
}

impl<'a> Node<'a> {
    fn get(&self, key: &str) -> Result<Self, Unreadable> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        match self.json.get(key) {
            Some(json) => Ok(Self { path, json }),
            None => Err(Unreadable(format!("{path}: it is missing"))),
        }
    }

    fn elements(&self) -> Result<impl Iterator<Item = Self> + use<'a, '_>, Unreadable> {
        let Json::Array(elements) = self.json else { return self.wrong("a list") };
        let node = |(n, json)| Self { path: format!("{}[{n}]", self.path), json };
        Ok(elements.iter().enumerate().map(node))
    }

    fn text(&self) -> Result<&'a str, Unreadable> {
        self.json.as_str().map_or_else(|| self.wrong("a text"), Ok)
    }

    fn number(&self) -> Result<u64, Unreadable> {
        self.json.as_u64().map_or_else(|| self.wrong("a whole number"), Ok)
    }

    fn flag(&self) -> Result<bool, Unreadable> {
        self.json.as_bool().map_or_else(|| self.wrong("true or false"), Ok)
    }

    fn instant(&self) -> Result<Timestamp, Unreadable> {
        let instant = DateTime::parse_from_rfc3339(self.text()?);
        instant.map_or_else(|_| self.wrong("an instant such as 2026-12-31T23:59:59Z"), |at| Ok(at.into()))
    }

    fn wrong<T>(&self, allowed: &str) -> Result<T, Unreadable> {
        const CHARS_MAX: usize = 60;
        let shown = self.json.to_string();
        let shown = match shown.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{}…", &shown[..end]),
            None => shown,
        };
        Err(Unreadable(format!("{}: {shown} is not {allowed}", self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{day, program};
    use super::*;
    use crate::chrono_tz::Tz;

    fn written() -> Json {
        Forecast::of(&program(), Tz::Asia__Shanghai, day()).to_json()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let forecast = Forecast::of(&program(), Tz::Asia__Shanghai, day());
        let read = Forecast::from_json(&forecast.to_json().to_string()).expect("a forecast");
        assert_eq!((read.span, &read.tasks, &read.tzdb), (forecast.span, &forecast.tasks, &forecast.tzdb));
    }

    #[test]
    fn a_cut_file_is_told_wherever_it_is_cut() {
        let text = written().to_string();
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            let Unreadable(says) = Forecast::from_json(&text[..end]).expect_err("it is cut");
            assert!(says.contains("was cut off") && says.contains("line 1 column"), "{end}: {says}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (pointer, value, part) in [
            ("/format", json!("other"), "not the output of `plan --json`"),
            ("/version", json!(2), "version: 2 is not known here, only 1"),
            ("/from", json!("today"), "from: \"today\" is not an instant"),
            ("/to", json!("2026-11-24T00:00:00Z"), "to: 2026-11-24"),
            ("/to", json!("2099-11-24T00:00:00Z"), "1 to 744 hours"),
            ("/tasks", json!({}), "tasks: {} is not a list"),
            ("/tasks/0/name", json!(7), "tasks[0].name: 7 is not a text"),
            ("/tasks/1/name", json!("a"), "tasks[1].name: \"a\" is not a name after"),
            ("/tasks/0/enabled", json!("yes"), "tasks[0].enabled: \"yes\" is not true or false"),
            ("/tasks/0/firings/0/count", json!(-1), "tasks[0].firings[0].count: -1 is not a whole number"),
            ("/tasks/0/firings/0/count", json!(1_000_000_000), "tasks[0].firings: "),
            ("/tasks/0/options", json!({ "jitter": 5 }), "tasks[0].options.jitter: 5 is not a text"),
            ("/tasks/0", json!({}), "tasks[0].options: it is missing"),
        ] {
            let mut json = written();
            *json.pointer_mut(pointer).expect(pointer) = value;
            let Unreadable(says) = Forecast::from_json(&json.to_string()).expect_err(pointer);
            assert!(says.contains(part), "{pointer}: {says}");
        }
        let Unreadable(says) = Forecast::from_json("hello").expect_err("no JSON");
        assert!(says.starts_with("it is no JSON: ") && says.contains("line 1 column 1"), "{says}");
        assert!(Forecast::from_json("[]").is_err() && Forecast::from_json("{}").is_err());
    }
}
