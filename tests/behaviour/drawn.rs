//! The drawings in the documentation of the policies, played: what they show is what happens.
//!
//! A drawing is read out of the source. Its first line tells in which columns occurrences are due; a column is a second.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use symphra_scheduler::{Delay, Misfire, Overlap, RunContext, RunState, Task, Timestamp};

use crate::kit::{at, every, runs, seconds, start_one};

/// How many columns of a drawing are one period.
const PERIOD: u64 = 6;

/// A drawing of the documentation.
struct Drawing {
    lines: Vec<Vec<char>>,
    /// The column in which `1` is due.
    first: usize,
}

impl Drawing {
    /// The one in `file` whose first line begins with `begins`, and in which `holds` stands.
    fn of(file: &str, begins: &str, holds: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scheduler/src").join(file);
        let source = fs::read_to_string(file).expect("a readable source");
        let lines = source.lines().map(|line| line.trim_start().trim_start_matches("///"));
        let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
        let source = lines.collect::<Vec<_>>().join("\n");
        let drawings = source.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
        let drawing = drawings.filter(|drawing| drawing.starts_with(begins)).find(|drawing| drawing.contains(holds));
        let lines: Vec<Vec<char>> = drawing.expect("it is drawn").lines().map(|line| line.chars().collect()).collect();
        let first = lines[0].iter().position(|&of| of == '1').expect("occurrences are numbered");
        Self { lines, first }
    }

    /// The lines of `name`: the one that begins so, and those below it that have no name.
    fn lines_of(&self, name: &str) -> Vec<&[char]> {
        let begins = |line: &Vec<char>| line.iter().collect::<String>().starts_with(&format!("{name} "));
        let place = self.lines.iter().position(begins).expect("it is drawn");
        let below = self.lines[place + 1..].iter().take_while(|line| line.first() == Some(&' '));
        std::iter::once(&self.lines[place])
            .chain(below)
            .map(|line| line.get(self.first..).unwrap_or_default())
            .collect()
    }

    /// How far the drawing of `name` goes, in seconds: a remark beside it is no part of it.
    fn length(&self, name: &str) -> usize {
        let bar = |line: &&[char]| line.iter().rposition(|&of| of == '━').map_or(0, |last| last + 1);
        self.lines_of(name).iter().map(bar).max().expect("there is a line")
    }
}

/// The instant of the `number`th occurrence.
fn due(number: usize) -> Timestamp {
    at(i64::try_from(number).expect("a drawing is short") * PERIOD as i64)
}

/// The second of the drawing in which an instant lies: its first occurrence is due in 0.
fn column(at: Timestamp) -> usize {
    usize::try_from(at.since(due(1)).as_secs()).expect("a drawing is short")
}

/// The number of the occurrence that is due at `at`.
fn number(at: Timestamp) -> usize {
    column(at) / PERIOD as usize + 1
}

/// A run that a task has had.
#[derive(Debug)]
struct Had {
    number: usize,
    /// In which columns it executed; none if it waits.
    executed: Range<usize>,
    is_cancelled: bool,
}

/// The runs that `task` has had in the first `length` seconds after its first occurrence.
async fn played(task: impl Fn() -> Task, length: usize) -> Vec<Had> {
    let test = start_one(task).await;
    test.run_until(due(1).plus(seconds(length as u64)).minus(Duration::from_millis(1))).await;
    let fired = test.all_fired();
    let had = runs(&test, "slow").await.into_iter().map(|run| {
        let began = fired.iter().find(|fired| fired.run == run.id).map(|fired| column(fired.began_at.into()));
        let ended = run.finished_at.map_or(length, column);
        let is_cancelled = run.state == RunState::Cancelled;
        Had { number: number(run.scheduled_at), executed: began.map_or(0..0, |began| began..ended), is_cancelled }
    });
    had.collect()
}

fn busy(had: &[Had], length: usize) -> Vec<usize> {
    (0..length).filter(|column| had.iter().any(|run| run.executed.contains(column))).collect()
}

/// The columns in which one of `signs` is drawn.
fn columns(line: &[char], length: usize, signs: &str) -> Vec<usize> {
    (0..length).filter(|&column| line.get(column).is_some_and(|&sign| signs.contains(sign))).collect()
}

fn slow(overlap: Overlap, body: Duration) -> Task {
    Task::new("slow", every(PERIOD), move |run: RunContext| async move {
        tokio::select! {
            () = tokio::time::sleep(body) => {}
            () = run.cancelled() => {}
        }
    })
    .overlap(overlap)
}

#[tokio::test(start_paused = true)]
async fn each_overlap_policy_is_as_it_is_drawn() {
    let drawing = Drawing::of("schedule/policy.rs", "due", "CancelRunning");
    for overlap in [Overlap::Skip, Overlap::BufferOne, Overlap::BufferAll, Overlap::CancelRunning] {
        let name = format!("{overlap:?}");
        let (lines, length) = (drawing.lines_of(&name), drawing.length(&name));
        let had = played(|| slow(overlap, Duration::from_millis(15_100)), length).await;
        assert_eq!(columns(lines[0], length, "━!"), busy(&had, length), "{name}: when a run executes");
        let cancelled: Vec<_> = had.iter().filter(|run| run.is_cancelled).map(|run| run.executed.end - 1).collect();
        assert_eq!(columns(lines[0], length, "!"), cancelled, "{name}: which runs are cancelled");

        let Some(marks) = lines.get(1) else { continue };
        for number in 2..=7 {
            let column = (number - 1) * PERIOD as usize;
            let meant = match had.iter().find(|run| run.number == number) {
                None => '×',
                Some(run) if run.executed.start == column => ' ',
                Some(_) => 'w',
            };
            assert_eq!(marks.get(column).copied().unwrap_or(' '), meant, "{name}: the occurrence {number}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn runs_beside_one_another_are_as_they_are_drawn() {
    let drawing = Drawing::of("schedule/policy.rs", "due", "CancelRunning");
    let (lines, length) = (drawing.lines_of("Allow"), drawing.length("Allow"));
    let had = played(|| slow(Overlap::Allow, seconds(15)), length + 1).await;
    assert_eq!(lines.len(), 3);
    for (line, run) in lines.iter().zip(&had) {
        assert_eq!(columns(line, length, "━"), run.executed.clone().collect::<Vec<_>>(), "{run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_delay_is_as_it_is_drawn() {
    let drawing = Drawing::of("schedule/policy.rs", " ", "FixedDelay");
    for delay in [Delay::FixedRate, Delay::FixedDelay] {
        let name = format!("{delay:?}");
        let (lines, length) = (drawing.lines_of(&name), drawing.length(&name));
        let body = async || tokio::time::sleep(seconds(9)).await;
        let had = played(move || Task::new("slow", every(PERIOD), body).delay(delay), length).await;
        assert_eq!(columns(lines[0], length, "━"), busy(&had, length), "{name}");
    }
}

/// Occurrences by their numbers: those that ran in time, those that ran late, those that were recorded.
#[derive(Debug, Default, PartialEq)]
struct Became {
    in_time: Vec<usize>,
    late: Vec<usize>,
    recorded: Vec<usize>,
}

impl Became {
    /// What a line shows.
    fn drawn(line: &[char]) -> Self {
        let mut drawn = Self::default();
        let mut column = 0;
        while column < line.len() {
            let number = column / PERIOD as usize + 1;
            match line[column..] {
                ['━', '(', ref rest @ ..] => {
                    let numbers: String = rest.iter().take_while(|&&sign| sign != ')').collect();
                    drawn.late.extend(numbers.split(',').map(|number| number.parse::<usize>().expect("a number")));
                    column += numbers.chars().count() + 2;
                }
                ['━', ..] => drawn.in_time.push(number),
                ['×', ..] => drawn.recorded.push(number),
                _ => {}
            }
            column += 1;
        }
        drawn
    }

    /// What the first `dues` occurrences of a task are, if its scheduler is away from the second to the last but one.
    async fn played(task: impl Fn() -> Task, dues: usize) -> Self {
        let mut test = start_one(task).await;
        test.run_until(due(1).plus(seconds(PERIOD / 2))).await;
        let down = due(dues).minus(Duration::from_millis(500)).since(test.now().into());
        test.restart(down).await.expect("it starts again");
        test.run_until(due(dues)).await;
        let mut played = Self::default();
        for run in test.all_fired() {
            let runs = if run.began_at > run.scheduled_at { &mut played.late } else { &mut played.in_time };
            runs.push(number(run.scheduled_at.into()));
        }
        let has_run = |number: &usize| played.in_time.contains(number) || played.late.contains(number);
        played.recorded = (1..=dues).filter(|number| !has_run(number)).collect();
        played
    }
}

fn tick(misfire: Misfire) -> Task {
    let overlap = if misfire == Misfire::RunAll { Overlap::BufferAll } else { Overlap::Skip };
    Task::new("tick", every(PERIOD), async || {}).misfire(misfire).overlap(overlap)
}

#[tokio::test(start_paused = true)]
async fn each_misfire_policy_is_as_it_is_drawn() {
    let drawing = Drawing::of("schedule/policy.rs", "due", "RunOnce");
    for misfire in [Misfire::RunOnce, Misfire::Skip, Misfire::RunAll] {
        let name = format!("{misfire:?}");
        let mut drawn = Became::drawn(&drawing.lines_of(&name)[0][..drawing.length(&name)]);
        assert_eq!(drawn.in_time.pop(), Some(6), "{name}: it goes on");
        assert_eq!(drawn, Became::played(|| tick(misfire), 5).await, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_window_is_as_it_is_drawn() {
    let drawing = Drawing::of("task/options.rs", "due", "RunAll");
    let drawn = Became::drawn(&drawing.lines_of("RunAll")[0][..drawing.length("RunAll")]);
    let window = Duration::from_secs(PERIOD * 5 / 2);
    assert_eq!(drawn, Became::played(|| tick(Misfire::RunAll).catch_up_window(window), 7).await);
}
