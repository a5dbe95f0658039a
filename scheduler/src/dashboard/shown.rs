//! What programs wrote, before it is shown: redacted as the program wants it, and cut.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::source::Failed;

/// The longest error, note or log that leaves: what is longer nobody reads on a page.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The fields of answers that hold what a program, or a person, wrote freely.
const FREE: [&str; 8] = ["change", "error", "failure", "note", "outcome", "reason", "sentence", "text"];

/// The fields whose values are a program's own, whatever they are.
const OWN: [&str; 2] = ["arguments", "metadata"];

/// A text without what the program wants left out.
type Left = dyn Fn(&str) -> String + Send + Sync;

/// What is left out of a text.
#[derive(Clone, Default)]
pub(super) struct Redact(Option<Arc<Left>>);

impl Redact {
    pub(super) fn with(redact: Arc<Left>) -> Self {
        Self(Some(redact))
    }

    /// The answer as it may be shown.
    pub(super) fn answer(&self, mut value: Value) -> Value {
        self.within(&mut value);
        value
    }

    /// The failure as it may be shown: it may tell an error of the store.
    pub(super) fn failed(&self, failed: Failed) -> Failed {
        Failed { message: self.text(&failed.message), ..failed }
    }

    fn within(&self, value: &mut Value) {
        match value {
            Value::Array(all) => all.iter_mut().for_each(|one| self.within(one)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if FREE.contains(&&**name) => *text = self.text(text),
                        // A person's own names for keys are no fields of ours.
                        own if OWN.contains(&&**name) => self.within_own(own),
                        other => self.within(other),
                    }
                }
            }
            _ => {}
        }
    }

    /// Sees every text and every number of a value that is a program's own: a number may be that of a card.
    fn within_own(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Number(number) => {
                let text = number.to_string();
                let shown = self.text(&text);
                if shown != text {
                    *value = Value::String(shown);
                }
            }
            Value::Array(all) => all.iter_mut().for_each(|one| self.within_own(one)),
            Value::Object(fields) => fields.values_mut().for_each(|one| self.within_own(one)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let text = self.0.as_ref().map_or_else(|| text.to_owned(), |redact| redact(text));
        cut(text)
    }
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Redact(..)" } else { "Redact" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn free_texts_are_redacted_wherever_they_stand_and_names_are_not() {
        let redact = Redact::with(Arc::new(|text| text.replace("secret", "…").replace("4111", "…")));
        let shown = redact.answer(json!({
            "name": "secret",
            "failure": "secret",
            "records": [{ "note": "secret" }],
            "log": { "text": "secret" },
            "arguments": { "name": "a secret", "cards": [4_111, 7, null, true] },
            "metadata": [["owner", "secret"]],
        }));
        let expected = json!({
            "name": "secret",
            "failure": "…",
            "records": [{ "note": "…" }],
            "log": { "text": "…" },
            "arguments": { "name": "a …", "cards": ["…", 7, null, true] },
            "metadata": [["owner", "…"]],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_text_is_cut_between_characters_after_it_was_redacted() {
        let shown = Redact::default().failed(Failed::new("failed", "é".repeat(TEXT_BYTES_MAX))).message;
        assert!(shown.len() <= TEXT_BYTES_MAX && shown.len() > TEXT_BYTES_MAX - 4 && shown.ends_with('…'));
        let whole = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(whole.clone()), whole);
        // What stands across the cut is still found.
        let redact = Redact::with(Arc::new(|text| text.replace("secret", "")));
        let shown = redact.failed(Failed::new("failed", format!("{}secret", "x".repeat(TEXT_BYTES_MAX - 3))));
        assert!(!shown.message.contains('s'));
    }
}
