//! How often a wrong token may be shown on the page for signing in. All who sign in share one count: who they are, nobody
//! knows behind a proxy.
//!
//! Invariant: an attempt counts before it is judged, so that many at once are as many as one after another.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many wrong tokens are told from right ones within [`WINDOW`]: more than a person mistypes.
const WRONG_MAX: u32 = 10;

/// How long wrong tokens count, from the first of them on.
const WINDOW: Duration = Duration::from_secs(60);

/// What was tried lately.
#[derive(Debug, Default)]
pub(in crate::dashboard) struct Attempts(Mutex<Option<Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    tried: u32,
}

/// One that counts as wrong, unless it is said to be right.
#[derive(Debug)]
#[must_use = "it counts as wrong"]
pub(in crate::dashboard) struct Attempt<'a> {
    of: &'a Attempts,
    since: Instant,
}

impl Attempts {
    /// Begins one; an error is how long there may be none.
    pub(in crate::dashboard) fn begin(&self, now: Instant) -> Result<Attempt<'_>, Duration> {
        let mut window = self.window();
        let last = window.filter(|window| now.duration_since(window.since) < WINDOW);
        let Window { since, tried } = last.unwrap_or(Window { since: now, tried: 0 });
        if tried >= WRONG_MAX {
            return Err((since + WINDOW).duration_since(now));
        }
        *window = Some(Window { since, tried: tried + 1 });
        Ok(Attempt { of: self, since })
    }

    fn window(&self) -> MutexGuard<'_, Option<Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    pub(in crate::dashboard) fn was_right(self) {
        if let Some(window) = self.of.window().as_mut().filter(|window| window.since == self.since) {
            window.tried = window.tried.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wrong_ones_are_judged_in_a_minute_and_then_none() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for tried in 0..WRONG_MAX {
            assert!(attempts.begin(now + Duration::from_secs(tried.into())).is_ok(), "{tried}");
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(attempts.begin(later).expect_err("it is one too many"), Duration::from_secs(40));
        assert!(attempts.begin(now + WINDOW).is_ok(), "the minute is over");
    }

    #[test]
    fn right_ones_do_not_count() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..3 * WRONG_MAX {
            attempts.begin(now).expect("none was wrong").was_right();
        }
        // One that was begun before the minute was over takes nothing from the next.
        let slow = attempts.begin(now).expect("none was wrong");
        for _ in 0..WRONG_MAX {
            assert!(attempts.begin(now + WINDOW).is_ok());
        }
        slow.was_right();
        assert!(attempts.begin(now + WINDOW).is_err());
    }
}
