//! By which path a daemon is started: the one by which its program was started, as it leads now.

use super::*;

/// A home with two releases of the program, and a link to the first.
fn released() -> Home {
    let home = Home::new();
    for release in ["v1", "v2"] {
        fs::create_dir(home.path(release)).expect("a new folder");
        // By another process: a file that a fork of ours has open for writing could not be run.
        let mut copies = Command::new("cp");
        copies.arg(env!("CARGO_BIN_EXE_daemon-fixture")).arg(home.path(release).join("app"));
        assert!(copies.status().expect("cp is there").success());
    }
    symlink("v1", home.path("current")).expect("a link");
    home
}

fn points_to(home: &Home, release: &str) {
    symlink(release, home.path("next")).expect("a link");
    fs::rename(home.path("next"), home.path("current")).expect("it is ours");
}

fn by(home: &Home, program: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("DIR", &home.0).env("RUST_BACKTRACE", "0").envs(settings.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The PID that it tells.
#[track_caller]
fn pid_of(output: &std::process::Output) -> u32 {
    assert!(output.status.success(), "{output:?}");
    number(String::from_utf8_lossy(&output.stdout).trim())
}

/// The file from which a process runs.
fn file_of(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("it lives")
}

#[test]
fn a_restart_by_a_link_that_was_repointed_since_its_program_began_starts_the_new_one() {
    let home = released();
    let link = home.path("current/app");
    let old = pid_of(&by(&home, &link, &["start"], &[]).output().expect("it can be run"));
    assert_eq!(file_of(old), home.path("v1/app"));

    // This one runs from the old release, and restarts the daemon when there is a new one.
    let events = UnixListener::bind(home.path("events")).expect("a socket");
    let tell = home.path("events").display().to_string();
    let restarts =
        by(&home, &link, &["restart"], &[("BODY", "waits"), ("TELL", &tell)]).spawn().expect("it can be run");
    let mut waiting = events.accept().expect("it waits").0;
    assert_eq!(file_of(restarts.id()), home.path("v1/app"));
    points_to(&home, "v2");
    waiting.write_all(b"!").expect("it goes on");
    let new = pid_of(&restarts.wait_with_output().expect("it ends"));
    assert_eq!(file_of(new), home.path("v2/app"));
    assert!(!lives(old), "it was stopped");
}

#[test]
fn a_link_that_leads_nowhere_by_now_leaves_the_file_that_runs() {
    let home = released();
    let events = UnixListener::bind(home.path("events")).expect("a socket");
    let tell = home.path("events").display().to_string();
    let link = home.path("current/app");
    let starts = by(&home, &link, &["start"], &[("BODY", "waits"), ("TELL", &tell)]).spawn().expect("it can be run");
    let mut waiting = events.accept().expect("it waits").0;
    points_to(&home, "v3");
    waiting.write_all(b"!").expect("it goes on");
    let pid = pid_of(&starts.wait_with_output().expect("it ends"));
    assert_eq!(file_of(pid), home.path("v1/app"));
}

#[test]
fn what_a_program_is_told_that_it_is_called_starts_nothing_else() {
    let home = Home::new();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_daemon-fixture")).canonicalize().expect("it is there");
    // Another program that can be executed, one that is not there, one that is found in PATH, and no path at all.
    for name in ["/bin/false", "/nowhere/app", "false", "app: worker 3", ""] {
        let pid = pid_of(&by(&home, &program, &["start"], &[]).arg0(name).output().expect("it can be run"));
        assert_eq!(file_of(pid), program, "{name:?}");
        let called = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it lives");
        assert_eq!(called, format!("{name}\0start\0"), "it is called as before");
        assert_eq!(home.say("stop").well(), format!("stopped, PID {pid}"));
    }
}

#[test]
fn a_relative_path_and_a_bare_name_lead_to_the_program_as_they_did_at_its_start() {
    let home = released();
    let mut relative = by(&home, Path::new("./current/app"), &["start"], &[]);
    let pid = pid_of(&relative.current_dir(&home.0).output().expect("it can be run"));
    assert_eq!(file_of(pid), home.path("v1/app"));
    home.say("stop").well();
    points_to(&home, "v2");
    let mut shell = by(&home, Path::new("sh"), &["-c", "app start"], &[]);
    let path = format!("{}:{}", home.path("current").display(), std::env::var("PATH").unwrap_or_default());
    let pid = pid_of(&shell.env("PATH", path).output().expect("there is a shell"));
    assert_eq!(file_of(pid), home.path("v2/app"));
}
