//! How long a year of schedules takes to simulate, both clock changes of New York in it. Built with the feature `year`, and
//! apart from the other binaries: the test kit is not in what they measure.

use std::time::Instant;

use chrono_tz::Tz;
use symphra_scheduler::test_util::simulate;
use symphra_scheduler::{Schedule, Scheduler, Task};
use symphra_scheduler_peers::{Failure, json::Line};

/// Enough for a median.
const ROUNDS: usize = 15;

/// What is simulated, and how many steps that is: occurrences, those of the hour that New York lacks not among them.
const SCHEDULES: [(&str, &[&str], usize); 4] = [
    ("daily at 02:30", &["30 2 * * *"], 365),
    ("each quarter of an hour", &["*/15 * * * *"], 365 * 96 - 1),
    ("both", &["30 2 * * *", "*/15 * * * *"], 365 * 97 - 1),
    ("each minute", &["* * * * *"], 365 * 1_440 - 1),
];

fn main() -> Result<(), Failure> {
    for (name, expressions, steps) in SCHEDULES {
        let mut millis = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let mut scheduler = Scheduler::empty();
            for expression in expressions {
                let schedule = Schedule::cron(expression)?;
                scheduler =
                    scheduler.register(Task::new(*expression, schedule, async || {}).timezone(Tz::America__New_York));
            }
            let began = Instant::now();
            let year = simulate(scheduler, "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z").run()?;
            millis.push(began.elapsed().as_secs_f64() * 1e3);
            let simulated: usize = year.values().map(Vec::len).sum();
            if simulated != steps {
                return Err(format!("{name}: {simulated} steps, and {steps} were to be expected").into());
            }
        }
        millis.sort_by(f64::total_cmp);
        let line = Line::new().text("schedules", name).number("steps", steps);
        println!(
            "{}",
            line.maybe("median_ms", Some(millis[ROUNDS / 2])).maybe("most_ms", millis.last().copied()).finish()
        );
    }
    Ok(())
}
