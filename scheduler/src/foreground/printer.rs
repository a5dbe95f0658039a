//! Printing without waiting: a thread writes, so that whoever does not read (a pager, a pipe that is full) holds up
//! neither tasks nor signals.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::logging::{Entry, Logger};

/// How many texts may wait to be written. A foreground says three.
const TEXTS_WAITING_MAX: usize = 8;

/// How long the end of a program waits for what was not written yet. Whoever has not read by then does not read.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Texts in their order, each with whom to tell if it cannot be written.
pub(super) struct Printer {
    texts: SyncSender<(String, Logger)>,
    written: oneshot::Receiver<()>,
}

impl Printer {
    pub(super) fn stdout() -> Self {
        Self::to(io::stdout())
    }

    #[cfg(feature = "cli")]
    pub(super) fn stderr() -> Self {
        Self::to(io::stderr())
    }

    fn to(mut out: impl Write + Send + 'static) -> Self {
        let (texts, printed) = sync_channel::<(String, Logger)>(TEXTS_WAITING_MAX);
        let (all, written) = oneshot::channel();
        let print = move || {
            for (text, logger) in printed {
                write(&mut out, &text, &logger);
            }
            // Whoever waited may have lost patience.
            let _ = all.send(());
        };
        // Not a thread of the runtime, which would wait for it at its own end. Without one, what is printed is told as lost.
        drop(thread::Builder::new().name("symphra-print".to_owned()).spawn(print));
        Self { texts, written }
    }

    /// Hands a text over.
    pub(super) fn print(&self, text: String, logger: &Logger) {
        if self.texts.try_send((text, logger.clone())).is_err() {
            logger.write(Entry::OutputClosed {});
        }
    }

    /// Ready when all is written, or nobody has read it for a while.
    pub(super) async fn finish(self) {
        drop(self.texts);
        // Either way there is nothing left to do.
        let _ = timeout(FINISH_TIMEOUT, self.written).await;
    }
}

/// A closed terminal or pipe is no reason to stop firing, so what cannot be written is let go.
fn write(out: &mut impl Write, text: &str, logger: &Logger) {
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        logger.write(Entry::OutputClosed {});
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::logging::Level;
    use crate::logging::seen::Seen;

    /// A terminal that is gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A pipe of which each read takes one write, and counts it.
    struct Pipe {
        reads: Receiver<()>,
        written: Arc<AtomicUsize>,
    }

    impl Pipe {
        /// The pipe, whoever reads it, and how much has gone through.
        fn new() -> (Self, Sender<()>, Arc<AtomicUsize>) {
            let (reader, reads) = channel();
            let written = Arc::new(AtomicUsize::new(0));
            (Self { reads, written: Arc::clone(&written) }, reader, written)
        }
    }

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.reads.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.written.fetch_add(1, Ordering::SeqCst);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_closed_output_is_said_and_no_reason_to_stop() {
        let seen = Seen::default();
        let printer = Printer::to(Closed);
        printer.print("the table".to_owned(), &Logger::with_adapter(seen.clone()));
        printer.finish().await;
        assert_eq!(seen.take("output.closed").level, Level::DEBUG);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_waited_for_a_while_and_no_longer() {
        let (pipe, _reader, written) = Pipe::new();
        let printer = Printer::to(pipe);
        for _ in 0..TEXTS_WAITING_MAX {
            printer.print("a line\n".to_owned(), &Logger::default());
        }
        // Time is virtual: this is over at once, or never.
        printer.finish().await;
        assert_eq!(written.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn what_was_handed_over_is_written_before_the_end() {
        let (pipe, reader, written) = Pipe::new();
        let printer = Printer::to(pipe);
        for _ in 0..3 {
            printer.print("a line\n".to_owned(), &Logger::default());
        }
        let reads = async {
            for _ in 0..3 {
                reader.send(()).expect("the thread writes");
            }
        };
        tokio::join!(printer.finish(), reads);
        assert_eq!(written.load(Ordering::SeqCst), 3);
    }
}
