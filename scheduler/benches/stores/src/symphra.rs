//! Ours: by calls of the contract, and as whole schedulers.
//!
//! In all of them a run has its mark or its trigger's id, a lease, a row while it is alive and a row of history, and its task
//! a ledger: nothing is left out that a program would get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono_tz::Tz;
use symphra_scheduler::backend::{
    Admission, Backend, End, Finish, Firing, Holder, NewRun, Registered, Registration, Submission, Submitted,
    TaskRules, Token,
};
use symphra_scheduler::{
    Origin, Outcome, Overlap, PostgresBackend, RabbitMqBackend, RedisBackend, RunId, Schedule, Scheduler,
    SchedulerConfig, SqliteBackend, Task, TaskName, Timetable,
};

use crate::Failure;
use crate::life::{Asked, BATCH, Life, Measured, WORKERS};

/// Tasks that fall due at each millisecond, or that are triggered in turns.
pub const TASKS: usize = 256;

/// What is late by less is fired all the same: that much is late in the end.
const NEVER_A_MISFIRE: Duration = Duration::from_secs(3_600);

/// Runs before those that are measured.
const WARM_UP: u32 = 2_000;

/// The store in `place`.
///
/// # Errors
/// It cannot be opened.
pub async fn open(url: &str) -> Result<Box<dyn Backend>, Failure> {
    Ok(if url.starts_with("sqlite:") {
        Box::new(SqliteBackend::options().namespace("bench").connect(url).await?)
    } else if url.starts_with("amqp:") {
        Box::new(RabbitMqBackend::options().namespace("bench").connect(url).await?)
    } else if url.starts_with("redis:") {
        Box::new(RedisBackend::options().namespace("bench").connect(url).await?)
    } else {
        Box::new(PostgresBackend::options().namespace("bench").connect(url).await?)
    })
}

/// A scheduler on the store of `url`, with as many workers as the peers get.
///
/// # Errors
/// The store cannot be opened.
pub async fn scheduler(url: &str, node: &str) -> Result<Scheduler, Failure> {
    let config = SchedulerConfig::new().max_workers(WORKERS).misfire_grace(NEVER_A_MISFIRE).node(node);
    let scheduler = Scheduler::empty().config(config);
    Ok(if url.starts_with("sqlite:") {
        scheduler.backend(SqliteBackend::options().namespace("bench").connect(url).await?)
    } else if url.starts_with("amqp:") {
        scheduler.backend(RabbitMqBackend::options().namespace("bench").connect(url).await?)
    } else if url.starts_with("redis:") {
        scheduler.backend(RedisBackend::options().namespace("bench").connect(url).await?)
    } else {
        scheduler.backend(PostgresBackend::options().namespace("bench").connect(url).await?)
    })
}

/// How many bodies were executed.
#[derive(Clone, Debug, Default)]
pub struct Executed(Arc<AtomicU32>);

impl Executed {
    /// So many.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns when so many were, and tells when that was.
    pub async fn reach(&self, count: u32) -> Instant {
        while self.count() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Instant::now()
    }

    /// The scheduler with all the tasks, whose bodies count themselves.
    #[must_use]
    pub fn tasks(&self, scheduler: Scheduler, schedule: Schedule) -> Scheduler {
        (0..TASKS).fold(scheduler, |scheduler, number| {
            let executed = Arc::clone(&self.0);
            let body = move || {
                executed.fetch_add(1, Ordering::Relaxed);
                std::future::ready(())
            };
            scheduler.register(Task::new(name(number), schedule, body).overlap(Overlap::Allow))
        })
    }
}

/// A schedule that is always due.
///
/// # Errors
/// Never.
pub fn each_millisecond() -> Result<Schedule, Failure> {
    Ok(Schedule::interval(Duration::from_millis(1))?)
}

/// A schedule of which nothing falls due while something is measured.
///
/// # Errors
/// Never.
pub fn never_now() -> Result<Schedule, Failure> {
    Ok(Schedule::cron("0 0 0 1 1 * 2099")?)
}

/// The name of a task.
#[must_use]
pub fn name(number: usize) -> String {
    format!("task {number}")
}

/// The tasks by calls of the contract.
///
/// # Errors
/// The store fails.
pub async fn register(backend: &dyn Backend, holder: &Holder, schedule: Schedule) -> Result<Vec<Registered>, Failure> {
    let timetable = Arc::new(Timetable::new(schedule, Tz::UTC));
    let declare = |number: usize| -> Result<Registration, Failure> {
        let name = TaskName::new(&name(number))?;
        Ok(Registration {
            name,
            timetable: Arc::clone(&timetable),
            rules: TaskRules { alive_max: None, ..TaskRules::default() },
        })
    };
    let tasks: Vec<Registration> = (0..TASKS).map(declare).collect::<Result<_, _>>()?;
    Ok(backend.register(holder, &tasks).await?)
}

/// Who calls.
#[must_use]
pub fn holder() -> Holder {
    Holder::new("bench", Duration::from_secs(60))
}

/// By calls of the contract: batches of 256 occurrences are fired, which inserts and claims their runs, and are finished,
/// which writes their history and their tasks' marks, ledgers and last successes.
///
/// # Errors
/// The store fails.
pub async fn by_calls(asked: &Asked) -> Result<Measured, Failure> {
    let (backend, holder) = (open(&asked.place().url()).await?, holder());
    let mut tasks = register(&*backend, &holder, each_millisecond()?).await?;
    let counter = asked.count().await?;
    let (mut done, mut fired, mut finished) = (0, Duration::ZERO, Duration::ZERO);
    while done < asked.runs() {
        let firings: Vec<Firing> = tasks.iter().map(next).collect();
        let called = Instant::now();
        let admissions = backend.enqueue(&holder, &firings).await?;
        fired += called.elapsed();
        let ended = firings.iter().zip(&admissions).map(|(firing, admission)| match admission {
            Admission::Claimed(hold) => Ok(end(firing, hold.token)),
            other => Err(format!("a run was not claimed: {other:?}")),
        });
        let ended: Vec<Finish> = ended.collect::<Result<_, _>>()?;
        let called = Instant::now();
        backend.finish(&ended).await?;
        finished += called.elapsed();
        for (task, firing) in tasks.iter_mut().zip(&firings) {
            task.mark = firing.advance_to;
        }
        done += u32::try_from(BATCH)?;
    }
    Ok((Life::in_two_parts(done, fired, finished), counter))
}

fn next(task: &Registered) -> Firing {
    let at = task.mark.plus(Duration::from_millis(1));
    let run = NewRun { origin: Origin::Schedule, scheduled_at: at, due_at: at, missed: None, accept_until: None };
    Firing {
        id: RunId::from(uuid::Uuid::now_v7()),
        task: task.key,
        mark: task.mark,
        advance_to: at,
        since: task.since,
        run: Some(run),
        passed: None,
        behind: None,
    }
}

fn end(firing: &Firing, token: Token) -> Finish {
    let at = firing.advance_to;
    let end = End::Final(Outcome::Succeeded);
    Finish { task: firing.task, id: firing.id, token, end, started_at: Some(at), finished_at: at, log: None }
}

/// A whole scheduler that fires: 256 tasks that are due at each millisecond, so that it is always behind.
///
/// # Errors
/// The store fails.
pub async fn by_firing(asked: &Asked) -> Result<Measured, Failure> {
    let executed = Executed::default();
    let scheduler = executed.tasks(scheduler(&asked.place().url(), "bench").await?, each_millisecond()?);
    let counter = asked.count().await?;
    let handle = scheduler.start().await?;
    // What is counted is counted from the beginning.
    let warm_up = if counter.is_some() { 0 } else { WARM_UP };
    let began = executed.reach(warm_up).await;
    let before = executed.count();
    let whole = executed.reach(before + asked.runs()).await - began;
    let runs = executed.count() - before;
    handle.stop().await?;
    let runs = if counter.is_some() { executed.count() } else { runs };
    Ok((Life::at_once(runs, whole), counter))
}

/// A whole scheduler whose tasks are triggered by callers that do not wait for one another, while it executes the runs.
///
/// # Errors
/// The store fails.
pub async fn by_callers(asked: &Asked, callers: usize) -> Result<Measured, Failure> {
    let executed = Executed::default();
    let scheduler = executed.tasks(scheduler(&asked.place().url(), "bench").await?, never_now()?);
    let handle = scheduler.start().await?;
    let counter = asked.count().await?;
    let began = Instant::now();
    let each = asked.runs() / u32::try_from(callers)?;
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let handle = handle.clone();
            tokio::spawn(async move {
                for number in 0..each as usize {
                    handle.trigger_task(&name((caller * 16 + number) % TASKS)).await?;
                }
                Ok::<_, symphra_scheduler::Error>(())
            })
        })
        .collect();
    let count = each * u32::try_from(callers.len())?;
    for caller in callers {
        caller.await??;
    }
    executed.reach(count).await;
    // Their ends are stored with this.
    handle.stop().await?;
    Ok((Life::at_once(count, began.elapsed()), counter))
}

/// As the peers are measured: runs are enqueued one after another while no scheduler is there, and then executed.
///
/// # Errors
/// The store fails.
pub async fn one_after_another(asked: &Asked) -> Result<Measured, Failure> {
    let url = asked.place().url();
    let backend = open(&url).await?;
    let tasks = register(&*backend, &holder(), never_now()?).await?;
    let counter = asked.count().await?;
    let began = Instant::now();
    for task in tasks.iter().cycle().take(usize::try_from(asked.runs())?) {
        submit(&*backend, &[trigger(task)]).await?;
    }
    let enqueued = began.elapsed();
    drop(backend);
    let executed = Executed::default();
    let began = Instant::now();
    let handle = executed.tasks(scheduler(&url, "drains").await?, never_now()?).start().await?;
    executed.reach(asked.runs()).await;
    handle.stop().await?;
    Ok((Life::in_two_parts(asked.runs(), enqueued, began.elapsed()), counter))
}

/// Submits runs, all of which have to be accepted.
///
/// # Errors
/// The store fails, or refuses one.
pub async fn submit(backend: &dyn Backend, submissions: &[Submission]) -> Result<(), Failure> {
    let answers = backend.submit(submissions).await?;
    match answers.iter().find(|answer| !matches!(answer, Submitted::Queued { .. })) {
        Some(refused) => Err(format!("a trigger was not accepted: {refused:?}").into()),
        None => Ok(()),
    }
}

/// A trigger of the task.
#[must_use]
pub fn trigger(task: &Registered) -> Submission {
    let id = RunId::from(uuid::Uuid::now_v7());
    Submission { id, task: task.key, origin: Origin::Trigger(id), scheduled_at: None, overlap: None }
}
