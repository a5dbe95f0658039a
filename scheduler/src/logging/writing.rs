//! A thread that writes the lines of the log, so that nobody waits for a disk.
//!
//! Invariant: a line that was taken is written before the end, unless the disk takes nothing for seconds; one that was not
//! is counted, and the log itself tells of it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::file::complain;
use crate::clock::Clock;

/// How many lines may wait for the disk. Further ones are lost and counted.
const LINES_WAITING_MAX: usize = 16_384;

/// How long the end of a program waits for lines that were not written yet: a disk that lives has taken them by then.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take until the log tells that lines were lost.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// Where lines are handed over. A clone is made for each line.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// A line has come, or the end.
    came: Condvar,
    /// The thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    /// Whether the thread has one that is not written yet.
    is_writing: bool,
    /// How many lines were not taken, or not written.
    lost: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// No line is taken any more.
    Closed,
    /// Those that were taken are written.
    Ended,
}

/// What the thread does next.
enum Next {
    Write(Vec<u8>),
    /// Nothing has come for a while.
    Look,
    End,
}

impl Shared {
    /// What a panic leaves behind are whole lines and counts.
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a line; not longer than `patience`, if there is one.
    fn next(&self, patience: Option<Duration>) -> Next {
        let is_idle = |queue: &mut Queue| queue.waiting.is_empty() && queue.stage == Stage::Open;
        let queue = self.locked();
        let mut queue = match patience {
            None => self.came.wait_while(queue, is_idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.came.wait_timeout_while(queue, patience, is_idle).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        match queue.waiting.pop_front() {
            Some(line) => {
                queue.is_writing = true;
                Next::Write(line)
            }
            None if queue.stage == Stage::Open => Next::Look,
            None => Next::End,
        }
    }
}

/// Formatters hand over one line at once.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let taken = line.to_vec();
        let mut queue = self.0.locked();
        if queue.stage == Stage::Open && queue.waiting.len() < LINES_WAITING_MAX {
            queue.waiting.push_back(taken);
            self.0.came.notify_one();
        } else {
            queue.lost += 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where lines go, and the line that tells how many were lost.
pub(super) struct Sink<W, T> {
    /// For what is told on standard error.
    pub(super) path: PathBuf,
    pub(super) write: W,
    /// Of how many were lost since it was told last, and of how many in all.
    pub(super) tell: T,
}

/// The thread that writes. When this is dropped, what was handed over before is written.
pub(super) struct Writing {
    lines: Lines,
    path: PathBuf,
}

impl Writing {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub(super) fn start<W, T>(sink: Sink<W, T>) -> io::Result<(Self, Lines)>
    where
        W: FnMut(&[u8]) -> io::Result<()> + Send + 'static,
        T: Fn(u64, u64) -> Vec<u8> + Send + 'static,
    {
        let lines = Lines(Arc::default());
        let (shared, path) = (Arc::clone(&lines.0), sink.path.clone());
        let writer = Writer { sink, told: Told::new(Clock::default().monotonic()), is_failing: false };
        thread::Builder::new().name("symphra-log".into()).spawn(move || writer.run(&shared))?;
        Ok((Self { lines: lines.clone(), path }, lines))
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lines.0.locked().lost
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Lines(shared) = &self.lines;
        let mut queue = shared.locked();
        // Only a thread that has panicked has ended by itself.
        if queue.stage == Stage::Open {
            queue.stage = Stage::Closed;
            shared.came.notify_one();
        }
        let writes = |queue: &mut Queue| queue.stage != Stage::Ended;
        let (queue, _) =
            shared.ended.wait_timeout_while(queue, FLUSH_TIMEOUT, writes).unwrap_or_else(PoisonError::into_inner);
        let unwritten = queue.waiting.len() as u64 + u64::from(queue.is_writing);
        let lost = queue.lost + unwritten;
        drop(queue);
        if unwritten > 0 {
            untold(&self.path, lost);
        }
    }
}

/// What the thread knows.
struct Writer<W, T> {
    sink: Sink<W, T>,
    told: Told,
    is_failing: bool,
}

impl<W: FnMut(&[u8]) -> io::Result<()>, T: Fn(u64, u64) -> Vec<u8>> Writer<W, T> {
    fn run(mut self, shared: &Shared) {
        // Also if this panics: whoever waits for the end must not wait in vain.
        let _end = End(shared);
        let clock = Clock::default();
        let mut lost = 0;
        loop {
            let is_written = match shared.next(self.told.patience(lost, clock.monotonic())) {
                Next::Write(line) => self.write(&line),
                Next::Look => true,
                Next::End => break,
            };
            let is_idle = {
                let mut queue = shared.locked();
                queue.is_writing = false;
                queue.lost += u64::from(!is_written);
                lost = queue.lost;
                queue.waiting.is_empty()
            };
            // A disk that has just refused a line is not asked to take another about it.
            if self.told.is_due(lost, is_idle && is_written, clock.monotonic()) {
                self.tell(lost, clock.monotonic());
            }
        }
        let lost = shared.locked().lost;
        if lost > self.told.lost && !self.tell(lost, clock.monotonic()) {
            untold(&self.sink.path, lost);
        }
    }

    /// Whether it could be written; if not, that is said once, and not for each line.
    fn write(&mut self, line: &[u8]) -> bool {
        let written = (self.sink.write)(line);
        if let (Err(error), false) = (&written, self.is_failing) {
            complain(&self.sink.path, "written", error);
        }
        self.is_failing = written.is_err();
        written.is_ok()
    }

    fn tell(&mut self, lost: u64, now: Instant) -> bool {
        let line = (self.sink.tell)(lost - self.told.lost, lost);
        let is_told = self.write(&line);
        self.told.at = now;
        if is_told {
            self.told.lost = lost;
        }
        is_told
    }
}

/// The end of the thread.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.locked().stage = Stage::Ended;
        self.0.ended.notify_all();
    }
}

/// Of how many lost lines the log has told, and when.
struct Told {
    lost: u64,
    at: Instant,
}

impl Told {
    fn new(now: Instant) -> Self {
        Self { lost: 0, at: now }
    }

    /// Whether it should tell: as soon as the rush is over, but within a minute.
    fn is_due(&self, lost: u64, is_idle: bool, now: Instant) -> bool {
        lost > self.lost && (is_idle || now.duration_since(self.at) >= TOLD_WITHIN)
    }

    /// How long it may wait for a line, with so many lost; as long as it likes, if there is nothing to tell.
    fn patience(&self, lost: u64, now: Instant) -> Option<Duration> {
        (lost > self.lost).then(|| TOLD_WITHIN.saturating_sub(now.duration_since(self.at)))
    }
}

/// Says what the log cannot say any more.
fn untold(path: &Path, lines: u64) {
    // If standard error is closed too, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "symphra-scheduler: lines that are lost to the log file {path:?}: {lines}");
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// What was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<String>>>);

    impl Written {
        fn all(&self) -> Vec<String> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    /// A disk that writes a line whenever it is let, or refuses it; in the end it writes all.
    fn slow(lets: Receiver<io::Result<()>>) -> (Writing, Lines, Written) {
        let written = Written::default();
        let disk = written.clone();
        let write = move |line: &[u8]| {
            lets.recv().unwrap_or(Ok(()))?;
            disk.0.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        };
        let tell = |lines, total| format!("{lines} lost, {total} in all").into_bytes();
        let (writing, lines) = Writing::start(Sink { path: "the.log".into(), write, tell }).expect("a thread");
        (writing, lines, written)
    }

    fn hand_over(lines: &mut Lines, numbers: std::ops::Range<usize>) {
        for number in numbers {
            lines.write_all(number.to_string().as_bytes()).expect("it never fails");
        }
    }

    /// Waits for something that comes soon, on a machine under load.
    #[track_caller]
    fn until(is_so: impl Fn() -> bool) {
        let began = Clock::default().monotonic();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(30), "it never comes");
            thread::yield_now();
        }
    }

    /// Hands over a line, and waits until the thread has it.
    fn occupy(lines: &mut Lines) {
        hand_over(lines, 0..1);
        until(|| lines.0.locked().waiting.is_empty());
    }

    fn disk() -> (Sender<io::Result<()>>, Receiver<io::Result<()>>) {
        channel()
    }

    #[test]
    fn every_line_that_was_taken_is_written_before_the_end_also_out_of_a_full_queue() {
        let (disk, lets) = disk();
        let (writing, mut lines, written) = slow(lets);
        occupy(&mut lines);
        hand_over(&mut lines, 1..LINES_WAITING_MAX + 1);
        assert_eq!(writing.lost(), 0);
        hand_over(&mut lines, 0..7);
        assert_eq!(writing.lost(), 7, "the queue is full");
        drop(disk);
        drop(writing);
        let mut expected: Vec<String> = (0..=LINES_WAITING_MAX).map(|number| number.to_string()).collect();
        expected.push("7 lost, 7 in all".to_owned());
        assert!(written.all() == expected, "{} lines, the last {:?}", written.all().len(), written.all().last());
        hand_over(&mut lines, 0..1);
        assert_eq!(lines.0.locked().lost, 8, "what comes after the end is counted");
    }

    #[test]
    fn lost_lines_are_told_when_the_rush_is_over() {
        let (disk, lets) = disk();
        let (writing, mut lines, written) = slow(lets);
        occupy(&mut lines);
        hand_over(&mut lines, 0..LINES_WAITING_MAX + 3);
        (0..LINES_WAITING_MAX + 2).for_each(|_| disk.send(Ok(())).expect("the thread writes"));
        until(|| written.all().last().is_some_and(|last| last == "3 lost, 3 in all"));
        hand_over(&mut lines, 0..1);
        drop(disk);
        drop(writing);
        assert_eq!(written.all().last().expect("a line"), "0", "and they are told once");
    }

    #[test]
    fn what_the_disk_refuses_is_counted_and_told_when_it_takes_lines_again() {
        let (disk, lets) = disk();
        let (writing, mut lines, written) = slow(lets);
        for _ in 0..2 {
            disk.send(Err(io::ErrorKind::StorageFull.into())).expect("the thread writes");
        }
        hand_over(&mut lines, 0..2);
        drop(disk);
        hand_over(&mut lines, 2..3);
        until(|| written.all() == ["2", "2 lost, 2 in all"]);
        assert_eq!(writing.lost(), 2);
    }

    #[test]
    fn what_was_lost_last_is_told_at_the_end() {
        let (disk, lets) = disk();
        let (writing, mut lines, written) = slow(lets);
        for lost in 1..=2 {
            // A disk that has refused a line is left alone: the next refusal is for the next line.
            disk.send(Err(io::ErrorKind::StorageFull.into())).expect("the thread writes");
            hand_over(&mut lines, 0..1);
            until(|| writing.lost() == lost);
        }
        drop(disk);
        drop(writing);
        assert_eq!(written.all(), ["2 lost, 2 in all"]);
    }

    #[test]
    fn a_thread_that_has_waited_in_vain_looks_and_goes_on() {
        let shared = Shared::default();
        assert!(matches!(shared.next(Some(Duration::ZERO)), Next::Look));
        shared.locked().waiting.push_back(b"a line".to_vec());
        shared.locked().stage = Stage::Closed;
        assert!(matches!(shared.next(None), Next::Write(line) if line == b"a line"));
        assert!(matches!(shared.next(None), Next::End));
    }

    #[test]
    fn a_thread_that_panics_is_not_waited_for() {
        let write = |_: &[u8]| panic!("a defect of ours");
        let (writing, mut lines) =
            Writing::start(Sink { path: "the.log".into(), write, tell: |_, _| Vec::new() }).expect("a thread");
        occupy(&mut lines);
        let shared = Arc::clone(&lines.0);
        drop(writing);
        assert_eq!(shared.locked().stage, Stage::Ended);
    }

    #[test]
    fn a_dead_disk_is_waited_for_a_while_and_no_longer() {
        let (_disk, lets) = disk();
        let (writing, mut lines, written) = slow(lets);
        hand_over(&mut lines, 0..3);
        // This is over after a few seconds, or never.
        drop(writing);
        assert!(written.all().is_empty());
    }

    #[test]
    fn lost_lines_are_told_within_a_minute_also_in_a_rush_that_does_not_end() {
        let began = Clock::default().monotonic();
        let after = |seconds| began + Duration::from_secs(seconds);
        let told = Told { lost: 5, at: began };
        for (lost, is_idle, seconds, is_due) in
            [(5, true, 100, false), (6, true, 0, true), (6, false, 59, false), (6, false, 60, true)]
        {
            assert_eq!(told.is_due(lost, is_idle, after(seconds)), is_due, "{lost} {is_idle} {seconds}");
        }
        assert_eq!(told.patience(5, after(100)), None, "nothing wakes it if there is nothing to tell");
        assert_eq!(told.patience(6, after(20)), Some(Duration::from_secs(40)));
        assert_eq!(told.patience(6, after(200)), Some(Duration::ZERO));
    }
}
