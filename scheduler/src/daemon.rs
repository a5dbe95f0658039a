//! Running as a daemon: detached from whoever started it, once per name, and stopped by that name.
//!
//! A daemon is this program, started anew: nothing is forked inside a runtime. Whether it runs the lock on its PID file
//! tells, which the kernel drops with the process. Which process it is the number in that file says, and on Linux it is
//! believed only of a process that has the file open by the kernel's own list. Other systems have no such list, and there
//! it is believed because whoever takes the lock writes its number at once: of a live process, and if it stays the same
//! while the lock is held.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::config::{DaemonConfig, SchedulerConfig};
use crate::error::Error;
use crate::scheduler::Scheduler;

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use elsewhere as system;
#[cfg(unix)]
use unix as system;

impl Scheduler {
    /// Starts the scheduler as a daemon, and returns its PID once it is up: in the parent only.
    ///
    /// The program is started anew, by its path and with its arguments. In that child this call runs the scheduler and
    /// ends the process with its exit code, so it never returns there, and what stands before it in `main` runs in both.
    /// [`SchedulerConfig::daemon`](crate::SchedulerConfig::daemon) has the settings.
    ///
    /// Its path is the one by which this process was started: if that is a link, whatever the link leads to now, so that a
    /// [`restart`](Daemon::restart) after an upgrade starts the new program. On Linux it is what the kernel was asked to
    /// execute (`AT_EXECFN` of `getauxval(3)`), never the first argument, which whoever starts a program may choose. It
    /// counts if it is absolute, or still leads to the file from which this process runs, and if an executable file is
    /// there; not if it names a descriptor, and not in a process that has gained rights at its start (`AT_SECURE`: set-user-id,
    /// capabilities of the file), for its caller could point a link at another program. Otherwise, and on other systems, it is
    /// [`current_exe`](std::env::current_exe). So whoever can change that path, its links and its folders decides what is
    /// started, as at any start by hand: let nobody write there whom you would not let start it.
    ///
    /// The daemon has a session of its own and no terminal, its standard input is `/dev/null`, its standard output and
    /// error are the log file, its umask is 027, and its working directory is the one that it was started in, unless one
    /// is set. A file that whoever started the program left open for its children stays open. It holds its PID file
    /// locked, heeds signals as [`run`](Self::run) does (SIGTERM drains and stops, a second one stops at once), and its
    /// exit code is 0 after a stop and 1 after an error, which its log then tells.
    ///
    /// ```no_run
    /// use symphra_scheduler::{DaemonConfig, Scheduler, SchedulerConfig};
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), symphra_scheduler::Error> {
    ///     let config = SchedulerConfig::new().daemon(DaemonConfig::new().name("billing"));
    ///     let pid = Scheduler::from_registry().config(config).daemon().await?;
    ///     println!("started, PID {pid}"); // in the parent only
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// What [`start`](Self::start) says of tasks and settings; what the daemon said before it was up, or how it ended and
    /// the last lines of its log; that one of this name runs already, with its PID; what is wrong with the PID file, the
    /// log file or their folders. Nothing runs then. Outside Unix always.
    ///
    /// # Cancellation
    /// A daemon that nobody waits for when it is up ends again.
    pub async fn daemon(self) -> Result<Pid, Error> {
        system::start(self).await
    }
}

/// A daemon by its name, or by its PID file: of this program or of another, running or not.
///
/// ```no_run
/// use std::time::Duration;
/// use symphra_scheduler::Daemon;
///
/// # async fn example() -> Result<(), symphra_scheduler::Error> {
/// let billing = Daemon::named("billing");
/// println!("{}", billing.status().await?);
/// println!("{}", billing.stop(Duration::from_secs(40)).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Daemon(DaemonConfig);

impl Daemon {
    /// The daemon of this user with this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self(DaemonConfig::new().name(name))
    }

    /// The daemon that a program with these settings starts.
    #[must_use]
    pub fn of(settings: DaemonConfig) -> Self {
        Self(settings)
    }

    /// Its PID file, if it is not the default one.
    #[must_use]
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0 = self.0.pid_file(path);
        self
    }

    /// Whether it runs, and since when.
    ///
    /// # Errors
    /// The name is none, or the PID file or its folder cannot be trusted: the error says why.
    pub async fn status(&self) -> Result<DaemonStatus, Error> {
        system::status(&self.0).await
    }

    /// Asks it to stop by SIGTERM and waits for its end; after `timeout` it is killed. Choose one longer than its
    /// [`shutdown_timeout`](crate::SchedulerConfig::shutdown_timeout). A second stop beside a first one that waits is a
    /// second signal: the daemon stops at once.
    ///
    /// A PID file that a killed daemon has left, which nobody has locked, is removed, and its number is never signalled. One
    /// that is locked is signalled by its number, after it was seen that this process has the file open; outside Linux only
    /// that it lives, and that the file names it at two looks.
    ///
    /// # Errors
    /// As [`status`](Self::status); it may not be signalled; it runs in another container; it outlives SIGKILL.
    ///
    /// # Cancellation
    /// The daemon stops, and is not killed.
    pub async fn stop(&self, timeout: Duration) -> Result<DaemonStop, Error> {
        system::stop(&self.0, timeout).await
    }

    /// Stops it, if it runs, as [`stop`](Self::stop) does, and starts `scheduler` in its place, under this name and this
    /// PID file; returns the new PID in the parent only, as [`Scheduler::daemon`] does.
    ///
    /// What is wrong with its tasks and settings, and what stands in the way of its files, is found before anything is
    /// stopped. Whether its store answers is not.
    ///
    /// # Errors
    /// As `stop` and `Scheduler::daemon`.
    ///
    /// # Cancellation
    /// Nothing may be running.
    pub async fn restart(&self, scheduler: Scheduler, timeout: Duration) -> Result<Pid, Error> {
        let Self(own) = self;
        let scheduler = scheduler.adjust(|mut config| {
            config.daemon.name = own.name.clone().or(config.daemon.name);
            config.daemon.pid_file = own.pid_file.clone().or(config.daemon.pid_file);
            config
        });
        // The child comes here too, and must not stop what is not there or, worse, itself.
        if !system::is_child() {
            scheduler.check()?;
            could_start(scheduler.settings())?;
            system::stop(&scheduler.settings().daemon, timeout).await?;
        }
        system::start(scheduler).await
    }
}

/// Whether its files and its folder could be had, without making any.
fn could_start(settings: &SchedulerConfig) -> Result<(), Error> {
    #[cfg(feature = "logging")]
    if let Some(error) = crate::logging::hindrance(&settings.logging) {
        return Err(error);
    }
    match system::hindrances(&settings.daemon).into_iter().next() {
        Some(Hindrance { key, says, .. }) => Err(Error::refused(format!("{key}: {says}"))),
        None => Ok(()),
    }
}

/// Something that would keep a daemon from starting.
#[derive(Debug)]
pub(crate) struct Hindrance {
    /// The setting that it is about.
    pub(crate) key: &'static str,
    pub(crate) says: String,
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "only `check` weighs; a restart ends with the first"))]
    pub(crate) weight: Weight,
}

/// How much a hindrance counts for a program that need not be a daemon.
#[cfg_attr(not(unix), expect(dead_code, reason = "there is no daemon here"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Somebody has set what cannot be, or something is there that cannot be trusted.
    Problem,
    /// Only a default cannot be had.
    Note,
}

/// Everything in the way of a daemon with these settings, found out without making any of its files.
#[cfg(feature = "cli")]
pub(crate) fn hindrances(settings: &DaemonConfig) -> Vec<Hindrance> {
    system::hindrances(settings)
}

/// The number of a process.
///
/// ```no_run
/// use symphra_scheduler::{Error, Pid, Scheduler};
///
/// # async fn start() -> Result<(), Error> {
/// let pid: Pid = Scheduler::from_registry().daemon().await?;
/// println!("kill -TERM {}", pid.as_u32());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pid(NonZeroU32);

impl Pid {
    #[cfg(unix)]
    pub(crate) fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What is known of a daemon.
///
/// ```no_run
/// use symphra_scheduler::{Daemon, DaemonStatus, Error};
///
/// # async fn look() -> Result<(), Error> {
/// match Daemon::named("billing").status().await? {
///     DaemonStatus::Running { pid, since } => println!("PID {pid}, since {since}"),
///     other => println!("{other}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DaemonStatus {
    /// It runs, or is about to.
    Running {
        /// Its process.
        pid: Pid,
        /// When it took its PID file, which is the first thing that it does: by that file's time of change, for a daemon
        /// writes it once. A tool that touches the file makes this wrong.
        since: DateTime<Utc>,
    },
    /// It does not run, and did not end by itself: it was killed, or its machine went down. When is not known.
    Stale {
        /// The number that it has left, which may be another process's by now.
        pid: Option<Pid>,
    },
    /// It does not run.
    Stopped,
    /// Its PID file is locked, but not by the process that it names: that one may be in another container. Outside Linux only
    /// a number of no process is told so.
    Foreign {
        /// The number in the file.
        pid: Option<Pid>,
    },
}

impl fmt::Display for DaemonStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { pid, since } => {
                write!(f, "running, PID {pid}, since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true))
            }
            Self::Stale { pid: Some(pid) } => write!(f, "not running; it was killed and has left PID {pid} behind"),
            Self::Stale { pid: None } => f.write_str("not running; its PID file holds no number"),
            Self::Stopped => f.write_str("not running"),
            Self::Foreign { pid: Some(pid) } => {
                write!(f, "running where it cannot be seen from here: its PID file names {pid}, which does not hold it")
            }
            Self::Foreign { pid: None } => {
                f.write_str("running where it cannot be seen from here: its PID file is locked and holds no number")
            }
        }
    }
}

/// How a daemon was stopped.
///
/// ```no_run
/// use std::time::Duration;
/// use symphra_scheduler::{Daemon, DaemonStop, Error};
///
/// # async fn stop() -> Result<(), Error> {
/// if let DaemonStop::Killed { pid } = Daemon::named("billing").stop(Duration::from_secs(40)).await? {
///     println!("{pid} did not end by itself: what it ran is executed again by the next start");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DaemonStop {
    /// There was nothing to stop.
    NotRunning,
    /// It ended by itself after SIGTERM.
    Ended {
        /// Its process.
        pid: Pid,
    },
    /// It did not end in time, and was killed.
    Killed {
        /// Its process.
        pid: Pid,
    },
}

impl fmt::Display for DaemonStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("was not running"),
            Self::Ended { pid } => write!(f, "stopped, PID {pid}"),
            Self::Killed { pid } => write!(f, "did not stop in time and was killed, PID {pid}"),
        }
    }
}
