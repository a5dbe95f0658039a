//! How does a scheduler live inside actix-web, whose runtimes have one thread each? Tasks run on the thread of `main`, handlers on
//! those of the workers; both share what they need, and a handler may trigger a task.
//!
//! `cargo run -p examples --bin actix_service -- 127.0.0.1:3000`; port 0 takes a free one. SIGTERM lets requests and runs end;
//! Ctrl+C cuts requests off, and lets runs end.

use std::error::Error;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{Data, get, post};
use actix_web::{App, HttpResponse, HttpServer};
use symphra_scheduler::{Scheduler, SchedulerHandle, State, interval, monthly};

/// What tasks and requests share.
#[derive(Default)]
struct Stock {
    counted: Mutex<(u64, String)>,
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or("a thread without a name").to_owned()
}

#[interval(milliseconds = 100)]
async fn count_stock(stock: State<Arc<Stock>>) {
    let mut counted = stock.counted.lock().expect("nobody panics while counting");
    *counted = (counted.0 + 1, thread_name());
}

#[monthly(day = 1, hour = 6)]
async fn reorder() {
    println!("reordering");
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("reordered");
}

async fn status(stock: Data<Stock>) -> String {
    let (times, by) = stock.counted.lock().expect("nobody panics while counting").clone();
    format!("counted {times} times by {by:?}, told by {:?}\n", thread_name())
}

async fn reorder_now(scheduler: Data<SchedulerHandle>) -> HttpResponse {
    match scheduler.trigger_task("reorder").await {
        Ok(run) => HttpResponse::Accepted().body(format!("run {run}\n")),
        Err(error) => HttpResponse::ServiceUnavailable().body(format!("{error}\n")),
    }
}

async fn live(scheduler: Data<SchedulerHandle>) -> HttpResponse {
    if scheduler.health().alive { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() }.finish()
}

async fn ready(scheduler: Data<SchedulerHandle>) -> HttpResponse {
    if scheduler.health().ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() }.finish()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned()))?;
    let address = listener.local_addr()?;
    let stock = Arc::new(Stock::default());
    let scheduler = Scheduler::from_registry().state(stock.clone()).start().await?;

    let (stock, handle) = (Data::from(stock), Data::new(scheduler.clone()));
    let service = move || {
        let app = App::new().app_data(stock.clone()).app_data(handle.clone());
        let app = app.route("/", get().to(status)).route("/reorder", post().to(reorder_now));
        app.route("/livez", get().to(live)).route("/readyz", get().to(ready))
    };
    let server = HttpServer::new(service).workers(2).listen(listener)?.run();
    println!("listening on http://{address}");
    server.await?; // it listens to the signals by itself

    let report = scheduler.stop().await?;
    println!("stopped: {} runs, {} of them cancelled", scheduler.stats().total_runs, report.cancelled.len());
    Ok(())
}
