//! The name of a task, and the form in which it enters the names of Rust items and of linker symbols.
//!
//! The rules of a name are in the core, for programs that name their tasks at run time follow the same.

use proc_macro2::Span;

/// The name of a task, and where it stands: at the `name` option, else at the function.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// The name in letters, digits and underscores, different for different names.
///
/// ASCII letters and digits other than `Z`, and underscores, stand for themselves. `Z` becomes `ZZ`; any other character
/// becomes `Z`, its scalar value in lowercase hexadecimal, and `_`: `daily report` is `dailyZ20_report`. Reading from
/// the left, what follows a `Z` is either a second `Z` or digits up to `_`, so each text has one reading.
pub(crate) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'Z' => encoded.push_str("ZZ"),
            '_' => encoded.push('_'),
            c if c.is_ascii_alphanumeric() => encoded.push(c),
            c => encoded.push_str(&format!("Z{:x}_", u32::from(c))),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `encode` did, undone.
    fn decode(encoded: &str) -> String {
        let mut name = String::new();
        let mut rest = encoded.chars();
        while let Some(c) = rest.next() {
            if c != 'Z' {
                name.push(c);
                continue;
            }
            let code: String = rest.by_ref().take_while(|&c| c != '_' && c != 'Z').collect();
            if code.is_empty() {
                name.push('Z');
            } else {
                let scalar = u32::from_str_radix(&code, 16).expect("hexadecimal digits follow a Z");
                name.push(char::from_u32(scalar).expect("the digits are a scalar value"));
            }
        }
        name
    }

    #[test]
    fn different_names_have_different_encodings() {
        let names = [
            "health_check",
            "daily report",
            "daily_report",
            "dailyZ20_report",
            "Z",
            "ZZ",
            "Z20_",
            " ",
            "日报",
            "a.b",
            "a-b",
            "a/b",
            "Zé",
            "__",
            "_",
            "1",
            "Z1_",
        ];
        for name in names {
            let encoded = encode(name);
            assert_eq!(decode(&encoded), name, "{encoded}");
            assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{encoded}");
        }
    }

    #[test]
    fn an_identifier_stays_readable() {
        assert_eq!(encode("health_check2"), "health_check2");
    }
}
