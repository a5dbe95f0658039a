//! Sessions of those who have shown the token on a page: a cookie that says nothing, and is worth nothing after a restart.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{self, HeaderMap};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// How many there may be; the next one ends the oldest.
const SESSIONS_MAX: usize = 256;

/// How long one lasts: a working day.
const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// How many random bytes name one.
const ID_BYTES: usize = 32;

/// The sessions that last.
#[derive(Default)]
pub(in crate::dashboard) struct Sessions(Mutex<VecDeque<(String, Instant)>>);

impl Sessions {
    /// A new one; an error if the system gives no random bytes.
    pub(in crate::dashboard) fn begin(&self, now: Instant) -> Result<String, getrandom::Error> {
        let mut bytes = [0; ID_BYTES];
        getrandom::fill(&mut bytes)?;
        let id = bytes.iter().fold(String::with_capacity(2 * ID_BYTES), |mut id, byte| {
            write!(id, "{byte:02x}").expect("a text takes everything");
            id
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(SESSIONS_MAX - 1);
        all.push_front((id.clone(), now));
        Ok(id)
    }

    pub(super) fn has(&self, id: &str, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, since)| now.duration_since(*since) < LASTS);
        all.iter().any(|(known, _)| known.as_bytes().ct_eq(id.as_bytes()).into())
    }

    pub(in crate::dashboard) fn end(&self, id: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(known, _)| !bool::from(known.as_bytes().ct_eq(id.as_bytes())));
    }
}

/// The value of a cookie.
pub(in crate::dashboard) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_a_working_day() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.begin(now).expect("there are random bytes");
        assert!(sessions.has(&id, now) && sessions.has(&id, now + LASTS - Duration::from_secs(1)));
        assert!(!sessions.has("", now) && !sessions.has(&id[1..], now));
        assert!(!sessions.has(&id, now + LASTS));
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let ids: Vec<String> =
            (0..=SESSIONS_MAX).map(|_| sessions.begin(now).expect("there are random bytes")).collect();
        assert!(!sessions.has(&ids[0], now));
        assert!(ids[1..].iter().all(|id| sessions.has(id, now)));
    }
}
