//! English.

use super::{Days, Meaning, MonthDay, Pattern, Run, Seconds, Time, WeekDay, clock, enumerate, hours_span};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const NTH: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

pub(super) fn describe(meaning: &Meaning) -> String {
    let mut text = match &meaning.time {
        Time::At(times) => {
            let seconds = Seconds::of(times);
            let times: Vec<_> =
                times.iter().map(|&(hour, minute, second)| clock(hour, minute, second, seconds)).collect();
            format!("at {}", and(&times))
        }
        Time::Pattern { second: Pattern::One(0), minute, hour } => by_minutes(minute, hour),
        Time::Pattern { second, minute, hour } => by_seconds(second, minute, hour),
    };
    text.push_str(&match &meaning.days {
        Days::Every if matches!(meaning.time, Time::At(_)) => " every day".to_owned(),
        Days::Every => String::new(),
        Days::OfMonth(days) => month_days(days),
        Days::OfWeek(days) => match days[..] {
            [WeekDay::Plain(run)] if !run.is_one() => format!(", {}", weekdays(run)),
            _ => format!(" on {}", and(&week_days(days, ""))),
        },
        Days::Both(of_month, of_week) => {
            format!("{} when it is {}", month_days(of_month), enumerate(&week_days(of_week, "a "), ", ", " or "))
        }
        Days::Either(of_month, of_week) => format!("{} and on {}", month_days(of_month), and(&week_days(of_week, ""))),
    });
    if let Some(months) = &meaning.months {
        let name = |month: u32| MONTHS[month as usize - 1];
        let list: Vec<_> = months
            .iter()
            .map(|run| match run.is_one() {
                true => name(run.first).to_owned(),
                false => format!("{} to {}", name(run.first), name(run.last)),
            })
            .collect();
        let word = if matches!(months[..], [run] if !run.is_one()) { "from" } else { "in" };
        text.push_str(&format!(" {word} {}", and(&list)));
    }
    if let Some(years) = &meaning.years {
        text.push_str(&format!(", only in {}", numbers(years)));
    }
    if !meaning.can_fire {
        text.push_str(" (there is no such date: never)");
    }
    text
}

/// At full minutes.
fn by_minutes(minute: &Pattern, hour: &Pattern) -> String {
    match (minute, hour) {
        (Pattern::One(0), Pattern::Every) => "every hour".to_owned(),
        (&Pattern::One(minute), &Pattern::Step { first, step }) => match (first, minute) {
            (0, 0) => format!("every {step} hours"),
            _ => format!("every {step} hours from {}", clock(first, minute, 0, Seconds::Hidden)),
        },
        (Pattern::One(_) | Pattern::List(_), _) => format!("at {}{}", named(minute, "minute"), of_hours(hour)),
        (Pattern::Every | Pattern::Step { .. }, _) => format!("{}{}", every(minute, "minute"), within_hours(hour)),
    }
}

fn by_seconds(second: &Pattern, minute: &Pattern, hour: &Pattern) -> String {
    let (seconds, of_minute) = match second {
        Pattern::Every | Pattern::Step { .. } => (every(second, "second"), ""),
        Pattern::One(_) | Pattern::List(_) => (format!("at {}", named(second, "second")), " of every minute"),
    };
    match minute {
        Pattern::Every => format!("{seconds}{of_minute}{}", within_hours(hour)),
        _ if of_minute.is_empty() => format!("{seconds} in {}{}", named(minute, "minute"), of_hours(hour)),
        _ => format!("{seconds} of {}{}", named(minute, "minute"), of_hours(hour)),
    }
}

/// `every second`, `every 5 minutes`, `every 5 minutes from minute 2`.
fn every(pattern: &Pattern, unit: &str) -> String {
    match pattern {
        Pattern::Step { first: 0, step } => format!("every {step} {unit}s"),
        Pattern::Step { first, step } => format!("every {step} {unit}s from {unit} {first}"),
        _ => format!("every {unit}"),
    }
}

/// `minute 5`, `minutes 0, 5 and 10 to 12`.
fn named(pattern: &Pattern, unit: &str) -> String {
    match pattern {
        Pattern::Every => format!("every {unit}"),
        Pattern::One(value) => format!("{unit} {value}"),
        Pattern::List(runs) => format!("{unit}s {}", numbers(runs)),
        Pattern::Step { first: 0, step } => format!("every {} {unit}", ordinal(*step)),
        Pattern::Step { first, step } => format!("every {} {unit} from {first}", ordinal(*step)),
    }
}

/// What follows a minute: ` of every hour`, ` of hours 9 to 17`.
fn of_hours(hour: &Pattern) -> String {
    format!(" of {}", named(hour, "hour"))
}

/// What follows something that goes on all the time.
fn within_hours(hour: &Pattern) -> String {
    match hour {
        Pattern::Every => String::new(),
        &Pattern::One(hour) => between(Run { first: hour, last: hour }),
        Pattern::List(runs) if runs.len() == 1 => between(runs[0]),
        _ => format!(" in {}", named(hour, "hour")),
    }
}

fn between(run: Run) -> String {
    let (first, last) = hours_span(run);
    format!(" from {first} to {last}")
}

fn month_days(days: &[MonthDay]) -> String {
    let days: Vec<_> = days
        .iter()
        .map(|day| match *day {
            MonthDay::Plain(run) if run.is_one() => format!("the {}", ordinal(run.first)),
            MonthDay::Plain(run) => format!("the {} to the {}", ordinal(run.first), ordinal(run.last)),
            MonthDay::BeforeLast(0) => "the last day".to_owned(),
            MonthDay::BeforeLast(1) => "the day before the last day".to_owned(),
            MonthDay::BeforeLast(days) => format!("the day {days} days before the last day"),
            MonthDay::NearestWorkday(day) => format!("the weekday nearest the {}", ordinal(day)),
            MonthDay::LastWorkday => "the last weekday".to_owned(),
        })
        .collect();
    format!(" on {} of the month", and(&days))
}

/// The days of the week; a single one after `article`.
fn week_days(days: &[WeekDay], article: &str) -> Vec<String> {
    let name = |weekday: u32| WEEKDAYS[weekday as usize];
    days.iter()
        .map(|day| match *day {
            WeekDay::Plain(run) if run.is_one() => format!("{article}{}", name(run.first)),
            WeekDay::Plain(run) => weekdays(run),
            WeekDay::Last(weekday) => format!("the last {} of the month", name(weekday)),
            WeekDay::Nth { weekday, nth } => format!("the {} {} of the month", NTH[nth as usize - 1], name(weekday)),
        })
        .collect()
}

fn weekdays(run: Run) -> String {
    format!("{} to {}", WEEKDAYS[run.first as usize], WEEKDAYS[run.last as usize])
}

fn numbers(runs: &[Run]) -> String {
    let list: Vec<_> = runs
        .iter()
        .map(|run| match run.is_one() {
            true => run.first.to_string(),
            false => format!("{} to {}", run.first, run.last),
        })
        .collect();
    and(&list)
}

fn and(items: &[String]) -> String {
    enumerate(items, ", ", " and ")
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (1, 1 | 21 | 31 | 41 | 51) => "st",
        (2, 2 | 22 | 32 | 42 | 52) => "nd",
        (3, 3 | 23 | 33 | 43 | 53) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
