//! The control socket under those who do not keep to its rules.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::rig::{APP, Home, PATIENCE, Program, send};

pub(crate) fn socket(home: &Home, program: &Program) -> PathBuf {
    home.path(&format!("app.{}.sock", program.pid()))
}

fn connect(path: &PathBuf) -> UnixStream {
    let stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

/// The first line that the program answers.
fn answer(stream: UnixStream) -> Value {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("it answers in text");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// The program still does what it is for.
fn is_unhurt(home: &Home, program: &mut Program) {
    home.app(&["trigger", "report"]).well();
    program.prints("report: done");
    assert_eq!(home.json(&["health"])["well"], true);
}

#[test]
fn only_its_user_may_use_it_and_it_goes_with_its_program() {
    let home = Home::new();
    let program = home.runs();
    let path = socket(&home, &program);
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(program.ends_by("TERM"), Some(0));
    assert!(home.sockets().is_empty(), "{:?}", home.sockets());
}

#[test]
fn what_a_killed_program_has_left_is_cleared_by_the_next_command() {
    let home = Home::new();
    let program = home.runs();
    let path = socket(&home, &program);
    assert_eq!(program.ends_by("KILL"), None);
    assert!(path.exists(), "it could not remove it");
    home.app(&["list", "--pid", "1"]).fails(3, &["PID 1"]);
    assert!(path.exists(), "another process was asked for");
    home.app(&["health"]).fails(3, &["no program \"app\" is running"]);
    assert!(!path.exists());
}

#[test]
fn what_a_killed_program_has_left_is_cleared_by_the_next_program() {
    let home = Home::new();
    let killed = home.runs();
    let path = socket(&home, &killed);
    assert_eq!(killed.ends_by("KILL"), None);
    let program = home.runs();
    assert!(!path.exists());
    assert_eq!(home.sockets(), [format!("app.{}.sock", program.pid())]);
}

#[test]
fn two_programs_of_one_name_are_told_apart_by_their_process() {
    let home = Home::new();
    let (one, other) = (home.runs(), home.runs());
    let mut pids = [one.process.id(), other.process.id()];
    pids.sort_unstable();
    let said = format!("2 programs \"app\" are running, PIDs {} and {}; choose one with --pid", pids[0], pids[1]);
    home.app(&["list"]).fails(1, &[&said]);
    for program in [&one, &other] {
        assert_eq!(home.json(&["nodes", "--pid", &program.pid()])[0]["pid"], program.process.id());
    }
    assert_eq!(other.ends_by("TERM"), Some(0));
    assert_eq!(home.json(&["nodes"])[0]["pid"], one.process.id());
}

#[test]
fn two_programs_and_a_command_that_start_at_the_same_moment_do_not_hurt_each_other() {
    let home = Home::new();
    for round in 0..200 {
        // Those of the round before were killed, so that there is something to be cleared, too.
        let mut command = home.command(APP, "app", &["health"]);
        let mut programs = [(); 2].map(|()| Program::of(home.command(APP, "app", &["run"])));
        let mut asking = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be run");
        for program in &mut programs {
            program.prints("  slow ");
        }
        let found = asking.wait().expect("it ends").code();
        assert!([Some(0), Some(1), Some(3)].contains(&found), "{round}: {found:?}");
        let mut names = home.sockets();
        names.sort_unstable();
        let mut own = [0, 1].map(|at: usize| format!("app.{}.sock", programs[at].pid()));
        own.sort_unstable();
        assert_eq!(names, own, "{round}");
        for program in &programs {
            let mut stream = connect(&socket(&home, program));
            stream.write_all(b"{\"v\":1,\"ask\":\"nodes\"}\n").expect("it takes it");
            assert_eq!(answer(stream)["tell"]["done"][0]["pid"], program.process.id(), "{round}");
        }
    }
}

#[test]
fn a_program_that_ends_leaves_another_the_socket_that_has_taken_its_name() {
    let home = Home::new();
    let program = home.runs();
    let path = socket(&home, &program);
    fs::remove_file(&path).expect("somebody clears the folder");
    let _successor = UnixListener::bind(&path).expect("the name is free");
    assert_eq!(program.ends_by("TERM"), Some(0));
    connect(&path);
}

#[test]
fn however_much_is_asked_for_the_answer_is_bounded() {
    let home = Home::new();
    let mut program = home.runs();
    for ask in [
        "{\"next\":{\"task\":null,\"count\":18446744073709551615}}",
        "{\"runs\":{\"task\":null,\"states\":[],\"from\":null,\"to\":null,\"count\":18446744073709551615}}",
    ] {
        let mut stream = connect(&socket(&home, &program));
        stream.write_all(format!("{{\"v\":1,\"ask\":{ask}}}\n").as_bytes()).expect("it takes it");
        let told = answer(stream);
        assert!(told["tell"]["done"].is_array(), "{told}");
        let longest = told["tell"]["done"].as_array().into_iter().flatten().filter_map(|task| task["next"].as_array());
        assert!(longest.map(Vec::len).max().unwrap_or(0) <= 1_000);
    }
    is_unhurt(&home, &mut program);
}

#[test]
fn garbage_is_answered_and_hurts_nothing() {
    let home = Home::new();
    let mut program = home.runs();
    let path = socket(&home, &program);
    for (sent, kind) in [
        ("GET / HTTP/1.1\n", "unreadable"),
        ("\n", "unreadable"),
        ("{}\n", "unreadable"),
        ("\u{0}\u{0}\u{0}\n", "unreadable"),
        ("{\"v\":1}\n", "unreadable"),
        ("{\"v\":1,\"ask\":\"everything\"}\n", "unreadable"),
        ("{\"v\":1,\"ask\":{\"list\":{\"status\":null,\"tag\":null,\"more\":1}}}\n", "unreadable"),
        ("{\"v\":2,\"ask\":{\"something\":\"new\"}}\n", "version"),
        ("{\"v\":1,\"ask\":{\"explain\":{\"task\":\"report\",\"at\":\"tomorrow\"}}}\n", "failed"),
        ("{\"v\":1,\"ask\":{\"cancel\":{\"run\":\"x\"}}}\n", "failed"),
    ] {
        let mut stream = connect(&path);
        stream.write_all(sent.as_bytes()).expect("it takes it");
        let told = answer(stream);
        assert_eq!((&told["v"], &told["tell"]["failed"]["kind"]), (&json!(1), &json!(kind)), "{sent:?}: {told}");
    }
    let deep = format!("{{\"v\":1,\"ask\":{}\n", "[".repeat(60_000));
    let mut stream = connect(&path);
    stream.write_all(deep.as_bytes()).expect("it takes it");
    assert_eq!(answer(stream)["tell"]["failed"]["kind"], "unreadable");
    is_unhurt(&home, &mut program);
}

#[test]
fn a_line_without_an_end_is_cut_off() {
    let home = Home::new();
    let mut program = home.runs();
    let mut stream = connect(&socket(&home, &program));
    let megabyte = vec![b'x'; 1024 * 1024];
    let sent = (0..100).take_while(|_| stream.write_all(&megabyte).is_ok()).count();
    assert!(sent < 100, "a hundred megabytes were taken");
    is_unhurt(&home, &mut program);
}

#[test]
fn two_hundred_silent_connections_are_borne() {
    let home = Home::new();
    let mut program = home.runs();
    let path = socket(&home, &program);
    let mut silent: Vec<UnixStream> = (0..200).map(|_| connect(&path)).collect();
    // Those beyond the most were told so; the program was still scheduling meanwhile.
    let mut line = String::new();
    let last = silent.pop().expect("there are many");
    BufReader::new(last).read_line(&mut line).expect("it answers");
    assert!(line.contains("\"busy\"") && line.contains("64 commands are being answered"), "{line}");
    home.app(&["list"]).fails(1, &["64 commands are being answered; try again"]);
    // Half a line, and silence: the connection is let go after a while, and nothing is said.
    let mut half = silent.swap_remove(0);
    half.write_all(b"{\"v\":1,").expect("it takes it");
    let mut rest = Vec::new();
    half.read_to_end(&mut rest).expect("it is let go");
    assert_eq!(rest, b"");
    drop(silent);
    is_unhurt(&home, &mut program);
}

#[test]
fn however_many_wait_for_runs_others_are_answered() {
    let home = Home::new();
    let mut command = home.command(APP, "app", &["run"]);
    let mut program = Program::of({
        command.env("OFTEN", "hangs");
        command
    });
    program.prints("  slow ");
    let path = socket(&home, &program);
    let (from, to, _) = super::commands::not_run(&home);
    let asked = json!({ "task": "often", "from": from, "to": to, "rerun": false, "how": "wait" });
    let question = format!("{}\n", json!({ "v": 1, "ask": { "backfill": asked } }));
    let waits = || {
        let mut stream = connect(&path);
        stream.write_all(question.as_bytes()).expect("it takes it");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("it answers in text");
        (serde_json::from_str::<Value>(&line).expect("it is JSON"), reader)
    };
    let mut waiting = Vec::new();
    for _ in 0..64 {
        let (told, reader) = waits();
        assert_eq!(told["tell"]["progress"]["done"], 0, "it has begun, and waits: {told}");
        waiting.push(reader);
    }
    let begun = home.json(&["runs", "often", "-n", "1000"]).as_array().map(Vec::len);
    let told = waits().0;
    assert_eq!(told["tell"]["failed"]["kind"], "busy", "{told}");
    let too_many = ["backfill", "often", "--from", &from, "--to", &to, "--wait"];
    home.app(&too_many)
        .fails(1, &["64 commands wait for runs already, and nothing was begun; try again, or do not wait"]);
    assert_eq!(home.json(&["runs", "often", "-n", "1000"]).as_array().map(Vec::len), begun, "nothing was begun");
    assert!(home.app(&["list"]).well().contains("report"));
    is_unhurt(&home, &mut program);
    // One goes away, and its place is free as soon as that is seen.
    drop(waiting.pop());
    let began = std::time::Instant::now();
    while waits().0["tell"]["progress"].is_null() {
        assert!(began.elapsed() < PATIENCE, "a place becomes free");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn whoever_goes_away_leaves_the_program_unhurt() {
    let home = Home::new();
    let mut program = home.runs();
    let path = socket(&home, &program);
    for question in ["{\"v\":1,\"ask\":\"health\"}\n", "{\"v\":1,\"ask\":", ""] {
        connect(&path).write_all(question.as_bytes()).expect("it takes it");
    }
    is_unhurt(&home, &mut program);
}

#[test]
fn a_folder_that_cannot_be_trusted_is_refused_and_the_program_runs_on() {
    let with_mode = |home: &Home, mode| fs::set_permissions(&home.0, Permissions::from_mode(mode)).expect("it is ours");
    let home = Home::new();
    with_mode(&home, 0o777);
    let mut program = home.runs();
    let said = program.warns("commands will not reach this program");
    assert!(
        said.contains("may be written to by others (mode 777)") && said.contains("set SYMPHRA_CONTROL_DIR"),
        "{said}"
    );
    assert!(!said.contains("pid_file") && !said.contains("log_file"), "it is about the socket: {said}");
    assert!(home.sockets().is_empty());
    home.app(&["list"]).fails(1, &["may be written to by others (mode 777)", "set SYMPHRA_CONTROL_DIR"]);
    assert_eq!(program.ends_by("TERM"), Some(0));

    if fs::metadata(&home.0).expect("it is there").uid() == 0 {
        with_mode(&home, 0o700);
        std::os::unix::fs::chown(&home.0, Some(1), None).expect("root may");
        home.app(&["list"]).fails(1, &["belongs to the user 1"]);
        std::os::unix::fs::chown(&home.0, Some(0), None).expect("root may");
    }
    let other = Home::new();
    symlink(&home.0, other.path("link")).expect("a link");
    let mut command = other.command(APP, "app", &["list"]);
    let output = command.env("SYMPHRA_CONTROL_DIR", other.path("link")).output().expect("it can be run");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is a link or a file, and no folder"), "{output:?}");
}

#[test]
fn a_path_that_no_socket_can_have_is_told_with_the_way_out() {
    let home = Home::new();
    let deep = home.path(&"d".repeat(90));
    fs::DirBuilder::new().create(&deep).expect("a folder");
    fs::set_permissions(&deep, Permissions::from_mode(0o700)).expect("it is ours");
    let mut command = home.command(APP, "app", &["run"]);
    command.env("SYMPHRA_CONTROL_DIR", &deep);
    let mut program = Program::of(command);
    let said = program.warns("commands will not reach this program");
    assert!(said.contains("the path of a socket") && said.contains("at most; set SYMPHRA_CONTROL_DIR"), "{said}");
    let output = home.command(APP, "app", &["check"]).env("SYMPHRA_CONTROL_DIR", &deep).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("the path of a socket"), "{said}");
    assert_eq!(program.ends_by("TERM"), Some(0));
}

#[test]
fn a_folder_named_by_a_relative_path_is_refused() {
    let home = Home::new();
    for (folder, is_refused) in [("run", true), ("", false)] {
        let mut command = home.command(APP, "app", &["list", "--json"]);
        let output = command.env("SYMPHRA_CONTROL_DIR", folder).env("XDG_STATE_HOME", &home.0).output();
        let said = String::from_utf8_lossy(&output.expect("it can be run").stderr).into_owned();
        assert_eq!(
            said.contains(r#"SYMPHRA_CONTROL_DIR = \"run\" is a relative path"#),
            is_refused,
            "{folder:?}: {said}"
        );
        assert!(!home.path("run").exists());
    }
}

#[test]
fn another_user_gets_no_answer_even_if_the_modes_would_let_it() {
    let home = Home::new();
    if fs::metadata(&home.0).expect("it is there").uid() != 0 {
        return; // Nobody else can be had.
    }
    fs::set_permissions(&home.0, Permissions::from_mode(0o755)).expect("it is ours");
    let mut program = home.runs();
    let path = socket(&home, &program);
    fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("it is ours");
    let said = asked_as(&home, &path, 65_534);
    assert!(said.contains("answer: \"\""), "{said}");
    let said = asked_as(&home, &path, 0);
    assert!(said.contains("alive"), "{said}");
    is_unhurt(&home, &mut program);
}

/// What a process of this user prints of the answer that it gets at the socket. Only root can have one of another user.
pub(crate) fn asked_as(home: &Home, path: &Path, user: u32) -> String {
    // By another process: a file that a fork of ours has open for writing could not be run.
    let this = std::env::current_exe().expect("a test knows where it is");
    assert!(Command::new("cp").arg(this).arg(home.path("asker")).status().expect("cp is there").success());
    let mut asker = Command::new(home.path("asker"));
    asker.args(["socket::asks_at_the_socket_that_is_named", "--exact", "--ignored", "--nocapture"]);
    let output = asker.env("ASK", path).uid(user).gid(user).output().expect("the copy can be run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "the test above runs it as another user"]
fn asks_at_the_socket_that_is_named() {
    let Some(path) = std::env::var_os("ASK") else { return };
    let mut stream = connect(&path.into());
    let mut answer = String::new();
    // It may have been closed before.
    drop(stream.write_all(b"{\"v\":1,\"ask\":\"health\"}\n"));
    drop(stream.read_to_string(&mut answer));
    println!("answer: {answer:?}");
}

#[test]
fn a_program_that_answers_nothing_sensible_is_told_so() {
    let home = Home::new();
    for (answer, said) in [
        ("", "PID 7 did not answer: it ended"),
        ("{\"v\":2,\"tell\":1}\n", "speaks version 2 of the control protocol"),
        ("hello\n", "PID 7 did not answer: "),
        ("{\"v\":1,\"tell\":{\"done\":{\"well\":\"perhaps\"}}}\n", "answers otherwise than this command expects"),
    ] {
        let listener = UnixListener::bind(home.path("app.7.sock")).expect("it can be bound");
        let served = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("somebody asks");
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).expect("in text");
            (&stream).write_all(answer.as_bytes()).expect("it is taken");
            line
        });
        home.app(&["health"]).fails(1, &[said]);
        assert_eq!(served.join().expect("it ends"), "{\"v\":1,\"ask\":\"health\"}\n");
        fs::remove_file(home.path("app.7.sock")).expect("it is there");
    }
}

#[test]
fn a_program_that_stops_lets_its_commands_know() {
    let home = Home::new();
    let mut program = home.runs();
    home.app(&["trigger", "slow"]).well();
    program.prints("slow: began");
    send(&program.pid(), "TERM");
    program.prints("stopping: ");
    home.app(&["trigger", "report"]).fails(1, &["has been asked to stop"]);
    let health = home.app(&["health"]);
    assert!(health.code == Some(1) && health.out.contains("it was asked to stop"), "{health:?}");
    send(&program.pid(), "TERM");
    assert_eq!(program.process.wait().expect("it ends").code(), Some(0));
    assert!(home.sockets().is_empty());
}
