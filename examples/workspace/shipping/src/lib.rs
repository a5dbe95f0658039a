//! Tasks about parcels.

use std::time::Duration;

use store::Store;
use symphra_scheduler::{State, interval};

#[interval(milliseconds = 200, name = "shipping.track")]
async fn track(store: State<Store>) {
    tokio::time::sleep(Duration::from_millis(20)).await;
    println!("shipping asks: query {}", store.query().await);
}
