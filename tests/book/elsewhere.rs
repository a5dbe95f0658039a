//! The pages for those who come from elsewhere, and for those who upgrade: what they show of other systems stands in a program that
//! asks those systems, and what they say that ours refuses is what it says.

use std::fs;
use std::path::Path;

use symphra_scheduler::{Migrate, SchedulerConfig, SqliteBackend};

use super::{book, code_blocks, page, pages};

/// The programs that ask other systems, by what their pages call the code.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("from-tokio-cron-scheduler.md", "rust,ignore", "scheduler/benches/peers/src/bin/migration.rs"),
    ("from-apalis.md", "rust,ignore", "scheduler/benches/peers/src/bin/migration_apalis.rs"),
    ("from-python.md", "python", "tests/migration/from_python.py"),
    ("from-apscheduler.md", "python", "tests/migration/from_apscheduler.py"),
    ("from-celery-beat.md", "python", "tests/migration/from_celery_beat.py"),
    ("from-quartz.md", "java", "tests/migration/Quartz.java"),
];

/// The blocks of code in `kind` of a page.
fn code<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    code_blocks(page).into_iter().filter_map(|block| block.strip_prefix(kind)?.strip_prefix('\n')).collect()
}

/// The lines without what they are indented by, and none that is empty.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn code_of_other_systems_stands_in_the_program_that_asks_them() {
    for name in pages("en").iter().filter(|name| name.starts_with("from-")) {
        let (_, kind, program) =
            PROGRAMS.iter().find(|(page, ..)| page == name).unwrap_or_else(|| panic!("{name} has no program"));
        let text = page("en", name);
        let shown = code(&text, kind);
        assert!(!shown.is_empty(), "{name} shows code in {kind}");
        let source = fs::read_to_string(book().join("..").join(program)).expect("the program is there");
        let source = lines(&source);
        for block in shown {
            let block = lines(block);
            assert!(source.windows(block.len()).any(|there| there == block), "{name}: {program} has no\n{block:#?}");
        }
    }
}

/// What the rows of tables link to: the names of the links below the page, and pages without their headings.
fn sources(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let links = rows.map(|row| {
        let named = row.split("][").skip(1).filter_map(|rest| rest.split(']').next());
        let direct = row.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let mut links: Vec<String> = named.chain(direct).map(str::to_owned).collect();
        links.sort_unstable();
        links
    });
    links.collect()
}

#[test]
fn both_languages_of_the_comparison_have_the_same_sources() {
    let (english, chinese) = (page("en", "comparison.md"), page("zh", "comparison.md"));
    assert_eq!(sources(&english), sources(&chinese));
    assert!(sources(&english).concat().len() > 80, "there are sources");
    for page in [&english, &chinese] {
        let below = page.lines().filter(|line| line.starts_with('[') && line.contains("]: https://"));
        let mut named: Vec<&str> = below.filter_map(|line| line[1..].split("]: ").next()).collect();
        let mut used: Vec<&str> = page.split("][").skip(1).filter_map(|rest| rest.split(']').next()).collect();
        for names in [&mut named, &mut used] {
            names.sort_unstable();
            names.dedup();
        }
        assert_eq!(named, used, "each link has an address, and each address a link");
    }
}

#[test]
fn every_heading_of_the_ancestors_guide_has_its_page() {
    let headings = [
        "Overview",
        "duplicate task execution",
        "Ctrl+C cannot stop",
        "daemon logs printed to terminal",
        "embed inside an async application",
        "standalone daemon process",
        "foreground mode",
        "Programmatic configuration",
        "Environment variables",
        "YAML configuration",
        "Monitoring and debugging",
        "Logging configuration",
        "Performance optimization",
        "Best practices",
        "Troubleshooting",
        "Upgrade notes",
        "Related docs and examples",
    ];
    let text = page("en", "from-python.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && line.contains(".md")).collect();
    for heading in headings {
        assert!(
            rows.iter().any(|row| row[2..].split(" |").next().is_some_and(|cell| cell.ends_with(heading))),
            "{heading}"
        );
    }
    for language in ["en", "zh"] {
        let text = page(language, "from-python.md");
        let of_the_guide = text.split("\n## ").nth(2).expect("the section on the guide");
        let rows: Vec<&str> = of_the_guide.lines().filter(|line| line.contains(".md")).collect();
        assert_eq!(rows.len(), headings.len(), "of {language}");
        for link in rows.iter().flat_map(|row| row.split("](").skip(1)) {
            let target = link.split(')').next().unwrap_or_default();
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let there = fs::read_to_string(book().join(language).join(file)).expect("a readable page");
            let is_there = there.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == place);
            assert!(place.is_empty() || is_there, "{language}: {target} is nowhere");
        }
    }
}

/// How a link names a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_configuration_of_the_ancestor_is_refused_as_the_page_says() {
    let text = page("en", "from-python.md");
    let ([file], [says]) = (&code(&text, "yaml")[..], &code(&text, "text")[..]) else {
        panic!("one file, and what is said of it")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scheduler.yaml");
    fs::write(&path, file).expect("it can be written");
    let error = SchedulerConfig::from_file(&path).expect_err("it is wrong").to_string();
    let shown = error.replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(format!("Error: {shown}"), says.trim_end());
}

#[tokio::test]
async fn a_store_of_another_version_is_refused_as_the_page_says() {
    let text = page("en", "upgrading.md");
    let says = code(&text, "text");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("store.db").display());
    let options = || SqliteBackend::options().namespace("billing");
    drop(options().connect(&url).await.expect("it is made"));
    let pool = sqlx::SqlitePool::connect(&url).await.expect("it opens");
    let [sample] = code(&text, "sql")[..] else { panic!("one sample of SQL") };
    let now: (i64, i64) =
        sqlx::query_as(sqlx::AssertSqlSafe(sample.trim().to_owned())).fetch_one(&pool).await.expect("a row");
    let row = format!("| SQLite, PostgreSQL | {} | {} |", now.0, now.1);
    assert!(text.contains(&row), "the page has not {row}");
    for (version, admits, migrate, said) in [(9, 8, Migrate::Auto, says[0]), (3, 1, Migrate::Check, says[1])] {
        let set = format!("UPDATE billing_meta SET schema_version = {version}, admits = {admits}");
        sqlx::query(sqlx::AssertSqlSafe(set)).execute(&pool).await.expect("it is set");
        let error = options().migrate(migrate).connect(&url).await.expect_err("it is refused");
        let error = format!("{error:?}");
        assert!(error.contains(said.trim_end()), "{error}");
    }
}

#[test]
fn the_path_of_each_program_leads_there_from_its_page() {
    for (name, _, program) in PROGRAMS {
        assert!(page("en", name).contains(&format!("(../../{program})")), "{name} does not name {program}");
        assert!(Path::new(&book().join("..").join(program)).exists(), "{program}");
    }
}
