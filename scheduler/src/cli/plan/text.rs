//! A forecast in tables and blocks, and a difference in words.

use std::fmt::Write as _;
use std::time::Duration;

use chrono_tz::Tz;
use symphra_scheduler_core::{Timestamp, format_duration, parse_timezone};

use super::against::{Change, Difference, Differs, Moved};
use super::firings::{Firings, Progression, Span};
use super::load::Load;
use super::{Forecast, Planned};
use crate::cli::output::{Cell, Column, Output, Tone, clean};

/// How many tasks, or stretches of firings, a line names before it says how many more there are.
const NAMED_MAX: usize = 5;

/// From few to many.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A minute in which nothing fires.
const QUIET: char = '·';

/// How many characters stand before the blocks of an hour.
const LABEL_WIDTH: usize = "11-25 09:00 ".len();

const MINUTES: usize = 60;

impl Forecast {
    /// All of it; what belongs to no task in particular is shown in `zone`.
    pub(crate) fn text(&self, zone: Tz, output: &Output) -> String {
        let count: u64 = self.tasks.iter().map(|task| task.firings.count()).sum();
        let mut text = format!("{}: {}, {}\n\n", between(self.span, zone), tasks(self.tasks.len()), firings(count));
        let columns = [
            Column::text("TASK"),
            Column::number("FIRINGS"),
            Column::word("FIRST"),
            Column::word("LAST"),
            Column::text("ZONE"),
            Column::text("SCHEDULE"),
        ];
        text.push_str(&output.table(&columns, self.tasks.iter().map(Planned::row).collect(), "there are no tasks"));
        text.push('\n');
        for (note, names) in self.notes() {
            // Writing into a String cannot fail.
            let names = clean(&some_of(names.iter().copied()));
            let _ = writeln!(text, "  {} ({names})", output.paint(note, Tone::Faint));
        }
        let load = self.load();
        if load.most == 0 {
            return text;
        }
        let _ = write!(text, "\nfirings by minute ({zone}), {} is {}\n", BLOCKS[BLOCKS.len() - 1], load.most);
        text.push_str(&load.lines(zone, output.width().map(usize::from)));
        text.push_str("\nbusiest minutes\n");
        text.push_str(&self.busiest(&load, zone, output));
        text
    }

    /// Each note once, with the tasks of which it is true.
    fn notes(&self) -> Vec<(&str, Vec<&str>)> {
        let mut notes: Vec<(&str, Vec<&str>)> = Vec::new();
        for (task, note) in self.tasks.iter().flat_map(|task| task.notes.iter().map(move |note| (task, note))) {
            match notes.iter_mut().find(|(known, _)| known == note) {
                Some((_, names)) => names.push(&task.name),
                None => notes.push((note, vec![&task.name])),
            }
        }
        notes
    }

    fn busiest(&self, load: &Load, zone: Tz, output: &Output) -> String {
        let rows = load.busiest(self.tasks.iter().map(|task| &task.firings)).into_iter().map(|busy| {
            let names = busy.tasks.iter().map(|&(task, count)| {
                let name = &self.tasks[task].name;
                if count == 1 { name.clone() } else { format!("{name} ×{count}") }
            });
            let names: Vec<String> = names.collect();
            let names = some_of(names.iter().map(String::as_str));
            vec![minute(busy.at, zone).into(), busy.firings.to_string().into(), Cell::from(names)]
        });
        output.table(&[Column::word("MINUTE"), Column::number("FIRINGS"), Column::text("TASKS")], rows.collect(), "")
    }
}

impl Planned {
    fn zone(&self) -> Tz {
        // A file may name a zone that this tz database has not.
        parse_timezone(&self.rule.timezone).unwrap_or(Tz::UTC)
    }

    fn row(&self) -> Vec<Cell> {
        let zone = self.zone();
        let at = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| second(at, zone));
        let firings = match self.rule.enabled {
            true => Cell::from(self.firings.count().to_string()),
            false => Cell::toned("off", Tone::Warning),
        };
        vec![
            self.name.as_str().into(),
            firings,
            at(self.firings.first()).into(),
            at(self.firings.last()).into(),
            self.rule.timezone.as_str().into(),
            self.words.as_str().into(),
        ]
    }
}

impl Load {
    /// A line for each hour of `zone`, whose blocks stand for as many minutes as `width` asks for.
    fn lines(&self, zone: Tz, width: Option<usize>) -> String {
        let fits = |&minutes: &usize| width.is_none_or(|width| LABEL_WIDTH + MINUTES / minutes <= width);
        let stride = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30].into_iter().find(fits).unwrap_or(MINUTES);
        let begins = self.span.from.to_utc().with_timezone(&zone);
        // The minutes of the first hour that lie before the span.
        let before = usize::try_from(chrono::Timelike::minute(&begins)).unwrap_or(0);
        let total = before + self.minutes.len();
        let mut text = String::new();
        for hour in (0..total).step_by(MINUTES) {
            let label_of = hour.max(before) - before;
            let label = self.start_of(label_of).to_utc().with_timezone(&zone);
            // Writing into a String cannot fail.
            let _ = write!(text, "{} ", label.format(if label_of == 0 { "%m-%d %H:00" } else { "%m-%d %H:%M" }));
            for block in (hour..hour + MINUTES).step_by(stride) {
                let minutes = (block..block + stride).filter_map(|minute| minute.checked_sub(before));
                let most = minutes.filter_map(|minute| self.minutes.get(minute)).max();
                text.push(most.map_or(' ', |&most| self.block(most)));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }

    /// The height of a minute against the busiest; one firing is always seen.
    fn block(&self, firings: u64) -> char {
        let height = (u128::from(firings) * BLOCKS.len() as u128).div_ceil(u128::from(self.most.max(1)));
        match usize::try_from(height) {
            Ok(0) | Err(_) => QUIET,
            Ok(height) => BLOCKS[height.min(BLOCKS.len()) - 1],
        }
    }
}

impl Difference<'_> {
    pub(crate) fn text(&self, span: Span, zone: Tz, output: &Output) -> String {
        let mut text = match self.changes.len() {
            0 => format!("{}: nothing differs\n", between(span, zone)),
            1 => format!("{}: 1 task differs\n\n", between(span, zone)),
            many => format!("{}: {many} tasks differ\n\n", between(span, zone)),
        };
        let columns = [Column::word("CHANGE"), Column::text("TASK"), Column::text("WHAT DIFFERS")];
        let rows = self.changes.iter().flat_map(|change| change.rows(zone));
        text.push_str(&output.table(&columns, rows.collect(), ""));
        if let Some((before, now)) = self.tzdb {
            // Writing into a String cannot fail.
            let _ = write!(text, "\nthe tz database was {} and is {}\n", clean(before), clean(now));
        }
        text
    }
}

impl Change<'_> {
    fn rows(&self, zone: Tz) -> Vec<Vec<Cell>> {
        let first = |word, tone, name: &str, what: String| vec![Cell::toned(word, tone), name.into(), what.into()];
        let whole = |task: &Planned| {
            let first = task.firings.first().map(|at| format!(", the first at {}", second(at, task.zone())));
            let count = firings(task.firings.count());
            format!("{} ({}), {count}{}", task.words, task.rule.timezone, first.unwrap_or_default())
        };
        match self {
            Self::New(task) => vec![first("new", Tone::Good, &task.name, whole(task))],
            Self::Removed(task) => vec![first("removed", Tone::Bad, &task.name, whole(task))],
            Self::Changed { name, rule, firings } => {
                let says = rule.iter().map(Differs::says).chain(firings.says(zone));
                let mut rows: Vec<_> = says.map(|says| vec!["".into(), "".into(), Cell::from(says)]).collect();
                if let Some(row) = rows.first_mut() {
                    (row[0], row[1]) = (Cell::toned("changed", Tone::Warning), (*name).into());
                }
                rows
            }
        }
    }
}

impl Differs<'_> {
    fn says(&self) -> String {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        format!("{}: {} → {}", self.what, shown(&self.before), shown(&self.now))
    }
}

impl Moved {
    fn says(&self, zone: Tz) -> Vec<String> {
        match self {
            Self::Same => Vec::new(),
            Self::Shifted { count, millis } => {
                let by = format_duration(Duration::from_millis(millis.unsigned_abs()));
                let which =
                    if *count == 1 { "its one firing moves".to_owned() } else { format!("all {count} firings move") };
                vec![format!("{which} {by} {}", if *millis < 0 { "earlier" } else { "later" })]
            }
            Self::Other { gone, came } => {
                let told = [("no longer", gone), ("now", came)].into_iter().filter(|(_, of)| of.count() > 0);
                told.map(|(word, of)| format!("{word}: {}, {}", firings(of.count()), listed(of, zone))).collect()
            }
        }
    }
}

/// The stretches of firings in words.
fn listed(firings: &Firings, zone: Tz) -> String {
    let all = firings.progressions();
    let stretch = |one: &Progression| {
        let (first, every) = (second(one.first, zone), format_duration(Duration::from_millis(one.every_millis)));
        match one.count {
            1 => format!("at {first}"),
            _ if all.len() == 1 => format!("every {every} from {first}"),
            count => format!("{count} every {every} from {first}"),
        }
    };
    let stretches: Vec<String> = all.iter().take(NAMED_MAX).map(stretch).collect();
    let more = all.len() - stretches.len();
    let more = if more > 0 { format!("; and {more} more stretches") } else { String::new() };
    format!("{}{more}", stretches.join("; "))
}

/// The first of `names`, and how many more there are.
fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let named: Vec<&str> = names.take(NAMED_MAX).collect();
    let named = named.join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn between(span: Span, zone: Tz) -> String {
    let at = |at: Timestamp| at.to_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    format!("{} to {} {zone}", at(span.from), at(span.to))
}

fn second(at: Timestamp, zone: Tz) -> String {
    at.to_utc().with_timezone(&zone).format("%m-%d %H:%M:%S").to_string()
}

fn minute(at: Timestamp, zone: Tz) -> String {
    at.to_utc().with_timezone(&zone).format("%m-%d %H:%M").to_string()
}

fn tasks(count: usize) -> String {
    format!("{count} task{}", if count == 1 { "" } else { "s" })
}

fn firings(count: u64) -> String {
    format!("{count} firing{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{day, program};
    use super::*;

    fn forecast(span: Span) -> Forecast {
        Forecast::of(&program(), Tz::Asia__Shanghai, span)
    }

    #[test]
    fn the_text_fits_the_width() {
        let forecast = forecast(day());
        for width in [80, 100, 140] {
            let text = forecast.text(Tz::Asia__Shanghai, &Output::plain(Some(width)));
            for line in text.lines().filter(|line| !line.starts_with("  ")) {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
            }
        }
        let load = forecast.load();
        for width in [20, 40, 60, 71, 72, 200] {
            let lines = load.lines(Tz::UTC, Some(width));
            assert_eq!(lines.lines().count(), 24);
            assert!(lines.lines().all(|line| line.chars().count() <= width.min(72)), "{width}:\n{lines}");
        }
    }

    #[test]
    fn hours_begin_on_the_hour_of_the_zone() {
        let from = Timestamp::from_millis(day().from.as_millis() + 17 * 60_000);
        let span = Span { from, to: Timestamp::from_millis(from.as_millis() + 60 * 60_000) };
        // Kathmandu is 5 h 45 min ahead: 00:17 is 06:02 there.
        for (zone, hours, first) in
            [(Tz::UTC, ["11-25 00:00", "11-25 01:00"], 17), (Tz::Asia__Kathmandu, ["11-25 06:00", "11-25 07:00"], 2)]
        {
            let lines = forecast(span).load().lines(zone, None);
            let lines: Vec<&str> = lines.lines().collect();
            assert!(
                lines.iter().zip(hours).all(|(line, hour)| line.starts_with(hour)) && lines.len() == 2,
                "{lines:#?}"
            );
            let blanks = lines[0].chars().skip(LABEL_WIDTH).take_while(|c| *c == ' ').count();
            assert_eq!((blanks, lines[1].chars().count()), (first, LABEL_WIDTH + first));
        }
    }

    #[test]
    fn a_single_firing_is_seen_beside_thousands_and_a_quiet_minute_is_told_apart() {
        let span = Span { from: day().from, to: Timestamp::from_millis(day().from.as_millis() + 3 * 60_000) };
        let load = Load { span, minutes: vec![1, 0, 60_000], most: 60_000 };
        assert_eq!(load.lines(Tz::UTC, None), "11-25 00:00 ▁·█\n");
    }
}
