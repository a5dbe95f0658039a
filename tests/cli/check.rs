//! `check`: everything that is wrong, in one go, and nothing that is left behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::rig::{Home, PLANNED, Said};

/// What `app check` says, of the version `variant` of the program.
fn check(home: &Home, variant: &str, arguments: &[&str]) -> Said {
    let mut command = home.command(PLANNED, "app", &[&["check"], arguments].concat());
    command.env("VARIANT", variant).env("SCHEDULER_TIMEZONE", "Nowhere");
    if variant.is_empty() {
        command.env_remove("SCHEDULER_TIMEZONE");
    }
    Said::of(command.stdin(Stdio::null()).output().expect("the program can be run"))
}

/// Whether this test may be everybody.
fn is_root(home: &Home) -> bool {
    fs::metadata(&home.0).expect("it is there").uid() == 0
}

#[test]
fn what_is_wrong_in_file_environment_tasks_and_folders_is_told_in_one_go() {
    let home = Home::new();
    home.write(
        "scheduler.yaml",
        "max_workers: many\n\
         backend: mysql\n\
         daemon: { name: ../x, pid_file: nowhere/app.pid, log_file: link.log, working_directory: scheduler.yaml }\n\
         logging: { file: none/scheduler.log, level: loud }\n\
         tasks:\n  \
           polll: {}\n  \
           weekly: { overlap: allow, max_instances: 2 }\n  \
           health_check: { interval: 5s, priority: high }\n",
    );
    symlink("scheduler.yaml", home.path("link.log")).expect("a link");
    let before = home.all();
    let said = check(&home, "wrong", &["--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let json: Value = serde_json::from_str(&said.out).expect("it is JSON");
    let text = |problem: &Value, field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    let mut told: Vec<(String, String)> = (json["problems"].as_array().expect("a list").iter())
        .map(|problem| {
            let about = ["key", "task"].map(|field| text(problem, field)).concat();
            let about = if about.is_empty() { text(problem, "message") } else { about };
            (text(problem, "kind"), about)
        })
        .collect();
    told.sort_unstable();
    let expected = [
        ("config", "backend"),
        ("config", "daemon.name"),
        ("config", "logging.level"),
        ("config", "max_workers"),
        ("config", "polll"),
        ("config", "scheduler.timezone"),
        ("config", "tasks.health_check.priority"),
        ("duplicate_task", "poll"),
        ("file", "daemon.log_file"),
        ("file", "daemon.pid_file"),
        ("file", "daemon.working_directory"),
        ("file", "logging.file"),
        ("missing_state", "needs"),
        ("missing_task", "nightly"),
        ("missing_task", "reprot"),
        ("task", " padded"),
        ("task", "sync"),
        ("task", "weekly"),
    ];
    let told: Vec<(&str, &str)> = told.iter().map(|(kind, about)| (kind.as_str(), about.as_str())).collect();
    assert_eq!(told, expected, "{json:#}");
    let notes = json["notes"].as_array().expect("a list");
    let set_aside = "task \"health_check\" was checked without what the configuration says of it";
    assert!(notes.iter().any(|note| note.as_str().is_some_and(|note| note.starts_with(set_aside))), "{json:#}");

    let shown = check(&home, "wrong", &[]);
    assert!(shown.code == Some(1) && shown.out.starts_with("18 problems in 9 tasks:\n"), "{shown:?}");
    assert_eq!(home.all(), before, "nothing is made or changed");
}

#[test]
fn a_start_tells_of_the_configuration_and_of_the_tasks_in_one_go_too() {
    let home = Home::new();
    home.write("scheduler.yaml", "max_workers: many\ntasks: { polll: {} }\n");
    for command in [&["run"][..], &["daemon", "start"], &["daemon", "restart"]] {
        let mut command = home.command(PLANNED, "app", command);
        let said = Said::of(command.env("VARIANT", "wrong").stdin(Stdio::null()).output().expect("it can be run"));
        let parts =
            ["for 8 reasons:", "scheduler.yaml:1: max_workers = \"many\"", "no task \"polll\"", "named \"poll\""];
        said.fails(1, &parts);
    }
    let mut command = home.command(PLANNED, "app", &["next"]);
    let said = Said::of(command.env("VARIANT", "wrong").stdin(Stdio::null()).output().expect("it can be run"));
    said.fails(1, &["the configuration is wrong: scheduler.yaml:1: max_workers"]);
}

#[test]
fn a_file_that_cannot_be_read_hides_nothing_else() {
    let home = Home::new();
    home.write("scheduler.yaml", "max_workers: {\n");
    let said = check(&home, "wrong", &[]);
    let parts = ["scheduler.yaml:", "scheduler.timezone", "two tasks are named", "without what the file says"];
    let text = format!("{} {}", said.out, said.err);
    assert!(said.code == Some(1) && parts.iter().all(|part| text.contains(part)), "{said:?}");
}

#[test]
fn a_store_that_cannot_be_had_is_a_problem_and_one_that_could_be_made_is_not_made() {
    let home = Home::new();
    for (backend, part) in [
        ("sqlite://none/app.db", Some("backend: there is no folder none for its file; make it")),
        ("sqlite://scheduler.yaml", Some("file is not a database")),
        ("{ url: \"sqlite://app.db\", migrate: check }", Some("sqlite://app.db")),
        ("postgres://app:hunter2@127.0.0.1:1/app", Some("postgres://app:***@127.0.0.1:1/app")),
        ("sqlite://app.db", None),
    ] {
        home.write("scheduler.yaml", &format!("backend: {backend}\n"));
        let before = home.all();
        let said = check(&home, "", &[]);
        assert_eq!(said.code, Some(if part.is_some() { 1 } else { 0 }), "{backend}: {said:?}");
        assert!(said.out.contains(part.unwrap_or("ok: ")) && !said.out.contains("hunter2"), "{backend}: {said:?}");
        assert_eq!(home.all(), before, "{backend}");
    }
}

#[test]
fn files_that_a_start_would_refuse_are_told_and_none_is_made() {
    type Lay = fn(&Home);
    let made = |home: &Home, name: &str, mode: u32| {
        home.write(name, "");
        fs::set_permissions(home.path(name), Permissions::from_mode(mode)).expect("it is ours");
    };
    let cases: [(Lay, &[&str]); 9] = [
        (|_| {}, &[]),
        (|home| home.write("app.log", "of yesterday"), &[]),
        (|home| symlink("x", home.path("app.log")).expect("a link"), &["daemon.log_file: ", "is a symbolic link"]),
        (|home| symlink("x", home.path("app.pid")).expect("a link"), &["daemon.pid_file: ", "is a symbolic link"]),
        (|home| fs::create_dir(home.path("app.pid")).expect("a folder"), &["daemon.pid_file: ", "is no regular file"]),
        (
            |home| {
                home.write("app.pid", "");
                fs::set_permissions(home.path("app.pid"), Permissions::from_mode(0o666)).expect("it is ours");
            },
            &["daemon.pid_file: ", "may be written to by others (mode 666)", "chmod 600"],
        ),
        (
            |home| fs::set_permissions(&home.0, Permissions::from_mode(0o777)).expect("it is ours"),
            &["daemon.log_file: ", "daemon.pid_file: ", "may be written to by everybody (mode 777)"],
        ),
        (|home| fs::create_dir(home.path("scheduler.log")).expect("a folder"), &["logging.file: ", "no regular file"]),
        (|home| symlink("x", home.path("scheduler.log")).expect("a link"), &["logging.file: ", "is a symbolic link"]),
    ];
    for (lay, says) in cases {
        let home = Home::new();
        made(&home, "other", 0o600);
        home.write(
            "scheduler.yaml",
            "daemon: { pid_file: app.pid, log_file: app.log, working_directory: . }\nlogging: { file: scheduler.log }\n",
        );
        lay(&home);
        let before = home.all();
        let said = check(&home, "", &[]);
        assert_eq!(said.code, Some(i32::from(!says.is_empty())), "{says:?}: {said:?}");
        for part in says {
            assert!(said.out.contains(part), "{part}: {said:?}");
        }
        assert_eq!(home.all(), before, "{says:?}");
    }
}

/// `app check` as a user who is not root.
fn as_somebody(home: &Home, settings: &[(&str, &Path)]) -> Said {
    let program = home.path("app");
    if !program.exists() {
        // By another process: a file that a fork of ours has open for writing could not be run.
        assert!(Command::new("cp").arg(PLANNED).arg(&program).status().expect("cp is there").success());
    }
    let mut command = Command::new(&program);
    command.arg("check").current_dir(&home.0).env_clear().envs(settings.iter().copied()).stdin(Stdio::null());
    if is_root(home) {
        fs::set_permissions(&home.0, Permissions::from_mode(0o755)).expect("it is ours");
        command.uid(65_534).gid(65_534);
    }
    Said::of(command.output().expect("the program can be run"))
}

#[test]
fn default_folders_that_cannot_be_made_are_no_mistake_of_a_program_that_is_no_daemon() {
    let home = Home::new();
    let said = as_somebody(&home, &[("XDG_STATE_HOME", Path::new("/nowhere/at/all"))]).well();
    let symphra = "/nowhere/at/all/symphra";
    for part in [
        format!("as a daemon it would not start: {symphra} cannot be made"),
        "set `pid_file` to a file in a folder of this user".to_owned(),
        "set `log_file` to a file in a folder of this user".to_owned(),
        format!("commands would not reach it while it runs: {symphra} cannot be made"),
        "set SYMPHRA_CONTROL_DIR to a folder of this user".to_owned(),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
}

#[test]
fn default_folders_that_could_be_made_are_not_made_and_those_that_cannot_be_trusted_are_told() {
    let home = Home::new();
    let state = home.path("state");
    fs::create_dir(&state).expect("a folder");
    let owned = |path: &Path| {
        if is_root(&home) {
            std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).expect("root may");
        }
    };
    owned(&state);
    let settings = [("XDG_STATE_HOME", state.as_path())];
    let said = as_somebody(&home, &settings).well();
    assert!(!said.contains("would not"), "{said}");
    assert_eq!(fs::read_dir(&state).expect("it can be read").count(), 0, "nothing was made");

    let folder = state.join("symphra");
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, Permissions::from_mode(0o770)).expect("it is ours");
    owned(&folder);
    let said = as_somebody(&home, &settings);
    let parts = ["daemon.pid_file: ", "daemon.log_file: ", "may be written to by others (mode 770)"];
    assert!(said.code == Some(1) && parts.iter().all(|part| said.out.contains(part)), "{said:?}");

    fs::set_permissions(&folder, Permissions::from_mode(0o500)).expect("it is ours");
    let said = as_somebody(&home, &settings);
    assert!(said.code == Some(1) && said.out.contains("does not let app.pid be made in it"), "{said:?}");
}
