//! The examples of stores that outlive their programs, and of clusters on them.

use std::process::Command;
use std::thread;
use std::time::Duration;

use symphra_scheduler_tests::services::{has_postgres, has_rabbitmq, has_redis, postgres_url, rabbitmq_url, redis_url};

use symphra_scheduler_tests::examples;
use symphra_scheduler_tests::shown::{command, words};

use super::{Program, prints_in_order};

/// Where these examples are shown.
const PAGE: &str = "docs/en/backends.md";

#[test]
fn the_sqlite_example_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("store.db").display());
    let run = || {
        let (status, printed) = Program::start("sqlite", &[&url]).ends();
        assert_eq!(status.code(), Some(0), "{printed}");
        prints_in_order(&printed, &["-- so far", "-- now", "beat of ", "-- all in all"]);
        printed
    };
    let first = run();
    assert!(first.contains("-- so far\n0 occurrences = 0 runs + 0 recorded"), "{first}");
    // Nobody is there for an occurrence.
    thread::sleep(Duration::from_millis(2_500));
    let second = run();
    let counted = |printed: &str, after: &str| {
        let line = printed.split(after).nth(1).and_then(|rest| rest.lines().nth(1)).expect("it counts").to_owned();
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers[0], numbers[1] + numbers[2], "{line}");
        numbers[0]
    };
    assert!(counted(&second, "-- so far") >= counted(&first, "-- all in all"), "{first}{second}");
    assert!(second.contains(" before it that nobody was there for"), "{second}");
    assert!(second.contains(" x missed: nobody could start it in time"), "{second}");
    let (status, _) =
        Program::spawned(Command::new(examples().join("sqlite")).env_remove("SCHEDULER_BACKEND_URL")).ends();
    assert_eq!(status.code(), Some(2), "it has to be told which file");
}

#[test]
fn the_postgres_example_shares_the_work_and_heeds_a_pause() {
    let mut without = Command::new(examples().join("postgres"));
    let told = without.env_remove("SCHEDULER_BACKEND_URL").output().expect("it starts");
    assert_eq!(told.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&told.stderr).contains("postgres postgres://user:password@host/database"));
    if !has_postgres() {
        return;
    }
    let (status, printed) = Program::as_shown(PAGE, "postgres", postgres_url()).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let pause = printed.lines().find(|line| line.starts_with("b: paused by ")).expect("b heeds it");
    assert!(pause.ends_with(": the shop is moving"), "{pause}");
    let counts = printed.lines().find(|line| line.contains(" runs in the store, ")).expect("it counts");
    let counts: Vec<u64> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] == counts[1] && counts[0] > 5, "{printed}");
}

#[test]
fn the_redis_example_shares_the_work_and_goes_on_when_a_node_stops() {
    let mut without = Command::new(examples().join("redis"));
    let told = without.env_remove("SCHEDULER_BACKEND_URL").output().expect("it starts");
    assert_eq!(told.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&told.stderr).contains("redis redis://localhost:6379/0"));
    if !has_redis() {
        return;
    }
    let (status, printed) = Program::as_shown(PAGE, "redis", redis_url()).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let numbers = |part: &str| -> Vec<u64> {
        let line = printed.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {printed}"));
        line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect()
    };
    assert!(numbers("b did")[1] > 0 && numbers(" more")[0] > 3, "{printed}");
    let counts = numbers(" runs in the store, ");
    assert!(counts[0] == counts[1] && counts[0] > 8, "{printed}");
}

#[test]
fn the_rabbitmq_example_goes_on_when_the_owner_stops() {
    let mut without = Command::new(examples().join("rabbitmq"));
    let told = without.env_remove("SCHEDULER_BACKEND_URL").output().expect("it starts");
    assert_eq!(told.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&told.stderr).contains("rabbitmq amqp://user:password@host"));
    if !has_rabbitmq() {
        return;
    }
    let (status, printed) = Program::as_shown(PAGE, "rabbitmq", rabbitmq_url()).ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    let pause = printed.lines().find(|line| line.starts_with("b: paused by ")).expect("b is there");
    assert!(pause.ends_with(": that is enough"), "{pause}");
    let counts = printed.lines().find(|line| line.contains(" runs in the store, ")).expect("it counts");
    let counts: Vec<u64> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] == counts[1] && counts[0] > 10, "{printed}");
}

/// Three nodes, of which one is killed.
fn a_cluster_survives(cluster: Program) {
    let (status, printed) = cluster.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    prints_in_order(&printed, &["started on ", "begun by the one killed"]);
    assert!(printed.contains(" was killed in the middle of a run; d joins"), "{printed}");
    for nothing in ["missed", "twice", "unfinished"] {
        let line = printed.lines().find(|line| line.starts_with(nothing)).expect("it counts");
        assert_eq!(line.split_whitespace().last(), Some("0"), "{printed}");
    }
}

#[test]
fn the_cluster_example_survives_the_death_of_a_node_on_a_file() {
    a_cluster_survives(Program::start("cluster", &[]));
}

#[test]
fn the_cluster_example_survives_the_death_of_a_node_on_a_server() {
    if has_postgres() {
        a_cluster_survives(Program::start("cluster", &[postgres_url()]));
    }
}

#[test]
fn the_cluster_example_survives_the_death_of_a_node_on_redis() {
    if has_redis() {
        a_cluster_survives(Program::as_shown(PAGE, "cluster", redis_url()));
    }
}

#[test]
fn the_cluster_example_survives_the_death_of_a_node_on_rabbitmq() {
    if has_rabbitmq() {
        a_cluster_survives(Program::start("cluster", &[rabbitmq_url()]));
    }
}

#[test]
fn the_servers_to_try_are_those_that_the_pages_name() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = std::fs::read_to_string(root.join("examples/compose.yaml")).expect("it is there");
    let compose: serde_json::Value = serde_saphyr::from_str(&file).expect("it is YAML");
    let up = words(&command(PAGE, "docker compose"));
    assert_eq!(up, ["docker", "compose", "--file", "examples/compose.yaml", "up", "--detach", "--wait"]);
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["postgres", "redis", "rabbitmq"]);
    for (name, service) in services {
        let published = service["ports"][0].as_str().expect("a port");
        let port = published.strip_prefix("127.0.0.1:").and_then(|ports| ports.split(':').next());
        let port = port.unwrap_or_else(|| panic!("{name} is for this machine alone: {published}"));
        let of = |keys: [&str; 2]| keys.iter().find_map(|key| service["environment"][key].as_str());
        let user = of(["POSTGRES_USER", "RABBITMQ_DEFAULT_USER"]);
        let password = of(["POSTGRES_PASSWORD", "RABBITMQ_DEFAULT_PASS"]);
        let login = user.zip(password).map_or_else(String::new, |(user, password)| format!("{user}:{password}@"));
        for language in ["en", "zh"] {
            let page = std::fs::read_to_string(root.join(format!("docs/{language}/backends.md"))).expect("a page");
            let command = page.lines().find(|line| line.contains(&format!("--bin {name} -- ")));
            let command = command.unwrap_or_else(|| panic!("{language} does not say how to try {name}"));
            assert!(command.contains(&format!("://{login}localhost:{port}")), "{command}");
        }
    }
}

#[test]
fn the_example_of_a_backend_of_ones_own_is_asked_for_by_its_name_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    let run = || {
        let (status, printed) = Program::as_shown(PAGE, "custom_backend", &place).ends();
        assert_eq!(status.code(), Some(0), "{printed}");
        assert!(printed.contains("the ledger balances: true"), "{printed}");
        let noted = printed.lines().skip_while(|line| !line.contains("Pause")).map(str::to_owned);
        noted.collect::<Vec<_>>()
    };
    let first = run();
    let has = |line: &str, parts: &[&str]| parts.iter().all(|part| line.contains(part));
    assert_eq!(first.len(), 3, "{first:?}");
    assert!(has(&first[0], &["Pause", "the shop is moving"]), "{first:?}");
    assert!(has(&first[1], &["Submit", "Trigger"]), "{first:?}");
    assert!(has(&first[2], &["Resume"]), "{first:?}");
    assert_eq!(run().len(), 6, "what was written stays");
    let (status, _) = Program::start("custom_backend", &[]).ends();
    assert_eq!(status.code(), Some(1), "it has to be told which folder");
}

#[test]
fn the_jobs_example_runs_each_job_once_and_tells_of_what_fails_wherever_they_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite://{}", folder.path().join("jobs.db").display());
    let mut places = vec![None, Some(&*file)];
    places.extend(has_postgres().then(|| Some(postgres_url())));
    places.extend(has_redis().then(|| Some(redis_url())));
    places.extend(has_rabbitmq().then(|| Some(rabbitmq_url())));
    for place in places {
        let (status, printed) = Program::start("jobs", place.as_slice()).ends();
        assert_eq!(status.code(), Some(0), "{place:?}: {printed}");
        for line in [
            "send_welcome: from shop@example.org to ada@example.org, in fr",
            "send_welcome: from shop@example.org to bob@example.org, in fr",
            "the index is rebuilt once: true",
            "rebuild_index: run ",
            r#"dead letter: "nobody" is no address with {"to":"nobody","language":"fr"}"#,
            "called by hand: Ok(())",
        ] {
            assert_eq!(printed.matches(line).count(), 1, "{place:?}: {line}: {printed}");
        }
    }
}
