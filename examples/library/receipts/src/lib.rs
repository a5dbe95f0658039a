//! A library that brings tasks of its own: a program that names it has them, and gives them the [`Outbox`] that they ask for.
//!
//! Their names begin with that of the library, so that they meet nobody else's.

use std::sync::{Arc, Mutex};

use symphra_scheduler::{State, cron, interval};

/// The tasks that a program gets, for [`Scheduler::expect_tasks`](symphra_scheduler::Scheduler::expect_tasks).
pub const TASKS: [&str; 2] = ["receipts.send", "receipts.tidy"];

/// Receipts that wait to be sent. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Mutex<Vec<String>>>);

impl Outbox {
    /// Has a receipt sent to `customer`.
    pub fn put(&self, customer: &str) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(customer.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[interval(milliseconds = 200, name = "receipts.send", tags = ["receipts"])]
async fn send(outbox: State<Outbox>) {
    for customer in outbox.take() {
        println!("a receipt to {customer}");
    }
}

#[cron("0 4 * * *", name = "receipts.tidy", tags = ["receipts"])]
async fn tidy() {}
