//! The page of dead letters.

use maud::{Markup, html};

use super::Frame;
use super::parts::{action, badge, confirmed, instant, long, short, task_link};
use super::shell::{Section, page};
use crate::control::view::LetterView;

/// The dead letters, of one task or of all.
pub(in crate::dashboard) fn letters(frame: &Frame<'_>, letters: &[LetterView], task: &str) -> Markup {
    let words = frame.language.words();
    let content = html! {
        h1 { (words.dead) }
        p.hint { (words.dead_hint) }
        form.filter role="search" method="get" action={ (frame.base) "/dead" } {
            label.wide { (words.task) input name="task" value=(task) autocomplete="off"; }
            button { (words.filter) }
            a.button href={ (frame.base) "/dead" } { (words.clear) }
        }
        section #letters data-live aria-label=(words.dead) {
            @if letters.is_empty() { p.empty { (words.no_dead) } }
            @for letter in letters { (one(frame, letter)) }
        }
    };
    page(frame, Section::Dead, words.dead, content)
}

fn one(frame: &Frame<'_>, letter: &LetterView) -> Markup {
    let words = frame.language.words();
    let arguments = serde_json::to_string_pretty(&letter.arguments).unwrap_or_else(|error| error.to_string());
    html! {
        article.card {
            h2 { (task_link(frame, &letter.task)) " " (badge(frame, &letter.state)) }
            dl.facts {
                div { dt { "Id" } dd { code { (short(&letter.id)) } } }
                div { dt { (words.died) } dd { (instant(frame, &letter.died_at)) } }
                div { dt { (words.scheduled) } dd { (instant(frame, &letter.scheduled_at)) } }
                div { dt { (words.attempt) } dd { (letter.attempt) } }
            }
            @if let Some(failure) = &letter.failure { h3 { (words.error) } (long(frame, failure)) }
            h3 { (words.arguments) " " span.hint { "v" (letter.version) } }
            (long(frame, &arguments))
            div.actions {
                (action(frame, "run-again", &[("letter", &letter.id)], html! { button.primary { (words.run_again) } }))
                (confirmed(frame, words.drop, words.drop_hint, action(frame, "drop-letter", &[("letter", &letter.id)], html! {
                    button.danger { (words.sure_drop) }
                })))
            }
        }
    }
}
