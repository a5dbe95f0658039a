//! Sessions of those who have shown the token on a page: a cookie that says nothing, and is worth nothing after a restart.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::{self, HeaderMap};
use subtle::ConstantTimeEq;

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
    pub(in crate::dashboard) fn begin(&self) -> Result<String, getrandom::Error> {
        let mut bytes = [0; ID_BYTES];
        getrandom::fill(&mut bytes)?;
        let id = bytes.iter().fold(String::with_capacity(2 * ID_BYTES), |mut id, byte| {
            write!(id, "{byte:02x}").expect("a text takes everything");
            id
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(SESSIONS_MAX - 1);
        all.push_front((id.clone(), Instant::now()));
        Ok(id)
    }

    pub(super) fn has(&self, id: &str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, since)| since.elapsed() < LASTS);
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
