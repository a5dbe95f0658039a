//! Whether a store makes its tables. A word that settings and stores share, so that neither has to know the other.

/// Whether a store's tables are brought up to date when it is opened.
///
/// ```no_run
/// use symphra_scheduler::{Migrate, SqliteBackend};
///
/// # async fn open() -> Result<(), symphra_scheduler::Error> {
/// // `symphra migrate` has made the tables; this program may not.
/// let backend = SqliteBackend::options().migrate(Migrate::Check).connect("sqlite://scheduler.db").await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
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
