//! How often a wrong token may be shown: on the page for signing in, and by programs. All of them share one count: who they
//! are, nobody knows behind a proxy.
//!
//! Invariant: an attempt to sign in counts before it is judged, so that many at once are as many as one after another. What a
//! program shows is judged before it counts, so that no one's guesses keep out who has the token.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many wrong tokens are told from right ones within [`WINDOW`]: more than a person mistypes.
const WRONG_MAX: u32 = 10;

/// How long wrong tokens count, from the first of them on.
const WINDOW: Duration = Duration::from_secs(60);

/// What was tried lately.
#[derive(Debug, Default)]
pub(in crate::dashboard) struct Attempts {
    window: Mutex<Option<Window>>,
    prints: RandomState,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    tried: u32,
    /// Prints of the wrong tokens that programs have shown: at most as many as were tried.
    shown: Vec<u64>,
}

impl Window {
    /// Counts one more; an error is how long there may be none.
    fn count(&mut self, now: Instant) -> Result<(), Duration> {
        if self.tried >= WRONG_MAX {
            return Err((self.since + WINDOW).duration_since(now));
        }
        self.tried += 1;
        Ok(())
    }
}

/// One that counts as wrong, unless it is said to be right.
#[derive(Debug)]
#[must_use = "it counts as wrong"]
pub(in crate::dashboard) struct Attempt<'a> {
    of: &'a Attempts,
    since: Instant,
}

impl Attempts {
    /// Begins one to sign in; an error is how long there may be none.
    pub(in crate::dashboard) fn begin(&self, now: Instant) -> Result<Attempt<'_>, Duration> {
        self.counting(now, |window| {
            window.count(now)?;
            Ok(Attempt { of: self, since: window.since })
        })
    }

    /// A program has shown a token that is not ours; an error is how long no other one is told to be wrong. One that is shown
    /// again counts once: programs that go on with a token of yesterday guess nothing, and must not keep people out.
    pub(super) fn wrong(&self, token: &str, now: Instant) -> Result<(), Duration> {
        let print = self.prints.hash_one(token);
        self.counting(now, |window| {
            if !window.shown.contains(&print) {
                window.count(now)?;
                window.shown.push(print);
            }
            Ok(())
        })
    }

    fn counting<T>(&self, now: Instant, count: impl FnOnce(&mut Window) -> T) -> T {
        let mut window = self.window();
        if window.as_ref().is_some_and(|window| now.duration_since(window.since) >= WINDOW) {
            *window = None;
        }
        count(window.get_or_insert_with(|| Window { since: now, tried: 0, shown: Vec::new() }))
    }

    fn window(&self) -> MutexGuard<'_, Option<Window>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn wrong_ones_of_programs_share_the_count_and_one_that_is_shown_again_is_no_other() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for tried in 1..WRONG_MAX {
            assert_eq!(attempts.wrong(&format!("guess {tried}"), now), Ok(()));
        }
        for _ in 0..3 * WRONG_MAX {
            assert_eq!(attempts.wrong("guess 1", now), Ok(()), "it is known to be wrong");
        }
        assert!(attempts.begin(now).is_ok(), "the tenth");
        assert!(attempts.begin(now).is_err() && attempts.wrong("one more", now) == Err(WINDOW));
        assert_eq!(attempts.wrong("guess 1", now), Ok(()));
        for tried in 0..WRONG_MAX {
            assert_eq!(attempts.wrong(&format!("guess {tried}"), now + WINDOW), Ok(()), "the minute is over");
        }
        assert!(attempts.begin(now + WINDOW).is_err(), "those of the minute before count anew");
    }
}
