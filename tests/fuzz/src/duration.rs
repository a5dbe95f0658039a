//! Durations and schedules as people write them.

use std::time::Duration;

use symphra_scheduler::{Language, Schedule, format_duration, parse_duration};

use super::{number, text};

/// What is read is written and read back as the same; and so is any duration, of which the text makes one.
pub fn duration(input: &[u8]) {
    let text = text(input);
    let of_number = Duration::from_millis(number(&text));
    let read = match parse_duration(&text) {
        Ok(read) => Some(read),
        Err(error) => {
            assert!((1..1_000).contains(&error.to_string().len()), "{error}");
            None
        }
    };
    for duration in read.into_iter().chain([of_number]) {
        let written = format_duration(duration);
        assert_eq!(parse_duration(&written), Ok(duration), "{duration:?} is written {written:?}");
    }
    match text.parse::<Schedule>() {
        Ok(schedule) => {
            let said = [Language::English, Language::Chinese].map(|language| schedule.describe_in(language));
            assert!(said.iter().all(|said| !said.is_empty()), "{text:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
