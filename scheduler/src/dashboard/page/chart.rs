//! Charts as SVG: shapes only, with classes for colour and sentences for who does not see them.

use maud::{Markup, html};

use super::Frame;
use crate::control::view::RunView;

/// How many bars a chart has room for: all that are asked for.
const PLACES: usize = super::task::HISTORY;

/// One run in a chart.
#[derive(Clone, Copy, Debug)]
struct Bar<'a> {
    run: &'a RunView,
    millis: i64,
}

/// How long each run took, and how late each began: the oldest first.
pub(super) fn history(frame: &Frame<'_>, runs: &[RunView]) -> Markup {
    let words = frame.language.words();
    let durations = bars(runs, |run| run.duration_ms);
    let lateness = bars(runs, |run| run.lateness_ms);
    html! {
        @if durations.is_empty() && lateness.is_empty() {
            p.empty { (words.no_history) }
        } @else {
            div.charts {
                (chart(frame, words.durations, &durations))
                (chart(frame, words.lateness, &lateness))
            }
        }
    }
}

/// The bars of `runs`, which come newest first.
fn bars(runs: &[RunView], of: impl Fn(&RunView) -> Option<u64>) -> Vec<Bar<'_>> {
    runs.iter().rev().filter_map(|run| Some(Bar { run, millis: i64::try_from(of(run)?).ok()? })).collect()
}

fn chart(frame: &Frame<'_>, title: &str, bars: &[Bar<'_>]) -> Markup {
    let words = frame.language.words();
    let mut sorted: Vec<i64> = bars.iter().map(|bar| bar.millis).collect();
    sorted.sort_unstable();
    let (longest, median) = (sorted.last().copied().unwrap_or(0), sorted.get(sorted.len() / 2).copied().unwrap_or(0));
    let language = frame.language;
    let bad = bars.iter().filter(|bar| is_bad(bar.run)).count();
    let caption = format!(
        "{}: {} {}, {} {}; {} / {} {}",
        title,
        words.median,
        language.length(median),
        words.longest,
        language.length(longest),
        bad,
        bars.len(),
        words.failed_runs,
    );
    html! {
        figure {
            // As wide as a full history, the newest at the right: a few bars are a few bars.
            svg.chart viewBox={ "0 0 " (PLACES * 10) " 70" } preserveAspectRatio="none" role="img"
                aria-label=(caption) {
                @for (place, bar) in bars.iter().enumerate() {
                    // Whole units of 60; even a run that took no time is seen.
                    @let height = (bar.millis.saturating_mul(58) / longest.max(1)).max(0) + 2;
                    @let x = (PLACES.saturating_sub(bars.len()) + place) * 10;
                    @if is_bad(bar.run) {
                        // A cap above the bar, for who does not tell the colours apart.
                        rect.bad.cap x=(x) y=(64 - height) width="8" height="3" {}
                    }
                    rect class=(if is_bad(bar.run) { "bad" } else { "good" }) x=(x) y=(70 - height) width="8"
                        height=(height) {
                        title {
                            (bar.run.scheduled_at.local) ": " (language.length(bar.millis)) ", "
                            (language.value(&bar.run.state))
                        }
                    }
                }
            }
            figcaption.hint { (caption) }
        }
    }
}

fn is_bad(run: &RunView) -> bool {
    matches!(run.state.as_str(), "failed" | "timed_out" | "abandoned")
}
