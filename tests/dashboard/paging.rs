//! Lists of runs that are longer than a page, over HTTP: more runs of one instant than a page holds are all reached.

use std::collections::BTreeSet;

use symphra_scheduler::chrono::{DateTime, Utc};
use symphra_scheduler::{MemoryBackend, Scheduler, Task};

use super::rig::Served;

/// How many runs there are, of one instant and of one task.
const RUNS: usize = 260;

/// A dashboard below a path, with jobs that wait for an instant which none of us sees.
async fn with_many_runs() -> (Served, BTreeSet<String>) {
    let scheduler = Scheduler::empty().register(Task::job("mail", |_: u32| async {}));
    let scheduler = scheduler.register(Task::job("other", |_: u32| async {})).start().await.expect("it starts");
    let instant: DateTime<Utc> = "2200-01-01T00:00:00Z".parse().expect("an instant");
    let mut ids = BTreeSet::new();
    for number in 0..RUNS {
        let id = scheduler.enqueue("mail", number as u32).at(instant).await.expect("it is enqueued");
        ids.insert(id.to_string());
        if number % 50 == 0 {
            scheduler.enqueue("other", 7_u32).at(instant).await.expect("it is enqueued");
        }
    }
    (Served::of(scheduler, |dashboard| dashboard, |router| axum::Router::new().nest("/ops", router)).await, ids)
}

#[tokio::test]
async fn the_pages_of_the_api_are_turned_by_what_each_answer_says() {
    let (served, ids) = with_many_runs().await;
    let mut path = "runs?task=mail&state=queued,running&count=50".to_owned();
    let (mut met, mut pages) = (Vec::new(), 0);
    loop {
        let said = served.get(&format!("/ops/api/{path}")).await;
        let link = said.header("link").map(str::to_owned);
        let runs = said.json();
        let runs = runs.as_array().expect("a list");
        met.extend(runs.iter().map(|run| run["id"].as_str().expect("an id").to_owned()));
        assert!(runs.iter().rev().skip(1).all(|run| run.get("next_page").is_none()), "the last of a page says it");
        pages += 1;
        let next = runs.last().and_then(|run| run.get("next_page")).map(|next| next.as_str().expect("a text"));
        let Some(link) = link else {
            assert_eq!(next, None, "the last page leads nowhere");
            break;
        };
        path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link").to_owned();
        assert_eq!(
            path,
            format!("runs?task=mail&state=queued%2Crunning&count=50&after={}", next.expect("it is said twice")),
            "relative to where it was asked"
        );
    }
    assert_eq!((met.len(), pages), (RUNS, 6), "each once");
    assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), ids);

    let refused = served.get("/ops/api/runs?after=page-2").await;
    let says = refused.json()["error"]["message"].to_string();
    assert!(
        says.contains("after: ") && says.contains("page-2") && says.contains("is no place in the list of runs"),
        "{says}"
    );
    assert_eq!(refused.refused(400), "bad_request");
}

#[tokio::test]
async fn older_runs_lead_to_all_of_them_and_newest_back() {
    let (served, ids) = with_many_runs().await;
    let mut path = "/ops/runs?task=mail&state=queued".to_owned();
    let (mut met, mut pages) = (Vec::new(), 0);
    loop {
        let body = served.get(&path).await.with(200);
        met.extend(hrefs(&body, "/ops/run?id=").iter().map(|link| link["/ops/run?id=".len()..].to_owned()));
        pages += 1;
        let links = hrefs(&body, "/ops/runs?task=mail&state=queued&from=&to=");
        let (older, newest): (Vec<_>, Vec<_>) = links.into_iter().partition(|link| link.contains("&after="));
        assert_eq!(newest.len(), usize::from(pages > 1), "a further page leads back to the first");
        assert_eq!(newest.len(), body.matches("Newest runs").count());
        match older.as_slice() {
            [] => break,
            [older] => path.clone_from(older),
            many => panic!("one link leads on: {many:?}"),
        }
    }
    assert_eq!((met.len(), pages), (RUNS, 3), "each once");
    assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), ids);
    served.get("/ops/runs?after=page-2").await.with(400);
}

#[tokio::test]
async fn runs_of_tasks_that_the_program_has_no_more_have_their_place_and_their_names() {
    let store = MemoryBackend::new();
    let former = Scheduler::empty().backend(store.clone()).register(Task::job("former", |_: u32| async {}));
    let former = former.start().await.expect("it starts");
    let instant: DateTime<Utc> = "2200-01-01T00:00:00Z".parse().expect("an instant");
    for number in 0..30_u32 {
        former.enqueue("former", number).at(instant).await.expect("it is enqueued");
    }
    // In memory, what waits ends with the last scheduler.
    former.stop().await.expect("it stops");
    let present = Scheduler::empty().backend(store).register(Task::job("present", |_: u32| async {}));
    let present = present.start().await.expect("it starts");
    for number in 0..7_u32 {
        present.enqueue("present", number).at(instant).await.expect("it is enqueued");
    }
    let served = Served::of(present, |dashboard| dashboard, |router| router).await;

    for (path, runs) in [("runs?count=5", 37), ("runs?task=former&count=7", 30)] {
        let (mut path, mut met) = (path.to_owned(), Vec::new());
        loop {
            let said = served.get(&format!("/api/{path}")).await;
            met.extend(said.json().as_array().expect("a list").iter().map(|run| run["task"].to_string()));
            let Some(link) = said.header("link") else { break };
            path = link["<".len()..link.len() - ">; rel=\"next\"".len()].to_owned();
        }
        assert_eq!(met.len(), runs, "{met:?}");
        assert_eq!(met.iter().filter(|task| **task == "\"former\"").count(), 30);
    }
    let page = served.get("/runs").await.with(200);
    assert_eq!(hrefs(&page, "/task?name=former").len(), 30);
    assert_eq!(served.get("/api/runs?task=farmer").await.refused(404), "unknown_task");
}

/// Where links lead that begin so.
fn hrefs(body: &str, begin: &str) -> Vec<String> {
    let links = body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.map(|link| link.replace("&amp;", "&")).filter(|link| link.starts_with(begin)).collect()
}
