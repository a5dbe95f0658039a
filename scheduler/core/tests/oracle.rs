//! Cron expressions against a brute-force oracle that shares no code with them.
//!
//! The oracle (`oracle/rules.rs`, `oracle/walk.rs`) writes sets out value by value and walks second by second. In an
//! ordinary run every zone is checked around a seeded sample of its changes; `SYMPHRA_NIGHTLY=1` checks them all.
//! `SYMPHRA_SEED` repeats a run.

mod oracle {
    pub(crate) mod random;
    pub(crate) mod rules;
    pub(crate) mod walk;
}

use chrono::{Datelike, NaiveDate, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use oracle::random::{Random, is_nightly, seed};
use oracle::rules::{Item, Rule};
use oracle::walk::{DAY, Walk, changes, offset};
use symphra_scheduler_core::{CronExpr, Timestamp};

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn second(instant: Timestamp) -> i64 {
    assert_eq!(instant.as_millis() % 1_000, 0, "occurrences are whole seconds");
    instant.as_millis() / 1_000
}

fn parse(rule: &Rule) -> CronExpr {
    let text = rule.to_string();
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// All questions an expression answers, asked over one walk.
fn check(walk: &Walk, rule: &Rule, random: &mut Random) {
    let expr = parse(rule);
    let (zone, from, to) = (walk.zone, walk.from, walk.to);
    let expected = walk.occurrences(rule);
    let context = || format!("{rule} in {zone} from {} to {}", at(from), at(to));

    let mut forward = Vec::new();
    let mut instant = at(from - 1);
    while let Some(next) = expr.next(zone, instant).filter(|&next| second(next) <= to) {
        assert!(next > instant, "{}: {next} does not follow {instant}", context());
        forward.push(second(next));
        instant = next;
    }
    if let Some(position) = (0..forward.len().max(expected.len())).find(|&i| forward.get(i) != expected.get(i)) {
        let shown = |list: &[i64]| list.get(position).map(|&second| at(second).to_string());
        panic!("{}: {:?}, but the rules say {:?}", context(), shown(&forward), shown(&expected));
    }

    let mut backward = Vec::new();
    let mut instant = at(to + 1);
    while let Some(previous) = expr.previous(zone, instant).filter(|&previous| second(previous) >= from) {
        backward.push(second(previous));
        instant = previous;
    }
    backward.reverse();
    assert_eq!(backward, expected, "{}: previous is not the mirror of next", context());
    assert_eq!(expr.count(zone, at(from - 1), at(to)), expected.len() as u64, "{}: count", context());

    for _ in 0..8 {
        let second = from + (random.next() % (to - from) as u64) as i64;
        let instant = Timestamp::from_millis(second * 1_000 + i64::from(random.range(0, 999)));
        let index = expected.partition_point(|&occurrence| occurrence <= second);
        let next = expr.next(zone, instant).filter(|&next| next <= at(to));
        assert_eq!(next, expected.get(index).map(|&next| at(next)), "{}: next of {instant}", context());
        let passed = expected.partition_point(|&occurrence| at(occurrence) < instant);
        let previous = expr.previous(zone, instant).filter(|&previous| previous >= at(from));
        assert_eq!(
            previous,
            expected[..passed].last().map(|&before| at(before)),
            "{}: previous of {instant}",
            context()
        );
        assert_eq!(expr.count(zone, instant, at(to)), (expected.len() - index) as u64, "{}: from {instant}", context());
        let whole = at(second).to_utc().with_timezone(&zone);
        assert_eq!(expr.includes(whole), expected.binary_search(&second).is_ok(), "{}: includes {whole}", context());
    }
}

/// Two hours on each side of a change by seconds, a day on each side by minutes; more where the clock jumps further.
fn check_change(zone: Tz, change: i64, random: &mut Random) {
    let jump = (offset(zone, change) - offset(zone, change - 1)).abs();
    let local = change + offset(zone, change);
    let seconds = Walk::new(zone, change - 7_200 - jump, change + 7_200 + jump, 1);
    for fixed in [true, false] {
        check(&seconds, &Rule::near(random, local, fixed, false), random);
    }
    if (change % 60, jump % 60, local % 60) == (0, 0, 0) {
        let minutes = Walk::new(zone, change - DAY - jump, change + DAY + jump, 60);
        for fixed in [true, false, true, false] {
            check(&minutes, &Rule::near(random, local, fixed, true), random);
            check_from_afar(&minutes, Rule::near(random, local, fixed, true), change);
        }
    }
}

/// The same on the date of the change only, asked for a year away, where a search leaps.
fn check_from_afar(walk: &Walk, mut rule: Rule, change: i64) {
    let zone = walk.zone;
    let date = at(change).to_utc().with_timezone(&zone).date_naive();
    rule.day = vec![Item::One(date.day())];
    rule.month = vec![Item::One(date.month())];
    rule.year = vec![Item::One(date.year_ce().1)];
    rule.weekday = vec![Item::Star];
    let (expr, expected) = (parse(&rule), walk.occurrences(&rule));
    let (before, after) = (at(change - 400 * DAY), at(change + 400 * DAY));
    assert_eq!(expr.next(zone, before), expected.first().map(|&first| at(first)), "{rule} in {zone} from {before}");
    assert_eq!(expr.previous(zone, after), expected.last().map(|&last| at(last)), "{rule} in {zone} from {after}");
    assert_eq!(expr.count(zone, before, after), expected.len() as u64, "{rule} in {zone} on {date}");
}

fn check_zones(share: usize) {
    let seed = seed("every_zone_follows_the_rules_around_its_changes");
    let mut random = Random::new(seed ^ share as u64);
    let (mut checked, mut all) = (0, 0);
    for (index, &zone) in TZ_VARIANTS.iter().enumerate().filter(|(index, _)| index % 2 == share) {
        let mut changes = changes(zone);
        all += changes.len();
        if !is_nightly() {
            changes = (0..changes.len().min(3)).map(|_| changes[random.next() as usize % changes.len()]).collect();
        }
        for change in changes {
            check_change(zone, change, &mut random);
            checked += 1;
        }
        // A quiet hour as well, and the first and last day of what is known.
        let quiet = i64::from(random.range(0, 4_133_900_000));
        for start in [quiet, -DAY, 4_133_980_800 - DAY] {
            let walk = Walk::new(zone, start, start + 3_600, 1);
            check(&walk, &Rule::near(&mut random, start + offset(zone, start), index % 4 < 2, false), &mut random);
        }
    }
    println!("checked {checked} of {all} changes");
    assert!(checked > 100);
}

// Two halves, so that two cores share the work.
#[test]
fn every_even_zone_follows_the_rules_around_its_changes() {
    check_zones(0);
}

#[test]
fn every_odd_zone_follows_the_rules_around_its_changes() {
    check_zones(1);
}

/// The zones whose clocks did what few others do.
#[test]
fn strange_zones_follow_the_rules_around_all_their_changes() {
    let mut random = Random::new(seed("strange_zones_follow_the_rules_around_all_their_changes"));
    let zones = [
        Tz::Australia__Lord_Howe,
        Tz::Antarctica__Troll,
        Tz::Antarctica__Casey,
        Tz::Antarctica__Vostok,
        Tz::Pacific__Apia,
        Tz::Pacific__Kwajalein,
        Tz::Africa__Monrovia,
    ];
    for zone in zones {
        for change in changes(zone) {
            check_change(zone, change, &mut random);
        }
    }
}

#[test]
fn every_date_from_1970_to_2100_follows_the_rules() {
    let mut random = Random::new(seed("every_date_from_1970_to_2100_follows_the_rules"));
    let dates: Vec<NaiveDate> =
        NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date").iter_days().take_while(|date| date < &end()).collect();
    for _ in 0..if is_nightly() { 3_000 } else { 60 } {
        let mut rule = Rule::any(&mut random);
        for field in [&mut rule.second, &mut rule.minute, &mut rule.hour] {
            *field = vec![Item::One(random.range(0, 23))];
        }
        let expr = parse(&rule);
        let time = rule.times().map(|set| set.iter().position(|&set| set).expect("one value") as i64);
        let of_day = time[0] + 60 * time[1] + 3_600 * time[2];
        let expected: Vec<i64> = (0..)
            .zip(&dates)
            .filter(|&(_, &date)| rule.matches_date(date))
            .map(|(day, _): (i64, _)| day * DAY + of_day)
            .collect();
        assert_eq!(expr.can_fire(), !expected.is_empty(), "{rule}");
        let mut instant = at(-1);
        for &expected in &expected {
            assert_eq!(expr.next(Tz::UTC, instant), Some(at(expected)), "{rule} after {instant}");
            assert_eq!(expr.previous(Tz::UTC, at(expected)), (instant >= at(0)).then_some(instant), "{rule}");
            instant = at(expected);
        }
        assert_eq!(expr.next(Tz::UTC, instant), None, "{rule} after {instant}");
        for _ in 0..50 {
            let low = i64::from(random.range(0, 4_133_980_800 / 2));
            let high = low + i64::from(random.range(0, 4_133_980_800 / 2));
            let counted = expected.iter().filter(|&&second| second > low && second <= high).count() as u64;
            assert_eq!(expr.count(Tz::UTC, at(low), at(high)), counted, "{rule} from {low} to {high}");
        }
    }
}

/// Each special item by itself, over the 28 years in which every calendar occurs.
#[test]
fn every_special_day_follows_the_rules() {
    let near = (1..=31).map(Item::Near).chain([Item::LastWorkday]);
    let of_month: Vec<Item> = near.chain((0..=30).map(Item::Last)).collect();
    let nth = (0..=7).flat_map(|day| (1..=5).map(move |nth| Item::Nth(day, nth)));
    let of_week: Vec<Item> = nth.chain((0..=7).map(Item::WeekdayLast)).collect();
    let star = vec![Item::Star];
    let rules = of_month.iter().map(|&item| (vec![item], star.clone()));
    let rules = rules.chain(of_week.iter().map(|&item| (star.clone(), vec![item])));
    let first = NaiveDate::from_ymd_opt(1996, 1, 1).expect("a date");
    let dates: Vec<NaiveDate> = first.iter_days().take(10_227).collect();
    let midnight = |date: NaiveDate| at(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp());
    for (day, weekday) in rules {
        let midnight_only = || vec![Item::One(0)];
        let rule = Rule {
            second: midnight_only(),
            minute: midnight_only(),
            hour: midnight_only(),
            day,
            month: star.clone(),
            weekday,
            year: vec![Item::Range(1996, 2023)],
            plus: false,
        };
        let expected: Vec<_> =
            dates.iter().filter(|&&date| rule.matches_date(date)).map(|&date| midnight(date)).collect();
        let expr = parse(&rule);
        let start = Tz::UTC.from_utc_datetime(&first.and_time(chrono::NaiveTime::MIN)) - chrono::Duration::seconds(1);
        let found: Vec<_> = expr.occurrences_after(start).map(Timestamp::from).collect();
        assert_eq!(found, expected, "{rule}");
    }
}

fn end() -> NaiveDate {
    NaiveDate::from_ymd_opt(2101, 1, 1).expect("a date")
}

/// All kinds of items in all fields, over a few days second by second.
#[test]
fn random_expressions_follow_the_rules() {
    let mut random = Random::new(seed("random_expressions_follow_the_rules"));
    let zones = [Tz::UTC, Tz::Asia__Kolkata, Tz::America__New_York, Tz::Australia__Lord_Howe];
    for round in 0..if is_nightly() { 3_000 } else { 150 } {
        let zone = zones[round % zones.len()];
        let start = i64::from(random.range(0, 4_133_900_000));
        let walk = Walk::new(zone, start, start + DAY, 1);
        for _ in 0..4 {
            let mut rule = Rule::any(&mut random);
            rule.year = vec![Item::Star];
            if random.once_in(2) {
                rule.month = vec![Item::Star];
            }
            check(&walk, &rule, &mut random);
        }
    }
}
