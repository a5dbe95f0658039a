//! The store that a command asks, if the program's backend keeps anything beyond its process.

use std::sync::Arc;

use serde::Serialize;

use super::args::StoreArgs;
use super::{Failure, Output};
use crate::backend::Backend;
use crate::clock::Clock;
use crate::config::{BackendConfig, Read, SchedulerConfig};
use crate::error::Error;
use crate::launch;
use crate::migrate::Migrate;
use crate::scheduler::Scheduler;

/// Where what commands ask about is kept.
#[derive(Debug)]
pub(super) enum Store {
    /// Nowhere: the running program alone knows.
    None,
    /// In a store that the program has opened.
    Open(Arc<dyn Backend>),
    /// In the store that settings name.
    Named(Box<BackendConfig>),
}

impl Store {
    /// That of a program.
    pub(super) fn of(scheduler: &Scheduler) -> Self {
        match scheduler.set_backend() {
            Some(backend) if backend.capabilities().durable => Self::Open(backend),
            Some(_) => Self::None,
            None => Self::named(scheduler.settings().backend.clone()),
        }
    }

    fn named(backend: BackendConfig) -> Self {
        if backend.is_durable() { Self::Named(Box::new(backend)) } else { Self::None }
    }

    /// That which the command line of `symphra` names, or else a file or the environment.
    pub(super) fn of_arguments(args: StoreArgs, output: &Output) -> Result<Self, Failure> {
        let read = match &args.config {
            Some(file) => {
                let Read { config, wrong, .. } = SchedulerConfig::read_what_is_right(Some(file));
                wrong.map_or(Ok(config), Err)
            }
            None => SchedulerConfig::from_env(),
        };
        let read = read.map_err(Error::from)?.backend;
        let mut backend = if args.url.is_some() { read.anywhere() } else { read };
        if let Some(url) = args.url {
            backend = backend.url(url);
            if backend.tells_password() {
                output.note(
                    "others on this machine can read a password that stands in the arguments; let SCHEDULER_BACKEND_URL or \
                     a file (--config) say the URL",
                );
            }
        }
        if let Some(namespace) = args.namespace {
            backend = backend.namespace(namespace);
        }
        let problems = backend.problems();
        if !problems.is_empty() {
            return Err(Error::start(problems.into_iter().map(Into::into).collect()).into());
        }
        if backend.is_durable() && backend.namespace_name().is_none() {
            let says = "which program of that store? name its namespace with --namespace; without another, it is the name of \
                        the program's file";
            return Err(Failure::Usage(says.to_owned()));
        }
        Ok(Self::named(backend))
    }

    pub(super) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Opens it as it is: a command that asks makes nothing.
    pub(super) async fn open(&self) -> Result<Option<Arc<dyn Backend>>, Error> {
        Ok(match self {
            Self::None => None,
            Self::Open(backend) => Some(Arc::clone(backend)),
            Self::Named(config) => {
                Some(launch::open(&(**config).clone().migrate(Migrate::Check), &Clock::default()).await?)
            }
        })
    }

    /// Makes its tables, or brings them up to date.
    pub(super) async fn migrate(&self, backend: &'static str, output: &Output) -> Result<u8, Failure> {
        let (changes, says) = match self {
            Self::None => {
                (false, format!("the backend {backend} keeps nothing beyond its process: there is nothing to migrate"))
            }
            Self::Open(_) => {
                (false, format!("the program opens its {backend} store itself, and that brings it up to date"))
            }
            Self::Named(config) => {
                launch::open(&(**config).clone().migrate(Migrate::Auto), &Clock::default()).await?;
                (true, format!("the tables of {} are up to date", config.place()))
            }
        };
        output.show(&Migrated { backend, up_to_date: changes }, |_, _| says);
        Ok(0)
    }

    /// Where it is, the password masked.
    #[cfg(feature = "dashboard")]
    pub(super) fn place(&self) -> String {
        match self {
            Self::None | Self::Open(_) => self.backend().to_owned(),
            Self::Named(config) => config.place(),
        }
    }

    /// The program in it, if it is known by that.
    #[cfg(feature = "dashboard")]
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::None | Self::Open(_) => None,
            Self::Named(config) => config.namespace_name(),
        }
    }

    /// The kind of store, by name.
    pub(super) fn backend(&self) -> &'static str {
        match self {
            Self::None => "memory",
            Self::Open(backend) => backend.name(),
            Self::Named(config) => config.kind().name(),
        }
    }
}

/// What `migrate` prints as JSON.
#[derive(Serialize)]
struct Migrated {
    backend: &'static str,
    /// Whether there are tables, which now are as this program needs them.
    up_to_date: bool,
}
