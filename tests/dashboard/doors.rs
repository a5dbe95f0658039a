//! What stands beside the pages and the API: probes, metrics, how often somebody may try to sign in, and what is told of
//! requests that no handler ever sees.

use serde_json::{Value, json};
use symphra_scheduler::{Dashboard, PROMETHEUS_CONTENT_TYPE};

use super::rig::{Said, Served, TOKEN};

fn with_token(dashboard: Dashboard) -> Dashboard {
    dashboard.token(TOKEN).expect("it is long enough")
}

#[tokio::test]
async fn a_scrape_gets_the_metrics_with_the_token() {
    let served = Served::by(with_token).await;
    served.has_run("fails").await;
    assert_eq!(served.get("/metrics").await.refused(401), "unauthorized");
    let bearer = format!("Bearer {TOKEN}");
    let said = served.send("GET", "/metrics", &[("Authorization", &bearer)], "").await;
    assert_eq!((said.status, said.header("content-type")), (200, Some(PROMETHEUS_CONTENT_TYPE)));
    assert!(said.body.contains("symphra_scheduler_up 1") && said.body.contains("task=\"fails\""), "{}", said.body);
}

#[tokio::test]
async fn health_tells_in_json_and_by_its_status_whether_all_is_well() {
    let served = Served::by(|dashboard| dashboard).await;
    let said = served.get("/health").await;
    assert_eq!((said.status, said.header("content-type")), (200, Some("application/json")), "{said:?}");
    let health = said.json();
    assert_eq!((&health["well"], &health["alive"], &health["stale"]), (&json!(true), &json!(true), &json!([])));
    assert_eq!(health, served.get("/api/health").await.json(), "it is the same view");
    served.scheduler.stop().await.expect("it stops");
    let health = served.get("/health").await;
    assert_eq!((health.status, &health.json()["alive"]), (503, &json!(false)));

    let served = Served::by(with_token).await;
    assert_eq!(served.get("/health").await.refused(401), "unauthorized", "it names tasks");
}

#[tokio::test]
async fn the_health_of_the_library_is_the_same_json() {
    let served = Served::by(|dashboard| dashboard).await;
    let told = served.get("/api/health").await.json();
    let own = serde_json::to_value(served.scheduler.health()).expect("it is JSON");
    let fields = |value: &Value| value.as_object().expect("fields").keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&own), fields(&told));
    assert_eq!((&own["well"], &own["ready"], &own["store"]["error"]), (&json!(true), &json!(true), &Value::Null));
    assert_eq!(own["store"]["in_contact_since"]["utc"], told["store"]["in_contact_since"]["utc"]);
}

#[tokio::test]
async fn after_ten_wrong_tokens_none_is_looked_at_for_the_rest_of_a_minute() {
    let served = Served::by(with_token).await;
    let (right, wrong) = (format!("token={TOKEN}"), "token=0123456789abcdef-tokem");
    let signed_in = served.form("/login", &right).await;
    let cookie = signed_in.header("set-cookie").and_then(|set| set.split(';').next()).expect("a cookie").to_owned();
    for tried in 0..10 {
        // Right ones between them are let in, and do not count.
        assert_eq!(served.form("/login", &right).await.status, 303, "{tried}");
        assert_eq!(served.form("/login", wrong).await.status, 401, "{tried}");
    }
    for fields in [wrong, &right] {
        let said = served.form("/login", fields).await;
        let wait: u64 = said.header("retry-after").and_then(|wait| wait.parse().ok()).expect("how long to wait");
        assert!(said.header("set-cookie").is_none() && (1..=60).contains(&wait), "{said:?}");
        assert!(said.with(429).contains("seconds"), "a page says so");
    }
    assert_eq!(served.send("GET", "/api/tasks", &[("Cookie", &cookie)], "").await.status, 200, "who is in stays in");
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(served.send("GET", "/api/tasks", &[("Authorization", &bearer)], "").await.status, 200);
}

#[tokio::test]
async fn wrong_tokens_of_programs_share_the_limit_of_sign_ins_and_the_right_one_is_always_let_in() {
    let served = Served::by(with_token).await;
    let show = async |path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        served.send("GET", path, &[("Authorization", &bearer)], "").await
    };
    // A program that goes on with a token of yesterday guesses nothing.
    for _ in 0..20 {
        assert_eq!(show("/api/tasks", "the-token-of-yesterday").await.refused(401), "unauthorized");
    }
    assert_eq!(served.form("/login", "token=0123456789abcdef-tokem").await.status, 401);
    for tried in 2..10 {
        assert_eq!(show("/api/tasks", &format!("guess-{tried}")).await.refused(401), "unauthorized", "{tried}");
    }
    let said = show("/api/tasks", "guess-10").await;
    let wait: u64 = said.header("retry-after").and_then(|wait| wait.parse().ok()).expect("how long to wait");
    assert!((1..=60).contains(&wait), "{said:?}");
    assert_eq!(said.refused(429), "too_many");
    let page = show("/runs", "guess-11").await;
    assert!(page.header("retry-after").is_some() && page.with(429).contains("</html>"));
    for token in ["0123456789abcdef-tokem", TOKEN] {
        assert_eq!(served.form("/login", &format!("token={token}")).await.status, 429, "it is one limit");
    }
    assert_eq!(show("/livez", "guess-12").await.status, 200, "a probe is asked for no token");
    for _ in 0..20 {
        assert_eq!(show("/api/tasks", TOKEN).await.status, 200);
    }
}

#[tokio::test]
async fn a_cookie_that_came_by_tls_never_travels_without() {
    let served = Served::by(with_token).await;
    let origin = served.origin();
    for (name, value, is_secure) in [
        ("X-Forwarded-Proto", "https", true),
        ("Forwarded", "for=192.0.2.60;proto=https", true),
        ("X-Forwarded-Proto", "http", false),
        ("X-Other", "https", false),
    ] {
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", &*origin), (name, value)];
        let said = served.send("POST", "/login", &headers, &format!("token={TOKEN}")).await;
        let set = said.header("set-cookie").expect("a cookie");
        assert_eq!(set.contains("; Secure"), is_secure, "{name}: {value}: {set}");
    }
}

#[tokio::test]
async fn what_the_framework_refuses_is_told_like_everything_else() {
    let served = Served::by(Dashboard::allow_writes).await;
    let origin = served.origin();
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let own = [("Origin", &*origin), form];
    let long = format!("task={}", "x".repeat(70_000));

    for (method, path, body, status, kind) in [
        ("GET", "/api/trigger", "", 405, "method_not_allowed"),
        ("POST", "/api/tasks", "", 405, "method_not_allowed"),
        ("DELETE", "/api/tasks", "", 405, "method_not_allowed"),
        ("POST", "/metrics", "", 405, "method_not_allowed"),
        ("PUT", "/api/nothing", "", 404, "not_found"),
        ("POST", "/api/trigger", &*long, 413, "too_large"),
    ] {
        let said = served.send(method, path, &own, body).await;
        assert_eq!(said.header("content-type"), Some("application/json"), "{method} {path}: {said:?}");
        assert_eq!(said.header("allow").is_some(), status == 405, "{method} {path}: {said:?}");
        assert!(said.header("content-security-policy").is_some(), "{method} {path}");
        assert_eq!(said.refused(status), kind, "{method} {path}");
    }
    for (method, path, body, status, says) in [
        ("POST", "/tasks", "", 405, "POST is not possible here"),
        ("GET", "/logout", "", 405, "GET is not possible here"),
        ("POST", "/do/trigger", &*long, 413, "65536 bytes"),
        ("GET", "/runs?state=a&state=b", "", 400, "state"),
        ("GET", "/assets/nothing", "", 404, "nothing at this path"),
    ] {
        let said = served.send(method, path, &own, body).await;
        assert_eq!(said.header("content-type"), Some("text/html; charset=utf-8"), "{method} {path}: {said:?}");
        let body = said.with(status);
        assert!(body.contains(says) && body.contains("</html>"), "{method} {path}: {body}");
    }
    let Said { body, .. } = served.send("POST", "/tasks", &own, "").await;
    assert!(!body.contains("Method Not Allowed"), "{body}");
}
