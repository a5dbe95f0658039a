//! A private Redis server, which keeps all that it has answered: an append-only file, written before each answer.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::{ALL_SERVICES, START_MAX, free_port};

/// Names a Redis server to be used instead of a private one.
pub const REDIS_URL: &str = "TEST_REDIS_URL";

/// Whether tests that need Redis are to run.
#[must_use]
pub fn has_redis() -> bool {
    std::env::var_os(REDIS_URL).is_some() || std::env::var_os(ALL_SERVICES).is_some()
}

/// The URL of a server that all tests of this process share: a private one's, unless [`REDIS_URL`] names one.
#[must_use]
pub fn redis_url() -> &'static str {
    static SHARED: OnceLock<(String, Option<Redis>)> = OnceLock::new();
    let (url, _) = SHARED.get_or_init(|| match std::env::var(REDIS_URL) {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Redis::start();
            (server.url(), Some(server))
        }
    });
    url
}

/// A namespace that no other test has.
#[must_use]
pub fn redis_namespace() -> String {
    let number = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), Instant::now());
    format!("test_{number:x}")
}

/// A private Redis server, which ends with this process at the latest.
#[derive(Debug)]
pub struct Redis {
    folder: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    running: Option<Child>,
    /// The number of the server's process, of which the shell is the child of this one.
    process: AtomicI32,
}

impl Redis {
    /// Starts a server in a folder of its own.
    ///
    /// # Panics
    /// If the package `redis-server` is not installed, or the server does not answer.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more options of `redis-server`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("symphra-redis-").tempdir().expect("a folder");
        let options = options.iter().map(ToString::to_string).collect();
        let mut server = Self { folder, port: free_port(), options, running: None, process: AtomicI32::new(0) };
        server.run();
        server
    }

    /// A Cluster of one node, which all tests of this process share.
    ///
    /// # Panics
    /// As [`start`](Self::start), or if it does not serve its slots.
    #[must_use]
    pub fn shared_cluster() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| {
            let server = Self::start_in_cluster();
            server.ask("CLUSTER ADDSLOTSRANGE 0 16383");
            let began = Instant::now();
            while !server.ask("CLUSTER INFO").contains("cluster_state:ok") {
                assert!(began.elapsed() < START_MAX, "a Cluster serves its slots");
                std::thread::sleep(Duration::from_millis(20));
            }
            server
        })
    }

    /// A server that may become one of a Cluster, and serves no slot.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_in_cluster() -> Self {
        // Unless it is named, the port of its bus is too high for half of the ports that are free.
        Self::start_with(&["--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()])
    }

    /// Where the other servers of its Cluster find it, and its bus.
    ///
    /// # Panics
    /// If it was not started for a Cluster.
    #[must_use]
    pub fn cluster_ports(&self) -> (u16, u16) {
        let named = self.options.iter().skip_while(|option| *option != "--cluster-port").nth(1);
        (self.port, named.and_then(|port| port.parse().ok()).expect("it was started for a Cluster"))
    }

    /// A Sentinel that watches over a server, by the name `main`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn sentinel_of(server: &Self) -> Self {
        let folder = tempfile::Builder::new().prefix("symphra-sentinel-").tempdir().expect("a folder");
        let settings = folder.path().join("sentinel.conf");
        fs::write(&settings, format!("sentinel monitor main 127.0.0.1 {} 1\n", server.port)).expect("settings");
        let options = vec![settings.display().to_string(), "--sentinel".into()];
        let mut sentinel = Self { folder, port: free_port(), options, running: None, process: AtomicI32::new(0) };
        sentinel.run();
        sentinel
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server on what is there.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn run(&mut self) {
        self.run_with(&[]);
    }

    /// The same, with more options of `redis-server` for this time.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn run_with(&mut self, options: &[&str]) {
        self.begin_with(options);
        self.wait_until_it_answers();
    }

    /// The same, and does not wait until it has loaded what is there.
    ///
    /// # Panics
    /// If no shell can be started.
    pub fn begin_with(&mut self, options: &[&str]) {
        // When this process is gone, so is the shell's input: the server ends then, and nothing is left of it.
        let script =
            "\"$@\" & server=$!; read -r told; kill -KILL $server; wait $server; [ -n \"$told\" ] || rm -rf \"$0\"";
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(self.folder.path())
            .arg(program())
            .args(&self.options)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--dir"])
            .arg(self.folder.path())
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(options)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a shell runs");
        self.running = Some(child);
    }

    /// Kills the server, as a crash of its machine would; what it has kept stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.stdin.take().map(|mut input| input.write_all(b"stop\n"));
            child.wait().expect("the server ends");
        }
    }

    /// Has it stand still, with its connections.
    ///
    /// # Panics
    /// If it does not run.
    #[cfg(unix)]
    pub fn freeze(&self) {
        rustix::process::kill_process(self.process(), rustix::process::Signal::STOP).expect("it runs");
    }

    /// Has it go on.
    ///
    /// # Panics
    /// If it does not run.
    #[cfg(unix)]
    pub fn thaw(&self) {
        rustix::process::kill_process(self.process(), rustix::process::Signal::CONT).expect("it runs");
    }

    #[cfg(unix)]
    fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.process.load(Relaxed)).expect("it has answered with its number")
    }

    /// How many bytes it has kept since it was first started.
    ///
    /// # Panics
    /// If it keeps nothing.
    #[must_use]
    pub fn kept(&self) -> u64 {
        fs::metadata(self.log_of_writes()).expect("it keeps what it has answered").len()
    }

    /// Has a stopped server forget what it has kept beyond so many bytes, as a crash of its machine does under
    /// `appendfsync everysec`.
    ///
    /// # Panics
    /// If it keeps nothing.
    pub fn forget_beyond(&self, kept: u64) {
        let file = fs::File::options().write(true).open(self.log_of_writes()).expect("it keeps what it has answered");
        file.set_len(kept).expect("a file can be cut");
    }

    fn log_of_writes(&self) -> PathBuf {
        self.folder.path().join("appendonlydir/appendonly.aof.1.incr.aof")
    }

    /// Asks the server something, in one line; the beginning of its answer.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(command).expect("the server answers")
    }

    /// The same, of a server that may not be there.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; 4_096];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// Waits until it has loaded what is there.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn wait_until_it_answers(&self) {
        let began = Instant::now();
        while began.elapsed() < START_MAX {
            if self.try_ask("PING").is_ok_and(|answer| answer.starts_with("+PONG")) {
                let info = self.ask("INFO server");
                let process = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
                self.process.store(process.expect("a server tells its process"), Relaxed);
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("Redis does not answer within {START_MAX:?}: {log}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("redis-server is not there; install the package redis-server, or set {REDIS_URL}"))
}
