//! Cron expressions: three lines, an expression, a time zone, and an instant in milliseconds.

use symphra_scheduler::chrono_tz::{TZ_VARIANTS, Tz};
use symphra_scheduler::{CronExpr, Language, Timestamp, parse_timezone};

use super::{number, text};

/// 1969 to 2101: the years of the calendar, and one around them on both sides.
const FIRST: i64 = -31_536_000_000;
const SPAN: u64 = 4_165_516_800_000;

const STEPS: u64 = 20;

/// What is read is written and read back as the same, and its occurrences strictly increase, forwards as backwards, with as many
/// as are counted.
pub fn expression(input: &[u8]) {
    let input = text(input);
    let mut lines = input.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (written, zone, start) = (next(), next(), next());
    let expr = match written.parse::<CronExpr>() {
        Ok(expr) => expr,
        Err(error) => {
            assert_eq!(error.expression(), written);
            assert!(written.contains(error.value()), "{error:?}");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let shown = expr.to_string();
    assert_eq!(shown.parse(), Ok(expr), "{written:?} is shown as {shown:?}");
    assert_eq!(CronExpr::from_bits(expr.to_bits()), expr, "{written:?}");
    assert!(!expr.describe_in(Language::English).is_empty() && !expr.describe_in(Language::Chinese).is_empty());

    let zone = parse_timezone(zone).unwrap_or_else(|_| TZ_VARIANTS[number(zone) as usize % TZ_VARIANTS.len()]);
    let start = match start.trim().parse::<i64>() {
        Ok(at) => Timestamp::from_millis(at),
        Err(_) => Timestamp::from_millis(FIRST + (number(start) % SPAN) as i64),
    };
    occurrences(expr, zone, start);
}

fn occurrences(expr: CronExpr, zone: Tz, start: Timestamp) {
    let (mut at, mut steps, mut before) = (start, 0, expr.previous(zone, start));
    assert!(before.is_none_or(|before| before < start), "{expr} in {zone}: {before:?} is not before {start}");
    if expr.includes(start.to_utc().with_timezone(&zone)) {
        before = Some(start);
    }
    while steps < STEPS
        && let Some(next) = expr.next(zone, at)
    {
        assert!(next > at, "{expr} in {zone}: {next} is not after {at}");
        assert_eq!(next.as_millis() % 1_000, 0, "{expr} in {zone}: {next} is no whole second");
        assert_eq!(expr.previous(zone, next), before, "{expr} in {zone}: what is before {next}");
        assert!(expr.includes(next.to_utc().with_timezone(&zone)), "{expr} in {zone} does not include {next}");
        (at, before, steps) = (next, Some(next), steps + 1);
    }
    assert_eq!(expr.count(zone, start, at), steps, "{expr} in {zone} from {start} to {at}");
    assert!(expr.can_fire() || steps == 0, "{expr} fires at {at}");
}
