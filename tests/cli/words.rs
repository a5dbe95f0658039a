//! Every help text and every error, word for word: what a program prints is read by people and by scripts.

use super::rig::{Home, Said, is_as_in};

fn shown(program: &str, arguments: &[&str], said: &Said) -> String {
    let mut text = format!("$ {program} {}\n", arguments.join(" "));
    for part in [&said.out, &said.err] {
        if !part.is_empty() {
            text = format!("{text}{part}\n");
        }
    }
    format!("{text}[{}]\n\n", said.code.map_or_else(|| "killed".to_owned(), |code| code.to_string()))
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let words = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned));
    words.filter(|word| !word.is_empty() && word != "help").collect()
}

fn helps(program: &str, say: &dyn Fn(&[&str]) -> Said, path: &[&str]) -> String {
    let arguments = [path, &["--help"]].concat();
    let said = say(&arguments);
    let mut text = shown(program, &arguments, &said);
    for command in commands(&said.out) {
        text.push_str(&helps(program, say, &[path, &[&command]].concat()));
    }
    text
}

#[test]
fn every_help_text_is_as_it_was_read() {
    let home = Home::new();
    is_as_in("app-help.txt", &helps("app", &|arguments| home.app(arguments), &[]));
    is_as_in("symphra-help.txt", &helps("symphra", &|arguments| home.symphra(arguments), &[]));
}

#[test]
fn every_error_is_as_it_was_read() {
    let home = Home::new();
    home.write("wrong.yaml", "max_workers: many\nqueue_sise: 5\n");
    let mut text = String::new();
    let mut app = |arguments: &[&str]| text.push_str(&shown("app", arguments, &home.app(arguments)));
    app(&[]);
    app(&["lst"]);
    app(&["list", "--staus", "paused"]);
    app(&["list", "--status", "lazy"]);
    app(&["show"]);
    app(&["next", "-n", "0"]);
    app(&["pause"]);
    app(&["pause", "report", "--all"]);
    app(&["reschedule", "report", "61 * * * *"]);
    app(&["reschedule", "report", "often"]);
    app(&["reschedule", "report", "0s"]);
    app(&["runs", "--from", "yesterday"]);
    app(&["runs", "--state", "done"]);
    app(&["cancel", "7"]);
    app(&["explain", "report"]);
    app(&["explain", "report", "2026-02-30"]);
    app(&["backfill", "report"]);
    app(&["backfill", "report", "--from", "2026-01-01", "--preview", "--wait"]);
    app(&["daemon"]);
    app(&["daemon", "begin"]);
    app(&["--color", "sometimes", "list"]);
    app(&["--pid", "me", "list"]);
    app(&["--name", "../x", "health"]);
    app(&["--config", "wrong.yaml", "health"]);
    app(&["health"]);
    app(&["health", "--json"]);
    app(&["trigger", "report", "--pid", "1"]);

    let program = home.runs();
    let mut app = |arguments: &[&str]| text.push_str(&shown("app", arguments, &home.app(arguments)));
    app(&["trigger", "reprot"]);
    app(&["trigger", "reprot", "--json"]);
    app(&["cancel", "01a214a9-0000-7000-8000-000000000000"]);
    app(&["reschedule", "report", "2001-01-01"]);
    drop(program);
    text.push_str(&shown("symphra", &["list"], &home.symphra(&["list"])));
    let text = text.replace(&home.0.display().to_string(), "/home");
    is_as_in("app-errors.txt", &text);
}

#[test]
fn errors_about_stores_plans_and_daemons_are_as_they_were_read() {
    let home = Home::new();
    home.write("plan.json", "{\"version\": 99}\n");
    let mut text = String::new();
    let mut symphra = |arguments: &[&str]| text.push_str(&shown("symphra", arguments, &home.symphra(arguments)));
    symphra(&["cron", "0 9 * *"]);
    symphra(&["cron", "0 25 * * *", "--json"]);
    symphra(&["cron", "0 9 * * *", "--tz", "Asia/Shangai"]);
    symphra(&["--name", "../x", "list"]);
    symphra(&["migrate"]);
    symphra(&["completions", "ksh"]);
    symphra(&["--url", "mysql://db/jobs", "list"]);
    symphra(&["--url", "amqp://app:hunter2@db", "list"]);
    symphra(&["--url", "host=db password=hunter2", "list"]);
    symphra(&["--url", "sqlite://none/jobs.db", "--namespace", "jobs", "list"]);
    symphra(&["--url", "sqlite://jobs.db", "--namespace", "Jobs", "list"]);
    symphra(&["--url", "sqlite://jobs.db", "list"]);
    symphra(&["--url", "sqlite://jobs.db", "--namespace", "jobs", "list"]);
    symphra(&["--config", "none.yaml", "list"]);
    let mut app = |arguments: &[&str]| text.push_str(&shown("app", arguments, &home.app(arguments)));
    app(&["plan", "--hours", "0"]);
    app(&["plan", "--from", "yesterday"]);
    app(&["plan", "--against", "none.json"]);
    app(&["plan", "--against", "plan.json"]);
    app(&["plan", "--against", "."]);
    app(&["migrate"]);

    let (pid, log) = (home.path("app.pid"), home.path("app.log"));
    home.write("scheduler.yaml", &format!("daemon: {{ pid_file: {}, log_file: {} }}\n", pid.display(), log.display()));
    let running = home.json(&["daemon", "start"])["pid"].to_string();
    let mut app = |arguments: &[&str]| text.push_str(&shown("app", arguments, &home.app(arguments)));
    app(&["daemon", "start"]);
    app(&["daemon", "start", "--json"]);
    super::rig::send(&running, "KILL");
    let began = std::time::Instant::now();
    while home.app(&["daemon", "status"]).code == Some(0) {
        assert!(began.elapsed() < super::rig::PATIENCE, "it ends");
    }
    let mut app = |arguments: &[&str]| text.push_str(&shown("app", arguments, &home.app(arguments)));
    app(&["daemon", "status"]);
    app(&["daemon", "status", "--json"]);
    app(&["daemon", "stop"]);
    home.write("scheduler.yaml", "daemon: { pid_file: none/app.pid, log_file: app.log }\n");
    let mut app = |arguments: &[&str]| text.push_str(&shown("app", arguments, &home.app(arguments)));
    app(&["daemon", "start"]);
    home.write("scheduler.yaml", "daemon: { pid_file: app.log, log_file: ./app.log }\n");
    let mut app = |arguments: &[&str]| text.push_str(&shown("app", arguments, &home.app(arguments)));
    app(&["daemon", "start"]);
    let text = text
        .replace(&home.0.display().to_string(), "/home")
        .replace(&format!("PID {running}"), "PID 4711")
        .replace(&format!("\"pid\": {running}"), "\"pid\": 4711");
    let mut said = text.lines().filter(|line| !line.starts_with("$ "));
    assert!(said.all(|line| !line.contains("hunter2")), "a password is shown: {text}");
    is_as_in("operation-errors.txt", &text);
}
