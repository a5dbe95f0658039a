//! What a job's handler is: a function whose first argument is what it was enqueued with, and whose others are extractors.
//!
//! Arguments travel as JSON with the version of their type. What is older than the program is brought up by the functions
//! that the task names; what is newer waits for a program that knows it.

use std::any::{TypeId, type_name};
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::executor::{Extract, ExtractError, Needs, RunContext};
use crate::handler::{Body, extract, start, start_blocking};
use crate::outcome::IntoOutcome;

/// What a job can be called with: any type that serde writes and reads.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use symphra_scheduler::Payload;
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome {
///     to: String,
/// }
///
/// fn can_be_enqueued<T: Payload>() {}
///
/// can_be_enqueued::<Welcome>();
/// can_be_enqueued::<(u64, Option<String>)>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of a job",
    label = "not what a job is enqueued with",
    note = "the first argument of a job's function is what it is enqueued with, and is kept as JSON: derive \
            `serde::Serialize` and `serde::Deserialize` for it; a job without arguments takes `(): ()` before its extractors"
)]
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}

/// Brings arguments, as JSON, from one version of their type to the next.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use serde_json::{Value, json};
/// use symphra_scheduler::{Upgrade, task};
///
/// /// Version 1 had one name.
/// fn v1_to_v2(mut arguments: Value) -> Value {
///     arguments["names"] = json!([arguments["name"]]);
///     arguments
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Notice {
///     names: Vec<String>,
/// }
///
/// #[task(upgrade = [v1_to_v2])]
/// async fn send_notice(notice: Notice) {
///     println!("to {}", notice.names.join(", "));
/// }
///
/// let upgrade: Upgrade = v1_to_v2;
/// let notice: Notice = serde_json::from_value(upgrade(json!({ "name": "Ada" })))?;
/// assert_eq!(notice.names, ["Ada"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub type Upgrade = fn(Value) -> Value;

/// An async function or closure that can be called with a job: its [`Payload`], and up to seven extractors behind it; or
/// nothing.
///
/// ```
/// use symphra_scheduler::{RunContext, Task};
///
/// let welcome = Task::job("send_welcome", |to: String, run: RunContext| async move {
///     println!("attempt {}: to {to}", run.attempt());
/// });
/// assert!(welcome.schedule().is_never(), "it runs when it is enqueued");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of a job",
    label = "not an async function or closure of a payload and extractors",
    note = "a job's handler is `Fn(T, A, B, …) -> impl Future + Send`: `T` is what it is enqueued with, the others are \
            extractors, and it returns nothing or `Result<T, E>` with `E: Into<Box<dyn Error + Send + Sync>>`"
)]
pub trait JobHandler<Args>: Send + Sync + 'static {
    /// What it is enqueued with.
    type Payload: Payload;

    /// Begins an attempt.
    fn call(&self, run: &RunContext) -> Body;

    /// Looks for what the arguments need.
    fn needs(needs: &mut Needs<'_>);
}

/// An ordinary function or closure that can be called with a job, and blocks its thread.
///
/// ```
/// use symphra_scheduler::Task;
///
/// let shrink = Task::blocking_job("shrink", |picture: String| -> std::io::Result<()> {
///     println!("{} bytes", std::fs::metadata(picture)?.len());
///     Ok(())
/// });
/// assert_eq!(shrink.name(), "shrink");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of a blocking job",
    label = "not an ordinary function or closure of a payload and extractors",
    note = "a blocking job's handler is `Fn(T, A, B, …)`: `T` is what it is enqueued with, the others are extractors that are \
            `Send`, and it returns nothing or `Result<T, E>` with `E: Into<Box<dyn Error + Send + Sync>>`"
)]
pub trait BlockingJobHandler<Args>: Send + Sync + 'static {
    /// What it is enqueued with.
    type Payload: Payload;

    /// Begins an attempt on another thread.
    fn call(self: &Arc<Self>, run: &RunContext) -> Body;

    /// Looks for what the arguments need.
    fn needs(needs: &mut Needs<'_>);
}

/// What a job is enqueued to: the function of its task, or the name. A function says what it takes, so that arguments of
/// another type do not compile; by a name they are compared when the job is enqueued.
///
/// ```
/// use symphra_scheduler::{Error, SchedulerHandle, task};
///
/// #[task]
/// async fn send_reminder(to: String) {
///     println!("to {to}");
/// }
///
/// async fn signed_up(scheduler: &SchedulerHandle) -> Result<(), Error> {
///     scheduler.enqueue(send_reminder, "ada@example.com".to_owned()).await?;
///     // Of a task of another program, by its name.
///     scheduler.enqueue("send_invoice", 4711_u64).await?;
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a job of `{Self}` is not enqueued with `{T}`",
    label = "it takes something else",
    note = "a job is enqueued by the function of its task, `enqueue(send_welcome, Welcome {{ … }})`, with what its first \
            argument is, or `()` if it has none; or by the task's name"
)]
pub trait JobTask<T, By> {
    /// Which task that is.
    #[doc(hidden)]
    fn wanted(&self) -> Wanted<'_>;
}

/// A task as somebody names it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    Function(TypeId, &'static str),
    /// What is called as a function, and has a type that says nothing of which it is.
    Pointer(&'static str),
    Name(&'a str),
}

impl Wanted<'_> {
    /// The type of a function is its own. That of a pointer is the type of all functions of its signature, and that of a
    /// closure which holds something the same for all that it may hold: by these the job of another task would be made.
    fn of_function<F: 'static>() -> Self {
        match size_of::<F>() {
            0 => Self::Function(TypeId::of::<F>(), type_name::<F>()),
            _ => Self::Pointer(type_name::<F>()),
        }
    }
}

/// That a task is named by its name.
#[doc(hidden)]
#[derive(Debug)]
pub enum ByName {}

impl<T> JobTask<T, ByName> for &str {
    fn wanted(&self) -> Wanted<'_> {
        Wanted::Name(self)
    }
}

/// What makes a task one of jobs.
#[derive(Clone)]
pub struct JobKind {
    /// The type of its function, by which it is found.
    pub(crate) function: TypeId,
    /// The type of its arguments.
    payload: TypeId,
    payload_name: &'static str,
    pub(crate) upgrades: &'static [Upgrade],
}

impl JobKind {
    /// For the macros: that of a task whose function this is.
    #[must_use]
    pub fn of<F: JobTask<T, By> + 'static, T: Payload, By>(_: &F) -> Self {
        Self::new::<F, T>()
    }

    pub(crate) fn new<F: 'static, T: Payload>() -> Self {
        Self { function: TypeId::of::<F>(), payload: TypeId::of::<T>(), payload_name: type_name::<T>(), upgrades: &[] }
    }

    /// The version of arguments that this program writes, and the newest that it reads.
    pub(crate) fn version(&self) -> u32 {
        u32::try_from(self.upgrades.len()).map_or(u32::MAX, |count| count.saturating_add(1))
    }

    /// The type of its arguments, if it is not `T`.
    pub(crate) fn other_than<T: 'static>(&self) -> Option<&'static str> {
        (self.payload != TypeId::of::<T>()).then_some(self.payload_name)
    }
}

impl fmt::Debug for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobKind").field("payload", &self.payload_name).field("version", &self.version()).finish()
    }
}

/// What the present run was enqueued with.
///
/// # Errors
/// If it cannot be read, which no further attempt would change.
pub fn payload<T: Payload>(run: &RunContext) -> Result<T, ExtractError> {
    let unreadable = |says: String| ExtractError::for_good(says);
    let (Some(arguments), Some(kind)) = (run.arguments(), run.job()) else {
        return Err(unreadable("the run was not enqueued as a job".into()));
    };
    let (stored, known) = (arguments.version, kind.version());
    if stored > known || stored == 0 {
        return Err(unreadable(format!(
            "the job was enqueued with version {stored} of its arguments, and this program knows {known}: a newer one wrote it"
        )));
    }
    let broken = |error: serde_json::Error| {
        let name = type_name::<T>();
        let upgraded = if stored < known { format!(" (upgraded to {known})") } else { String::new() };
        unreadable(format!("the job's arguments, of version {stored}{upgraded}, are no `{name}`: {error}"))
    };
    if stored == known {
        return serde_json::from_str(&arguments.json).map_err(broken);
    }
    let mut value: Value = serde_json::from_str(&arguments.json).map_err(broken)?;
    for upgrade in &kind.upgrades[stored as usize - 1..] {
        // What it cannot make of these arguments now it cannot the next time either. A function without state is not broken by
        // a panic.
        let upgraded = std::panic::catch_unwind(AssertUnwindSafe(|| upgrade(value)));
        value = upgraded
            .map_err(|_| unreadable(format!("an upgrade of the job's arguments, of version {stored}, panicked")))?;
    }
    serde_json::from_value(value).map_err(broken)
}

impl<F, Fut> JobHandler<()> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutcome> + Send + 'static,
{
    type Payload = ();

    fn call(&self, run: &RunContext) -> Body {
        start(run, |_| Ok(self()))
    }

    fn needs(_: &mut Needs<'_>) {}
}

impl<F, R> BlockingJobHandler<()> for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: IntoOutcome + 'static,
{
    type Payload = ();

    fn call(self: &Arc<Self>, run: &RunContext) -> Body {
        let handler = Arc::clone(self);
        start_blocking(run, |_| Ok(move || handler()))
    }

    fn needs(_: &mut Needs<'_>) {}
}

impl<F: Fn() -> R + 'static, R> JobTask<(), ()> for F {
    fn wanted(&self) -> Wanted<'_> {
        Wanted::of_function::<F>()
    }
}

macro_rules! job_handler_of {
    ($($argument:ident $name:ident),*) => {
        impl<F, Fut, P, $($argument,)*> JobHandler<(P, $($argument,)*)> for F
        where
            F: Fn(P, $($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            P: Payload,
            $($argument: Extract,)*
        {
            type Payload = P;

            fn call(&self, run: &RunContext) -> Body {
                start(run, |run| Ok(self(payload::<P>(run)?, $(extract::<$argument>(run)?),*)))
            }

            fn needs(_needs: &mut Needs<'_>) {
                $(_needs.of::<$argument>();)*
            }
        }

        impl<F, R, P, $($argument,)*> BlockingJobHandler<(P, $($argument,)*)> for F
        where
            F: Fn(P, $($argument),*) -> R + Send + Sync + 'static,
            R: IntoOutcome + 'static,
            P: Payload,
            $($argument: Extract + Send + 'static,)*
        {
            type Payload = P;

            fn call(self: &Arc<Self>, run: &RunContext) -> Body {
                start_blocking(run, |run| {
                    let handler = Arc::clone(self);
                    let arguments = payload::<P>(run)?;
                    $(let $name = extract::<$argument>(run)?;)*
                    Ok(move || handler(arguments, $($name),*))
                })
            }

            fn needs(_needs: &mut Needs<'_>) {
                $(_needs.of::<$argument>();)*
            }
        }

        impl<F: Fn(P, $($argument),*) -> R + 'static, R, P, $($argument,)*> JobTask<P, (P, $($argument,)*)> for F {
            fn wanted(&self) -> Wanted<'_> {
                Wanted::of_function::<F>()
            }
        }
    };
}

job_handler_of!();
job_handler_of!(A a);
job_handler_of!(A a, B b);
job_handler_of!(A a, B b, C c);
job_handler_of!(A a, B b, C c, D d);
job_handler_of!(A a, B b, C c, D d, E e);
job_handler_of!(A a, B b, C c, D d, E e, G g);
job_handler_of!(A a, B b, C c, D d, E e, G g, H h);
