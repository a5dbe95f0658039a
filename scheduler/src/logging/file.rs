//! A log file that is put aside by the hour or the day, and a thread that writes it, so that nobody waits for a disk.
//!
//! Instants come in as an argument. A file is opened so that a symbolic link in its place is refused, also one that is put
//! there meanwhile, and a new one belongs to its owner alone.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use symphra_scheduler_core::Timestamp;

use super::settings::Rotation;

/// How many lines may wait for the disk. Further ones are lost and counted.
const LINES_WAITING_MAX: usize = 16_384;

/// How long the end of a program waits for lines that were not written yet.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// What the operating system says, and if there is something else than a file.
    pub(super) fn open(path: &Path, rotation: Rotation, kept: usize, now: Now) -> io::Result<Self> {
        let file = open(path)?;
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
            fs::rename(&self.path, free_name(&self.path, &self.rotation.stamp(began)))?;
        }
        self.file = open(&self.path)?;
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

/// Whether what follows the name of the log file was given by [`Rotation::stamp`] and [`free_name`].
fn is_stamp(text: &str) -> bool {
    let shape = "dddd-dd-ddTdd";
    let (stamp, number) = text.split_once('.').unwrap_or((text, "0"));
    [10, 13].contains(&stamp.len())
        && stamp.bytes().zip(shape.bytes()).all(|(b, like)| if like == b'd' { b.is_ascii_digit() } else { b == like })
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// A name that no file has: a clock that was set back shows a period a second time.
fn free_name(path: &Path, stamp: &str) -> PathBuf {
    let named = |suffix: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut free = named(format!(".{stamp}"));
    for number in 1.. {
        if fs::symlink_metadata(&free).is_err() {
            break;
        }
        free = named(format!(".{stamp}.{number}"));
    }
    free
}

fn open(path: &Path) -> io::Result<File> {
    let mut new = OpenOptions::new();
    new.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    match new.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let shown = fs::symlink_metadata(path)?;
    if !shown.is_file() {
        return Err(io::Error::other(
            "there is a symbolic link or something else that is no file, and it is not followed",
        ));
    }
    let file = OpenOptions::new().append(true).open(path)?;
    if is_same(&shown, &file) {
        return Ok(file);
    }
    Err(io::Error::other("it was replaced while it was opened"))
}

/// Whether a log file could be opened or made at `path`, found out without making it.
///
/// # Errors
/// What the operating system says, and if there is something else than a file.
#[cfg(feature = "cli")]
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
        Ok(_) => open(path).map(drop),
    }
}

#[cfg(all(unix, feature = "cli"))]
fn could_be_written(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    Ok(accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Elsewhere only making a file would tell.
#[cfg(all(not(unix), feature = "cli"))]
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
fn complain(path: &Path, what: &str, error: &io::Error) {
    // If that is closed too, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "symphra-scheduler: the log file {path:?} cannot be {what}: {error}");
}

enum Order {
    Line(Vec<u8>),
    End,
}

/// Where lines are handed over. A clone is made for each line.
#[derive(Clone)]
pub(super) struct Lines {
    orders: SyncSender<Order>,
    lost: Arc<AtomicU64>,
}

/// Formatters hand over one line at once.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.orders.try_send(Order::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread that writes. When this is dropped, what was handed over before is written.
pub(super) struct Writing {
    lines: Lines,
    ended: Receiver<()>,
}

impl Writing {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub(super) fn start(mut file: RollingFile) -> io::Result<(Self, Lines)> {
        let (orders, ordered) = sync_channel(LINES_WAITING_MAX);
        let (end, ended) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&lost);
        thread::Builder::new().name("symphra-log".into()).spawn(move || {
            let mut failing = false;
            while let Ok(Order::Line(line)) = ordered.recv() {
                let written = file.write_line(&line);
                if let Err(error) = &written {
                    counts.fetch_add(1, Ordering::Relaxed);
                    // Once, and not for each line.
                    if !failing {
                        complain(&file.path, "written", error);
                    }
                }
                failing = written.is_err();
            }
            // First, so that a line which comes after the end is known to be lost.
            drop(ordered);
            // Whoever waited may have lost patience.
            let _ = end.send(());
        })?;
        let lines = Lines { orders, lost };
        Ok((Self { lines: lines.clone(), ended }, lines))
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lines.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // With all places taken the disk is too slow to wait for.
        if self.lines.orders.try_send(Order::End).is_ok() {
            match self.ended.recv_timeout(FLUSH_TIMEOUT) {
                Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

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
    fn a_new_file_is_its_owners_alone_and_a_symbolic_link_is_refused() {
        use std::os::unix::fs::{MetadataExt, symlink};

        let (folder, clock) = (Folder::new(), Set::default());
        let open = |path: &Path| RollingFile::open(path, Rotation::Never, 7, clock.now()).map(drop);
        open(&folder.log()).expect("it opens");
        assert_eq!(fs::metadata(folder.log()).expect("it is there").mode() & 0o777, 0o600);

        let (link, dangling) = (folder.0.join("link.log"), folder.0.join("dangling.log"));
        symlink(folder.log(), &link).expect("a link");
        symlink(folder.0.join("nowhere"), &dangling).expect("a link");
        for path in [&link, &dangling, &folder.0] {
            let refused = open(path).expect_err("it is no file");
            assert!(refused.to_string().contains("not followed"), "{}: {refused}", path.display());
        }
        assert!(!folder.0.join("nowhere").exists(), "nothing was made where the link leads");
    }

    #[test]
    fn what_was_handed_over_is_written_before_the_end_and_what_comes_after_is_counted_as_lost() {
        let (folder, clock) = (Folder::new(), Set::default());
        let file = RollingFile::open(&folder.log(), Rotation::Never, 7, clock.now()).expect("it opens");
        let (writing, mut lines) = Writing::start(file).expect("a thread");
        for number in 0..1_000 {
            lines.write_all(format!("{number}\n").as_bytes()).expect("it never fails");
        }
        assert_eq!(writing.lost(), 0);
        drop(writing);
        assert_eq!(folder.text("scheduler.log").lines().count(), 1_000);
        lines.write_all(b"too late\n").expect("it never fails");
        assert_eq!(lines.lost.load(Ordering::Relaxed), 1);
    }
}
