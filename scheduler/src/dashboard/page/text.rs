//! Texts that others wrote, made fit to be shown: cut, encoded for an address, instants read back.

use chrono::DateTime;

use crate::control::view::At;

/// The most that is shown of an error or a log, in bytes: past it nobody reads on a page, and a run could fill it.
pub(super) const LONG_BYTES_MAX: usize = 8 * 1024;

/// The most that is shown of a text in a cell or a heading, in bytes.
pub(super) const SHORT_BYTES_MAX: usize = 200;

/// The beginning of `text` that is at most `bytes_max` long, and whether that is all of it.
pub(super) fn cut(text: &str, bytes_max: usize) -> (&str, bool) {
    let end = text.floor_char_boundary(bytes_max);
    (&text[..end], end == text.len())
}

/// `text` for the query of an address.
pub(in crate::dashboard) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// The instant of a view, in milliseconds since 1970; nothing for what is no instant.
pub(super) fn millis(at: &At) -> Option<i64> {
    DateTime::parse_from_rfc3339(&at.utc).ok().map(|at| at.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("任务", 4), ("任", false));
        assert_eq!(cut("task", 4), ("task", true));
    }

    #[test]
    fn nothing_in_an_address_has_a_meaning_of_its_own() {
        assert_eq!(encoded("a/b?c=d&e #\"<任"), "a%2Fb%3Fc%3Dd%26e%20%23%22%3C%E4%BB%BB");
    }
}
