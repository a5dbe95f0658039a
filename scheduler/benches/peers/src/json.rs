//! One flat JSON object per line, written by hand: the values are numbers and plain ASCII words.

use std::fmt::{Display, Write as _};

/// A JSON object under construction.
#[derive(Debug, Default)]
pub struct Line(String);

impl Line {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.0.push('"');
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        self.0.push('"');
        self
    }

    /// Adds a number that is already rounded, or a whole one.
    pub fn number(mut self, key: &str, value: impl Display) -> Self {
        self.key(key);
        write!(self.0, "{value}").expect("writing to a String cannot fail");
        self
    }

    /// Adds a number with three decimals, or nothing where there is none.
    pub fn maybe(self, key: &str, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.number(key, format_args!("{value:.3}")),
            None => self,
        }
    }

    /// The finished object.
    pub fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }

    fn key(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        write!(self.0, "\"{key}\": ").expect("writing to a String cannot fail");
    }
}
