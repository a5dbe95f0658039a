//! What systemd is told by the example of it, heard on a socket as systemd hears it.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use symphra_scheduler_tests::examples;
use tempfile::TempDir;

use super::{PATIENCE, Program};

/// What it hears at half the limit of its watchdog, if all is well.
const WELL: &str = "WATCHDOG=1\nSTATUS=well\n";

/// What it hears instead.
const STUCK: &str = "STATUS=stuck: import\n";

/// The other end of `NOTIFY_SOCKET`.
struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    fn listen(folder: &Path) -> Self {
        let socket = UnixDatagram::bind(folder.join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { socket }
    }

    fn heard(&self) -> std::io::Result<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message)?;
        Ok(String::from_utf8_lossy(&message[..length]).into_owned())
    }

    /// The next message.
    #[track_caller]
    fn next(&self) -> String {
        self.heard().expect("it is told")
    }

    /// The next message that does not say that all is well.
    #[track_caller]
    fn next_news(&self) -> String {
        loop {
            let message = self.next();
            if message != WELL {
                return message;
            }
        }
    }

    /// All that has been said so far.
    fn said(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("it can be asked");
        let mut said = Vec::new();
        loop {
            match self.heard() {
                Ok(message) => said.push(message),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.socket.set_nonblocking(false).expect("it can be waited for");
        said
    }
}

fn started(folder: &TempDir, watchdog: Duration) -> (Program, Systemd) {
    let systemd = Systemd::listen(folder.path());
    let mut command = Command::new(examples().join("systemd"));
    command.arg(folder.path()).env("NOTIFY_SOCKET", folder.path().join("notify"));
    command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    (Program::spawned(&mut command), systemd)
}

#[test]
fn systemd_is_told_when_it_is_up_reads_its_settings_again_and_drains() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut program, systemd) = started(&folder, Duration::from_millis(400));
    assert_eq!(systemd.next(), "READY=1\n");
    assert_eq!(systemd.next(), WELL);

    std::fs::write(folder.path().join("period"), "200ms\n").expect("a file");
    program.signal("HUP");
    let reloading = systemd.next_news();
    let instant = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both in one message");
    assert!(instant.trim_end().parse::<u64>().is_ok_and(|micros| micros > 0), "{reloading}");
    assert_eq!(systemd.next_news(), "READY=1\n");
    program.prints("report");

    // What is wrong is kept out, and the service goes on.
    std::fs::write(folder.path().join("period"), "soon").expect("a file");
    program.signal("HUP");
    assert!(systemd.next_news().starts_with("RELOADING=1\n"));
    assert_eq!(systemd.next_news(), "READY=1\n");
    // More than can be waiting from before.
    for _ in 0..10 {
        program.prints("report");
    }

    program.signal("TERM");
    assert_eq!(systemd.next_news(), "STOPPING=1\n");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(printed.ends_with("stopped, 0 runs cancelled\n"), "{printed}");
    assert_eq!(systemd.said(), Vec::<String>::new(), "nothing after the stop");
}

#[test]
fn the_watchdog_is_not_fed_while_a_run_is_stuck() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("lock"), "").expect("a file");
    let (program, systemd) = started(&folder, Duration::from_millis(400));
    assert_eq!(systemd.next(), "READY=1\n");
    assert_eq!(systemd.next(), WELL, "a run that takes long is no harm yet");
    assert_eq!(systemd.next_news(), STUCK);
    // Each of the next ten is sent where `WATCHDOG=1` would have been.
    for _ in 0..10 {
        assert_eq!(systemd.next(), STUCK);
    }
    // The lock is gone, so the run ends by itself, and all is well.
    std::fs::remove_file(folder.path().join("lock")).expect("it was there");
    while systemd.next() != WELL {}
    program.signal("TERM");
    assert_eq!(systemd.next_news(), "STOPPING=1\n");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
}

#[test]
fn without_systemd_nobody_is_told_and_it_runs_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("period"), "200ms").expect("a file");
    let mut command = Command::new(examples().join("systemd"));
    command.arg(folder.path()).env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    let mut program = Program::spawned(&mut command);
    program.prints("report");
    program.signal("TERM");
    assert_eq!(program.ends().0.code(), Some(0));
}
