//! Simplified Chinese: years, months and days come before the time.

use super::{Days, Meaning, MonthDay, Pattern, Run, Seconds, Time, WeekDay, clock, enumerate, hours_span};

const WEEKDAYS: [&str; 7] = ["周日", "周一", "周二", "周三", "周四", "周五", "周六"];
const NTH: [&str; 5] = ["一", "二", "三", "四", "五"];

pub(super) fn describe(meaning: &Meaning) -> String {
    let mut text = String::new();
    if let Some(years) = &meaning.years {
        text = format!("仅在 {}，", list(years, " 年", " 年至 "));
    }
    if let Some(months) = &meaning.months {
        text = spaced(text, &list(months, " 月", " 月至 "));
    }
    // "每月" where no month is named, "的" after those that are.
    let (of_month, of_week, of_nth) = match meaning.months {
        Some(_) => ("的", "的每", "的"),
        None => ("每月", "每", "每月"),
    };
    text = spaced(
        text,
        &match &meaning.days {
            Days::Every if matches!(meaning.time, Time::At(_)) => "每天".to_owned(),
            Days::Every => String::new(),
            Days::OfMonth(days) => spaced(of_month.to_owned(), &month_days(days)),
            Days::OfWeek(days) => and(&week_days(days, of_week, of_nth)),
            Days::Both(month, week) => {
                let week = enumerate(&week_days(week, "", "当月"), "、", "或");
                format!("{}且为{week}时", spaced(of_month.to_owned(), &month_days(month)))
            }
            Days::Either(month, week) => {
                let week = and(&week_days(week, of_week, of_nth));
                format!("{}以及{}", spaced(of_month.to_owned(), &month_days(month)), week.trim_start_matches('的'))
            }
        },
    );
    let time = match &meaning.time {
        Time::At(times) => {
            let seconds = Seconds::of(times);
            let times: Vec<_> =
                times.iter().map(|&(hour, minute, second)| clock(hour, minute, second, seconds)).collect();
            and(&times)
        }
        Time::Pattern { second: Pattern::One(0), minute, hour } => by_minutes(minute, hour),
        Time::Pattern { second, minute, hour } => by_seconds(second, minute, hour),
    };
    if !text.is_empty() && !text.ends_with('，') {
        text.push(' ');
    }
    text.push_str(&time);
    if !meaning.can_fire {
        text.push_str("（没有这样的日期，永不触发）");
    }
    text
}

/// Puts `right` behind `left`, with the space that stands between a Chinese character and a digit.
fn spaced(mut left: String, right: &str) -> String {
    let needs_space = right.starts_with(|c: char| c.is_ascii_digit()) && !left.is_empty() && !left.ends_with('，');
    if needs_space {
        left.push(' ');
    }
    left + right
}

/// At full minutes.
fn by_minutes(minute: &Pattern, hour: &Pattern) -> String {
    match (minute, hour) {
        (Pattern::One(0), Pattern::Every) => "每小时".to_owned(),
        (&Pattern::One(minute), &Pattern::Step { first, step }) => match (first, minute) {
            (0, 0) => format!("每 {step} 小时"),
            _ => format!("从 {} 起每 {step} 小时", clock(first, minute, 0, Seconds::Hidden)),
        },
        (Pattern::One(_) | Pattern::List(_), Pattern::Every) => format!("每小时{}", named(minute, "分", 60)),
        (Pattern::One(_) | Pattern::List(_), _) => format!("{}的{}", hours(hour), named(minute, "分", 60)),
        (Pattern::Every | Pattern::Step { .. }, _) => format!("{}{}", within_hours(hour), every(minute, "分钟", "分")),
    }
}

fn by_seconds(second: &Pattern, minute: &Pattern, hour: &Pattern) -> String {
    let goes_on = matches!(second, Pattern::Every | Pattern::Step { .. });
    let seconds = if goes_on { every(second, "秒", "秒") } else { named(second, "秒", 60) };
    let of_minutes = match (minute, goes_on) {
        (Pattern::Every, true) => String::new(),
        (Pattern::Every, false) => "每分钟".to_owned(),
        (_, true) => format!("{}内", named(minute, "分", 60)),
        (_, false) => format!("{}的", named(minute, "分", 60)),
    };
    let of_hours = match (minute, hour) {
        (Pattern::Every, _) => within_hours(hour),
        (_, Pattern::Every) => "每小时".to_owned(),
        _ => format!("{}的", hours(hour)),
    };
    format!("{of_hours}{of_minutes}{seconds}")
}

/// `每分钟`, `每 5 分钟`, `从第 2 分起每 5 分钟`.
fn every(pattern: &Pattern, unit: &str, place: &str) -> String {
    match pattern {
        Pattern::Step { first: 0, step } => format!("每 {step} {unit}"),
        Pattern::Step { first, step } => format!("从第 {first} {place}起每 {step} {unit}"),
        _ => format!("每{unit}"),
    }
}

/// `第 5 分`, `第 0、5 和 10 至 12 分`.
fn named(pattern: &Pattern, place: &str, size: u32) -> String {
    match pattern {
        Pattern::Every => format!("每{place}"),
        Pattern::One(value) => format!("第 {value} {place}"),
        Pattern::List(runs) => format!("第 {} {place}", numbers(runs)),
        Pattern::Step { first, step } => format!("第 {} {place}", numbers(&steps(*first, *step, size))),
    }
}

fn hours(hour: &Pattern) -> String {
    match hour {
        Pattern::Every => "每小时".to_owned(),
        Pattern::One(hour) => format!("{hour} 点"),
        Pattern::List(runs) => format!("{} 点", numbers(runs)),
        Pattern::Step { first, step } => format!("{} 点", numbers(&steps(*first, *step, 24))),
    }
}

fn steps(first: u32, step: u32, size: u32) -> Vec<Run> {
    (first..size).step_by(step as usize).map(|value| Run { first: value, last: value }).collect()
}

/// What stands before something that goes on all the time.
fn within_hours(hour: &Pattern) -> String {
    match hour {
        Pattern::Every => String::new(),
        &Pattern::One(hour) => between(Run { first: hour, last: hour }),
        Pattern::List(runs) if runs.len() == 1 => between(runs[0]),
        _ => format!("{}内", hours(hour)),
    }
}

fn between(run: Run) -> String {
    let (first, last) = hours_span(run);
    format!("{first} 至 {last} 之间")
}

fn month_days(days: &[MonthDay]) -> String {
    let days: Vec<_> = days
        .iter()
        .map(|day| match *day {
            MonthDay::Plain(run) if run.is_one() => format!("{} 日", run.first),
            MonthDay::Plain(run) => format!("{} 至 {} 日", run.first, run.last),
            MonthDay::BeforeLast(0) => "最后一天".to_owned(),
            MonthDay::BeforeLast(days) => format!("最后一天的前 {days} 天"),
            MonthDay::NearestWorkday(day) => format!("离 {day} 日最近的工作日"),
            MonthDay::LastWorkday => "最后一个工作日".to_owned(),
        })
        .collect();
    and(&days)
}

/// The days of the week, after `every`, and those of a month, after `of_month`.
fn week_days(days: &[WeekDay], every: &str, of_month: &str) -> Vec<String> {
    let name = |weekday: u32| WEEKDAYS[weekday as usize];
    let mut words: Vec<String> = days
        .iter()
        .map(|day| match *day {
            WeekDay::Plain(run) if run.is_one() => format!("{every}{}", name(run.first)),
            WeekDay::Plain(run) => format!("{every}{}至{}", name(run.first), name(run.last)),
            WeekDay::Last(weekday) => format!("{of_month}最后一个{}", name(weekday)),
            WeekDay::Nth { weekday, nth } => format!("{of_month}第{}个{}", NTH[nth as usize - 1], name(weekday)),
        })
        .collect();
    // "1 月的每周一和每周三": what joins them to the month stands once.
    for word in words.iter_mut().skip(1) {
        *word = word.trim_start_matches('的').to_owned();
    }
    words
}

/// Neighbours as `1 月至 3 月`, where `to` is ` 月至 `; one that wraps around the year says so.
fn list(runs: &[Run], unit: &str, to: &str) -> String {
    let list: Vec<_> = runs
        .iter()
        .map(|run| match run.first.cmp(&run.last) {
            std::cmp::Ordering::Equal => format!("{}{unit}", run.first),
            std::cmp::Ordering::Less => format!("{}{to}{}{unit}", run.first, run.last),
            std::cmp::Ordering::Greater => format!("{}{}次年 {}{unit}", run.first, to.trim_end(), run.last),
        })
        .collect();
    and(&list)
}

fn numbers(runs: &[Run]) -> String {
    let list: Vec<_> = runs
        .iter()
        .map(|run| match run.is_one() {
            true => run.first.to_string(),
            false => format!("{} 至 {}", run.first, run.last),
        })
        .collect();
    and(&list)
}

fn and(items: &[String]) -> String {
    // A space stands where a digit meets the word.
    let space = |meets: bool| if meets { " " } else { "" };
    let (left, right) = match items {
        [.., before, last] => {
            (before.ends_with(|c: char| c.is_ascii_digit()), last.starts_with(|c: char| c.is_ascii_digit()))
        }
        _ => (false, false),
    };
    enumerate(items, "、", &format!("{}和{}", space(left), space(right)))
}
