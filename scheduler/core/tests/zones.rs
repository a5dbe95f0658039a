//! Documented cases of clock changes, as tables: what each class of expressions does in gaps and repeats.
//!
//! The dates of the changes are those of the tz database; the local times were worked out by hand from the rules.

use chrono::{DateTime, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use symphra_scheduler_core::CronExpr;

fn read(text: &str) -> CronExpr {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// A local time that exists; of two, the first.
fn local(zone: Tz, text: &str) -> DateTime<Tz> {
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
    zone.from_local_datetime(&time).earliest().expect("an existing local time")
}

/// The occurrences after `from` and up to `to`, as the local clock shows them, forwards and backwards.
#[track_caller]
fn assert_fires(text: &str, zone: Tz, from: &str, to: &str, expected: &[&str]) {
    let (expr, from, to) = (read(text), local(zone, from), local(zone, to));
    let fired: Vec<_> = expr.occurrences_after(from).take_while(|at| *at <= to).collect();
    let shown: Vec<_> = fired.iter().map(|at| at.format("%m-%d %H:%M:%S %z").to_string()).collect();
    assert_eq!(shown, expected, "{text} in {zone}");
    let mut before = to + chrono::Duration::milliseconds(1);
    for &at in fired.iter().rev() {
        assert_eq!(expr.previous_before(before), Some(at), "{text} in {zone} before {before}");
        before = at;
    }
    assert!(expr.previous_before(before).is_none_or(|at| at <= from), "{text} in {zone} before {before}");
}

#[test]
fn a_fixed_time_in_new_yorks_gap_runs_once_at_its_end() {
    let zone = Tz::America__New_York;
    assert_fires(
        "0 30 2 * * *",
        zone,
        "2026-03-07 03:00",
        "2026-03-09 03:00",
        &["03-08 03:00:00 -0400", "03-09 02:30:00 -0400"],
    );
    // Several local times of one gap, and the one at its end, are one occurrence.
    assert_fires(
        "0 0,30 2,3 * * *",
        zone,
        "2026-03-08 00:00",
        "2026-03-08 12:00",
        &["03-08 03:00:00 -0400", "03-08 03:30:00 -0400"],
    );
}

#[test]
fn a_fixed_time_that_new_york_repeats_runs_in_the_first_pass_only() {
    let zone = Tz::America__New_York;
    assert_fires(
        "0 30 1 * * *",
        zone,
        "2026-10-31 12:00",
        "2026-11-02 12:00",
        &["11-01 01:30:00 -0400", "11-02 01:30:00 -0500"],
    );
    let second_pass = Tz::UTC.with_ymd_and_hms(2026, 11, 1, 6, 10, 0).single().expect("a time").with_timezone(&zone);
    assert_eq!(second_pass.format("%H:%M %Z").to_string(), "01:10 EST");
    let next = read("0 30 1 * * *").next_after(second_pass).expect("a next day");
    assert_eq!(next.to_string(), "2026-11-02 01:30:00 EST");
}

#[test]
fn an_interval_expression_follows_new_yorks_clock_through_both_passes_and_over_the_gap() {
    let zone = Tz::America__New_York;
    assert_fires(
        "0 */30 * * * *",
        zone,
        "2026-11-01 00:59",
        "2026-11-01 02:00",
        &[
            "11-01 01:00:00 -0400",
            "11-01 01:30:00 -0400",
            "11-01 01:00:00 -0500",
            "11-01 01:30:00 -0500",
            "11-01 02:00:00 -0500",
        ],
    );
    assert_fires(
        "0 30 * * * *",
        zone,
        "2026-03-08 00:59",
        "2026-03-08 04:00",
        &["03-08 01:30:00 -0500", "03-08 03:30:00 -0400"],
    );
    // A range in the hour makes it one as well: nothing at 02:30 that day, and not at 03:00 instead.
    assert_fires("0 30 2-2 * * *", zone, "2026-03-07 12:00", "2026-03-09 12:00", &["03-09 02:30:00 -0400"]);
}

#[test]
fn london_springs_at_one_and_falls_back_at_two() {
    let zone = Tz::Europe__London;
    assert_fires(
        "0 15 1 * * *",
        zone,
        "2026-03-28 12:00",
        "2026-03-30 12:00",
        &["03-29 02:00:00 +0100", "03-30 01:15:00 +0100"],
    );
    assert_fires(
        "0 15 1 * * *",
        zone,
        "2026-10-24 12:00",
        "2026-10-26 12:00",
        &["10-25 01:15:00 +0100", "10-26 01:15:00 +0000"],
    );
    // Civil time was an hour ahead all the year from 1968 to 1971.
    assert_fires(
        "0 0 12 1 1 *",
        zone,
        "1970-01-01 00:00",
        "1972-06-01 00:00",
        &["01-01 12:00:00 +0100", "01-01 12:00:00 +0100", "01-01 12:00:00 +0000"],
    );
}

#[test]
fn lord_howe_moves_by_half_an_hour() {
    let zone = Tz::Australia__Lord_Howe;
    assert_fires(
        "0 15 2 * * *",
        zone,
        "2026-10-03 12:00",
        "2026-10-05 12:00",
        &["10-04 02:30:00 +1100", "10-05 02:15:00 +1100"],
    );
    assert_fires(
        "0 45 1 * * *",
        zone,
        "2026-04-04 12:00",
        "2026-04-06 12:00",
        &["04-05 01:45:00 +1100", "04-06 01:45:00 +1030"],
    );
    assert_fires(
        "0 */15 1 * * *",
        zone,
        "2026-04-05 01:20",
        "2026-04-05 03:00",
        &["04-05 01:30:00 +1100", "04-05 01:45:00 +1100", "04-05 01:30:00 +1030", "04-05 01:45:00 +1030"],
    );
}

#[test]
fn troll_moves_by_two_hours_and_casey_by_three() {
    assert_fires(
        "0 30 1,2 * * *",
        Tz::Antarctica__Troll,
        "2026-03-28 12:00",
        "2026-03-30 02:00",
        &["03-29 03:00:00 +0200", "03-30 01:30:00 +0200"],
    );
    assert_fires(
        "0 0 0 * * *",
        Tz::Antarctica__Casey,
        "2018-03-10 12:00",
        "2018-03-12 12:00",
        &["03-11 00:00:00 +1100", "03-12 00:00:00 +0800"],
    );
    assert_fires(
        "0 0 * * * *",
        Tz::Antarctica__Casey,
        "2018-03-11 02:30",
        "2018-03-11 03:00",
        &["03-11 03:00:00 +1100"],
    );
}

#[test]
fn sydney_and_santiago_have_their_winter_in_july() {
    assert_fires(
        "0 30 2 * * *",
        Tz::Australia__Sydney,
        "2026-10-03 12:00",
        "2026-10-04 12:00",
        &["10-04 03:00:00 +1100"],
    );
    assert_fires(
        "0 30 2 * * *",
        Tz::Australia__Sydney,
        "2026-04-04 12:00",
        "2026-04-05 12:00",
        &["04-05 02:30:00 +1100"],
    );
    // Santiago's clocks go forward at midnight: 6 September 2026 begins at 01:00.
    assert_fires(
        "0 0 0 * * *",
        Tz::America__Santiago,
        "2026-09-05 12:00",
        "2026-09-07 12:00",
        &["09-06 01:00:00 -0300", "09-07 00:00:00 -0300"],
    );
    // Back from midnight to 23:00: the last hour of 4 April 2026 is passed twice.
    assert_fires(
        "0 30 23 * * *",
        Tz::America__Santiago,
        "2026-04-04 12:00",
        "2026-04-05 12:00",
        &["04-04 23:30:00 -0300"],
    );
    assert_fires(
        "0 30 23-23 * * *",
        Tz::America__Santiago,
        "2026-04-04 12:00",
        "2026-04-05 12:00",
        &["04-04 23:30:00 -0300", "04-04 23:30:00 -0400"],
    );
}

#[test]
fn ammans_midnights_went_missing_and_came_twice() {
    let zone = Tz::Asia__Amman;
    // Forward at the beginning of 25 February 2022, and no more since October 2022.
    assert_fires(
        "0 0 0 * * *",
        zone,
        "2022-02-24 12:00",
        "2022-02-26 12:00",
        &["02-25 01:00:00 +0300", "02-26 00:00:00 +0300"],
    );
    assert_fires(
        "0 0 0 * * *",
        zone,
        "2021-10-28 12:00",
        "2021-10-30 12:00",
        &["10-29 00:00:00 +0300", "10-30 00:00:00 +0200"],
    );
    assert_fires(
        "0 30 0 * * FRI",
        zone,
        "2022-10-27 12:00",
        "2022-11-05 12:00",
        &["10-28 00:30:00 +0300", "11-04 00:30:00 +0300"],
    );
}

#[test]
fn apias_missing_day_fires_once_at_its_end() {
    let zone = Tz::Pacific__Apia;
    // Samoa went from 29 December 2011 straight to the 31st.
    assert_fires(
        "0 30 9 * * *",
        zone,
        "2011-12-29 00:00",
        "2012-01-01 12:00",
        &["12-29 09:30:00 -1000", "12-31 00:00:00 +1400", "12-31 09:30:00 +1400", "01-01 09:30:00 +1400"],
    );
    assert_fires(
        "0 0 0 * * *",
        zone,
        "2011-12-28 12:00",
        "2012-01-01 12:00",
        &["12-29 00:00:00 -1000", "12-31 00:00:00 +1400", "01-01 00:00:00 +1400"],
    );
    assert_fires(
        "0 0 12 30 12 *",
        zone,
        "2010-06-01 00:00",
        "2012-12-31 00:00",
        &["12-30 12:00:00 -1000", "12-31 00:00:00 +1400", "12-30 12:00:00 +1400"],
    );
    assert_fires("0 0 */6 30 12 *", zone, "2011-12-01 00:00", "2012-06-01 00:00", &[]);
}

#[test]
fn midnights_that_a_zone_skips_run_at_its_first_instant() {
    let cases = [
        (Tz::America__Havana, "2026-03-07 12:00", "03-08 01:00:00 -0400"),
        (Tz::Asia__Beirut, "2026-03-28 12:00", "03-29 01:00:00 +0300"),
        (Tz::America__Asuncion, "2023-09-30 12:00", "10-01 01:00:00 -0300"),
        (Tz::Africa__Cairo, "2026-04-23 12:00", "04-24 01:00:00 +0300"),
        (Tz::Atlantic__Azores, "2026-03-28 12:00", "03-29 01:00:00 +0000"),
        (Tz::America__Sao_Paulo, "2018-11-03 12:00", "11-04 01:00:00 -0200"),
    ];
    for (zone, from, expected) in cases {
        let next = read("0 0 0 * * *").next_after(local(zone, from)).expect("a next day");
        assert_eq!(next.format("%m-%d %H:%M:%S %z").to_string(), expected, "{zone}");
        // The Azores go forward from 00:00 to 01:00, so their missing hour is all that an interval expression loses.
        let hourly = read("0 30 0-1 * * *").next_after(local(zone, from)).expect("a next day");
        assert_eq!(hourly.format("%H:%M").to_string(), "01:30", "{zone}");
    }
}

#[test]
fn weekdays_count_from_sunday() {
    let from = local(Tz::UTC, "2026-03-04 12:00");
    let next = |text: &str| read(text).next_after(from).expect("a next day").format("%a %F").to_string();
    assert_eq!(next("0 0 0 * * 1"), "Mon 2026-03-09");
    assert_eq!(next("0 0 0 * * 0"), "Sun 2026-03-08");
    assert_eq!(next("0 0 0 * * 7"), "Sun 2026-03-08");
    assert_eq!(next("0 0 0 * * sat"), "Sat 2026-03-07");
}

#[test]
fn both_day_fields_restricted_mean_either() {
    let from = local(Tz::UTC, "2026-03-01 00:00");
    let days = |text: &str| -> Vec<String> {
        read(text).occurrences_after(from).take(5).map(|at| at.format("%a %d").to_string()).collect()
    };
    assert_eq!(days("0 0 0 13 * 5"), ["Fri 06", "Fri 13", "Fri 20", "Fri 27", "Fri 03"]);
    assert_eq!(days("0 0 0 14 * 5"), ["Fri 06", "Fri 13", "Sat 14", "Fri 20", "Fri 27"]);
    assert_eq!(days("0 0 0 13 * +5"), ["Fri 13", "Fri 13", "Fri 13", "Fri 13", "Fri 13"]);
    assert_eq!(days("0 0 0 */2 * 5"), ["Fri 13", "Fri 27", "Fri 03", "Fri 17", "Fri 01"]);
}

#[test]
fn parts_of_a_second_count() {
    let expr = read("* * * * * *");
    for zone in [Tz::UTC, Tz::Asia__Kathmandu] {
        let whole = zone.with_ymd_and_hms(2026, 1, 1, 0, 0, 10).single().expect("a time");
        let late = whole + chrono::Duration::nanoseconds(1);
        let second = chrono::Duration::seconds(1);
        assert_eq!(expr.next_after(late), Some(whole + second));
        assert_eq!(expr.previous_before(late), Some(whole));
        assert_eq!(expr.previous_before(whole), Some(whole - second));
        assert!(expr.includes(whole) && !expr.includes(late));
        let early = zone.with_ymd_and_hms(1965, 1, 1, 0, 0, 10).single().expect("a time") + second / 2;
        assert_eq!(
            expr.next_after(early).map(|at| at.naive_local().to_string()).as_deref(),
            Some("1970-01-01 00:00:00")
        );
        assert_eq!(expr.previous_before(early), None);
    }
}

#[test]
fn instants_far_outside_have_an_answer_at_once() {
    let expr = read("0 0 12 * * *");
    for zone in [Tz::UTC, Tz::Europe__Paris] {
        let (first, last) = (DateTime::<chrono::Utc>::MIN_UTC, DateTime::<chrono::Utc>::MAX_UTC);
        let first = first + chrono::Duration::days(2);
        let last = last - chrono::Duration::days(2);
        assert_eq!(
            expr.next_after(first.with_timezone(&zone)).map(|at| at.to_string()[..19].to_owned()).as_deref(),
            Some("1970-01-01 12:00:00")
        );
        assert_eq!(expr.next_after(last.with_timezone(&zone)), None);
        assert_eq!(expr.previous_before(first.with_timezone(&zone)), None);
        assert_eq!(
            expr.previous_before(last.with_timezone(&zone)).map(|at| at.to_string()[..19].to_owned()).as_deref(),
            Some("2100-12-31 12:00:00")
        );
        let (min, max) = (symphra_scheduler_core::Timestamp::MIN, symphra_scheduler_core::Timestamp::MAX);
        assert_eq!(expr.count(zone, min, max), 47_847);
        assert_eq!((expr.next(zone, max), expr.previous(zone, min)), (None, None));
        assert_eq!(expr.count(zone, max, min), 0);
    }
}
