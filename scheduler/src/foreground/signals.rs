//! What the system asks of a program by signals, in two words: stop, or read the overrides again.

#[cfg(unix)]
use std::io::{IsTerminal, stderr, stdin, stdout};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Ctrl+C, SIGTERM, Ctrl+Break; or SIGHUP of a terminal that was closed.
    Stop,
    /// SIGHUP, from anybody else.
    Reload,
}

/// Where signals come from: the system, or a test.
pub(super) trait Asks {
    /// Waits for the next one. None is lost if this is given up before.
    fn next(&mut self) -> impl Future<Output = Signal> + Send;
}

/// The signals of this process, from the moment they are listened to.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    /// Whether a terminal saw us start.
    #[cfg(unix)]
    on_terminal: bool,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    terminate: tokio::signal::windows::CtrlBreak,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            on_terminal: is_on_terminal(),
        })
    }

    #[cfg(windows)]
    pub(crate) fn listen() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
    }

    /// Waits for the next signal that asks to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}

impl Asks for Signals {
    #[cfg(unix)]
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.hangup.recv() => {
                // A window that was closed: who sat there expects the program to end, and must not leave it running
                // unseen. Under `nohup`, or as a service, there was no terminal to begin with.
                if self.on_terminal && !is_on_terminal() { Signal::Stop } else { Signal::Reload }
            }
        }
    }

    #[cfg(windows)]
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
        }
    }
}

/// A terminal that was hung up is one no more.
#[cfg(unix)]
fn is_on_terminal() -> bool {
    stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal()
}
