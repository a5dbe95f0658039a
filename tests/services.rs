//! Servers for tests: private ones, on free ports, started from the installed packages; or those that `TEST_*_URL` names.
//!
//! `./tests/run` sets `SYMPHRA_TEST_SERVICES`, and then a server that cannot be started is a failure. Plain `cargo test` runs
//! what needs no service; `left_out.rs` prints what that leaves out.

mod browser;
mod rabbitmq;
mod redis;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use browser::{chromium, has_browser, missing};
pub use rabbitmq::{RABBITMQ_URL, RabbitMq, has_rabbitmq, rabbitmq_url};
pub use redis::{REDIS_URL, Redis, has_redis, redis_namespace, redis_url};

/// Set by `./tests/run`: every service has to be there.
pub const ALL_SERVICES: &str = "SYMPHRA_TEST_SERVICES";

/// Names a PostgreSQL server to be used instead of a private one.
pub const POSTGRES_URL: &str = "TEST_POSTGRES_URL";

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(60);

/// The user `nobody` of Debian: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// Whether tests that need this program are to run.
#[must_use]
pub fn has_program(name: &str) -> bool {
    std::env::var_os(ALL_SERVICES).is_some() || on_path(name).is_some()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether tests that need PostgreSQL are to run.
#[must_use]
pub fn has_postgres() -> bool {
    std::env::var_os(POSTGRES_URL).is_some() || std::env::var_os(ALL_SERVICES).is_some()
}

/// The URL of a database that all tests of this process share: a private server's, unless [`POSTGRES_URL`] names one.
#[must_use]
pub fn postgres_url() -> &'static str {
    static SHARED: OnceLock<(String, Option<Postgres>)> = OnceLock::new();
    let (url, _) = SHARED.get_or_init(|| match std::env::var(POSTGRES_URL) {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Postgres::start();
            (server.url(), Some(server))
        }
    });
    url
}

/// A private PostgreSQL server, which ends with this process at the latest.
#[derive(Debug)]
pub struct Postgres {
    folder: tempfile::TempDir,
    port: u16,
    /// Parameters, each as `name=value`.
    set: Vec<String>,
    running: Option<Child>,
}

impl Postgres {
    /// Makes a cluster in a folder of its own, and starts it.
    ///
    /// # Panics
    /// If the package `postgresql` is not installed, or the server does not answer.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with these parameters, each as `name=value`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(set: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("symphra-postgres-").tempdir().expect("a folder");
        let mut server = Self { folder, port: free_port(), set: set.to_vec(), running: None };
        let data = server.data();
        fs::create_dir(&data).expect("a folder of data");
        for path in [server.folder.path(), &data] {
            give_to_nobody(path);
        }
        let made = as_nobody(&mut Command::new(program("initdb")))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"])
            .arg(&data)
            .current_dir(server.folder.path())
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.run();
        server
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts the server on the data that is there.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn run(&mut self) {
        // When this process is gone, so is the shell's input: the server ends then, and nothing is left of it.
        let script =
            "\"$@\" & server=$!; read -r told; kill -INT $server; wait $server; [ -n \"$told\" ] || rm -rf \"$0\"";
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let child = as_nobody(&mut Command::new("sh"))
            .args(["-c", script])
            .arg(self.folder.path())
            .arg(program("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
            .args(["-c", &format!("unix_socket_directories={}", self.folder.path().display())])
            .args(["-p", &self.port.to_string()])
            .args(self.set.iter().flat_map(|set| ["-c", set]))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a shell runs");
        self.running = Some(child);
        self.wait_until_it_answers();
    }

    /// Stops the server at once, as a crash of its machine would; its data stay.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.stdin.take().map(|mut input| input.write_all(b"stop\n"));
            child.wait().expect("the server ends");
        }
    }

    fn wait_until_it_answers(&self) {
        let ready = program("pg_isready");
        let began = Instant::now();
        while began.elapsed() < START_MAX {
            let port = self.port.to_string();
            let asked = Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            if asked.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not answer within {START_MAX:?}: {log}");
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens on.
///
/// # Panics
/// If the system has none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// A program of PostgreSQL: in the path, or where Debian has it.
fn program(name: &str) -> PathBuf {
    let of_path = std::env::var_os("PATH").unwrap_or_default();
    let of_path = std::env::split_paths(&of_path).map(|folder| folder.join(name));
    let of_debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_debian = of_debian.map(|version| version.path().join("bin").join(name));
    let found = of_debian.chain(of_path).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not there; install the package postgresql, or set {POSTGRES_URL}"))
}

/// The command as another user, if this one is root.
fn as_nobody(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        return command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Gives a file to the user of the servers that refuse to run as root, if this one is root.
///
/// # Panics
/// If root may not give it away.
pub fn give_to_nobody(path: &Path) {
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
    }
}
