//! Who may look and who may change.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use serde_json::json;

use super::rig::{Served, TOKEN, scheduler};

fn with_token(dashboard: symphra_scheduler::Dashboard) -> symphra_scheduler::Dashboard {
    dashboard.token(TOKEN).expect("it is long enough")
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let served = Served::by(|dashboard| dashboard.allow_writes().allowed_hosts(["Ops.Example.com"])).await;
    for host in
        ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "ops.example.com.evil"]
    {
        for path in ["/", "/api/tasks", "/livez", "/assets/style.css", "/events"] {
            assert_eq!(served.send("GET", path, &[("Host", host)], "").await.status, 421, "{host} {path}");
        }
        let headers = [("Host", host), ("Origin", &format!("http://{host}"))];
        assert_eq!(served.send("POST", "/api/trigger", &headers, r#"{"task":"quiet"}"#).await.status, 421, "{host}");
    }
    for host in [
        "localhost",
        "LOCALHOST:9393",
        "127.0.0.1:1",
        "[::1]:9393",
        "192.168.1.7",
        "ops.example.com",
        "OPS.example.com:8443",
    ] {
        assert_eq!(served.send("GET", "/api/tasks", &[("Host", host)], "").await.status, 200, "{host}");
    }
    let twice = served.send("GET", "/api/tasks", &[("Host", "localhost"), ("Host", "evil.example")], "").await;
    assert!(twice.status >= 400, "two hosts are none: {twice:?}");
    assert_eq!(served.scheduler.stats().ledger.runs, 0);
    assert_eq!(served.scheduler.task("quiet").expect("it is there").total_runs, 0, "nothing was triggered");
}

#[tokio::test]
async fn a_token_is_needed_for_reading_too() {
    let served = Served::by(with_token).await;
    for path in ["/api/tasks", "/api/openapi.json", "/api/actions", "/events", "/api/nothing"] {
        let said = served.get(path).await;
        assert_eq!(said.refused(401), "unauthorized", "{path}");
        assert!(said.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Bearer")), "{path}");
    }
    for path in ["/", "/task?name=quiet", "/runs", "/nodes", "/actions", "/timeline", "/dead", "/nothing"] {
        let body = served.get(path).await.with(401);
        assert!(!body.contains("quiet") && body.contains("name=\"token\""), "{path}: {body}");
    }
    let wrong = format!("Bearer {}", "0123456789abcdef-tokem");
    for header in ["", "Bearer", "Bearer ", TOKEN, &format!("Basic {TOKEN}"), &wrong, &format!("Bearer {TOKEN}x")] {
        let said = served.send("GET", "/api/tasks", &[("Authorization", header)], "").await;
        assert_eq!(said.refused(401), "unauthorized", "{header}");
    }
    for path in [format!("/api/tasks?token={TOKEN}"), format!("/?token={TOKEN}"), format!("/login?token={TOKEN}")] {
        let said = served.get(&path).await;
        assert!(said.header("set-cookie").is_none() && !said.body.contains("quiet"), "no token in an address: {path}");
    }
    let bearer = format!("bearer {TOKEN}");
    assert_eq!(served.send("GET", "/api/tasks", &[("Authorization", &bearer)], "").await.status, 200);
    assert_eq!(served.get("/livez").await.with(200), "alive\n", "probes have no token");
    assert_eq!(served.get("/readyz").await.with(200), "ready\n");
}

#[tokio::test]
async fn who_signs_in_gets_a_session_that_no_script_reads_and_that_ends() {
    let served = Served::by(with_token).await;
    assert!(served.form("/login", "token=0123456789abcdef-tokem").await.header("set-cookie").is_none());
    let evil = [("Origin", "http://evil.example"), ("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(served.send("POST", "/login", &evil, &format!("token={TOKEN}")).await.status, 403);

    let said = served.form("/login", &format!("token={TOKEN}")).await;
    assert_eq!((said.status, said.header("location")), (303, Some("/tasks")), "{said:?}");
    let set = said.header("set-cookie").expect("a cookie").to_owned();
    let (cookie, flags) = set.split_once("; ").expect("flags");
    assert_eq!(flags, "Path=/; HttpOnly; SameSite=Strict");
    assert!(!set.contains(TOKEN), "it does not tell the token");
    assert_eq!(served.send("GET", "/api/tasks", &[("Cookie", cookie)], "").await.status, 200);
    let others = format!("a=b; {cookie}; c=d");
    assert!(served.send("GET", "/", &[("Cookie", &others)], "").await.with(200).contains("quiet"));
    let forged = format!("{}0", &cookie[..cookie.len() - 1]);
    if forged != cookie {
        assert_eq!(served.send("GET", "/api/tasks", &[("Cookie", &forged)], "").await.status, 401);
    }

    // The cookie alone is sent by foreign pages of old browsers too.
    let body = r#"{"task":"quiet"}"#;
    for headers in [
        vec![("Cookie", cookie)],
        vec![("Cookie", cookie), ("Origin", "http://evil.example")],
        vec![("Cookie", cookie), ("Origin", "null")],
        vec![("Cookie", cookie), ("Sec-Fetch-Site", "cross-site")],
        vec![("Cookie", cookie), ("Sec-Fetch-Site", "same-site")],
    ] {
        assert_eq!(
            served.send("POST", "/api/trigger", &headers, body).await.refused(403),
            "foreign_origin",
            "{headers:?}"
        );
    }
    assert_eq!(served.scheduler.task("quiet").expect("it is there").total_runs, 0);
    let origin = served.origin();
    let own = [("Cookie", cookie), ("Origin", &*origin), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(served.send("POST", "/api/trigger", &own, body).await.status, 200);

    let out = served.send("POST", "/logout", &own, "").await;
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{out:?}");
    assert_eq!(served.send("GET", "/api/tasks", &[("Cookie", cookie)], "").await.status, 401, "it is over");
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let served = Served::by(|dashboard| dashboard).await;
    for (path, body) in [
        ("/api/trigger", json!({ "task": "quiet" })),
        ("/api/pause", json!({ "task": "quiet" })),
        ("/api/pause", json!({ "all": true })),
        ("/api/reschedule", json!({ "task": "quiet", "schedule": "1s" })),
    ] {
        assert_eq!(served.post(path, body).await.refused(403), "read_only", "{path}");
        let bearer = [("Authorization", "Bearer nothing-is-asked-for")];
        assert_eq!(served.send("POST", path, &bearer, "{}").await.status, 403, "{path}");
    }
    assert_eq!(served.form("/do/trigger", "task=quiet").await.status, 403);
    assert_eq!(served.form("/do/pause", "").await.status, 403);
    assert!(!served.get("/task?name=quiet").await.with(200).contains("method=\"post\""), "there are no forms");
    let task = served.scheduler.task("quiet").expect("it is there");
    assert!(task.total_runs == 0 && task.pause.is_none());
    // Nor does looking.
    for path in ["/api/trigger?task=quiet", "/do/trigger?task=quiet"] {
        assert!(served.get(path).await.status >= 400, "{path}");
    }
}

/// Where a program knows its users, some read and others change.
#[tokio::test]
async fn two_dashboards_of_one_scheduler_have_rights_of_their_own_behind_the_programs_middleware() {
    let operators_only = async |request: Request, next: Next| match request.headers().get("x-user") {
        Some(user) if user == "operator" => next.run(request).await,
        _ => StatusCode::FORBIDDEN.into_response(),
    };
    let scheduler = scheduler().await;
    let writing = scheduler.dashboard().allow_writes().into_router().layer(from_fn(operators_only));
    let hang = |reading| Router::new().nest_service("/read", reading).nest_service("/operate", writing);
    let served = Served::of(scheduler, |dashboard| dashboard, hang).await;
    let (origin, body) = (served.origin(), r#"{"task":"quiet"}"#);
    let (reader, operator) = (("X-User", "reader"), ("X-User", "operator"));
    assert_eq!(served.send("GET", "/read/tasks", &[reader], "").await.status, 200);
    for headers in [[("Origin", &*origin), reader], [("Origin", &*origin), operator]] {
        assert_eq!(served.send("POST", "/read/api/trigger", &headers, body).await.refused(403), "read_only");
    }
    assert_eq!(served.send("GET", "/operate/tasks", &[reader], "").await.status, 403);
    assert_eq!(served.send("POST", "/operate/api/trigger", &[("Origin", &origin), reader], body).await.status, 403);
    assert_eq!(served.scheduler.task("quiet").expect("it is there").total_runs, 0);
    assert_eq!(served.send("POST", "/operate/api/trigger", &[("Origin", &origin), operator], body).await.status, 200);
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_where_everybody_may() {
    let served = Served::by(symphra_scheduler::Dashboard::allow_writes).await;
    let origin = served.origin();
    for headers in [
        vec![],
        vec![("Origin", "http://evil.example")],
        vec![("Origin", "null")],
        vec![("Origin", "http://127.0.0.1:1")],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![("Origin", &*origin), ("Sec-Fetch-Site", "cross-site")],
        vec![("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")],
        vec![("Authorization", "Bearer nothing-is-asked-for")],
    ] {
        for (path, body) in [("/api/trigger", r#"{"task":"quiet"}"#), ("/do/trigger", "task=quiet")] {
            let mut headers = headers.clone();
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
            assert_eq!(served.send("POST", path, &headers, body).await.status, 403, "{path} {headers:?}");
        }
    }
    assert_eq!(served.scheduler.task("quiet").expect("it is there").total_runs, 0);
    assert_eq!(served.post("/api/trigger", json!({ "task": "quiet" })).await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_strict_policy() {
    let served = Served::by(with_token).await;
    let bearer = format!("Bearer {TOKEN}");
    let own = [("Authorization", &*bearer)];
    for path in
        ["/", "/login", "/assets/style.css", "/assets/nothing", "/api/tasks", "/api/nothing", "/nothing", "/livez"]
    {
        for headers in [&own[..], &[], &[("Host", "evil.example")]] {
            let said = served.send("GET", path, headers, "").await;
            let policy = said.header("content-security-policy").unwrap_or_else(|| panic!("{path}: {said:?}"));
            assert_eq!(
                policy,
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                 form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            );
            assert_eq!(said.header("x-content-type-options"), Some("nosniff"), "{path}");
            for name in ["referrer-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"] {
                assert_eq!(said.header(name), Some("same-origin"), "{path}: {name}");
            }
            let cached = said.header("cache-control");
            assert!(cached == Some("no-store") || path == "/assets/style.css", "{path}: {cached:?}");
        }
    }
}

#[tokio::test]
async fn a_token_that_could_be_guessed_is_refused_and_not_told() {
    let served = Served::by(|dashboard| dashboard).await;
    for token in ["", "short", "fifteen bytes..", " 0123456789abcdef", "0123456789abcdef\n", "0123456789abcdéf"] {
        let error = served.scheduler.dashboard().token(token).expect_err("it is impossible");
        let says = format!("{error:?}");
        assert!(says.contains("16 to 1024 bytes"), "{says}");
        assert!(token.is_empty() || !says.contains(token), "{says}");
    }
    let shown = format!("{:?}", served.scheduler.dashboard().token(TOKEN).expect("it is long enough"));
    assert!(!shown.contains(TOKEN), "{shown}");
}
