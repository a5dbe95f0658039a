//! Each command that the book or the README shows is held by a test that takes it from the page and types it. What a test cannot have it puts
//! its own in the place of: a private server, an example that is built already, and for minutes of chaos, soaks and mutants a cargo that notes
//! what it is asked for. Not run are `docker compose` and the benches: their words are compared with what there is.

use std::fs;
use std::path::Path;

use symphra_scheduler_tests::shown::{commands, example};

use super::pages;

/// Of a page, so many commands that begin so: the file and the test that types them. The longest that fits is what counts.
const TYPED: &[(&str, usize, &str, &str, &str)] = &[
    (
        "README.md",
        1,
        "cargo run -p examples --bin quickstart",
        "tests/examples.rs",
        "the_quickstart_prints_its_table_fires_and_stops_by_itself",
    ),
    (
        "README.md",
        1,
        "cargo run -p examples --bin quickstart -- --backend",
        "tests/examples.rs",
        "the_quickstart_keeps_what_happened_in_a_file_if_it_is_named_one",
    ),
    ("README.md", 1, "./tests/run", "tests/book/commands.rs", "the_command_that_runs_every_test_is_what_has_to_pass"),
    (
        "docs/en/backends.md",
        1,
        "docker compose",
        "tests/examples/stores.rs",
        "the_servers_to_try_are_those_that_the_pages_name",
    ),
    (
        "docs/en/backends.md",
        1,
        "cargo run -p examples --bin postgres",
        "tests/examples/stores.rs",
        "the_postgres_example_shares_the_work_and_heeds_a_pause",
    ),
    (
        "docs/en/backends.md",
        1,
        "cargo run -p examples --bin redis",
        "tests/examples/stores.rs",
        "the_redis_example_shares_the_work_and_goes_on_when_a_node_stops",
    ),
    (
        "docs/en/backends.md",
        1,
        "cargo run -p examples --bin rabbitmq",
        "tests/examples/stores.rs",
        "the_rabbitmq_example_goes_on_when_the_owner_stops",
    ),
    (
        "docs/en/backends.md",
        1,
        "cargo run -p examples --bin cluster",
        "tests/examples/stores.rs",
        "the_cluster_example_survives_the_death_of_a_node_on_redis",
    ),
    (
        "docs/en/backends.md",
        1,
        "rabbitmqctl set_permissions",
        "tests/conformance/rabbitmq_rights.rs",
        "a_user_with_the_rights_of_the_page_has_all_that_a_store_needs",
    ),
    (
        "docs/en/backends.md",
        1,
        "cargo run -p examples --bin custom_backend",
        "tests/examples/stores.rs",
        "the_example_of_a_backend_of_ones_own_is_asked_for_by_its_name_and_goes_on_where_it_was",
    ),
    ("docs/en/backends.md", 2, "payroll", "tests/cli/pages.rs", "a_store_is_reached_by_the_commands_of_the_pages"),
    ("docs/en/backends.md", 1, "symphra", "tests/cli/pages.rs", "a_store_is_reached_by_the_commands_of_the_pages"),
    ("docs/en/cli.md", 1, "symphra", "tests/cli/pages.rs", "a_store_is_reached_by_the_commands_of_the_pages"),
    ("docs/en/cli.md", 1, "billing", "tests/cli/pages.rs", "a_store_is_reached_by_the_commands_of_the_pages"),
    ("docs/en/dashboard.md", 3, "", "tests/cli/dashboard.rs", "a_dashboard_stands_alone_as_the_page_has_it"),
    ("docs/en/logging.md", 1, "billing log", "tests/cli/pages.rs", "the_log_of_a_run_is_shown_as_the_page_has_it"),
    (
        "docs/en/performance.md",
        4,
        "scheduler/benches/",
        "tests/book/performance.rs",
        "the_commands_are_those_that_there_are",
    ),
    ("docs/en/plan.md", 13, "", "tests/plan.rs", "the_commands_of_the_page_do_what_it_says"),
    ("docs/en/plan.md", 2, "symphra cron", "tests/plan.rs", "an_expression_is_explained_as_the_page_has_it"),
    ("docs/en/proof.md", 3, "", "tests/book/proof.rs", "the_commands_of_the_page_ask_for_what_it_says"),
    ("docs/en/start.md", 13, "", "tests/book/start.rs", "whoever_does_what_the_start_page_says_sees_what_it_shows"),
    (
        "docs/en/troubleshooting.md",
        10,
        "shop",
        "tests/cli/pages.rs",
        "the_samples_of_the_page_are_what_the_commands_say",
    ),
];

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn each_command_of_the_book_is_typed_by_a_test() {
    let mut used = vec![0; TYPED.len()];
    let pages = pages("en").into_iter().map(|name| format!("docs/en/{name}"));
    for page in pages.chain(["README.md".to_owned()]) {
        for command in commands(&page) {
            let rows = TYPED.iter().enumerate();
            let fits = rows.filter(|(_, (of, _, beginning, ..))| *of == page && command.starts_with(beginning));
            let longest = fits.max_by_key(|(_, (_, _, beginning, ..))| beginning.len());
            let (row, _) = longest.unwrap_or_else(|| panic!("{page}: no test types {command:?}"));
            used[row] += 1;
        }
    }
    for ((page, count, beginning, file, test), used) in TYPED.iter().zip(used) {
        assert_eq!(used, *count, "commands of {page} that begin with {beginning:?}: does {test} type them all?");
        let source = source(file);
        assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}");
        let name = page.rsplit('/').next().unwrap_or(page);
        assert!(source.contains(name), "{file} does not read {name}");
    }
}

/// A sample shows what is typed by a `$`, so that it is found here.
#[test]
fn no_command_stands_in_a_sample_without_its_sign() {
    let programs = [
        "cargo",
        "docker",
        "kubectl",
        "rabbitmqctl",
        "redis-cli",
        "psql",
        "symphra ",
        "curl",
        "./tests/",
        "scheduler/benches/",
    ];
    for name in pages("en") {
        let page = super::page("en", &name);
        for block in super::code_blocks(&page).into_iter().filter_map(|block| block.strip_prefix("text\n")) {
            let bare = block.lines().find(|line| programs.iter().any(|program| line.starts_with(program)));
            assert_eq!(bare, None, "{name}");
        }
    }
}

/// What prose names among its words is there, and a test runs it.
#[test]
fn examples_that_prose_names_are_run_by_a_test() {
    let mut tests = source("tests/examples.rs");
    for name in ["configuration", "dashboard", "inside", "killed", "stores", "systemd"] {
        tests.push_str(&source(&format!("tests/examples/{name}.rs")));
    }
    let mut named = 0;
    for name in pages("en") {
        let page = super::page("en", &name);
        let words = page.split('`').filter(|words| words.starts_with("cargo run -p examples"));
        for words in words {
            let (example, _) = example(words);
            assert!(tests.contains(&format!("\"{example}\"")), "{name}: no test runs {example}");
            named += 1;
        }
    }
    assert!(named > 3, "pages name examples");
}

/// `./tests/run` of the README runs this test itself; that it is what has to pass before a change lands is seen here.
#[test]
fn the_command_that_runs_every_test_is_what_has_to_pass() {
    let shown = symphra_scheduler_tests::shown::command("README.md", "./tests/run");
    let last = source(".ci/run").lines().last().map(str::to_owned);
    assert_eq!(last, Some(format!("step {shown}")));
}
