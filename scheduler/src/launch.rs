//! From checked parts to a running engine: the one place where everything is wired together.

mod open;

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use symphra_scheduler_core::format_duration;
use tokio::sync::{Notify, mpsc, watch};

use crate::backend::{Backend, BackendError, Capabilities, Holder, NodeRow, Presence};
use crate::clock::{Clock, Offset, StoreClock};
use crate::config::SchedulerConfig;
use crate::engine::{Asked, Counts, Engine, Heartbeat, Link, Present, REQUESTS_MAX, State};
use crate::error::Error;
use crate::events::Teller;
use crate::executor::{Executor, Provided, Surroundings};
use crate::handle::{Directory, SchedulerHandle, Shared};
use crate::logging::{Entry, Logger};
use crate::node;
use crate::process::Process;
use crate::run::RunIds;
use crate::task::{Alike, LiveTask, Source, Task, TaskName};
pub(crate) use open::open;

/// The longest interval that a backend which forgets may count from its start without a word about it.
const LONG_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// What a scheduler is made of, after all of it was found to be possible.
pub(crate) struct Checked {
    pub(crate) tasks: Vec<Task>,
    /// The names of `tasks`, in their order.
    pub(crate) names: Vec<TaskName>,
    /// The place of each name.
    pub(crate) numbers: HashMap<TaskName, u32>,
    pub(crate) config: SchedulerConfig,
    /// What the program has set; else the settings say what is opened.
    pub(crate) backend: Option<Arc<dyn Backend>>,
    pub(crate) provided: Provided,
    pub(crate) teller: Teller,
    pub(crate) logger: Logger,
    pub(crate) clock: Clock,
}

impl Checked {
    /// What its backend can do, which is not opened for that.
    #[cfg(feature = "cli")]
    pub(crate) fn capabilities(&self) -> Capabilities {
        use crate::config::backend::Kind;

        match &self.backend {
            Some(backend) => backend.capabilities(),
            None => match self.config.backend.kind() {
                Kind::Memory => Capabilities::volatile().with_jobs(),
                Kind::Sqlite | Kind::Postgres | Kind::Redis | Kind::RabbitMq => Capabilities::durable().with_jobs(),
                // What it lacks is told when it has been opened.
                Kind::Registered(_) => Capabilities::durable().with_jobs(),
            },
        }
    }
}

/// Opens the backend, registers the tasks and starts the engine in the present runtime.
pub(crate) async fn launch(checked: Checked) -> Result<SchedulerHandle, Error> {
    let process = Process::current().map_err(|_| Error::no_runtime())?;
    // tokio tells by a panic, and only by it, that a runtime has no timer.
    catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).map_err(|_| Error::no_timer())?;
    let Checked { tasks, names, numbers, config, backend, provided, teller, logger, clock } = checked;
    let backend = match backend {
        // What it lacks was told with all else that is wrong.
        Some(backend) => backend,
        None => {
            let backend = open(&config.backend, &clock).await?;
            let can = backend.capabilities();
            let unsupported: Vec<_> = tasks.iter().flat_map(|task| task.unsupported(backend.name(), can)).collect();
            if !unsupported.is_empty() {
                return Err(Error::start(unsupported));
            }
            backend
        }
    };
    let node = config.node_name().unwrap_or_else(node::default_name);
    let holder = Arc::new(Holder::new(node::this_start(&node, &mut fastrand::Rng::new()), config.lease_length()));

    let clock = StoreClock::new(clock);
    let present = Present::new(&clock);
    let offset = measured(&clock, &*backend, &holder).await?;
    let version = backend.changes(None).await?.version;
    let retention = config.retention();
    let declared = names.iter().cloned().zip(&tasks);
    let mut alike = Alike::default();
    let registrations: Vec<_> =
        declared.map(|(name, task)| task.registration(name, &config, &retention, &mut alike)).collect();
    let registered = backend.register(&holder, &registrations).await?;
    drop(registrations);
    if registered.len() != tasks.len() {
        let says = format!("it answered for {} of {}", registered.len(), tasks.len());
        return Err(BackendError::new("register the tasks", says).into());
    }

    let held_max = config.workers().saturating_add(config.queue());
    let capabilities = backend.capabilities();
    let mut state = State::new(RunIds::new(fastrand::Rng::new()), config.grace(), held_max, capabilities);
    state.reserve(tasks.len());
    let mut live: Vec<Option<Arc<LiveTask>>> = Vec::with_capacity(tasks.len());
    let mut notes: Vec<String> = Vec::new();
    let now = clock.now();
    for ((task, name), registered) in tasks.into_iter().zip(names).zip(&registered) {
        let task = Arc::new(LiveTask::new(&task, name, registered, now, &mut alike));
        state.add(Arc::clone(&task), registered);
        notes.extend(forgotten_anchor(
            task.name.as_str(),
            task.source(),
            task.period_from_registration(),
            capabilities,
        ));
        live.push(Some(task));
    }

    let wake = Arc::new(Notify::new());
    let lease = Arc::default();
    let link = Link::new(Arc::clone(&lease), clock.clone(), teller.clone(), logger.clone(), Arc::clone(&wake));
    let link = Arc::new(link);
    let surroundings = Arc::new(Surroundings {
        node: Arc::clone(&node),
        provided,
        lease,
        teller: teller.clone(),
        logger: logger.clone(),
        #[cfg(feature = "metrics")]
        meters: crate::meters::Meters::new(config.labels()),
    });
    let executor =
        Executor::new(process.clone(), clock.clone(), Arc::clone(&surroundings), config.workers(), Arc::clone(&wake));
    let counts = Arc::new(Counts::default());
    counts.repeats_as_marks_stand(state.marked_ahead(now));
    let heartbeat = Heartbeat::start(Arc::clone(&backend), Arc::clone(&holder), clock.clone(), Arc::clone(&link))
        .map_err(Error::no_thread)?;
    let (asked, asked_of_engine) = watch::channel(Asked::Run);
    let (finish, done) = watch::channel(None);
    let (requests, requested) = mpsc::channel(REQUESTS_MAX);

    notes.iter().for_each(|note| logger.write(Entry::SchedulerNoted { node: &node, note }));
    logger.write(Entry::SchedulerStarted { node: &node, tasks: live.len() as u64, backend: backend.name() });
    warn_of_other_zones(&*backend, &holder, &logger).await;
    let mut keys: Vec<_> = registered.iter().map(|registered| registered.key).collect();
    keys.sort_unstable();
    let mut jobs: Vec<_> = live.iter().flatten().filter_map(|task| task.reads()).collect();
    jobs.sort_unstable();
    let engine = Engine {
        state,
        keys: keys.into(),
        jobs: jobs.into(),
        requests: requested,
        version,
        teller: teller.clone(),
        logger: logger.clone(),
        node: Arc::clone(&node),
        backend: Arc::clone(&backend),
        holder: Arc::clone(&holder),
        clock: clock.clone(),
        offset,
        present,
        link: Arc::clone(&link),
        executor: executor.clone(),
        wake,
        asked: asked_of_engine,
        shutdown_timeout: config.patience(),
        counts: Arc::clone(&counts),
    };
    let starting: Vec<_> = registered.iter().filter(|registered| registered.run_on_start).map(|it| it.key).collect();
    let handle = SchedulerHandle::new(Shared {
        directory: RwLock::new(Directory::new(live, numbers)),
        notes,
        executor,
        counts,
        asked,
        requests,
        teller: teller.clone(),
        done,
        surroundings,
        link,
        backend,
        holder,
        config,
        ids: Mutex::new(RunIds::new(fastrand::Rng::new())),
        started: clock.monotonic(),
        clock,
    });
    // The engine's own handle keeps the way to ask it to stop open, whatever the program drops.
    let kept = handle.clone();
    let engine = process.spawn(engine.run());
    process.spawn(async move {
        let ended = engine.await;
        drop((heartbeat, kept));
        teller.end();
        match ended {
            Ok(report) => {
                let (cancelled, unstored) = (report.cancelled.len() as u64, report.unstored as u64);
                logger.write(Entry::SchedulerStopped { node: &node, cancelled, unstored });
                finish.send_replace(Some(Arc::new(report)));
            }
            Err(error) => logger.write(Entry::SchedulerFailed { node: &node, error: &error }),
        }
    });
    for key in starting {
        handle.run_on_start(key).await;
    }
    Ok(handle)
}

/// How often the offset to the store's clock is measured at start, unless a measurement is good: the first question may
/// have to open a connection.
const START_BEATS_MAX: usize = 3;

/// Makes the holder known, and measures the offset to the store's clock.
async fn measured(clock: &StoreClock, backend: &dyn Backend, holder: &Holder) -> Result<Offset, Error> {
    let mut offset = Offset::new(clock.clone());
    for _ in 0..START_BEATS_MAX {
        let question = clock.ask();
        let stores = backend.heartbeat(holder).await?;
        let measured = question.answered(clock, stores);
        // Nothing has been decided by what was believed before.
        let _ = offset.adopt(&measured);
        if measured.is_good() {
            break;
        }
    }
    Ok(offset)
}

/// Tells of nodes by whose tz database an instant may be another. That it cannot be found out keeps nobody from starting.
async fn warn_of_other_zones(backend: &dyn Backend, holder: &Holder, logger: &Logger) {
    let Ok(nodes) = backend.nodes().await else { return };
    let others = nodes.iter().filter(|node| node.presence == Presence::Alive && *node.tzdb != *holder.tzdb);
    for NodeRow { node: other, tzdb: others, .. } in others {
        logger.write(Entry::ZonesDiffer { tzdb: holder.tzdb, other, others });
    }
}

/// A grid that begins anew at each start may never reach its first instant, if starts are more frequent than it.
pub(crate) fn forgotten_anchor(
    task: &str,
    source: Source,
    period_from_registration: Option<Duration>,
    backend: Capabilities,
) -> Option<String> {
    let period = period_from_registration.filter(|&period| !backend.durable && period > LONG_INTERVAL)?;
    Some(format!(
        "task \"{task}\" ({source}): its interval of {} counts from this start, because the backend keeps nothing beyond \
         the process; give it a `start`",
        format_duration(period),
    ))
}
