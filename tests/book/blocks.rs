//! Each block of the book that is neither Rust, which is compiled, nor commands, which are typed (`commands.rs`), is held by a test that takes
//! it from its page.

use std::fs;

use super::{book, pages};

/// Of a page, so many blocks of a kind that begin so.
type Blocks = (&'static str, usize, &'static str, &'static str);

/// The file and the name of a test, and the blocks that it holds. Of those that fit one, the longest beginning counts.
const HELD: &[(&str, &str, &[Blocks])] = &[
    (
        "schema.rs",
        "what_is_right_is_valid_and_read",
        &[
            ("backends.md", 4, "yaml", ""),
            ("configuration.md", 1, "yaml", ""),
            ("configuration.md", 1, "toml", ""),
            ("metrics.md", 1, "yaml", ""),
        ],
    ),
    (
        "backends.rs",
        "the_samples_of_the_book_look_into_a_database_with_the_rights_that_it_names",
        &[("backends.md", 1, "sql", "GRANT")],
    ),
    ("backends.rs", "the_samples_of_the_book_look_into_a_file", &[("backends.md", 3, "sql", "SELECT")]),
    ("backends.rs", "the_samples_of_the_book_look_into_a_redis", &[("backends.md", 1, "redis", "")]),
    (
        "conformance/redis_losses.rs",
        "the_words_of_a_loss_are_those_of_the_page",
        &[("backends.md", 1, "text", "Redis has lost")],
    ),
    (
        "examples/configuration.rs",
        "seven_mistakes_are_seven_entries_each_with_its_line",
        &[("configuration.md", 1, "yaml", "scheduler:\n  max_workers: many"), ("configuration.md", 1, "text", "Error")],
    ),
    (
        "schema.rs",
        "dependencies_of_the_book_are_of_this_version_and_name_features_that_there_are",
        &[
            ("configuration.md", 1, "toml", "[dependencies]"),
            ("running.md", 1, "toml", ""),
            ("testing.md", 1, "toml", ""),
        ],
    ),
    ("behaviour/explaining.rs", "sentences_of_the_page_are_what_is_said", &[("control.md", 1, "text", "")]),
    (
        "book/elsewhere.rs",
        "code_of_other_systems_stands_in_the_program_that_asks_them",
        &[
            ("from-apscheduler.md", 1, "python", ""),
            ("from-celery-beat.md", 1, "python", ""),
            ("from-python.md", 1, "python", ""),
            ("from-quartz.md", 1, "java", ""),
        ],
    ),
    (
        "book/elsewhere.rs",
        "a_configuration_of_the_ancestor_is_refused_as_the_page_says",
        &[("from-python.md", 1, "yaml", ""), ("from-python.md", 1, "text", "")],
    ),
    ("book/inside.rs", "the_unit_that_is_told_is_one_that_systemd_understands", &[("inside.md", 1, "ini", "")]),
    ("book/inside.rs", "a_name_that_two_crates_have_is_refused_as_the_page_says", &[("inside.md", 1, "text", "")]),
    ("book/kubernetes.rs", "pods_have_time_to_drain_and_variables_that_there_are", &[("kubernetes.md", 3, "yaml", "")]),
    ("logging.rs", "a_line_of_a_body_is_as_the_page_has_it", &[("logging.md", 1, "text", "2026")]),
    ("cli/pages.rs", "the_log_of_a_run_is_shown_as_the_page_has_it", &[("logging.md", 1, "text", "$ billing log")]),
    (
        "book/performance.rs",
        "every_place_has_figures_and_both_languages_have_the_same",
        &[("performance.md", 1, "text", "2 cores")],
    ),
    (
        "plan.rs",
        "plans_of_the_page_are_what_the_commands_print",
        &[("plan.md", 2, "text", "2026-11-25"), ("plan.md", 1, "json", "")],
    ),
    ("plan.rs", "an_expression_is_explained_as_the_page_has_it", &[("plan.md", 1, "text", "$ symphra cron")]),
    ("supervised.rs", "the_unit_of_the_book_says_what_it_relies_on", &[("running.md", 1, "ini", "")]),
    (
        "supervised.rs",
        "a_program_that_is_started_by_the_image_drains_as_process_1",
        &[("running.md", 1, "dockerfile", "")],
    ),
    ("supervised.rs", "the_image_of_the_book_is_given_time_to_drain", &[("running.md", 1, "yaml", "")]),
    (
        "book/start.rs",
        "whoever_does_what_the_start_page_says_sees_what_it_shows",
        &[("start.md", 1, "toml", ""), ("start.md", 4, "text", "")],
    ),
    ("behaviour/state.rs", "the_error_of_a_missing_state_is_what_the_page_shows", &[("state.md", 1, "text", "")]),
    (
        "cli/pages.rs",
        "the_samples_of_the_page_are_what_the_commands_say",
        &[("troubleshooting.md", 10, "text", "$ shop")],
    ),
    ("logging.rs", "the_line_of_a_busy_file_is_one_of_the_events", &[("troubleshooting.md", 1, "text", "WARN")]),
    (
        "book/elsewhere.rs",
        "a_store_of_another_version_is_refused_as_the_page_says",
        &[("upgrading.md", 2, "text", ""), ("upgrading.md", 1, "sql", "")],
    ),
];

/// The page of the policies, and the sign of what is drawn there: `behaviour/drawn.rs` plays the drawings where they stand in the source.
const DRAWN: (&str, &str) = ("occurrences.md", "━");

#[test]
fn each_block_of_the_book_is_held_by_a_test() {
    let rows: Vec<_> = HELD.iter().flat_map(|(_, test, held)| held.iter().map(move |blocks| (*test, blocks))).collect();
    let mut found = vec![0; rows.len()];
    for name in pages("en") {
        let page = super::page("en", &name);
        for block in super::code_blocks(&page) {
            let (kind, text) = block.split_once('\n').expect("a kind, and text");
            if kind.starts_with("rust") || kind == "sh" || (name == DRAWN.0 && text.contains(DRAWN.1)) {
                continue;
            }
            let fits = rows
                .iter()
                .enumerate()
                .filter(|(_, (_, (of, _, held, begins)))| *of == name && *held == kind && text.starts_with(begins));
            let longest = fits.max_by_key(|(_, (_, (.., begins)))| begins.len());
            let (row, _) = longest.unwrap_or_else(|| panic!("{name}: no test holds this block in {kind:?}:\n{text}"));
            found[row] += 1;
        }
    }
    for ((test, (name, count, kind, begins)), found) in rows.iter().zip(found) {
        assert_eq!(found, *count, "blocks of {name} in {kind} that begin with {begins:?}: does {test} hold them all?");
    }
    for (file, test, held) in HELD {
        let path = book().join("../tests").join(file);
        let source = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}");
        for (name, ..) in *held {
            assert!(source.contains(name), "{file} does not read {name}");
        }
    }
}
