//! What a scheduler tells those who listen, as it happens. A listener that is slow misses events and is told how many;
//! nobody waits for it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use chrono::TimeDelta;
use futures_core::Stream;
use symphra_scheduler_core::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::backend::{Pause, Record};
use crate::run::{RunId, RunState};
use crate::schedule::Schedule;
use crate::task::TaskName;

/// How many events a listener may be behind.
const BEHIND_MAX: usize = 4_096;

/// Something that a scheduler tells.
///
/// ```
/// use symphra_scheduler::{SchedulerEvent, SchedulerHandle};
///
/// async fn tell(scheduler: SchedulerHandle) {
///     let mut events = scheduler.events();
///     while let Some(event) = events.next().await {
///         match event {
///             SchedulerEvent::RunEnded { task, run, state } if state.is_failure() => println!("{task}: {run} {state}"),
///             SchedulerEvent::StoreUnreachable { error } => println!("the store is away: {error}"),
///             SchedulerEvent::Missed { events } => println!("too slow: {events} events were not seen"),
///             _ => {}
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SchedulerEvent {
    /// An attempt of a run has begun.
    AttemptStarted {
        /// The task.
        task: TaskName,
        /// The run.
        run: RunId,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// The nominal instant.
        scheduled_at: Timestamp,
    },
    /// An attempt has failed, and another follows.
    AttemptFailed {
        /// The task.
        task: TaskName,
        /// The run.
        run: RunId,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// When the next one is due.
        next_at: Timestamp,
        /// Why it failed.
        failure: Box<str>,
    },
    /// A run has ended. The end of one that no node held, because it waited or its node died, is told by every node that
    /// has the task.
    RunEnded {
        /// The task.
        task: TaskName,
        /// The run.
        run: RunId,
        /// How.
        state: RunState,
    },
    /// Occurrences did not become runs.
    Recorded {
        /// The task.
        task: TaskName,
        /// Which, how many, and why.
        record: Record,
    },
    /// A task was paused.
    TaskPaused {
        /// The task.
        task: TaskName,
        /// By whom and why.
        pause: Pause,
    },
    /// The pause of a task has ended.
    TaskResumed {
        /// The task.
        task: TaskName,
    },
    /// Another schedule counts for a task.
    TaskRescheduled {
        /// The task.
        task: TaskName,
        /// The schedule.
        schedule: Schedule,
    },
    /// A task was registered while the scheduler ran.
    TaskRegistered {
        /// The task.
        task: TaskName,
    },
    /// A task was unregistered.
    TaskUnregistered {
        /// The task.
        task: TaskName,
    },
    /// The store's clock was set forward, or the machine of both was suspended.
    ClockSteppedForward {
        /// How far.
        by: Duration,
    },
    /// The store's clock was set back.
    ClockSteppedBack {
        /// How far.
        by: Duration,
    },
    /// This node's clock is more than a second off from the store's, by which the node goes.
    ClockDiffers {
        /// How far the store's is ahead; negative if it is behind.
        offset: TimeDelta,
    },
    /// This node's clock is less than half a second off from the store's again.
    ClockAgrees {
        /// How far the store's is ahead; negative if it is behind.
        offset: TimeDelta,
    },
    /// Runs of dead nodes were taken over.
    RunsTakenOver {
        /// How many.
        runs: usize,
    },
    /// Ends of runs came too late: other nodes had taken them over.
    StaleEnds {
        /// How many.
        runs: usize,
    },
    /// Runs were taken over by other nodes while this one had lost contact with the store, and are cancelled here.
    RunsLost {
        /// How many.
        runs: usize,
    },
    /// The store does not answer, and is asked until it does.
    StoreUnreachable {
        /// What failed first, and why.
        error: Arc<str>,
    },
    /// The store answers again.
    StoreReachable {
        /// For how long it did not.
        away: Duration,
    },
    /// The scheduler has ended; nothing follows.
    Stopped,
    /// This listener was too slow, and has missed events.
    Missed {
        /// How many.
        events: u64,
    },
}

/// Where events are told.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    listeners: broadcast::Sender<SchedulerEvent>,
    is_over: Arc<AtomicBool>,
    /// Who is told at once, in the order of events, and misses none: the test kit.
    #[cfg(any(test, feature = "test-util"))]
    recorder: Option<Recorder>,
}

/// What the test kit does with an event.
#[cfg(any(test, feature = "test-util"))]
#[derive(Clone)]
pub(crate) struct Recorder(pub(crate) Arc<dyn Fn(&SchedulerEvent) + Send + Sync>);

#[cfg(any(test, feature = "test-util"))]
impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Default for Teller {
    fn default() -> Self {
        Self {
            listeners: broadcast::Sender::new(BEHIND_MAX),
            is_over: Arc::default(),
            #[cfg(any(test, feature = "test-util"))]
            recorder: None,
        }
    }
}

impl Teller {
    /// Tells what `event` makes, if anybody listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> SchedulerEvent) {
        #[cfg(any(test, feature = "test-util"))]
        if let Some(recorder) = &self.recorder {
            let event = event();
            (recorder.0)(&event);
            // It fails if nobody listens beside.
            let _ = self.listeners.send(event);
            return;
        }
        if self.is_heard() {
            // It fails only if the last listener has just gone.
            let _ = self.listeners.send(event());
        }
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn recording(recorder: Recorder) -> Self {
        Self { recorder: Some(recorder), ..Self::default() }
    }

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        #[cfg(any(test, feature = "test-util"))]
        if self.recorder.is_some() {
            return true;
        }
        self.listeners.receiver_count() > 0
    }

    pub(crate) fn listen(&self) -> Events {
        let events = self.listeners.subscribe();
        // Looked at after the subscription, so that an end in between is among its events.
        let is_over = self.is_over.load(Ordering::SeqCst);
        Events { next: Next::Here(events), is_over }
    }

    /// The last thing that is told.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.tell(|| SchedulerEvent::Stopped);
    }
}

/// The events of a scheduler from the moment of [`SchedulerHandle::events`](crate::SchedulerHandle::events) on: a
/// [`Stream`], which also has methods of its own.
///
/// ```
/// use symphra_scheduler::{Scheduler, SchedulerEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), symphra_scheduler::Error> {
/// let scheduler = Scheduler::empty().start().await?;
/// let mut events = scheduler.events();
/// assert_eq!(events.try_next(), None, "nothing has happened yet");
/// scheduler.stop().await?;
/// assert_eq!(events.next().await, Some(SchedulerEvent::Stopped));
/// assert_eq!(events.next().await, None);
/// # Ok(())
/// # }
/// ```
pub struct Events {
    next: Next,
    is_over: bool,
}

/// The receiver, in its place or inside the future that waits for it.
enum Next {
    Here(broadcast::Receiver<SchedulerEvent>),
    /// On its way from the one to the other: in no place that anybody sees.
    Moving,
    Awaited(Pin<Box<dyn Future<Output = Received> + Send + Sync>>),
}

type Received = (Result<SchedulerEvent, broadcast::error::RecvError>, broadcast::Receiver<SchedulerEvent>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl Stream for Events {
    type Item = SchedulerEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SchedulerEvent>> {
        if self.is_over {
            return Poll::Ready(self.try_next());
        }
        let this = &mut *self;
        loop {
            match &mut this.next {
                // Most events are there already.
                Next::Here(events) => match events.try_recv() {
                    Ok(event) => return Poll::Ready(Some(this.seen(event))),
                    Err(TryRecvError::Lagged(events)) => return Poll::Ready(Some(SchedulerEvent::Missed { events })),
                    Err(TryRecvError::Closed) => return Poll::Ready(None),
                    Err(TryRecvError::Empty) => {
                        let Next::Here(mut events) = std::mem::replace(&mut this.next, Next::Moving) else {
                            unreachable!("it was here");
                        };
                        this.next = Next::Awaited(Box::pin(async move { (events.recv().await, events) }));
                    }
                },
                Next::Moving => unreachable!("it arrives within one call"),
                Next::Awaited(future) => {
                    let (received, events) = ready!(future.as_mut().poll(context));
                    this.next = Next::Here(events);
                    return Poll::Ready(match received {
                        Ok(event) => Some(this.seen(event)),
                        Err(RecvError::Lagged(events)) => Some(SchedulerEvent::Missed { events }),
                        Err(RecvError::Closed) => None,
                    });
                }
            }
        }
    }
}

impl Events {
    /// The next event; `None` once the scheduler has ended and all its events were taken.
    ///
    /// # Cancellation
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<SchedulerEvent> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next event, if it is there already.
    pub fn try_next(&mut self) -> Option<SchedulerEvent> {
        let received = match &mut self.next {
            Next::Here(events) => events.try_recv(),
            Next::Moving => unreachable!("it arrives within one call"),
            // Nobody waits for it now, so nobody has to be woken.
            Next::Awaited(future) => match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return None,
                Poll::Ready((received, events)) => {
                    self.next = Next::Here(events);
                    received.map_err(|error| match error {
                        RecvError::Closed => TryRecvError::Closed,
                        RecvError::Lagged(events) => TryRecvError::Lagged(events),
                    })
                }
            },
        };
        match received {
            Ok(event) => Some(self.seen(event)),
            Err(TryRecvError::Lagged(events)) => Some(SchedulerEvent::Missed { events }),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }

    fn seen(&mut self, event: SchedulerEvent) -> SchedulerEvent {
        self.is_over |= event == SchedulerEvent::Stopped;
        event
    }
}
