//! What travels between the engine and a backend: plain values, one per task or run of a batch.
//!
//! The values that a backend is given, and the answers it chooses from, are not `#[non_exhaustive]`: a backend has to heed
//! every one of them, so a new one must not pass unseen.

mod claims;
mod firing;
mod listed;
mod submitted;

pub(super) use claims::ClaimTurn;
pub use claims::{Claim, Claimed, Claims, End, Finish, Holding, RunLog, Stored};
pub use firing::{Admission, Firing, Hold, NewRun, Refusal};
pub use listed::{NamedTask, NodeRow, Presence, RunQuery, RunRow};
pub use submitted::{Submission, Submitted, TRIGGERS_WAITING_MAX};

/// The fencing token of a claim: each claim of a run has a higher one, and only the highest may finish it.
///
/// ```
/// use symphra_scheduler::backend::Token;
///
/// let (held, present) = (Token(3), Token(4));
/// assert!(held < present, "somebody has claimed the run since: it is theirs");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "rabbitmq", derive(serde::Deserialize, serde::Serialize))]
pub struct Token(pub u64);
