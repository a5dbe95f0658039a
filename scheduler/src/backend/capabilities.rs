//! What a backend can do, and what it is not asked for where it cannot.

/// How backends differ. A task that asks for what its backend lacks is an error at start.
///
/// ```
/// use symphra_scheduler::MemoryBackend;
/// use symphra_scheduler::backend::{Backend, Capabilities};
///
/// let queue = Capabilities::durable().without_priority().without_max_runs();
/// assert!(queue.durable && !queue.priority && !queue.jobs);
///
/// let memory = MemoryBackend::new().capabilities();
/// assert_eq!(memory, Capabilities::volatile().with_jobs());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Marks, anchors and history outlive the process.
    pub durable: bool,
    /// Runs that wait are claimed by the priority of their task; else in the order in which they fell due.
    pub priority: bool,
    /// Occurrences that became runs are counted for all nodes, so that `max_runs` can end a schedule.
    pub max_runs: bool,
    /// Jobs can be enqueued, with their arguments, and are dead letters where they fail.
    pub jobs: bool,
}

impl Capabilities {
    /// A backend that lives and dies with its process, and can do all else, but has no [jobs](Self::with_jobs).
    #[must_use]
    pub const fn volatile() -> Self {
        Self { durable: false, priority: true, max_runs: true, jobs: false }
    }

    /// A backend whose contents survive its process, and which can do all else, but has no [jobs](Self::with_jobs).
    #[must_use]
    pub const fn durable() -> Self {
        Self { durable: true, ..Self::volatile() }
    }

    /// The same, whose runs have no priority.
    #[must_use]
    pub const fn without_priority(self) -> Self {
        Self { priority: false, ..self }
    }

    /// The same, which does not count runs for all nodes.
    #[must_use]
    pub const fn without_max_runs(self) -> Self {
        Self { max_runs: false, ..self }
    }

    /// The same, which has jobs: it answers the calls about them, which refuse where a backend does not write them.
    #[must_use]
    pub const fn with_jobs(self) -> Self {
        Self { jobs: true, ..self }
    }
}
