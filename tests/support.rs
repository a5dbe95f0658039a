//! What the black-box tests share: servers, and the examples of the book, each of which compiles.

pub mod services;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/options.md")]
pub struct Options;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/state.md")]
pub struct StateAndArguments;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/control.md")]
pub struct Control;

#[cfg(doctest)]
#[doc = include_str!("../docs/en/configuration.md")]
pub struct Configuration;

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
#[doc = include_str!("../README.md")]
pub struct Readme;
