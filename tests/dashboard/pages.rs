//! The pages by their paths: that each is there, below any prefix, and that its forms do what they say.

use symphra_scheduler::Dashboard;

use super::rig::{Served, TOKEN};

const PAGES: [&str; 8] = ["/tasks", "/task?name=quiet", "/timeline", "/runs", "/nodes", "/dead", "/actions", "/login"];

#[tokio::test]
async fn every_page_is_there_below_any_prefix_and_its_links_stay_below_it() {
    for prefix in ["", "/ops", "/ops/scheduler"] {
        let served = Served::below(prefix, Dashboard::allow_writes).await;
        let top = if prefix.is_empty() { "/" } else { prefix };
        for path in PAGES.iter().map(|page| format!("{prefix}{page}")).chain([top.to_owned()]) {
            let body = served.get(&path).await.with(200);
            for attribute in [" href=\"", " src=\"", " action=\"", " data-events=\""] {
                for link in body.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                    assert!(link.starts_with(&format!("{prefix}/")) || link.starts_with('#'), "{path} leads to {link}");
                }
            }
            assert!(!body.contains(" style=") && !body.contains("<style") && !body.contains(" onclick"), "{path}");
        }
        assert_eq!(
            served.get(&format!("{prefix}/assets/style.css")).await.header("content-type"),
            Some("text/css; charset=utf-8")
        );
        assert_eq!(served.get(&format!("{prefix}/nothing")).await.status, 404);
        assert_eq!(served.get(&format!("{prefix}/assets/nothing")).await.status, 404);
        let chosen = served.get(&format!("{prefix}/language?to=zh")).await;
        let cookie = chosen.header("set-cookie").expect("a cookie").split(';').next().expect("its value").to_owned();
        assert!(chosen.header("set-cookie").is_some_and(|set| set.contains(&format!("Path={top};"))), "{chosen:?}");
        assert!(served.send("GET", top, &[("Cookie", &cookie)], "").await.with(200).contains("lang=\"zh"), "{prefix}");
        let done = served.form(&format!("{prefix}/do/trigger"), "task=quiet").await;
        assert_eq!(done.header("location"), Some(&*format!("{prefix}/task?name=quiet&done=triggered")));
    }
}

/// `nest` of axum has no route for it: `nest_service` has.
#[tokio::test]
async fn a_slash_at_the_end_of_a_prefix_is_answered_where_it_hangs_as_a_service() {
    let hang = |router| axum::Router::new().nest_service("/ops/scheduler", router);
    let served = Served::hung(Dashboard::allow_writes, hang).await;
    for path in ["/ops/scheduler", "/ops/scheduler/", "/ops/scheduler/tasks"] {
        let body = served.get(path).await.with(200);
        assert!(body.contains("href=\"/ops/scheduler/runs\"") && body.contains("quiet"), "{path}: {body}");
    }
    let done = served.form("/ops/scheduler/do/trigger", "task=quiet").await;
    assert_eq!(done.header("location"), Some("/ops/scheduler/task?name=quiet&done=triggered"));
}

#[tokio::test]
async fn the_forms_of_pages_change_the_scheduler() {
    let served = Served::by(|dashboard| dashboard.allow_writes()).await;
    let paused = served.form("/do/pause", "task=quiet&reason=a+move").await;
    assert_eq!((paused.status, paused.header("location")), (303, Some("/task?name=quiet&done=paused")));
    let pause = served.scheduler.task("quiet").expect("it is there").pause.expect("it is paused");
    assert_eq!(pause.reason.as_deref(), Some("a move"));
    assert_eq!(served.form("/do/resume", "task=quiet").await.status, 303);
    assert!(served.scheduler.task("quiet").expect("it is there").pause.is_none());
    assert_eq!(served.form("/do/pause", "task=&reason=all").await.header("location"), Some("/tasks?done=paused"));
    assert_eq!(served.form("/do/resume", "").await.header("location"), Some("/tasks?done=resumed"));
    let filled = served.form("/do/backfill", "task=quiet&from=2026-06-01T00%3A00%3A00Z&to=&rerun=on").await;
    assert_eq!(filled.header("location"), Some("/task?name=quiet&done=backfilled"), "{filled:?}");
    assert_eq!(served.form("/do/trigger", "task=nothing").await.status, 404);
    assert_eq!(served.form("/do/nothing", "").await.status, 404);
    assert_eq!(served.form("/do/tasks", "").await.status, 404, "what looks changes nothing");
    let body = served.get("/actions").await.with(200);
    assert!(body.contains("backfill") && body.contains("trigger"), "{body}");
}

#[tokio::test]
async fn an_explanation_and_a_preview_are_on_the_page_of_the_task() {
    let served = Served::by(|dashboard| dashboard.token(TOKEN).expect("it is long enough")).await;
    let bearer = format!("Bearer {TOKEN}");
    for (path, status) in [
        ("/task?name=quiet&at=2026-06-01T00:00:00Z", 200),
        ("/task?name=quiet&at=soon", 200),
        ("/task?name=quiet&from=2026-06-01T00:00:00Z&to=&rerun=on", 200),
        ("/task?name=quiet&from=soon", 200),
        ("/task?name=nothing", 404),
        ("/task", 404),
        ("/run?id=1", 400),
        ("/runs?state=odd", 400),
        ("/runs?state=failed&task=quiet&from=&to=", 200),
    ] {
        let said = served.send("GET", path, &[("Authorization", &bearer)], "").await;
        assert_eq!(said.status, status, "{path}: {}", said.body);
        assert!(said.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
    }
}
