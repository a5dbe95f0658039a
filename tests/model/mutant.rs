//! What each mutant of the model leaves out: a promise is only shown to hold if the checker sees it fail without what it rests on.

/// One thing that is left out, or done otherwise than the code does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A step does not compare the mark.
    NoMarkCompared,
    /// A step that is repeated after its answer was lost is not recognised.
    RepeatedStepNotRecognised,
    /// The same of a claim.
    RepeatedClaimNotRecognised,
    /// A claim that is repeated gets what it could get now, besides what it had got.
    RepeatedClaimGetsMore,
    /// The store does not look at its clock as it fires.
    EarlyAccepted,
    /// An occurrence that overlaps is dropped, and not recorded.
    OverlapNotRecorded,
    /// Only whether a run is held is asked as it ends, and not under which token.
    NoFencing,
    /// Who takes over a run gets the token that its holder had.
    TokenKept,
    /// What waits to be tried again is claimed under the token that it had.
    TokenKeptByRetry,
    /// A lease that has run out is enough to take a run over.
    NoContactAsked,
    /// A silence breaks no contact.
    SilenceBreaksNothing,
    /// Nobody takes a run over.
    NoHandOver,
    /// A run that may be executed once is taken over like any other.
    OnceTakenOver,
    /// A worker does not look for how long the last heartbeat is good.
    NoTrustWindow,
    /// The trust in a heartbeat is counted from its answer, and not from when it was asked.
    TrustFromAnswer,
    /// After a long silence nobody looks what is still held.
    NoDoubt,
    /// A silence is measured on the node's own clock alone, from question to question.
    SilenceByOwnClock,
    /// Answers that were under way during a long silence are believed.
    LateAnswersBelieved,
    /// A run that is held under two tokens is lost under both if it is under one.
    LostByRunAlone,
    /// To the store, a claim that arrives after it was asked again and answered, and after the next, is a new one.
    OldClaimTaken,
}

impl Mutant {
    pub(crate) const ALL: [Self; 20] = [
        Self::NoMarkCompared,
        Self::RepeatedStepNotRecognised,
        Self::RepeatedClaimNotRecognised,
        Self::RepeatedClaimGetsMore,
        Self::EarlyAccepted,
        Self::OverlapNotRecorded,
        Self::NoFencing,
        Self::TokenKept,
        Self::TokenKeptByRetry,
        Self::NoContactAsked,
        Self::SilenceBreaksNothing,
        Self::NoHandOver,
        Self::OnceTakenOver,
        Self::NoTrustWindow,
        Self::TrustFromAnswer,
        Self::NoDoubt,
        Self::SilenceByOwnClock,
        Self::LateAnswersBelieved,
        Self::LostByRunAlone,
        Self::OldClaimTaken,
    ];
}
