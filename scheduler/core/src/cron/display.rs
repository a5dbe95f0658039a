//! The canonical text of an expression: six fields, seven if years are chosen, which parses to the same value.
//!
//! What the masks do not show stands in the way a field is written: lists make a fixed-time expression, a `*`, range or
//! step an interval one; a day field that begins with `*` is not restricted, and a `+` undoes the "either".

use std::fmt::{self, Write};

use super::fields::{ALL_60, ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_WEEKDAYS, Years};
use super::{CronExpr, EXPRESSION_BYTES_MAX};

impl fmt::Display for CronExpr {
    /// The canonical text: `"*/5 9-17 * * mon-fri"` shows as `0 */5 9-17 * * 1-5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text)?;
        debug_assert!(text.len() <= EXPRESSION_BYTES_MAX, "the canonical text can be read again");
        f.pad(&text)
    }
}

impl fmt::Debug for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronExpr(\"{self}\")")
    }
}

impl CronExpr {
    fn write(&self, out: &mut String) -> fmt::Result {
        self.write_time(out)?;
        out.push(' ');
        // Where both must match although both are restricted, the `+` says so.
        let day_is_free = !self.matches_either_day() && self.day == ALL_DAYS;
        let weekday_is_free = !self.matches_either_day() && self.weekday == ALL_WEEKDAYS;
        let days = Field { bits: self.day.into(), min: 1, max: 31 };
        if day_is_free {
            out.push('*')
        } else {
            days.write(Style::NoStar, out)?
        }
        self.write_special_days(out)?;
        out.push(' ');
        Field { bits: self.month.into(), min: 1, max: 12 }.write_or_star(ALL_MONTHS.into(), out)?;
        out.push(' ');
        if weekday_is_free {
            out.push('*');
        } else {
            if !self.matches_either_day() && !day_is_free {
                out.push('+');
            }
            Field { bits: self.weekday.into(), min: 0, max: 6 }.write(Style::NoStar, out)?;
            self.write_special_weekdays(out)?;
        }
        if self.years != Years::ALL {
            out.push(' ');
            write_spans(self.years.iter(), out)?;
        }
        Ok(())
    }

    fn write_time(&self, out: &mut String) -> fmt::Result {
        let second = Field { bits: self.second, min: 0, max: 59 };
        let minute = Field { bits: self.minute, min: 0, max: 59 };
        let hour = Field { bits: self.hour.into(), min: 0, max: 23 };
        if !self.is_interval() {
            second.write(Style::List, out)?;
            out.push(' ');
            minute.write(Style::List, out)?;
            out.push(' ');
            return hour.write(Style::List, out);
        }
        let start = out.len();
        second.write_or_star(ALL_60, out)?;
        out.push(' ');
        minute.write_or_star(ALL_60, out)?;
        out.push(' ');
        let hour_start = out.len();
        hour.write_or_star(ALL_HOURS.into(), out)?;
        if !out[start..].contains(['*', '-', '/']) {
            // Nothing else shows the class: the lowest hour as a range of its own.
            let low = self.hour.trailing_zeros();
            let rest = out.split_off(hour_start + low.to_string().len());
            write!(out, "-{low}{rest}")?;
        }
        Ok(())
    }

    fn write_special_days(&self, out: &mut String) -> fmt::Result {
        for back in bits(self.last.into()) {
            separate(out);
            out.push('L');
            if back > 0 {
                write!(out, "-{back}")?;
            }
        }
        for day in bits(self.near.into()) {
            separate(out);
            if day == 0 { out.push_str("LW") } else { write!(out, "{day}W")? }
        }
        Ok(())
    }

    fn write_special_weekdays(&self, out: &mut String) -> fmt::Result {
        for day in bits(self.weekday_last.into()) {
            separate(out);
            write!(out, "{day}L")?;
        }
        for place in bits(self.nth) {
            separate(out);
            write!(out, "{}#{}", place % 7, place / 7 + 1)?;
        }
        Ok(())
    }
}

/// How a field may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Single values only.
    List,
    /// Ranges and steps, but no `*`.
    NoStar,
}

/// The plain values of a field.
struct Field {
    bits: u64,
    min: u32,
    max: u32,
}

impl Field {
    fn write_or_star(&self, all: u64, out: &mut String) -> fmt::Result {
        if self.bits == all {
            out.push('*');
            return Ok(());
        }
        match self.step() {
            Some((first, step)) if first == self.min => write!(out, "*/{step}"),
            Some((first, step)) => write!(out, "{first}/{step}"),
            None => write_spans(bits(self.bits), out),
        }
    }

    fn write(&self, style: Style, out: &mut String) -> fmt::Result {
        match (style, self.step()) {
            (Style::List, _) => write_list(bits(self.bits), out),
            (Style::NoStar, Some((first, step))) => write!(out, "{first}-{}/{step}", self.max),
            (Style::NoStar, None) => write_spans(bits(self.bits), out),
        }
    }

    /// The first value and the step, if the values are at least three, evenly spaced up to the field's end.
    fn step(&self) -> Option<(u32, u32)> {
        let mut values = bits(self.bits);
        let (first, second) = (values.next()?, values.next()?);
        let step = second - first;
        let stepped = (first..=self.max).step_by(step as usize).fold(0, |mask, value| mask | 1 << value);
        (step > 1 && self.bits.count_ones() > 2 && stepped == self.bits).then_some((first, step))
    }
}

/// The set bits, lowest first.
fn bits(mut mask: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(bit)
    })
}

fn write_list(values: impl Iterator<Item = u32>, out: &mut String) -> fmt::Result {
    for value in values {
        separate(out);
        write!(out, "{value}")?;
    }
    Ok(())
}

/// Runs of three and more as ranges.
fn write_spans(values: impl Iterator<Item = u32>, out: &mut String) -> fmt::Result {
    let mut values = values.peekable();
    while let Some(first) = values.next() {
        let mut last = first;
        while values.peek() == Some(&(last + 1)) {
            last += 1;
            values.next();
        }
        separate(out);
        match last - first {
            0 => write!(out, "{first}")?,
            1 => write!(out, "{first},{last}")?,
            _ => write!(out, "{first}-{last}")?,
        }
    }
    Ok(())
}

/// A comma, unless the field begins here.
fn separate(out: &mut String) {
    if !matches!(out.chars().last(), None | Some(' ' | '+')) {
        out.push(',');
    }
}
