//! Commands against a running program.

use serde_json::{Value, json};

use super::rig::Home;

fn names(tasks: &Value) -> Vec<&str> {
    tasks.as_array().expect("a list").iter().filter_map(|task| task["name"].as_str()).collect()
}

#[test]
fn a_running_program_is_listed_from_another_process() {
    let home = Home::new();
    let _program = home.runs();
    let tasks = home.json(&["list"]);
    assert_eq!(names(&tasks), ["a task whose name takes its place", "fails", "often", "report", "slow"]);
    let report = &tasks[3];
    assert_eq!(report["schedule"], "at 09:30, Monday to Friday");
    assert_eq!((&report["timezone"], &report["status"]), (&json!("Asia/Shanghai"), &json!("pending")));
    assert_eq!(
        (&report["tags"], &report["metadata"]),
        (
            &json!(["reports", "finance"]),
            &json!([["owner", "billing"], ["api_token", "***"], ["dsn", "redis://app:***@db/0"]])
        )
    );
    let next = &report["next"];
    assert!(next["utc"].as_str().is_some_and(|utc| utc.ends_with("T01:30:00.000Z")), "{next}");
    assert!(next["local"].as_str().is_some_and(|local| local.ends_with(" 09:30:00 CST")), "{next}");
    assert_eq!(names(&home.json(&["list", "--tag", "finance"])), ["report"]);
    assert_eq!(home.json(&["list", "--status", "cancelled"]), json!([]));
    assert_eq!(home.app(&["list", "--tag", "none"]).well(), "no task");
    let text = home.app(&["list"]).well();
    assert!(text.starts_with("TASK ") && text.contains("at 09:30, Monday to Friday"), "{text}");
}

#[test]
fn a_secret_in_the_facts_of_a_task_is_never_shown() {
    let home = Home::new();
    let shows = |home: &Home| {
        for command in [&["list", "--json"][..], &["show", "report"], &["show", "report", "--json"]] {
            let said = home.app(command);
            assert!(said.code == Some(0) && !said.out.contains("hunter2"), "{command:?}: {said:?}");
            assert!(said.out.contains("***") && said.out.contains("app:***@db"), "{command:?}: {said:?}");
        }
    };
    // As it declares them, as it tells them while it runs, and as its store does when it is gone.
    shows(&home);
    let program = home.runs();
    shows(&home);
    assert_eq!(program.ends_by("TERM"), Some(0));
    home.write("scheduler.yaml", &format!("backend: sqlite://{}\n", home.path("store.db").display()));
    let program = home.runs();
    assert_eq!(program.ends_by("TERM"), Some(0));
    shows(&home);
}

#[test]
fn a_trigger_runs_a_task_and_its_run_is_told() {
    let home = Home::new();
    let mut program = home.runs();
    let triggered = home.json(&["trigger", "report"]);
    program.prints("report: done");
    let run = home.ended("report");
    assert_eq!((&run["id"], &run["state"]), (&triggered["run"], &json!("succeeded")));
    assert_eq!(run["origin"], format!("trigger {}", triggered["run"].as_str().expect("an id")));

    let said = home.app(&["trigger", "fails"]).well();
    assert!(said.starts_with("triggered fails, run "), "{said}");
    assert_eq!(home.ended("fails")["state"], "failed");
    let runs = home.json(&["runs", "--state", "failed", "--state", "timed_out"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(1));
    assert_eq!(home.json(&["runs", "--to", "2020-01-01"]), json!([]));
    assert_eq!(home.json(&["runs", "-n", "1"]).as_array().map(Vec::len), Some(1));
    let page = home.json(&["show", "fails"]);
    assert_eq!((&page["status"], &page["failed_runs"]), (&json!("failed"), &json!(1)));
    assert_eq!(page["latest_runs"][0]["state"], "failed");
}

#[test]
fn what_a_task_says_of_its_failure_cannot_write_to_a_terminal() {
    let home = Home::new();
    let _program = home.runs();
    home.app(&["trigger", "fails"]).well();
    home.ended("fails");
    for command in [&["runs"][..], &["runs", "--color", "always"], &["show", "fails"]] {
        let text = home.app(command).well();
        let foreign = ['\u{7}', '\u{202e}'];
        assert!(text.contains("no \u{fffd}[31mink\u{fffd}\u{fffd} left") && !text.contains(foreign), "{text:?}");
    }
    let json = home.app(&["runs", "--json"]).well();
    assert!(
        json.contains("no \\u001b[31mink\\u0007\\u202e left") && json.chars().all(|c| c == '\n' || c >= ' '),
        "{json:?}"
    );
    assert_eq!(home.json(&["runs"])[0]["failure"], "no \u{1b}[31mink\u{7}\u{202e} left", "JSON has it as it is");
}

#[test]
fn what_a_run_wrote_is_shown_by_its_id() {
    let home = Home::new();
    let program = home.runs();
    let triggered = home.json(&["trigger", "fails"]);
    let id = triggered["run"].as_str().expect("an id");
    home.ended("fails");
    let text = home.app(&["log", id]).well();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("fails, scheduled at ") && lines[0].ends_with(", failed, attempt 1"), "{text}");
    assert!(lines[1].ends_with("the \u{fffd}[31mprinter\u{fffd} says") && lines[2] == "nothing", "{text:?}");
    let log = home.json(&["log", id]);
    assert_eq!((&log["id"], &log["state"], &log["task"]), (&json!(id), &json!("failed"), &json!("fails")));
    assert_eq!(log["log"]["attempt"], 1);
    let written = log["log"]["text"].as_str().expect("it wrote something");
    assert!(written.contains(" WARN ") && written.ends_with("the \u{1b}[31mprinter\u{7} says\nnothing"), "{written:?}");

    let quiet = home.json(&["trigger", "report"]);
    home.ended("report");
    let quiet = quiet["run"].as_str().expect("an id");
    assert!(home.app(&["log", quiet]).well().ends_with("attempt 1\nnothing is kept of its log"));
    let running = home.json(&["trigger", "slow"]);
    let running = running["run"].as_str().expect("an id");
    let said = home.app(&["log", running]).well();
    assert!(said.ends_with("\nwhat an attempt writes is kept when it ends"), "{said}");
    let unknown = "019ca2f8-0000-7000-8000-000000000000";
    home.app(&["log", unknown]).fails(1, &[&format!("there is no run {unknown}, or it is older than what is kept")]);
    home.app(&["log", "report"]).fails(2, &["report", "RUN"]);
    assert_eq!(program.ends_by("TERM"), Some(0));
    home.app(&["log", id]).fails(3, &["no program \"app\" is running"]);
}

#[test]
fn a_pause_tells_who_and_why() {
    let home = Home::new();
    let _program = home.runs();
    assert_eq!(home.app(&["pause", "report", "--reason", "moving the database"]).well(), "paused report");
    let page = home.json(&["show", "report"]);
    assert_eq!((&page["status"], &page["pause"]["reason"]), (&json!("paused"), &json!("moving the database")));
    let by = page["pause"]["by"].as_str().expect("somebody");
    assert!(by.contains("uid ") && by.ends_with("cli)"), "{by}");
    let text = home.app(&["show", "report"]).well();
    assert!(text.contains(by) && text.contains(": moving the database"), "{text}");
    assert_eq!(names(&home.json(&["list", "--status", "paused"])), ["often", "report"]);
    assert!(home.app(&["resume", "report"]).well().starts_with("resumed report; next at "));
    assert_eq!(home.json(&["pause", "--all"])["task"], Value::Null);
    assert_eq!(home.json(&["list", "--status", "paused"]).as_array().map(Vec::len), Some(5));
    assert_eq!(home.app(&["resume", "--all"]).well(), "resumed all tasks");
    assert_eq!(names(&home.json(&["list", "--status", "paused"])), ["often"]);
}

#[test]
fn an_instant_is_explained_in_the_zone_of_its_task() {
    let home = Home::new();
    let _program = home.runs();
    let ahead = home.json(&["explain", "report", "2099-12-31 09:30"]);
    assert_eq!((&ahead["outcome"], &ahead["at"]["utc"]), (&json!("ahead"), &json!("2099-12-31T01:30:00.000Z")));
    let none = home.json(&["explain", "report", "2099-12-31T09:30:00Z"]);
    assert_eq!(none["outcome"], "no_occurrence");
    assert_eq!(none["previous"]["local"], "2099-12-31 09:30:00 CST");
    let said = home.app(&["explain", "report", "2020-01-01 09:30"]).well();
    assert!(said.starts_with("report: 2020-01-01T01:30:00.000Z is no occurrence: "), "{said}");
}

#[test]
fn a_task_gets_another_schedule() {
    let home = Home::new();
    let _program = home.runs();
    let said = home.app(&["reschedule", "report", "0 12 1 1 *"]).well();
    assert!(said.starts_with("rescheduled report: at 12:00 on the 1st of the month in January; next at "), "{said}");
    let next = home.json(&["next", "report", "-n", "3"]);
    let instants = next[0]["next"].as_array().expect("a list");
    assert_eq!(instants.len(), 3);
    assert!(instants.iter().all(|at| at["local"].as_str().is_some_and(|at| at.ends_with("-01-01 12:00:00 CST"))));
    assert_eq!(home.json(&["next", "-n", "1"]).as_array().map(Vec::len), Some(5), "all tasks");
    home.app(&["reschedule", "report", "2001-01-01"]).fails(1, &["has no occurrence after now"]);
}

#[test]
fn a_run_is_cancelled_by_its_id() {
    let home = Home::new();
    let mut program = home.runs();
    let run = home.json(&["trigger", "slow"])["run"].as_str().expect("an id").to_owned();
    program.prints("slow: began");
    assert_eq!(home.json(&["list", "--status", "running"])[0]["running"], 1);
    assert_eq!(home.app(&["cancel", &run]).well(), format!("cancelled run {run}"));
    assert_eq!(home.ended("slow")["state"], "cancelled");
    home.app(&["cancel", &run]).fails(1, &["has ended already: cancelled"]);
    let unknown = "01a214a9-0000-7000-8000-000000000000";
    home.app(&["cancel", unknown]).fails(1, &["there is no run 01a214a9-0000"]);
    home.app(&["cancel", "soon"]).fails(2, &["invalid value 'soon' for '<RUN>'"]);
}

/// The span of what a task that is paused has not run, as soon as it has some occurrences: first, last, how many.
pub(super) fn not_run(home: &Home) -> (String, String, usize) {
    let began = std::time::Instant::now();
    loop {
        let record = &home.json(&["show", "often"])["records"][0];
        let text = |end: &str| record[end]["utc"].as_str().unwrap_or_default().to_owned();
        match record["count"].as_u64() {
            Some(count @ 2..) => return (text("first"), text("last"), usize::try_from(count).expect("a few")),
            _ => assert!(began.elapsed() < super::rig::PATIENCE, "it is recorded: {record}"),
        }
    }
}

#[test]
fn a_backfill_is_previewed_begun_and_waited_for() {
    let home = Home::new();
    let _program = home.runs();
    let (from, to, count) = not_run(&home);
    let span = ["backfill", "often", "--from", &from, "--to", &to];
    let with = |more: &'static str| [&span[..], &[more]].concat();
    let preview = home.json(&with("--preview"));
    assert_eq!((preview["occurrences"].as_array().map(Vec::len), &preview["id"]), (Some(count), &Value::Null));
    assert_eq!(preview["occurrences"][0]["utc"], from);
    assert_eq!(home.json(&["runs"]), json!([]), "a preview runs nothing");

    let waited = home.json(&with("--wait"));
    assert_eq!(waited["runs"].as_array().map(Vec::len), Some(count));
    assert_eq!(waited["ended"], json!({ "succeeded": count }));
    let nothing = home.app(&with("--wait")).well();
    assert_eq!(nothing, "nothing to run: no occurrence of the range since the first registration lacks a success");
    let again = home.app(&with("--rerun")).well();
    assert!(
        again.starts_with("backfill ") && again.ends_with(&format!(": {count} runs, one after another")),
        "{again}"
    );
}

#[test]
fn a_backfill_whose_runs_fail_is_told_by_its_exit_code() {
    let home = Home::new();
    let mut command = home.command(super::rig::APP, "app", &["run"]);
    command.env("OFTEN", "fails");
    let mut program = super::rig::Program::of(command);
    program.prints("  slow ");
    let (from, to, count) = not_run(&home);
    let said = home.app(&["backfill", "often", "--from", &from, "--to", &to, "--wait"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let ends = format!(": {count} runs: {count} failed");
    assert!(said.out.ends_with(&ends) && said.err.is_empty(), "progress is for terminals: {said:?}");
}

#[test]
fn nodes_and_health_are_told() {
    let home = Home::new();
    let program = home.runs();
    let nodes = home.json(&["nodes"]);
    assert_eq!((&nodes[0]["pid"], &nodes[0]["backend"]), (&json!(program.process.id()), &json!("memory")));
    assert_eq!(home.json(&["health"])["well"], true);
    assert_eq!(home.app(&["health"]).well(), "well");
    assert_eq!(home.app(&["reset", "report"]).well(), "reset report");
    assert!(home.app(&["migrate"]).well().contains("nothing to migrate"));
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest_one() {
    let home = Home::new();
    let _program = home.runs();
    for command in [
        &["show", "reprot"][..],
        &["next", "reprot"],
        &["trigger", "reprot"],
        &["pause", "reprot"],
        &["resume", "reprot"],
        &["reschedule", "reprot", "5s"],
        &["runs", "reprot"],
        &["explain", "reprot", "2026-01-01"],
        &["backfill", "reprot", "--from", "2026-01-01"],
        &["reset", "reprot"],
    ] {
        home.app(command).fails(1, &["error: there is no task named \"reprot\"; did you mean \"report\"?"]);
        let said = home.app(&[command, &["--json"]].concat());
        let error: Value = serde_json::from_str(&said.err).expect("it is JSON");
        assert_eq!((said.code, &error["error"]["kind"]), (Some(1), &json!("unknown_task")), "{command:?}");
    }
}

#[test]
fn the_binary_reaches_a_program_by_its_name() {
    let home = Home::new();
    let _program = home.runs();
    assert!(home.symphra(&["--name", "app", "list"]).well().contains("report"));
    assert_eq!(home.symphra(&["pause", "report", "--name=app"]).well(), "paused report");
    home.symphra(&["list"]).fails(2, &["which program? name it with --name"]);
    home.symphra(&["list", "--name", "../app"]).fails(2, &["\"../app\" is no name; allowed is"]);
    home.symphra(&["list", "--name", "other"]).fails(3, &["no program \"other\" is running"]);
}

#[test]
fn a_command_without_a_running_program_says_how_to_start_it() {
    let home = Home::new();
    let said = "error: no program \"app\" is running; start it with `app run` or `app daemon start`";
    home.app(&["trigger", "report"]).fails(3, &[said]);
    home.app(&["health"]).fails(3, &[said]);
    home.app(&["runs", "--pid", "1"]).fails(3, &["no program \"app\" with PID 1 is running"]);
}

#[test]
fn settings_of_a_file_lie_below_those_of_the_program() {
    let home = Home::new();
    home.write("scheduler.yaml", "max_workers: 3\ntasks: { report: { enabled: false } }\n");
    home.write("other.toml", "max_workers = 4\n[tasks.slow]\nenabled = false\n");
    home.write("wrong.json", "{\n  \"max_workers\": \"many\"\n}\n");
    let program = home.runs();
    assert_eq!(names(&home.json(&["list", "--status", "paused"])), ["often", "report"]);
    assert_eq!(home.json(&["nodes"])[0]["max_workers"], 3);
    assert_eq!(program.ends_by("TERM"), Some(0));
    let mut program = super::rig::Program::of(home.command(super::rig::APP, "app", &["run", "--config", "other.toml"]));
    program.prints("  slow ");
    assert_eq!(names(&home.json(&["list", "--status", "paused"])), ["often", "slow"]);
    assert_eq!(home.json(&["nodes"])[0]["max_workers"], 4);
    home.app(&["--config", "wrong.json", "run"]).fails(1, &["wrong.json:2: max_workers"]);
    home.app(&["--config", "none.yaml", "run"]).fails(1, &["none.yaml: it cannot be read"]);
}
