//! Dead letters of a store: listed, run again and dropped, whether or not a program runs on it.

use std::collections::HashMap;

use super::super::answer::{COUNT_MAX, run_id};
use super::super::view::LetterView;
use super::Stored;
use crate::backend::{LetterQuery, TaskKey};
use crate::error::Error;
use crate::handle::{Again, DeadLetter, again, has_jobs, no_letter};
use crate::task::TaskName;

impl Stored {
    pub(super) async fn letters(&self, task: Option<&str>, count: usize) -> Result<Vec<LetterView>, Error> {
        has_jobs(&*self.backend)?;
        let query =
            LetterQuery { task: self.key_of(task)?, limit: Some(count.min(COUNT_MAX)), ..LetterQuery::default() };
        let names: HashMap<TaskKey, &TaskName> = self.names.iter().map(|task| (task.key, &task.name)).collect();
        let letters = self.backend.dead_letters(&query).await?.into_iter().filter_map(|row| {
            let name = (*names.get(&row.task)?).clone();
            Some(LetterView::of(&DeadLetter::of(name, row), self.zone))
        });
        Ok(letters.collect())
    }

    /// The run that the letter becomes; or the one that is alive under its key, and then the letter stays.
    pub(super) async fn run_again(&self, letter: &str) -> Result<Again, Error> {
        has_jobs(&*self.backend)?;
        let (letter, id) = (run_id(letter)?, self.new_id());
        again(letter, id, self.backend.run_again(letter, id).await?)
    }

    pub(super) async fn drop_letter(&self, letter: &str) -> Result<(), Error> {
        has_jobs(&*self.backend)?;
        let letter = run_id(letter)?;
        match self.backend.drop_letter(letter).await? {
            true => Ok(()),
            false => Err(no_letter(letter)),
        }
    }
}
