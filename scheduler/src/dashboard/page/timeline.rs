//! The next 24 hours of all tasks, in quarters of an hour, and the minutes in which several start at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use maud::{Markup, html};

use super::Frame;
use super::parts::{short, task_link};
use super::shell::{Section, page};
use super::text::millis;
use crate::control::INSTANTS_MAX;
use crate::control::view::NextView;

/// How many occurrences of each task are asked for: one for every two minutes of a day, and one to see that it ends.
/// What fires more often is shown as going on all the time.
pub(in crate::dashboard) const OCCURRENCES_ASKED: usize = 721;

/// How many rows one page holds.
const ROWS_SHOWN: usize = 100;

/// How many of the busiest minutes are named, and how many tasks of each.
const BUSIEST_SHOWN: usize = 8;
const NAMED_MAX: usize = 12;

/// How long a page waits between two looks at all tasks' day.
const QUIET_MS: u32 = 10_000;

const MINUTE_MS: i64 = 60_000;
const QUARTER_MS: i64 = 15 * MINUTE_MS;
const QUARTERS: usize = 96;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// What one task does in these 24 hours.
#[derive(Debug)]
struct Row<'a> {
    view: &'a NextView,
    /// How many occurrences each quarter holds.
    quarters: [usize; QUARTERS],
    /// Its instants within the day.
    instants: Vec<i64>,
    /// The mean distance of its occurrences, if there are more of them than were asked for.
    goes_on: Option<i64>,
}

impl<'a> Row<'a> {
    fn of(view: &'a NextView, from: i64, asked: usize) -> Self {
        let all: Vec<i64> = view.next.iter().filter_map(millis).collect();
        let instants: Vec<i64> = all.iter().copied().filter(|at| (from..from + DAY_MS).contains(at)).collect();
        let mut quarters = [0; QUARTERS];
        for at in &instants {
            if let Some(count) = quarter(*at, from).and_then(|place| quarters.get_mut(place)) {
                *count += 1;
            }
        }
        let mut goes_on = None;
        // A list that is full and ends within the day goes on; one that is not full ends there.
        if let [first, .., last] = all[..]
            && all.len() >= asked
            && last < from + DAY_MS
        {
            let pace = ((last - first) / (all.len() as i64 - 1)).max(1);
            goes_on = Some(pace);
            let in_a_quarter = usize::try_from(QUARTER_MS / pace).unwrap_or(0);
            for count in quarters.iter_mut().skip(quarter(last, from).unwrap_or(0)) {
                *count = (*count).max(in_a_quarter);
            }
        }
        Self { view, quarters, instants, goes_on }
    }
}

fn quarter(at: i64, from: i64) -> Option<usize> {
    usize::try_from((at - from) / QUARTER_MS).ok()
}

/// The next 24 hours. `page` counts from 1.
pub(in crate::dashboard) fn timeline(frame: &Frame<'_>, next: &[NextView], page_asked: &str) -> Markup {
    let words = frame.language.words();
    // From the quarter that has begun, so that the hours stand still while one looks.
    let from = frame.now.as_millis() / QUARTER_MS * QUARTER_MS;
    // Of very many tasks fewer occurrences of each are answered.
    let asked = OCCURRENCES_ASKED.min(INSTANTS_MAX / next.len().max(1)).max(2);
    let all = next.iter().map(|view| Row::of(view, from, asked));
    let (rows, idle): (Vec<Row<'_>>, Vec<Row<'_>>) =
        all.partition(|row| row.goes_on.is_some() || !row.instants.is_empty());
    let pages = rows.len().div_ceil(ROWS_SHOWN).max(1);
    let number = page_asked.parse::<usize>().unwrap_or(1).clamp(1, pages);
    let content = html! {
        h1 { (words.timeline_title) }
        p.hint { (words.timeline_hint) }
        // The day ahead changes with the clock and with what people do, not with every run.
        section #timeline data-live data-quiet=(QUIET_MS) aria-label=(words.timeline_title) {
            @if next.is_empty() {
                p.empty { (words.no_tasks) }
            } @else if rows.is_empty() {
                p.empty { (words.none_in_a_day) }
            } @else {
                table.timeline {
                    thead { tr {
                        th scope="col" { (words.task) }
                        th scope="col" { (hours(from)) }
                    } }
                    tbody {
                        @for row in rows.iter().skip((number - 1) * ROWS_SHOWN).take(ROWS_SHOWN) {
                            tr {
                                th scope="row" { (task_link(frame, &row.view.task)) }
                                td { (marks(frame, row, from)) }
                            }
                        }
                    }
                }
            }
            @if !idle.is_empty() && !rows.is_empty() {
                p.hint {
                    (words.not_in_a_day) ": "
                    @for (place, row) in idle.iter().take(NAMED_MAX).enumerate() {
                        @if place > 0 { ", " }
                        (task_link(frame, &row.view.task))
                    }
                    @if idle.len() > NAMED_MAX { " +" (idle.len() - NAMED_MAX) }
                }
            }
            @if pages > 1 {
                nav.pages aria-label=(words.page) {
                    @if number > 1 {
                        a href={ (frame.base) "/timeline?page=" (number - 1) } { "← " (words.previous_page) }
                    }
                    span { (number) " / " (pages) }
                    @if number < pages {
                        a href={ (frame.base) "/timeline?page=" (number + 1) } { (words.next_page) " →" }
                    }
                }
            }
        }
        section #together data-live { h2 { (words.together) } (together(frame, &rows)) }
    };
    page(frame, Section::Timeline, words.timeline, content)
}

/// The quarters in which a third hour begins, each with whether that is every sixth.
fn thirds(from: i64) -> impl Iterator<Item = (usize, bool)> {
    (0..QUARTERS).filter_map(move |place| {
        let quarter = from / QUARTER_MS + place as i64;
        (quarter % 12 == 0).then_some((place, quarter % 24 == 0))
    })
}

/// Without a `viewBox` a text keeps its size, however narrow the page is.
fn hours(from: i64) -> Markup {
    html! {
        svg.hours role="presentation" aria-hidden="true" {
            @for (place, is_sixth) in thirds(from).filter(|(place, _)| *place < QUARTERS - 6) {
                text.fine[!is_sixth] x={ (percent(place)) "%" } y="12" { (utc(from + QUARTER_MS * place as i64)) }
            }
        }
    }
}

/// Where a quarter begins, in hundredths of the day.
fn percent(place: usize) -> f64 {
    place as f64 * 100.0 / QUARTERS as f64
}

fn marks(frame: &Frame<'_>, row: &Row<'_>, from: i64) -> Markup {
    let words = frame.language.words();
    let told = match row.goes_on {
        Some(pace) => format!("{}, {} {}", words.all_the_time, words.about_every, frame.language.length(pace)),
        None => frame.language.occurrences(row.instants.len()),
    };
    html! {
        svg.marks viewBox="0 0 960 20" preserveAspectRatio="none" role="img" aria-label=(told) {
            title { (told) }
            @for (place, _) in thirds(from) { rect.hour x=(place * 10) y="0" width="1" height="20" {} }
            @for (place, count) in row.quarters.iter().enumerate().filter(|(_, count)| **count > 0) {
                @let height = (6 + 2 * count).min(20);
                rect.mark x=(place * 10 + 1) y=(20 - height) width="8" height=(height) {}
            }
        }
        span.hint { (told) }
    }
}

/// The minutes in which the most tasks start. What goes on all the time is in every minute, and is left out.
fn together(frame: &Frame<'_>, rows: &[Row<'_>]) -> Markup {
    let words = frame.language.words();
    let mut minutes: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.goes_on.is_none()) {
        for at in &row.instants {
            minutes.entry(at / MINUTE_MS).or_default().insert(&row.view.task);
        }
    }
    let mut busiest: Vec<_> = minutes.into_iter().filter(|(_, tasks)| tasks.len() > 1).collect();
    busiest.sort_by_key(|(minute, tasks)| (std::cmp::Reverse(tasks.len()), *minute));
    html! {
        @if let Some((_, most)) = busiest.first() {
            p { (words.at_most_together) " " strong { (most.len()) } " " (words.tasks_in_a_minute) }
            table.cards {
                thead { tr {
                    th scope="col" { (words.minute) }
                    th scope="col" { (words.count) }
                    th scope="col" { (words.tasks) }
                } }
                tbody {
                    @for (minute, tasks) in busiest.iter().take(BUSIEST_SHOWN) {
                        tr {
                            th scope="row" { (utc(minute * MINUTE_MS)) }
                            td data-label=(words.count) { div { (tasks.len()) } }
                            td data-label=(words.tasks) {
                                div {
                                    @for (place, task) in tasks.iter().take(NAMED_MAX).enumerate() {
                                        @if place > 0 { ", " }
                                        (short(task))
                                    }
                                    @if tasks.len() > NAMED_MAX { " +" (tasks.len() - NAMED_MAX) }
                                }
                            }
                        }
                    }
                }
            }
        } @else {
            p.empty { (words.no_collisions) }
        }
    }
}

/// Hour and minute, in UTC.
fn utc(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).map_or_else(String::new, |at| at.format("%H:%M").to_string())
}
