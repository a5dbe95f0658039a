//! What a task calls: a function or closure whose arguments are extractors, and the future it gives.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::executor::{Extract, ExtractError, Needs, RunContext};
use crate::outcome::{BoxError, IntoOutcome};

/// An async function or closure that a task can call: up to eight extractors as arguments, and nothing or a `Result` as
/// its value.
///
/// ```
/// use symphra_scheduler::{Handler, RunContext, Schedule, State, Task};
///
/// /// A task of every night, whatever it does.
/// fn nightly<Args>(name: &'static str, handler: impl Handler<Args>) -> Task {
///     Task::new(name, Schedule::cron("0 3 * * *").expect("a valid expression"), handler)
/// }
///
/// let clean_up = nightly("clean_up", async || {});
/// let count = nightly("count", |shop: State<String>, run: RunContext| async move {
///     println!("{} at {}", *shop, run.scheduled_at());
/// });
/// assert_eq!(count.name(), "count");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of a task",
    label = "not an async function or closure of extractors",
    note = "a handler is `Fn(A, B, …) -> impl Future + Send`, with at most eight extractors (`State<T>`, `RunContext`, \
            `ScheduledAt`, …) as arguments, and returns nothing or `Result<T, E>` with `E: Into<Box<dyn Error + Send + Sync>>`"
)]
pub trait Handler<Args>: Send + Sync + 'static {
    /// Begins an attempt.
    fn call(&self, run: &RunContext) -> Body;

    /// Looks for what the arguments need.
    fn needs(needs: &mut Needs<'_>);
}

/// An ordinary function or closure that blocks its thread: up to eight extractors as arguments, and nothing or a
/// `Result` as its value.
///
/// ```
/// use symphra_scheduler::{Schedule, State, Task};
///
/// let schedule = Schedule::cron("0 2 * * *")?;
/// let compress = Task::blocking("compress", schedule, |folder: State<std::path::PathBuf>| -> std::io::Result<()> {
///     for entry in std::fs::read_dir(&*folder)? {
///         println!("{:?}", entry?.path());
///     }
///     Ok(())
/// });
/// assert_eq!(compress.name(), "compress");
/// # Ok::<(), symphra_scheduler::CronError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of a blocking task",
    label = "not an ordinary function or closure of extractors",
    note = "a blocking handler is `Fn(A, B, …)`, with at most eight extractors that are `Send`, and returns nothing or \
            `Result<T, E>` with `E: Into<Box<dyn Error + Send + Sync>>`; it may be called from several threads at once, \
            so it is `Send + Sync + 'static`"
)]
pub trait BlockingHandler<Args>: Send + Sync + 'static {
    /// Begins an attempt on another thread.
    fn call(self: &Arc<Self>, run: &RunContext) -> Body;

    /// Looks for what the arguments need.
    fn needs(needs: &mut Needs<'_>);
}

/// The future of one attempt.
///
/// What awaits it awaits the attempt:
///
/// ```
/// use symphra_scheduler::{Handler, RunContext};
///
/// async fn attempt<Args>(handler: &impl Handler<Args>, run: &RunContext) -> String {
///     match handler.call(run).await {
///         Ok(()) => "done".into(),
///         Err(error) => error.to_string(),
///     }
/// }
/// ```
pub struct Body {
    attempt: Pin<Box<dyn Attempt + Send>>,
    /// Whether dropping it ends what it does.
    can_be_dropped: bool,
}

/// A future whose value is the outcome of an attempt. Not an `async` block around the future, which would be a second state machine
/// for the compiler to build for each task.
trait Attempt {
    fn poll_outcome(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
}

impl<F: Future<Output: IntoOutcome>> Attempt for F {
    fn poll_outcome(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.poll(context).map(IntoOutcome::into_outcome)
    }
}

impl Body {
    fn of<F>(future: F) -> Self
    where
        F: Future<Output: IntoOutcome> + Send + 'static,
    {
        Self { attempt: Box::pin(future), can_be_dropped: true }
    }

    fn refused(error: ExtractError) -> Self {
        Self::of(std::future::ready(Err::<(), _>(error)))
    }

    fn on_another_thread<C, T>(call: C) -> Self
    where
        C: FnOnce() -> T + Send + 'static,
        T: IntoOutcome,
    {
        // The thread stands in no span of its own.
        let run = tracing::Span::current();
        let joined = tokio::task::spawn_blocking(move || run.in_scope(|| call().into_outcome()));
        let body = Self::of(async move {
            match joined.await {
                Ok(outcome) => outcome,
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                Err(error) => Err(error.into()),
            }
        });
        Self { can_be_dropped: false, ..body }
    }

    /// Whether dropping the body ends what it does; what a thread has begun goes on.
    pub(crate) const fn can_be_dropped(&self) -> bool {
        self.can_be_dropped
    }
}

impl Future for Body {
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.attempt.as_mut().poll_outcome(context)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

/// Begins an attempt whose arguments `call` extracts; an argument that cannot be had is a failed attempt.
pub fn start<F, Fut>(run: &RunContext, call: F) -> Body
where
    F: FnOnce(&RunContext) -> Result<Fut, ExtractError>,
    Fut: Future<Output: IntoOutcome> + Send + 'static,
{
    match call(run) {
        Ok(future) => Body::of(future),
        Err(error) => Body::refused(error),
    }
}

/// Begins an attempt on tokio's pool for blocking work, with the arguments that `call` extracts.
pub fn start_blocking<F, C, T>(run: &RunContext, call: F) -> Body
where
    F: FnOnce(&RunContext) -> Result<C, ExtractError>,
    C: FnOnce() -> T + Send + 'static,
    T: IntoOutcome + 'static,
{
    match call(run) {
        Ok(call) => Body::on_another_thread(call),
        Err(error) => Body::refused(error),
    }
}

/// The one argument named `T`.
///
/// # Errors
/// What the extractor says.
pub fn extract<T: Extract>(run: &RunContext) -> Result<T, ExtractError> {
    T::extract(run)
}

/// How an attempt is begun: by the function that an attribute wrote, or by a handler given at run time.
#[derive(Clone)]
pub(crate) struct Call {
    begin: Begin,
    needs: Option<fn(&mut Needs<'_>)>,
}

#[derive(Clone)]
enum Begin {
    Declared(fn(&RunContext) -> Body),
    Shared(Arc<dyn Fn(&RunContext) -> Body + Send + Sync>),
}

impl Call {
    pub(crate) fn declared(begin: fn(&RunContext) -> Body, needs: Option<fn(&mut Needs<'_>)>) -> Self {
        Self { begin: Begin::Declared(begin), needs }
    }

    pub(crate) fn shared<Args, H: Handler<Args>>(handler: H) -> Self {
        Self { begin: Begin::Shared(Arc::new(move |run| handler.call(run))), needs: Some(H::needs) }
    }

    /// One that begins by `begin`, and whose arguments need what `needs` looks for.
    #[cfg(feature = "jobs")]
    pub(crate) fn of(begin: impl Fn(&RunContext) -> Body + Send + Sync + 'static, needs: fn(&mut Needs<'_>)) -> Self {
        Self { begin: Begin::Shared(Arc::new(begin)), needs: Some(needs) }
    }

    pub(crate) fn blocking<Args, H: BlockingHandler<Args>>(handler: H) -> Self {
        let handler = Arc::new(handler);
        Self { begin: Begin::Shared(Arc::new(move |run| handler.call(run))), needs: Some(H::needs) }
    }

    pub(crate) fn begin(&self, run: &RunContext) -> Body {
        match &self.begin {
            Begin::Declared(begin) => begin(run),
            Begin::Shared(begin) => begin(run),
        }
    }

    /// Looks for what the arguments need.
    pub(crate) fn look_for_needs(&self, needs: &mut Needs<'_>) {
        if let Some(look) = self.needs {
            look(needs);
        }
    }
}

macro_rules! handler_of {
    ($($argument:ident $name:ident),*) => {
        impl<F, Fut, $($argument,)*> Handler<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            $($argument: Extract,)*
        {
            fn call(&self, run: &RunContext) -> Body {
                start(run, |_run| Ok(self($(extract::<$argument>(_run)?),*)))
            }

            fn needs(_needs: &mut Needs<'_>) {
                $(_needs.of::<$argument>();)*
            }
        }

        impl<F, T, $($argument,)*> BlockingHandler<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> T + Send + Sync + 'static,
            T: IntoOutcome + 'static,
            $($argument: Extract + Send + 'static,)*
        {
            fn call(self: &Arc<Self>, run: &RunContext) -> Body {
                start_blocking(run, |_run| {
                    let handler = Arc::clone(self);
                    $(let $name = extract::<$argument>(_run)?;)*
                    Ok(move || handler($($name),*))
                })
            }

            fn needs(_needs: &mut Needs<'_>) {
                $(_needs.of::<$argument>();)*
            }
        }
    };
}

handler_of!();
handler_of!(A a);
handler_of!(A a, B b);
handler_of!(A a, B b, C c);
handler_of!(A a, B b, C c, D d);
handler_of!(A a, B b, C c, D d, E e);
handler_of!(A a, B b, C c, D d, E e, G g);
handler_of!(A a, B b, C c, D d, E e, G g, H h);
handler_of!(A a, B b, C c, D d, E e, G g, H h, I i);
