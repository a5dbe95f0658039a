//! What it costs to find the next occurrence of a cron expression, and to parse one.
//!
//! Two ways of asking: *seek* searches from instants strewn over ten years, *walk* searches from the last answer on, as
//! a scheduler does. Each figure is the median over batches of a thousand searches, with the smallest batch beside it.
//! A library's answers are compared with those of the first on the list: `differs` counts what they disagree on.

mod expressions;
mod libraries;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use chrono_tz::Tz;
use symphra_scheduler_core::Timestamp;

use self::{
    expressions::{EXPRESSIONS, Expression},
    libraries::{Croner, Library, Point, Symphra, TheCron},
};
use crate::{Failure, arguments::Arguments, heap::Probe, json::Line};

/// A zone with two transitions a year.
const NEW_YORK: Tz = Tz::America__New_York;

const BATCH: usize = 1_000;
/// Enough for a median; dear searches end earlier, by time.
const BATCHES_MAX: usize = 301;
/// 2025-01-01T00:00:00Z, the first instant that is asked for.
const FIRST: i64 = 1_735_689_600;
/// Ten years, over which the instants of *seek* are strewn.
const SPREAD: u64 = 10 * 365 * 86_400;
/// 2090-01-01T00:00:00Z: a *walk* that has come this far begins anew, before any library's years end.
const LAST: i64 = 3_786_912_000;

/// The command line: `--quick yes` measures a fifth as long.
///
/// # Errors
/// A wrong option, an expression that a library refuses.
pub fn main(arguments: impl Iterator<Item = String>, heap: Option<Probe>) -> Result<(), Failure> {
    let mut arguments = Arguments::read(arguments)?;
    let quick = arguments.take::<String>("quick")?.is_some_and(|value| value == "yes");
    arguments.finish()?;
    let bench = Bench { budget: Duration::from_millis(if quick { 60 } else { 300 }), heap };
    for expression in &EXPRESSIONS {
        bench.expression(expression)?;
    }
    Ok(())
}

struct Bench {
    /// The time that one figure may take.
    budget: Duration,
    heap: Option<Probe>,
}

/// The answer to each of the thousand instants, in seconds since 1970.
type Answers = Vec<Option<i64>>;

/// What the first library on the list answered.
#[derive(Default)]
struct Agreed {
    utc: Option<Answers>,
    new_york: Option<Answers>,
}

struct Search {
    seek: Cost,
    walk: Cost,
    /// Of a thousand instants, those to which the first library answered otherwise.
    differs: usize,
    /// Per search, where the heap is counted.
    allocations: Option<f64>,
}

impl Search {
    fn say(&self, library: &str, expression: &Expression, zone: &str) {
        let line = Line::new()
            .text("program", "next")
            .text("measure", "search")
            .text("library", library)
            .text("expression", expression.name)
            .text("zone", zone)
            .number("seek_median_ns", format_args!("{:.1}", self.seek.median))
            .number("seek_min_ns", format_args!("{:.1}", self.seek.min))
            .number("walk_median_ns", format_args!("{:.1}", self.walk.median))
            .number("walk_min_ns", format_args!("{:.1}", self.walk.min))
            .number("differs", self.differs)
            .maybe("allocations", self.allocations);
        println!("{}", line.finish());
    }
}

/// A figure over batches, in nanoseconds per call.
struct Cost {
    median: f64,
    min: f64,
}

impl Bench {
    fn expression(&self, expression: &Expression) -> Result<(), Failure> {
        let mut agreed = Agreed::default();
        self.library::<Symphra>(expression, &mut agreed)?;
        self.engine_form(expression, &mut agreed)?;
        self.library::<TheCron>(expression, &mut agreed)?;
        self.library::<Croner>(expression, &mut agreed)
    }

    fn library<L: Library>(&self, expression: &Expression, agreed: &mut Agreed) -> Result<(), Failure> {
        let Some(text) = L::text(expression) else {
            return Ok(());
        };
        let before = self.heap.map(|read| read());
        let parsed = L::parse(text)?;
        let after = self.heap.map(|read| read());
        let parse = self.cost(|| {
            for _ in 0..BATCH {
                black_box(L::parse(black_box(text)).is_ok());
            }
        });
        let own = after.zip(before).map(|(after, before)| (after.live_bytes - before.live_bytes) as f64);
        let line = Line::new()
            .text("program", "next")
            .text("measure", "parse")
            .text("library", L::NAME)
            .text("expression", expression.name)
            .number("median_ns", format_args!("{:.1}", parse.median))
            .number("min_ns", format_args!("{:.1}", parse.min))
            .number("size_bytes", size_of::<L::Parsed>())
            .maybe("heap_bytes", own);
        println!("{}", line.finish());

        let utc = self.search(&L::UTC, &mut agreed.utc, |at| L::next_utc(&parsed, at));
        let zone = self.search(&NEW_YORK, &mut agreed.new_york, |at| L::next(&parsed, at));
        utc.say(L::NAME, expression, "UTC");
        zone.say(L::NAME, expression, NEW_YORK.name());
        Ok(())
    }

    /// Ours on plain milliseconds, which is what its engine asks for at each firing.
    fn engine_form(&self, expression: &Expression, agreed: &mut Agreed) -> Result<(), Failure> {
        let parsed = Symphra::parse(expression.name)?;
        let utc = self.search(&(), &mut agreed.utc, |at: Timestamp| parsed.next(Tz::UTC, at));
        let zone = self.search(&(), &mut agreed.new_york, |at: Timestamp| parsed.next(NEW_YORK, at));
        utc.say("symphra on milliseconds", expression, "UTC");
        zone.say("symphra on milliseconds", expression, NEW_YORK.name());
        Ok(())
    }

    fn search<P: Point>(&self, zone: &P::Zone, agreed: &mut Option<Answers>, next: impl Fn(P) -> Option<P>) -> Search {
        let instants: Vec<P> = seconds().map(|second| P::at(zone, second)).collect();
        let seek = self.cost(|| {
            for &at in &instants {
                black_box(next(black_box(at)));
            }
        });
        let mut at = instants[0];
        let walk = self.cost(|| {
            for _ in 0..BATCH {
                at = match next(black_box(at)) {
                    Some(found) if found.second() < LAST => found,
                    _ => instants[0],
                };
            }
        });
        let mut answers = Vec::with_capacity(BATCH);
        let before = self.heap.map(|read| read());
        for &at in &instants {
            answers.push(next(at).map(P::second));
        }
        let after = self.heap.map(|read| read());
        let taken = after.zip(before).map(|(after, before)| after.allocations - before.allocations);
        let reference = agreed.get_or_insert_with(|| answers.clone());
        Search {
            seek,
            walk,
            differs: reference.iter().zip(&answers).filter(|(theirs, its)| theirs != its).count(),
            allocations: taken.map(|count| count as f64 / BATCH as f64),
        }
    }

    /// Times batches until the budget is spent; the first one only warms up.
    fn cost(&self, mut batch: impl FnMut()) -> Cost {
        batch();
        let begin = Instant::now();
        let mut nanos = Vec::with_capacity(BATCHES_MAX);
        while nanos.len() < BATCHES_MAX && (nanos.is_empty() || begin.elapsed() < self.budget) {
            let begin = Instant::now();
            batch();
            nanos.push(begin.elapsed().as_nanos() as f64 / BATCH as f64);
        }
        nanos.sort_by(f64::total_cmp);
        Cost { median: nanos[nanos.len() / 2], min: nanos[0] }
    }
}

/// The same thousand instants in every run and for every library: `FIRST`, then strewn over `SPREAD`.
fn seconds() -> impl Iterator<Item = i64> {
    // A linear congruential generator (Knuth, MMIX), whose high bits are even enough to strew instants.
    let mut state = 1_u64;
    let strewn = (1..BATCH).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        FIRST + ((state >> 33) % SPREAD) as i64
    });
    std::iter::once(FIRST).chain(strewn)
}
