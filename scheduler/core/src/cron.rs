//! Cron expressions: one `Copy` value of bit masks, parsed once and searched without allocation.
//!
//! The type and its public face are here. Below it: `parse` (text to masks), `error`, `fields` (what each field may
//! hold), `calendar` (dates, the days of a month), `search` (next, previous and count on a plain local clock), `zone`
//! (the same in a time zone: gaps and repeats), `shared` (what two rules have in common), `display`, `describe`,
//! `interop` (the crate `cron`) and, in tests, `work` (how much a search does).
//!
//! Invariant: a value that exists has at least one bit in each of second, minute, hour and month, and a day rule.

mod calendar;
mod describe;
mod display;
mod error;
mod fields;
#[cfg(feature = "interop")]
mod interop;
mod parse;
mod search;
mod shared;
#[cfg(test)]
mod work;
mod zone;

use std::str::FromStr;

use chrono::DateTime;
use chrono_tz::Tz;

use crate::Timestamp;
pub use describe::Language;
pub use error::{CronError, CronField};
use fields::{ALL_60, ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_WEEKDAYS, Years};
#[cfg(feature = "interop")]
pub use interop::InteropError;

/// Longest expression that is read, in bytes. The longest canonical text (every list written out) has about 1,300.
///
/// ```
/// use symphra_scheduler_core::{CronExpr, EXPRESSION_BYTES_MAX};
///
/// let long = format!("0 9 * * {}", "1,".repeat(EXPRESSION_BYTES_MAX));
/// assert!(long.parse::<CronExpr>().is_err());
/// ```
pub const EXPRESSION_BYTES_MAX: usize = 2_048;

/// A cron expression: the instants at which a local clock matches it.
///
/// # Fields
/// Five fields (minute first, the second is 0), six (second first) or seven (year last):
///
/// | field | values | besides `* , - /` and `?` (as `*`) |
/// |---|---|---|
/// | second, minute | 0–59 | |
/// | hour | 0–23 | |
/// | day of month | 1–31 | `L` last day, `L-n` n days before it, `nW` weekday nearest the nth, `LW` last weekday |
/// | month | 1–12, `JAN`–`DEC` | |
/// | day of week | 0–7, `SUN`–`SAT`; 0 and 7 are Sunday, 1 is Monday | `nL` last such day of the month, `n#k` the kth |
/// | year | 1970–2100 | |
///
/// Ranges wrap around (`22-2`, `FRI-MON`; not in the year), also with a step; `n/step` runs to the field's end, which in
/// day of week is 7. `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight` and `@hourly` are short forms.
///
/// # Days
/// If both day fields are restricted, a day matches that matches **either**; otherwise both must. A field that begins
/// with `*` or `?` is not restricted, `*/2` included ([Vixie cron, crontab(5)]). A `+` before the day of week asks for
/// both: `0 0 13 * +5` is Friday the 13th.
///
/// # Time zones
/// An expression whose second, minute and hour are single values or lists is *fixed-time*: a local time that a clock
/// change skips runs once, at the first instant after the gap; one that happens twice runs the first time only. Any
/// other (a `*`, `?`, step or range in second, minute or hour) is an *interval* expression: it follows the local clock
/// as it passes, in both passes of a repeated hour, with nothing in a gap. Occurrences strictly increase in every zone.
/// The tables of `chrono-tz` end with 2099; in 2100 each zone keeps its last offset.
///
/// ```
/// use chrono::TimeZone;
/// use chrono_tz::America::New_York;
/// use symphra_scheduler_core::{CronExpr, chrono, chrono_tz};
///
/// let expr: CronExpr = "0 30 2 * * *".parse()?;
/// // On 8 March 2026 the clocks of New York go from 02:00 to 03:00.
/// let before = New_York.with_ymd_and_hms(2026, 3, 7, 12, 0, 0).unwrap();
/// let next = expr.next_after(before).unwrap();
/// assert_eq!(next.to_string(), "2026-03-08 03:00:00 EDT");
/// assert_eq!(expr.describe(), "at 02:30 every day");
/// # Ok::<(), symphra_scheduler_core::CronError>(())
/// ```
///
/// Two expressions are equal if their fields, their rule for days and their class are: `*/5` equals `0/5`, and `5-5` in
/// the minute does not equal `5`, since it makes an interval expression.
///
/// [Vixie cron, crontab(5)]: https://man7.org/linux/man-pages/man5/crontab.5.html
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CronExpr {
    /// Bits 0–59.
    second: u64,
    /// Bits 0–59.
    minute: u64,
    /// `n#k`: seven bits (Sunday lowest) for each k from 1 to 5, lowest first.
    nth: u64,
    /// The years asked for.
    years: Years,
    /// Those of them in which some day matches: derived, so that a search never looks into a year in vain.
    firing_years: Years,
    /// The kinds of months (`Month::kind`) in which some day matches: derived, for the same reason.
    firing_kinds: u32,
    /// Bits 0–23.
    hour: u32,
    /// Bits 1–31: plain days of the month.
    day: u32,
    /// `L-n`: bits 0–30.
    last: u32,
    /// `nW`: bits 1–31; bit 0 is `LW`.
    near: u32,
    /// Bits 1–12.
    month: u16,
    /// Bits 0–6, Sunday lowest: plain days of the week.
    weekday: u8,
    /// `nL`: bits 0–6.
    weekday_last: u8,
    flags: u8,
}

/// A day matches that matches either day field, not both.
const EITHER: u8 = 1;
/// The expression follows the clock as it passes: a `*`, step or range in second, minute or hour.
const INTERVAL: u8 = 2;

const _: () = assert!(size_of::<CronExpr>() <= 96, "a CronExpr fits in 96 bytes");

impl CronExpr {
    /// The first occurrence strictly after `after`, in its time zone; `None` if there is none up to the end of 2100.
    ///
    /// ```
    /// use symphra_scheduler_core::{CronExpr, chrono::TimeZone, chrono_tz::Tz};
    ///
    /// let leap_day: CronExpr = "0 0 29 2 *".parse()?;
    /// let next = leap_day.next_after(Tz::UTC.with_ymd_and_hms(2096, 3, 1, 0, 0, 0).unwrap());
    /// assert_eq!(next, None); // 2100 is not a leap year
    /// # Ok::<(), symphra_scheduler_core::CronError>(())
    /// ```
    #[must_use]
    pub fn next_after(&self, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        let zone = after.timezone();
        self.next_second(zone, after.timestamp()).map(|second| in_zone(second, zone))
    }

    /// The last occurrence strictly before `before`, in its time zone; `None` if there is none back to 1970.
    ///
    /// ```
    /// use symphra_scheduler_core::{CronExpr, chrono::TimeZone, chrono_tz::Europe::Lisbon};
    ///
    /// let expr: CronExpr = "0 18 * * FRI".parse()?;
    /// let start = Lisbon.with_ymd_and_hms(2026, 7, 1, 0, 0, 0).unwrap();
    /// assert_eq!(expr.previous_before(start).unwrap().date_naive().to_string(), "2026-06-26");
    /// # Ok::<(), symphra_scheduler_core::CronError>(())
    /// ```
    #[must_use]
    pub fn previous_before(&self, before: DateTime<Tz>) -> Option<DateTime<Tz>> {
        let zone = before.timezone();
        let through = before.timestamp() - i64::from(before.timestamp_subsec_nanos() == 0);
        self.previous_second(zone, through).map(|second| in_zone(second, zone))
    }

    /// The occurrences strictly after `after`, in order, up to the end of 2100.
    ///
    /// ```
    /// use symphra_scheduler_core::{CronExpr, chrono::TimeZone, chrono_tz::Europe::Lisbon};
    ///
    /// let expr: CronExpr = "0 18 * * FRI".parse()?;
    /// let start = Lisbon.with_ymd_and_hms(2026, 7, 1, 0, 0, 0).unwrap();
    /// let days: Vec<_> = expr.occurrences_after(start).take(2).map(|at| at.date_naive().to_string()).collect();
    /// assert_eq!(days, ["2026-07-03", "2026-07-10"]);
    /// # Ok::<(), symphra_scheduler_core::CronError>(())
    /// ```
    #[must_use]
    pub fn occurrences_after(&self, after: DateTime<Tz>) -> Occurrences {
        Occurrences { expr: *self, zone: after.timezone(), after: Some(after.timestamp()) }
    }

    /// Whether `instant` is an occurrence in its time zone.
    ///
    /// This is about occurrences, not about the look of the local clock: a fixed time that a gap moved is included
    /// where it was moved to, and the second pass of a repeated one is not.
    ///
    /// ```
    /// use symphra_scheduler_core::{CronExpr, chrono::TimeZone, chrono_tz::Europe::Lisbon};
    ///
    /// let expr: CronExpr = "0 18 * * FRI".parse()?;
    /// assert!(expr.includes(Lisbon.with_ymd_and_hms(2026, 7, 3, 18, 0, 0).unwrap()));
    /// assert!(!expr.includes(Lisbon.with_ymd_and_hms(2026, 7, 3, 18, 0, 1).unwrap()));
    /// # Ok::<(), symphra_scheduler_core::CronError>(())
    /// ```
    #[must_use]
    pub fn includes(&self, instant: DateTime<Tz>) -> bool {
        let second = instant.timestamp();
        instant.timestamp_subsec_nanos() == 0 && self.next_second(instant.timezone(), second - 1) == Some(second)
    }

    /// The first occurrence in `zone` strictly after `after`: [`next_after`](Self::next_after) for the engine.
    #[must_use]
    pub fn next(&self, zone: Tz, after: Timestamp) -> Option<Timestamp> {
        self.next_second(zone, after.as_millis().div_euclid(1_000)).map(from_second)
    }

    /// The last occurrence in `zone` strictly before `before`.
    #[must_use]
    pub fn previous(&self, zone: Tz, before: Timestamp) -> Option<Timestamp> {
        self.previous_second(zone, (before.as_millis() - 1).div_euclid(1_000)).map(from_second)
    }

    /// How many occurrences in `zone` lie after `after` (exclusive) and up to `through` (inclusive): exactly as many as
    /// steps of [`next`](Self::next), without taking them.
    ///
    /// The cost grows with the months and changes of offset in between, not with the occurrences.
    ///
    /// ```
    /// use std::time::Duration;
    /// use symphra_scheduler_core::{CronExpr, Timestamp, chrono_tz::Tz};
    ///
    /// let hourly: CronExpr = "@hourly".parse()?;
    /// let start = Timestamp::from_millis(0);
    /// let day = start.plus(Duration::from_secs(24 * 60 * 60));
    /// assert_eq!(hourly.count(Tz::UTC, start, day), 24);
    /// # Ok::<(), symphra_scheduler_core::CronError>(())
    /// ```
    #[must_use]
    pub fn count(&self, zone: Tz, after: Timestamp, through: Timestamp) -> u64 {
        self.count_seconds(zone, after.as_millis().div_euclid(1_000), through.as_millis().div_euclid(1_000))
    }

    /// Whether any date from 1970 to 2100 matches; false for `0 0 30 2 *`, 30 February.
    ///
    /// ```
    /// use symphra_scheduler_core::CronExpr;
    ///
    /// assert!(!"0 0 30 2 *".parse::<CronExpr>()?.can_fire());
    /// assert!("0 0 29 2 *".parse::<CronExpr>()?.can_fire());
    /// # Ok::<(), symphra_scheduler_core::CronError>(())
    /// ```
    #[must_use]
    pub fn can_fire(&self) -> bool {
        !self.firing_years.is_empty()
    }

    /// The expression in English: [`describe_in`](Self::describe_in) with [`Language::English`].
    ///
    /// ```
    /// use symphra_scheduler_core::CronExpr;
    ///
    /// let describe = |text: &str| text.parse::<CronExpr>().map(|expr| expr.describe());
    /// assert_eq!(describe("*/5 * * * *")?, "every 5 minutes");
    /// assert_eq!(describe("30 9 * * MON-FRI")?, "at 09:30, Monday to Friday");
    /// # Ok::<(), symphra_scheduler_core::CronError>(())
    /// ```
    #[must_use]
    pub fn describe(&self) -> String {
        self.describe_in(Language::English)
    }

    /// The expression in plain words: complete, so that two expressions that differ in a field differ in their words.
    /// Only the class (fixed-time or interval) is left unsaid where it makes no difference on an ordinary day.
    #[must_use]
    pub fn describe_in(&self, language: Language) -> String {
        describe::describe(self, language)
    }

    /// A value from [`to_bits`](Self::to_bits): what the macros write into a user's program, so that nothing is parsed
    /// at start. Bits of any other origin give some expression or one that never fires, and no panic.
    #[doc(hidden)]
    #[must_use]
    pub const fn from_bits(bits: [u64; 12]) -> Self {
        let [second, minute, nth, y0, y1, y2_kinds, f0, f1, f2, hour_day, last_near, rest] = bits;
        let mut expr = Self {
            second: second & ALL_60,
            minute: minute & ALL_60,
            nth: nth & ((1 << 35) - 1),
            years: Years::from_words([y0, y1, y2_kinds]),
            firing_years: Years::from_words([f0, f1, f2]),
            firing_kinds: (y2_kinds >> 32) as u32,
            hour: hour_day as u32 & ALL_HOURS,
            day: (hour_day >> 32) as u32 & ALL_DAYS,
            last: last_near as u32 & !(1 << 31),
            near: (last_near >> 32) as u32,
            month: rest as u16 & ALL_MONTHS,
            weekday: (rest >> 16) as u8 & ALL_WEEKDAYS,
            weekday_last: (rest >> 24) as u8 & ALL_WEEKDAYS,
            flags: (rest >> 32) as u8 & (EITHER | INTERVAL),
        };
        if expr.second == 0 || expr.minute == 0 || expr.hour == 0 || expr.month == 0 {
            expr.firing_years = Years::NONE;
        }
        expr
    }

    /// The whole value as plain numbers, for [`from_bits`](Self::from_bits) of the same version.
    #[doc(hidden)]
    #[must_use]
    pub const fn to_bits(&self) -> [u64; 12] {
        let [y0, y1, y2] = self.years.words();
        let [f0, f1, f2] = self.firing_years.words();
        [
            self.second,
            self.minute,
            self.nth,
            y0,
            y1,
            y2 | (self.firing_kinds as u64) << 32,
            f0,
            f1,
            f2,
            self.hour as u64 | (self.day as u64) << 32,
            self.last as u64 | (self.near as u64) << 32,
            self.month as u64
                | (self.weekday as u64) << 16
                | (self.weekday_last as u64) << 24
                | (self.flags as u64) << 32,
        ]
    }

    /// A day matches that matches either day field.
    const fn matches_either_day(&self) -> bool {
        self.flags & EITHER != 0
    }

    const fn is_interval(&self) -> bool {
        self.flags & INTERVAL != 0
    }
}

impl FromStr for CronExpr {
    type Err = CronError;

    /// Reads an expression; see the type's documentation for the grammar.
    ///
    /// # Errors
    /// Everything that is not an expression, and one longer than [`EXPRESSION_BYTES_MAX`]. The first fault is named with
    /// its field, its place, what is allowed and the fix. An expression that can never fire is no error here: see
    /// [`CronExpr::can_fire`].
    fn from_str(text: &str) -> Result<Self, CronError> {
        parse::parse(text)
    }
}

/// The occurrences of an expression from an instant on: see [`CronExpr::occurrences_after`].
///
/// ```
/// use chrono::TimeZone;
/// use chrono_tz::Europe::Paris;
/// use symphra_scheduler_core::{CronExpr, chrono, chrono_tz};
///
/// let expr: CronExpr = "0 9 * * MON-FRI".parse()?;
/// let friday = Paris.with_ymd_and_hms(2026, 6, 5, 8, 0, 0).unwrap();
/// let next: Vec<_> = expr.occurrences_after(friday).take(2).map(|at| at.to_string()).collect();
/// assert_eq!(next, ["2026-06-05 09:00:00 CEST", "2026-06-08 09:00:00 CEST"]);
/// # Ok::<(), symphra_scheduler_core::CronError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Occurrences {
    expr: CronExpr,
    zone: Tz,
    /// `None` once the last occurrence has been given.
    after: Option<i64>,
}

impl Iterator for Occurrences {
    type Item = DateTime<Tz>;

    fn next(&mut self) -> Option<DateTime<Tz>> {
        self.after = self.expr.next_second(self.zone, self.after?);
        self.after.map(|second| in_zone(second, self.zone))
    }
}

impl std::iter::FusedIterator for Occurrences {}

fn from_second(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn in_zone(second: i64, zone: Tz) -> DateTime<Tz> {
    DateTime::from_timestamp(second, 0).expect("an occurrence lies between 1969 and 2101").with_timezone(&zone)
}
