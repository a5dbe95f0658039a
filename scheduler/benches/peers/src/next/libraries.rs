//! One face for the libraries: parse, and search from an instant.

use std::str::FromStr as _;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use symphra_scheduler_core::{CronExpr, Timestamp};

use super::Expression;
use crate::Failure;

pub(super) trait Library {
    const NAME: &'static str;
    type Parsed;
    /// The UTC that the library is fastest with: chrono's own, where it takes any zone.
    type Utc: TimeZone<Offset: Copy>;
    const UTC: Self::Utc;

    fn text(expression: &Expression) -> Option<&'static str>;
    fn parse(text: &str) -> Result<Self::Parsed, Failure>;
    fn next_utc(parsed: &Self::Parsed, after: DateTime<Self::Utc>) -> Option<DateTime<Self::Utc>>;
    fn next(parsed: &Self::Parsed, after: DateTime<Tz>) -> Option<DateTime<Tz>>;
}

/// An instant in the type that a search takes.
pub(super) trait Point: Copy {
    type Zone;

    fn at(zone: &Self::Zone, second: i64) -> Self;
    /// Seconds since 1970.
    fn second(self) -> i64;
}

impl<Z: TimeZone<Offset: Copy>> Point for DateTime<Z> {
    type Zone = Z;

    fn at(zone: &Z, second: i64) -> Self {
        zone.timestamp_opt(second, 0).single().expect("a timestamp is one instant")
    }

    fn second(self) -> i64 {
        self.timestamp()
    }
}

impl Point for Timestamp {
    type Zone = ();

    fn at(_zone: &(), second: i64) -> Self {
        Self::from_millis(second * 1_000)
    }

    fn second(self) -> i64 {
        self.as_millis() / 1_000
    }
}

/// `CronExpr::next_after`, which takes chrono-tz's zones only.
pub(super) struct Symphra;

impl Library for Symphra {
    const NAME: &'static str = "symphra";
    type Parsed = CronExpr;
    type Utc = Tz;
    const UTC: Tz = Tz::UTC;

    fn text(expression: &Expression) -> Option<&'static str> {
        Some(expression.name)
    }

    fn parse(text: &str) -> Result<Self::Parsed, Failure> {
        Ok(text.parse()?)
    }

    fn next_utc(parsed: &Self::Parsed, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        parsed.next_after(after)
    }

    fn next(parsed: &Self::Parsed, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        parsed.next_after(after)
    }
}

/// The crate `cron`.
pub(super) struct TheCron;

impl Library for TheCron {
    const NAME: &'static str = "cron";
    type Parsed = cron::Schedule;
    type Utc = Utc;
    const UTC: Utc = Utc;

    fn text(expression: &Expression) -> Option<&'static str> {
        expression.cron
    }

    fn parse(text: &str) -> Result<Self::Parsed, Failure> {
        Ok(cron::Schedule::from_str(text)?)
    }

    fn next_utc(parsed: &Self::Parsed, after: DateTime<Self::Utc>) -> Option<DateTime<Self::Utc>> {
        parsed.after(&after).next()
    }

    fn next(parsed: &Self::Parsed, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        parsed.after(&after).next()
    }
}

/// The crate `croner`.
pub(super) struct Croner;

impl Library for Croner {
    const NAME: &'static str = "croner";
    type Parsed = croner::Cron;
    type Utc = Utc;
    const UTC: Utc = Utc;

    fn text(expression: &Expression) -> Option<&'static str> {
        expression.croner
    }

    fn parse(text: &str) -> Result<Self::Parsed, Failure> {
        Ok(croner::Cron::from_str(text)?)
    }

    fn next_utc(parsed: &Self::Parsed, after: DateTime<Self::Utc>) -> Option<DateTime<Self::Utc>> {
        parsed.find_next_occurrence(&after, false).ok()
    }

    fn next(parsed: &Self::Parsed, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        parsed.find_next_occurrence(&after, false).ok()
    }
}
