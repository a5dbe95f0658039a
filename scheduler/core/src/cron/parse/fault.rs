//! The answers to a wrong expression, in words: the only part of the parser that allocates.

use std::ops::Range;

use super::super::error::{CronError, CronField, quoted};
use super::super::fields::Bounds;
use super::Reader;
use crate::cron::EXPRESSION_BYTES_MAX;
use crate::suggest::nearest;

/// What is wrong with a part of a field.
pub(super) enum Fault {
    EmptyItem,
    EndMissing,
    OutOfRange,
    /// The nearest name, or the name that a longer word begins with.
    UnknownName(Option<&'static str>),
    Unreadable,
    StepNotANumber,
    StepOutOfRange,
    YearsReversed {
        first: u32,
        last: u32,
    },
    MisplacedPlus,
    BareLast,
    BareNear,
    WrongField(&'static str),
    SpecialInSpan,
    DaysBackUnreadable,
    DaysBackOutOfRange,
    NthOutOfRange,
    Negative,
}

impl Reader<'_> {
    /// The error for `range` of the text.
    pub(super) fn fault(&self, range: Range<usize>, fault: Fault) -> CronError {
        let value = short(&self.text[range.clone()]);
        let Bounds { field, min, max, .. } = self.bounds;
        let allowed = self.allowed();
        let problem = match fault {
            Fault::EmptyItem if self.range.is_empty() => format!("nothing follows the +; allowed {allowed}"),
            Fault::EmptyItem => "a value is missing beside a comma; write a list as 1,2,3 without spaces".to_owned(),
            Fault::EndMissing if !value.contains('-') => format!("a value is missing in {value}; allowed {allowed}"),
            Fault::EndMissing => format!(
                "{value} is not a whole range; write both ends, as in {}",
                match field {
                    CronField::DayOfWeek => "MON-FRI".to_owned(),
                    _ => format!("{min}-{max}"),
                }
            ),
            Fault::OutOfRange => format!("{value} is out of range; allowed {allowed}"),
            Fault::UnknownName(Some(name)) => format!("unknown name {value}; did you mean {name}?"),
            Fault::UnknownName(None) => format!("unknown name {value}; allowed {allowed}"),
            Fault::Unreadable => format!("{value} is not a value; allowed {allowed}, with * , - and /"),
            Fault::StepNotANumber => {
                format!("the step after / must be a number; allowed 1-{}, as in */5", self.bounds.count())
            }
            Fault::StepOutOfRange => self.step_out_of_range(&value),
            Fault::YearsReversed { first, last } => {
                format!("{value} runs backwards, and years do not wrap around; write {last}-{first}")
            }
            Fault::MisplacedPlus => {
                "a + stands once, before the day-of-week field (+5), where it asks for both day fields".to_owned()
            }
            Fault::BareLast => {
                "a bare L does not say which day; write 5L for the last Friday, or SAT for Saturday".to_owned()
            }
            Fault::BareNear => {
                "a bare W does not say which day; write 15W for the weekday nearest the 15th, or LW for the last"
                    .to_owned()
            }
            Fault::WrongField(place) => format!("{value} is not allowed here; {place}"),
            Fault::SpecialInSpan => {
                format!(
                    "{value} mixes L, W or # with a range or a step; write the days one by one, as in {}",
                    match field {
                        CronField::DayOfMonth => "L,15W",
                        _ => "5L,1#2",
                    }
                )
            }
            Fault::DaysBackUnreadable => {
                format!(
                    "{value} cannot be read; write L-3 for three days before the last day, and L in no range or step"
                )
            }
            Fault::DaysBackOutOfRange => format!("{value} days before the last is out of range; allowed L-0 to L-30"),
            Fault::NthOutOfRange if value.is_empty() => {
                "a number is missing after #; allowed 1-5, as in 5#2 for the second Friday".to_owned()
            }
            Fault::NthOutOfRange => {
                format!("{value} after # is out of range; allowed 1-5, as in 5#2 for the second Friday")
            }
            Fault::Negative => format!("{value} is negative; allowed {allowed}"),
        };
        CronError::new(self.text, range, Some(field), problem)
    }

    /// What a text that is neither number nor name was probably meant to be.
    pub(super) fn unreadable(&self, text: &str, item: &Range<usize>) -> Fault {
        let whole = &self.text[item.clone()];
        let field = self.bounds.field;
        if text.contains('+') {
            return Fault::MisplacedPlus;
        }
        if let Some(name) = self.name_meant(text) {
            return Fault::UnknownName(Some(name));
        }
        let ends_with = |letter: char| {
            whole.split(['-', '/']).any(|part| {
                let digits = part.trim_end_matches([letter, letter.to_ascii_lowercase()]);
                digits.len() < part.len() && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        match field {
            CronField::DayOfMonth if whole.eq_ignore_ascii_case("W") => Fault::BareNear,
            CronField::DayOfMonth if ends_with('W') => Fault::SpecialInSpan,
            CronField::DayOfMonth if whole.contains('#') => {
                Fault::WrongField("# counts days of the week: write 5#2 in that field for the second Friday")
            }
            CronField::DayOfMonth if ends_with('L') && whole.len() > 1 && !whole.starts_with(['L', 'l']) => {
                Fault::WrongField("write L for the last day, or 5L in day of week for the last Friday")
            }
            CronField::DayOfMonth if ends_with('L') => Fault::SpecialInSpan,
            CronField::DayOfWeek if ends_with('L') => Fault::SpecialInSpan,
            CronField::DayOfWeek if ends_with('W') => {
                Fault::WrongField("W finds the nearest weekday of a day of month: write 15W in that field")
            }
            CronField::DayOfMonth | CronField::DayOfWeek => self.unknown(text),
            _ if ends_with('L') || ends_with('W') || whole.contains('#') => {
                Fault::WrongField("L, W and # stand in the day fields only")
            }
            _ => self.unknown(text),
        }
    }

    fn unknown(&self, text: &str) -> Fault {
        let is_word = text.chars().all(char::is_alphabetic);
        if is_word && !self.bounds.names.is_empty() { Fault::UnknownName(None) } else { Fault::Unreadable }
    }

    /// `MON` for `MONDAY` and for `MONN`.
    fn name_meant(&self, text: &str) -> Option<&'static str> {
        let names = self.bounds.names;
        let begins = names.iter().find(|name| {
            text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && text.chars().all(char::is_alphabetic)
        });
        begins.copied().or_else(|| nearest(text, names.iter().copied()))
    }

    fn step_out_of_range(&self, value: &str) -> String {
        let (count, field) = (self.bounds.count(), self.bounds.field);
        let hint = match field {
            _ if value.bytes().all(|byte| byte == b'0') => "a step of 0 never advances".to_owned(),
            CronField::Second | CronField::Minute => {
                format!("a step counts within one field; for every {value} {field}s use an interval task")
            }
            _ => "a step counts within one field and begins anew with it".to_owned(),
        };
        format!("step {value} is out of range; allowed 1-{count} ({hint})")
    }

    fn allowed(&self) -> String {
        let Bounds { field, min, max, names, .. } = self.bounds;
        match (field, names) {
            (CronField::DayOfWeek, _) => format!("{min}-{max} (0 and 7 are Sunday) or SUN-SAT"),
            (_, [first, .., last]) => format!("{min}-{max} or {first}-{last}"),
            _ => format!("{min}-{max}"),
        }
    }
}

pub(super) fn too_long(text: &str) -> CronError {
    let start = &text[..text.floor_char_boundary(EXPRESSION_BYTES_MAX)];
    let problem = format!("cron expression has {} bytes; allowed are {EXPRESSION_BYTES_MAX}", text.len());
    CronError::new(start, 0..start.len(), None, problem)
}

pub(super) fn field_count(text: &str, count: usize) -> CronError {
    const FORMS: &str = "write 5 (minute hour day-of-month month day-of-week), 6 (second first) or 7 (year last)";
    let problem = match count {
        0 => format!("cron expression is empty; {FORMS}"),
        1 => format!("cron expression has 1 field; {FORMS}"),
        _ => format!("cron expression has {count} fields; {FORMS}"),
    };
    CronError::new(text, 0..text.len(), None, problem)
}

pub(super) fn unknown_short_form(text: &str, range: Range<usize>) -> CronError {
    const FORMS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    let word = &text[range.clone()];
    let fix = if word.starts_with("@every") {
        "write an interval task for a fixed period".to_owned()
    } else if word.eq_ignore_ascii_case("@reboot") {
        "write run_on_start for a run when a node starts".to_owned()
    } else if let Some(form) = nearest(word, FORMS) {
        format!("did you mean {form}?")
    } else {
        format!("allowed are {}", FORMS.join(", "))
    };
    CronError::new(text, range, None, format!("unknown short form {}; {fix}", short(word)))
}

/// A value as it stands if it is plain, else in quotes; never long.
fn short(text: &str) -> String {
    let plain = text.len() <= 24 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { text.to_owned() } else { quoted(text) }
}
