//! The environment, taken once, and what of it may stand in a file: `${VAR}`.

use std::collections::BTreeMap;

/// The variables of a process. A value that is not UTF-8 is known to be there and cannot be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment(BTreeMap<String, Option<String>>);

impl Environment {
    /// The variables of this process, as they are now.
    pub(super) fn of_process() -> Self {
        let readable = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self(readable.map(|(name, value)| (name, value.into_string().ok())).collect())
    }

    /// What a variable says; an empty one says nothing, so that a wrapper may pass on what is not set.
    pub(super) fn get(&self, name: &str) -> Option<Result<&str, NotUtf8>> {
        match self.0.get(name)? {
            Some(value) if value.is_empty() => None,
            Some(value) => Some(Ok(value)),
            None => Some(Err(NotUtf8)),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// `text` with `${VAR}` and `${VAR:-default}` replaced; `$$` stands for one `$`. What is replaced is not looked into
    /// again.
    ///
    /// # Errors
    /// A sentence about the variable that is not set, or the brace that does not close.
    pub(super) fn replaced(&self, text: &str) -> Result<String, String> {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            whole.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                whole.push('$');
                rest = after;
            } else if let Some(inner) = rest.strip_prefix('{') {
                let end = inner.find('}').ok_or("`${` has no `}`; write ${VAR}, or $${ for the sign itself")?;
                whole.push_str(&self.variable(&inner[..end])?);
                rest = &inner[end + 1..];
            } else {
                whole.push('$');
            }
        }
        whole.push_str(rest);
        Ok(whole)
    }

    fn variable(&self, written: &str) -> Result<String, String> {
        let (name, default) = match written.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (written, None),
        };
        if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Err("the name of a variable in ${…} has letters, digits and underscores".into());
        }
        match (self.get(name), default) {
            (Some(Ok(value)), _) => Ok(value.to_owned()),
            (Some(Err(NotUtf8)), _) => Err(format!("the variable {name} is not UTF-8")),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => {
                Err(format!("the variable {name} is not set; set it, or write ${{{name}:-…}} with what holds then"))
            }
        }
    }
}

#[cfg(feature = "test-util")]
impl FromIterator<(String, Option<String>)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, Option<String>)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// A variable whose value is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUtf8;

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once() {
        let set = Environment::from([("HOST", "db"), ("LOOP", "${HOST}"), ("EMPTY", "")]);
        for (text, replaced) in [
            ("redis://${HOST}:6379", "redis://db:6379"),
            ("${LOOP}", "${HOST}"),
            ("${NONE:-fallback}", "fallback"),
            ("${EMPTY:-fallback}", "fallback"),
            ("${NONE:-}", ""),
            ("$${HOST} costs 5$ or $5", "${HOST} costs 5$ or $5"),
        ] {
            assert_eq!(set.replaced(text).as_deref(), Ok(replaced), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_said() {
        let set = Environment::default();
        for (text, part) in
            [("${NONE}", "NONE is not set"), ("${NONE", "no `}`"), ("${}", "letters"), ("${A B}", "letters")]
        {
            let said = set.replaced(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
