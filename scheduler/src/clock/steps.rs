//! Hears that the wall clock was set, where somebody tells it: the kernel of Linux, and a virtual clock. Who hears it has no need
//! to look each second, and hears it at once.
//!
//! It tells that there is reason to look, and not by how much: that is what the [watch](super::ClockWatch) finds. What nobody tells is
//! found all the same, later.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;

use super::Clock;

/// How often it is looked whether the clock was set, where nobody tells it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often where somebody does: a net under it, for a clock that is laid over the machine's while the program runs, and for what a
/// kernel keeps to itself.
const LOOK_SELDOM: Duration = Duration::from_secs(10);

/// The steps of a clock, from now on.
pub(crate) struct Steps {
    /// `None` if nobody tells of them, or nobody does any more.
    told: Option<watch::Receiver<()>>,
}

impl Steps {
    pub(crate) fn of(clock: &Clock) -> Self {
        let told = match clock {
            #[cfg(target_os = "linux")]
            Clock::System => kernel::told(),
            #[cfg(not(target_os = "linux"))]
            Clock::System => None,
            #[cfg(any(test, feature = "test-util"))]
            Clock::Virtual(time) => time.told.as_ref().map(watch::Sender::subscribe),
        };
        Self { told }
    }

    /// How long nobody has to look whether the clock was set.
    pub(crate) fn look_every(&self) -> Duration {
        if self.told.is_some() { LOOK_SELDOM } else { LOOK_EVERY }
    }

    /// Returns when the clock was set; what is dropped before that misses nothing.
    pub(crate) async fn next(&mut self) {
        match &mut self.told {
            Some(told) => {
                if told.changed().await.is_err() {
                    self.told = None;
                }
            }
            None => pending().await,
        }
    }
}

/// What Linux tells: a timer by the wall clock may be cancelled when that is set, or goes on after the machine was suspended
/// (`TFD_TIMER_CANCEL_ON_SET`, see timerfd_create(2)).
#[cfg(target_os = "linux")]
mod kernel {
    use std::fs::File;
    use std::io::{self, ErrorKind, Read};
    use std::sync::OnceLock;
    use std::thread;

    use rustix::io::Errno;
    use rustix::time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
        timerfd_settime,
    };
    use symphra_scheduler_core::Timestamp;
    use tokio::sync::watch;

    use crate::clock::Clock;

    /// When the timer would go off, in seconds of Unix time: in the year 2500.
    const NEVER: i64 = 16_725_225_600;

    /// The thread does nothing but wait.
    const STACK_BYTES: usize = 64 << 10;

    /// Steps of the machine's clock, told by one thread of the process. It is nobody's, and nobody waits for it: all schedulers of the
    /// process hear it, and it does nothing but wait in the kernel until the process ends. `None` if the kernel does not tell them, or
    /// gives no thread; and in a process that was forked off afterwards, which has no such thread.
    pub(super) fn told() -> Option<watch::Receiver<()>> {
        static TOLD: OnceLock<(u32, Option<watch::Receiver<()>>)> = OnceLock::new();
        let here = std::process::id();
        let (listens, told) = TOLD.get_or_init(|| (here, if is_the_kernels() { listen().ok() } else { None }));
        let mut told = told.clone().filter(|_| *listens == here)?;
        told.mark_unchanged();
        Some(told)
    }

    /// Whether the wall clock that this program sees is the kernel's. Another may be laid over it, as libfaketime does, and of the
    /// steps of that the kernel knows nothing. It is not seen where `rustix` is told to ask the C library, which is asked for both.
    fn is_the_kernels() -> bool {
        let kernels = || {
            let now = clock_gettime(ClockId::Realtime);
            Timestamp::from_millis(now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000))
        };
        let (before, seen, after) = (kernels(), Clock::System.now(), kernels());
        before <= seen && seen <= after
    }

    fn listen() -> io::Result<watch::Receiver<()>> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?;
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: NEVER, tv_nsec: 0 },
        };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once)?;
        let (tell, told) = watch::channel(());
        let wait = move || {
            let mut timer = File::from(timer);
            loop {
                match timer.read(&mut [0; 8]) {
                    Err(error) if error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => {
                        tell.send_replace(());
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // It has gone off, or the kernel has changed its mind: who listens looks again.
                    _ => return,
                }
            }
        };
        thread::Builder::new().name("symphra-clock".into()).stack_size(STACK_BYTES).spawn(wait)?;
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use symphra_scheduler_core::Timestamp;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_is_told_once_also_if_nobody_waited_for_it() {
        let clock = Clock::starting_at(Timestamp::from_millis(0));
        let mut steps = Steps::of(&clock);
        clock.step(-5_000);
        clock.step(1);
        steps.next().await;
        let again = timeout(Duration::from_secs(3_600), steps.next()).await;
        assert!(again.is_err(), "there was no other");
        assert_eq!(steps.look_every(), LOOK_SELDOM);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_told_any_more_looks_each_second() {
        let (tell, told) = watch::channel(());
        let mut steps = Steps { told: Some(told) };
        drop(tell);
        steps.next().await;
        assert_eq!(steps.look_every(), LOOK_EVERY);
        assert!(timeout(Duration::from_secs(3_600), steps.next()).await.is_err(), "nobody tells anything");
    }

    /// By two thousandths of a second, which harms nobody on the machine, and which is more than passes between two lines.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_tells_that_the_machines_clock_was_set() {
        use rustix::io::Errno;
        use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

        let mut steps = [Steps::of(&Clock::System), Steps::of(&Clock::System)];
        assert!(steps.iter().all(|steps| steps.told.is_some()), "this kernel tells it");
        for _ in 0..2 {
            let now = clock_gettime(ClockId::Realtime);
            let nanos = now.tv_nsec + 2_000_000;
            let ahead = Timespec { tv_sec: now.tv_sec + nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
            match clock_settime(ClockId::Realtime, ahead) {
                Ok(()) => {}
                Err(Errno::PERM) if std::env::var_os("SYMPHRA_TEST_SERVICES").is_none() => {
                    return eprintln!("left out: only root may set the machine's clock");
                }
                Err(error) => panic!("the clock is not set: {error}"),
            }
            for steps in &mut steps {
                timeout(Duration::from_secs(60), steps.next()).await.expect("it is told");
            }
        }
    }
}
