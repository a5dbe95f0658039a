//! `--json` on every command: what programs read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rig::{APP, Home, Program, Said, is_as_in, send};

/// The lines of JSON that a program prints, without what differs from run to run.
fn steady(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).expect("a line is JSON");
    for (key, value) in [
        ("node", json!("host-7")),
        ("pid", json!(7)),
        ("version", json!("0.0.0")),
        ("tzdb", json!("2026a")),
        ("source", json!("tests/fixtures/operated.rs:7")),
        ("run", json!("an id")),
        ("utc", json!("2026-11-25T00:00:00.000Z")),
        ("local", json!("2026-11-25 00:00:00 UTC")),
        ("uptime_seconds", json!(1)),
        // A task that is paused has an occurrence each second.
        ("occurrences", json!(1)),
        ("recorded", json!(1)),
    ] {
        replace(&mut line, key, &value);
    }
    line
}

/// Puts `with` in place of every value under `key` that is of its kind.
fn replace(value: &mut Value, key: &str, with: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == key && field.is_string() == with.is_string() && field.is_number() == with.is_number() {
                    with.clone_into(field);
                } else {
                    replace(field, key, with);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, key, with)),
        _ => {}
    }
}

#[test]
fn a_program_in_the_foreground_tells_its_life_in_lines_of_json() {
    let home = Home::new();
    let mut program = Program::of(home.command(APP, "app", &["run", "--json"]));
    let started = program.prints("\"started\"");
    let at: Value = serde_json::from_str(&started).expect("a line is JSON");
    assert_eq!(at["pid"], program.process.id());
    assert!(at["tasks"][3]["source"].as_str().is_some_and(|at| at.starts_with("tests/fixtures/operated.rs:")), "{at}");
    let next = at["tasks"][3]["next"]["local"].as_str().expect("an instant");
    assert!(next.ends_with(" 09:30:00 CST"), "{next}");
    home.app(&["trigger", "slow"]).well();
    program.prints("slow: began");
    send(&program.pid(), "TERM");
    let stopping = program.prints("\"stopping\"");
    send(&program.pid(), "TERM");
    let stopped = program.prints("\"stopped\"");
    assert_eq!(program.process.wait().expect("it ends").code(), Some(0));
    let lines = [started, stopping, stopped].map(|line| format!("{:#}\n", steady(&line)));
    is_as_in("run-json.txt", &lines.concat());
}

#[test]
fn a_program_that_cannot_start_says_so_in_json() {
    let home = Home::new();
    home.write("scheduler.yaml", "tasks: { reprot: {} }\n");
    let said = home.app(&["run", "--json"]);
    let error: Value = serde_json::from_str(&said.err).expect("it is JSON");
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    assert!(error["error"]["message"].as_str().is_some_and(|says| says.contains("\"reprot\"")), "{error}");
}

#[test]
fn wrong_usage_is_told_in_json_too() {
    let home = Home::new();
    let told = |arguments: &[&str]| {
        let said = home.app(arguments);
        assert_eq!((said.code, &*said.out), (Some(2), ""), "{said:?}");
        serde_json::from_str::<Value>(&said.err).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    };
    for (arguments, part) in [
        (&["--json", "lsit"][..], "unrecognized subcommand 'lsit'"),
        (&["next", "-n", "0", "--json"], "0 is not in 1..=1000"),
        (&["show", "--json"], "required arguments were not provided"),
    ] {
        let error = &told(arguments)["error"];
        let message = error["message"].as_str().expect("a text");
        assert_eq!(error["kind"], "usage");
        assert!(message.contains(part) && !message.starts_with("error") && !message.contains('\u{1b}'), "{message}");
    }
    home.app(&["lsit"]).fails(2, &["error: unrecognized subcommand 'lsit'"]);
    let said = home.app(&["trigger", "--jsn", "--", "--json"]);
    assert!(said.err.starts_with("error: "), "what stands after -- is no option: {said:?}");
    assert!(home.app(&["list", "--help", "--json"]).well().contains("Usage:"), "help is text");
}

/// The commands that a help lists.
fn commands_of(help: &str) -> BTreeSet<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// Fails unless it is a table or a list in JSON; or an error, of what is not there.
#[track_caller]
fn is_json(command: &[&str], said: &Said) {
    let is_refused = said.code == Some(1) && said.out.is_empty();
    let json: Result<Value, _> = serde_json::from_str(if is_refused { &said.err } else { &said.out });
    assert!(json.is_ok_and(|json| json.is_object() || json.is_array()), "{command:?}: {said:?}");
}

/// The commands that a program and the binary of the library have in common; `run` is one that waits or executes.
fn of_both(run: &str) -> Vec<Vec<&str>> {
    let of_the_run = [vec!["log", run], vec!["cancel", run], vec!["run-again", run], vec!["drop-letter", run]];
    let others: [&[&str]; 17] = [
        &["list"],
        &["show", "report"],
        &["next"],
        &["trigger", "report"],
        &["pause", "report"],
        &["resume", "report"],
        &["reschedule", "report", "1h"],
        &["runs"],
        &["dead"],
        &["explain", "report", "2026-01-01"],
        &["backfill", "report", "--from", "2026-01-01", "--preview"],
        &["nodes"],
        &["actions"],
        &["health"],
        &["reset", "report"],
        &["completions", "bash"],
        &["man"],
    ];
    of_the_run.into_iter().chain(others.map(<[&str]>::to_vec)).collect()
}

#[test]
fn every_command_prints_json_if_it_is_asked_to() {
    let home = Home::new();
    let mut program = home.runs();
    let slow = home.json(&["trigger", "slow"])["run"].as_str().expect("an id").to_owned();
    program.prints("slow: began");
    let own = [vec!["migrate"], vec!["check"], vec!["plan"], vec!["daemon", "status"]];
    let commands: Vec<_> = of_both(&slow).into_iter().chain(own).collect();
    for command in &commands {
        is_json(command, &home.app(&[&command[..], &["--json"]].concat()));
    }
    assert_eq!(home.ended("slow")["state"], "cancelled", "it was done");
    let help = home.app(&["--help"]).well();
    // What `run` prints is looked at above, and what `dashboard` does in its own tests.
    let looked_at = commands.iter().map(|command| command[0]).chain(["run", "dashboard"]).collect();
    assert_eq!(commands_of(&help), looked_at);
}

#[test]
fn a_cancellation_is_told_in_json_with_its_run() {
    let home = Home::new();
    let mut program = home.runs();
    let run = home.json(&["trigger", "slow"])["run"].clone();
    program.prints("slow: began");
    let cancelled = home.json(&["cancel", run.as_str().expect("an id")]);
    assert_eq!((&cancelled["done"], &cancelled["run"]), (&json!("cancelled"), &run), "{cancelled}");
}

#[test]
fn every_command_of_the_binary_prints_json_if_it_is_asked_to() {
    let home = Home::new();
    let url = format!("sqlite://{}", home.path("store.db").display());
    let store = ["--url", url.as_str(), "--namespace", "kept", "--json"];
    let migrated = home.symphra(&[&["migrate"], &store[..]].concat()).well();
    let migrated: Value = serde_json::from_str(&migrated).expect("it is JSON");
    assert_eq!(migrated, json!({ "backend": "sqlite", "up_to_date": true }));
    // The tasks come with the program, which leaves a run that waits.
    let settings = format!("shutdown_timeout: 1ms\nbackend: {{ url: '{url}', namespace: kept }}\n");
    home.write("scheduler.yaml", &settings);
    assert_eq!(home.runs().ends_by("TERM"), Some(0));
    let run = home.symphra(&[&["trigger", "slow"], &store[..]].concat()).well();
    let run: Value = serde_json::from_str(&run).expect("it is JSON");
    let run = run["run"].as_str().expect("an id").to_owned();
    let commands: Vec<_> = of_both(&run).into_iter().chain([vec!["cron", "0 9 * * *"]]).collect();
    for command in &commands {
        is_json(command, &home.symphra(&[&command[..], &store].concat()));
    }
    let help = home.symphra(&["--help"]).well();
    let looked_at = commands.iter().map(|command| command[0]).chain(["migrate", "dashboard"]).collect();
    assert_eq!(commands_of(&help), looked_at);
}
