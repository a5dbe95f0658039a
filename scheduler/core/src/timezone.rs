//! Time zones by their IANA names, and what to say when a name is none.
//!
//! The names and rules are those compiled into `chrono-tz`: nothing is read from the machine, so that one program has
//! one meaning everywhere. Its tables hold the changes of offset up to the end of 2099; in 2100 the last one stays.

use std::fmt;

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::suggest::nearest_within;

/// The version of the tz database that is compiled in, such as `"2025b"`.
///
/// ```
/// use symphra_scheduler_core::TZDB_VERSION;
///
/// assert!(TZDB_VERSION.starts_with("20"), "a year and a letter: {TZDB_VERSION}");
/// ```
pub const TZDB_VERSION: &str = chrono_tz::IANA_TZDB_VERSION;

/// Reads an exact IANA name such as `Asia/Shanghai` or `UTC`.
///
/// # Errors
/// A name that is not in the database of this build ([`TZDB_VERSION`]); the error names the nearest one, also for a
/// difference in letter case, a space in place of `_`, or a missing region.
///
/// ```
/// use symphra_scheduler_core::parse_timezone;
///
/// assert_eq!(parse_timezone("Europe/Paris")?, chrono_tz::Europe::Paris);
/// let error = parse_timezone("Asia/Shanghia").unwrap_err();
/// assert!(error.to_string().contains("did you mean \"Asia/Shanghai\"?"));
/// # Ok::<(), symphra_scheduler_core::TimezoneError>(())
/// ```
pub fn parse_timezone(name: &str) -> Result<Tz, TimezoneError> {
    name.parse().map_err(|_| TimezoneError { name: shortened(name), suggestion: nearest_zone(name) })
}

/// A name that is no time zone of the database.
///
/// ```
/// use symphra_scheduler_core::parse_timezone;
///
/// let error = parse_timezone("Asia/Shanghia").unwrap_err();
/// assert_eq!(error.name(), "Asia/Shanghia");
/// assert_eq!(error.suggestion(), Some("Asia/Shanghai"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimezoneError {
    name: String,
    suggestion: Option<&'static str>,
}

impl TimezoneError {
    /// The name that was not found, cut to 64 characters.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nearest name of the database, if one is near.
    #[must_use]
    pub fn suggestion(&self) -> Option<&'static str> {
        self.suggestion
    }
}

impl fmt::Display for TimezoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.trim().is_empty() {
            return write!(f, "time zone name is empty; write an IANA name such as \"Europe/Paris\" or \"UTC\"");
        }
        write!(f, "unknown time zone {:?}", self.name)?;
        match self.suggestion {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => write!(f, "; write an IANA name such as \"Europe/Paris\" or \"UTC\" (tz database {TZDB_VERSION})"),
        }
    }
}

impl std::error::Error for TimezoneError {}

/// Keeps a hostile name from filling a log.
fn shortened(name: &str) -> String {
    const NAME_CHARS_MAX: usize = 64;
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// The zone whose name, or whose city alone, is nearest; one typing error for every four letters, none in an
/// abbreviation, since `BST` is no misspelt `EST`.
fn nearest_zone(name: &str) -> Option<&'static str> {
    let word = name.trim().replace(' ', "_");
    let errors_max = word.chars().count() / 4;
    let whole = nearest_within(&word, TZ_VARIANTS.iter().map(|zone| zone.name()), errors_max);
    let cities = TZ_VARIANTS.iter().filter_map(|zone| zone.name().rsplit_once('/').map(|(_, city)| city));
    let city = nearest_within(&word, cities, errors_max);
    match (whole, city) {
        (Some((name, by_name)), Some((_, by_city))) if by_name <= by_city => Some(name),
        (Some((name, _)), None) => Some(name),
        (_, Some((city, _))) => TZ_VARIANTS
            .iter()
            .map(|zone| zone.name())
            .find(|name| name.rsplit_once('/').is_some_and(|(_, last)| last == city)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion(name: &str) -> Option<&'static str> {
        parse_timezone(name).expect_err("the name is unknown").suggestion()
    }

    #[test]
    fn every_name_of_the_database_is_read() {
        for zone in TZ_VARIANTS {
            assert_eq!(parse_timezone(zone.name()), Ok(zone));
        }
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        assert_eq!(suggestion("Asia/Shanghia"), Some("Asia/Shanghai"));
        assert_eq!(suggestion("europe/paris"), Some("Europe/Paris"));
        assert_eq!(suggestion("America/New York"), Some("America/New_York"));
        assert_eq!(suggestion("Shanghai"), Some("Asia/Shanghai"));
        assert_eq!(suggestion("utc"), Some("UTC"));
    }

    #[test]
    fn nonsense_gets_no_silly_suggestion() {
        for name in ["", " ", "BST", "x", "Mars/Olympus_Mons", "\0", "時區", &"Asia/".repeat(50_000)] {
            assert_eq!(suggestion(name), None, "{name:.20}");
        }
    }
}
