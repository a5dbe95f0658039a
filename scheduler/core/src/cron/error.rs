//! What is wrong with an expression: one line that names the field, the value, what is allowed and the fix.

use std::fmt;
use std::ops::Range;

/// A field of a cron expression.
///
/// ```
/// use symphra_scheduler_core::{CronExpr, CronField};
///
/// let error = "0 9 32 * *".parse::<CronExpr>().unwrap_err();
/// assert_eq!(error.field(), Some(CronField::DayOfMonth));
/// assert_eq!(CronField::DayOfMonth.to_string(), "day of month");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CronField {
    /// 0–59; present in expressions of six and seven fields.
    Second,
    /// 0–59.
    Minute,
    /// 0–23.
    Hour,
    /// 1–31.
    DayOfMonth,
    /// 1–12, JAN–DEC.
    Month,
    /// 0–7, SUN–SAT; 0 and 7 are Sunday.
    DayOfWeek,
    /// 1970–2100; present in expressions of seven fields.
    Year,
}

impl fmt::Display for CronField {
    /// The field's name in words, such as `day of month`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
            Self::Year => "year",
        })
    }
}

/// A text that is no cron expression.
///
/// It shows as one line that can be acted on:
///
/// ```
/// use symphra_scheduler_core::{CronExpr, CronField};
///
/// let error = "0 0 25 * * *".parse::<CronExpr>().unwrap_err();
/// assert_eq!(error.field(), Some(CronField::Hour));
/// assert_eq!(error.value(), "25");
/// assert_eq!(error.position(), 4..6);
/// assert_eq!(
///     error.to_string(),
///     "hour field: 25 is out of range; allowed 0-23 (in \"0 0 25 * * *\", character 5)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError(Box<Fault>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    expression: String,
    position: Range<usize>,
    field: Option<CronField>,
    problem: String,
}

impl CronError {
    /// `position` lies on character boundaries of `expression`.
    pub(super) fn new(expression: &str, position: Range<usize>, field: Option<CronField>, problem: String) -> Self {
        Self(Box::new(Fault { expression: expression.to_owned(), position, field, problem }))
    }

    /// The field that is wrong; `None` if it is the expression as a whole (the number of fields, its length, an unknown
    /// short form).
    #[must_use]
    pub fn field(&self) -> Option<CronField> {
        self.0.field
    }

    /// Where the wrong part stands in [`expression`](Self::expression): a byte range. For a missing part it is empty.
    #[must_use]
    pub fn position(&self) -> Range<usize> {
        self.0.position.clone()
    }

    /// The text that was parsed; of one that is too long, its allowed beginning.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.0.expression
    }

    /// The wrong part itself.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.0.expression[self.0.position.clone()]
    }
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { expression, position, field, problem } = &*self.0;
        if let Some(field) = field {
            write!(f, "{field} field: ")?;
        }
        write!(f, "{problem} (in {}", quoted(expression))?;
        if field.is_some() {
            write!(f, ", character {}", expression[..position.start].chars().count() + 1)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for CronError {}

/// A piece of user's text in quotes, on one line, cut where it would flood a terminal.
pub(super) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
