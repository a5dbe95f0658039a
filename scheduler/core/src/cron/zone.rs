//! Next, previous and count in a time zone: what gaps and repeats do to the two classes of expressions.
//!
//! A zone is asked for one thing only, its offset at an instant; everything else follows. Where two instants less than
//! [`CHANGES_APART`] from each other have the same offset, nothing changed between them, and local and true time run in
//! parallel: that is the ordinary case, settled with two or three look-ups. Else the change is found by bisection.
//!
//! An interval expression matches where the clock shows a matching time. A fixed-time expression fires when the clock
//! *first reaches or passes* a matching time: this one rule moves what falls in a gap to its end, merges what meets
//! there, and drops the second pass of a repeat.
//!
//! All instants here are whole seconds since the epoch, offsets are seconds east.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::CronExpr;
use super::search::LOCAL_END;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Less than the time between any two changes of one zone from 1970 to 2100: the shortest is a week less an hour.
/// A test holds it for every zone of the database in use.
const CHANGES_APART: i64 = 6 * DAY;
/// More than any clock was ever set back at once in that time: the largest is 7 hours, at Vostok in 1994.
const SET_BACK_MAX: i64 = 12 * HOUR;
/// More than any two offsets differ: they lie between −12 and +14 hours.
const SPREAD: i64 = 30 * HOUR;

/// Instants between which every local second of 1970 to 2100 lies in every zone.
pub(super) const INSTANT_MIN: i64 = -2 * DAY;
pub(super) const INSTANT_MAX: i64 = LOCAL_END + 2 * DAY;

impl CronExpr {
    /// The first occurrence after second `after`.
    #[inline]
    pub(super) fn next_second(&self, zone: Tz, after: i64) -> Option<i64> {
        if is_utc(zone) {
            return self.local_next(after + 1);
        }
        let after = after.max(INSTANT_MIN);
        if after > INSTANT_MAX {
            return None;
        }
        if self.is_interval() { self.next_interval(zone, after) } else { self.next_fixed(zone, after) }
    }

    /// The last occurrence at or before second `through`.
    pub(super) fn previous_second(&self, zone: Tz, through: i64) -> Option<i64> {
        if is_utc(zone) {
            return self.local_previous(through);
        }
        let through = through.min(INSTANT_MAX);
        if through < INSTANT_MIN {
            return None;
        }
        if self.is_interval() { self.previous_interval(zone, through) } else { self.previous_fixed(zone, through) }
    }

    /// How many occurrences lie after second `after` and at or before second `through`.
    pub(super) fn count_seconds(&self, zone: Tz, after: i64, through: i64) -> u64 {
        let (after, through) = (after.max(INSTANT_MIN), through.min(INSTANT_MAX));
        if after >= through {
            return 0;
        }
        if is_utc(zone) {
            return self.local_count(after + 1, through + 1);
        }
        if self.is_interval() {
            Stretches::new(zone, after + 1, through)
                .map(|stretch| self.local_count(stretch.first + stretch.offset, stretch.last + stretch.offset + 1))
                .sum()
        } else {
            self.count_fixed(zone, after, through)
        }
    }

    fn next_fixed(&self, zone: Tz, after: i64) -> Option<i64> {
        let mut offset = offset_at(zone, after);
        let mut local = self.local_next(after + offset + 1)?;
        if local <= after + offset + SET_BACK_MAX {
            let reached = reached_at(zone, after, offset);
            if local <= reached {
                local = self.local_next(reached + 1)?;
            }
        }
        // From an instant at which the clock has not reached `local`, near enough that one change lies between at most.
        let mut from = after;
        if local - offset - from >= CHANGES_APART {
            from = local - offset - SPREAD;
            offset = offset_at(zone, from);
        }
        Some(first_reached(zone, from, offset, local))
    }

    fn previous_fixed(&self, zone: Tz, through: i64) -> Option<i64> {
        let offset = offset_at(zone, through);
        let local = self.local_previous(reached_at(zone, through, offset))?;
        let from = local - offset - SPREAD;
        Some(first_reached(zone, from, offset_at(zone, from), local))
    }

    fn next_interval(&self, zone: Tz, after: i64) -> Option<i64> {
        // No local time from `from` on has matched so far; the clock shows at least `from` after `instant`, at `offset`.
        let mut instant = after;
        let mut offset = offset_at(zone, instant);
        let mut from = instant + offset + 1;
        loop {
            #[cfg(test)]
            super::work::step();
            let candidate = self.local_next(from).map(|local| local - offset);
            let near = candidate.filter(|candidate| candidate - instant < CHANGES_APART);
            // A clock set back soon shows earlier times again, and with them earlier matches.
            let until = near.unwrap_or(instant + SET_BACK_MAX);
            let offset_then = offset_at(zone, until);
            if offset_then != offset {
                instant = change_between(zone, instant, until, offset);
                offset = offset_at(zone, instant);
                from = instant + offset;
            } else if near.is_some() {
                return near;
            } else {
                // Nothing before the candidate's own surroundings: what the clock shows there decides.
                instant = candidate? - SPREAD;
                offset = offset_at(zone, instant);
                from = instant + offset;
            }
        }
    }

    fn previous_interval(&self, zone: Tz, through: i64) -> Option<i64> {
        let mut instant = through;
        loop {
            #[cfg(test)]
            super::work::step();
            let offset = offset_at(zone, instant);
            let candidate = self.local_previous(instant + offset).map(|local| local - offset);
            let near = candidate.filter(|candidate| instant - candidate < CHANGES_APART);
            // Before a clock was set back it showed later times, and with them later matches.
            let since = near.unwrap_or(instant - SET_BACK_MAX);
            let offset_then = offset_at(zone, since);
            if offset_then != offset {
                instant = change_between(zone, since, instant, offset_then) - 1;
            } else if near.is_some() {
                return near;
            } else {
                instant = candidate? + SPREAD;
            }
        }
    }

    fn count_fixed(&self, zone: Tz, after: i64, through: i64) -> u64 {
        let mut reached = reached_at(zone, after, offset_at(zone, after));
        let mut count = 0;
        for stretch in Stretches::new(zone, after + 1, through) {
            let (first, last) = (stretch.first + stretch.offset, stretch.last + stretch.offset);
            // What the clock passes in one jump fires once, together with what lies at its end.
            if first > reached {
                count += self.local_count(reached + 1, first + 1).min(1);
                reached = first;
            }
            if last > reached {
                count += self.local_count(reached + 1, last + 1);
                reached = last;
            }
        }
        count
    }
}

/// The first instant after `from` at which the clock has reached `local`; at `from` it has not, and less than
/// [`CHANGES_APART`] lies between.
fn first_reached(zone: Tz, from: i64, offset: i64, local: i64) -> i64 {
    let guess = local - offset;
    let offset_then = offset_at(zone, guess);
    if offset_then == offset {
        return guess;
    }
    // Either `local` lies in the gap that the change made, or it comes that much later.
    change_between(zone, from, guess, offset).max(local - offset_then)
}

/// The latest local time that the clock has shown up to `instant`: in the second pass of a repeat it is the end of the
/// first.
pub(super) fn reached_at(zone: Tz, instant: i64, offset: i64) -> i64 {
    let earlier = instant - SET_BACK_MAX;
    let offset_earlier = offset_at(zone, earlier);
    if offset_earlier <= offset {
        return instant + offset;
    }
    let change = change_between(zone, earlier, instant, offset_earlier);
    (instant + offset).max(change - 1 + offset_earlier)
}

/// The instant of the one change after `from` and up to `until`; `offset` is that of `from`.
#[cold]
fn change_between(zone: Tz, from: i64, until: i64, offset: i64) -> i64 {
    let (mut before, mut after) = (from, until);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset_at(zone, middle) == offset {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

/// A span of seconds, both ends included, in which a zone's offset stays the same.
pub(super) struct Stretch {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) offset: i64,
}

/// The stretches of a zone from one second through another, in order.
pub(super) struct Stretches {
    zone: Tz,
    next: i64,
    through: i64,
}

impl Stretches {
    pub(super) fn new(zone: Tz, from: i64, through: i64) -> Self {
        Self { zone, next: from, through }
    }
}

impl Iterator for Stretches {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        if self.next > self.through {
            return None;
        }
        let first = self.next;
        let offset = offset_at(self.zone, first);
        let mut known = first;
        while known < self.through {
            let ahead = (known + CHANGES_APART).min(self.through);
            if offset_at(self.zone, ahead) != offset {
                known = change_between(self.zone, known, ahead, offset) - 1;
                break;
            }
            known = ahead;
        }
        self.next = known + 1;
        Some(Stretch { first, last: known, offset })
    }
}

#[inline]
fn is_utc(zone: Tz) -> bool {
    matches!(zone, Tz::UTC | Tz::Etc__UTC)
}

/// Seconds east of UTC at an instant.
#[inline]
pub(super) fn offset_at(zone: Tz, instant: i64) -> i64 {
    #[cfg(test)]
    super::work::step();
    let instant = DateTime::from_timestamp(instant, 0).expect("a searched instant lies near 1970 to 2100");
    zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything in this file stands on these three facts about the tz database.
    #[test]
    fn every_zone_changes_as_seldom_and_as_little_as_assumed() {
        for zone in chrono_tz::TZ_VARIANTS {
            let (mut offset, mut changed) = (offset_at(zone, INSTANT_MIN - SPREAD), i64::MIN / 2);
            let mut instant = INSTANT_MIN - SPREAD;
            while instant < INSTANT_MAX + SPREAD {
                // Steps far below a week, so that two changes that cancel each other would be seen.
                let ahead = instant + 12 * HOUR;
                let offset_ahead = offset_at(zone, ahead);
                assert!((-12 * HOUR..=14 * HOUR).contains(&offset_ahead), "{zone} at {ahead}");
                if offset_ahead != offset {
                    let change = change_between(zone, instant, ahead, offset);
                    assert!(change - changed > CHANGES_APART, "{zone} at {changed} and {change}");
                    assert!(offset - offset_ahead < SET_BACK_MAX, "{zone} at {change}");
                    (offset, changed) = (offset_ahead, change);
                }
                instant = ahead;
            }
        }
    }
}
