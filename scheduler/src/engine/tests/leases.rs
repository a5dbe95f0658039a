//! The lease of a node that lives, in real time, since its heartbeat has a thread of its own: nothing that the program
//! does ends it, and what does is told.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use tokio::sync::mpsc;

use super::rig::{every, millis, seconds};
use crate::backend::{Backend, Claim, Holder};
use crate::clock::{Clock, StoreClock};
use crate::engine::{Heartbeat, Link};
use crate::events::Teller;
use crate::launch::launch;
use crate::logging::Logger;
use crate::node::{Contact, Lease};
use crate::task::Alike;
use crate::test_util::{Chaos, Fault};
use crate::{MemoryBackend, RunContext, Scheduler, SchedulerConfig, SchedulerHandle, Task};

/// Shorter than a program may ask for, and long beside the hesitations of a loaded machine.
const LEASE: Duration = Duration::from_millis(1_200);

/// How long an event may take before its absence is said.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(store: &Chaos, task: Task) -> SchedulerHandle {
    start_all(store, [task]).await
}

async fn start_all(store: &Chaos, tasks: impl IntoIterator<Item = Task>) -> SchedulerHandle {
    let scheduler = Scheduler::empty().clock(Clock::System).backend(store.clone());
    let scheduler = tasks.into_iter().fold(scheduler, Scheduler::register);
    let mut checked = scheduler.checked().expect("it is possible");
    checked.config = checked.config.lease(LEASE);
    launch(checked).await.expect("the scheduler starts")
}

fn store() -> (MemoryBackend, Chaos) {
    let memory = MemoryBackend::new().outliving_its_program();
    (memory.clone(), Chaos::new(memory))
}

/// A task whose body works for three leases, and then says how many of its runs another node would get.
fn long(says: mpsc::Sender<usize>, memory: MemoryBackend, works: fn() -> Work) -> Task {
    Task::new("long", every(100), move || {
        let (says, memory) = (says.clone(), memory.clone());
        async move {
            works().await;
            let another = Holder::new("another", LEASE);
            let key = memory.key_of("long").expect("it is registered");
            let claim = Claim { number: 1, tasks: [key].into(), jobs: [].into(), max: 10 };
            let gets = memory.claim(&another, &claim).await.expect("memory answers").runs.len();
            says.send(gets).await.expect("the test listens");
        }
    })
    .max_runs(1)
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn told<T>(from: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(PATIENCE, from.recv()).await.expect("the run comes to its end").expect("the task is there")
}

/// The lease of others was not renewed during a long run.
#[tokio::test]
async fn ap_scheduler_864_and_hangfire_90_a_run_longer_than_its_lease_keeps_it() {
    let (memory, chaos) = store();
    let (says, mut said) = mpsc::channel(8);
    let scheduler = start(&chaos, long(says, memory, || Box::pin(tokio::time::sleep(3 * LEASE)))).await;
    assert_eq!(told(&mut said).await, 0, "what is executed is nobody else's");
    scheduler.stop().await.expect("it stops");
}

/// The same where the body blocks the only thread of its runtime, so that nothing else of the program goes on.
#[tokio::test]
async fn ap_scheduler_864_and_hangfire_90_a_run_that_blocks_the_runtime_keeps_its_lease() {
    let (memory, chaos) = store();
    let (says, mut said) = mpsc::channel(8);
    let blocks = || -> Work { Box::pin(async { std::thread::sleep(3 * LEASE) }) };
    let scheduler = start(&chaos, long(says, memory, blocks)).await;
    assert_eq!(told(&mut said).await, 0, "what is executed is nobody else's");
    scheduler.stop().await.expect("it stops");
}

/// A node of others was declared dead because its retry of a call outlasted its heartbeat.
#[tokio::test]
async fn quartz_net_3777_a_node_whose_calls_fail_for_longer_than_its_lease_is_not_taken_for_dead() {
    let (memory, chaos) = store();
    let (says, mut said) = mpsc::channel(8);
    let works = || -> Work { Box::pin(tokio::time::sleep(3 * LEASE)) };
    let beside = Task::new("beside", every(100), async || {});
    let scheduler = start_all(&chaos, [long(says, memory.clone(), works), beside]).await;
    let key = memory.key_of("long").expect("it is registered");
    while memory.ledger(key).await.expect("memory answers").runs == 0 {
        tokio::time::sleep(millis(5)).await;
    }
    chaos.always(Some(Fault::Before));
    assert_eq!(told(&mut said).await, 0, "its heartbeat goes on");
    assert!(chaos.failed() > 3, "and the node calls in vain");
    chaos.heal();
    scheduler.stop().await.expect("it stops");
    let runs = memory.runs(&crate::backend::RunQuery::of(key)).await.expect("memory answers");
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
    let holder = Arc::new(Holder::new("a", seconds(8)));
    chaos
        .register(
            &holder,
            &[task.registration(
                name,
                &SchedulerConfig::new().timezone(Tz::UTC),
                &Arc::default(),
                &mut Alike::default(),
            )],
        )
        .await
        .expect("it is known");
    let lease = Arc::<Lease>::default();
    chaos.cut_off();
    let began = std::time::Instant::now();
    let backend: Arc<dyn Backend> = Arc::new(chaos.clone());
    let wake = Arc::default();
    let link =
        Link::new(Arc::clone(&lease), StoreClock::new(Clock::System), Teller::default(), Logger::default(), wake);
    let _heartbeat =
        Heartbeat::start(backend, holder, StoreClock::new(Clock::System), Arc::new(link)).expect("there is a thread");
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
    // A sixth of the lease, and all of it but five seconds.
    assert!(failing.is_some_and(|after| after >= millis(1_300)), "{failing:?}");
    assert!(began.elapsed() >= seconds(3), "{:?}", began.elapsed());
    lease.lost().await;
}
