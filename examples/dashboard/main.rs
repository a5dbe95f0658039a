//! A page that shows what the scheduler does, and lets it be used: living tasks on SQLite, one of which fails now and then.
//!
//! `cargo run -p examples --bin dashboard`, then open the address that it prints. Another address may be the first
//! argument, another store the second. Ctrl+C and SIGTERM stop it.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use symphra_scheduler::{RunContext, Scheduler, SqliteBackend, cron, interval, task};
use tokio::net::TcpListener;

#[interval(seconds = 2, tags = ["monitoring"], metadata(owner = "platform"))]
async fn health_check() {
    tokio::time::sleep(Duration::from_millis(40)).await;
}

/// Fails in one quarter of each minute: its page shows the errors, the attempts and the reasons.
#[interval(seconds = 5, tags = ["shop", "suppliers"], retry(max_attempts = 2, wait_min = "1s"))]
async fn supplier_sync(run: RunContext) -> Result<(), String> {
    let second = run.scheduled_at().timestamp();
    tokio::time::sleep(Duration::from_millis(200 + 90 * second.rem_euclid(7).unsigned_abs())).await;
    match second / 15 % 4 {
        3 => Err(format!("the supplier answered 503 Service Unavailable (request {second})")),
        _ => Ok(()),
    }
}

/// Takes longer than its period, so that every other occurrence is recorded as an overlap.
#[interval(seconds = 6, tags = ["search"], overlap = "skip")]
async fn reindex() {
    tokio::time::sleep(Duration::from_secs(8)).await;
}

#[cron("*/5 * * * *", tags = ["shop"])]
async fn currency_rates() {}

#[cron("30 9 * * MON-FRI", timezone = "Asia/Shanghai", tags = ["billing"])]
async fn invoices() {}

#[cron("0 3 * * *", timezone = "Europe/Paris", tags = ["nightly"], priority = 10)]
async fn backup() {}

/// A job that fails for good, and is a dead letter then.
#[task(retry = "none")]
async fn send_mail(to: String) -> Result<(), String> {
    Err(format!("{to:?} is no address"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9393".to_owned());
    let own = || format!("sqlite://{}", std::env::temp_dir().join("symphra-dashboard.db").display());
    let url = std::env::args().nth(2).unwrap_or_else(own);

    let backend = SqliteBackend::options().namespace("dashboard").connect(&url).await?;
    let scheduler = Scheduler::from_registry().backend(backend).start().await?;
    scheduler.enqueue(send_mail, "nobody".to_owned()).await?;

    // On one's own machine whoever reaches it may use it; elsewhere `.token(…)` says who.
    let dashboard = scheduler.dashboard().allow_writes().into_router();
    let service =
        Router::new().route("/", get(Redirect::temporary("/scheduler"))).nest_service("/scheduler", dashboard);
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}/scheduler", listener.local_addr()?);

    // Not `with_graceful_shutdown`: it would wait for every page that listens to events.
    tokio::select! {
        served = axum::serve(listener, service) => served?,
        () = asked_to_stop() => {}
    }
    scheduler.stop().await?;
    println!("stopped");
    Ok(())
}

/// Returns at Ctrl+C or SIGTERM; where they cannot be listened to, never.
#[cfg(unix)]
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Returns at Ctrl+C; where it cannot be listened to, never.
#[cfg(not(unix))]
async fn asked_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
