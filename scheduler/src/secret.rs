//! Secrets: what of a text may be shown.
//!
//! A password stands in URLs (`redis://user:password@host`, `?password=…`), and under keys that tell of it. Whatever is
//! shown of a configuration goes through [`masked`], and whatever is shown of a task's facts through [`shown`], so that no
//! message has to know which values are secret.

use std::borrow::Cow;

/// What stands in place of a secret.
pub(crate) const MASK: &str = "***";

/// Parts of the names of keys and parameters whose values are secret, whatever stands between their letters.
const SECRET_PARTS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
];

/// Whole words of such names; as parts they would hide `monkey`, `author` and `compass`.
const SECRET_WORDS: [&str; 5] = ["key", "keys", "auth", "pass", "cookie"];

/// Whether the value under this key may never be shown.
pub(crate) fn is_secret(key: &str) -> bool {
    let words = words(key);
    let joined = words.concat();
    SECRET_PARTS.iter().any(|part| joined.contains(part)) || words.iter().any(|word| SECRET_WORDS.contains(&&**word))
}

/// The words of a name, in lower case: `API_KEY`, `api-key` and `apiKey` have the same two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() || (before.is_lowercase() && c.is_uppercase()) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is one from the start").extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

/// The value of a key as it may be shown.
pub(crate) fn shown<'a>(key: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(key) { Cow::Borrowed(MASK) } else { without_secrets(value) }
}

/// The longest text that an error shows of a value.
const SHOWN_CHARS_MAX: usize = 80;

/// The text without what may be secret in it, and no longer than an error may be.
pub(crate) fn masked(text: &str) -> String {
    let shown = without_secrets(text);
    let mut chars = shown.chars();
    let start: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() { start + "…" } else { start }
}

/// A URL as it may be shown. In what only should be one, a password may stand anywhere.
pub(crate) fn masked_url(text: &str) -> String {
    if text.contains("://") { masked(text) } else { "…".to_owned() }
}

/// Whether something in the text is secret.
#[cfg(feature = "cli")]
pub(crate) fn has_secret(text: &str) -> bool {
    without_secrets(text) != text
}

/// The text without what may be secret in it: who logs in to a URL with what, and parameters with a telling name.
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
    fn a_key_that_tells_of_a_secret_has_none_shown() {
        for key in [
            "password",
            "DB_PASSWORD",
            "db-passwd",
            "pass phrase",
            "client_secret",
            "token",
            "X-Auth-Token",
            "apiKey",
            "api_key",
            "API-KEY",
            "awsAccessKeyId",
            "ssh.key",
            "sshKey",
            "key",
            "Keys",
            "db_pass",
            "auth",
            "Authorization",
            "credentials",
            "session cookie",
        ] {
            assert_eq!(shown(key, "hunter2"), "***", "{key}");
        }
        for key in ["", "owner", "author", "monkey", "keyboard", "compass", "runbook", "team", "负责人", "cookies"] {
            assert_eq!(shown(key, "billing"), "billing", "{key}");
        }
        assert_eq!(shown("dsn", "redis://:hunter2@localhost/0"), "redis://:***@localhost/0");
        let long = "x".repeat(200);
        assert_eq!(shown("runbook", &long), long, "it is whole");
    }

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
            ("https://maps/api?key=hunter2", "https://maps/api?key=***"),
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
