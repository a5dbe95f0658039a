//! The small parts that pages are put together from.

use maud::{Markup, html};

use super::text::{LONG_BYTES_MAX, SHORT_BYTES_MAX, cut, encoded, millis};
use super::{Frame, Rights};
use crate::control::view::{At, PauseView};

/// A short text that others wrote: cut, and apart from the direction of what surrounds it.
pub(super) fn short(text: &str) -> Markup {
    let (shown, whole) = cut(text, SHORT_BYTES_MAX);
    html! { bdi { (shown) } @if !whole { "…" } }
}

/// A long text that others wrote, with its lines.
pub(super) fn long(frame: &Frame<'_>, text: &str) -> Markup {
    let (shown, whole) = cut(text, LONG_BYTES_MAX);
    html! {
        // Reachable by keyboard, for it scrolls.
        pre dir="auto" tabindex="0" { (shown) }
        @if !whole { p.hint { (frame.language.words().cut) } }
    }
}

/// A state or a status, by a sign and a word: colour is only the third.
pub(super) fn badge(frame: &Frame<'_>, word: &str) -> Markup {
    let (class, sign) = match word {
        "succeeded" | "completed" | "alive" => ("good", "✓"),
        "failed" | "timed_out" | "abandoned" => ("bad", "✕"),
        "running" => ("busy", "▶"),
        "retrying" | "silent" => ("warn", "↻"),
        "paused" => ("warn", "Ⅱ"),
        "cancelled" | "left" => ("quiet", "⊘"),
        _ => ("quiet", "○"),
    };
    html! { span class={ "badge " (class) } { span aria-hidden="true" { (sign) } " " (short(frame.language.value(word))) } }
}

/// How far off an instant is, which is what a person looks for in a list, and below it the clock of its zone.
pub(super) fn when(frame: &Frame<'_>, at: &At) -> Markup {
    html! {
        @if let Some(millis) = millis(at) { span.whole { (frame.language.distance(millis - frame.now.as_millis())) } " " }
        time.hint.under.whole datetime=(at.utc) title=(at.utc) { (clock(at)) }
    }
}

/// The clock without the parts of a second, which its title has.
fn clock(at: &At) -> String {
    match at.local.split_once('.') {
        Some((before, rest)) => format!("{before}{}", rest.trim_start_matches(|digit: char| digit.is_ascii_digit())),
        None => at.local.clone(),
    }
}

/// An instant on the clock of its zone, and how far off it is.
pub(super) fn instant(frame: &Frame<'_>, at: &At) -> Markup {
    html! {
        time.whole datetime=(at.utc) title=(at.utc) { (clock(at)) }
        @if let Some(millis) = millis(at) {
            " " span.hint.whole { (frame.language.distance(millis - frame.now.as_millis())) }
        }
    }
}

pub(super) fn maybe_instant(frame: &Frame<'_>, at: Option<&At>) -> Markup {
    html! { @match at { Some(at) => (instant(frame, at)), None => span.hint { "–" } } }
}

/// A link to the page of a task.
pub(super) fn task_link(frame: &Frame<'_>, name: &str) -> Markup {
    html! { a href={ (frame.base) "/task?name=" (encoded(name)) } { (short(name)) } }
}

/// A form that changes something: one hidden value, and its button. Nothing for who may only read.
pub(super) fn action(frame: &Frame<'_>, to: &str, hidden: &[(&str, &str)], button: Markup) -> Markup {
    html! {
        @if frame.rights == Rights::Write {
            form method="post" action={ (frame.base) "/do/" (to) } {
                @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
                (button)
            }
        }
    }
}

/// An action behind a question: it opens first, works without a script, and is told to a screen reader as what it is.
pub(super) fn confirmed(frame: &Frame<'_>, ask: &str, hint: &str, form: Markup) -> Markup {
    html! {
        @if frame.rights == Rights::Write {
            details.confirm { summary.button { (ask) } div.card { p.hint { (hint) } (form) } }
        }
    }
}

/// Why a task is paused.
pub(super) fn pause(frame: &Frame<'_>, pause: &PauseView) -> Markup {
    let words = frame.language.words();
    html! {
        p.notice.warn {
            span aria-hidden="true" { "Ⅱ " }
            (words.paused_by) " " (short(&pause.by)) ", " (words.since) " " (instant(frame, &pause.since))
            @if let Some(reason) = &pause.reason { ". " (words.reason) ": " (short(reason)) }
        }
    }
}
