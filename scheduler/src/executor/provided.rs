//! What a program provides to its tasks: one value of each type, shared by all runs.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::context::RunContext;
use super::extract::{Extract, ExtractError, short};

/// The values given by [`Scheduler::state`](crate::Scheduler::state).
///
/// An extractor that is made of others asks them at start:
///
/// ```
/// use symphra_scheduler::{Extract, ExtractError, Provided, RunContext, State};
///
/// /// A connection of the program's pool.
/// struct Connection(String);
///
/// impl Extract for Connection {
///     fn extract(run: &RunContext) -> Result<Self, ExtractError> {
///         let pool = State::<Vec<String>>::extract(run)?;
///         pool.first().cloned().map(Self).ok_or_else(|| ExtractError::new("the pool is empty"))
///     }
///
///     fn check(provided: &Provided) -> Result<(), ExtractError> {
///         State::<Vec<String>>::check(provided)
///     }
/// }
/// ```
#[derive(Clone, Default)]
pub struct Provided {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// Types of which more than one value was given.
    doubled: Vec<&'static str>,
}

impl Provided {
    /// Whether a value of type `T` was given.
    #[must_use]
    pub fn has<T: Send + Sync + 'static>(&self) -> bool {
        self.values.contains_key(&TypeId::of::<T>())
    }

    pub(crate) fn add<T: Send + Sync + 'static>(&mut self, value: T) {
        if self.values.insert(TypeId::of::<T>(), Arc::new(value)).is_some() {
            self.doubled.push(type_name::<T>());
        }
    }

    pub(crate) fn doubled(&self) -> &[&'static str] {
        &self.doubled
    }

    fn get<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, ExtractError> {
        let value = self.values.get(&TypeId::of::<T>()).map(Arc::clone);
        value.and_then(|value| value.downcast().ok()).ok_or_else(|| {
            let name = short(type_name::<T>());
            ExtractError::new(format!("no state of type `{name}` is provided; give it with `Scheduler::state(…)`"))
        })
    }
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provided").field("types", &self.values.len()).finish()
    }
}

/// What the program provides by [`Scheduler::state`](crate::Scheduler::state), as an argument of a task. Derefs to the
/// value, which all runs share; cheap to clone, whatever it holds.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use symphra_scheduler::{Schedule, Scheduler, State, Task};
///
/// #[derive(Default)]
/// struct Visits(AtomicU64);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let count = Task::new("count", Schedule::interval(std::time::Duration::from_secs(1))?, |visits: State<Visits>| async move {
///     visits.0.fetch_add(1, Ordering::Relaxed);
/// });
/// let scheduler = Scheduler::empty().state(Visits::default()).register(count).start().await?;
/// # scheduler.stop().await?;
/// # Ok(())
/// # }
/// ```
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// The shared value.
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.0
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.0).finish()
    }
}

/// For calling a task's function in a test.
impl<T> From<T> for State<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T: Send + Sync + 'static> Extract for State<T> {
    fn extract(run: &RunContext) -> Result<Self, ExtractError> {
        run.provided().get().map(Self)
    }

    fn check(provided: &Provided) -> Result<(), ExtractError> {
        provided.get::<T>().map(drop)
    }
}
