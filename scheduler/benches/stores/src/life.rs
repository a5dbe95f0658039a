//! The whole life of runs: enqueued, claimed, executed by a body that does nothing, ended, and stored as ended.

use std::time::Duration;

use crate::Failure;
use crate::arguments::Arguments;
use crate::counted::Counter;
use crate::json::Line;
use crate::place::Place;

/// How many runs go together where a contender is told how many do.
pub const BATCH: usize = 256;

/// Workers, and callers that do not wait for one another.
pub const WORKERS: usize = 16;

const RUNS: u32 = 10_000;

/// What a contender took, and who has counted what it asked.
pub type Measured = (Life, Option<Counter>);

/// How long runs took.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// How many.
    pub runs: u32,
    /// All of it.
    pub whole: Duration,
    /// Until all were enqueued, and from then on, where these come one after the other.
    pub parts: Option<(Duration, Duration)>,
}

impl Life {
    /// Runs that were enqueued first, and then executed.
    #[must_use]
    pub fn in_two_parts(runs: u32, enqueued: Duration, drained: Duration) -> Self {
        Self { runs, whole: enqueued + drained, parts: Some((enqueued, drained)) }
    }

    /// Runs of which some were executed while others were enqueued.
    #[must_use]
    pub const fn at_once(runs: u32, whole: Duration) -> Self {
        Self { runs, whole, parts: None }
    }
}

/// What is to be measured.
#[derive(Debug)]
pub struct Asked {
    contender: String,
    runs: u32,
    is_counted: bool,
    place: Place,
}

impl Asked {
    /// Reads it from the options of a program.
    ///
    /// # Errors
    /// An option is wrong; the database cannot be made.
    pub async fn read(mut arguments: Arguments) -> Result<Self, Failure> {
        let url: String = arguments.take("url")?.ok_or("--url is missing")?;
        let contender = arguments.take("contender")?.ok_or("--contender is missing")?;
        let runs = arguments.take("runs")?.unwrap_or(RUNS);
        let is_counted = arguments.take("counted")?.unwrap_or(false);
        arguments.finish()?;
        Ok(Self { contender, runs, is_counted, place: Place::new(&url).await? })
    }

    /// The contender's name.
    #[must_use]
    pub fn contender(&self) -> &str {
        &self.contender
    }

    /// Its database.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// How many runs.
    #[must_use]
    pub const fn runs(&self) -> u32 {
        self.runs
    }

    /// Begins to count what is asked of the database, if that is wanted: called when the contender is set up.
    ///
    /// # Errors
    /// The database cannot be looked at.
    pub async fn count(&self) -> Result<Option<Counter>, Failure> {
        Ok(if self.is_counted { Some(Counter::start(&self.place).await?) } else { None })
    }

    /// Prints what was measured, and removes the database.
    ///
    /// # Errors
    /// The database cannot be looked at, or not be removed.
    pub async fn tell(self, (life, counter): Measured) -> Result<(), Failure> {
        let rate = |time: Duration| f64::from(life.runs) / time.as_secs_f64();
        let mut line = Line::new()
            .text("contender", &self.contender)
            .text("store", self.place.store())
            .number("runs", life.runs)
            .number("runs_per_s", format_args!("{:.0}", rate(life.whole)));
        if let Some((enqueued, drained)) = life.parts {
            line = line.number("enqueued_per_s", format_args!("{:.0}", rate(enqueued)));
            line = line.number("drained_per_s", format_args!("{:.0}", rate(drained)));
        }
        if let Some(counter) = counter {
            let counts = counter.counts().await?;
            let per_run = |count: u64| Some(count as f64 / f64::from(life.runs));
            line = line.maybe("statements_per_run", per_run(counts.statements));
            line = line.maybe("commits_per_run", per_run(counts.commits));
            line = line.maybe("pages_per_run", per_run(counts.pages).filter(|&pages| pages > 0.0));
        }
        println!("{}", line.finish());
        self.place.remove().await
    }
}
