//! Properties that hold for every expression, over random ones.

use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;
use symphra_scheduler_core::{CronExpr, Language, Timestamp, format_duration, parse_duration, parse_timezone};

/// One field between `min` and `max`; `wraps` if a range may run backwards.
fn field(min: u32, max: u32, wraps: bool) -> BoxedStrategy<String> {
    let value = min..=max;
    let step = 1..=(max - min + 1).min(7);
    let range = (value.clone(), value.clone()).prop_map(move |(a, b)| match wraps {
        true => (a, b),
        false => (a.min(b), a.max(b)),
    });
    let item = prop_oneof![
        3 => Just("*".to_owned()),
        1 => Just("?".to_owned()),
        2 => step.clone().prop_map(|step| format!("*/{step}")),
        4 => value.clone().prop_map(|value| value.to_string()),
        1 => (value, step.clone()).prop_map(|(value, step)| format!("{value}/{step}")),
        2 => range.clone().prop_map(|(a, b)| format!("{a}-{b}")),
        1 => (range, step).prop_map(|((a, b), step)| format!("{a}-{b}/{step}")),
    ];
    proptest::collection::vec(item, 1..4).prop_map(|items| items.join(",")).boxed()
}

fn day_of_month() -> BoxedStrategy<String> {
    let special = prop_oneof![
        Just("L".to_owned()),
        Just("LW".to_owned()),
        (0..=30).prop_map(|back| format!("L-{back}")),
        (1..=31).prop_map(|day| format!("{day}W")),
    ];
    prop_oneof![
        3 => field(1, 31, true),
        1 => special.clone(),
        1 => (field(1, 31, true), special).prop_map(|(plain, special)| format!("{plain},{special}")),
    ]
    .boxed()
}

fn day_of_week() -> BoxedStrategy<String> {
    let special = prop_oneof![
        (0..=7).prop_map(|day| format!("{day}L")),
        (0..=7, 1..=5).prop_map(|(day, nth)| format!("{day}#{nth}")),
        Just("friL".to_owned()),
        Just("Sun#5".to_owned()),
    ];
    let names = prop_oneof![Just("MON-FRI"), Just("FRI-MON"), Just("sat,SUN"), Just("SUN-TUE")];
    let plain = prop_oneof![
        3 => field(0, 7, true),
        1 => names.prop_map(str::to_owned),
        1 => special.clone(),
        1 => (field(0, 7, true), special).prop_map(|(plain, special)| format!("{special},{plain}")),
    ];
    prop_oneof![4 => plain.clone(), 1 => plain.prop_map(|plain| format!("+{plain}"))].boxed()
}

fn expression() -> impl Strategy<Value = CronExpr> {
    let second = prop_oneof![Just("0".to_owned()), field(0, 59, true)];
    let year = prop_oneof![2 => Just(String::new()), 1 => field(1970, 2100, false)];
    let month = prop_oneof![2 => Just("*".to_owned()), 1 => field(1, 12, true)];
    (second, field(0, 59, true), field(0, 23, true), day_of_month(), month, day_of_week(), year).prop_map(
        |(second, minute, hour, day, month, weekday, year)| {
            let text = format!("{second} {minute} {hour} {day} {month} {weekday} {year}");
            text.parse().unwrap_or_else(|error| panic!("{error}"))
        },
    )
}

fn zone() -> impl Strategy<Value = Tz> {
    (0..TZ_VARIANTS.len()).prop_map(|index| TZ_VARIANTS[index])
}

/// From 1969 to 2101, with parts of a second.
fn instant() -> impl Strategy<Value = Timestamp> {
    (-31_536_000_000..4_165_516_800_000_i64).prop_map(Timestamp::from_millis)
}

/// Periods that divide a day and others, with parts of a second and without.
fn period() -> impl Strategy<Value = i64> {
    prop_oneof![
        1_i64..5_000,
        (1_i64..100).prop_map(|seconds| seconds * 1_000),
        (1_i64..100).prop_map(|minutes| minutes * 60_000),
        (1_i64..100).prop_map(|hours| hours * 3_600_000),
        Just(1_500),
    ]
}

/// The next `steps` occurrences after `start`, and the last of them.
fn steps_of(expr: CronExpr, zone: Tz, start: Timestamp, steps: usize) -> (Timestamp, Vec<Timestamp>) {
    let next = |&at: &Timestamp| expr.next(zone, at);
    let instants: Vec<_> = std::iter::successors(next(&start), next).take(steps).collect();
    (instants.last().copied().unwrap_or(start), instants)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_displayed_is_read_back(expr in expression()) {
        let text = expr.to_string();
        prop_assert_eq!(text.parse::<CronExpr>(), Ok(expr), "{}", text);
        prop_assert_eq!(text.parse::<CronExpr>().expect("it was read").to_string(), text);
        prop_assert_eq!(CronExpr::from_bits(expr.to_bits()), expr);
    }

    #[test]
    fn occurrences_strictly_increase_and_previous_is_their_mirror(
        expr in expression(), zone in zone(), start in instant(),
    ) {
        let mut last = None;
        let mut after = start;
        for _ in 0..40 {
            let Some(next) = expr.next(zone, after) else { break };
            prop_assert!(next > after, "{expr} in {zone}: {next} does not follow {after}");
            prop_assert_eq!(next.as_millis() % 1_000, 0);
            let here = next.to_utc().with_timezone(&zone);
            prop_assert!(expr.includes(here), "{} in {}: {}", expr, zone, next);
            prop_assert_eq!(expr.next_after(after.to_utc().with_timezone(&zone)), Some(here));
            if last.is_some() {
                prop_assert_eq!(expr.previous(zone, next), last, "{} in {} before {}", expr, zone, next);
                prop_assert_eq!(expr.previous_before(here).map(Timestamp::from), last);
            }
            // One millisecond before, it is still to come; one after, it is the last.
            prop_assert_eq!(expr.next(zone, Timestamp::from_millis(next.as_millis() - 1)), Some(next));
            prop_assert_eq!(expr.previous(zone, Timestamp::from_millis(next.as_millis() + 1)), Some(next));
            last = Some(next);
            after = next;
        }
    }

    #[test]
    fn count_is_the_number_of_steps(expr in expression(), zone in zone(), start in instant(), steps in 0_u64..300) {
        let mut end = start;
        let mut counted = 0;
        while counted < steps && let Some(next) = expr.next(zone, end) {
            end = next;
            counted += 1;
        }
        prop_assert_eq!(expr.count(zone, start, end), counted, "{} in {} from {} to {}", expr, zone, start, end);
    }

    #[test]
    fn counts_of_adjoining_spans_add_up(expr in expression(), zone in zone(), at in [instant(), instant(), instant()]) {
        let mut at = at;
        at.sort();
        let count = |from: Timestamp, to: Timestamp| expr.count(zone, from, to);
        prop_assert_eq!(count(at[0], at[1]) + count(at[1], at[2]), count(at[0], at[2]), "{} in {} {:?}", expr, zone, at);
    }

    #[test]
    fn what_two_expressions_share_is_what_both_include(
        one in expression(), other in expression(), zone in zone(), start in instant(), steps in 0_usize..300,
    ) {
        let (end, instants) = steps_of(one, zone, start, steps);
        let shared = instants.iter().filter(|at| other.includes(at.to_utc().with_timezone(&zone))).count() as u64;
        let what = format!("{one} and {other} in {zone} from {start} to {end}");
        prop_assert_eq!(one.count_shared(&other, zone, start, end), shared, "{}", what);
        prop_assert_eq!(other.count_shared(&one, zone, start, end), shared, "{}", what);
        prop_assert_eq!(one.count_shared(&one, zone, start, end), instants.len() as u64, "{}", what);
    }

    #[test]
    fn what_lies_on_a_grid_is_a_whole_number_of_periods_from_its_anchor(
        expr in expression(), zone in zone(), start in instant(), ahead in -500_000_000_i64..500_000_000,
        period in period(), steps in 0_usize..300,
    ) {
        let (end, instants) = steps_of(expr, zone, start, steps);
        let anchor = Timestamp::from_millis((start.as_millis() + ahead) / 500 * 500);
        let is_on_grid = |at: &&Timestamp| **at >= anchor && (at.as_millis() - anchor.as_millis()) % period == 0;
        let on_grid = instants.iter().filter(is_on_grid).count() as u64;
        let counted = expr.count_on_grid(zone, anchor, Duration::from_millis(period as u64), start, end);
        prop_assert_eq!(counted, on_grid, "{} in {} from {} to {}, {} + n × {} ms", expr, zone, start, end, anchor, period);
    }

    #[test]
    fn an_expression_that_cannot_fire_never_does(expr in expression(), zone in zone()) {
        prop_assert_eq!(expr.can_fire(), expr.next(Tz::UTC, Timestamp::from_millis(-1)).is_some());
        if !expr.can_fire() {
            prop_assert_eq!(expr.next(zone, Timestamp::MIN), None);
            prop_assert_eq!(expr.previous(zone, Timestamp::MAX), None);
            prop_assert_eq!(expr.count(zone, Timestamp::MIN, Timestamp::MAX), 0);
        }
    }

    /// If two descriptions are the same, so are the days and times: nothing may be left out.
    #[test]
    fn different_expressions_have_different_descriptions(one in expression(), bit in 0_u32..768) {
        let mut bits = one.to_bits();
        bits[bit as usize / 64] ^= 1 << (bit % 64);
        let Ok(other) = CronExpr::from_bits(bits).to_string().parse::<CronExpr>() else { return Ok(()) };
        for language in [Language::English, Language::Chinese] {
            prop_assert!(!one.describe_in(language).is_empty());
            if one.describe_in(language) == other.describe_in(language) {
                let fired = |expr: CronExpr| {
                    let mut instant = Timestamp::from_millis(-1);
                    std::iter::from_fn(move || {
                        instant = expr.next(Tz::UTC, instant)?;
                        Some(instant)
                    })
                };
                let differs = fired(one).zip(fired(other)).take(20_000).find(|(a, b)| a != b);
                prop_assert_eq!(differs, None, "{} and {}: {}", one, other, one.describe_in(language));
            }
        }
    }

    #[test]
    fn any_bits_are_some_expression(bits: [u64; 12], zone in zone(), at in instant()) {
        let expr = CronExpr::from_bits(bits);
        prop_assert!(expr.next(zone, at).is_none_or(|next| next > at));
        prop_assert!(expr.previous(zone, at).is_none_or(|previous| previous < at));
        let _ = (expr.to_string(), expr.describe(), expr.count(zone, at, Timestamp::MAX), expr.can_fire());
    }

    #[test]
    fn hostile_text_gets_an_error_and_no_panic(text in r"\PC{0,40}|[-0-9*,/?LW#+@a-z \x00é]{0,60}|([-0-9*,/LW#?]{1,5} ){4,6}[-0-9*,/L#+A-Z]{1,5}") {
        match text.parse::<CronExpr>() {
            Ok(expr) => prop_assert_eq!(expr.to_string().parse::<CronExpr>(), Ok(expr)),
            Err(error) => {
                prop_assert_eq!(error.expression(), &text);
                prop_assert!(text.contains(error.value()));
                prop_assert!(error.to_string().len() > 20);
            }
        }
        let _ = (parse_timezone(&text), parse_duration(&text));
    }

    #[test]
    fn durations_are_read_back(millis: u64) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }
}

/// Around the changes of clocks, where random instants seldom fall.
#[test]
fn what_is_shared_around_a_change_of_clocks_is_what_both_include() {
    let read = |text: &str| text.parse::<CronExpr>().expect("a valid expression");
    let expressions =
        ["* * * * *", "*/7 * * * * *", "30 2 * * *", "15,30 1,2 * * *", "0 * * * *", "* 2-3 * * *"].map(read);
    for (zone, day) in [
        (Tz::America__New_York, 1_772_841_600_000),
        (Tz::America__New_York, 1_793_404_800_000),
        (Tz::Australia__Lord_Howe, 1_775_260_800_000),
        (Tz::Australia__Lord_Howe, 1_790_985_600_000),
        (Tz::Africa__Casablanca, 1_770_940_800_000),
    ] {
        let start = Timestamp::from_millis(day);
        for one in expressions {
            let (end, instants) = steps_of(one, zone, start, 30_000);
            for other in expressions {
                let shared =
                    instants.iter().filter(|at| other.includes(at.to_utc().with_timezone(&zone))).count() as u64;
                assert_eq!(one.count_shared(&other, zone, start, end), shared, "{one} and {other} in {zone}");
            }
            for period in [1_000, 7_000, 90_000, 1_800_000, 7_200_000] {
                let on_grid =
                    instants.iter().filter(|at| (at.as_millis() - start.as_millis()) % period == 0).count() as u64;
                let counted = one.count_on_grid(zone, start, Duration::from_millis(period as u64), start, end);
                assert_eq!(counted, on_grid, "{one} in {zone} each {period} ms");
            }
        }
    }
}

#[test]
fn very_long_text_is_refused_at_once() {
    for text in
        ["*".repeat(10_000_000), "* ".repeat(1_000), "1,".repeat(1_000), format!("{} * * * *", "9".repeat(2_000))]
    {
        assert!(text.parse::<CronExpr>().is_err());
    }
}

#[test]
fn the_longest_canonical_text_can_be_read_again() {
    let list = |min: u32, max: u32, step: usize| {
        (min..=max).step_by(step).map(|v| v.to_string()).collect::<Vec<_>>().join(",")
    };
    let back = (0..=30).map(|back| format!("L-{back}")).collect::<Vec<_>>().join(",");
    let near = (1..=31).map(|day| format!("{day}W")).collect::<Vec<_>>().join(",");
    let nth = (0..35).map(|bit| format!("{}#{}", bit % 7, bit / 7 + 1)).collect::<Vec<_>>().join(",");
    let last = (0..7).map(|day| format!("{day}L")).collect::<Vec<_>>().join(",");
    // Irregular lists, so that no step shortens them.
    let text = format!(
        "{time} {time} {} {},31,{back},{near},LW {},12 {},{last},{nth} {},2100",
        list(0, 23, 1),
        list(2, 28, 2),
        list(1, 11, 2),
        "0,3,5",
        list(1971, 2099, 2),
        time = list(0, 59, 1),
    );
    let expr: CronExpr = text.parse().expect("within the bounds");
    assert_eq!(expr.to_string().parse(), Ok(expr));
    println!("{} bytes", expr.to_string().len());
}
