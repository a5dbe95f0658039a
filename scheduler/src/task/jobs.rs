//! Tasks of jobs, as a program writes them at run time.

use std::borrow::Cow;
use std::panic::Location;

use super::{Source, Task};
use crate::handler::Call;
use crate::job::{BlockingJobHandler, JobHandler, JobKind, Upgrade};
use crate::schedule::Schedule;

impl Task {
    /// A task named `name` without a schedule: it runs when it is [enqueued](crate::SchedulerHandle::enqueue), with the
    /// arguments that are its handler's first argument.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use symphra_scheduler::{Scheduler, Task};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Resize {
    ///     image: u64,
    ///     width: u32,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let resize = Task::job("resize", |job: Resize| async move {
    ///     println!("image {} to {} pixels", job.image, job.width);
    /// })
    /// .max_instances(4);
    /// let scheduler = Scheduler::empty().register(resize).start().await?;
    /// scheduler.enqueue("resize", Resize { image: 7, width: 320 }).await?;
    /// # scheduler.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn job<Args, H: JobHandler<Args>>(name: impl Into<Cow<'static, str>>, handler: H) -> Self {
        let kind = JobKind::new::<H, H::Payload>();
        let call = Call::of(move |run| handler.call(run), H::needs);
        Self::at_place(name.into(), Location::caller(), call).of_jobs(kind)
    }

    /// The same of an ordinary function, which is called on tokio's pool for blocking work.
    ///
    /// ```
    /// use symphra_scheduler::Task;
    ///
    /// let task = Task::blocking_job("checksum", |path: String| std::fs::read(path).map(|bytes| println!("{}", bytes.len())));
    /// # let _ = task;
    /// ```
    #[track_caller]
    pub fn blocking_job<Args, H: BlockingJobHandler<Args>>(name: impl Into<Cow<'static, str>>, handler: H) -> Self {
        let kind = JobKind::new::<H, H::Payload>();
        let handler = std::sync::Arc::new(handler);
        let call = Call::of(move |run| handler.call(run), H::needs);
        Self::at_place(name.into(), Location::caller(), call).of_jobs(kind)
    }

    fn at_place(name: Cow<'static, str>, place: &Location<'static>, call: Call) -> Self {
        Self::declared(name, Schedule::never(), Source::new(place.file(), place.line(), ""), call)
    }

    pub(crate) fn of_jobs(mut self, kind: JobKind) -> Self {
        self.job = Some(Box::new(kind));
        self
    }

    /// How arguments of earlier versions are brought up to the present one: the first function makes version 2 of version
    /// 1, and so on. The present version is one more than there are functions. Default: none, and version 1.
    ///
    /// When the type of the arguments changes, add a function for what is enqueued already; keep those that are there. A
    /// program that knows fewer leaves what is newer to those that know it. On a task with a schedule it has no meaning.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use serde_json::{Value, json};
    /// use symphra_scheduler::Task;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Welcome {
    ///     to: String,
    ///     language: String, // since version 2
    /// }
    ///
    /// fn add_language(mut old: Value) -> Value {
    ///     old["language"] = json!("en");
    ///     old
    /// }
    ///
    /// let task = Task::job("welcome", |mail: Welcome| async move { println!("to {}", mail.to) }).upgrade(&[add_language]);
    /// # let _ = task;
    /// ```
    pub fn upgrade(mut self, upgrades: &'static [Upgrade]) -> Self {
        if let Some(kind) = &mut self.job {
            kind.upgrades = upgrades;
        }
        self
    }

    pub(crate) fn job_kind(&self) -> Option<&JobKind> {
        self.job.as_deref()
    }
}
