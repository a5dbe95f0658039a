//! The name of a time zone's constant: `Asia/Shanghai` is `Tz::Asia__Shanghai`.

use chrono_tz::Tz;
use proc_macro2::{Ident, Span};

/// The variant of `chrono_tz::Tz` that `zone` is.
///
/// `chrono-tz` writes `/` as two underscores and `+` as `Plus`. A `-` is `Minus` before a digit and left out
/// elsewhere.
pub(super) fn variant(zone: Tz) -> Ident {
    let mut variant = String::new();
    let mut chars = zone.name().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' => variant.push_str("__"),
            '+' => variant.push_str("Plus"),
            '-' if chars.peek().is_some_and(char::is_ascii_digit) => variant.push_str("Minus"),
            '-' => {}
            c => variant.push(c),
        }
    }
    Ident::new(&variant, Span::call_site())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_zone_has_a_variant_of_its_own() {
        let variants: HashSet<String> = chrono_tz::TZ_VARIANTS.iter().map(|zone| variant(*zone).to_string()).collect();
        assert_eq!(variants.len(), chrono_tz::TZ_VARIANTS.len());
    }

    #[test]
    fn signs_and_slashes_are_spelled_as_chrono_tz_spells_them() {
        let spelled = |zone| variant(zone).to_string();
        assert_eq!(spelled(Tz::Asia__Shanghai), "Asia__Shanghai");
        assert_eq!(spelled(Tz::Etc__GMTPlus8), "Etc__GMTPlus8");
        assert_eq!(spelled(Tz::Etc__GMTMinus8), "Etc__GMTMinus8");
        assert_eq!(spelled(Tz::America__PortauPrince), "America__PortauPrince");
        assert_eq!(spelled(Tz::America__Argentina__ComodRivadavia), "America__Argentina__ComodRivadavia");
    }
}
