//! What sets apart the programs that share a store. A word that settings and stores share, so that neither has to know the
//! other.

/// The longest namespace: with it, names of tables stay within what PostgreSQL allows.
const BYTES_MAX: usize = 32;

/// The name before the tables of a program: 1 to 32 of the characters `a-z`, `0-9` and `_`, the first a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// What is allowed, in words.
    pub(crate) const ALLOWED: &'static str = "1 to 32 of a-z, 0-9 and _, the first a letter";

    /// The namespace that is called so; nothing if none may be.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        let is_one = begins && text.len() <= BYTES_MAX && text.chars().all(is_plain);
        is_one.then(|| Self(text.into()))
    }

    /// That of a program which names none: its file's name, in small letters, with `_` for what is not allowed.
    fn of_program(file: Option<&str>) -> Self {
        let small = file.unwrap_or_default().to_ascii_lowercase();
        let begin = small.find(|first: char| first.is_ascii_lowercase()).unwrap_or(small.len());
        let plain = small[begin..].chars().map(|c| if is_plain(c) { c } else { '_' });
        let plain: String = plain.take(BYTES_MAX).collect();
        Self(if plain.is_empty() { "symphra".into() } else { plain })
    }

    /// That of the program which runs.
    pub(crate) fn of_this_program() -> Self {
        let program = std::env::current_exe().ok();
        let file = program.as_deref().and_then(std::path::Path::file_stem);
        Self::of_program(file.and_then(std::ffi::OsStr::to_str))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_short_and_plain() {
        for good in ["a", "payroll_2", &"x".repeat(32)] {
            assert_eq!(Namespace::new(good), Some(Namespace(good.into())));
        }
        for bad in ["", "2", "_a", "Payroll", "pay-roll", "a b", "a\"b", "é", &"x".repeat(33)] {
            assert_eq!(Namespace::new(bad), None, "{bad:?}");
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
            assert!(Namespace::new(&of(Some(file))).is_some(), "{file}");
        }
    }
}
