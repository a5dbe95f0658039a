//! Secrets: what of a text may be shown.
//!
//! A password stands in URLs (`redis://user:password@host`, `?password=…`). Whatever is shown of a configuration goes
//! through [`masked`], so that no message has to know which values are secret.

use std::borrow::Cow;

/// What stands in place of a secret.
const MASK: &str = "***";

/// The longest text that is shown of a value.
const SHOWN_CHARS_MAX: usize = 80;

/// Words in the names of parameters and keys whose values are secret.
const SECRET_WORDS: [&str; 7] = ["password", "passwd", "pwd", "secret", "token", "apikey", "api_key"];

/// Whether the value under this key may never be shown.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// The text without what may be secret in it: who logs in to a URL with what, and parameters with a telling name.
pub(crate) fn masked(text: &str) -> String {
    let shown = without_secrets(text);
    let mut chars = shown.chars();
    let start: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() { start + "…" } else { start }
}

/// Whether something in the text is secret.
#[cfg(feature = "cli")]
pub(crate) fn has_secret(text: &str) -> bool {
    without_secrets(text) != text
}

fn without_secrets(text: &str) -> Cow<'_, str> {
    match text.split_once("://") {
        None => Cow::Borrowed(text),
        // Parameters first: what is left of them cannot hide a login, and the last `@` may be a password's own.
        Some((scheme, rest)) => Cow::Owned(format!("{scheme}://{}", without_password(&masked_query(rest)))),
    }
}

fn without_password(rest: &str) -> String {
    let Some((login, host)) = rest.rsplit_once('@') else { return rest.to_owned() };
    match login.split_once(':') {
        None => format!("{login}@{host}"),
        Some((user, _)) => format!("{user}:{MASK}@{host}"),
    }
}

fn masked_query(rest: &str) -> String {
    let Some((before, query)) = rest.split_once('?') else { return rest.to_owned() };
    let parts: Vec<Cow<'_, str>> = (query.split('&'))
        .map(|part| match part.split_once('=') {
            Some((name, _)) if is_secret(name) => Cow::Owned(format!("{name}={MASK}")),
            _ => Cow::Borrowed(part),
        })
        .collect();
    format!("{before}?{}", parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown) in [
            ("redis://localhost:6379/0", "redis://localhost:6379/0"),
            ("redis://:hunter2@localhost/0", "redis://:***@localhost/0"),
            ("postgres://app:hunter2@db/app?sslmode=require", "postgres://app:***@db/app?sslmode=require"),
            ("postgres://app@db/app?password=hunter2&a=b", "postgres://app@db/app?password=***&a=b"),
            ("amqp://app:hunt@er2@mq", "amqp://app:***@mq"),
            ("amqp://app:hunt/er2@mq/vhost", "amqp://app:***@mq/vhost"),
            ("postgres://app:hunter2@db/a@b", "postgres://app:***@b"),
            ("postgres://db/app?password=hunt@er2&email=a@b", "postgres://db/app?password=***&email=a@b"),
            ("plain words", "plain words"),
        ] {
            assert_eq!(masked(text), shown);
            assert!(!masked(text).contains("er2"));
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(masked(&"é".repeat(200)).chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
