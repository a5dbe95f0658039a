//! How a program wants its log, as plain data: levels, format, file. Nothing here opens or installs anything.

use std::fmt;
#[cfg(feature = "logging")]
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use symphra_scheduler_core::nearest;
use tracing::level_filters::LevelFilter;

use crate::error::Problem;

/// The upper bound of `files_kept`: a year of hours.
pub(crate) const FILES_KEPT_MAX: usize = 8_784;

/// What a directive of `level` may be.
pub(crate) const LEVELS_ALLOWED: &str = "off, error, warn, info, debug or trace, one for all and one for each target, as in \
                              \"info,sqlx=warn\"";

/// How the log is written.
///
/// `task_success` counts for every scheduler. The rest counts where this crate installs the subscriber:
/// in `logging::init`, and in [`Scheduler::run`](crate::Scheduler::run) if there is none (feature `logging`).
/// Setters do not fail; what is impossible is an error at start.
///
/// ```
/// use symphra_scheduler::SchedulerConfig;
/// use symphra_scheduler::logging::{LogFormat, LoggingConfig, Rotation};
///
/// let logging = LoggingConfig::new()
///     .level("info,sqlx=warn")
///     .format(LogFormat::Json)
///     .file("/var/log/shop/scheduler.log")
///     .rotation(Rotation::Daily)
///     .files_kept(14);
/// let config = SchedulerConfig::new().logging(logging);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggingConfig {
    level: Option<String>,
    format: Option<LogFormat>,
    file: Option<PathBuf>,
    rotation: Option<Rotation>,
    files_kept: Option<usize>,
    task_success: Option<bool>,
}

/// What is written where nothing is said.
const LEVEL: &str = "info";

/// How many files are kept where nothing is said: a week of days.
const FILES_KEPT: usize = 7;

impl LoggingConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is written: a level for all and levels by target, separated by commas, as in `info,sqlx=warn`. Default
    /// `info`; allowed `off`, `error`, `warn`, `info`, `debug`, `trace`. Without a level for all, targets that are not
    /// named are silent. A target stands for all that begin with it; the longest counts.
    #[must_use]
    pub fn level(mut self, directives: impl Into<String>) -> Self {
        self.level = Some(directives.into());
        self
    }

    /// How a line looks. Default [`LogFormat::Compact`].
    #[must_use]
    pub fn format(mut self, format: LogFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Writes to this file instead of standard error. It is created, readable and writable by its owner alone, and added
    /// to. A relative path is one from the folder in which the program was started, for a daemon too.
    ///
    /// On Unix a file is refused that belongs to another user, that others may write to or that has a second name, and
    /// so is what is no regular file, a symbolic link included.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// When the file is put aside, under its name and the hour or day (UTC) in which it began, and a new one begun.
    /// Default [`Rotation::Never`].
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = Some(rotation);
        self
    }

    /// How many files that were put aside are kept. Default 7; allowed 1 to 8,784.
    #[must_use]
    pub fn files_kept(mut self, files: usize) -> Self {
        self.files_kept = Some(files);
        self
    }

    /// Whether runs that succeed are said at INFO instead of DEBUG. Default false.
    #[must_use]
    pub fn task_success(mut self, at_info: bool) -> Self {
        self.task_success = Some(at_info);
        self
    }

    #[cfg(feature = "logging")]
    pub(super) fn wanted_format(&self) -> LogFormat {
        self.format.unwrap_or_default()
    }

    #[cfg(feature = "logging")]
    pub(super) fn wanted_file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    #[cfg(feature = "logging")]
    pub(super) fn wanted_rotation(&self) -> Rotation {
        self.rotation.unwrap_or_default()
    }

    pub(super) fn kept(&self) -> usize {
        self.files_kept.unwrap_or(FILES_KEPT)
    }

    pub(crate) fn says_success(&self) -> bool {
        self.task_success.unwrap_or(false)
    }

    /// The same when the working directory is another.
    #[cfg(all(unix, feature = "daemon"))]
    pub(crate) fn made_absolute(mut self) -> Self {
        // Without a working directory a relative path leads nowhere, which is told when it is opened.
        self.file = self.file.map(|path| std::path::absolute(&path).unwrap_or(path));
        self
    }

    /// The file that is written to, if one is named.
    pub(crate) fn named_file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }

    /// These settings, and where they say nothing, those of `below`.
    #[cfg(feature = "config")]
    pub(crate) fn over(self, below: Self) -> Self {
        Self {
            level: self.level.or(below.level),
            format: self.format.or(below.format),
            file: self.file.or(below.file),
            rotation: self.rotation.or(below.rotation),
            files_kept: self.files_kept.or(below.files_kept),
            task_success: self.task_success.or(below.task_success),
        }
    }

    /// What each key says, to be compared.
    #[cfg(feature = "config")]
    pub(crate) fn said(&self) -> Vec<(&'static str, String)> {
        let Self { level, format, file, rotation, files_kept, task_success } = self;
        vec![
            ("logging.level", format!("{level:?}")),
            ("logging.format", format!("{format:?}")),
            ("logging.file", format!("{file:?}")),
            ("logging.rotation", format!("{rotation:?}")),
            ("logging.files_kept", format!("{files_kept:?}")),
            ("logging.task_success", format!("{task_success:?}")),
        ]
    }

    /// Everything that is impossible in these settings.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = match self.levels() {
            Ok(_) => Vec::new(),
            Err(wrong) => wrong,
        };
        if self.kept() == 0 || self.kept() > FILES_KEPT_MAX {
            let value = self.kept().to_string();
            found.push(Problem::Setting { key: "logging.files_kept", value, allowed: "1 to 8784" });
        }
        found
    }

    /// The directives: a target, or none for all, and its level.
    pub(crate) fn levels(&self) -> Result<Vec<(Option<&str>, LevelFilter)>, Vec<Problem>> {
        let mut known: Vec<(Option<&str>, LevelFilter)> = Vec::new();
        let mut wrong = Vec::new();
        for directive in self.level.as_deref().unwrap_or(LEVEL).split(',').map(str::trim) {
            let (target, word) = match directive.rsplit_once('=') {
                Some((target, word)) => (Some(target.trim_end()), word.trim_start()),
                None => (None, directive),
            };
            let target_is_possible =
                target.is_none_or(|target| !target.is_empty() && !target.contains(['=', ' ', '"']));
            let is_new = known.iter().all(|(other, _)| *other != target);
            match level(word).filter(|_| target_is_possible && is_new) {
                Some(level) => known.push((target, level)),
                None => wrong.push(Problem::Setting {
                    key: "logging.level",
                    value: format!("{directive:?}{}", if is_new { "" } else { ", the second of its kind," }),
                    allowed: LEVELS_ALLOWED,
                }),
            }
        }
        if wrong.is_empty() { Ok(known) } else { Err(wrong) }
    }
}

fn level(word: &str) -> Option<LevelFilter> {
    [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ]
    .into_iter()
    .find_map(|(known, level)| word.eq_ignore_ascii_case(known).then_some(level))
}

/// How a line of the log looks. As a word: `pretty`, `compact`, `json`, `off`.
///
/// ```
/// use symphra_scheduler::logging::LogFormat;
///
/// assert_eq!("json".parse::<LogFormat>()?, LogFormat::Json);
/// # Ok::<(), symphra_scheduler::logging::UnknownWord>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Several lines for each event, for a person who looks.
    Pretty,
    /// One line.
    #[default]
    Compact,
    /// One line of JSON.
    Json,
    /// Nothing is written.
    Off,
}

/// When a log file is put aside. As a word: `never`, `hourly`, `daily`.
///
/// ```
/// use symphra_scheduler::logging::Rotation;
///
/// assert_eq!("daily".parse::<Rotation>()?, Rotation::Daily);
/// # Ok::<(), symphra_scheduler::logging::UnknownWord>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// It grows.
    #[default]
    Never,
    /// At each full hour.
    Hourly,
    /// At midnight, UTC.
    Daily,
}

/// A word that names no [`LogFormat`] or no [`Rotation`].
///
/// ```
/// use symphra_scheduler::logging::LogFormat;
///
/// let error = "jsno".parse::<LogFormat>().unwrap_err();
/// assert!(error.to_string().ends_with("did you mean \"json\"?"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    word: String,
    what: &'static str,
    known: Vec<&'static str>,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no {}; allowed are {}", self.word, self.what, self.known.join(", "))?;
        nearest(&self.word, self.known.iter().copied())
            .map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
    }
}

impl std::error::Error for UnknownWord {}

fn known<T: Copy>(word: &str, what: &'static str, all: &[(&'static str, T)]) -> Result<T, UnknownWord> {
    all.iter().find(|(known, _)| *known == word).map(|&(_, value)| value).ok_or_else(|| UnknownWord {
        word: word.into(),
        what,
        known: all.iter().map(|&(known, _)| known).collect(),
    })
}

impl LogFormat {
    /// Every word, and what it stands for.
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("pretty", Self::Pretty), ("compact", Self::Compact), ("json", Self::Json), ("off", Self::Off)];
}

impl Rotation {
    /// Every word, and what it stands for.
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("never", Self::Never), ("hourly", Self::Hourly), ("daily", Self::Daily)];
}

impl FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        known(word, "format of the log", Self::WORDS)
    }
}

impl FromStr for Rotation {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        known(word, "rotation", Self::WORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(directives: &str) -> Vec<String> {
        LoggingConfig::new().level(directives).problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn levels_are_one_for_all_and_one_for_each_target() {
        let settings = LoggingConfig::new().level("info, sqlx = warn,my::shop=TRACE,noisy=off");
        let levels = settings.levels().unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(
            levels,
            [
                (None, LevelFilter::INFO),
                (Some("sqlx"), LevelFilter::WARN),
                (Some("my::shop"), LevelFilter::TRACE),
                (Some("noisy"), LevelFilter::OFF),
            ]
        );
        assert!(LoggingConfig::new().problems().is_empty(), "the defaults are possible");
    }

    #[test]
    fn each_wrong_directive_is_named_with_what_is_allowed() {
        let said = said("loud,sqlx=,=warn,info,sqlx=warn,sqlx=info,a=b=info,");
        for (part, line) in
            [r#""loud""#, r#""sqlx=""#, r#""=warn""#, r#""sqlx=info", the second"#, r#""a=b=info""#, r#""""#]
                .iter()
                .zip(&said)
        {
            assert!(line.starts_with(&format!("logging.level = {part}")), "{part}: {line}");
            assert!(line.contains("allowed is off, error, warn, info, debug or trace"), "{line}");
        }
        assert_eq!(said.len(), 6, "{said:?}");
    }

    #[test]
    fn at_least_one_file_that_was_put_aside_is_kept() {
        for (files, is_possible) in [(0, false), (1, true), (8_784, true), (8_785, false)] {
            assert_eq!(LoggingConfig::new().files_kept(files).problems().is_empty(), is_possible, "{files}");
        }
    }

    #[test]
    fn formats_and_rotations_are_words() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("hourly".parse(), Ok(Rotation::Hourly));
        let wrong = "jsn".parse::<LogFormat>().map_err(|wrong| wrong.to_string());
        let says = r#""jsn" is no format of the log; allowed are pretty, compact, json, off; did you mean "json"?"#;
        assert_eq!(wrong, Err(says.to_owned()));
        assert!("weekly".parse::<Rotation>().is_err_and(|wrong| wrong.to_string().contains("never, hourly, daily")));
    }
}
