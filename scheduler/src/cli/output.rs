//! What a command prints: tables that fit the terminal, words in colour where that is wanted, or JSON.
//!
//! Invariant: no byte that others chose (names, reasons, errors of tasks) reaches a terminal as a control character.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use super::Failure;
use super::args::Color;
pub(crate) use crate::terminal::clean;
use crate::terminal::{clean_lines, is_hidden, padded, width_of};

/// Where a command prints, and how.
#[derive(Debug)]
pub(crate) struct Output {
    form: Form,
    colors: Colors,
    /// How many characters a line takes; as many as it needs into a file or a pipe.
    width: Option<u16>,
    /// Whether standard error is a terminal, where progress is shown.
    progress: bool,
    /// Why something that was asked for could not be written.
    lost: OnceLock<String>,
}

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// Whether words have colours, on standard output and on standard error.
#[derive(Clone, Copy, Debug)]
struct Colors {
    out: bool,
    err: bool,
}

/// How a word is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Busy,
    Warning,
    Bad,
    Faint,
}

impl Tone {
    /// The tone of a status of a task, or of the state of a run, by its word.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "succeeded" | "completed" => Self::Good,
            "running" => Self::Busy,
            "paused" | "retrying" | "cancelled" => Self::Warning,
            "failed" | "timed_out" | "abandoned" => Self::Bad,
            _ => Self::Plain,
        }
    }

    fn style(self) -> Style {
        let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Good => color(AnsiColor::Green),
            Self::Busy => color(AnsiColor::Cyan),
            Self::Warning => color(AnsiColor::Yellow),
            Self::Bad => color(AnsiColor::Red),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl Cell {
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// A status or a state in its tone.
    pub(crate) fn status(word: &str) -> Self {
        Self::toned(word, Tone::of(word))
    }
}

/// A column: its title, and how it gives way where the terminal is narrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    gives_way: GivesWay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivesWay {
    Never,
    /// Its words go into further lines.
    Wrapped,
    /// It is never wrapped, and its numbers stand below each other.
    Number,
}

impl Column {
    /// Text that may be wrapped.
    pub(crate) const fn text(title: &'static str) -> Self {
        Self { title, gives_way: GivesWay::Wrapped }
    }

    /// A word that stays whole: a status, an id.
    pub(crate) const fn word(title: &'static str) -> Self {
        Self { title, gives_way: GivesWay::Never }
    }

    pub(crate) const fn number(title: &'static str) -> Self {
        Self { title, gives_way: GivesWay::Number }
    }
}

/// The narrowest column that may be wrapped: less is no word.
const COLUMN_WIDTH_MIN: usize = 10;

/// What stands between two columns.
const GAP: u16 = 2;

impl Output {
    /// The output of this process.
    pub(super) fn of_process(form: Form, color: Color) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !no_color,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            form,
            colors: Colors { out: wanted(out), err: wanted(err) },
            width: terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0).filter(|&width| width > 0),
            progress: err && form == Form::Text,
            lost: OnceLock::new(),
        }
    }

    /// Text of lines of at most `width` characters, without colours.
    #[cfg(test)]
    pub(crate) fn plain(width: Option<u16>) -> Self {
        Self {
            form: Form::Text,
            colors: Colors { out: false, err: false },
            width,
            progress: false,
            lost: OnceLock::new(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    pub(crate) fn shows_progress(&self) -> bool {
        self.progress
    }

    pub(crate) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Prints what was asked for: as JSON, or as the text that `text` makes of it.
    pub(crate) fn show<T: Serialize>(&self, value: &T, text: impl FnOnce(&T, &Self) -> String) {
        match self.form {
            Form::Json => self.print(&json(value)),
            Form::Text => self.print(&text(value, self)),
        }
    }

    /// Prints text and ends its last line. Who closes a pipe has seen enough; of all else that keeps it from being written
    /// [`exit_code`](Self::exit_code) tells.
    pub(crate) fn print(&self, text: &str) {
        match write(&mut io::stdout().lock(), text) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                // The first is the one that counts.
                let _ = self.lost.set(error.to_string());
            }
            _ => {}
        }
    }

    /// The exit code of a command that answered with `code`: one whose answer could not be written has failed.
    pub(super) fn exit_code(&self, code: u8) -> u8 {
        match self.lost.get() {
            Some(error) => Failure::failed(format!("the output could not be written: {error}")).tell(self),
            None => code,
        }
    }

    /// Tells, beside the output, what a person should know.
    pub(crate) fn note(&self, text: &str) {
        let note = self.paint_err("note:", Tone::Warning);
        // Who cannot be told cannot be told that either.
        let _ = write(&mut io::stderr().lock(), &format!("{note} {}", clean_lines(text)));
    }

    /// Tells why a command failed.
    pub(crate) fn error(&self, text: &str) {
        let error = self.paint_err("error:", Tone::Bad);
        // As above.
        let _ = write(&mut io::stderr().lock(), &format!("{error} {}", clean_lines(text)));
    }

    /// Tells why a command failed, to a program.
    pub(super) fn json_error<T: Serialize>(&self, error: &T) {
        // As above.
        let _ = write(&mut io::stderr().lock(), &json(error));
    }

    /// A word in its tone.
    pub(crate) fn paint(&self, word: &str, tone: Tone) -> String {
        painted(word, tone.style(), self.colors.out)
    }

    fn paint_err(&self, word: &str, tone: Tone) -> String {
        painted(word, tone.style().bold(), self.colors.err)
    }

    /// Whether there is room for so many columns of characters: always, where nobody has said how many there are.
    pub(crate) fn has_columns(&self, columns: u16) -> bool {
        self.width.is_none_or(|width| width >= columns)
    }

    /// A table with a line of titles; only `empty`, if there are no rows. Where the terminal is too narrow for it, each
    /// row becomes a paragraph.
    pub(crate) fn table(&self, columns: &[Column], rows: Vec<Vec<Cell>>, empty: &str) -> String {
        if rows.is_empty() {
            return empty.to_owned();
        }
        if self.width.is_some_and(|width| usize::from(width) < narrowest(columns, &rows)) {
            let titles = || columns.iter().map(|column| column.title);
            let paragraphs = rows.into_iter().map(|row| self.facts(&titles().zip(row).collect::<Vec<_>>()));
            return paragraphs.collect::<Vec<_>>().join("\n\n");
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        match self.width {
            Some(width) => table.set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(columns.iter().map(|column| marked(column.title, Mark::TITLE)));
        for row in rows {
            table.add_row(row.into_iter().map(|cell| marked(&clean(&cell.text), Mark::of(cell.tone))));
        }
        for (column, declared) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, GAP));
            match declared.gives_way {
                GivesWay::Wrapped => {
                    let least = u16::try_from(COLUMN_WIDTH_MIN).unwrap_or(u16::MAX).saturating_add(GAP);
                    column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
                }
                GivesWay::Never => {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
                GivesWay::Number => {
                    column.set_constraint(ColumnConstraint::ContentWidth).set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let lines: Vec<String> = table.lines().map(|line| self.unmarked(line.trim_end())).collect();
        lines.join("\n")
    }

    /// Facts, one a line: `name  value`.
    pub(crate) fn facts(&self, facts: &[(&str, Cell)]) -> String {
        let width = facts.iter().map(|(name, _)| width_of(&clean(name))).max().unwrap_or(0);
        let mut text = String::new();
        for (name, cell) in facts {
            let name = self.paint(&padded(&clean(name), width), Tone::Faint);
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name}  {}", self.paint(&clean(&cell.text), cell.tone));
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Puts colours where the marks are, or nothing.
    fn unmarked(&self, line: &str) -> String {
        let mut text = String::with_capacity(line.len());
        for c in line.chars() {
            match Mark::style(c) {
                Some(_) if !self.colors.out => {}
                // Writing into a String cannot fail.
                Some(Some(style)) => drop(write!(text, "{style}")),
                Some(None) => drop(write!(text, "{}", anstyle::Reset)),
                None => text.push(c),
            }
        }
        text
    }
}

/// The least that the lines of a table take.
fn narrowest(columns: &[Column], rows: &[Vec<Cell>]) -> usize {
    let least = columns.iter().enumerate().map(|(place, column)| {
        let cells = rows.iter().filter_map(|row| row.get(place)).map(|cell| width_of(&clean(&cell.text)));
        let widest = cells.chain([column.title.len()]).max().unwrap_or(0);
        let width = if column.gives_way == GivesWay::Wrapped { COLUMN_WIDTH_MIN } else { widest };
        width + usize::from(GAP)
    });
    least.sum()
}

/// Marks of where a colour begins and ends. They take no place on a terminal, so that the table can be laid out with
/// them; escape codes would be counted as text. They are private to this file, for `clean` takes them out of all text.
struct Mark;

impl Mark {
    const END: char = '\u{2060}';
    const TITLE: char = '\u{200b}';
    const TONES: [(char, Tone); 5] = [
        ('\u{2061}', Tone::Good),
        ('\u{2062}', Tone::Busy),
        ('\u{2063}', Tone::Warning),
        ('\u{2064}', Tone::Bad),
        ('\u{200c}', Tone::Faint),
    ];

    fn of(tone: Tone) -> Option<char> {
        Self::TONES.iter().find(|(_, known)| *known == tone).map(|(mark, _)| *mark)
    }

    /// The style that begins with the mark `c`, or `Some(None)` where it ends; `None` if it is no mark.
    fn style(c: char) -> Option<Option<Style>> {
        match c {
            Self::END => Some(None),
            Self::TITLE => Some(Some(Style::new().bold())),
            c => Self::TONES.iter().find(|(mark, _)| *mark == c).map(|(_, tone)| Some(tone.style())),
        }
    }
}

/// A text between marks. Each word has its own, since a cell may be wrapped between two words.
fn marked(text: &str, mark: impl Into<Option<char>>) -> String {
    match mark.into() {
        None => text.to_owned(),
        Some(mark) => {
            let words: Vec<String> = text.split(' ').map(|word| format!("{mark}{word}{}", Mark::END)).collect();
            words.join(" ")
        }
    }
}

fn painted(word: &str, style: Style, in_color: bool) -> String {
    if in_color && style != Style::new() { format!("{style}{word}{style:#}") } else { word.to_owned() }
}

fn json<T: Serialize>(value: &T) -> String {
    escaped(&serde_json::to_string_pretty(value).expect("a view has string keys and no value that JSON lacks"))
}

/// A value as one line of JSON, which ends with its line break.
pub(super) fn json_line<T: Serialize>(value: &T) -> String {
    escaped(&serde_json::to_string(value).expect("a view has string keys and no value that JSON lacks")) + "\n"
}

/// The same JSON without a character that a terminal would obey or hide: it leaves those above U+001F as they are, and they
/// stand in texts alone.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // What lays it out.
            '\n' => text.push(c),
            // All of them have four digits. Writing into a String cannot fail.
            c if is_hidden(c) => drop(write!(text, "\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

fn write(to: &mut impl io::Write, text: &str) -> io::Result<()> {
    let line = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    to.write_all(line.as_bytes()).and_then(|()| to.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(output: &Output) -> String {
        let columns = [Column::text("TASK"), Column::word("STATUS"), Column::number("RUNS")];
        let row = |name: &str, status: &str, runs: &str| vec![name.into(), Cell::status(status), runs.into()];
        output.table(&columns, vec![row("report of the day", "completed", "7"), row("tidy", "failed", "12")], "none")
    }

    #[test]
    fn a_table_is_laid_out_wrapped_and_at_last_taken_apart() {
        let wide = "TASK               STATUS     RUNS\n\
                    report of the day  completed     7\n\
                    tidy               failed       12";
        assert_eq!(table(&Output::plain(None)), wide);
        assert_eq!(table(&Output::plain(Some(80))), wide);
        let wrapped = table(&Output::plain(Some(32)));
        assert!(wrapped.contains("day") && !wrapped.contains("report of the day"), "{wrapped}");
        assert!(wrapped.lines().all(|line| line.chars().count() <= 32), "{wrapped}");
        let apart = "TASK    report of the day\nSTATUS  completed\nRUNS    7\n\n\
                     TASK    tidy\nSTATUS  failed\nRUNS    12";
        assert_eq!(table(&Output::plain(Some(26))), apart);
    }

    #[test]
    fn facts_and_paragraphs_are_laid_out_by_columns() {
        let plain = Output::plain(None);
        let facts = plain.facts(&[("负责人", "财务".into()), ("task", "report".into())]);
        assert_eq!(facts, "负责人  财务\ntask    report");
        let cells = [Column::word("TASK"), Column::word("STATUS")];
        let row = || vec![vec!["每日对账任务".into(), "paused".into()]];
        assert_eq!(Output::plain(Some(22)).table(&cells, row(), ""), "TASK          STATUS\n每日对账任务  paused");
        assert_eq!(Output::plain(Some(21)).table(&cells, row(), ""), "TASK    每日对账任务\nSTATUS  paused");
    }

    #[test]
    fn json_says_what_it_should_and_writes_to_no_terminal() {
        let text = "任务 \u{1b}\u{7f}\u{85}\u{9b}31m\n\u{61c}\u{200b}\u{202e}\u{2069}\u{feff} \u{10ffff}é\\u202e\"";
        let said = json(&serde_json::json!({ text: [text, 7] }));
        assert!(said.chars().all(|c| c == '\n' || !is_hidden(c)), "{said:?}");
        assert!(said.contains("任务 \\u001b\\u007f\\u0085\\u009b31m\\n\\u061c\\u200b\\u202e\\u2069\\ufeff"), "{said}");
        let read: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
        assert_eq!(read, serde_json::json!({ text: [text, 7] }));
    }

    #[test]
    fn colours_take_no_place() {
        let plain = Output::plain(None);
        let colored = Output { colors: Colors { out: true, err: true }, ..Output::plain(plain.width) };
        let text = table(&colored);
        assert!(text.contains("\u{1b}[31mfailed\u{1b}[0m"), "{text:?}");
        let mut parts = text.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        let bare = parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest));
        assert_eq!(bare, table(&plain));
    }
}
