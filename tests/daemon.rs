//! Daemons, as real processes: how they start, what they are, how they end, and what they refuse.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "daemon/path.rs"]
mod path;

/// A folder of its own for the files of daemons; those that still run at its end are killed.
struct Home(PathBuf);

/// What a command of the program printed, and whether it went well.
#[derive(Debug)]
struct Said {
    well: bool,
    out: String,
    errors: String,
}

impl Said {
    fn well(self) -> String {
        assert!(self.well, "{self:?}");
        self.out.trim_end().to_owned()
    }

    /// It failed, with a message that has all of `parts`.
    fn refused(self, parts: &[&str]) {
        assert!(self.is_refused(parts), "{parts:?}: {self:?}");
    }

    fn is_refused(&self, parts: &[&str]) -> bool {
        !self.well && parts.iter().all(|part| self.errors.contains(part))
    }
}

impl Home {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("symphra-daemon-test-{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path).expect("a new folder");
        Self(path.canonicalize().expect("it is there"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn command(&self, what: &str, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daemon-fixture"));
        command
            .arg(what)
            .env("DIR", &self.0)
            .env("RUST_BACKTRACE", "0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn with(&self, what: &str, settings: &[(&str, &str)]) -> Said {
        let output = self.command(what, settings).output().expect("the program can be run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks text");
        Said { well: output.status.success(), out: text(output.stdout), errors: text(output.stderr) }
    }

    fn say(&self, what: &str) -> Said {
        self.with(what, &[])
    }

    fn start(&self) -> u32 {
        number(&self.say("start").well())
    }

    /// All processes that were told of this folder and have not ended.
    fn processes(&self) -> Vec<String> {
        let own = format!("DIR={}\0", self.0.display());
        let all = fs::read_dir("/proc").expect("there are processes");
        let pids = all.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let environment = |pid: &String| fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        pids.filter(|pid| String::from_utf8_lossy(&environment(pid)).contains(&own)).collect()
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.0).expect("the folder is there");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for name in ["fixture", "another"] {
            self.with("stop", &[("NAME", name), ("STOP_MS", "0")]);
        }
        fs::remove_dir_all(&self.0).expect("the folder can be removed");
    }
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is a PID"))
}

/// Field `number` of `/proc/<pid>/stat`, counted from 1 as in proc(5); nothing if the process has ended.
fn stat(pid: u32, number: usize) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = line.rsplit(')').next()?.split_whitespace().collect();
    // One that nobody has waited for has ended all the same.
    (fields[0] != "Z").then(|| fields[number - 3].to_owned())
}

fn lives(pid: u32) -> bool {
    stat(pid, 3).is_some()
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("a shell");
    assert!(sent.success(), "kill -{name} {pid}");
}

/// Waits until nobody has `file` locked: the process that had has ended.
fn wait_for_release(file: &Path) {
    File::open(file).and_then(|file| file.lock_shared()).expect("the file is there and can be locked");
}

/// A process that has nothing to do with any of this.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("sleep is there"))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().expect("nobody has killed it before");
        self.0.wait().expect("it ends");
    }
}

#[test]
fn a_daemon_is_up_when_its_pid_is_told_and_has_left_its_starter() {
    let home = Home::new();
    let mut start = home.command("start", &[]);
    let output = start.current_dir("/usr").output().expect("the program can be run");
    let pid = number(String::from_utf8_lossy(&output.stdout).trim());

    assert_eq!(stat(pid, 6), Some(pid.to_string()), "it leads a session of its own");
    assert_eq!(stat(pid, 7).as_deref(), Some("0"), "it has no terminal");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    assert!(status.contains("Umask:\t0027\n"), "{status}");
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).expect("it lives");
    assert_eq!(link("cwd"), Path::new("/usr"));
    assert_eq!(link("fd/0"), Path::new("/dev/null"));
    assert_eq!([link("fd/1"), link("fd/2")], [home.path("fixture.log"), home.path("fixture.log")]);
    // Its own: the runtime's, and the PID file with its folder. Those that this test got from its caller are not closed.
    let ours: BTreeSet<PathBuf> = fs::read_dir("/proc/self/fd")
        .expect("our descriptors")
        .filter_map(|entry| fs::read_link(entry.expect("an entry").path()).ok())
        .collect();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives") {
        let Ok(target) = fs::read_link(entry.expect("an entry").path()) else { continue };
        let text = target.display().to_string();
        let own = ["anon_inode:", "socket:", "pipe:", "/dev/null"].iter().any(|start| text.starts_with(start));
        assert!(own || target.starts_with(&home.0) || ours.contains(&target), "it has {text} open");
    }

    let mode = |name: &str| fs::metadata(home.path(name)).expect("the file is there").mode() & 0o7777;
    assert_eq!((mode("fixture.pid"), mode("fixture.log")), (0o600, 0o600));
    assert_eq!(fs::read_to_string(home.path("fixture.pid")).expect("it can be read"), format!("{pid}\n"));
    let said = home.say("status").well();
    assert!(said.starts_with(&format!("running, PID {pid}, since 20")), "{said}");

    assert_eq!(home.say("stop").well(), format!("stopped, PID {pid}"));
    assert_eq!(home.files(), BTreeSet::from(["fixture.log".to_owned()]));
    assert_eq!(home.say("status").well(), "not running");
    assert_eq!(home.say("stop").well(), "was not running");
}

#[test]
fn a_daemon_works_where_it_is_told_to() {
    let home = Home::new();
    let pid = number(&home.with("start", &[("WORK_IN", "/usr/bin")]).well());
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).expect("it lives");
    assert_eq!(cwd, fs::canonicalize("/usr/bin").expect("it is there"));
    home.with("start", &[("NAME", "another"), ("WORK_IN", "/nowhere")]).refused(&["work in /nowhere", "No such file"]);
}

#[test]
fn a_relative_log_is_one_from_where_the_daemon_was_started() {
    let home = Home::new();
    let mut start = home.command("start", &[("WORK_IN", "/usr/bin"), ("LOG", "scheduler.log")]);
    let output = start.current_dir(&home.0).output().expect("the program can be run");
    assert!(output.status.success(), "{output:?}");
    home.say("stop").well();
    let log = fs::read_to_string(home.path("scheduler.log")).expect("it stands where the daemon was started");
    assert!(log.contains("scheduler.started") && log.contains("scheduler.stopped"), "{log}");
}

#[test]
fn what_is_wrong_with_the_tasks_is_told_and_leaves_nothing() {
    let home = Home::new();
    home.with("start", &[("BODY", "duplicate")]).refused(&["two tasks are named \"hourly\"", "fixtures/daemon.rs:"]);
    assert_eq!(home.files(), BTreeSet::new());
}

#[test]
fn a_daemon_that_dies_before_it_is_up_is_told_with_its_last_words() {
    let home = Home::new();
    let said = home.with("start", &[("BODY", "panics")]);
    said.refused(&["ended before it was up (exit status: 101)", "fixture.log", "nothing works today"]);
    assert!(!home.path("fixture.pid").exists());
}

#[test]
fn a_daemon_that_does_not_come_up_is_killed() {
    let home = Home::new();
    let said = home.with("start", &[("BODY", "hangs"), ("STARTUP_MS", "300")]);
    said.refused(&["not up after 300ms, and was killed", "wrote nothing into"]);
    assert_eq!(home.say("status").well(), "not running");
    assert_eq!(home.processes(), [""; 0]);
}

#[test]
fn a_daemon_that_nobody_waits_for_does_not_go_on() {
    let home = Home::new();
    let events = UnixListener::bind(home.path("events")).expect("a socket");
    let tell = home.path("events").display().to_string();
    let mut start = home.command("start", &[("BODY", "asks"), ("TELL", &tell)]).spawn().expect("it can be run");
    let mut child = events.accept().expect("the child asks").0;
    start.kill().expect("it waits for its child");
    start.wait().expect("it ends");
    child.write_all(b"!").expect("the child goes on");
    child.read_to_end(&mut Vec::new()).expect("the child ends");
    let log = fs::read_to_string(home.path("fixture.log")).expect("it can be read");
    assert!(log.contains("waits for it no more"), "{log}");
    assert_eq!((home.path("fixture.pid").exists(), home.processes()), (false, vec![]));
}

#[test]
fn a_second_copy_is_refused_with_the_pid_of_the_first() {
    let home = Home::new();
    let first = home.start();
    let pid = format!("PID {first} ");
    let said = home.say("start");
    assert!(!said.errors.contains("ended before it was up"), "it says why itself: {said:?}");
    said.refused(&["did not start", "runs already", &pid, "fixture.pid", "another `name`"]);
    assert!(lives(first) && home.path("fixture.pid").exists());
}

#[test]
fn of_many_that_start_at_once_one_runs() {
    let home = Home::new();
    let mut commands: Vec<Command> = (0..6).map(|_| home.command("start", &[])).collect();
    let started: Vec<Child> = commands
        .iter_mut()
        .map(|command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run"))
        .collect();
    let outputs: Vec<_> = started.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect();
    let won: Vec<_> = outputs.iter().filter(|output| output.status.success()).collect();
    assert_eq!(won.len(), 1, "{outputs:?}");
    let pid = number(String::from_utf8_lossy(&won[0].stdout).trim());
    for lost in outputs.iter().filter(|output| !output.status.success()) {
        let said = String::from_utf8_lossy(&lost.stderr);
        assert!(said.contains(&format!("runs already, as PID {pid} ")), "{said}");
    }
    assert_eq!(home.say("stop").well(), format!("stopped, PID {pid}"));
}

#[test]
fn what_a_killed_daemon_leaves_is_recognised_and_taken_over() {
    let home = Home::new();
    let killed = home.start();
    signal(killed, "KILL");
    wait_for_release(&home.path("fixture.pid"));
    let said = home.say("status").well();
    assert!(said.starts_with("not running; it was killed") && said.contains(&format!("PID {killed} ")), "{said}");
    let next = home.start();
    assert_ne!(next, killed);
    assert_eq!(fs::read_to_string(home.path("fixture.pid")).expect("it can be read"), format!("{next}\n"));
    assert_eq!(home.say("stop").well(), format!("stopped, PID {next}"));
}

#[test]
fn a_process_that_does_not_hold_the_file_is_never_signalled() {
    let home = Home::new();
    let mut bystander = Bystander::new();
    let path = home.path("fixture.pid");
    let write = || {
        let mut file = File::create(&path).expect("it can be made");
        file.set_permissions(Permissions::from_mode(0o600)).expect("it is ours");
        writeln!(file, "{}", bystander.0.id()).expect("there is room");
        file
    };
    // The number has been left by a daemon that was killed.
    drop(write());
    assert!(home.say("status").well().starts_with("not running; it was killed"));
    assert_eq!(home.say("stop").well(), "was not running");
    assert!(!path.exists(), "what is stale is removed");
    // Somebody else has the file locked: us.
    let held = write();
    held.lock().expect("it is free");
    let said = home.say("status").well();
    assert!(said.contains("cannot be seen from here") && said.contains(&bystander.0.id().to_string()), "{said}");
    home.say("stop").refused(&["fixture.pid is locked, but not by the process that it names"]);
    home.say("start").refused(&["is locked by a process that it does not name"]);
    assert!(bystander.0.try_wait().expect("it is ours").is_none(), "it goes on");
}

#[test]
fn a_daemon_that_does_not_stop_in_time_is_killed() {
    let home = Home::new();
    let events = UnixListener::bind(home.path("events")).expect("a socket");
    let tell = home.path("events").display().to_string();
    let pid = number(&home.with("start", &[("BODY", "obstinate"), ("TELL", &tell)]).well());
    let mut told = String::new();
    events.accept().expect("its body tells").0.read_to_string(&mut told).expect("in text");
    assert_eq!(told, "it runs");
    let said = home.with("stop", &[("STOP_MS", "200")]).well();
    assert_eq!(said, format!("did not stop in time and was killed, PID {pid}"));
    assert_eq!((home.path("fixture.pid").exists(), home.processes()), (false, vec![]));
}

#[test]
fn two_daemons_of_different_names_run_side_by_side() {
    let home = Home::new();
    let (one, other) = (home.start(), number(&home.with("start", &[("NAME", "another")]).well()));
    assert!(lives(one) && lives(other));
    assert_eq!(home.say("stop").well(), format!("stopped, PID {one}"));
    let said = home.with("status", &[("NAME", "another")]).well();
    assert!(said.starts_with(&format!("running, PID {other}, ")), "{said}");
}

/// The program as a user who is not root, whose files stand where they stand by default. What still runs is stopped.
struct Somebody(Home);

impl Somebody {
    fn new() -> Self {
        let home = Home::new();
        // By another process: a file that a fork of ours has open for writing could not be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_daemon-fixture")).arg(home.path("program")).status();
        assert!(copied.expect("cp is there").success());
        if fs::metadata(&home.0).expect("it is there").uid() == 0 {
            std::os::unix::fs::chown(&home.0, Some(65_534), Some(65_534)).expect("root may");
        }
        Self(home)
    }

    fn say(&self, what: &str, name: &str) -> Said {
        let mut command = Command::new(self.0.path("program"));
        command.arg(what).current_dir(&self.0.0).stdin(Stdio::null());
        command.envs([("NAME", name), ("FILES", "default"), ("RUST_BACKTRACE", "0")]).env("XDG_STATE_HOME", &self.0.0);
        if fs::metadata("/proc/self").expect("it is there").uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().expect("the program can be run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks text");
        Said { well: output.status.success(), out: text(output.stdout), errors: text(output.stderr) }
    }
}

impl Drop for Somebody {
    fn drop(&mut self) {
        for name in ["one", "other"] {
            self.say("stop", name);
        }
    }
}

#[test]
fn by_default_daemons_of_different_names_have_different_files_in_a_folder_of_their_user() {
    let somebody = Somebody::new();
    let pids = ["one", "other"].map(|name| number(&somebody.say("start", name).well()));
    assert_ne!(pids[0], pids[1]);
    let folder = somebody.0.path("symphra");
    assert_eq!(fs::metadata(&folder).expect("it was made").mode() & 0o7777, 0o700);
    for (name, pid) in ["one", "other"].iter().zip(pids) {
        let number = fs::read_to_string(folder.join(format!("{name}.pid"))).expect("it can be read");
        assert_eq!(number, format!("{pid}\n"));
        assert!(folder.join(format!("{name}.log")).exists());
        let status = somebody.say("status", name).well();
        assert!(status.starts_with(&format!("running, PID {pid}, ")), "{status}");
        somebody.say("start", name).refused(&["runs already", &format!("PID {pid} ")]);
    }
    assert_eq!(somebody.say("stop", "one").well(), format!("stopped, PID {}", pids[0]));
    assert!(somebody.say("status", "other").well().starts_with(&format!("running, PID {}, ", pids[1])));
    assert_eq!(somebody.say("stop", "other").well(), format!("stopped, PID {}", pids[1]));
    let mut left: Vec<_> =
        fs::read_dir(&folder).expect("it is there").map(|e| e.expect("an entry").file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["one.log", "other.log"]);
}

#[test]
fn a_restart_stops_the_old_one_unless_the_new_one_could_not_start() {
    let home = Home::new();
    let first = number(&home.say("restart").well());
    home.with("restart", &[("BODY", "duplicate")]).refused(&["two tasks are named"]);
    assert!(lives(first), "what could not start has stopped nothing");
    let gone = home.path("gone").display().to_string();
    home.with("restart", &[("WORK_IN", &gone)]).refused(&["cannot be worked in"]);
    assert!(lives(first), "what has no folder to work in has stopped nothing");
    let second = number(&home.say("restart").well());
    assert_eq!(home.processes(), [second.to_string()]);
    assert_eq!(fs::read_to_string(home.path("fixture.pid")).expect("it can be read"), format!("{second}\n"));
}

#[test]
fn a_hang_up_does_not_end_a_daemon() {
    let home = Home::new();
    let pid = home.start();
    signal(pid, "HUP");
    assert_eq!(home.say("stop").well(), format!("stopped, PID {pid}"));
}

#[test]
fn a_daemon_may_start_another_though_its_mark_is_inherited() {
    let home = Home::new();
    let events = UnixListener::bind(home.path("events")).expect("a socket");
    let tell = home.path("events").display().to_string();
    let one = number(&home.with("start", &[("BODY", "starts another"), ("TELL", &tell)]).well());
    let mut told = String::new();
    events.accept().expect("its body tells").0.read_to_string(&mut told).expect("in text");
    let other = number(told.trim());
    assert!(one != other && lives(one) && lives(other));
}

#[test]
fn files_and_folders_that_cannot_be_trusted_are_refused() {
    let victim = Home::new();
    fs::write(victim.path("precious"), "of somebody").expect("it can be written");
    type Trap = fn(&Path, &Path);
    let mut traps: Vec<(Trap, &str, &[&str])> = vec![
        (|at, to| symlink(to, at).expect("a link"), "fixture.pid", &["is a symbolic link", "set `pid_file`"]),
        (|at, to| symlink(to, at).expect("a link"), "fixture.log", &["is a symbolic link", "set `log_file`"]),
        (|at, to| symlink(to.with_file_name("new"), at).expect("a link"), "fixture.pid", &["is a symbolic link"]),
        (|at, to| fs::hard_link(to, at).expect("a link"), "fixture.pid", &["has a second name", "remove it"]),
        (|at, to| fs::hard_link(to, at).expect("a link"), "fixture.log", &["has a second name", "remove it"]),
        (|at, _| with_mode(at, 0o666), "fixture.pid", &["written to by others (mode 666)", "chmod 600"]),
        (|at, _| with_mode(at, 0o620), "fixture.log", &["written to by others (mode 620)", "chmod 600"]),
        (|at, _| make_pipe(at), "fixture.pid", &["is no regular file", "remove it"]),
        (|at, _| make_pipe(at), "fixture.log", &["is no regular file", "remove it"]),
        (|at, _| fs::create_dir(at).expect("a folder"), "fixture.pid", &["is no regular file", "remove it"]),
        (
            |at, _| fs::set_permissions(at.parent().expect("its folder"), Permissions::from_mode(0o777)).expect("ours"),
            "",
            &["written to by everybody (mode 777)", "chmod o-w"],
        ),
    ];
    if fs::metadata(&victim.0).expect("it is there").uid() == 0 {
        traps.push((|at, _| with_owner(at), "fixture.pid", &["belongs to the user 1, and", "remove it"]));
        traps.push((|at, _| with_owner(at), "fixture.log", &["belongs to the user 1, and", "remove it"]));
        let folder: Trap =
            |at, _| std::os::unix::fs::chown(at.parent().expect("its folder"), Some(1), None).expect("root");
        traps.push((folder, "", &["belongs to the user 1, and", "in a folder of this user or of root"]));
    }
    let mut fell_into = Vec::new();
    for (lay, name, says) in traps {
        let home = Home::new();
        lay(&home.path(if name.is_empty() { "x" } else { name }), &victim.path("precious"));
        let path = home.path(name).display().to_string();
        let mut parts = vec![path.trim_end_matches('/')];
        parts.extend(says);
        let commands: &[&str] = if name.ends_with(".log") { &["start"] } else { &["start", "status", "stop"] };
        let said = commands.iter().map(|command| home.say(command));
        fell_into.extend(said.filter(|said| !said.is_refused(&parts)).map(|said| (parts.join(" "), said)));
        fs::set_permissions(&home.0, Permissions::from_mode(0o700)).expect("it is ours");
    }
    assert!(fell_into.is_empty(), "{fell_into:#?}");
    assert_eq!(victim.files(), BTreeSet::from(["precious".to_owned()]));
    assert_eq!(fs::read_to_string(victim.path("precious")).expect("it is there"), "of somebody");
    Home::new()
        .with("start", &[("DIR", "/nowhere/at/all")])
        .refused(&["/nowhere/at/all is not there", "make the folder"]);
}

fn with_mode(path: &Path, mode: u32) {
    fs::write(path, "").expect("it can be made");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn with_owner(path: &Path) {
    with_mode(path, 0o600);
    std::os::unix::fs::chown(path, Some(1), None).expect("root may");
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg("-m").arg("600").arg(path).status().expect("mkfifo is there").success());
}

#[test]
fn a_hundred_starts_and_stops_leave_nothing() {
    let home = Home::new();
    for _ in 0..100 {
        let pid = home.start();
        assert_eq!(home.say("stop").well(), format!("stopped, PID {pid}"));
        assert_eq!(home.files(), BTreeSet::from(["fixture.log".to_owned()]));
    }
    assert_eq!(home.processes(), [""; 0]);
}
