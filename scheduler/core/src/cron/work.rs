//! How much a search does, counted in steps: a year, a month or a change of clocks that is looked into, or an offset that is
//! looked up. Time would depend on the machine; and a search that never ends is found, not waited for.

use std::cell::Cell;

use chrono_tz::{TZ_VARIANTS, Tz};

use super::CronExpr;
use crate::Timestamp;

/// The longest of all searches below takes 48. One that looked in vain into the months of ten years would take more than this.
const STEPS_MAX: u32 = 100;

/// Where a search that does not end is stopped.
const ENDLESS: u32 = 1_000_000;

thread_local! {
    /// The steps of the search that is counted, if one is.
    static STEPS: Cell<Option<u32>> = const { Cell::new(None) };
}

/// One step of a search.
///
/// # Panics
/// If the search that is counted does not end.
pub(super) fn step() {
    if let Some(steps) = STEPS.get() {
        assert!(steps < ENDLESS, "the search does not end");
        STEPS.set(Some(steps + 1));
    }
}

/// What a search answers, after no more than [`STEPS_MAX`] steps.
fn bounded<T>(search: impl FnOnce() -> T, what: impl FnOnce() -> String) -> T {
    STEPS.set(Some(0));
    let answer = search();
    let steps = STEPS.take().unwrap_or_default();
    assert!(steps <= STEPS_MAX, "{}: {steps} steps", what());
    answer
}

/// Days that are rare, and such that seem possible field by field and never come.
const RARE: &[&str] = &[
    // 29 February, and only on some weekday: each 28 years, or each 40 around 2100.
    "0 0 0 29 2 *",
    "0 0 0 29 2 +5",
    "0 0 0 29 2 +1#5",
    "0 0 0 L-28 2 +0",
    "* * * 29 2 +6L",
    "0 0 12 29W 2 +1 */9",
    // The same, in years that have none.
    "0 0 0 29 2 +5 2030-2035",
    "0 0 0 29 2 ? 2026,2027",
    "0 0 0 29 2 +1 2027-2043",
    "59 59 23 29 2 * 2100",
    // No month has such a day.
    "0 0 0 31 2,4,6,9,11 *",
    "0 0 0 31W 2 *",
    "0 0 0 1W * +6",
    "0 0 0 LW * +0",
    "0 0 0 5 * +1#5",
    "0 0 0 30 2 +1-5",
    // One day, or one second, in all the years.
    "0 0 0 1 1 * 1970",
    "59 59 23 31 12 * 2100",
    "* * * 13 6 +5 2098",
    "30 30 12 LW 2 +5#4 1999,2100",
    // Either day field: often, then not for years.
    "0 0 29 2 5",
    "0 0 0 29 2 5 2001,2050,2099",
    // What a change of clocks, or of a calendar, skips in one zone or another.
    "* 30 2 14 3 * 2027",
    "0 30 2 14 3 * 2027",
    "0 0-59 2 8 3 * 2026",
    "* * 2 29 3 * 2026",
    "0-59 0-59 * 30 12 * 2011",
    "0 0 12 30 12 * 2011",
    "* * * 21 8 * 1993",
    "*/20 0 0 L 10,12 * 1994,2011",
    "* 15 1,2 L-6 3,10 +0",
];

/// Instants from before the first year to after the last, off the round.
fn starts() -> impl Iterator<Item = Timestamp> {
    let spread = (-1..=16).map(|n| n * 8 * 31_556_952_123 + 12_345_678);
    [i64::MIN, 756_000_000_000, 1_325_200_000_000, 1_774_745_999_000, 4_133_980_799_000, i64::MAX]
        .into_iter()
        .chain(spread)
        .map(Timestamp::from_millis)
}

/// The search of others never ended where no next instant existed.
#[test]
fn ap_scheduler_1059_the_search_for_the_next_instant_ends() {
    for text in RARE {
        let expr: CronExpr = text.parse().unwrap_or_else(|error| panic!("{error}"));
        for zone in TZ_VARIANTS {
            for start in starts() {
                let mut at = start;
                for _ in 0..3 {
                    match bounded(|| expr.next(zone, at), || format!("{text} in {zone} after {at}")) {
                        Some(next) => at = next,
                        None => break,
                    }
                }
                bounded(|| expr.previous(zone, start), || format!("{text} in {zone} before {start}"));
            }
            assert_eq!(
                expr.next(zone, Timestamp::from_millis(4_134_200_000_000)),
                None,
                "{text} in {zone}: after 2100"
            );
        }
    }
}

#[test]
fn what_comes_no_more_is_known_and_what_is_far_is_found() {
    let start = Timestamp::from_millis(1_780_000_000_000);
    for (text, zone, next) in [
        ("0 0 0 29 2 +1 2027-2043", Tz::UTC, None),
        ("0 0 0 29 2 +1", Tz::UTC, Some("2044-02-29T00:00:00.000Z")),
        ("0 0 0 29 2 +5", Tz::Asia__Tokyo, Some("2036-02-28T15:00:00.000Z")),
        ("0 0 0 29 2 ? 2026,2027", Tz::UTC, None),
        ("0 0 0 29 2 5 2001,2050,2099", Tz::UTC, Some("2050-02-04T00:00:00.000Z")),
        ("0 0-59 2 8 3 * 2026", Tz::America__New_York, None),
        ("* 30 2 14 3 * 2027", Tz::America__New_York, None),
        ("0 30 2 14 3 * 2027", Tz::America__New_York, Some("2027-03-14T07:00:00.000Z")),
        ("0 0 0 5 * +1#5", Tz::Europe__Paris, None),
        ("0 0 0 1W * +6", Tz::UTC, None),
        ("59 59 23 31 12 * 2025", Tz::Pacific__Apia, None),
        ("59 59 23 31 12 * 2100", Tz::Pacific__Apia, Some("2100-12-31T10:59:59.000Z")),
    ] {
        let expr: CronExpr = text.parse().unwrap_or_else(|error| panic!("{error}"));
        let found = bounded(|| expr.next(zone, start), || format!("{text} in {zone}"));
        assert_eq!(found.map(|at| at.to_string()).as_deref(), next, "{text} in {zone}");
        assert_eq!(expr.count(zone, start, Timestamp::MAX) == 0, next.is_none(), "{text} in {zone}");
    }
}
