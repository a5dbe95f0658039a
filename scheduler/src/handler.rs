//! What a task calls: a function or closure whose arguments are extractors, and the future it gives.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::executor::{Extract, ExtractError, RunContext};
use crate::outcome::{IntoOutcome, Outcome};

/// An async function or closure that a task can call: up to eight extractors as arguments, and nothing or a `Result` as
/// its value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of a task",
    label = "not an async function or closure of extractors",
    note = "a handler is `Fn(A, B, …) -> impl Future + Send`, with at most eight extractors (`RunContext`, `ScheduledAt`) \
            as arguments, and returns nothing or `Result<T, E>` with `E: Into<Box<dyn Error + Send + Sync>>`"
)]
pub trait Handler<Args>: Send + Sync + 'static {
    /// Begins an attempt.
    fn call(&self, run: &RunContext) -> Body;
}

/// The future of one attempt.
pub struct Body(Pin<Box<dyn Attempt + Send>>);

/// A future whose value is an outcome. Not an `async` block around the future, which would be a second state machine
/// for the compiler to build for each task.
trait Attempt {
    fn poll_outcome(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome>;
}

impl<F: Future<Output: IntoOutcome>> Attempt for F {
    fn poll_outcome(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.poll(context).map(IntoOutcome::into_outcome)
    }
}

impl Body {
    fn of<F>(future: F) -> Self
    where
        F: Future<Output: IntoOutcome> + Send + 'static,
    {
        Self(Box::pin(future))
    }

    fn refused(error: ExtractError) -> Self {
        Self::of(std::future::ready(Err::<(), _>(error)))
    }
}

impl Future for Body {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.0.as_mut().poll_outcome(context)
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

/// The one argument named `T`.
///
/// # Errors
/// What the extractor says.
pub fn extract<T: Extract>(run: &RunContext) -> Result<T, ExtractError> {
    T::extract(run)
}

/// How an attempt is begun: by the function that an attribute wrote, or by a handler given at run time.
#[derive(Clone)]
pub(crate) enum Call {
    Declared(fn(&RunContext) -> Body),
    Shared(Arc<dyn Fn(&RunContext) -> Body + Send + Sync>),
}

impl Call {
    pub(crate) fn shared<Args>(handler: impl Handler<Args>) -> Self {
        Self::Shared(Arc::new(move |run| handler.call(run)))
    }

    pub(crate) fn begin(&self, run: &RunContext) -> Body {
        match self {
            Self::Declared(call) => call(run),
            Self::Shared(call) => call(run),
        }
    }
}

macro_rules! handler_of {
    ($($argument:ident)*) => {
        impl<F, Fut, $($argument,)*> Handler<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            $($argument: Extract,)*
        {
            fn call(&self, run: &RunContext) -> Body {
                start(run, |_run| Ok(self($(extract::<$argument>(_run)?),*)))
            }
        }
    };
}

handler_of!();
handler_of!(A);
handler_of!(A B);
handler_of!(A B C);
handler_of!(A B C D);
handler_of!(A B C D E);
handler_of!(A B C D E G);
handler_of!(A B C D E G H);
handler_of!(A B C D E G H I);
