//! The page of guarantees: each sentence leads to the tests that hold it, and they are there.
//!
//! Whether a test would fail without what the sentence says, whoever writes the sentence has to see.

use std::fs;
use std::path::Path;

use super::{book, page};

/// What a link to a test has that no other has.
const IN_A_FILE: &str = ".rs#";

const SUITE: &str = "scheduler/src/backend/conformance";

/// A sentence of the page, and where its tests are: the file, from the root of the project, and the function.
#[derive(Debug)]
struct Held {
    sentence: String,
    tests: Vec<(String, String)>,
}

/// Behind the first heading of a section there are promises alone, each an entry of a list; before it is what they are about.
fn promises(page: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let sections = page.lines().skip_while(|line| !line.starts_with("## "));
    for line in sections.filter(|line| !line.is_empty() && !line.starts_with("## ")) {
        match (line.strip_prefix("- "), entries.last_mut()) {
            (Some(begins), _) => entries.push(begins.to_owned()),
            (None, Some(entry)) if line.starts_with("  ") => *entry += &format!(" {}", line.trim()),
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// Takes an entry of the list apart.
///
/// # Errors
/// What is wrong with it.
fn taken_apart(entry: &str) -> Result<Held, String> {
    let Some((sentence, links)) = entry.split_once(" [").map(|(sentence, links)| (sentence.trim(), links)) else {
        return Err(format!("nothing holds {entry:?}"));
    };
    let ends = sentence.matches(['。', '!', '?']).count() + sentence.matches(". ").count();
    let is_one = match sentence.strip_suffix('。') {
        Some(_) => ends == 1,
        None => ends == 0 && sentence.ends_with('.'),
    };
    if !is_one {
        return Err(format!("{sentence:?} is not one sentence"));
    }
    let mut tests = Vec::new();
    for link in links.split(" [") {
        let target = link.split_once("](").and_then(|(_, target)| target.strip_suffix(')'));
        let test = target.and_then(|target| target.strip_prefix("../../")).and_then(|target| target.split_once('#'));
        match test {
            Some((file, name)) if link.contains(IN_A_FILE) => tests.push((file.to_owned(), name.to_owned())),
            _ => return Err(format!("{link:?} behind {sentence:?} leads to no test")),
        }
    }
    Ok(Held { sentence: sentence.to_owned(), tests })
}

/// Whether there is a test of this name in this file: a function with the attribute, a promise of the conformance suite, a
/// story of the cluster that is told on each store, or a test that a macro makes for each database.
fn is_test(root: &Path, file: &str, name: &str) -> bool {
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let text = read(file);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let begins = format!("fn {name}(");
    if let Some(place) = lines.iter().position(|line| line.contains(&begins)) {
        let above = lines[..place].iter().rev();
        let mut attributes = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let has_attribute = attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        let is_promised =
            file.starts_with(SUITE) && read(&format!("{SUITE}.rs")).lines().any(|line| line.trim() == name);
        let told = format!("{stem}::{name},");
        let is_told = file.starts_with("tests/cluster/") && read("tests/cluster.rs").contains(&told);
        return has_attribute || is_promised || is_told;
    }
    let made = format!("{name}(store) {{");
    text.contains("macro_rules! on_both") && lines.contains(&&*made)
}

/// What is wrong with a page of guarantees.
fn wrong(root: &Path, page: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for entry in promises(page) {
        match taken_apart(&entry) {
            Ok(Held { sentence, tests }) => {
                let dead = tests.iter().filter(|(file, name)| !is_test(root, file, name));
                wrong.extend(
                    dead.map(|(file, name)| format!("no test {name} is in {file}, which is to hold {sentence:?}")),
                );
            }
            Err(problem) => wrong.push(problem),
        }
    }
    wrong
}

#[test]
fn each_guarantee_leads_to_the_tests_that_hold_it() {
    let root = book().join("..");
    for language in ["en", "zh"] {
        let page = page(language, "guarantees.md");
        assert!(promises(&page).len() > 50, "there are guarantees");
        let wrong = wrong(&root, &page);
        assert!(wrong.is_empty(), "in {language}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn both_languages_hold_their_guarantees_by_the_same_tests() {
    let tests = |language| -> Vec<_> {
        let page = page(language, "guarantees.md");
        promises(&page).iter().filter_map(|entry| taken_apart(entry).ok()).map(|held| held.tests).collect()
    };
    assert_eq!(tests("en"), tests("zh"));
}

#[test]
fn what_is_wrong_with_a_guarantee_is_told() {
    let root = book().join("..");
    let told = |entry: &str| wrong(&root, &format!("# Guarantees\n\nWords.\n\n## One\n\n{entry}\n"));
    let own = "[held](../../tests/book/guarantees.rs#what_is_wrong_with_a_guarantee_is_told)";
    assert_eq!(told(&format!("- It holds.\n  {own}")), [""; 0]);
    assert_eq!(told(&format!("- 它成立。 {own}")), [""; 0]);
    for (entry, problem) in [
        ("It is told and not held.".to_owned(), "nothing holds"),
        ("- It is not held.".to_owned(), "nothing holds"),
        (format!("- It holds. So does this. {own}"), "is not one sentence"),
        (format!("- 它成立。这也是。 {own}"), "is not one sentence"),
        (format!("- It holds {own}"), "is not one sentence"),
        (format!("- It holds. {own} And this. {own}"), "leads to no test"),
        ("- It holds. [held](backends.md)".to_owned(), "leads to no test"),
        ("- It holds. [held](../../tests/book/none.rs#a_test)".to_owned(), "no test a_test is in"),
        ("- It holds. [held](../../tests/book/guarantees.rs#a_test)".to_owned(), "no test a_test is in"),
        ("- It holds. [held](../../tests/book/guarantees.rs#is_test)".to_owned(), "no test is_test is in"),
        ("- It holds. [held](../../tests/cluster/rig.rs#settles)".to_owned(), "no test settles is in"),
        (format!("- It holds. [held](../../{SUITE}/ticking.rs#accounts_for)"), "no test accounts_for is in"),
    ] {
        let told = told(&entry);
        assert!(told.len() == 1 && told[0].contains(problem), "{entry:?}: {told:?}");
    }
}
