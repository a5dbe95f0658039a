//! The settings of a daemon: its name, its two files, where it works. Plain data, on every platform.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use symphra_scheduler_core::format_duration;

use crate::error::Problem;

/// The longest name: it stands in file names, beside an ending of our own.
const NAME_BYTES_MAX: usize = 64;

/// How long a start may take: what takes an hour to come up does not come up.
pub(super) const STARTUP_TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60 * 60);

/// How long a start may take where nothing is said.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of a daemon, for [`SchedulerConfig::daemon`](crate::SchedulerConfig::daemon).
///
/// They count for `Scheduler::daemon` (feature `daemon`) and for nothing else. Setters do not fail; what is impossible is
/// an error at start.
///
/// ```
/// use symphra_scheduler::{DaemonConfig, SchedulerConfig};
///
/// let config = SchedulerConfig::new().daemon(DaemonConfig::new().name("billing").log_file("/var/log/billing.log"));
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DaemonConfig {
    pub(crate) name: Option<String>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) working_directory: Option<PathBuf>,
    startup_timeout: Option<Duration>,
}

impl DaemonConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name, which sets daemons of one user apart. Default: the program's file name without its ending. Allowed are
    /// 1 to 64 letters, digits, `.`, `_` and `-`, not a `.` first.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The file that is locked while the daemon runs, and tells its PID. Default: `<name>.pid` in `/run/symphra` for
    /// root, else in `$XDG_STATE_HOME/symphra` (`~/.local/state/symphra`).
    ///
    /// The default folder is made, with mode 0700; another one has to be there.
    #[must_use]
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// Where standard output and standard error of the daemon go. Default: `<name>.log` in `/var/log/symphra` for root,
    /// else in `$XDG_STATE_HOME/symphra` (`~/.local/state/symphra`).
    ///
    /// It is appended to and never cut; a rotation has to copy and truncate it. The default folder is made, with mode
    /// 0700; another one has to be there.
    #[must_use]
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.log_file = Some(path.into());
        self
    }

    /// The daemon's working directory. Default: the one it was started in, so that relative paths of the program mean
    /// the same in both.
    #[must_use]
    pub fn working_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.working_directory = Some(path.into());
        self
    }

    /// How long the daemon may take until it is up, what stands before it in `main` included; then it is killed.
    /// Default 30 s; allowed 1 ms to 1 h.
    #[must_use]
    pub fn startup_timeout(mut self, timeout: Duration) -> Self {
        self.startup_timeout = Some(timeout);
        self
    }

    pub(crate) fn patience(&self) -> Duration {
        self.startup_timeout.unwrap_or(STARTUP_TIMEOUT)
    }

    /// These settings, and where they say nothing, those of `below`.
    #[cfg(feature = "config")]
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            name: self.name.or(below.name),
            pid_file: self.pid_file.or(below.pid_file),
            log_file: self.log_file.or(below.log_file),
            working_directory: self.working_directory.or(below.working_directory),
            startup_timeout: self.startup_timeout.or(below.startup_timeout),
        }
    }

    /// What each key says, to be compared.
    #[cfg(feature = "config")]
    pub(super) fn said(&self) -> Vec<(&'static str, String)> {
        let Self { name, pid_file, log_file, working_directory, startup_timeout } = self;
        vec![
            ("daemon.name", format!("{name:?}")),
            ("daemon.pid_file", format!("{pid_file:?}")),
            ("daemon.log_file", format!("{log_file:?}")),
            ("daemon.working_directory", format!("{working_directory:?}")),
            ("daemon.startup_timeout", format!("{startup_timeout:?}")),
        ]
    }

    /// Everything that is impossible in these settings, the program's own log being the file `log`.
    pub(super) fn problems(&self, log: Option<&Path>) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut says = |key, value: String, allowed| found.push(Problem::Setting { key, value, allowed });
        if let Some(name) = self.name.as_deref().filter(|name| !is_name(name)) {
            says("daemon.name", format!("{name:?}"), NAMES);
        }
        let paths = [
            ("daemon.pid_file", &self.pid_file, "the path of a file"),
            ("daemon.log_file", &self.log_file, "the path of a file"),
        ];
        for (key, path, allowed) in paths {
            if let Some(path) = path.as_deref().filter(|path| path.file_name().is_none()) {
                says(key, format!("{path:?}"), allowed);
            }
        }
        let files = [
            ("daemon.pid_file", self.pid_file.as_deref()),
            ("daemon.log_file", self.log_file.as_deref()),
            ("logging.file", log),
        ];
        let files: Vec<_> = files.iter().filter_map(|&(key, path)| Some((key, path?, absolute(path?)))).collect();
        for (at, (key, path, file)) in files.iter().enumerate() {
            if files[..at].iter().any(|(.., other)| other == file) {
                says(
                    key,
                    format!("{path:?}"),
                    "a file of its own: two of daemon.pid_file, daemon.log_file and logging.file are one",
                );
            }
        }
        if !STARTUP_TIMEOUTS.contains(&self.patience()) {
            says("daemon.startup_timeout", format_duration(self.patience()), "1ms to 1h");
        }
        found
    }
}

/// The path without what means nothing in it, so that two ways to write one are equal.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What a daemon may be called, in words.
pub(crate) const NAMES: &str = "1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not a '.' first";

/// Whether a daemon may be called so: never a path, never a hidden file.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_of_a_name)
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// The name of a daemon of the program at `program`: its file stem, with `-` for what a name cannot hold.
#[cfg(any(test, feature = "cli", all(unix, feature = "daemon")))]
pub(crate) fn name_of(program: &Path) -> String {
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem
        .trim_start_matches('.')
        .chars()
        .map(|c| if c.is_ascii() && is_of_a_name(c as u8) { c } else { '-' })
        .collect();
    let name: String = name.chars().take(NAME_BYTES_MAX).collect();
    if name.is_empty() { "daemon".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path_or_a_hidden_file() {
        for name in ["a", "billing", "A-1_b.c", "-", &"x".repeat(64)] {
            assert!(is_name(name), "{name:?}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a b", "a\0", "a\n", "ä", &"x".repeat(65)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn every_program_has_a_name_that_is_possible() {
        for (program, name) in [
            ("/usr/bin/billing", "billing"),
            ("/usr/bin/bill.ing", "bill"),
            ("/a/my program", "my-program"),
            ("/a/.odd", "odd"),
            ("/a/任务", "--"),
            ("/", "daemon"),
            ("", "daemon"),
        ] {
            assert_eq!(name_of(Path::new(program)), name, "{program:?}");
            assert!(is_name(name));
        }
        assert!(is_name(&name_of(Path::new(&"é".repeat(100)))));
    }

    #[test]
    fn impossible_settings_are_named() {
        let config = DaemonConfig::new().name("../x").pid_file("/").log_file("..").startup_timeout(Duration::ZERO);
        let said: Vec<String> = config.problems(None).iter().map(ToString::to_string).collect();
        for (line, part) in
            said.iter().zip(["name = \"../x\"", "pid_file = \"/\"", "log_file = \"..\"", "startup_timeout"])
        {
            assert!(line.starts_with("daemon.") && line.contains(part), "{line}");
        }
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(DaemonConfig::new().problems(Some(Path::new("a"))).is_empty());
    }

    #[test]
    fn no_file_has_two_roles() {
        let daemon = || DaemonConfig::new().pid_file("a/x");
        for (key, found) in [
            ("daemon.log_file", daemon().log_file("./a//x").problems(None)),
            ("logging.file", daemon().log_file("a/y").problems(Some(Path::new("a/x")))),
            ("logging.file", DaemonConfig::new().log_file("a/y").problems(Some(Path::new("./a/y")))),
        ] {
            let [problem] = &found[..] else { panic!("{key}: {found:?}") };
            assert!(problem.to_string().starts_with(key) && problem.to_string().contains("of its own"), "{problem}");
        }
        assert!(daemon().log_file("a/y").problems(Some(Path::new("a/z"))).is_empty());
    }
}
