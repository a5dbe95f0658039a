//! A private RabbitMQ server, with a node, ports and folders of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{ALL_SERVICES, free_port};

/// Names a RabbitMQ server to be used instead of a private one.
pub const RABBITMQ_URL: &str = "TEST_RABBITMQ_URL";

/// How long a server may take to answer: it starts slowly, and more so on a machine that compiles.
const START_MAX: Duration = Duration::from_secs(180);

/// Where Debian has the programs that ask nobody who starts them; those in the path want a user of their own.
const OF_DEBIAN: &str = "/usr/lib/rabbitmq/bin";

/// Whether tests that need RabbitMQ are to run.
#[must_use]
pub fn has_rabbitmq() -> bool {
    std::env::var_os(RABBITMQ_URL).is_some() || std::env::var_os(ALL_SERVICES).is_some()
}

/// The URL of a server that all tests of this process share: a private one's, unless [`RABBITMQ_URL`] names one.
#[must_use]
pub fn rabbitmq_url() -> &'static str {
    static SHARED: OnceLock<(String, Option<RabbitMq>)> = OnceLock::new();
    let (url, _) = SHARED.get_or_init(|| match std::env::var(RABBITMQ_URL) {
        Ok(url) => (url, None),
        Err(_) => {
            let server = RabbitMq::start();
            (server.url(), Some(server))
        }
    });
    url
}

/// A private RabbitMQ server, which ends with this process at the latest.
#[derive(Debug)]
pub struct RabbitMq {
    folder: tempfile::TempDir,
    port: u16,
    distribution_port: u16,
    epmd_port: u16,
    /// Parameters of its application.
    set: Vec<String>,
    running: Option<Child>,
}

impl RabbitMq {
    /// Starts a server in a folder of its own.
    ///
    /// # Panics
    /// If the package `rabbitmq-server` is not installed, or the server does not answer.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with these parameters, each after the name of its application, such as `rabbit`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(set: &[(&str, &str)]) -> Self {
        let set = set.iter().map(|(parameter, value)| format!("-{parameter} {value}")).collect();
        let folder = tempfile::Builder::new().prefix("symphra-rabbitmq-").tempdir().expect("a folder");
        fs::write(folder.path().join("plugins"), "[].\n").expect("a file");
        let (port, distribution_port, epmd_port) = (free_port(), free_port(), free_port());
        let mut server = Self { folder, port, distribution_port, epmd_port, set, running: None };
        server.run();
        server
    }

    /// Where clients find it, as the user `guest`, who is let in from this host.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}/%2f", self.port)
    }

    /// Starts the server on the data that is there.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn run(&mut self) {
        // When this process is gone, so is the shell's input: the server ends then, with what it has started beside it. It is
        // killed, as a crash of its machine would.
        let script = "setsid \"$@\" & server=$!; read -r told; kill -KILL -$server; wait $server; \
                      epmd -port $ERL_EPMD_PORT -kill >/dev/null 2>&1; [ -n \"$told\" ] || rm -rf \"$0\"";
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(self.folder.path()).arg(program("rabbitmq-server"));
        self.surround(&mut command);
        let distribution = "-kernel inet_dist_use_interface {127,0,0,1}";
        let child = command
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", format!("{distribution} {}", self.set.join(" ")))
            .env("RABBITMQ_LOGS", "-")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a shell runs");
        self.running = Some(child);
        self.wait_until_it_answers();
    }

    /// How many bytes it keeps in files of queues, the log of what was written first among them.
    #[must_use]
    pub fn kept(&self) -> u64 {
        size_of(&self.folder.path().join("quorum")) + size_of(&self.folder.path().join("mnesia"))
    }

    /// Has `rabbitmqctl` do something.
    ///
    /// # Panics
    /// If it fails.
    pub fn ctl(&self, arguments: &[&str]) {
        let mut command = Command::new(program("rabbitmqctl"));
        self.surround(&mut command);
        let done = command.args(arguments).stdin(Stdio::null()).output().expect("rabbitmqctl runs");
        let told = [done.stdout, done.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
        assert!(done.status.success(), "rabbitmqctl {arguments:?}: {told:?}");
    }

    /// Says where the node of this server is, and keeps it apart from others.
    fn surround(&self, command: &mut Command) {
        for (variable, place) in [
            ("HOME", "."),
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "logs"),
            ("RABBITMQ_QUORUM_DIR", "quorum"),
            ("RABBITMQ_CONFIG_FILE", "none"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "none"),
            ("RABBITMQ_CONF_ENV_FILE", "none"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
            ("RABBITMQ_SCHEMA_DIR", "schema"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_PID_FILE", "pid"),
        ] {
            command.env(variable, self.folder.path().join(place));
        }
        command.current_dir(self.folder.path());
        command.env("RABBITMQ_NODENAME", format!("symphra{}@localhost", self.port));
        command.env("ERL_EPMD_PORT", self.epmd_port.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    }

    /// Kills the server, as a crash of its machine would; what it has kept stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.stdin.take().map(|mut input| input.write_all(b"stop\n"));
            child.wait().expect("the server ends");
        }
    }

    /// Waits until the server speaks AMQP: it says so whatever version it is asked for.
    fn wait_until_it_answers(&mut self) {
        let began = Instant::now();
        while began.elapsed() < START_MAX {
            let has_ended = self.running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
            if self.speaks().is_ok() || has_ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if self.speaks().is_err() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            panic!("RabbitMQ does not answer within {START_MAX:?}: {log}");
        }
    }

    fn speaks(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        stream.read_exact(&mut [0; 8])
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program(name: &str) -> PathBuf {
    let debian = Path::new(OF_DEBIAN).join(name);
    if debian.is_file() {
        return debian;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not there; install the package rabbitmq-server, or set {RABBITMQ_URL}"))
}

/// How many bytes the files below a folder have; those that go meanwhile have none.
fn size_of(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |file: fs::DirEntry| match file.file_type() {
        Ok(kind) if kind.is_dir() => size_of(&file.path()),
        _ => file.metadata().map_or(0, |file| file.len()),
    };
    files.map(size).sum()
}
