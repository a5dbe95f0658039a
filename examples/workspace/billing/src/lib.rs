//! Tasks about bills. The crate has no item that the program could mention: `link_tasks!` there names it.

use store::Store;
use symphra_scheduler::{State, cron, interval};

#[interval(milliseconds = 300, name = "billing.remind")]
async fn remind(store: State<Store>) {
    println!("billing asks: query {}", store.query().await);
}

#[cron("0 6 1 * *", name = "billing.close_month", timezone = "Europe/Paris")]
async fn close_month(store: State<Store>) {
    store.query().await;
}
