//! Arguments that are no extractors, return values that are no outcomes, futures that are not `Send`: the compiler's own
//! errors, at the user's own tokens.

use std::rc::Rc;

use symphra_scheduler::{RunContext, hourly};

struct NoError;

#[hourly]
async fn takes_a_number(run: RunContext, count: u32) {
    drop((run, count));
}

#[hourly]
async fn returns_a_number() -> u32 {
    5
}

#[hourly]
async fn fails_with_no_error() -> Result<(), NoError> {
    Ok(())
}

#[hourly]
async fn is_not_send() {
    let shared = Rc::new(5);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {}
