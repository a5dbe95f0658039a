//! The 24 hours ahead of all tasks, folded where they are known: thousands of tasks have hundreds of thousands of occurrences,
//! of which a page's rows are told and in which minutes most tasks start.
//!
//! Invariant: the work is bounded by [`LOOKED_AT_MAX`] occurrences, or two of each task if that is more.

use serde::{Deserialize, Serialize};
use symphra_scheduler_core::Timestamp;

/// The most occurrences that are looked at, over all tasks: what takes some hundredths of a second.
const LOOKED_AT_MAX: usize = 250_000;

/// How many of each task: one for every two minutes, and one to see that it ends.
const OF_EACH_MAX: usize = 721;

/// How many rows one page holds.
const ROWS_MAX: usize = 100;

/// How many of the minutes in which most tasks start are told.
const BUSIEST_MAX: usize = 8;

/// How many tasks are named where many are counted.
const NAMED_MAX: usize = 12;

const MINUTE_MS: i64 = 60_000;
pub(crate) const QUARTER_MS: i64 = 15 * MINUTE_MS;
pub(crate) const QUARTERS: usize = 96;
const DAY_MS: i64 = QUARTERS as i64 * QUARTER_MS;
const MINUTES: usize = 24 * 60;

/// A page of the day ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayView {
    /// When its first quarter of an hour begins, in milliseconds since 1970.
    pub(crate) from_ms: i64,
    pub(crate) rows: Vec<DayRow>,
    /// Counted from 1.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// The tasks without an occurrence in it.
    pub(crate) idle: NamedView,
    /// The minutes in which more than one task starts: those with most of them, the first of equals first. What goes on all the
    /// time is in every minute, and not counted.
    pub(crate) busiest: Vec<MinuteView>,
}

/// What one task does in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayRow {
    pub(crate) task: String,
    /// How many occurrences each quarter of an hour holds.
    pub(crate) quarters: Vec<u32>,
    /// How many there are, as far as they were looked at.
    pub(crate) occurrences: usize,
    /// The mean distance of its occurrences, if there are more of them than were looked at.
    pub(crate) goes_on_ms: Option<i64>,
}

/// How many tasks, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedView {
    pub(crate) count: usize,
    pub(crate) first: Vec<String>,
}

/// A minute in which several tasks start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MinuteView {
    pub(crate) at_ms: i64,
    pub(crate) tasks: NamedView,
}

/// The day ahead while tasks are added to it, in the order in which they are told.
#[derive(Debug)]
pub(super) struct Day {
    from: i64,
    of_each: usize,
    rows: Vec<Row>,
    idle: NamedView,
    minutes: Vec<Minute>,
}

#[derive(Debug)]
struct Row {
    task: String,
    quarters: [u32; QUARTERS],
    occurrences: usize,
    goes_on: Option<i64>,
}

/// How many tasks start in a minute, and the places of the first of them among the rows.
#[derive(Clone, Debug, Default)]
struct Minute {
    count: usize,
    first: Vec<usize>,
}

impl Day {
    /// From the quarter of an hour that has begun, so that the hours stand still while one looks.
    pub(super) fn new(now: Timestamp, tasks: usize) -> Self {
        Self {
            from: now.as_millis().div_euclid(QUARTER_MS) * QUARTER_MS,
            of_each: OF_EACH_MAX.min(LOOKED_AT_MAX / tasks.max(1)).max(2),
            rows: Vec::new(),
            idle: NamedView::default(),
            minutes: vec![Minute::default(); MINUTES],
        }
    }

    /// The first instant behind it.
    pub(super) fn end(&self) -> Timestamp {
        Timestamp::from_millis(self.from + DAY_MS)
    }

    /// How many occurrences of each task are looked at.
    pub(super) const fn of_each(&self) -> usize {
        self.of_each
    }

    /// Adds a task with its next occurrences: those before the [end](Self::end), and no more than [`of_each`](Self::of_each).
    pub(super) fn add(&mut self, task: &str, next: &[Timestamp]) {
        // What is overdue, as a delay is while no node runs, is none of the day's.
        let next = &next[next.partition_point(|at| at.as_millis() < self.from)..];
        let ([first, ..], [.., last]) = (next, next) else {
            self.idle.add(task);
            return;
        };
        let mut row = Row { task: task.to_owned(), quarters: [0; QUARTERS], occurrences: next.len(), goes_on: None };
        for at in next {
            if let Some(count) = self.place(*at, QUARTER_MS).and_then(|place| row.quarters.get_mut(place)) {
                *count += 1;
            }
        }
        if next.len() >= self.of_each {
            // As it has begun, so it goes on.
            let pace = ((last.as_millis() - first.as_millis()) / (next.len() as i64 - 1)).max(1);
            let in_a_quarter = u32::try_from(QUARTER_MS / pace).unwrap_or(0);
            let known = self.place(*last, QUARTER_MS).unwrap_or(0);
            row.quarters.iter_mut().skip(known).for_each(|count| *count = (*count).max(in_a_quarter));
            row.goes_on = Some(pace);
        } else {
            let mut before = None;
            for at in next {
                let minute = self.place(*at, MINUTE_MS);
                if minute != before
                    && let Some(minute) = minute.and_then(|minute| self.minutes.get_mut(minute))
                {
                    minute.count += 1;
                    if minute.first.len() < NAMED_MAX {
                        minute.first.push(self.rows.len());
                    }
                }
                before = minute;
            }
        }
        self.rows.push(row);
    }

    /// Which of the lengths from its beginning holds an instant.
    fn place(&self, at: Timestamp, length: i64) -> Option<usize> {
        usize::try_from((at.as_millis() - self.from).div_euclid(length)).ok()
    }

    /// The page of the day; one that there is not is the nearest.
    pub(super) fn view(self, page: usize) -> DayView {
        let mut busiest: Vec<(usize, &Minute)> =
            self.minutes.iter().enumerate().filter(|(_, minute)| minute.count > 1).collect();
        busiest.sort_by_key(|(place, minute)| (std::cmp::Reverse(minute.count), *place));
        let told = |(place, minute): (usize, &Minute)| MinuteView {
            at_ms: self.from + MINUTE_MS * place as i64,
            tasks: NamedView {
                count: minute.count,
                first: minute.first.iter().filter_map(|row| Some(self.rows.get(*row)?.task.clone())).collect(),
            },
        };
        let busiest = busiest.into_iter().take(BUSIEST_MAX).map(told).collect();
        let pages = self.rows.len().div_ceil(ROWS_MAX).max(1);
        let page = page.clamp(1, pages);
        let shown = self.rows.into_iter().skip((page - 1) * ROWS_MAX).take(ROWS_MAX);
        let rows = shown.map(|row| DayRow {
            task: row.task,
            quarters: row.quarters.to_vec(),
            occurrences: row.occurrences,
            goes_on_ms: row.goes_on,
        });
        DayView { from_ms: self.from, rows: rows.collect(), page, pages, idle: self.idle, busiest }
    }
}

impl NamedView {
    fn add(&mut self, task: &str) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(task.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 09:07 of some day in UTC.
    const NOW: i64 = 20_000 * DAY_MS + 9 * 60 * MINUTE_MS + 7 * MINUTE_MS;
    const HOUR_MS: i64 = 60 * MINUTE_MS;

    /// The instants at so many milliseconds after the beginning of the day, which is at 09:00.
    fn at(offsets: impl IntoIterator<Item = i64>) -> Vec<Timestamp> {
        offsets.into_iter().map(|offset| Timestamp::from_millis(NOW - 7 * MINUTE_MS + offset)).collect()
    }

    fn day(tasks: usize) -> Day {
        Day::new(Timestamp::from_millis(NOW), tasks)
    }

    #[test]
    fn it_begins_with_the_quarter_that_has_begun_and_has_24_hours() {
        let mut day = day(2);
        assert_eq!(day.end(), at([DAY_MS])[0]);
        day.add("edges", &at([0, QUARTER_MS - 1, QUARTER_MS, DAY_MS - 1]));
        let view = day.view(1);
        let row = &view.rows[0];
        assert_eq!((row.quarters[0], row.quarters[1], row.quarters[95]), (2, 1, 1));
        assert_eq!((row.occurrences, row.quarters.len(), row.quarters.iter().sum::<u32>()), (4, 96, 4));
        assert_eq!(view.from_ms, NOW - 7 * MINUTE_MS);
    }

    #[test]
    fn what_is_overdue_is_none_of_the_day() {
        let mut day = day(2);
        day.add("a delay", &at([-HOUR_MS]));
        day.add("another", &at([-1, 0]));
        let view = day.view(1);
        assert_eq!(view.idle.first, ["a delay"]);
        assert_eq!((&*view.rows[0].task, view.rows[0].occurrences, view.rows[0].quarters[0]), ("another", 1, 1));
    }

    #[test]
    fn what_fires_more_often_than_is_looked_at_goes_on_as_it_began_and_is_in_no_minute() {
        let mut day = day(2);
        let many = day.of_each() as i64;
        for task in ["each second", "each second too"] {
            day.add(task, &at((0..many).map(|second| second * 1_000)));
        }
        day.add("every two minutes", &at((0..720).map(|number| number * 2 * MINUTE_MS)));
        let view = day.view(1);
        assert_eq!((view.rows[0].goes_on_ms, view.rows[0].quarters[95]), (Some(1_000), 900));
        assert_eq!((view.rows[2].goes_on_ms, view.rows[2].quarters[95]), (None, 7), "it is seen to end");
        assert_eq!(view.busiest, []);
    }

    #[test]
    fn the_fullest_minutes_are_told_and_a_task_counts_once_in_each() {
        let mut day = day(20);
        for number in 0..14 {
            day.add(&format!("daily {number:02}"), &at([2 * HOUR_MS]));
        }
        day.add("twice in a minute", &at([HOUR_MS, HOUR_MS + 30_000]));
        day.add("once in it", &at([HOUR_MS + 59_999]));
        day.add("alone", &at([3 * HOUR_MS]));
        day.add("never", &[]);
        let view = day.view(1);
        let told: Vec<_> =
            view.busiest.iter().map(|minute| (minute.at_ms - view.from_ms, minute.tasks.count)).collect();
        assert_eq!(told, [(2 * HOUR_MS, 14), (HOUR_MS, 2)]);
        assert_eq!(view.busiest[0].tasks.first.len(), NAMED_MAX);
        assert_eq!(view.busiest[1].tasks.first, ["twice in a minute", "once in it"]);
        assert_eq!(view.idle, NamedView { count: 1, first: vec!["never".to_owned()] });
    }

    #[test]
    fn a_page_holds_its_rows_and_minutes_count_those_of_all() {
        let of = |page| {
            let mut day = day(250);
            (0..250).for_each(|number| day.add(&format!("{number:03}"), &at([HOUR_MS])));
            day.view(page)
        };
        let last = of(usize::MAX);
        assert_eq!((last.page, last.pages, last.rows.len(), &*last.rows[0].task), (3, 3, 50, "200"));
        assert_eq!(last.busiest[0].tasks.count, 250);
        assert_eq!((of(0).page, &*of(0).rows[0].task), (1, "000"));
    }

    #[test]
    fn of_more_tasks_fewer_occurrences_are_looked_at() {
        assert_eq!((day(0).of_each(), day(5_000).of_each(), day(10_000_000).of_each()), (OF_EACH_MAX, 50, 2));
    }
}
