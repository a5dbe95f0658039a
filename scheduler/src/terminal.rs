//! Text as a terminal shows it: how many columns it takes, and what of it may be shown there. Pure.
//!
//! Columns are counted by [UAX 11](https://www.unicode.org/reports/tr11/): a Chinese character takes two.
//! Invariant: what [`clean`] gives can neither write to a terminal nor reorder or hide what stands beside it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a text takes.
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// The text with as many spaces after it as `width` columns ask for.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{:1$}", "", width.saturating_sub(width_of(text)))
}

/// The text in at most `width` columns; if it takes more, its start.
pub(crate) fn cut_back(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let ends = text.char_indices().map(|(place, _)| place).skip(1);
    let fitting = ends.take_while(|&end| width_of(&text[..end]) < width).last().unwrap_or(0);
    format!("{}…", &text[..fitting])
}

/// The same, but its end: of a path that says most.
pub(crate) fn cut_front(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let starts = text.char_indices().map(|(place, _)| place).rev();
    let fitting = starts.take_while(|&start| width_of(&text[start..]) < width).last().unwrap_or(text.len());
    // A mark that belongs to the character before it goes with that.
    format!("…{}", text[fitting..].trim_start_matches(|c: char| c.width() == Some(0)))
}

/// One line without control characters, and without what could reorder or hide it.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' | '\r' => ' ',
        c if is_hidden(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The same, with its lines.
#[cfg(feature = "cli")]
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// Whether a character writes to a terminal, or takes no place and changes how others are seen: controls, marks of
/// direction, separators and joiners.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_character_takes_two_columns() {
        for (text, taken) in [("", 0), ("tidy", 4), ("任务", 4), ("每日 report", 11), ("é", 1), ("e\u{301}", 1)] {
            assert_eq!(width_of(text), taken, "{text:?}");
            assert_eq!(width_of(&padded(text, 12)), 12, "{text:?}");
        }
        assert_eq!(padded("任务", 3), "任务", "what is too long is left as it is");
    }

    #[test]
    fn what_is_cut_fits_and_keeps_the_end_that_is_asked_for() {
        for (text, width, back, front) in [
            ("report", 6, "report", "report"),
            ("report", 4, "rep…", "…ort"),
            ("每日任务", 8, "每日任务", "每日任务"),
            ("每日任务", 7, "每日任…", "…日任务"),
            ("每日任务", 6, "每日…", "…任务"),
            ("每日任务", 1, "…", "…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…", "…e\u{301}"),
        ] {
            assert_eq!((cut_back(text, width), cut_front(text, width)), (back.to_owned(), front.to_owned()), "{width}");
            assert!(width_of(&cut_back(text, width)) <= width.max(1), "{text:?} {width}");
        }
    }

    #[test]
    fn text_from_outside_loses_what_would_write_to_a_terminal_or_reorder_it() {
        for (text, shown) in [
            ("plain 任务", "plain 任务"),
            ("two\nlines\tand", "two lines and"),
            ("\u{1b}[31mred\u{9b}1m", "\u{fffd}[31mred\u{fffd}1m"),
            ("\u{202e}back\u{2066}\u{61c}", "\u{fffd}back\u{fffd}\u{fffd}"),
            ("\u{2061}green\u{2060}\u{200b}\u{200c}", "\u{fffd}green\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
        }
    }
}
