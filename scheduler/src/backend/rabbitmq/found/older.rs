//! A store as a program of version 1 has left it, which knew no jobs: its words are written here as they stood.

use std::time::Duration;

use symphra_scheduler_core::Timestamp;

use super::super::message::{Head, Kind, Stamp};
use super::*;
use crate::backend::memory::replica::{Answer, Call, Question};
use crate::backend::{Begin, Enqueued, Holder, Holding, JobArguments, NewJob, TaskKey, Token};
use crate::run::RunId;

/// A task of which a run is alive, and the tasks that its node claims: some of them are jobs, which this owner could not know.
const IMAGE: [&str; 5] = [
    r#"{"Store":{"Head":{"log":{"version":0,"last":[]},"made":1,"submitted":[],"pause_of_all":null,"all_resumed_at":null}}}"#,
    r#"{"Store":{"Holders":[{"node":"a","tzdb":"2025b","lease_ms":60000,"silence_max_ms":6000,"last_beat_ns":0,"in_contact_since_ns":0,"has_left":false,"last_claim":null}]}}"#,
    r#"{"Store":{"Tasks":[{"name":"tick","generation":0,"owners":[[0,0,false]],"rules":{"alive_max":1,"overlap":"Skip","delivery":"AtLeastOnce","priority":0,"group":null,"max_runs":null,"pause_after":null,"disabled":false,"run_on_start":false,"reads":0,"retention":{"runs":100,"failures":1000,"failures_for":{"secs":2592000,"nanos":0}}},"declared":"{\"every_ms\":1000,\"zone\":\"UTC\"}","rescheduled":null,"since":-8334601228800000,"declared_at":1000000,"mark":1001000,"last_step":["0000000f462870008000000000000005","Run"],"anchor":1000000,"operator":null,"resumed_at":null,"group":null,"ledger":{"occurrences":1,"runs":1,"recorded":0},"last_start":null,"last_success":null,"last_end":null,"failed_in_a_row":0,"records":[],"behind":null}]}}"#,
    r#"{"Store":{"Runs":[{"row":{"task":0,"id":"0000000f462870008000000000000005","origin":"Schedule","scheduled_at":1001000,"due_at":1001000,"missed":null,"state":"Running","attempt":1,"started_at":null,"finished_at":null,"failure":null},"token":1,"holder":0,"claim":null,"abandoned":0,"put_off_by":null,"deaths":0,"beside":false,"number":1,"cancelling":null,"log":null}]}}"#,
    r#"{"Set":{"set":77,"total":1,"told":0,"tasks":[0]}}"#,
];

const RECORD: &str = r#"{"reached":1,"admits":1,"calls":[[{"now":1001002,"passed_ns":1002000000},{"Heartbeat":{"holder":{"node":"a","lease_ms":60000,"tzdb":"2025b"}}}],[{"now":1001003,"passed_ns":1003000000},{"Name":{"set":78,"total":1,"told":0,"tasks":[0]}}],[{"now":1001004,"passed_ns":1004000000},{"Claim":{"holder":{"node":"a","lease_ms":60000,"tzdb":"2025b"},"number":1,"set":77,"max":4}}]]}"#;

fn found() -> Found {
    let mut found = Found::default();
    let head = |kind, number| Head { kind, stamp: Stamp { term: 1, number }, from: "a".into() };
    for (part, image) in (0..).zip(IMAGE) {
        let body = format!(
            r#"{{"reached":1,"admits":1,"store":5,"at":{{"now":1001001,"passed_ns":1001000000}},"part":{image}}}"#
        );
        let kind = Kind::Image { part, parts: u32::try_from(IMAGE.len()).expect("there are few") };
        found.add(&head(kind, 1), u64::from(part) + 1, body.into_bytes());
    }
    found.add(&head(Kind::Record, 2), 99, RECORD.into());
    found
}

#[test]
fn what_an_older_program_has_left_is_gone_on_with() {
    let rebuilt = found().rebuild(77).expect("it is readable");
    let (mut replica, at) = (rebuilt.replica, At { now: Timestamp::from_millis(1_002_000), passed_ns: 1_005_000_000 });
    assert_eq!((rebuilt.store, rebuilt.at.map(|at| at.passed_ns)), (5, Some(1_004_000_000)));
    let task = TaskKey(0);
    let run = Holding { task, id: "0000000f462870008000000000000005".parse().expect("an id"), token: Token(1) };
    let Answer::Lost(lost) = replica.ask(&Question::Lost { held: vec![run] }, at) else { panic!("it is told") };
    assert_eq!(lost, [], "its run is held");

    let id = RunId::from_parts(at.now, 7);
    let arguments = JobArguments { version: 1, json: "7".into() };
    let job = NewJob { id, task, arguments, begin: Begin::Now, priority: None, unique: None };
    let Answer::Enqueued(enqueued) = replica.call(&Call::EnqueueJobs { jobs: vec![job] }, at) else {
        panic!("it is told")
    };
    assert_eq!(enqueued, [Enqueued::Queued]);
    // What it has kept of these may be less than it was told.
    let holder = Holder::new("a", Duration::from_secs(60));
    for (number, set) in [(2, 77), (3, 78)] {
        let claim = Call::Claim { holder: holder.clone(), number, set, max: 4 };
        assert!(matches!(replica.call(&claim, at), Answer::UnknownSet), "{set}");
    }
    let name = Call::Name { set: 77, total: 1, told: 0, tasks: vec![task], jobs: vec![(task, 1)] };
    replica.call(&name, at);
    // Its only run is alive, so that the job waits.
    let claim = |number| Call::Claim { holder: holder.clone(), number, set: 77, max: 4 };
    assert!(matches!(replica.call(&claim(4), at), Answer::Claims(claims) if claims.runs.is_empty()));
    replica.call(&Call::Cancel { run: run.id }, at);
    let finish = crate::backend::Finish {
        task,
        id: run.id,
        token: run.token,
        end: crate::backend::End::HandBack,
        started_at: None,
        finished_at: at.now,
        log: None,
    };
    replica.call(&Call::Finish { ended: vec![finish] }, at);
    let Answer::Claims(claims) = replica.call(&claim(5), at) else { panic!("it is claimed") };
    assert_eq!(claims.runs.iter().map(|run| run.id).collect::<Vec<_>>(), [id]);
}
