//! What sets apart the programs that share a store.

use std::fmt;

/// The longest namespace: with it, names of tables stay within what PostgreSQL allows.
const CHARACTERS_MAX: usize = 32;

/// The name before the tables of a program: 1 to 32 of the characters `a-z`, `0-9` and `_`, the first a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace(String);

/// A text that is no namespace.
#[derive(Debug)]
pub(crate) struct NamespaceError(String);

impl Namespace {
    pub(crate) fn new(text: &str) -> Result<Self, NamespaceError> {
        let is_plain =
            |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        if begins && text.len() <= CHARACTERS_MAX && text.chars().all(is_plain) {
            Ok(Self(text.into()))
        } else {
            Err(NamespaceError(text.into()))
        }
    }

    /// That of a program which names none: its file's name, in small letters, with `_` for what is not allowed.
    pub(crate) fn of_program(file: Option<&str>) -> Self {
        let small = file.unwrap_or_default().to_ascii_lowercase();
        let begin = small.find(|first: char| first.is_ascii_lowercase()).unwrap_or(small.len());
        let plain = small[begin..].chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' });
        let plain: String = plain.take(CHARACTERS_MAX).collect();
        Self(if plain.is_empty() { "symphra".into() } else { plain })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "namespace {:?} is not possible; allowed are 1 to {CHARACTERS_MAX} of a-z, 0-9 and _, the first a letter",
            self.0
        )
    }
}

impl std::error::Error for NamespaceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_short_and_plain() {
        for good in ["a", "payroll_2", &"x".repeat(32)] {
            assert_eq!(Namespace::new(good).expect("it is plain").as_str(), good);
        }
        for bad in ["", "2", "_a", "Payroll", "pay-roll", "a b", "a\"b", "é", &"x".repeat(33)] {
            let says = Namespace::new(bad).expect_err("it is not").to_string();
            assert!(says.contains(&format!("{bad:?}")) && says.contains("allowed"), "{says}");
        }
    }

    #[test]
    fn a_program_that_names_none_has_its_files_name() {
        let of = |file| Namespace::of_program(file).as_str().to_owned();
        assert_eq!(of(Some("pay-roll")), "pay_roll");
        assert_eq!(of(Some("7Zip")), "zip");
        assert_eq!(of(Some("支付")), "symphra");
        assert_eq!(of(None), "symphra");
        for file in ["pay-roll", "7Zip", &"Ünique".repeat(20)] {
            assert!(Namespace::new(&of(Some(file))).is_ok(), "{file}");
        }
    }
}
