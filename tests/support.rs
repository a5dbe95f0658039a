//! What the black-box tests share: servers, requests as they are written, when those under virtual time begin, and the examples of the book, each of
//! which compiles.

pub mod samples;
pub mod services;
pub mod shown;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use symphra_scheduler::Timestamp;
use symphra_scheduler::test_util::Instant;

/// When every test under virtual time begins.
pub const START: &str = "2026-06-01T09:00:00Z";

/// A request as it is written on the line, of which the connection ends with the answer. `Host` is `host` unless one of the
/// headers is another.
#[must_use]
pub fn http_request(method: &str, path: &str, host: &str, headers: &[(&str, &str)], body: &str) -> String {
    let length = body.len().to_string();
    let own = [("Connection", "close"), ("Content-Length", &*length), ("Host", host)];
    let own = own.iter().filter(|(name, _)| headers.iter().all(|(other, _)| other != name));
    let headers: String = own.chain(headers).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\n{headers}\r\n{body}")
}

/// The folder of the built examples. They are built once, by the cargo and into the target folder of the test that asks.
///
/// # Panics
/// If they do not build.
pub fn examples() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // <target>/<profile>/deps/<the test>
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test.parent().and_then(Path::parent).expect("tests stand in a profile's folder").to_path_buf();
        let target = profile.parent().expect("a profile's folder stands in the target folder");
        let mut build = Command::new(env!("CARGO"));
        // As the tests themselves are built: with other features everything would be compiled once more.
        build.args(["build", "--quiet", "--locked", "--offline", "--workspace", "--all-features", "--bins"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        build.arg("--target-dir").arg(target).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        assert!(build.status().expect("cargo, which runs the test, can be run").success(), "the examples build");
        profile
    })
}

/// How many milliseconds after [`START`] an instant lies.
pub fn millis(instant: impl Into<Timestamp>) -> i64 {
    instant.into().as_millis() - START.instant().as_millis()
}

/// How many whole seconds after [`START`] an instant lies.
///
/// # Panics
/// If it is no whole number of them.
pub fn second(instant: impl Into<Timestamp>) -> i64 {
    let millis = millis(instant);
    assert_eq!(millis % 1_000, 0, "{millis} ms after the start is no whole second");
    millis / 1_000
}

/// So many seconds.
#[must_use]
pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[cfg(doctest)]
#[doc = include_str!("../docs/en/introduction.md")]
pub struct Introduction;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/guarantees.md")]
pub struct Guarantees;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/proof.md")]
pub struct Proof;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/performance.md")]
pub struct Performance;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/comparison.md")]
pub struct Comparison;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/options.md")]
pub struct Options;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/state.md")]
pub struct StateAndArguments;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/jobs.md")]
pub struct Jobs;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/control.md")]
pub struct Control;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/configuration.md")]
pub struct Configuration;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/settings.md")]
pub struct AllSettings;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/backends.md")]
pub struct Backends;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/plan.md")]
pub struct Plan;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/logging.md")]
pub struct Logging;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/dashboard.md")]
pub struct DashboardPage;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/metrics.md")]
pub struct Metrics;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/inside.md")]
pub struct InsideOtherPrograms;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/running.md")]
pub struct Running;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/cli.md")]
pub struct CommandLine;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/testing.md")]
pub struct Testing;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/start.md")]
pub struct Start;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/schedules.md")]
pub struct Schedules;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/occurrences.md")]
pub struct Occurrences;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/kubernetes.md")]
pub struct Kubernetes;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/choosing.md")]
pub struct Choosing;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/practices.md")]
pub struct Practices;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/upgrading.md")]
pub struct Upgrading;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/troubleshooting.md")]
pub struct Troubleshooting;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/from-tokio-cron-scheduler.md")]
pub struct FromTokioCronScheduler;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/from-apalis.md")]
pub struct FromApalis;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/from-python.md")]
pub struct FromPython;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/from-apscheduler.md")]
pub struct FromApscheduler;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/from-celery-beat.md")]
pub struct FromCeleryBeat;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/from-quartz.md")]
pub struct FromQuartz;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
