//! The page of performance is put together by `scheduler/benches/book`: each of its places has figures, the same in both languages, and
//! those that a check holds are the ones that it holds.

use std::fs;

use symphra_scheduler_tests::shown::commands;

use super::{book, page};

const BEGIN: &str = "<!-- figures: ";
const END: &str = "<!-- end of figures -->";

/// The places of figures: what each is called, and what stands there.
fn places(page: &str) -> Vec<(&str, &str)> {
    let places = page.split(BEGIN).skip(1).map(|place| {
        let (name, rest) = place.split_once(" -->").expect("a place has a name");
        let (figures, _) = rest.split_once(END).unwrap_or_else(|| panic!("{name} ends with {END}"));
        (name, figures)
    });
    places.collect()
}

/// The cells of a table, row by row, without its head.
fn cells(table: &str) -> Vec<Vec<&str>> {
    let rows = table.lines().filter(|line| line.starts_with('|'));
    rows.skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The numbers of a text, in its order.
fn numbers(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')));
    words.filter(|word| word.contains(|c: char| c.is_ascii_digit())).collect()
}

#[test]
fn every_place_has_figures_and_both_languages_have_the_same() {
    let (english, chinese) = (page("en", "performance.md"), page("zh", "performance.md"));
    let (english, chinese) = (places(&english), places(&chinese));
    assert!(!english.is_empty() && english.len() == chinese.len());
    for ((name, figures), (chinese_name, chinese)) in english.into_iter().zip(chinese) {
        assert_eq!(name, chinese_name);
        assert!(!numbers(figures).is_empty(), "{name} has no figures: {figures}");
        for row in cells(figures) {
            assert!(row[1..].iter().any(|cell| !numbers(cell).is_empty()), "{name}: a row without a figure: {row:?}");
            assert!(row.iter().all(|cell| !cell.is_empty()), "{name}: an empty cell: {row:?}");
        }
        // The heads of tables are words, in which a language may have a digit that the other has not.
        let of = |text| match cells(text) {
            rows if rows.is_empty() => numbers(text).join(" "),
            rows => rows.iter().flatten().flat_map(|cell| numbers(cell)).collect::<Vec<_>>().join(" "),
        };
        assert_eq!(of(figures), of(chinese), "{name} in Chinese");
    }
}

#[test]
fn the_page_has_the_instructions_that_are_checked() {
    let checked = fs::read_to_string(book().join("../scheduler/benches/instructions.csv")).expect("they are kept");
    let page = page("en", "performance.md");
    let (_, shown) = places(&page).into_iter().find(|(name, _)| *name == "instructions").expect("a place for them");
    let shown = cells(shown).into_iter().map(|row| format!("{},{}", row[0], row[1].replace(',', "")));
    assert_eq!(shown.collect::<Vec<_>>(), checked.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn the_commands_are_those_that_there_are() {
    for command in commands("docs/en/performance.md") {
        let (program, arguments) = command.split_once(' ').expect("arguments");
        let source =
            fs::read_to_string(book().join("..").join(program)).unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut words = arguments.split(' ').peekable();
        while let Some(word) = words.next() {
            assert!(
                !word.starts_with("--") || source.contains(&format!("\"{word}\"")),
                "{command}: {word} is not known"
            );
            if word == "--only" {
                let part = words.peek().expect("a part");
                assert!(source.contains(&format!("\"{part}\"")), "{command}: there is no part {part}");
            }
        }
    }
}
