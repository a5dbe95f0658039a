//! Whether a store makes its tables. A word that settings and stores share, so that neither has to know the other.

/// Whether a store's tables are brought up to date when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Migrate {
    /// They are: what is missing is made.
    #[default]
    Auto,
    /// They are not; where something is missing, opening the store fails. For programs without the right to make tables.
    Check,
}

impl Migrate {
    /// The words for it in a configuration.
    #[cfg(feature = "config")]
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("check", Self::Check)];
}
