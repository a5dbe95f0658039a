//! Arguments that are no extractors and return values that are no outcomes: the compiler's own errors, at the user's own
//! tokens. That a future has to be `Send` is tested by a doctest, since rustc words that error in more than one way.

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

fn main() {}
