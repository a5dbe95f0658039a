//! A configuration file: which one, in which format, and its values with the lines on which they stand.
//!
//! The formats are read into the values of the `config` crate; the origin of a value is its line. Nothing here knows what
//! the keys mean.

mod json;
mod toml;
mod yaml;

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::config::{File, FileStoredFormat, Map, Source as _, Value};

use super::error::ConfigProblem;
use crate::task::Place;

/// The largest file that is read: what is larger is no configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How deep values may be nested: the deepest that mean something are four.
const DEPTH_MAX: usize = 32;

/// The names under which a configuration is looked for, the first that exists being read.
const FOUND: [&str; 4] = ["scheduler.yaml", "scheduler.yml", "scheduler.toml", "scheduler.json"];

/// A text that its format does not allow.
#[derive(Debug)]
struct Malformed {
    line: u32,
    says: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.says)
    }
}

impl StdError for Malformed {}

/// A key that stands twice in one table.
fn repeated(key: &str, first: u32, second: u32) -> Malformed {
    Malformed { line: second, says: format!("the key {key:?} stands twice, first on line {first}; keep one of them") }
}

fn too_deep(line: u32) -> Malformed {
    Malformed { line, says: format!("values are nested more than {DEPTH_MAX} deep") }
}

/// The file in `folder` that is read where none is named. A link that leads nowhere is one, and cannot be read: nobody meant
/// the program to start without it.
pub(super) fn found_in(folder: &Path) -> Option<PathBuf> {
    FOUND.iter().map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_ok())
}

/// The values of a file, the origin of each being its line.
pub(super) fn values(path: &Path) -> Result<Map<String, Value>, ConfigProblem> {
    let wrong = |says: String| ConfigProblem::of_file(path, says);
    let text = text(path).map_err(wrong)?;
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("yaml" | "yml") => collected(path, &text, yaml::Yaml),
        Some("toml") => collected(path, &text, toml::Toml),
        Some("json") => collected(path, &text, json::Json),
        _ => Err(wrong("its format is not known; name it .yaml, .yml, .toml or .json".into())),
    }
}

fn text(path: &Path) -> Result<String, String> {
    let unread = |error: std::io::Error| format!("it cannot be read: {error}");
    let kind = std::fs::metadata(path).map_err(unread)?;
    if !kind.is_file() {
        return Err("it is no file".into());
    }
    if kind.len() > FILE_BYTES_MAX {
        return Err(format!("it has {} bytes, and a configuration has at most {FILE_BYTES_MAX}", kind.len()));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        format!("it is not UTF-8 from line {line} on; save it in UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn collected<F: FileStoredFormat + fmt::Debug + Clone + Send + Sync + 'static>(
    path: &Path,
    text: &str,
    format: F,
) -> Result<Map<String, Value>, ConfigProblem> {
    File::from_str(text, format).collect().map_err(|error| {
        let malformed = match &error {
            ::config::ConfigError::FileParse { cause, .. } => cause.downcast_ref::<Malformed>(),
            _ => None,
        };
        match malformed {
            Some(Malformed { line, says }) => ConfigProblem::at(Place::Line(Arc::from(path), *line), "", says.as_str()),
            None => ConfigProblem::of_file(path, error.to_string()),
        }
    })
}

/// Where each line of a text begins, to tell the line of a place in it.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The line of the byte at `at`, counted from 1.
    fn line(&self, at: usize) -> u32 {
        u32::try_from(self.0.partition_point(|&start| start <= at)).unwrap_or(u32::MAX)
    }
}

/// A value that stands on `line`.
fn value(line: u32, kind: impl Into<::config::ValueKind>) -> Value {
    Value::new(Some(&line.to_string()), kind)
}

/// The line of a value that was read here.
pub(super) fn line_of(value: &Value) -> u32 {
    value.origin().and_then(|line| line.parse().ok()).unwrap_or(1)
}
