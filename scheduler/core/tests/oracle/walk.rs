//! A walk through true time, tick by tick, noting what the local clock shows, what it jumps over and what it has shown
//! before; and the occurrences that follow from the rules on that walk.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::oracle::rules::Rule;

pub(crate) const DAY: i64 = 86_400;

pub(crate) fn offset(zone: Tz, instant: i64) -> i64 {
    let utc = DateTime::from_timestamp(instant, 0).expect("an instant that chrono knows").naive_utc();
    zone.offset_from_utc_datetime(&utc).fix().local_minus_utc().into()
}

/// Every instant from 1969-12-30 through 2101 at which the offset of the zone changes, looked for hour by hour.
pub(crate) fn changes(zone: Tz) -> Vec<i64> {
    let mut found = Vec::new();
    let (mut instant, end) = (-2 * DAY, 4_134_100_000);
    let mut before = offset(zone, instant);
    while instant < end {
        let after = offset(zone, instant + 6 * 3_600);
        if after != before {
            let first = (instant + 1..=instant + 6 * 3_600).collect::<Vec<_>>();
            found.push(first[first.partition_point(|&instant| offset(zone, instant) == before)]);
        }
        instant += 6 * 3_600;
        before = after;
    }
    found
}

/// One moment of the walk.
struct Tick {
    instant: i64,
    local: i64,
    /// The clock has shown this local time before.
    repeated: bool,
    /// The local times between the last tick and this one that the clock never showed.
    skipped: Vec<i64>,
}

pub(crate) struct Walk {
    pub(crate) zone: Tz,
    pub(crate) from: i64,
    pub(crate) to: i64,
    ticks: Vec<Tick>,
}

impl Walk {
    /// From `from` through `to` in steps of `stride` seconds, of which all local times asked for are multiples.
    pub(crate) fn new(zone: Tz, from: i64, to: i64, stride: usize) -> Self {
        let mut offsets: Vec<i64> = (from - 2 * DAY..=to).step_by(900).map(|instant| offset(zone, instant)).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let shown = |local: i64, before: i64| {
            offsets.iter().any(|&east| local - east < before && offset(zone, local - east) == east)
        };
        let mut last = from - stride as i64 + offset(zone, from - stride as i64);
        let mut ticks = Vec::new();
        for instant in (from..=to).step_by(stride) {
            let local = instant + offset(zone, instant);
            let skipped =
                (last + stride as i64..local).step_by(stride).filter(|&local| !shown(local, instant)).collect();
            let repeated = offsets.len() > 1 && shown(local, instant);
            ticks.push(Tick { instant, local, repeated, skipped });
            last = local;
        }
        Self { zone, from, to, ticks }
    }

    /// The instants at which the rule fires, straight from the rules.
    pub(crate) fn occurrences(&self, rule: &Rule) -> Vec<i64> {
        let [seconds, minutes, hours] = rule.times();
        let mut known_day = None;
        let mut matches = |local: i64| {
            let time = local.rem_euclid(DAY) as usize;
            if !(seconds[time % 60] && minutes[time / 60 % 60] && hours[time / 3_600]) {
                return false;
            }
            let day = local.div_euclid(DAY);
            match known_day {
                Some((known, matches)) if known == day => matches,
                _ => {
                    let date = DateTime::from_timestamp(day * DAY, 0).expect("a date that chrono knows").date_naive();
                    let matches = (1970..=2100).contains(&chrono::Datelike::year(&date)) && rule.matches_date(date);
                    known_day = Some((day, matches));
                    matches
                }
            }
        };
        let fixed = rule.is_fixed();
        let mut found = Vec::new();
        for tick in &self.ticks {
            let here = matches(tick.local);
            let fires = match fixed {
                // Once, the first time; what fell into the gap before this tick comes now, together with it.
                true => here && !tick.repeated || tick.skipped.iter().any(|&local| matches(local)),
                // As the clock passes.
                false => here,
            };
            if fires {
                found.push(tick.instant);
            }
        }
        found
    }
}
