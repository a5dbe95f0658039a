//! How often and when a failed attempt is tried again. Pure: the instant and the run's id are arguments.
//!
//! [`RetryPolicy`] is what a task declares; [`Retry`] is what a body may return to overrule it for one failure. Whether a
//! run is retried is decided in one place, the engine's `decide`, by [`RetryPolicy::wait`].

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::outcome::BoxError;
use crate::run::RunId;

/// The largest number of attempts a run may have.
///
/// ```
/// use symphra_scheduler::{ATTEMPTS_MAX, RetryPolicy};
///
/// let stubborn = RetryPolicy::standard().max_attempts(ATTEMPTS_MAX);
/// ```
pub const ATTEMPTS_MAX: u32 = 1_000;

/// The longest wait between two attempts: 30 days.
///
/// ```
/// use symphra_scheduler::{RetryPolicy, WAIT_MAX};
///
/// let patient = RetryPolicy::standard().wait_max(WAIT_MAX);
/// ```
pub const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Decides by the error whether a failed attempt is worth another.
///
/// ```
/// use std::error::Error;
/// use std::io;
/// use symphra_scheduler::{RetryPolicy, RetryWhen, interval};
///
/// fn is_transient(error: &(dyn Error + 'static)) -> bool {
///     error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
/// }
///
/// #[interval(minutes = 5, retry(max_attempts = 5, when = is_transient))]
/// async fn fetch_prices() -> io::Result<()> {
///     Ok(())
/// }
///
/// // The same for a task that is built at run time.
/// let when: RetryWhen = is_transient;
/// let policy = RetryPolicy::standard().max_attempts(5).when(when);
/// assert!(when(&io::Error::from(io::ErrorKind::TimedOut)));
/// ```
pub type RetryWhen = fn(&(dyn StdError + 'static)) -> bool;

/// How often a run is tried, and how long it waits between two attempts.
///
/// An error, a panic and a timeout are failed attempts alike. A run that waits holds no worker; it counts as alive for
/// [`Overlap`](crate::Overlap). The waits are drawn without [jitter](Self::jitter), which shortens each by up to a half:
///
/// ```text
/// standard    ━✗ 1s ━✗ 2s ━✗                     failed after 3 attempts
/// fixed, 5s   ━✗ 5s ━✗ 5s ━✗                     the same with Backoff::Fixed and a wait_min of 5 s
/// none        ━✗                                 failed at once
/// aggressive  ━✗ 0.5s ━✗ 1.25s ━✗ 3.1s ━✗ …      10 attempts, at most 120 s apart
/// ```
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{Backoff, RetryPolicy};
///
/// let patient = RetryPolicy::standard().max_attempts(8).strategy(Backoff::Fixed).wait_min(Duration::from_secs(30));
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    max_attempts: u32,
    strategy: Backoff,
    wait_min: Duration,
    wait_max: Duration,
    multiplier: f64,
    jitter: bool,
    when: Option<RetryWhen>,
}

/// How the waits between attempts grow.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{Backoff, RetryPolicy};
///
/// let every_five_seconds = RetryPolicy::standard().strategy(Backoff::Fixed).wait_min(Duration::from_secs(5));
/// assert_ne!(every_five_seconds, RetryPolicy::standard());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// `wait_min × multiplier^n`, at most `wait_max`: 1 s, 2 s, 4 s, …
    #[default]
    Exponential,
    /// Always `wait_min`.
    Fixed,
    /// Anything from `wait_min` to `wait_max`, evenly.
    Random,
}

/// Two policies are equal if they say the same; predicates are equal if they are the same function.
impl PartialEq for RetryPolicy {
    fn eq(&self, other: &Self) -> bool {
        let by_values = |policy: &Self| {
            (policy.max_attempts, policy.strategy, policy.wait_min, policy.wait_max, policy.multiplier, policy.jitter)
        };
        let same_when = match (self.when, other.when) {
            (Some(mine), Some(theirs)) => std::ptr::fn_addr_eq(mine, theirs),
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        };
        by_values(self) == by_values(other) && same_when
    }
}

/// What is changed of the policy that a task has. The predicate is code, and stays unless the whole policy is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RetryChange {
    whole: Option<RetryPolicy>,
    parts: RetryParts,
}

/// Parts of a policy, by their names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RetryParts {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) strategy: Option<Backoff>,
    pub(crate) wait_min: Option<Duration>,
    pub(crate) wait_max: Option<Duration>,
    pub(crate) multiplier: Option<f64>,
    pub(crate) jitter: Option<bool>,
}

#[cfg(feature = "config")]
impl Backoff {
    /// Every word, and what it stands for.
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("exponential", Self::Exponential), ("fixed", Self::Fixed), ("random", Self::Random)];
}

impl RetryChange {
    /// Another policy.
    pub(crate) fn whole(policy: RetryPolicy) -> Self {
        Self { whole: Some(policy), parts: RetryParts::default() }
    }

    /// A preset, which leaves a predicate as it is.
    #[cfg(feature = "config")]
    pub(crate) fn preset(preset: RetryPolicy) -> Self {
        Self::parts(RetryParts {
            max_attempts: Some(preset.max_attempts),
            strategy: Some(preset.strategy),
            wait_min: Some(preset.wait_min),
            wait_max: Some(preset.wait_max),
            multiplier: Some(preset.multiplier),
            jitter: Some(preset.jitter),
        })
    }

    #[cfg(feature = "config")]
    pub(crate) fn parts(parts: RetryParts) -> Self {
        Self { whole: None, parts }
    }

    /// The policy that `before` becomes.
    pub(crate) fn over(&self, before: RetryPolicy) -> RetryPolicy {
        let (before, parts) = (self.whole.unwrap_or(before), &self.parts);
        RetryPolicy {
            max_attempts: parts.max_attempts.unwrap_or(before.max_attempts),
            strategy: parts.strategy.unwrap_or(before.strategy),
            wait_min: parts.wait_min.unwrap_or(before.wait_min),
            wait_max: parts.wait_max.unwrap_or(before.wait_max),
            multiplier: parts.multiplier.unwrap_or(before.multiplier),
            jitter: parts.jitter.unwrap_or(before.jitter),
            when: before.when,
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::standard()
    }
}

impl RetryPolicy {
    /// The preset `"default"`, which holds where nothing is said: 3 attempts, 1 s to 60 s apart, each wait twice the one
    /// before, with jitter.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            max_attempts: 3,
            strategy: Backoff::Exponential,
            wait_min: Duration::from_secs(1),
            wait_max: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: true,
            when: None,
        }
    }

    /// The preset `"none"`: one attempt.
    #[must_use]
    pub const fn none() -> Self {
        Self::standard().max_attempts(1)
    }

    /// The preset `"aggressive"`: 10 attempts, 0.5 s to 120 s apart, each wait 2.5 times the one before, with jitter.
    #[must_use]
    pub const fn aggressive() -> Self {
        Self {
            max_attempts: 10,
            wait_min: Duration::from_millis(500),
            wait_max: Duration::from_secs(120),
            multiplier: 2.5,
            ..Self::standard()
        }
    }

    /// How many attempts a run has, the first included. Allowed 1 to [`ATTEMPTS_MAX`].
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How the waits grow.
    #[must_use]
    pub const fn strategy(mut self, strategy: Backoff) -> Self {
        self.strategy = strategy;
        self
    }

    /// The first wait, and the shortest. Allowed up to [`WAIT_MAX`].
    #[must_use]
    pub const fn wait_min(mut self, wait: Duration) -> Self {
        self.wait_min = wait;
        self
    }

    /// The longest wait. Allowed from `wait_min` to [`WAIT_MAX`].
    #[must_use]
    pub const fn wait_max(mut self, wait: Duration) -> Self {
        self.wait_max = wait;
        self
    }

    /// By how much an exponential wait grows. Allowed 1 to 100.
    #[must_use]
    pub const fn multiplier(mut self, factor: f64) -> Self {
        self.multiplier = factor;
        self
    }

    /// Whether a wait is shortened by up to a half, by chance, so that runs which failed together come back apart. The
    /// chance is drawn from the run's id and the attempt, and so is the same wherever it is drawn.
    #[must_use]
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// Retries only errors for which `when` is true. Panics and timeouts are no errors that it could look at, and are
    /// retried.
    #[must_use]
    pub const fn when(mut self, when: RetryWhen) -> Self {
        self.when = Some(when);
        self
    }

    /// What the error of a failed attempt has to say about another one.
    pub(crate) fn advice(&self, error: &(dyn StdError + 'static)) -> Advice {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(retry) = error.downcast_ref::<Retry>() {
                return retry.0.advice;
            }
            if let Some(advised) = error.downcast_ref::<Advised>() {
                return advised.advice;
            }
            cause = error.source();
        }
        match self.when {
            Some(when) if !when(error) => Advice::Never,
            _ => Advice::ByPolicy,
        }
    }

    /// How long the run waits after its `failed`th failed attempt, or `None` if that was its last.
    pub(crate) fn wait(&self, failed: u32, advice: Advice, run: RunId) -> Option<Duration> {
        if failed >= self.max_attempts {
            return None;
        }
        match advice {
            Advice::Never => None,
            Advice::After(wait) => Some(wait.min(WAIT_MAX)),
            Advice::ByPolicy => Some(self.by_strategy(failed, draw(run, failed))),
        }
    }

    fn by_strategy(&self, failed: u32, chance: f64) -> Duration {
        let (min, max) = (self.wait_min.as_secs_f64(), self.wait_max.max(self.wait_min).as_secs_f64());
        let wait = match self.strategy {
            Backoff::Random => return Duration::from_secs_f64(min + (max - min) * chance),
            Backoff::Fixed => min,
            Backoff::Exponential => {
                let exponent = i32::try_from(failed - 1).unwrap_or(i32::MAX);
                (min * self.multiplier.powi(exponent)).min(max)
            }
        };
        let kept = if self.jitter { 1.0 - chance / 2.0 } else { 1.0 };
        Duration::from_secs_f64(wait * kept)
    }

    /// What is impossible in this policy.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.max_attempts == 0 || self.max_attempts > ATTEMPTS_MAX {
            found.push(format!("retry has max_attempts = {}; allowed is 1 to {ATTEMPTS_MAX}", self.max_attempts));
        }
        if self.wait_max > WAIT_MAX {
            found.push("retry has a wait_max of more than 30 days; allowed is up to 30d".into());
        }
        if self.wait_min > self.wait_max {
            found.push(format!(
                "retry has wait_min = {:?} above wait_max = {:?}; swap them or change one",
                self.wait_min, self.wait_max
            ));
        }
        if !(1.0..=100.0).contains(&self.multiplier) {
            found.push(format!("retry has multiplier = {}; allowed is 1 to 100", self.multiplier));
        }
        found
    }
}

/// Evenly from 0 to 1, the same for the same run and attempt.
fn draw(run: RunId, failed: u32) -> f64 {
    let (high, low) = run.as_uuid().as_u64_pair();
    let mut random = fastrand::Rng::with_seed(high ^ low.rotate_left(17) ^ u64::from(failed));
    random.f64()
}

/// What a failed attempt says about another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Advice {
    #[default]
    ByPolicy,
    After(Duration),
    Never,
}

/// An error that says when its run is to be tried again, or that it never is; it overrules the waits of the task's
/// [`RetryPolicy`], not its number of attempts.
///
/// It is found anywhere among the causes of the returned error, also under the contexts of `anyhow` and `eyre`.
///
/// ```
/// use std::time::Duration;
/// use symphra_scheduler::{Retry, cron};
///
/// #[cron("*/5 * * * *")]
/// async fn fetch_rates() -> Result<(), Retry> {
///     match fetch().await {
///         Ok(()) => Ok(()),
///         Err(429) => Err(Retry::after(Duration::from_secs(120), "the server asked us to wait")),
///         Err(401) => Err(Retry::never("the key was revoked")),
///         Err(status) => Err(Retry::after(Duration::from_secs(5), format!("status {status}"))),
///     }
/// }
/// # async fn fetch() -> Result<(), u16> { Ok(()) }
/// ```
#[derive(Debug)]
pub struct Retry(Advised);

/// What a [`Retry`] holds, and names as its source: `anyhow` and `eyre` hide the type of the error that they were made of,
/// but not those of its causes.
#[derive(Debug)]
struct Advised {
    advice: Advice,
    cause: BoxError,
}

impl Retry {
    /// Try again after `wait`, at most [`WAIT_MAX`], if an attempt is left.
    pub fn after(wait: Duration, cause: impl Into<BoxError>) -> Self {
        Self(Advised { advice: Advice::After(wait), cause: cause.into() })
    }

    /// Do not try again: the run has failed for good.
    pub fn never(cause: impl Into<BoxError>) -> Self {
        Self(Advised { advice: Advice::Never, cause: cause.into() })
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Retry {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl StdError for Advised {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use symphra_scheduler_core::Timestamp;

    fn run(number: u128) -> RunId {
        RunId::from_parts(Timestamp::from_millis(1_000), number)
    }

    fn waits(policy: RetryPolicy) -> Vec<u128> {
        (1..20).map_while(|failed| policy.wait(failed, Advice::ByPolicy, run(7))).map(|wait| wait.as_millis()).collect()
    }

    #[test]
    fn each_preset_waits_as_it_says() {
        assert_eq!(waits(RetryPolicy::standard().jitter(false)), [1_000, 2_000]);
        assert_eq!(waits(RetryPolicy::none()), [0_u128; 0]);
        let aggressive = waits(RetryPolicy::aggressive().jitter(false));
        assert_eq!(aggressive[..3], [500, 1_250, 3_125]);
        assert_eq!((aggressive.len(), aggressive.last()), (9, Some(&120_000)));
    }

    #[test]
    fn a_fixed_wait_does_not_grow_and_an_exponential_one_is_bounded() {
        let fixed = RetryPolicy::standard().max_attempts(5).strategy(Backoff::Fixed).jitter(false);
        assert_eq!(waits(fixed), [1_000; 4]);
        let long = RetryPolicy::standard().max_attempts(12).jitter(false);
        assert_eq!(waits(long)[5..], [32_000, 60_000, 60_000, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn jitter_shortens_by_at_most_a_half_and_a_random_wait_stays_within_its_bounds() {
        let random = RetryPolicy::standard().strategy(Backoff::Random).wait_min(Duration::from_secs(2));
        let mut seen = std::collections::HashSet::new();
        for number in 0..1_000 {
            let wait = RetryPolicy::standard().wait(2, Advice::ByPolicy, run(number)).expect("an attempt is left");
            assert!((1.0..=2.0).contains(&wait.as_secs_f64()), "{wait:?}");
            seen.insert(wait.as_millis());
            let wait = random.wait(1, Advice::ByPolicy, run(number)).expect("an attempt is left");
            assert!((2.0..=60.0).contains(&wait.as_secs_f64()), "{wait:?}");
        }
        assert!(seen.len() > 300, "waits of different runs differ: {} kinds", seen.len());
    }

    #[test]
    fn an_error_of_the_body_overrules_the_wait_but_not_the_number_of_attempts() {
        let policy = RetryPolicy::standard();
        let later = Retry::after(Duration::from_secs(99), "busy");
        assert_eq!(policy.wait(1, policy.advice(&later), run(1)), Some(Duration::from_secs(99)));
        assert_eq!(policy.wait(3, policy.advice(&later), run(1)), None);
        assert_eq!(policy.wait(1, policy.advice(&Retry::never("gone")), run(1)), None);
    }

    #[test]
    fn only_what_the_predicate_accepts_is_retried() {
        let policy = RetryPolicy::standard().when(|error| error.to_string().contains("busy"));
        assert_eq!(policy.advice(&std::io::Error::other("busy")), Advice::ByPolicy);
        assert_eq!(policy.advice(&std::io::Error::other("denied")), Advice::Never);
    }
}
