//! The crate under another name, and tasks that a user's own macro writes.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

extern crate symphra_scheduler as sched;

mod vendored {
    pub(crate) mod scheduler {
        pub(crate) use ::symphra_scheduler::*;
    }
}

use vendored::scheduler::hourly;

#[sched::cron("@daily", crate = sched, timezone = "Asia/Shanghai")]
async fn by_alias(run: sched::RunContext) -> Result<(), String> {
    drop(run);
    Ok(())
}

#[hourly(crate = crate::vendored::scheduler)]
async fn by_path() {}

#[hourly(crate = ::symphra_scheduler)]
async fn by_absolute_path() {}

macro_rules! task {
    ($function:ident, $name:literal, $seconds:expr, $argument:ty) => {
        #[vendored::scheduler::interval($seconds, name = $name)]
        async fn $function(argument: $argument) {
            drop(argument);
        }
    };
}

task!(first, "first of two", 5, sched::RunContext);
task!(second, "second of two", "1m30s", sched::RunContext);

fn main() {}
