//! Schedules as people write them in files and on command lines: a cron expression, a period, or an instant.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "cli")]
use symphra_scheduler_core::format_duration;
use symphra_scheduler_core::{CronError, DurationError, WrittenInstant, parse_duration, parse_instant};

#[cfg(feature = "cli")]
use super::Rule;
use super::{IntervalError, Moment, Schedule};

/// A text that is no schedule.
///
/// ```
/// use symphra_scheduler::Schedule;
///
/// let period: Schedule = "1m30s".parse()?;
/// assert_eq!(period.describe(), "every 1 minute 30 seconds");
/// let error = "soon".parse::<Schedule>().unwrap_err();
/// assert!(error.to_string().starts_with("a schedule is a cron expression"));
/// # Ok::<(), symphra_scheduler::ScheduleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScheduleError(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Cron(CronError),
    Duration(DurationError),
    Interval(IntervalError),
    Instant(String),
    Unclear,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cron(error) => fmt::Display::fmt(error, f),
            Kind::Duration(error) => fmt::Display::fmt(error, f),
            Kind::Interval(error) => fmt::Display::fmt(error, f),
            Kind::Instant(says) => f.write_str(says),
            Kind::Unclear => f.write_str(
                "a schedule is a cron expression (\"0 9 * * MON-FRI\"), a period (\"1m30s\") or an instant \
                 (\"2026-12-31T23:59:59+08:00\")",
            ),
        }
    }
}

impl std::error::Error for ScheduleError {}

/// A cron expression, a period such as `"1m30s"` (also `"every 1m30s"`), or an instant such as
/// `"2026-12-31T23:59:59+08:00"`, which without an offset is local to the task's zone.
impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let fields = text.split_whitespace().count();
        if text.starts_with('@') || text.contains('*') || fields >= 5 {
            return Self::cron(text).map_err(|error| ScheduleError(Kind::Cron(error)));
        }
        if let Some(period) = text.strip_prefix("every ") {
            return period_of(period);
        }
        if text.get(4..5) == Some("-") && text.as_bytes()[..4].iter().all(u8::is_ascii_digit) {
            return instant_of(text);
        }
        if text.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return period_of(text);
        }
        Err(ScheduleError(Kind::Unclear))
    }
}

impl Schedule {
    /// As it may be written: parsed again, it is the same schedule.
    #[cfg(feature = "cli")]
    pub(crate) fn written(&self) -> String {
        match self.rule() {
            Rule::Cron(expression) => expression.to_string(),
            Rule::Interval(grid) => format_duration(grid.period()),
            Rule::Once(at) => at.written(),
            Rule::Never => "never".to_owned(),
        }
    }
}

fn period_of(text: &str) -> Result<Schedule, ScheduleError> {
    let period = parse_duration(text).map_err(|error| ScheduleError(Kind::Duration(error)))?;
    Schedule::interval(period).map_err(|error| ScheduleError(Kind::Interval(error)))
}

fn instant_of(text: &str) -> Result<Schedule, ScheduleError> {
    let written = parse_instant(text).map_err(|says| ScheduleError(Kind::Instant(says)))?;
    Ok(Schedule::from_moment(written.into()))
}

impl From<WrittenInstant> for Moment {
    fn from(written: WrittenInstant) -> Self {
        match written {
            WrittenInstant::Utc(millis) => Self::utc(millis),
            WrittenInstant::Local(millis) => Self::local(millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_by_how_it_begins() {
        for (text, words) in [
            ("0 9 * * MON-FRI", "at 09:00, Monday to Friday"),
            ("@daily", "at 00:00"),
            ("30s", "every 30 seconds"),
            ("every 1m30s", "every 1 minute and 30 seconds"),
            ("1h 30m", "every 1 hour and 30 minutes"),
            ("2026-12-31T23:59:59+08:00", "once, at 2026-12-31 15:59:59 UTC"),
            ("2026-12-31 23:59", "once, at 2026-12-31 23:59:00 local time"),
        ] {
            let schedule: Schedule = text.parse().expect(text);
            assert!(
                schedule.describe().to_lowercase().starts_with(&words[..8].to_lowercase()),
                "{text}: {schedule:?} {}",
                schedule.describe()
            );
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in ["0 9 * * MON-FRI", "1m 30s", "1ms", "2026-12-31T23:59:59.5+08:00", "2026-12-31 23:59"] {
            let schedule: Schedule = text.parse().expect(text);
            let written = schedule.written();
            assert_eq!(written.parse::<Schedule>().expect(&written), schedule, "{text}: {written}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_its_form() {
        for (text, part) in [
            ("61 * * * *", "61"),
            ("0 9 * *", "field"),
            ("30", "unit"),
            ("0s", "zero"),
            ("2026-13-01", "must be a date"),
            ("soon", "a schedule is a cron expression"),
            ("", "a schedule is a cron expression"),
        ] {
            let said = text.parse::<Schedule>().expect_err(text).to_string();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
