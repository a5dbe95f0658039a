//! Settings seen from outside: which layer rules, what is wrong in them, and what is read again.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use super::rig::{APP, Home, PATIENCE, Program, send};

/// `app run` with these variables, once it is up.
fn runs(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> Program {
    let mut command = home.command(APP, "app", &[&["run"][..], arguments].concat());
    command.envs(variables.iter().copied());
    let mut program = Program::of(command);
    program.prints("  slow ");
    program
}

/// What `app` says with these variables.
fn says(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> super::rig::Said {
    let mut command = home.command(APP, "app", arguments);
    let output = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().expect("it can be run");
    super::rig::Said::of(output)
}

#[test]
fn a_setting_of_code_rules_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let file = "max_workers: 3\n";
    let (env, code) = (("SCHEDULER_MAX_WORKERS", "5"), ("WORKERS_IN_CODE", "7"));
    for (file, variables, workers) in [
        (None, &[][..], 10),
        (Some(file), &[], 3),
        (None, &[env], 5),
        (Some(file), &[env], 5),
        (Some(file), &[code], 7),
        (Some(file), &[env, code], 7),
        (Some(file), &[("READS", "all"), env], 5),
        (Some(file), &[("READS", "all"), env, code], 7),
    ] {
        let home = Home::new();
        if let Some(text) = file {
            home.write("scheduler.yaml", text);
        }
        let program = runs(&home, &[], variables);
        assert_eq!(home.json(&["nodes"])[0]["max_workers"], workers, "{file:?} {variables:?}");
        assert_eq!(program.ends_by("TERM"), Some(0));
    }
}

#[test]
fn an_operator_rules_over_code_that_over_the_file_and_that_over_what_the_task_says() {
    let file = "tasks: { report: { cron: '0 10 * * *', enabled: false } }\n";
    let code = ("REPORT_IN_CODE", "0 11 * * *");
    let now = |home: &Home| {
        let report = home.json(&["show", "report"]);
        (report["schedule"].clone(), report["status"].clone())
    };
    for (file, variables, schedule, status) in [
        (None, &[][..], "at 09:30, Monday to Friday", "pending"),
        (Some(file), &[], "at 10:00 every day", "paused"),
        (None, &[code], "at 11:00 every day", "pending"),
        (Some(file), &[code], "at 11:00 every day", "pending"),
    ] {
        let home = Home::new();
        if let Some(text) = file {
            home.write("scheduler.yaml", text);
        }
        let mut program = runs(&home, &[], variables);
        assert_eq!(now(&home), (json!(schedule), json!(status)), "{file:?} {variables:?}");

        home.app(&["reschedule", "report", "0 12 * * *"]).well();
        let (change, changed) = if status == "paused" { ("resume", "pending") } else { ("pause", "paused") };
        home.app(&[change, "report"]).well();
        let of_operator = (json!("at 12:00 every day"), json!(changed));
        assert_eq!(now(&home), of_operator, "{file:?} {variables:?}");
        // What is read again says nothing else of this task.
        home.write("scheduler.yaml", &format!("{}# read again\n", file.unwrap_or_default()));
        send(&program.pid(), "HUP");
        program.warns("config.reloaded");
        assert_eq!(now(&home), of_operator, "{file:?} {variables:?}");
        assert_eq!(program.ends_by("TERM"), Some(0));
    }
}

#[test]
fn a_file_beside_settings_that_the_program_reads_itself_is_refused_with_both() {
    let home = Home::new();
    home.write("scheduler.yaml", "max_workers: 3\n");
    home.write("own.toml", "max_workers = 4\n");
    home.write("other.yaml", "max_workers: 5\n");
    let folder = home.0.display();
    for (reads, from) in [
        ("all", format!("{folder}/scheduler.yaml and the environment")),
        ("own.toml", format!("{folder}/own.toml")),
        ("environment", "the environment".to_owned()),
    ] {
        let refused = format!(
            "--config other.yaml would not be heeded: this program reads its settings itself, from {from}; change those, or \
             drop --config"
        );
        for command in [&["check"][..], &["plan"], &["list"], &["daemon", "status"]] {
            let said = says(&home, &[command, &["--config", "other.yaml"]].concat(), &[("READS", reads)]);
            said.fails(2, &[&refused]);
        }
        let mut run = home.command(APP, "app", &["run", "--config", "other.yaml"]);
        run.env("READS", reads);
        let mut program = Program::of(run);
        program.warns(&refused);
        assert_eq!(program.process.wait().expect("it ends").code(), Some(2));
    }
    let named = [("READS", "all"), ("SCHEDULER_CONFIG", "own.toml")];
    says(&home, &["check", "--config", "other.yaml"], &named).fails(2, &["own.toml and the environment; change those"]);
    assert_eq!(says(&home, &["check"], &named).code, Some(0), "without --config it is heeded");
}

#[test]
fn seven_mistakes_of_a_file_are_one_message_with_seven_entries_each_with_its_line() {
    let home = Home::new();
    home.write("scheduler.yaml", include_str!("../../examples/configuration/wrong.yaml"));
    let said = home.app(&["check"]);
    let told: Vec<&str> = said.out.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
    let lines = [2, 3, 4, 8, 9, 10, 11];
    assert!(said.code == Some(1) && said.out.starts_with("7 problems in 5 tasks:\n"), "{said:?}");
    assert_eq!(told.len(), lines.len(), "{told:#?}");
    for (entry, line) in told.iter().zip(lines) {
        assert!(entry.starts_with(&format!("scheduler.yaml:{line}: ")), "{line}: {entry}");
    }
    let json: Value = serde_json::from_str(&home.app(&["check", "--json"]).out).expect("it is JSON");
    let told = json["problems"].as_array().expect("a list");
    assert_eq!(told.iter().filter_map(|problem| problem["line"].as_u64()).collect::<Vec<_>>(), lines);
    assert!(told.iter().all(|problem| problem["kind"] == "config" && problem["file"] == "scheduler.yaml"), "{json}");
    // A command that needs the settings says the same, once.
    let run = home.app(&["run"]);
    assert!(run.code == Some(1) && run.err.matches("\n  - scheduler.yaml:").count() == 7, "{run:?}");
}

#[test]
fn of_many_hang_ups_in_quick_succession_the_last_word_holds() {
    let home = Home::new();
    // So many tasks that a signal comes while the one before is being obeyed.
    const TASKS: u32 = 2_000;
    let write = |hours: u32| {
        let tasks: String = (0..TASKS).map(|number| format!("  task {number}: {{ interval: {hours}h }}\n")).collect();
        home.write("next.yaml", &format!("tasks:\n{tasks}"));
        std::fs::rename(home.path("next.yaml"), home.path("scheduler.yaml")).expect("it is ours");
    };
    write(1);
    let mut program = runs(&home, &[], &[("TASKS", &TASKS.to_string())]);
    for hours in 2..=30 {
        write(hours);
        send(&program.pid(), "HUP");
    }
    let began = Instant::now();
    while home.json(&["show", "task 0"])["schedule"] != "every 1 day 6 hours" {
        assert!(began.elapsed() < PATIENCE, "the last word never holds");
    }
    program.warns("config.reloaded");
    assert_eq!(program.ends_by("TERM"), Some(0));
}
