//! How the values of the contract travel in messages: JSON, as they are declared, and these in words of their own.

use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::declared::known_tzdb;
use super::{Holder, text};
use crate::TaskName;
use crate::outcome::BoxError;
use crate::run::RunId;
use crate::schedule::Timetable;

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_uuid().simple().encode_lower(&mut uuid::Uuid::encode_buffer()))
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for TaskName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TaskName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Timetable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text::timetable(self))
    }
}

impl<'de> Deserialize<'de> for Timetable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = text::read_timetable(&String::deserialize(deserializer)?);
        let why = |error: super::BackendError| D::Error::custom(causes(&error.into()));
        read.map(Arc::unwrap_or_clone).map_err(why)
    }
}

fn causes(error: &BoxError) -> String {
    let causes = std::iter::successors(Some(&**error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[derive(Deserialize, Serialize)]
struct HolderWord {
    node: Arc<str>,
    lease_ms: u64,
    tzdb: Box<str>,
}

impl Serialize for Holder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (node, lease_ms) = (Arc::clone(&self.node), text::millis(self.lease));
        HolderWord { node, lease_ms, tzdb: self.tzdb.into() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Holder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let HolderWord { node, lease_ms, tzdb } = HolderWord::deserialize(deserializer)?;
        Ok(Self { node, lease: Duration::from_millis(lease_ms), tzdb: known_tzdb(&tzdb) })
    }
}
