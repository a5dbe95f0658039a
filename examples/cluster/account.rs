//! What the nodes have written, against what the schedule says.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{fs, thread};

use crate::{EVERY, Failure};

/// What became of the occurrences up to `last`.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) by_node: BTreeMap<String, usize>,
    pub(crate) missed: usize,
    /// Begun a second time, although nobody had died.
    pub(crate) twice: usize,
    pub(crate) taken_over: usize,
    pub(crate) unfinished: usize,
}

pub(crate) fn account(diary: &str, first: i64, last: i64, killed: &str) -> Result<Account, Failure> {
    let mut seen = BTreeMap::<i64, (Vec<String>, usize)>::new();
    for line in fs::read_to_string(diary)?.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (starts, ends) = seen.entry(words[1].parse()?).or_default();
        match words[0] {
            "start" => starts.push(words[2].to_owned()),
            _ => *ends += 1,
        }
    }
    let mut account = Account::default();
    for at in (first..=last).step_by(EVERY.as_millis() as usize) {
        let Some((starts, ends)) = seen.get(&at) else {
            account.missed += 1;
            continue;
        };
        starts.iter().for_each(|node| *account.by_node.entry(node.clone()).or_default() += 1);
        match &starts[..] {
            [_] => {}
            [first, _] if first == killed => account.taken_over += 1,
            _ => account.twice += 1,
        }
        account.unfinished += usize::from(*ends == 0);
    }
    Ok(account)
}

impl Account {
    pub(crate) fn is_clean(&self) -> bool {
        self.missed + self.twice + self.unfinished == 0
    }

    pub(crate) fn print(&self) {
        self.by_node.iter().for_each(|(node, starts)| println!("started on {node:<17}{starts:>6}"));
        let found = [("missed", self.missed), ("twice", self.twice), ("unfinished", self.unfinished)];
        for (what, count) in [("begun by the one killed", self.taken_over)].into_iter().chain(found) {
            println!("{what:<28}{count:>6}");
        }
    }
}

/// The node that has begun a run and has not ended it, as soon as there is one.
pub(crate) fn who_is_under_way(diary: &str) -> Result<String, Failure> {
    loop {
        if let Some(begun) = fs::read_to_string(diary)?.lines().last().filter(|line| line.starts_with("start")) {
            return Ok(begun.split(' ').nth(2).unwrap_or_default().to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
