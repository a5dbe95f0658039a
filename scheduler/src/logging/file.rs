//! A log file that is put aside by the hour or the day.
//!
//! Instants come in as an argument. Only a file that belongs to this user alone is written to: see
//! [`own_file`](crate::own_file).

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use symphra_scheduler_core::Timestamp;

use super::settings::Rotation;
use crate::error::Error;
use crate::own_file::{self, NotOpened};

/// What tells the present instant.
pub(super) type Now = Box<dyn Fn() -> Timestamp + Send>;

/// A file that is put aside when its hour or day is over.
pub(super) struct RollingFile {
    path: PathBuf,
    rotation: Rotation,
    kept: usize,
    now: Now,
    file: File,
    /// When the period of the present file began, if it is ever put aside.
    period: Option<Timestamp>,
}

impl RollingFile {
    /// Opens the file, or makes it. One that is older than the present period is put aside at the first line.
    ///
    /// # Errors
    /// What the operating system says, and if there is something else than a file of this user alone.
    pub(super) fn open(path: &Path, rotation: Rotation, kept: usize, now: Now) -> Result<Self, NotOpened> {
        let file = own_file::append(path)?;
        let metadata = file.metadata()?;
        // An empty file has no history; of another, the last line tells to which period it belongs.
        let written = metadata.modified().ok().filter(|_| metadata.len() > 0);
        let written = written
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map(|since| Timestamp::from_millis(0).plus(since));
        let period = rotation.period(written.unwrap_or_else(&now));
        Ok(Self { path: path.to_path_buf(), rotation, kept, now, file, period })
    }

    /// Adds a line, which ends with its line break.
    ///
    /// # Errors
    /// If the line is lost. That a file cannot be put aside loses none: they go on into it until the next period.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let period = self.rotation.period((self.now)());
        if period != self.period {
            if let Err(error) = self.put_aside() {
                complain(&self.path, "put aside", &error);
            }
            self.period = period;
        }
        self.file.write_all(line)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        // Another process may have put it aside already; then only the new one has to be opened.
        let is_here = fs::symlink_metadata(&self.path).is_ok_and(|shown| is_same(&shown, &self.file));
        if let Some(began) = self.period.filter(|_| is_here) {
            put_aside(&self.path, &self.rotation.stamp(began))?;
        }
        self.file = own_file::append(&self.path).map_err(NotOpened::into_io)?;
        self.remove_oldest()
    }

    fn remove_oldest(&self) -> io::Result<()> {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(());
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut aside: Vec<PathBuf> = fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let other = path.file_name().and_then(|other| other.to_str());
                other.and_then(|other| other.strip_prefix(name)?.strip_prefix('.')).is_some_and(is_stamp)
                    && own_file::is_ours(path)
            })
            .collect();
        aside.sort_unstable();
        let too_many = aside.len().saturating_sub(self.kept);
        aside[..too_many].iter().try_for_each(fs::remove_file)
    }
}

impl Rotation {
    /// The beginning of the period in which an instant lies.
    fn period(self, at: Timestamp) -> Option<Timestamp> {
        let millis = match self {
            Self::Never => return None,
            Self::Hourly => 60 * 60 * 1_000,
            Self::Daily => 24 * 60 * 60 * 1_000,
        };
        Some(Timestamp::from_millis(at.as_millis().div_euclid(millis) * millis))
    }

    /// The name of a period, in an order that is that of time.
    fn stamp(self, began: Timestamp) -> String {
        let format = if self == Self::Hourly { "%Y-%m-%dT%H" } else { "%Y-%m-%d" };
        began.to_utc().format(format).to_string()
    }
}

/// Whether what follows the name of the log file was given by [`Rotation::stamp`] and [`put_aside`].
fn is_stamp(text: &str) -> bool {
    let shape = "dddd-dd-ddTdd";
    let (stamp, number) = text.split_once('.').unwrap_or((text, "0"));
    [10, 13].contains(&stamp.len())
        && stamp.bytes().zip(shape.bytes()).all(|(b, like)| if like == b'd' { b.is_ascii_digit() } else { b == like })
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Gives the file a name that nothing has: a clock that was set back shows a period a second time.
fn put_aside(path: &Path, stamp: &str) -> io::Result<()> {
    let named = |suffix: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut aside = named(format!(".{stamp}"));
    let mut number = 0;
    loop {
        match own_file::rename_new(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed,
        }
        number += 1;
        aside = named(format!(".{stamp}.{number}"));
    }
}

/// What a log file has to be.
const ALLOWED: &str = "a regular file of this user that has one name and that nobody else may write to";

/// What to do about one that is not.
const FIX: &str = "remove it, or set logging.file to another";

/// What is wrong with a file in the place of the log.
fn untrusted(what: &str, fix: Option<&str>) -> String {
    format!("{what}; allowed is {ALLOWED}; {}", fix.unwrap_or(FIX))
}

impl NotOpened {
    /// The error of the log file at `path`.
    pub(super) fn into_error(self, path: &Path) -> Error {
        match self {
            Self::System(cause) => Error::log_file(path, cause),
            Self::Untrusted { what, fix } => Error::refused(format!("the log file {path:?} {}", untrusted(&what, fix))),
        }
    }

    fn into_io(self) -> io::Error {
        match self {
            Self::System(error) => error,
            Self::Untrusted { what, fix } => io::Error::other(format!("it {}", untrusted(&what, fix))),
        }
    }
}

/// Whether a log file could be opened or made at `path`, found out without making it.
///
/// # Errors
/// What the operating system says, and if there is something else than a file.
#[cfg(feature = "daemon")]
pub(super) fn could_be_opened(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !fs::metadata(folder)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            could_be_written(folder)
        }
        Err(error) => Err(error),
        Ok(_) => own_file::append(path).map(drop).map_err(NotOpened::into_io),
    }
}

#[cfg(all(unix, feature = "daemon"))]
fn could_be_written(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    Ok(accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Elsewhere only making a file would tell.
#[cfg(all(not(unix), feature = "daemon"))]
fn could_be_written(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether what was seen at a path is the open file.
#[cfg(unix)]
fn is_same(shown: &Metadata, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (shown.dev(), shown.ino()))
}

/// Elsewhere the standard library cannot tell files apart; a link was refused before.
#[cfg(not(unix))]
fn is_same(shown: &Metadata, _: &File) -> bool {
    shown.is_file()
}

/// Says on standard error what the log cannot tell of itself.
pub(super) fn complain(path: &Path, what: &str, error: &io::Error) {
    // If that is closed too, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "symphra-scheduler: the log file {path:?} cannot be {what}: {error}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// A folder of its own, gone when this is dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("symphra-log-{:016x}", fastrand::u64(..)));
            fs::create_dir(&folder).expect("a new folder");
            Self(folder)
        }

        fn log(&self) -> PathBuf {
            self.0.join("scheduler.log")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).expect("a folder");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
            names.sort_unstable();
            names
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).expect("a readable file")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("it can be removed");
        }
    }

    /// A clock that a test sets.
    #[derive(Clone, Default)]
    struct Set(Arc<AtomicI64>);

    impl Set {
        fn to(&self, at: &str) -> &Self {
            let at: chrono::DateTime<chrono::Utc> = at.parse().expect("an instant");
            self.0.store(at.timestamp_millis(), Ordering::SeqCst);
            self
        }

        fn now(&self) -> Now {
            let set = self.clone();
            Box::new(move || Timestamp::from_millis(set.0.load(Ordering::SeqCst)))
        }
    }

    #[test]
    fn a_file_is_put_aside_by_its_day_and_only_so_many_are_kept() {
        let (folder, clock) = (Folder::new(), Set::default());
        clock.to("2026-03-01T23:59:59Z");
        let mut file = RollingFile::open(&folder.log(), Rotation::Daily, 2, clock.now()).expect("it opens");
        fs::write(folder.0.join("scheduler.log.bak"), "a person's").expect("it is written");
        file.write_line(b"first\n").expect("it is written");
        for day in 2..=5 {
            clock.to(&format!("2026-03-0{day}T00:00:00Z"));
            file.write_line(format!("day {day}\n").as_bytes()).expect("it is written");
            file.write_line(b"more\n").expect("it is written");
        }
        let names = ["scheduler.log", "scheduler.log.2026-03-03", "scheduler.log.2026-03-04", "scheduler.log.bak"];
        assert_eq!(folder.names(), names, "what others put there stays");
        assert_eq!(folder.text("scheduler.log.2026-03-03"), "day 3\nmore\n");
        assert_eq!(folder.text("scheduler.log"), "day 5\nmore\n");
    }

    #[test]
    fn hours_are_told_apart_and_a_clock_that_was_set_back_overwrites_nothing() {
        let (folder, clock) = (Folder::new(), Set::default());
        clock.to("2026-03-01T10:30:00Z");
        let mut file = RollingFile::open(&folder.log(), Rotation::Hourly, 9, clock.now()).expect("it opens");
        for (at, line) in [("10:59", "a\n"), ("11:00", "b\n"), ("10:15", "c\n"), ("11:10", "d\n"), ("12:00", "e\n")] {
            clock.to(&format!("2026-03-01T{at}:00Z"));
            file.write_line(line.as_bytes()).expect("it is written");
        }
        assert_eq!(
            folder.names(),
            [
                "scheduler.log",
                "scheduler.log.2026-03-01T10",
                "scheduler.log.2026-03-01T10.1",
                "scheduler.log.2026-03-01T11",
                "scheduler.log.2026-03-01T11.1"
            ]
        );
        assert_eq!(folder.text("scheduler.log.2026-03-01T10.1"), "c\n");
    }

    #[test]
    fn a_program_that_starts_anew_adds_to_its_file_and_puts_one_of_yesterday_aside() {
        let (folder, clock) = (Folder::new(), Set::default());
        fs::write(folder.log(), "before\n").expect("it is written");
        clock.to("2999-01-01T00:00:00Z");
        let mut file = RollingFile::open(&folder.log(), Rotation::Never, 7, clock.now()).expect("it opens");
        file.write_line(b"added\n").expect("it is written");
        assert_eq!(folder.text("scheduler.log"), "before\nadded\n");
        let mut file = RollingFile::open(&folder.log(), Rotation::Daily, 7, clock.now()).expect("it opens");
        file.write_line(b"new\n").expect("it is written");
        assert_eq!((folder.text("scheduler.log"), folder.names().len()), ("new\n".to_owned(), 2));
    }

    #[test]
    fn what_another_process_has_put_aside_is_left_as_it_is() {
        let (folder, clock) = (Folder::new(), Set::default());
        clock.to("2026-03-01T10:00:00Z");
        let open = || RollingFile::open(&folder.log(), Rotation::Daily, 7, clock.now()).expect("it opens");
        let (mut one, mut other) = (open(), open());
        one.write_line(b"one\n").expect("it is written");
        other.write_line(b"other\n").expect("it is written");
        clock.to("2026-03-02T10:00:00Z");
        one.write_line(b"one of today\n").expect("it is written");
        other.write_line(b"other of today\n").expect("it is written");
        assert_eq!(folder.names(), ["scheduler.log", "scheduler.log.2026-03-01"]);
        assert_eq!(folder.text("scheduler.log"), "one of today\nother of today\n");
    }

    #[cfg(unix)]
    #[test]
    fn an_untrusted_file_is_an_error_that_names_path_find_allowance_and_fix() {
        use std::os::unix::fs::PermissionsExt;

        let (folder, clock) = (Folder::new(), Set::default());
        fs::write(folder.log(), "").expect("it is written");
        fs::set_permissions(folder.log(), fs::Permissions::from_mode(0o666)).expect("it is ours");
        let said = |path: &Path| {
            let opened = RollingFile::open(path, Rotation::Never, 7, clock.now()).map(drop);
            opened.expect_err("it is not ours alone").into_error(path).to_string()
        };
        let (log, allowed) = (folder.log(), "allowed is a regular file of this user that has one name and that nobody");
        assert_eq!(
            said(&log),
            format!(
                "the log file {log:?} may be written to by others (mode 666); {allowed} else may write to; take the right \
                 from them (chmod 600), or remove it"
            )
        );
        let all = &folder.0;
        assert_eq!(
            said(all),
            format!(
                "the log file {all:?} is no regular file but a folder; {allowed} else may write to; remove it, or set \
                 logging.file to another"
            )
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_stands_in_the_place_of_the_file_or_of_those_put_aside_is_neither_followed_nor_removed() {
        use std::os::unix::fs::symlink;

        let (folder, clock) = (Folder::new(), Set::default());
        clock.to("2026-03-01T10:00:00Z");
        let mut file = RollingFile::open(&folder.log(), Rotation::Daily, 1, clock.now()).expect("it opens");
        file.write_line(b"of the first\n").expect("it is written");
        let path = |name: &str| folder.0.join(name);
        fs::write(path("victim"), "precious\n").expect("it is written");
        // Where the first would be put aside, and older than all: a folder and a link, not ours to remove.
        symlink(path("victim"), path("scheduler.log.2026-03-01")).expect("a link");
        fs::create_dir(path("scheduler.log.2026-01-01")).expect("a folder");
        clock.to("2026-03-02T10:00:00Z");
        file.write_line(b"of the second\n").expect("it is written");
        assert_eq!(folder.text("scheduler.log.2026-03-01.1"), "of the first\n");

        // The file itself is taken away, and a link put there: the lines of the next day stay in the one that is open.
        fs::rename(folder.log(), path("taken")).expect("it is there");
        symlink(path("victim"), folder.log()).expect("a link");
        clock.to("2026-03-03T10:00:00Z");
        file.write_line(b"of the third\n").expect("it is written all the same");
        assert_eq!(folder.text("taken"), "of the second\nof the third\n");
        fs::remove_file(folder.log()).expect("the link is there");
        clock.to("2026-03-04T10:00:00Z");
        file.write_line(b"of the fourth\n").expect("it is written");
        assert_eq!(folder.text("scheduler.log"), "of the fourth\n");
        clock.to("2026-03-05T10:00:00Z");
        file.write_line(b"of the fifth\n").expect("it is written");
        assert!(!path("scheduler.log.2026-03-01.1").exists(), "one is kept");
        assert_eq!(folder.text("victim"), "precious\n");
        assert!(path("scheduler.log.2026-01-01").exists() && path("scheduler.log.2026-03-01").is_symlink());
    }
}
