//! What stands around every page: head, sections, what was just done.

use maud::{DOCTYPE, Markup, html};

use super::parts::{long, short};
use super::words::Words;
use super::{Frame, Language, Rights, Session};

/// A section of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Tasks,
    Timeline,
    Runs,
    Nodes,
    Dead,
    Actions,
}

impl Section {
    const ALL: [Self; 6] = [Self::Tasks, Self::Timeline, Self::Runs, Self::Nodes, Self::Dead, Self::Actions];

    const fn path(self) -> &'static str {
        match self {
            Self::Tasks => "/tasks",
            Self::Timeline => "/timeline",
            Self::Runs => "/runs",
            Self::Nodes => "/nodes",
            Self::Dead => "/dead",
            Self::Actions => "/actions",
        }
    }

    const fn title(self, words: &Words) -> &'static str {
        match self {
            Self::Tasks => words.tasks,
            Self::Timeline => words.timeline,
            Self::Runs => words.runs,
            Self::Nodes => words.nodes,
            Self::Dead => words.dead,
            Self::Actions => words.actions,
        }
    }
}

/// A page of a section.
pub(super) fn page(frame: &Frame<'_>, section: Section, title: &str, content: Markup) -> Markup {
    let words = frame.language.words();
    let sections = html! {
        nav aria-label=(words.sections) {
            @for each in Section::ALL {
                a href={ (frame.base) (each.path()) } aria-current=[(each == section).then_some("page")] {
                    (each.title(words))
                }
            }
        }
    };
    document(frame, title, sections, content)
}

fn document(frame: &Frame<'_>, title: &str, sections: Markup, content: Markup) -> Markup {
    let words = frame.language.words();
    let base = frame.base;
    let other = match frame.language {
        Language::English => (Language::Chinese, "中文"),
        Language::Chinese => (Language::English, "English"),
    };
    html! {
        (DOCTYPE)
        html lang=(frame.language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (short_text(title)) " · " (words.product) }
                link rel="icon" href={ (base) "/assets/icon.svg" };
                link rel="stylesheet" href={ (base) "/assets/style.css" };
                script src={ (base) "/assets/script.js" } defer {}
            }
            body data-events={ (base) "/events" } {
                a.skip href="#main" { (words.skip) }
                header {
                    a.brand href={ (base) "/tasks" } {
                        img src={ (base) "/assets/icon.svg" } alt="" width="22" height="22";
                        span { (words.product) }
                    }
                    (sections)
                    div.tools {
                        @if frame.rights == Rights::Read { span.hint { (words.read_only) } }
                        span #connection role="status" data-live-word=(words.live) data-lost-word=(words.not_live) {}
                        a href={ (base) "/language?to=" (other.0.tag()) } lang=(other.0.tag()) hreflang=(other.0.tag()) {
                            (other.1)
                        }
                        @if frame.session == Session::SignedIn {
                            form method="post" action={ (base) "/logout" } { button.link { (words.sign_out) } }
                        }
                    }
                }
                main #main tabindex="-1" {
                    @if let Some(done) = frame.done.and_then(|word| frame.language.done(word)) {
                        p.notice.good role="status" { span aria-hidden="true" { "✓ " } (done) }
                    }
                    (content)
                }
            }
        }
    }
}

/// The title of a window holds no elements.
fn short_text(text: &str) -> &str {
    super::text::cut(text, super::text::SHORT_BYTES_MAX).0
}

/// Whether a token was refused just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dashboard) enum SignIn {
    First,
    Refused,
}

/// The form that asks for the token.
pub(in crate::dashboard) fn sign_in(frame: &Frame<'_>, how: SignIn) -> Markup {
    let words = frame.language.words();
    let refused = how == SignIn::Refused;
    let content = html! {
        h1 { (words.sign_in) }
        form.card.narrow method="post" action={ (frame.base) "/login" } {
            p.hint { (words.token_hint) }
            @if refused { p.notice.bad role="alert" #wrong { span aria-hidden="true" { "✕ " } (words.token_wrong) } }
            label { (words.token)
                input type="password" name="token" required autocomplete="current-password" autofocus
                    aria-invalid=[refused.then_some("true")] aria-describedby=[refused.then_some("wrong")];
            }
            button.primary { (words.sign_in) }
        }
    };
    document(frame, words.sign_in, html! {}, content)
}

/// What is shown instead of a page, with the error's kind and its sentences.
pub(in crate::dashboard) fn problem(frame: &Frame<'_>, kind: &str, message: &str) -> Markup {
    let words = frame.language.words();
    let content = html! {
        h1 { (words.problem) }
        div.notice.bad role="alert" { p { span aria-hidden="true" { "✕ " } (short(kind)) } (long(frame, message)) }
        p { a href={ (frame.base) "/tasks" } { (words.problem_hint) } }
    };
    page(frame, Section::Tasks, words.problem, content)
}
