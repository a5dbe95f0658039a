//! The lease of a node that lives, in real time, since its heartbeat has a thread of its own: nothing that the program
//! does ends it, and what does is told.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use tokio::sync::mpsc;

use super::rig::{every, millis, seconds};
use crate::backend::{Backend, Claim, Holder, TaskKey};
use crate::clock::Clock;
use crate::engine::Heartbeat;
use crate::launch::launch;
use crate::node::{Contact, Lease};
use crate::test_util::{Chaos, Fault};
use crate::{MemoryBackend, RetryPolicy, RunContext, Scheduler, SchedulerConfig, SchedulerHandle, Task};

/// Shorter than a program may ask for, and long beside the hesitations of a loaded machine.
const LEASE: Duration = Duration::from_millis(1_200);

/// How long an event may take before its absence is said.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(store: &Chaos, task: Task) -> SchedulerHandle {
    let scheduler = Scheduler::empty().clock(Clock::System).backend(store.clone()).register(task);
    let mut checked = scheduler.config(SchedulerConfig::new()).checked().expect("it is possible");
    checked.config.lease = LEASE;
    launch(checked).await.expect("the scheduler starts")
}

/// How many runs of `task` another node gets at this moment.
async fn gets_another(store: &MemoryBackend, task: TaskKey, number: u64) -> usize {
    let another = Holder { node: Arc::from("another"), lease: LEASE };
    let claim = Claim { number, tasks: [task].into(), max: 10 };
    store.claim(&another, &claim).await.expect("memory answers").runs.len()
}

fn store() -> (MemoryBackend, Chaos) {
    let memory = MemoryBackend::new().outliving_its_program();
    (memory.clone(), Chaos::new(memory))
}

/// A task whose body works for three leases, and then says so.
fn long(says: mpsc::Sender<u32>, works: impl Fn() -> Body + Clone + Send + Sync + 'static) -> Task {
    Task::new("long", every(100), move |run: RunContext| {
        let (says, works) = (says.clone(), works.clone());
        async move {
            works().await;
            // The test may have ended.
            let _ = says.send(run.attempt()).await;
        }
    })
    .max_runs(1)
    .retry(RetryPolicy::none())
}

type Body = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn told<T>(from: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(PATIENCE, from.recv()).await.expect("the run comes to its end").expect("the task is there")
}

/// The lease of others was not renewed during a long run.
#[tokio::test]
async fn ap_scheduler_864_and_hangfire_90_a_run_longer_than_its_lease_keeps_it() {
    let (memory, chaos) = store();
    let (says, mut ended) = mpsc::channel(8);
    let _scheduler = start(&chaos, long(says, || Box::pin(tokio::time::sleep(3 * LEASE)))).await.stop_on_drop();
    assert_eq!(told(&mut ended).await, 1);
    let key = memory.key_of("long").expect("it is registered");
    assert_eq!(gets_another(&memory, key, 1).await, 0, "what is executed is nobody else's");
}

/// The same where the body blocks the only thread of its runtime, so that nothing else of the program goes on.
#[tokio::test]
async fn ap_scheduler_864_and_hangfire_90_a_run_that_blocks_the_runtime_keeps_its_lease() {
    let (memory, chaos) = store();
    let (says, mut ended) = mpsc::channel(8);
    let blocks = || -> Body { Box::pin(async { std::thread::sleep(3 * LEASE) }) };
    let _scheduler = start(&chaos, long(says, blocks)).await.stop_on_drop();
    assert_eq!(told(&mut ended).await, 1);
    let key = memory.key_of("long").expect("it is registered");
    assert_eq!(gets_another(&memory, key, 1).await, 0, "what is executed is nobody else's");
}

/// A node of others was declared dead because its retry of a call outlasted its heartbeat.
#[tokio::test]
async fn quartz_net_3777_a_node_whose_calls_fail_for_longer_than_its_lease_is_not_taken_for_dead() {
    let (memory, chaos) = store();
    let (says, mut ended) = mpsc::channel(8);
    let (asked, failing) = (memory.clone(), chaos.clone());
    let works = move || -> Body {
        let (memory, chaos) = (asked.clone(), failing.clone());
        Box::pin(async move {
            chaos.always(Some(Fault::Before));
            tokio::time::sleep(3 * LEASE).await;
            let key = memory.key_of("long").expect("it is registered");
            assert_eq!(gets_another(&memory, key, 1).await, 0, "its heartbeat goes on");
            chaos.heal();
        })
    };
    let scheduler = start(&chaos, long(says, works)).await;
    assert_eq!(told(&mut ended).await, 1);
    assert!(chaos.failed() > 3, "the node has called in vain");
    scheduler.stop().await.expect("it stops");
    let runs = memory.runs(&crate::backend::RunQuery::default()).await.expect("memory answers");
    assert!(runs.iter().all(|run| run.failure.is_none() && run.attempt == 1), "{runs:?}");
}

/// Says that the hold on the run may be lost, once.
fn warned(says: mpsc::Sender<bool>) -> Task {
    Task::new("warned", every(100), move |run: RunContext| {
        let says = says.clone();
        async move {
            says.send(run.is_lease_lost()).await.expect("the test listens");
            run.lease_lost().await;
            says.send(run.is_lease_lost()).await.expect("the test listens");
        }
    })
}

#[tokio::test]
async fn a_node_that_is_cut_off_tells_its_runs_and_health_and_is_well_again_when_the_store_is_back() {
    let (_, chaos) = store();
    let (says, mut said) = mpsc::channel(8);
    let scheduler = start(&chaos, warned(says)).await;
    assert!(!told(&mut said).await, "nothing is lost yet");
    assert!(scheduler.health().ready);
    chaos.cut_off();
    assert!(told(&mut said).await, "its hold may be lost");
    assert!(!scheduler.health().ready && !scheduler.health().is_well());
    chaos.heal();
    let back = async {
        while !scheduler.health().ready {
            tokio::time::sleep(millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("the store answers again");
    // Runs that began before the next heartbeat were warned too.
    while told(&mut said).await {}
    scheduler.stop_now().await.expect("it stops");
}

/// Five seconds before its lease ends, and not before.
#[tokio::test]
async fn a_node_is_not_ready_before_its_lease_is_lost() {
    let (_, chaos) = store();
    let task = Task::new("task", every(1_000), async || {});
    let name = crate::TaskName::new("task").expect("a valid name");
    let holder = Arc::new(Holder { node: Arc::from("a"), lease: seconds(8) });
    chaos
        .register(&holder, &[task.registration(name, &SchedulerConfig::new().timezone(Tz::UTC))])
        .await
        .expect("it is known");
    let lease = Arc::<Lease>::default();
    chaos.cut_off();
    let began = std::time::Instant::now();
    let backend: Arc<dyn Backend> = Arc::new(chaos.clone());
    let _heartbeat = Heartbeat::start(backend, holder, Arc::clone(&lease), Clock::System).expect("there is a thread");
    let mut failing = None;
    let lost = async {
        while lease.contact() != Contact::Lost {
            if lease.contact() == Contact::Failing {
                failing.get_or_insert_with(|| began.elapsed());
            }
            tokio::time::sleep(millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, lost).await.expect("its hold is lost");
    // A quarter of the lease, and all of it but five seconds.
    assert!(failing.is_some_and(|after| after >= seconds(2)), "{failing:?}");
    assert!(began.elapsed() >= seconds(3), "{:?}", began.elapsed());
    lease.lost().await;
}
