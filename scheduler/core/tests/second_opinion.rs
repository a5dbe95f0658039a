//! The crate `cron` as a second opinion, in UTC, for expressions that mean the same in both.
//!
//! Both are given their own text of one set of fields: `cron` counts Sunday as 1 and asks for both day fields at once.

#[path = "oracle/random.rs"]
mod random;

use std::str::FromStr;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use random::{Random, is_nightly, seed};
use symphra_scheduler_core::CronExpr;

/// One field in both dialects; `shift` is what `cron` adds to each value.
fn field(random: &mut Random, min: u32, max: u32, shift: u32) -> (String, String) {
    if random.once_in(3) {
        return ("*".to_owned(), "*".to_owned());
    }
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..random.range(1, 3) {
        let (a, b) = (random.range(min, max), random.range(min, max));
        let (low, high) = (a.min(b), a.max(b));
        let step = random.range(1, (max - min).min(9));
        let (our, their) = match random.range(0, 3) {
            0 => (format!("{low}-{high}"), format!("{}-{}", low + shift, high + shift)),
            1 => (format!("{low}-{high}/{step}"), format!("{}-{}/{step}", low + shift, high + shift)),
            _ => (low.to_string(), (low + shift).to_string()),
        };
        ours.push(our);
        theirs.push(their);
    }
    (ours.join(","), theirs.join(","))
}

fn utc(second: i64) -> DateTime<Tz> {
    Tz::UTC.timestamp_opt(second, 0).single().expect("an instant that chrono knows")
}

#[test]
fn cron_agrees_in_utc() {
    let mut random = Random::new(seed("cron_agrees_in_utc"));
    let rounds = if is_nightly() { 200_000 } else { 4_000 };
    let mut compared = 0;
    for _ in 0..rounds {
        let fields = [(0, 59, 0), (0, 59, 0), (0, 23, 0), (1, 31, 0), (1, 12, 0), (0, 6, 1), (1970, 2100, 0)];
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for (index, (min, max, shift)) in fields.into_iter().enumerate() {
            let (our, their) = field(&mut random, min, max, shift);
            ours.push(if index == 5 { format!("+{our}") } else { our });
            theirs.push(their);
        }
        let (ours, theirs) = (ours.join(" "), theirs.join(" "));
        let expr: CronExpr = ours.parse().unwrap_or_else(|error| panic!("{error}"));
        let schedule = cron::Schedule::from_str(&theirs).unwrap_or_else(|error| panic!("{theirs}: {error}"));
        for _ in 0..3 {
            let start = utc(i64::from(random.range(0, 4_133_980_799)));
            // At the very last second of 2100 `cron` answers with the instant that was asked about.
            let expected: Vec<_> = schedule.after(&start).take(5).take_while(|&at| at > start).collect();
            let found: Vec<_> = expr.occurrences_after(start).take(5).collect();
            assert_eq!(found, expected, "{ours} is {theirs} after {start}");
            compared += expected.len();
            // From an occurrence backwards: asked about a year outside its own, `cron` 0.17 keeps that year's month.
            let Some(&last) = found.last() else { continue };
            let earlier: Vec<_> = schedule.after(&last).rev().take(3).collect();
            let mut before = last;
            for expected in earlier {
                assert_eq!(expr.previous_before(before), Some(expected), "{ours} is {theirs} before {before}");
                before = expected;
            }
        }
    }
    println!("{compared} occurrences compared");
    assert!(compared > 4_000);
}
