//! What the bodies say, against what the schedules promise: which occurrences are missed, which extra, which incomplete.
//!
//! It knows nothing of the store. What the store says of occurrences that did not run comes in as spans that excuse them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// How the body of an attempt was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Start,
    /// It is about to return an error.
    Fail,
    End,
}

/// A line of a node's diary.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) seen: Seen,
    pub(crate) task: String,
    pub(crate) origin: String,
    pub(crate) instant: i64,
    pub(crate) run: String,
    pub(crate) attempt: u32,
    pub(crate) node: String,
    pub(crate) at: i64,
    /// How many occurrences the run covers, and from which on.
    pub(crate) missed: Option<(u64, i64)>,
}

impl Line {
    /// Reads what a node has written.
    pub(crate) fn read(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [seen, task, origin, instant, run, attempt, node, at, missed] = words[..] else {
            panic!("a line of a diary has nine words: {line:?}")
        };
        let number = |word: &str| word.parse::<i64>().unwrap_or_else(|_| panic!("{word:?} is no number: {line:?}"));
        Self {
            seen: match seen {
                "start" => Seen::Start,
                "fail" => Seen::Fail,
                "end" => Seen::End,
                other => panic!("{other:?} is seen by nobody: {line:?}"),
            },
            task: task.into(),
            origin: origin.into(),
            instant: number(instant),
            run: run.into(),
            attempt: u32::try_from(number(attempt)).expect("attempts are counted from 1"),
            node: node.into(),
            at: number(at),
            missed: missed.split_once(':').map(|(count, first)| (number(count).unsigned_abs(), number(first))),
        }
    }
}

/// All diaries of a folder, in the order of time.
pub(crate) fn diaries(folder: &Path) -> Vec<Line> {
    let files = fs::read_dir(folder).expect("the folder is there").map(|file| file.expect("it can be listed").path());
    let mut lines: Vec<Line> = files
        .filter(|path| path.extension().is_some_and(|kind| kind == "diary"))
        .flat_map(|path| {
            let text = fs::read_to_string(path).expect("a diary is text");
            // What is just being written has no end yet.
            text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(Line::read).collect::<Vec<_>>()
        })
        .collect();
    lines.sort_by_key(|line| line.at);
    lines
}

/// The occurrences of one task: `first`, and then each `period` milliseconds up to `last`.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) task: String,
    pub(crate) first: i64,
    pub(crate) period: i64,
    pub(crate) last: i64,
    /// Whether an attempt that has started may not be followed by another.
    pub(crate) at_most_once: bool,
}

impl Promise {
    fn instants(&self) -> impl Iterator<Item = i64> + use<> {
        let (first, period, last) = (self.first, self.period, self.last);
        (0..).map(move |place| first + place * period).take_while(move |&instant| instant <= last)
    }

    fn has(&self, instant: i64) -> bool {
        instant >= self.first && (instant - self.first) % self.period == 0
    }
}

/// Occurrences of `task` from `first` to `last` of which the store says why they did not run.
#[derive(Clone, Debug)]
pub(crate) struct Excuse {
    pub(crate) task: String,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// What is wrong; nothing is, if all three are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) missed: Vec<String>,
    pub(crate) extra: Vec<String>,
    pub(crate) incomplete: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, found) in [("missed", &self.missed), ("extra", &self.extra), ("incomplete", &self.incomplete)] {
            writeln!(f, "{what}: {}", found.len())?;
            found.iter().try_for_each(|found| writeln!(f, "  {found}"))?;
        }
        Ok(())
    }
}

/// The attempts of one occurrence.
#[derive(Default)]
struct Life<'a> {
    /// Each start, in the order of time.
    starts: Vec<&'a Line>,
    ended: HashSet<(u32, &'a str)>,
    failed: HashSet<(u32, &'a str)>,
}

/// Judges. `lost` are the nodes that were killed, frozen or cut off: what they had started may be started again.
pub(crate) fn judge(lines: &[Line], promises: &[Promise], excuses: &[Excuse], lost: &[&str]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut lives = BTreeMap::<(&str, i64), Life<'_>>::new();
    let mut covered = BTreeSet::new();
    for line in lines.iter().filter(|line| line.origin == "schedule") {
        let life = lives.entry((&line.task, line.instant)).or_default();
        let attempt = (line.attempt, line.node.as_str());
        match line.seen {
            Seen::Start => life.starts.push(line),
            Seen::Fail => drop(life.failed.insert(attempt)),
            Seen::End => drop(life.ended.insert(attempt)),
        }
        covered.extend(line.missed.map(|(_, first)| (line.task.as_str(), first, line.instant)));
    }
    for promise in promises {
        for instant in promise.instants().filter(|&instant| !lives.contains_key(&(promise.task.as_str(), instant))) {
            let is_covered =
                covered.iter().any(|&(task, first, by)| task == promise.task && (first..by).contains(&instant));
            let is_excused = excuses
                .iter()
                .any(|excuse| excuse.task == promise.task && (excuse.first..=excuse.last).contains(&instant));
            if !is_covered && !is_excused {
                verdict.missed.push(format!("{} of {instant}", promise.task));
            }
        }
    }
    for ((task, instant), life) in &lives {
        let Some(promise) = promises.iter().find(|promise| promise.task == *task) else {
            verdict.extra.push(format!("{task}, which nobody promised"));
            continue;
        };
        let mut wrong = |why: String| verdict.extra.push(format!("{task} of {instant}: {why}"));
        if !promise.has(*instant) {
            wrong("it is no occurrence".into());
        }
        if life.starts.iter().any(|start| start.at < *instant) {
            wrong("it started early".into());
        }
        for (place, start) in life.starts.iter().enumerate() {
            for later in &life.starts[place + 1..] {
                let is_lost = lost.contains(&start.node.as_str());
                let attempt = (start.attempt, start.node.as_str());
                if later.run != start.run {
                    wrong(format!("it became two runs, {} and {}", start.run, later.run));
                } else if later.attempt == start.attempt {
                    wrong(format!("attempt {} started on {} and on {}", start.attempt, start.node, later.node));
                } else if promise.at_most_once {
                    wrong(format!("at most once, and attempt {} on {}", later.attempt, later.node));
                } else if life.ended.contains(&attempt) && !is_lost {
                    wrong(format!("attempt {} after {} had ended on {}", later.attempt, start.attempt, start.node));
                } else if !life.failed.contains(&attempt) && !is_lost {
                    wrong(format!("attempt {} while {} ran on {}", later.attempt, start.attempt, start.node));
                }
            }
        }
        let is_given_up = promise.at_most_once && life.starts.iter().any(|start| lost.contains(&start.node.as_str()));
        if life.ended.is_empty() && !is_given_up && *instant <= promise.last {
            let attempts = life.starts.len();
            verdict.incomplete.push(format!("{task} of {instant}: {attempts} attempts started, none came to its end"));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise() -> Promise {
        Promise { task: "beat".into(), first: 1_000, period: 500, last: 2_500, at_most_once: false }
    }

    /// Lines of runs that have the name of their instant.
    fn lines(written: &[(&str, i64, u32, &str)]) -> Vec<Line> {
        let lines = written.iter().map(|(seen, instant, attempt, node)| {
            Line::read(&format!("{seen} beat schedule {instant} run{instant} {attempt} {node} {} -", instant + 7))
        });
        lines.collect()
    }

    fn all_four() -> Vec<(&'static str, i64, u32, &'static str)> {
        [1_000, 1_500, 2_000, 2_500].into_iter().flat_map(|at| [("start", at, 1, "a"), ("end", at, 1, "a")]).collect()
    }

    fn verdict(written: &[(&str, i64, u32, &str)], lost: &[&str]) -> Verdict {
        judge(&lines(written), &[promise()], &[], lost)
    }

    /// How much is missed, extra and incomplete.
    fn counts(verdict: &Verdict) -> (usize, usize, usize) {
        (verdict.missed.len(), verdict.extra.len(), verdict.incomplete.len())
    }

    #[test]
    fn a_whole_diary_is_clean() {
        assert!(verdict(&all_four(), &[]).is_clean());
    }

    #[test]
    fn an_occurrence_that_never_started_is_missed() {
        let left_out: Vec<_> = all_four().into_iter().filter(|line| line.1 != 1_500).collect();
        let found = verdict(&left_out, &[]);
        assert_eq!((counts(&found), &*found.missed[0]), ((1, 0, 0), "beat of 1500"));
        let excuse = Excuse { task: "beat".into(), first: 1_500, last: 1_500 };
        assert!(judge(&lines(&left_out), &[promise()], &[excuse], &[]).is_clean());
        let of_another = Excuse { task: "other".into(), first: 1_500, last: 1_500 };
        assert_eq!(counts(&judge(&lines(&left_out), &[promise()], &[of_another], &[])), (1, 0, 0));
    }

    #[test]
    fn a_run_covers_what_it_says_and_no_more() {
        let mut written = lines(&all_four());
        written.retain(|line| line.instant == 2_500);
        written.iter_mut().for_each(|line| line.missed = Some((2, 1_500)));
        let found = judge(&written, &[promise()], &[], &[]);
        assert_eq!((counts(&found), &*found.missed[0]), ((1, 0, 0), "beat of 1000"));
    }

    #[test]
    fn a_second_start_is_extra_unless_the_first_failed_or_its_node_was_lost() {
        let again = |first: &str, lost: &[&str]| {
            let mut written = all_four();
            written[1].0 = if first == "none" { "end" } else { "fail" };
            written.extend([("start", 1_000, 2, "b"), ("end", 1_000, 2, "b")]);
            counts(&verdict(&written, lost))
        };
        assert_eq!(again("none", &[]), (0, 1, 0));
        assert_eq!(again("none", &["a"]), (0, 0, 0));
        assert_eq!(again("fail", &[]), (0, 0, 0));
        let running = [all_four(), vec![("start", 3_000, 1, "a"), ("start", 3_000, 2, "b"), ("end", 3_000, 2, "b")]];
        assert_eq!(counts(&verdict(&running.concat(), &[])), (0, 1, 0));
    }

    #[test]
    fn one_attempt_on_two_nodes_and_two_runs_of_one_occurrence_are_extra_whatever_was_lost() {
        let twice = [all_four(), vec![("start", 1_000, 1, "b")]].concat();
        assert_eq!(counts(&verdict(&twice, &["a", "b"])), (0, 1, 0));
        let mut two_runs = lines(&[all_four(), vec![("start", 1_000, 2, "b"), ("end", 1_000, 2, "b")]].concat());
        two_runs.last_mut().expect("it is there").run = "another".into();
        two_runs.iter_mut().filter(|line| line.node == "b").for_each(|line| line.run = "another".into());
        assert_eq!(counts(&judge(&two_runs, &[promise()], &[], &["a"])), (0, 1, 0));
    }

    #[test]
    fn at_most_once_forgives_no_second_start_and_no_end_of_a_lost_node() {
        let promise = Promise { at_most_once: true, ..promise() };
        let again = [all_four(), vec![("start", 1_000, 2, "b"), ("end", 1_000, 2, "b")]].concat();
        assert_eq!(counts(&judge(&lines(&again), std::slice::from_ref(&promise), &[], &["a"])), (0, 1, 0));
        let mut unfinished = all_four();
        unfinished.remove(1);
        assert_eq!(counts(&judge(&lines(&unfinished), std::slice::from_ref(&promise), &[], &["a"])), (0, 0, 0));
        assert_eq!(counts(&judge(&lines(&unfinished), &[promise], &[], &[])), (0, 0, 1));
    }

    #[test]
    fn what_is_no_occurrence_or_early_is_extra() {
        let stray = [all_four(), vec![("start", 1_250, 1, "a"), ("end", 1_250, 1, "a")]].concat();
        assert_eq!(counts(&verdict(&stray, &[])), (0, 1, 0));
        let mut early = lines(&all_four());
        early[0].at = 999;
        assert_eq!(counts(&judge(&early, &[promise()], &[], &[])), (0, 1, 0));
    }

    #[test]
    fn what_started_and_never_ended_is_incomplete_unless_a_later_attempt_ended() {
        let mut written = all_four();
        written.remove(1);
        assert_eq!(counts(&verdict(&written, &["a"])), (0, 0, 1));
        // What is younger than the promise may be under way.
        written.push(("start", 3_000, 1, "b"));
        assert_eq!(counts(&verdict(&written, &["a"])), (0, 0, 1));
        written.push(("start", 1_000, 2, "b"));
        assert_eq!(counts(&verdict(&written, &["a"])), (0, 0, 1));
        written.push(("end", 1_000, 2, "b"));
        assert_eq!(counts(&verdict(&written, &["a"])), (0, 0, 0));
    }
}
