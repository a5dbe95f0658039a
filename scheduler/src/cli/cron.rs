//! A cron expression explained: its words, its instants, and what a change of clocks makes of them; or what is wrong
//! with it, and where. Pure.

use std::fmt::Write as _;

use chrono::{DateTime, LocalResult, Offset, TimeZone};
use chrono_tz::Tz;
use serde_json::{Value as Json, json};
use symphra_scheduler_core::{CronError, CronExpr, Language, TZDB_VERSION, Timestamp, parse_timezone};

use super::args::CronArgs;
use super::output::{Cell, Column, Output, Tone, clean};
use super::{Failure, instant};
use crate::clock::Clock;

/// Explains the expression that was given, or tells what is wrong with it: exit code 1.
pub(super) fn run(args: &CronArgs, output: &Output) -> Result<u8, Failure> {
    let zone = parse_timezone(&args.zone).map_err(|error| Failure::Usage(error.to_string()))?;
    let expression = match args.expression.parse::<CronExpr>() {
        Ok(expression) => expression,
        Err(error) => {
            match output.is_json() {
                true => output.json_error(&error_to_json(&error)),
                false => output.error(&pointed_out(&error)),
            }
            return Ok(Failure::FAILED);
        }
    };
    let now = Clock::default().now();
    let from = args.from.as_deref().map_or(Ok(now), |text| instant(text, zone))?;
    let language = if args.zh { Language::Chinese } else { Language::English };
    let count = usize::try_from(args.count).unwrap_or(usize::MAX);
    let explained = Explained::new(expression, zone, from, count, language);
    output.show(&explained.to_json(), |_, output| explained.text(output));
    Ok(0)
}

/// What an expression says, seen from an instant.
#[derive(Debug)]
pub(crate) struct Explained {
    expression: CronExpr,
    words: String,
    zone: Tz,
    previous: Option<Instant>,
    next: Vec<Instant>,
}

/// An occurrence.
#[derive(Debug, PartialEq)]
struct Instant {
    at: DateTime<Tz>,
    effect: Option<Effect>,
}

/// What a change of clocks has to do with an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The local time that was meant lies in a gap: this is the first instant after it.
    Moved,
    /// The local time happens twice: this is the first time.
    FirstPass,
    /// This is the second time.
    SecondPass,
}

impl Effect {
    const fn word(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::FirstPass => "first_pass",
            Self::SecondPass => "second_pass",
        }
    }

    const fn says(self) -> &'static str {
        match self {
            Self::Moved => "its local time is skipped; this is the first instant after the gap",
            Self::FirstPass => "this local time happens twice; this is the first",
            Self::SecondPass => "this local time happens twice; this is the second",
        }
    }
}

impl Explained {
    /// The next `count` occurrences after `from`, and the last one at or before it.
    pub(crate) fn new(expression: CronExpr, zone: Tz, from: Timestamp, count: usize, language: Language) -> Self {
        let instant = |at: Timestamp| Instant::of(&expression, at.to_utc().with_timezone(&zone));
        let next = std::iter::successors(expression.next(zone, from), |&at| expression.next(zone, at));
        let before = Timestamp::from_millis(from.as_millis().saturating_add(1));
        Self {
            expression,
            words: expression.describe_in(language),
            zone,
            previous: expression.previous(zone, before).map(instant),
            next: next.take(count).map(instant).collect(),
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        json!({
            "expression": self.expression.to_string(),
            "words": self.words,
            "timezone": self.zone.to_string(),
            "tzdb": TZDB_VERSION,
            "previous": self.previous.as_ref().map(Instant::to_json),
            "next": self.next.iter().map(Instant::to_json).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn text(&self, output: &Output) -> String {
        let mut text = output.facts(&[
            ("expression", self.expression.to_string().into()),
            ("in words", self.words.as_str().into()),
            ("zone", format!("{} (tz database {TZDB_VERSION})", self.zone).into()),
        ]);
        text.push_str("\n\n");
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        rows.extend(self.previous.as_ref().map(|instant| instant.row("previous")));
        rows.extend(self.next.iter().map(|instant| instant.row("next")));
        if self.next.is_empty() {
            rows.push(vec!["next".into(), Cell::toned("never again", Tone::Warning), "".into()]);
        }
        text.push_str(&output.table(
            &[Column::word(""), Column::word("INSTANT"), Column::text("CHANGE OF CLOCKS")],
            rows,
            "",
        ));
        text
    }
}

impl Instant {
    fn of(expression: &CronExpr, at: DateTime<Tz>) -> Self {
        let (zone, local) = (at.timezone(), at.naive_local());
        let effect = match zone.from_local_datetime(&local) {
            LocalResult::Ambiguous(first, _) if first == at => Some(Effect::FirstPass),
            LocalResult::Ambiguous(..) => Some(Effect::SecondPass),
            // In UTC nothing is skipped, so that what is no occurrence there was not written so.
            _ if !expression.includes(Tz::UTC.from_utc_datetime(&local)) => Some(Effect::Moved),
            _ => None,
        };
        Self { at, effect }
    }

    fn to_json(&self) -> Json {
        json!({ "at": self.at.to_rfc3339(), "effect": self.effect.map(Effect::word) })
    }

    fn row(&self, word: &str) -> Vec<Cell> {
        let zone = if self.at.offset().fix().local_minus_utc() == 0 {
            "UTC".to_owned()
        } else {
            self.at.offset().fix().to_string()
        };
        let at = format!("{} {zone}", self.at.format("%a %Y-%m-%d %H:%M:%S"));
        let effect = self.effect.map_or(Cell::from(""), |effect| Cell::toned(effect.says(), Tone::Warning));
        vec![Cell::toned(word, Tone::Faint), at.into(), effect]
    }
}

/// The longest expression under which a mark is of use: what is longer is wrapped by the terminal.
const POINTED_CHARS_MAX: usize = 70;

/// The message of `error`, and the expression with a mark under what is wrong in it.
pub(crate) fn pointed_out(error: &CronError) -> String {
    let mut text = error.to_string();
    let (expression, position) = (error.expression(), error.position());
    let is_plain = |c: char| !c.is_control() && clean(c.encode_utf8(&mut [0; 4])) == c.to_string();
    // Of the expression as a whole there is nothing to point at.
    let Some(field) = error.field() else { return text };
    if !expression.chars().all(is_plain) || expression.chars().count() > POINTED_CHARS_MAX {
        return text;
    }
    let (before, wrong) = (&expression[..position.start], &expression[position]);
    // What is right is ASCII, and takes one column a character.
    let blank = " ".repeat(before.chars().count());
    let mark = "^".repeat(wrong.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum::<usize>().max(1));
    // Writing into a String cannot fail.
    let _ = write!(text, "\n  {expression}\n  {blank}{mark} {field}");
    text
}

/// Whether a terminal shows it two columns wide: ideographs and full-width forms, which is what gets into an expression.
const fn is_wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}')
}

/// The same, for programs.
pub(crate) fn error_to_json(error: &CronError) -> Json {
    let position = error.position();
    let chars = |end: usize| error.expression()[..end].chars().count();
    json!({
        "error": {
            "kind": "cron",
            "message": error.to_string(),
            "expression": error.expression(),
            "field": error.field().map(|field| field.to_string()),
            "value": error.value(),
            "position": { "from": chars(position.start), "to": chars(position.end) },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(expression: &str, zone: Tz, from: &str) -> Vec<(String, Option<Effect>)> {
        let from: DateTime<chrono::Utc> = from.parse().expect("an instant");
        let explained = Explained::new(expression.parse().expect("cron"), zone, from.into(), 3, Language::English);
        explained.next.iter().map(|instant| (instant.at.format("%d %H:%M").to_string(), instant.effect)).collect()
    }

    fn told(instants: &[(&str, Option<Effect>)]) -> Vec<(String, Option<Effect>)> {
        instants.iter().map(|&(at, effect)| (at.to_owned(), effect)).collect()
    }

    #[test]
    fn what_a_change_of_clocks_does_is_told() {
        let paris = Tz::Europe__Paris;
        assert_eq!(
            explained("30 2 * * *", paris, "2026-03-28T00:00:00Z"),
            told(&[("28 02:30", None), ("29 03:00", Some(Effect::Moved)), ("30 02:30", None)]),
        );
        assert_eq!(
            explained("30 2 * * *", paris, "2026-10-24T12:00:00Z"),
            told(&[("25 02:30", Some(Effect::FirstPass)), ("26 02:30", None), ("27 02:30", None)]),
        );
        assert_eq!(
            explained("*/30 * * * *", paris, "2026-10-25T00:15:00Z"),
            told(&[
                ("25 02:30", Some(Effect::FirstPass)),
                ("25 02:00", Some(Effect::SecondPass)),
                ("25 02:30", Some(Effect::SecondPass)),
            ]),
        );
    }

    #[test]
    fn the_previous_one_may_be_the_present() {
        let from: DateTime<chrono::Utc> = "2026-11-25T09:00:00Z".parse().expect("an instant");
        let explained = Explained::new("0 9 * * *".parse().expect("cron"), Tz::UTC, from.into(), 1, Language::Chinese);
        assert_eq!(explained.previous.as_ref().map(|instant| instant.at.to_utc()), Some(from));
        assert_eq!(explained.to_json()["next"][0]["at"], "2026-11-26T09:00:00+00:00");
        assert!(explained.text(&Output::plain(None)).contains("每天"), "{}", explained.text(&Output::plain(None)));
        let over =
            Explained::new("0 0 0 1 1 * 2020".parse().expect("cron"), Tz::UTC, from.into(), 5, Language::English);
        assert!(over.next.is_empty() && over.text(&Output::plain(None)).contains("never again"));
    }

    #[test]
    fn a_mark_stands_under_what_is_wrong() {
        for (expression, below) in [
            ("0 0 25 * * *", "  0 0 25 * * *\n      ^^ hour"),
            ("0 9 * * MOM", "  0 9 * * MOM\n          ^^^ day of week"),
            ("0 9 * 一 *", "  0 9 * 一 *\n        ^^ month"),
        ] {
            let error = expression.parse::<CronExpr>().expect_err(expression);
            let said = pointed_out(&error);
            assert!(said.starts_with(&error.to_string()) && said.ends_with(below), "{said}");
        }
        for unmarked in ["0 9 * *", "@dayly", "0 0\u{1b}[31m 25 * *", &format!("{} 25 * * *", "0,".repeat(80))] {
            let error = unmarked.parse::<CronExpr>().expect_err(unmarked);
            assert_eq!(pointed_out(&error), error.to_string());
        }
        let json = error_to_json(&"0 25 * * *".parse::<CronExpr>().expect_err("no hour"));
        assert_eq!(
            (&json["error"]["field"], &json["error"]["position"]),
            (&json!("hour"), &json!({ "from": 2, "to": 4 }))
        );
    }
}
