//! Cron expressions, parsed by the parser of the runtime, and the ways in which one can be valid and never fire.

use chrono::{NaiveDate, TimeZone};
use chrono_tz::Tz;
use symphra_scheduler_core::{CronExpr, Timestamp};

use super::Schedule;
use crate::attr::Value;

/// The local year from which on a cron expression must have an occurrence. Fixed, and not today's: a program that
/// compiles must compile next year too.
const FIRST_YEAR: i32 = 2025;

/// Reads the cron expression of a task in `zone`, or in the scheduler's zone if there is none.
pub(super) fn read(value: &Value, zone: Option<Tz>) -> syn::Result<Schedule> {
    expression(value, zone).map(Schedule::Cron)
}

/// Reads a cron expression that fires in `zone`, or in UTC if there is none.
pub(crate) fn expression(value: &Value, zone: Option<Tz>) -> syn::Result<CronExpr> {
    let Some(text) = value.as_text() else {
        let advice = value.name_advice();
        let message =
            format!("a cron expression is a string, not {value}{advice}; write for example \"0 30 9 * * MON-FRI\"");
        return Err(value.error(message));
    };
    let expression: CronExpr = text.parse().map_err(|error| value.error(error))?;
    check(&expression, &text, zone.unwrap_or(Tz::UTC)).map_err(|message| value.error(message))?;
    Ok(expression)
}

/// The first occurrence in `zone` at or after `from`, in [`FIRST_YEAR`] or later.
pub(crate) fn first_occurrence(expression: &CronExpr, zone: Tz, from: Timestamp) -> Option<Timestamp> {
    let from = from.max(first_instant(zone));
    expression.next(zone, Timestamp::from_millis(from.as_millis() - 1))
}

fn check(expression: &CronExpr, text: &str, zone: Tz) -> Result<(), String> {
    if !expression.can_fire() {
        return Err(format!(
            "{text:?} never fires: no date from 1970 to 2100 fits its day, month and year together; change one of them"
        ));
    }
    if first_occurrence(expression, zone, Timestamp::MIN).is_some() {
        return Ok(());
    }
    Err(match expression.previous(zone, first_instant(zone)) {
        Some(last) => {
            let last = last.to_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M:%S");
            format!(
                "{text:?} never fires again: its last occurrence was at {last} ({zone}), and one from {FIRST_YEAR} on \
                 is needed; change the year"
            )
        }
        None => format!("{text:?} never fires: in {zone} the clock skips every local time it names; change the time"),
    })
}

/// The start of [`FIRST_YEAR`] in `zone`.
pub(crate) fn first_instant(zone: Tz) -> Timestamp {
    let midnight = NaiveDate::from_ymd_opt(FIRST_YEAR, 1, 1).and_then(|date| date.and_hms_opt(0, 0, 0));
    let midnight = midnight.expect("1 January is a date");
    let instant = zone.from_local_datetime(&midnight).earliest().expect("no zone skips the start of this year");
    Timestamp::from(instant)
}
