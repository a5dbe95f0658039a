//! The tasks that the linker collected: what an attribute wrote, read once at start. The only user of `inventory`.

use std::borrow::Cow;

use chrono_tz::Tz;

use crate::executor::RunContext;
use crate::handler::{Body, Call};
use crate::schedule::{Moment, Schedule};
use crate::task::{Overlap, Source, Task};

/// A task as an attribute writes it: constants only, so that nothing is parsed at start.
#[derive(Debug)]
pub struct Declaration {
    name: &'static str,
    schedule: Schedule,
    source: Source,
    call: fn(&RunContext) -> Body,
    tags: &'static [&'static str],
    timezone: Option<Tz>,
    start: Option<Moment>,
    end: Option<Moment>,
    max_instances: Option<u32>,
    overlap: Overlap,
}

inventory::collect!(Declaration);

impl Declaration {
    /// A declaration with the default options.
    #[must_use]
    pub const fn new(name: &'static str, schedule: Schedule, source: Source, call: fn(&RunContext) -> Body) -> Self {
        Self {
            name,
            schedule,
            source,
            call,
            tags: &[],
            timezone: None,
            start: None,
            end: None,
            max_instances: None,
            overlap: Overlap::Skip,
        }
    }

    /// The option `tags`.
    #[must_use]
    pub const fn tags(mut self, tags: &'static [&'static str]) -> Self {
        self.tags = tags;
        self
    }

    /// The option `timezone`.
    #[must_use]
    pub const fn timezone(mut self, zone: Tz) -> Self {
        self.timezone = Some(zone);
        self
    }

    /// The option `start`.
    #[must_use]
    pub const fn start_at(mut self, start: Moment) -> Self {
        self.start = Some(start);
        self
    }

    /// The option `end`.
    #[must_use]
    pub const fn end_at(mut self, end: Moment) -> Self {
        self.end = Some(end);
        self
    }

    /// The option `max_instances`.
    #[must_use]
    pub const fn max_instances(mut self, runs: u32) -> Self {
        self.max_instances = Some(runs);
        self
    }

    /// The option `overlap = "allow"`.
    #[must_use]
    pub const fn overlap_allow(mut self) -> Self {
        self.overlap = Overlap::Allow;
        self
    }

    fn to_task(&self) -> Task {
        let call = Call::Declared(self.call);
        let mut task = Task::declared(Cow::Borrowed(self.name), self.schedule, self.source, call)
            .tags(self.tags.iter().copied())
            .overlap(self.overlap);
        if let Some(zone) = self.timezone {
            task = task.timezone(zone);
        }
        if let Some(start) = self.start {
            task = task.starting(start);
        }
        if let Some(end) = self.end {
            task = task.ending(end);
        }
        if let Some(runs) = self.max_instances {
            task = task.max_instances(runs);
        }
        task
    }
}

/// All tasks that are linked into this program, by name: the order of the linker is nobody's.
pub(crate) fn linked_tasks() -> Vec<Task> {
    let mut tasks: Vec<Task> = inventory::iter::<Declaration>.into_iter().map(Declaration::to_task).collect();
    tasks.sort_by(|a, b| {
        (a.name(), a.source().file(), a.source().line()).cmp(&(b.name(), b.source().file(), b.source().line()))
    });
    tasks
}

/// Links crates whose tasks are wanted and whose items nobody mentions.
///
/// The linker leaves out a crate that the program never refers to, and its tasks with it. This refers to it.
///
/// ```text
/// symphra_scheduler::link_tasks!(billing_tasks, report_tasks);
/// ```
#[macro_export]
macro_rules! link_tasks {
    ($($name:ident),+ $(,)?) => {
        $(
            #[doc(hidden)]
            #[allow(unused_extern_crates, reason = "the crate is named so that its tasks are linked")]
            extern crate $name as _;
        )+
    };
}
