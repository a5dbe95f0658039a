//! Durations as people write them: `"30s"`, `"1h30m"`, `"500ms"`, in whole milliseconds.
//!
//! Days are 24 hours; weeks, months and years are not units, since a schedule that means them is a cron expression.

use std::fmt;
use std::time::Duration;

/// The units, largest first, with their milliseconds: the order in which [`format_duration`] writes them.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: one or more numbers, each with a unit, added up.
///
/// Units are `d` (24 hours), `h`, `m` (minutes), `s` and `ms`, in lower case. Each may stand once, in any order; spaces
/// between the parts are allowed, and numbers may have decimals as long as the part is a whole number of milliseconds
/// (`"1.5h"`, `"0.25s"`). Zero is a duration here; where it makes no sense the caller says so.
///
/// # Errors
/// An empty text, a number without unit, an unknown or repeated unit, a part below a millisecond, and more than
/// `u64::MAX` milliseconds. The error names the part and the fix.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler_core::parse_duration;
///
/// assert_eq!(parse_duration("1h30m")?, Duration::from_secs(5_400));
/// assert_eq!(parse_duration("1.5h")?, Duration::from_secs(5_400));
/// assert_eq!(parse_duration("500ms")?, Duration::from_millis(500));
/// # Ok::<(), symphra_scheduler_core::DurationError>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let fail = |part: &str, problem: Problem| Err(DurationError { part: shortened(part), problem });
    let mut rest = text.trim();
    if rest.is_empty() {
        return fail(text, Problem::Empty);
    }
    let mut seen = [false; UNITS.len()];
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let after = after.trim_start();
        let unit_end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let unit = &after[..unit_end];
        let part = rest[..rest.len() - after.len() + unit_end].trim_end();
        if number.is_empty() {
            return fail(rest, Problem::NoNumber);
        }
        if unit.is_empty() {
            return fail(part, Problem::NoUnit);
        }
        let Some(index) = UNITS.iter().position(|&(name, _)| name == unit) else {
            return fail(part, Problem::UnknownUnit(shortened(unit)));
        };
        if std::mem::replace(&mut seen[index], true) {
            return fail(part, Problem::Repeated(UNITS[index].0));
        }
        match millis_of(number, UNITS[index].1) {
            Ok(millis) => match total.checked_add(millis) {
                Some(sum) => total = sum,
                None => return fail(text, Problem::TooLong),
            },
            Err(problem) => return fail(part, problem),
        }
        rest = after[unit_end..].trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration the way [`parse_duration`] reads it, largest unit first: `"1h30m"`, `"500ms"`, `"0s"`.
///
/// What is below a millisecond is dropped.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler_core::format_duration;
///
/// assert_eq!(format_duration(Duration::from_millis(90_061_001)), "1d1h1m1s1ms");
/// assert_eq!(format_duration(Duration::ZERO), "0s");
/// ```
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, millis) in UNITS {
        let count = rest / u128::from(millis);
        rest %= u128::from(millis);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A text that is no duration: which part of it, and what to write instead.
///
/// ```
/// use symphra_scheduler_core::parse_duration;
///
/// let error = parse_duration("1h30").unwrap_err();
/// assert_eq!(error.value(), "30");
/// assert!(error.to_string().contains("write \"30s\" for seconds"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    part: String,
    problem: Problem,
}

impl DurationError {
    /// The part of the text that is wrong, such as `"30"` of `"1h30"`, cut to 64 characters.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.part
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Empty,
    NoNumber,
    NoUnit,
    UnknownUnit(String),
    Repeated(&'static str),
    NotANumber,
    BelowMillisecond,
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALLOWED: &str = "allowed units are d, h, m, s and ms";
        let part = &self.part;
        match &self.problem {
            Problem::Empty => write!(f, "duration is empty; write a number with a unit, such as \"30s\" ({ALLOWED})"),
            Problem::NoNumber => {
                write!(f, "duration: {part:?} does not begin with a number; write \"30s\" or \"1h30m\"")
            }
            Problem::NoUnit => write!(f, "duration: {part:?} has no unit; write \"{part}s\" for seconds ({ALLOWED})"),
            Problem::UnknownUnit(unit) => {
                write!(f, "duration: unknown unit {unit:?} in {part:?}; {ALLOWED}")?;
                match meant(unit) {
                    Some(meant) => write!(f, "; did you mean {meant:?}?"),
                    None => Ok(()),
                }
            }
            Problem::Repeated(unit) => {
                write!(f, "duration: unit {unit:?} stands twice, again in {part:?}; add the two up")
            }
            Problem::NotANumber => write!(f, "duration: {part:?} has a malformed number; write \"1.5h\" or \"90m\""),
            Problem::BelowMillisecond => {
                write!(f, "duration: {part:?} is not a whole number of milliseconds; the shortest step is 1ms")
            }
            Problem::TooLong => write!(f, "duration: {part:?} is too long; allowed are at most {}ms", u64::MAX),
        }
    }
}

impl std::error::Error for DurationError {}

/// The milliseconds of `number` units of `unit_millis`, exactly, without floating point.
fn millis_of(number: &str, unit_millis: u64) -> Result<u64, Problem> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || decimals.is_empty() || decimals.contains('.') {
        return Err(Problem::NotANumber);
    }
    let whole: u64 = whole.parse().map_err(|_| Problem::TooLong)?;
    let millis = whole.checked_mul(unit_millis).ok_or(Problem::TooLong)?;
    // Each decimal digit is worth a tenth of the last; what does not divide evenly is below a millisecond.
    let decimals = decimals.trim_end_matches('0');
    let mut fraction = 0_u64;
    if !decimals.is_empty() {
        let scale = u32::try_from(decimals.len()).ok().and_then(|digits| 10_u64.checked_pow(digits));
        let scale = scale.ok_or(Problem::BelowMillisecond)?;
        let digits: u64 = decimals.parse().map_err(|_| Problem::BelowMillisecond)?;
        let product = u128::from(digits) * u128::from(unit_millis);
        if !product.is_multiple_of(u128::from(scale)) {
            return Err(Problem::BelowMillisecond);
        }
        fraction = u64::try_from(product / u128::from(scale)).map_err(|_| Problem::TooLong)?;
    }
    millis.checked_add(fraction).ok_or(Problem::TooLong)
}

/// The unit that a longer or differently written name stands for.
fn meant(unit: &str) -> Option<&'static str> {
    Some(match unit.to_lowercase().as_str() {
        "d" | "day" | "days" => "d",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => "ms",
        "w" | "week" | "weeks" => "7d",
        _ => return None,
    })
}

fn shortened(text: &str) -> String {
    const PART_CHARS_MAX: usize = 64;
    match text.char_indices().nth(PART_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> u128 {
        parse_duration(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).as_millis()
    }

    fn message(text: &str) -> String {
        parse_duration(text).expect_err(text).to_string()
    }

    #[test]
    fn units_are_added_up() {
        assert_eq!(millis("1h30m"), 5_400_000);
        assert_eq!(millis("1d 2h 3m 4s 5ms"), 93_784_005);
        assert_eq!(millis(" 30 s "), 30_000);
        assert_eq!(millis("0s"), 0);
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(millis("1.5h"), 5_400_000);
        assert_eq!(millis("0.001s"), 1);
        assert_eq!(millis("0.1d"), 8_640_000);
        assert_eq!(millis("2.50000000000000000000000000s"), 2_500);
    }

    #[test]
    fn a_wrong_text_says_what_to_write() {
        assert!(message("30").contains("write \"30s\""));
        assert!(message("1h30").contains("\"30\" has no unit"));
        assert!(message("5 mins").contains("did you mean \"m\"?"));
        assert!(message("1w").contains("did you mean \"7d\"?"));
        assert!(message("1s 2s").contains("stands twice"));
        assert!(message("").contains("empty"));
        assert!(message("-5s").contains("does not begin with a number"));
        assert!(message("0.5ms").contains("whole number of milliseconds"));
        assert!(message("1..5s").contains("malformed"));
        assert!(message("99999999999999999999s").contains("too long"));
        assert!(message("18446744073709551615ms1s").contains("too long"));
        assert!(message(".5s").contains("malformed"));
    }

    #[test]
    fn the_part_that_is_wrong_can_be_asked_for() {
        assert_eq!(parse_duration("1h30").expect_err("no unit").value(), "30");
        let long = parse_duration(&"x".repeat(65)).expect_err("no number");
        assert_eq!(long.value(), format!("{}…", "x".repeat(64)));
    }

    #[test]
    fn each_word_for_a_unit_leads_to_the_unit() {
        for (words, unit) in [
            ("D day days", "d"),
            ("H hr hrs hour hours", "h"),
            ("M min mins minute minutes", "m"),
            ("S sec secs second seconds", "s"),
            ("MS msec millis millisecond milliseconds", "ms"),
            ("w week weeks", "7d"),
        ] {
            for word in words.split(' ') {
                assert!(message(&format!("5{word}")).contains(&format!("did you mean {unit:?}?")), "{word}");
            }
        }
    }

    #[test]
    fn hostile_text_does_not_panic() {
        for text in ["\0", "é5s", "5é", "５s", "s", "...", &"9".repeat(100_000), &"1s".repeat(50_000)] {
            let error = parse_duration(text).expect_err("no duration");
            assert!(error.to_string().len() < 600, "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for duration in [0, 1, 999, 1_000, 61_001, 86_400_000, u64::MAX].map(Duration::from_millis) {
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
