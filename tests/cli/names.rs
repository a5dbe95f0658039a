//! Names that would write to a terminal, or reorder what stands on it: no command prints them as they are.

use std::process::Stdio;

use super::rig::{APP, Home, Program, Said};

/// Allowed in a name, for they are no control characters: marks of direction, a space without width.
const REORDERS: &str = "\u{202e}odd\u{200b}\u{2066}\u{61c}";

/// Not allowed in a name, which is told at start, with the name.
const WRITES: &str = "\u{1b}]0;title\u{7}\u{9b}31m\u{85}evil";

/// What `app` says if it has a task of this name.
fn says(home: &Home, name: &str, arguments: &[&str]) -> Said {
    let mut command = home.command(APP, "app", arguments);
    Said::of(command.env("STRANGE", name).stdin(Stdio::null()).output().expect("the program can be run"))
}

/// It has printed something, and nothing that a terminal would obey or hide.
#[track_caller]
fn is_harmless(what: &[&str], printed: &str) {
    let foreign = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    assert!(!printed.is_empty(), "{what:?} prints something");
    assert!(!printed.contains(foreign), "{what:?} prints {printed:?}");
}

/// The command, with and without `--json`.
fn is_harmless_in_both_forms(home: &Home, name: &str, command: &[&str]) {
    for form in [&[][..], &["--json"]] {
        let all = [command, form].concat();
        let said = says(home, name, &all);
        is_harmless(&all, &format!("{}{}", said.out, said.err));
    }
}

#[test]
fn a_plan_of_others_writes_nothing_to_a_terminal() {
    let home = Home::new();
    let plan = home.app(&["plan", "--json"]).well();
    let mut plan: serde_json::Value = serde_json::from_str(&plan).expect("it is JSON");
    plan["tzdb"] = format!("{WRITES}{REORDERS}").into();
    home.write("plan.json", &plan.to_string());
    let file = home.path("plan.json").display().to_string();
    let said = home.app(&["plan", "--against", &file]);
    is_harmless(&["plan", "--against"], &said.out);
    assert!(said.out.contains("the tz database was"), "{said:?}");
    home.app(&["plan", "--against", "/dev/zero"]).fails(2, &["/dev/zero: it is no plan, which has at most 64 MB"]);
}

#[test]
fn a_name_that_reorders_a_line_is_printed_by_no_command_as_it_is() {
    let home = Home::new();
    home.write("scheduler.yaml", &format!("groups: {{ \"{REORDERS}\": 2 }}\nnode: \"{REORDERS}\"\n"));
    let commands = |last: &[&[&str]]| {
        let first: [&[&str]; 6] =
            [&["list"], &["list", "--tag", REORDERS], &["show", REORDERS], &["next", REORDERS], &["plan"], &["check"]];
        for command in first.iter().chain(last) {
            is_harmless_in_both_forms(&home, REORDERS, command);
        }
    };
    commands(&[]);

    for form in [&["run"][..], &["run", "--json"]] {
        let mut command = home.command(APP, "app", form);
        command.env("STRANGE", REORDERS);
        let mut program = Program::of(command);
        // Of the node, and of the task; in JSON they stand in one line.
        for _ in 0..if form.len() == 1 { 2 } else { 1 } {
            is_harmless(form, &program.prints("odd"));
        }
        commands(&[
            &["trigger", REORDERS],
            &["runs"],
            &["explain", REORDERS, "2026-01-01"],
            &["pause", REORDERS, "--reason", REORDERS],
            &["show", REORDERS],
            &["list"],
            &["resume", REORDERS],
            &["reschedule", REORDERS, "0 0 2 2 *"],
            &["backfill", REORDERS, "--from", "2026-01-01", "--preview"],
            &["reset", REORDERS],
            &["nodes"],
            &["health"],
        ]);
        assert_eq!(program.ends_by("TERM"), Some(0));
    }
}

#[test]
fn an_error_that_names_a_task_is_harmless_too() {
    let home = Home::new();
    home.write("scheduler.yaml", &format!("tasks: {{ \"{REORDERS}\": {{ overlap: allow, max_instances: 2 }} }}\n"));
    for command in [&["run"][..], &["plan"], &["check"], &["daemon", "start"]] {
        assert_eq!(says(&home, REORDERS, command).code, Some(1), "{command:?}");
        is_harmless_in_both_forms(&home, REORDERS, command);
    }
}

#[test]
fn a_name_that_writes_to_a_terminal_is_refused_and_never_printed_as_it_is() {
    let home = Home::new();
    let check = says(&home, WRITES, &["check"]);
    assert!(check.code == Some(1) && check.out.contains("control character"), "{check:?}");
    // Nothing of it runs; what it declares is told all the same.
    for command in [&["check"][..], &["list"], &["show", WRITES], &["next"], &["plan"], &["run"], &["daemon", "start"]]
    {
        is_harmless_in_both_forms(&home, WRITES, command);
    }
    // Names of things that are not there.
    for command in [&["show", "\u{1b}[31m"][..], &["--name", "\u{1b}[31m", "list"], &["list", "--tag", "\u{9b}31m"]] {
        is_harmless_in_both_forms(&home, "harmless", command);
    }
}
