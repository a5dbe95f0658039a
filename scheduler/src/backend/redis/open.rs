//! Whether a Redis can be a store, and the version of what it keeps.

use std::fmt;

use redis::cmd;
use serde::Deserialize;
use serde_json::json;

use super::store::{Failed, Store};
use crate::migrate::Migrate;

/// The version of the keys that this program knows, and the oldest that a program must know to work on them. A program that
/// knows no jobs (version 1) would end their runs without a dead letter, keep their keys for ever, and take a task of which
/// jobs wait for one that has nothing to claim.
const KNOWN: i64 = 2;
const ADMITS: i64 = 2;

/// The one policy under which Redis gives up nothing of a store.
const POLICY: &str = "noeviction";

/// Why a store cannot be used as it is.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Redis may give up keys where its memory is full.
    Evicts(String),
    /// Nobody says whether it may.
    Unknown,
    /// A newer program has changed the keys, and says that this one is too old for them.
    TooNew { reached: i64, admits: i64 },
    /// There is nothing yet, and this program may not make it.
    Missing { reached: i64 },
}

impl Refused {
    /// The version of the store, if a program that may do so would bring it up to date.
    #[cfg(feature = "cli")]
    pub(crate) const fn version_below(&self) -> Option<i64> {
        match self {
            Self::Missing { reached } => Some(*reached),
            Self::Evicts(_) | Self::Unknown | Self::TooNew { .. } => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicts(policy) => write!(
                f,
                "its maxmemory-policy is {policy:?}, under which Redis gives up keys where its memory is full, marks and runs \
                 among them; allowed is {POLICY:?}: CONFIG SET maxmemory-policy {POLICY}, and the same in redis.conf"
            ),
            Self::Unknown => f.write_str(
                "it does not tell its maxmemory-policy; allow the user the command INFO, or CONFIG GET, for a store needs \
                 \"noeviction\"",
            ),
            Self::TooNew { reached, admits } => write!(
                f,
                "its keys are at version {reached}, on which programs work that know version {admits} or later, and this one \
                 knows {KNOWN}: use a newer symphra-scheduler, or another namespace"
            ),
            Self::Missing { reached: 0 } => f.write_str(
                "it has no keys of this namespace, and with migrate = \"check\" none are made: run the command `migrate`, or \
                 use migrate = \"auto\"",
            ),
            Self::Missing { reached } => write!(
                f,
                "its keys are at version {reached} and this program needs {KNOWN}, and with migrate = \"check\" it makes \
                 nothing: run the command `migrate`, or use migrate = \"auto\""
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// What a store says of itself.
#[derive(Deserialize)]
struct Told {
    policy: Option<String>,
    reached: i64,
    admits: i64,
}

impl Store {
    /// Makes what is missing, if that may be, where Redis can be a store.
    pub(super) async fn open(&self, how: Migrate) -> Result<Result<(), Refused>, Failed> {
        let mut asked = json!({ "known": KNOWN, "admits": ADMITS });
        let Told { policy, reached, admits } = self.call("open", &asked).await?;
        let policy = match policy {
            None => self.policy().await,
            told => told,
        };
        match policy {
            Some(policy) if policy == POLICY => {}
            Some(policy) => return Ok(Err(Refused::Evicts(policy))),
            None => return Ok(Err(Refused::Unknown)),
        }
        if admits > KNOWN {
            return Ok(Err(Refused::TooNew { reached, admits }));
        }
        if reached >= KNOWN {
            return Ok(Ok(()));
        }
        if how == Migrate::Check {
            return Ok(Err(Refused::Missing { reached }));
        }
        // What tells the store that is made from all that were here before.
        asked["make"] = uuid::Uuid::from_u128(fastrand::u128(..)).simple().to_string().into();
        let _: Told = self.call("open", &asked).await?;
        Ok(Ok(()))
    }

    /// The policy, by the other command that tells it.
    async fn policy(&self) -> Option<String> {
        let get = || cmd("CONFIG").arg("GET").arg("maxmemory-policy").take();
        let told: Vec<String> = self.link.ask(get).await.ok()?;
        told.into_iter().nth(1)
    }
}
