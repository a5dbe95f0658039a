//! Callers who submit, and wait for a step. Whoever submits while one is under way is taken into the next, with all others who
//! wait; and those who were answered together are waited for a moment, for they come again together. Many callers cost few
//! steps.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::thread::StoreThread;
use super::{BackendError, BackendFuture, Submission, Submitted};

/// How many submissions of several callers are made in one step: few enough that nobody waits long for its locks.
const TOGETHER_MAX: usize = 1_000;

/// How many callers wait for a step at most. While the store is away nobody is served, and whoever asks goes on to ask.
const WAITING_MAX: usize = 10_000;

/// How long a step waits for as many callers as the last one had: less than the step costs. A caller who is alone, as the one
/// before was, never waits.
const GATHER_MAX: Duration = Duration::from_millis(1);

const DURING: &str = "submit runs";

/// Callers whose submissions have not been taken into a step.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: Mutex<Waiting>,
    /// As many wait as the last step had.
    is_gathered: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    callers: Vec<Caller>,
    /// Whether somebody takes them from the line, until there are none.
    is_served: bool,
    /// How many callers the last step had.
    together: usize,
}

/// Who has submitted runs, and waits for the answer.
#[derive(Debug)]
struct Caller {
    submissions: Vec<Submission>,
    answer: oneshot::Sender<Result<Vec<Submitted>, BackendError>>,
}

impl Line {
    /// Has a caller wait; tells whether the line has to be served from now on. It is dropped where too many wait.
    fn join(&self, caller: Caller) -> Result<bool, BackendError> {
        let mut line = self.waiting();
        // Those who have gone are done no favour.
        if line.callers.len() >= WAITING_MAX {
            line.callers.retain(|caller| !caller.answer.is_closed());
        }
        if line.callers.len() >= WAITING_MAX {
            return Err(BackendError::new(DURING, format!("{WAITING_MAX} callers wait for the store already")));
        }
        line.callers.push(caller);
        if line.callers.len() == line.together {
            self.is_gathered.notify_one();
        }
        Ok(!std::mem::replace(&mut line.is_served, true))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when as many callers wait as the last step had, or none, or for long enough.
    async fn gather(&self) {
        let gathered = async {
            loop {
                let is_gathered = self.is_gathered.notified();
                let (waiting, together) = {
                    let line = self.waiting();
                    (line.callers.len(), line.together)
                };
                if waiting == 0 || waiting >= together {
                    return;
                }
                is_gathered.await;
            }
        };
        // Those who do not come are not waited for.
        let _ = tokio::time::timeout(GATHER_MAX, gathered).await;
    }

    /// Those who make the next step together, the first first; none ends the service.
    fn next(&self) -> Vec<Caller> {
        let mut line = self.waiting();
        let mut submissions = 0;
        let fit = line.callers.iter().take_while(|caller| {
            submissions += caller.submissions.len();
            submissions <= TOGETHER_MAX
        });
        let count = fit.count().max(1).min(line.callers.len());
        line.is_served = count > 0;
        if line.is_served {
            line.together = count;
        }
        line.callers.drain(..count).collect()
    }
}

/// Serves the line. If it ends otherwise than for want of callers, by a panic, those who wait are told so by the end of
/// their channels, and the next caller has the line served anew.
struct Service<'a> {
    line: &'a Line,
    is_over: bool,
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            *self.line.waiting() = Waiting::default();
        }
    }
}

/// A store that makes runs of what callers submit.
pub(super) trait Submits: Send + Sync + 'static {
    type Failed: Failing;

    /// Who waits for it.
    fn line(&self) -> &Line;

    /// One step, within the time that it may take.
    fn submit_all(
        &self,
        submissions: &[Submission],
    ) -> impl Future<Output = Result<Vec<Submitted>, Self::Failed>> + Send;
}

/// Why a step has failed.
pub(super) trait Failing: Send {
    /// Whether the store has refused rows of this step, and might take others.
    fn is_of_a_row(&self) -> bool;

    fn during(self, call: &'static str) -> BackendError;
}

/// Submits runs, together with what others submit meanwhile. It is not undone where its caller goes away.
pub(super) fn submit<'a, S: Submits>(
    store: &Arc<S>,
    thread: &StoreThread,
    submissions: Vec<Submission>,
) -> BackendFuture<'a, Vec<Submitted>> {
    let (answer, answered) = oneshot::channel();
    match store.line().join(Caller { submissions, answer }) {
        Ok(true) => {
            let store = Arc::clone(store);
            thread.spawn(async move { serve(&*store).await });
        }
        Ok(false) => {}
        Err(full) => return Box::pin(std::future::ready(Err(full))),
    }
    Box::pin(async move { answered.await.unwrap_or_else(|gone| Err(BackendError::new(DURING, gone))) })
}

async fn serve(store: &impl Submits) {
    let mut service = Service { line: store.line(), is_over: false };
    loop {
        service.line.gather().await;
        let callers = service.line.next();
        if callers.is_empty() {
            service.is_over = true;
            return;
        }
        submit_together(store, callers).await;
    }
}

/// One step for all callers. What one of them alone is to blame for is not the answer of the others.
async fn submit_together(store: &impl Submits, callers: Vec<Caller>) {
    let all: Vec<Submission> = callers.iter().flat_map(|caller| caller.submissions.clone()).collect();
    match store.submit_all(&all).await {
        Ok(submitted) => {
            let mut submitted = submitted.into_iter();
            for Caller { submissions, answer } in callers {
                // Whoever asked may have gone.
                let _ = answer.send(Ok(submitted.by_ref().take(submissions.len()).collect()));
            }
        }
        Err(failed) if callers.len() > 1 && failed.is_of_a_row() => {
            for Caller { submissions, answer } in callers {
                let alone = store.submit_all(&submissions).await;
                let _ = answer.send(alone.map_err(|failed| failed.during(DURING)));
            }
        }
        Err(failed) => {
            let failed = Arc::new(failed.during(DURING));
            for Caller { answer, .. } in callers {
                let _ = answer.send(Err(BackendError::new(DURING, Common(Arc::clone(&failed)))));
            }
        }
    }
}

/// Why a step has failed that several callers have made.
#[derive(Debug)]
struct Common(Arc<BackendError>);

impl Common {
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

impl fmt::Display for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Common {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause()?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Vec<Submitted>, BackendError>>;

    fn join(line: &Line) -> (Result<bool, BackendError>, Answer) {
        let (answer, answered) = oneshot::channel();
        (line.join(Caller { submissions: Vec::new(), answer }), answered)
    }

    #[test]
    fn so_many_callers_may_wait_and_those_who_have_gone_are_none_of_them() {
        let line = Line::default();
        let mut waiting: Vec<Answer> = (0..WAITING_MAX).map(|_| join(&line).1).collect();
        let full = join(&line).0.expect_err("there are too many");
        assert!(
            std::error::Error::source(&full).is_some_and(|why| why.to_string().contains("10000 callers wait")),
            "{full:?}"
        );
        waiting.truncate(WAITING_MAX - 1);
        assert!(matches!(join(&line), (Ok(false), _)), "one has gone, and the line is served already");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_were_served_together_are_waited_for_and_nobody_else_is() {
        let (line, began) = (Line::default(), tokio::time::Instant::now());
        let mut answers = vec![join(&line).1];
        line.gather().await;
        assert_eq!((line.next().len(), began.elapsed()), (1, Duration::ZERO), "the first is not waited with");
        answers.extend([join(&line).1, join(&line).1, join(&line).1]);
        line.gather().await;
        assert_eq!((line.next().len(), began.elapsed()), (3, Duration::ZERO), "there are more than there were");
        answers.push(join(&line).1);
        let come = async {
            tokio::task::yield_now().await;
            [join(&line).1, join(&line).1]
        };
        let ((), more) = tokio::join!(line.gather(), come);
        answers.extend(more);
        assert_eq!((line.next().len(), began.elapsed()), (3, Duration::ZERO), "they are all there");
        answers.push(join(&line).1);
        line.gather().await;
        assert_eq!((line.next().len(), began.elapsed()), (1, GATHER_MAX), "who does not come is not waited for");
        answers.push(join(&line).1);
        line.gather().await;
        assert_eq!((line.next().len(), began.elapsed()), (1, GATHER_MAX), "nor the next time");
        line.gather().await;
        assert_eq!((line.next().len(), began.elapsed()), (0, GATHER_MAX), "and nobody is waited for by nobody");
    }
}
