//! Redis on several servers: a slot of a Cluster that moves while steps are made, a primary that becomes a replica, and a
//! failover to a replica that is behind.

use std::time::Duration;

use symphra_scheduler::backend::{
    Admission, Backend, BackendError, End, Finish, Firing, Ledger, RunQuery, Stored, Token,
};
use symphra_scheduler::{Outcome, RedisBackend};
use symphra_scheduler_tests::services::{Redis, has_redis};

use super::redis_losses::WORDS;
use super::redis_only::{firing, node, open, registered};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}

/// The plain values of a list that the server has answered with.
fn values(answer: &str) -> Vec<String> {
    answer.lines().filter(|line| !line.starts_with(['*', '$'])).map(str::to_owned).collect()
}

/// Servers of one Cluster, of which the first serves each slot.
async fn cluster() -> [Redis; 2] {
    let servers = [(); 2].map(|()| Redis::start_in_cluster());
    servers[0].ask("CLUSTER ADDSLOTSRANGE 0 16383");
    let (port, bus) = servers[1].cluster_ports();
    assert!(servers[0].ask(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).starts_with("+OK"));
    until("both know each other", || {
        servers.iter().all(|server| {
            let info = server.ask("CLUSTER INFO");
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:2")
        })
    })
    .await;
    servers
}

#[tokio::test]
async fn a_slot_that_moves_takes_each_step_whole_or_not_at_all() {
    if !has_redis() {
        return;
    }
    let servers = cluster().await;
    let [from, to] = &servers;
    let url = from.url().replace("redis:", "redis+cluster:");
    let store = RedisBackend::options().namespace("billing").connect(&url).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    let slot = from.ask("CLUSTER KEYSLOT {symphra:billing}").trim_start_matches(':').trim().to_owned();
    let ids = [from, to].map(|server| values(&server.ask("CLUSTER MYID")).remove(0));
    to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[0]));
    from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[1]));
    let (mut firing, mut tokens, mut refused) = (firing(&task), Vec::new(), 0);
    loop {
        // A step now and then: of most of them some keys are here, and some there.
        match store.enqueue(&node(), &[firing.clone()]).await.as_deref() {
            Ok([Admission::Claimed(hold)]) => {
                tokens.push((firing.clone(), hold.token));
                firing = next(&firing);
            }
            Ok([Admission::Recorded(_)]) => panic!("it overlaps with nothing"),
            Ok(other) => panic!("a firing is made, or it fails: {other:?}"),
            Err(failed) => {
                assert!(!told(failed).contains(WORDS), "{failed:?}");
                refused += 1;
            }
        }
        let keys = values(&from.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 3")));
        if keys.is_empty() {
            break;
        }
        let moved =
            from.ask(&format!("MIGRATE 127.0.0.1 {} \"\" 0 5000 KEYS {}", to.cluster_ports().0, keys.join(" ")));
        assert!(moved.starts_with("+OK"), "{moved}");
        end_all(&store, &mut tokens).await;
    }
    assert!(refused > 0, "no step came between: nothing was tested");
    for server in [to, from] {
        assert!(server.ask(&format!("CLUSTER SETSLOT {slot} NODE {}", ids[1])).starts_with("+OK"));
    }
    let mut again = store.enqueue(&node(), &[firing.clone()]).await;
    let began = std::time::Instant::now();
    while again.is_err() && began.elapsed() < PATIENCE {
        again = store.enqueue(&node(), &[firing.clone()]).await;
    }
    match again.as_deref() {
        Ok([Admission::Claimed(hold)]) => tokens.push((firing, hold.token)),
        other => panic!("it goes on where the slot is now: {other:?}"),
    }
    while !tokens.is_empty() {
        end_all(&store, &mut tokens).await;
    }
    let Ledger { occurrences, runs, recorded, .. } = store.ledger(task.key).await.expect("it is kept");
    let rows = store.runs(&RunQuery::of(task.key)).await.expect("they are kept");
    assert_eq!((occurrences, recorded), (runs, 0), "nothing is left out");
    assert_eq!(rows.len() as u64, runs, "and nothing is there twice");
}

fn told(failed: &BackendError) -> String {
    format!("{failed:?}")
}

fn next(firing: &Firing) -> Firing {
    let second = Duration::from_secs(1);
    let mut run = firing.run.clone().expect("it fires");
    (run.scheduled_at, run.due_at) = (run.scheduled_at.plus(second), run.due_at.plus(second));
    let id = symphra_scheduler::RunId::from_parts(run.scheduled_at, 1);
    Firing { id, mark: firing.advance_to, advance_to: firing.advance_to.plus(second), run: Some(run), ..firing.clone() }
}

/// Ends runs, those of which the store takes it now.
async fn end_all(store: &RedisBackend, tokens: &mut Vec<(Firing, Token)>) {
    let end = |(firing, token): &(Firing, Token)| Finish {
        task: firing.task,
        id: firing.id,
        token: *token,
        end: End::Final(Outcome::Succeeded),
        started_at: None,
        finished_at: firing.advance_to,
        log: None,
    };
    let ends: Vec<Finish> = tokens.iter().map(end).collect();
    match store.finish(&ends).await {
        Ok(stored) => {
            assert!(stored.iter().all(|stored| matches!(stored, Stored::Done { .. })), "{stored:?}");
            tokens.clear();
        }
        Err(failed) => assert!(!told(&failed).contains(WORDS), "{failed:?}"),
    }
}

/// Two servers, of which the second has all that the first has.
async fn replicated() -> [Redis; 2] {
    let primary = Redis::start();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    until("it replicates", || replica.ask("INFO replication").contains("master_link_status:up")).await;
    [primary, replica]
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_has_lost_nothing() {
    if !has_redis() {
        return;
    }
    let [first, second] = replicated().await;
    let store = open(&first).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    until("it is replicated", || second.ask("EXISTS {symphra:billing}:tasks") == ":1\r\n").await;
    second.ask("REPLICAOF NO ONE");
    first.ask(&format!("REPLICAOF 127.0.0.1 {}", second.port()));
    until("it is a replica", || first.ask("INFO replication").contains("master_link_status:up")).await;
    let failed = store.heartbeat(&node()).await.expect_err("a replica renews no lease");
    assert!(told(&failed).contains("read only replica") && !told(&failed).contains(WORDS), "{failed:?}");
    let failed = store.enqueue(&node(), &[firing(&task)]).await.expect_err("nor does it fire");
    assert!(!told(&failed).contains(WORDS), "{failed:?}");
    for failed in [store.runs(&RunQuery::default()).await.err(), store.look(&[task.key]).await.err()].iter().flatten() {
        assert!(!told(failed).contains(WORDS), "{failed:?}");
    }
    first.ask("REPLICAOF NO ONE");
    let fired = store.enqueue(&node(), &[firing(&task)]).await.expect("it is the primary again").remove(0);
    assert!(matches!(fired, Admission::Claimed(_)), "{fired:?}");
}

#[tokio::test]
async fn a_failover_to_a_replica_that_is_behind_is_a_loss_and_is_told() {
    if !has_redis() {
        return;
    }
    let [mut primary, replica] = replicated().await;
    let sentinel = Redis::sentinel_of(&primary);
    sentinel.ask("SENTINEL SET main down-after-milliseconds 500");
    sentinel.ask("SENTINEL SET main failover-timeout 2000");
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port());
    let store = RedisBackend::options().namespace("billing").connect(&url).await.expect("it opens");
    let task = registered(&store, 1).await.remove(0);
    until("the replica has it, and Sentinel knows of the replica", || {
        replica.ask("EXISTS {symphra:billing}:tasks") == ":1\r\n" && sentinel.ask("INFO sentinel").contains("slaves=1")
    })
    .await;
    // What comes now the replica never gets: it stands still, and its connection is cut before it goes on.
    replica.freeze();
    primary.ask("CLIENT KILL TYPE replica");
    let fired = store.enqueue(&node(), &[firing(&task)]).await.expect("it fires").remove(0);
    assert!(matches!(fired, Admission::Claimed(_)), "{fired:?}");
    primary.stop();
    replica.thaw();
    let loss = async {
        loop {
            match store.heartbeat(&node()).await {
                Err(failed) if told(&failed).contains(WORDS) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(_) => panic!("a store that has lost a run answers as if nothing had been"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, loss).await.expect("the replica takes over");
    let failed = store.enqueue(&node(), &[firing(&task)]).await.expect_err("nothing fires on what has gone back");
    assert!(told(&failed).contains(WORDS), "{failed:?}");
    let anew = RedisBackend::options().namespace("billing").connect(&url).await.expect("a program that starts anew");
    let task = registered(&anew, 1).await.remove(0);
    let fired = anew.enqueue(&node(), &[firing(&task)]).await.expect("it fires").remove(0);
    assert!(matches!(fired, Admission::Claimed(_)), "what was undone fires again, as the book says: {fired:?}");
}
