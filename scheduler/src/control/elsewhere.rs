//! Where there is no Unix there is no control socket, and this says so.

use super::{Answer, Question};
use crate::error::Error;
use crate::handle::SchedulerHandle;

fn unsupported() -> Error {
    Error::refused("a running program is reached through a control socket, which needs Unix")
}

pub(crate) struct Server;

impl Server {
    /// That there is none here is no fault of the program's.
    pub(crate) fn hindrance(_: &str) -> Option<Error> {
        None
    }

    pub(crate) async fn open(_: &str, _: &SchedulerHandle) -> Result<Self, Error> {
        Err(unsupported())
    }

    pub(crate) async fn close(self) {}
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) pid: u32,
}

impl Connection {
    pub(crate) async fn ask(self, _: &Question, _: impl FnMut(usize, usize)) -> Result<Answer, Error> {
        Err(unsupported())
    }
}

pub(crate) async fn find(_: &str, _: Option<u32>) -> Result<Vec<Connection>, Error> {
    Err(unsupported())
}

impl super::answer::Actor {
    /// Who runs this process.
    pub(super) fn of_process() -> Self {
        Self::named("cli".into())
    }
}
