//! From text to masks, in one pass over the bytes and without allocation unless something is wrong.
//!
//! The text is cut at ASCII characters only, so every position lies on a character boundary whatever else it holds.
//! What a wrong text is answered with is in `fault`.

mod fault;

use std::ops::Range;

use super::error::{CronError, CronField};
use super::fields::{ALL_DAYS, ALL_WEEKDAYS, Bounds, Years};
use super::{CronExpr, EITHER, EXPRESSION_BYTES_MAX, INTERVAL};
use fault::Fault;

pub(super) fn parse(text: &str) -> Result<CronExpr, CronError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(fault::too_long(text));
    }
    let begin = text.len() - text.trim_ascii_start().len();
    let trimmed = text.trim_ascii();
    if trimmed.starts_with('@') {
        return match short_form(trimmed) {
            Some(long) => parse(long),
            None => Err(fault::unknown_short_form(text, begin..begin + trimmed.len())),
        };
    }

    let mut found = [const { 0..0 }; 7];
    let mut count = 0;
    let bytes = text.as_bytes();
    let mut at = begin;
    while at < bytes.len() {
        let end = bytes[at..].iter().position(u8::is_ascii_whitespace).map_or(bytes.len(), |length| at + length);
        if let Some(field) = found.get_mut(count) {
            *field = at..end;
        }
        count += 1;
        at = end + bytes[end..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }
    let fields = match count {
        5..=7 => &found[..count],
        _ => return Err(fault::field_count(text, count)),
    };
    // Five fields begin with the minute, six and seven with the second.
    let (second, rest) = if count == 5 { (None, fields) } else { (fields.first(), &fields[1..]) };
    let read = |field, range: &Range<usize>| Reader { text, bounds: Bounds::of(field), range: range.clone() }.read();

    let second = match second {
        Some(range) => read(CronField::Second, range)?,
        None => Values { bits: [1, 0, 0], ..Values::NONE },
    };
    let minute = read(CronField::Minute, &rest[0])?;
    let hour = read(CronField::Hour, &rest[1])?;
    let day = read(CronField::DayOfMonth, &rest[2])?;
    let month = read(CronField::Month, &rest[3])?;
    let (plus, week_range) = match text[rest[4].clone()].starts_with('+') {
        true => (true, rest[4].start + 1..rest[4].end),
        false => (false, rest[4].clone()),
    };
    let weekday = read(CronField::DayOfWeek, &week_range)?;
    let years = match rest.get(5) {
        Some(range) => Years::from_words(read(CronField::Year, range)?.bits),
        None => Years::ALL,
    };

    let interval = [&second, &minute, &hour].iter().any(|values| values.shape != Shape::List);
    let either = !plus && day.shape != Shape::Star && weekday.shape != Shape::Star;
    Ok(CronExpr {
        second: second.bits[0],
        minute: minute.bits[0],
        nth: weekday.nth,
        years,
        firing_years: Years::NONE,
        firing_kinds: 0,
        hour: hour.bits[0] as u32,
        day: day.bits[0] as u32,
        last: day.last,
        near: day.near,
        month: month.bits[0] as u16,
        weekday: weekday.bits[0] as u8,
        weekday_last: weekday.weekday_last,
        flags: if either { EITHER } else { 0 } | if interval { INTERVAL } else { 0 },
    }
    .normalized())
}

fn short_form(text: &str) -> Option<&'static str> {
    const FORMS: [(&str, &str); 7] = [
        ("@yearly", "0 0 0 1 1 *"),
        ("@annually", "0 0 0 1 1 *"),
        ("@monthly", "0 0 0 1 * *"),
        ("@weekly", "0 0 0 * * 0"),
        ("@daily", "0 0 0 * * *"),
        ("@midnight", "0 0 0 * * *"),
        ("@hourly", "0 0 * * * *"),
    ];
    FORMS.iter().find(|(short, _)| short.eq_ignore_ascii_case(text)).map(|&(_, long)| long)
}

impl CronExpr {
    /// One value for one meaning: special days beside all days say nothing. Fills in the years in which it fires.
    pub(super) fn normalized(mut self) -> Self {
        if self.day == ALL_DAYS {
            (self.last, self.near) = (0, 0);
        }
        if self.weekday == ALL_WEEKDAYS {
            (self.nth, self.weekday_last) = (0, 0);
        }
        self.with_derived()
    }
}

/// How a field is written: what decides its class, and whether it restricts the day.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Single values only.
    List,
    /// With a range or a step, or a `*` that is not the first character.
    Span,
    /// Begins with `*` or `?`.
    Star,
}

/// What one field asks for.
struct Values {
    /// Bit `value`; for years, bit `value - 1970`.
    bits: [u64; 3],
    last: u32,
    near: u32,
    nth: u64,
    weekday_last: u8,
    shape: Shape,
}

impl Values {
    const NONE: Self = Self { bits: [0; 3], last: 0, near: 0, nth: 0, weekday_last: 0, shape: Shape::List };
}

/// Reads one field of the text.
struct Reader<'a> {
    text: &'a str,
    bounds: Bounds,
    range: Range<usize>,
}

impl Reader<'_> {
    fn read(&self) -> Result<Values, CronError> {
        let mut values = Values::NONE;
        let bytes = self.text.as_bytes();
        let mut start = self.range.start;
        loop {
            let end = bytes[start..self.range.end].iter().position(|&byte| byte == b',').map(|length| start + length);
            self.item(start..end.unwrap_or(self.range.end), &mut values)?;
            match end {
                Some(comma) => start = comma + 1,
                None => break,
            }
        }
        if matches!(bytes.get(self.range.start), Some(b'*' | b'?')) {
            values.shape = Shape::Star;
        }
        Ok(values)
    }

    /// One item between commas.
    fn item(&self, item: Range<usize>, values: &mut Values) -> Result<(), CronError> {
        let text = &self.text[item.clone()];
        if text.is_empty() {
            return Err(self.fault(item, Fault::EmptyItem));
        }
        if self.special(&item, values)? {
            return Ok(());
        }
        let (base, step) = match text.find('/') {
            Some(slash) => (item.start..item.start + slash, Some(item.start + slash + 1..item.end)),
            None => (item.clone(), None),
        };
        let base_text = &self.text[base.clone()];
        let step = match step {
            Some(range) => Some(self.step(range)?),
            None => None,
        };
        let Bounds { min, max, star_max, .. } = self.bounds;
        let (first, last) = if matches!(base_text, "*" | "?") {
            (min, star_max)
        } else if let Some(dash) = base_text.find('-') {
            let first = self.value(base.start..base.start + dash, &item)?;
            let last = self.value(base.start + dash + 1..base.end, &item)?;
            self.span(first, last, &item)?
        } else {
            let value = self.value(base, &item)?;
            if step.is_none() {
                self.insert(values, value);
                return Ok(());
            }
            (value, max)
        };
        values.shape = Shape::Span;
        let mut value = first;
        while value <= last {
            self.insert(values, value);
            value += step.unwrap_or(1);
        }
        Ok(())
    }

    /// The first and last value of a range, the last counted on past the end where it wraps around.
    fn span(&self, first: u32, last: u32, item: &Range<usize>) -> Result<(u32, u32), CronError> {
        if first <= last {
            return Ok((first, last));
        }
        match self.bounds.field {
            CronField::Year => Err(self.fault(item.clone(), Fault::YearsReversed { first, last })),
            // Sunday as 7 is where the week begins again, not where it wraps.
            CronField::DayOfWeek if first == 7 => Ok((0, last)),
            _ => Ok((first, last + self.bounds.count())),
        }
    }

    /// Sets one value; one past the end wraps around, 7 in the day of week being Sunday.
    fn insert(&self, values: &mut Values, value: u32) {
        let bit = match self.bounds.field {
            CronField::Year => value - self.bounds.min,
            _ if value > self.bounds.star_max => value - self.bounds.count(),
            _ => value,
        };
        values.bits[bit as usize / 64] |= 1 << (bit % 64);
    }

    /// A number or a name; `item` is what it stands in.
    fn value(&self, range: Range<usize>, item: &Range<usize>) -> Result<u32, CronError> {
        let text = &self.text[range.clone()];
        if text.is_empty() {
            let fault = if self.text[item.clone()].starts_with('-') { Fault::Negative } else { Fault::EndMissing };
            return Err(self.fault(item.clone(), fault));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = number(text).filter(|value| (self.bounds.min..=self.bounds.max).contains(value));
            return value.ok_or_else(|| self.fault(range, Fault::OutOfRange));
        }
        match self.bounds.names.iter().zip(self.bounds.min..).find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((_, value)) => Ok(value),
            None => Err(match self.unreadable(text, item) {
                fault @ Fault::SpecialInSpan => self.fault(item.clone(), fault),
                fault => self.fault(range, fault),
            }),
        }
    }

    fn step(&self, range: Range<usize>) -> Result<u32, CronError> {
        let text = &self.text[range.clone()];
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.fault(range, Fault::StepNotANumber));
        }
        let count = self.bounds.count();
        number(text).filter(|step| (1..=count).contains(step)).ok_or_else(|| self.fault(range, Fault::StepOutOfRange))
    }

    /// `L`, `L-n`, `nW`, `LW`, `nL`, `n#k`. False if the item is an ordinary one.
    fn special(&self, item: &Range<usize>, values: &mut Values) -> Result<bool, CronError> {
        let text = &self.text[item.clone()];
        match self.bounds.field {
            CronField::DayOfMonth => self.special_day(text, item, values),
            CronField::DayOfWeek => self.special_weekday(text, item, values),
            _ => Ok(false),
        }
    }

    fn special_day(&self, text: &str, item: &Range<usize>, values: &mut Values) -> Result<bool, CronError> {
        if text.eq_ignore_ascii_case("L") {
            values.last |= 1;
        } else if text.eq_ignore_ascii_case("LW") {
            values.near |= 1;
        } else if let Some(back) = text.strip_prefix(['L', 'l']).and_then(|rest| rest.strip_prefix('-')) {
            let range = item.end - back.len()..item.end;
            if !is_number(back) {
                return Err(self.fault(item.clone(), Fault::DaysBackUnreadable));
            }
            let back = number(back).filter(|&back| back <= 30);
            values.last |= 1 << back.ok_or_else(|| self.fault(range, Fault::DaysBackOutOfRange))?;
        } else if let Some(day) = text.strip_suffix(['W', 'w']).filter(|day| is_number(day)) {
            let range = item.start..item.start + day.len();
            let day = number(day).filter(|day| (1..=31).contains(day));
            values.near |= 1 << day.ok_or_else(|| self.fault(range, Fault::OutOfRange))?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn special_weekday(&self, text: &str, item: &Range<usize>, values: &mut Values) -> Result<bool, CronError> {
        if let Some((day, nth)) = text.split_once('#') {
            if day.contains(['-', '/', '*', '?']) || nth.contains(['-', '/']) {
                return Err(self.fault(item.clone(), Fault::SpecialInSpan));
            }
            let day_of_week = self.value(item.start..item.start + day.len(), item)? % 7;
            let range = item.start + day.len() + 1..item.end;
            let nth = number(nth).filter(|nth| (1..=5).contains(nth));
            let nth = nth.ok_or_else(|| self.fault(range, Fault::NthOutOfRange))?;
            values.nth |= 1 << (7 * (nth - 1) + day_of_week);
            return Ok(true);
        }
        let Some(day) = text.strip_suffix(['L', 'l']) else { return Ok(false) };
        if day.is_empty() {
            return Err(self.fault(item.clone(), Fault::BareLast));
        }
        if day.contains(['-', '/', '*', '?']) {
            return Err(self.fault(item.clone(), Fault::SpecialInSpan));
        }
        let day_of_week = self.value(item.start..item.start + day.len(), item)? % 7;
        values.weekday_last |= 1 << day_of_week;
        Ok(true)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number of ASCII digits; `None` if it is none or does not fit, which is out of every range.
fn number(text: &str) -> Option<u32> {
    if is_number(text) { text.parse().ok() } else { None }
}
