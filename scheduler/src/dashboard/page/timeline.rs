//! The next 24 hours of all tasks, in quarters of an hour, and the minutes in which several start at once.

use chrono::DateTime;
use maud::{Markup, html};

use super::Frame;
use super::parts::{short, task_link};
use super::shell::{Section, page};
use crate::control::day::{DayRow, DayView, MinuteView, NamedView, QUARTER_MS, QUARTERS};

/// How long a page waits between two looks at all tasks' day.
const QUIET_MS: u32 = 10_000;

/// The next 24 hours.
pub(in crate::dashboard) fn timeline(frame: &Frame<'_>, day: &DayView) -> Markup {
    let words = frame.language.words();
    let from = day.from_ms;
    let content = html! {
        h1 { (words.timeline_title) }
        p.hint { (words.timeline_hint) }
        // The day ahead changes with the clock and with what people do, not with every run.
        section #timeline data-live data-quiet=(QUIET_MS) aria-label=(words.timeline_title) {
            @if day.rows.is_empty() {
                p.empty { (if day.idle.count == 0 { words.no_tasks } else { words.none_in_a_day }) }
            } @else {
                table.timeline {
                    thead { tr {
                        th scope="col" { (words.task) }
                        th scope="col" { (hours(from)) }
                    } }
                    tbody {
                        @for row in &day.rows {
                            tr {
                                th scope="row" { (task_link(frame, &row.task)) }
                                td { (marks(frame, row, from)) }
                            }
                        }
                    }
                }
                @if day.idle.count > 0 {
                    p.hint { (words.not_in_a_day) ": " (named(&day.idle, |task| task_link(frame, task))) }
                }
            }
            @if day.pages > 1 {
                nav.pages aria-label=(words.page) {
                    @if day.page > 1 {
                        a href={ (frame.base) "/timeline?page=" (day.page - 1) } { "← " (words.previous_page) }
                    }
                    span { (day.page) " / " (day.pages) }
                    @if day.page < day.pages {
                        a href={ (frame.base) "/timeline?page=" (day.page + 1) } { (words.next_page) " →" }
                    }
                }
            }
        }
        section #together data-live data-quiet=(QUIET_MS) { h2 { (words.together) } (together(frame, &day.busiest)) }
    };
    page(frame, Section::Timeline, words.timeline, content)
}

/// The first of many tasks, and how many there are besides.
fn named(tasks: &NamedView, shown: impl Fn(&str) -> Markup) -> Markup {
    html! {
        @for (place, task) in tasks.first.iter().enumerate() {
            @if place > 0 { ", " }
            (shown(task))
        }
        @if tasks.count > tasks.first.len() { " +" (tasks.count - tasks.first.len()) }
    }
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

fn marks(frame: &Frame<'_>, row: &DayRow, from: i64) -> Markup {
    let words = frame.language.words();
    let told = match row.goes_on_ms {
        Some(pace) => format!("{}, {} {}", words.all_the_time, words.about_every, frame.language.length(pace)),
        None => frame.language.occurrences(row.occurrences),
    };
    html! {
        svg.marks viewBox="0 0 960 20" preserveAspectRatio="none" role="img" aria-label=(told) {
            title { (told) }
            path.hour d=(thirds(from).map(|(place, _)| bar(place * 10, 1, 20)).collect::<String>()) {}
            path.mark d=(bars(&row.quarters)) {}
        }
        span.hint { (told) }
    }
}

/// A bar for each quarter that holds something, in one shape: a page has thousands of them.
fn bars(quarters: &[u32]) -> String {
    let held = quarters.iter().enumerate().filter(|(_, count)| **count > 0);
    held.map(|(place, count)| bar(place * 10 + 1, 8, count.saturating_mul(2).saturating_add(6).min(20))).collect()
}

fn bar(x: usize, width: u32, height: u32) -> String {
    format!("M{x} 20v-{height}h{width}v{height}z")
}

/// The minutes in which the most tasks start.
fn together(frame: &Frame<'_>, busiest: &[MinuteView]) -> Markup {
    let words = frame.language.words();
    html! {
        @if let Some(most) = busiest.first() {
            p { (words.at_most_together) " " strong { (most.tasks.count) } " " (words.tasks_in_a_minute) }
            table.cards {
                thead { tr {
                    th scope="col" { (words.minute) }
                    th scope="col" { (words.count) }
                    th scope="col" { (words.tasks) }
                } }
                tbody {
                    @for minute in busiest {
                        tr {
                            th scope="row" { (utc(minute.at_ms)) }
                            td data-label=(words.count) { div { (minute.tasks.count) } }
                            td data-label=(words.tasks) { div { (named(&minute.tasks, short)) } }
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
