//! The page of what was changed, by whom and with what outcome.

use maud::{Markup, html};

use super::Frame;
use super::parts::{instant, short};
use super::shell::{Section, page};
use crate::control::view::ActionView;

/// How many changes are shown: what a person looks through.
pub(in crate::dashboard) const ACTIONS_SHOWN: usize = 200;

/// The changes, in the order in which they come.
pub(in crate::dashboard) fn actions(frame: &Frame<'_>, actions: &[ActionView]) -> Markup {
    let words = frame.language.words();
    let content = html! {
        h1 { (words.actions) }
        p.hint { (words.actions_hint) }
        section #results data-live aria-label=(words.actions) {
            @if actions.is_empty() {
                p.empty { (words.no_actions) }
            } @else {
                table.cards {
                    thead { tr {
                        th scope="col" { (words.when) }
                        th scope="col" { (words.actor) }
                        th scope="col" { (words.change) }
                        th scope="col" { (words.outcome) }
                    } }
                    tbody {
                        @for action in actions {
                            tr {
                                th scope="row" { (instant(frame, &action.at)) }
                                td data-label=(words.actor) { div { (short(&action.actor)) } }
                                td data-label=(words.change) { div { (short(&action.change)) } }
                                td data-label=(words.outcome) { div { (short(&action.outcome)) } }
                            }
                        }
                    }
                }
            }
        }
    };
    page(frame, Section::Actions, words.actions, content)
}
