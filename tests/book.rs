//! The book in two languages is one book: the same pages, as many headings, the same code.

#[path = "book/blocks.rs"]
mod blocks;
#[path = "book/clock_changes.rs"]
mod clock_changes;
#[cfg(unix)]
#[path = "book/commands.rs"]
mod commands;
#[path = "book/elsewhere.rs"]
mod elsewhere;
#[path = "book/guarantees.rs"]
mod guarantees;
#[path = "book/inside.rs"]
mod inside;
#[path = "book/kubernetes.rs"]
mod kubernetes;
#[path = "book/links.rs"]
mod links;
#[path = "book/performance.rs"]
mod performance;
#[cfg(unix)]
#[path = "book/proof.rs"]
mod proof;
#[cfg(unix)]
#[path = "book/start.rs"]
mod start;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// All pages but the summary.
fn pages(language: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(book().join(language)).expect("a folder of the book");
    let names = entries.map(|entry| entry.expect("a page").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect()
}

fn page(language: &str, name: &str) -> String {
    fs::read_to_string(book().join(language).join(name)).expect("a readable page")
}

fn code_blocks(page: &str) -> Vec<&str> {
    page.split("```").skip(1).step_by(2).collect()
}

/// The levels of its headings, in order; code has none.
fn headings(page: &str) -> Vec<usize> {
    let prose: String = page.split("```").step_by(2).collect();
    prose
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.bytes().take_while(|&b| b == b'#').count())
        .collect()
}

#[test]
fn both_languages_have_the_same_pages_headings_and_code() {
    let english = pages("en");
    assert!(!english.is_empty(), "there is a book");
    assert_eq!(english, pages("zh"));
    for name in &english {
        let (english, chinese) = (page("en", name), page("zh", name));
        assert_eq!(code_blocks(&english), code_blocks(&chinese), "the code of {name}");
        assert_eq!(headings(&english), headings(&chinese), "the headings of {name}");
    }
}

/// What the summary lists, in order: the title and the file of each page.
fn listed(language: &str) -> Vec<(String, String)> {
    let summary = page(language, "SUMMARY.md");
    let links = summary.lines().filter_map(|line| line.trim_start_matches("- ").strip_prefix('['));
    let pairs = links.map(|link| link.trim_end_matches(')').split_once("](").expect("a link"));
    pairs.map(|(title, file)| (title.to_owned(), file.to_owned())).collect()
}

#[test]
fn the_summaries_list_each_page_once_by_its_title_and_in_one_order() {
    let files = |language| listed(language).into_iter().map(|(_, file)| file).collect::<Vec<_>>();
    assert_eq!(files("en"), files("zh"), "the order of the pages");
    let overview = fs::read_to_string(book().join("README.md")).expect("the overview of the book");
    for language in ["en", "zh"] {
        let mut sorted = files(language);
        sorted.sort_unstable();
        assert_eq!(sorted, pages(language).into_iter().collect::<Vec<_>>(), "the summary of {language}");
        for (title, file) in listed(language) {
            let first = page(language, &file).lines().next().map(str::to_owned);
            assert_eq!(first, Some(format!("# {title}")), "the title of {language}/{file}");
            let link = format!("[{title}]({language}/{file})");
            assert!(overview.contains(&link), "{link} is missing in docs/README.md");
        }
    }
}

#[test]
fn every_page_is_compiled() {
    let compiled = include_str!("support.rs");
    for name in pages("en") {
        assert!(compiled.contains(&format!("\"../docs/en/{name}\"")), "{name} is not among the examples of support.rs");
    }
    assert!(compiled.contains("\"../README.md\""), "the README is not among the examples of support.rs");
}
