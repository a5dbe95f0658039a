//! The events of signals and of the control socket, as a running program writes them: by name, level, message and fields
//! what the list of events says.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;
use symphra_scheduler::logging::EVENTS;

use super::rig::{APP, FOREGROUND, Home, Program, send};
use super::socket::{asked_as, socket};

/// `app run`, once it is up, whose log is lines of JSON.
fn runs(home: &Home, settings: &str) -> Program {
    home.write("scheduler.yaml", &format!("logging: {{ format: json }}\n{settings}"));
    home.runs()
}

/// The fields of an event that the program writes, which are those of the list.
#[track_caller]
fn as_listed(program: &mut Program, name: &str) -> Value {
    let line = program.warns(&format!("\"event\":\"{name}\""));
    let written: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let known = EVENTS.iter().find(|known| known.name == name).expect("it is listed");
    assert_eq!(written["level"], known.level.to_string(), "{line}");
    assert_eq!(written["fields"]["message"], known.message, "{line}");
    let fields = written["fields"].as_object().expect("a table");
    let mut fields: Vec<&str> =
        fields.keys().map(String::as_str).filter(|key| !["message", "event"].contains(key)).collect();
    let mut listed = known.fields.to_vec();
    fields.sort_unstable();
    listed.sort_unstable();
    assert_eq!(fields, listed, "{line}");
    written["fields"].clone()
}

#[test]
fn a_change_that_a_command_asks_for_is_logged_as_listed() {
    let home = Home::new();
    let mut program = runs(&home, "");
    home.app(&["list"]).well();
    home.app(&["pause", "report", "--reason", "moving house"]).well();
    let asked = as_listed(&mut program, "control.asked");
    let said = |field: &str| asked[field].as_str().expect("a text").to_owned();
    assert!(said("actor").ends_with(", cli)"), "{asked}");
    assert!(said("change").contains("Pause") && said("change").contains("moving house"), "{asked}");
    let (from, to, _) = super::commands::not_run(&home);
    home.app(&["backfill", "often", "--from", &from, "--to", &to]).well();
    let asked = as_listed(&mut program, "control.asked");
    assert!(asked["change"].as_str().is_some_and(|change| change.contains("often")), "{asked}");
}

#[test]
fn another_user_at_the_control_socket_is_logged_as_listed() {
    let home = Home::new();
    if fs::metadata(&home.0).expect("it is there").uid() != 0 {
        return; // Nobody else can be had.
    }
    fs::set_permissions(&home.0, Permissions::from_mode(0o755)).expect("it is ours");
    let mut program = runs(&home, "");
    let path = socket(&home, &program);
    fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("it is ours");
    assert!(asked_as(&home, &path, 65_534).contains("answer: \"\""));
    assert_eq!(as_listed(&mut program, "control.refused")["actor"], "uid 65534");
}

#[test]
fn a_control_socket_that_cannot_be_had_is_logged_as_listed() {
    let home = Home::new();
    fs::set_permissions(&home.0, Permissions::from_mode(0o777)).expect("it is ours");
    let mut program = runs(&home, "");
    let failed = as_listed(&mut program, "control.failed");
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("mode 777")), "{failed}");
}

#[test]
fn what_a_hang_up_makes_of_the_settings_is_logged_as_listed() {
    let home = Home::new();
    let mut program = runs(&home, "max_workers: 3\n");
    let mut hang_up = |settings: &str, event: &str| {
        home.write("scheduler.yaml", &format!("logging: {{ format: json }}\n{settings}"));
        send(&program.pid(), "HUP");
        as_listed(&mut program, event)
    };
    let reloaded = hang_up("max_workers: 3\ntasks: { report: { interval: 5s } }\n", "config.reloaded");
    assert_eq!(reloaded["tasks"], "report");
    let refused = hang_up("max_workers: 3\ntasks: { reprot: {} }\n", "config.refused");
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("reprot")), "{refused}");
    let waiting = hang_up("max_workers: 5\nqueue_size: 7\n", "config.needs_restart");
    assert_eq!(waiting["keys"], "max_workers, queue_size");
    assert_eq!(home.json(&["nodes"])[0]["max_workers"], 3, "it waits for the next start");
}

#[test]
fn a_hang_up_of_a_program_that_has_read_nothing_is_logged_as_listed() {
    let home = Home::new();
    let mut command = home.command(FOREGROUND, "fixture", &["run"]);
    command.env("LOG_FORMAT", "json").env("DIR", &home.0);
    let mut program = Program::of(command);
    program.prints("hourly");
    send(&program.pid(), "HUP");
    as_listed(&mut program, "config.not_read");
    assert_eq!(program.ends_by("TERM"), Some(0));
}

#[test]
fn a_setting_in_code_over_a_changed_one_of_the_file_waits_for_nothing() {
    let home = Home::new();
    home.write("scheduler.yaml", "max_workers: 3\nqueue_size: 4\n");
    let mut command = home.command(APP, "app", &["run"]);
    command.env("WORKERS_IN_CODE", "7");
    let mut program = Program::of(command);
    program.prints("  slow ");
    home.write("scheduler.yaml", "max_workers: 5\nqueue_size: 6\n");
    send(&program.pid(), "HUP");
    let said = program.warns("config.needs_restart");
    assert!(said.contains("keys=\"queue_size\""), "{said}");
}
