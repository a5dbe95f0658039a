//! The tasks that the linker collected: what an attribute wrote, read once at start. The only user of `inventory`.

use std::borrow::Cow;

use crate::executor::{Needs, RunContext};
use crate::handler::{Body, Call};
#[cfg(feature = "jobs")]
use crate::job::JobKind;
use crate::schedule::Schedule;
use crate::task::{Source, Task};

/// A task as an attribute writes it: constants and function pointers only, so that nothing is parsed at start.
#[derive(Debug)]
pub struct Declaration {
    name: &'static str,
    schedule: Schedule,
    source: Source,
    call: fn(&RunContext) -> Body,
    needs: Option<fn(&mut Needs<'_>)>,
    options: Option<fn(Task) -> Task>,
    #[cfg(feature = "jobs")]
    job: Option<fn() -> JobKind>,
}

inventory::collect!(Declaration);

impl Declaration {
    /// A declaration with the default options, whose function takes no arguments that need anything.
    #[must_use]
    pub const fn new(name: &'static str, schedule: Schedule, source: Source, call: fn(&RunContext) -> Body) -> Self {
        Self {
            name,
            schedule,
            source,
            call,
            needs: None,
            options: None,
            #[cfg(feature = "jobs")]
            job: None,
        }
    }

    /// A declaration of a task of jobs, whose function `kind` describes.
    #[cfg(feature = "jobs")]
    #[must_use]
    pub const fn job(name: &'static str, source: Source, call: fn(&RunContext) -> Body, kind: fn() -> JobKind) -> Self {
        Self { job: Some(kind), ..Self::new(name, Schedule::never(), source, call) }
    }

    /// What the arguments of the function need.
    #[must_use]
    pub const fn needs(mut self, needs: fn(&mut Needs<'_>)) -> Self {
        self.needs = Some(needs);
        self
    }

    /// The options, by the methods of the builder.
    #[must_use]
    pub const fn options(mut self, options: fn(Task) -> Task) -> Self {
        self.options = Some(options);
        self
    }

    fn to_task(&self) -> Task {
        let call = Call::declared(self.call, self.needs);
        let task = Task::declared(Cow::Borrowed(self.name), self.schedule, self.source, call);
        #[cfg(feature = "jobs")]
        let task = match self.job {
            Some(kind) => task.of_jobs(kind()),
            None => task,
        };
        match self.options {
            Some(options) => options(task),
            None => task,
        }
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
/// Here two crates are named that any program might have; those with tasks are named in the same way.
///
/// ```
/// symphra_scheduler::link_tasks!(serde, serde_json);
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
