//! How runs become traces: the engine opens a span for each attempt, what a body opens stands inside it, and the usual layer of
//! `tracing` sends both to OpenTelemetry.
//!
//! `cargo run -p examples --bin opentelemetry` prints what would be sent, and ends by itself. A service takes the exporter of
//! `opentelemetry-otlp` instead of the one for standard output; nothing else changes.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use symphra_scheduler::{RetryPolicy, Schedule, Scheduler, SchedulerEvent, Task};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// A part of the work, with a span of its own: a child of the run's.
#[tracing::instrument]
async fn fetch(customer: u64) -> Result<(), &'static str> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    if customer == 0 { Err("no such customer") } else { Ok(()) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(opentelemetry_stdout::SpanExporter::default()).build();
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("invoices"));
    // Spans of runs are at INFO; what the crates below say is left out.
    let wanted = Targets::new()
        .with_target("symphra_scheduler", tracing::Level::INFO)
        .with_target("opentelemetry", tracing::Level::INFO);
    tracing_subscriber::registry().with(traces.with_filter(wanted)).init();

    let once = || Schedule::interval(Duration::from_millis(100));
    let good = Task::new("good", once()?, || fetch(7)).max_runs(1);
    let bad = Task::new("bad", once()?, || fetch(0)).max_runs(1).retry(RetryPolicy::none());
    let scheduler = Scheduler::empty().register(good).register(bad).start().await?;
    // Both have but one run.
    let (mut events, mut ended) = (scheduler.events(), 0);
    while ended < 2 {
        match events.next().await {
            Some(SchedulerEvent::RunEnded { .. }) => ended += 1,
            Some(_) => {}
            None => break,
        }
    }
    scheduler.stop().await?;
    provider.shutdown()?;
    Ok(())
}
