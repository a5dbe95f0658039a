//! `--name value` pairs: all that these programs take.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use crate::Failure;

/// The pairs that a program was given. What is asked for is taken out; what is left over is a mistake.
#[derive(Debug)]
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Reads `--name value` pairs.
    ///
    /// # Errors
    /// A word that is no `--name`, a name without a value, a name given twice.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut words = words;
        let mut pairs = BTreeMap::new();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                return Err(format!("unexpected argument {word:?}; write --name value").into());
            };
            let value = words.next().ok_or_else(|| format!("--{name} wants a value"))?;
            if pairs.insert(name.to_owned(), value).is_some() {
                return Err(format!("--{name} is given twice").into());
            }
        }
        Ok(Self(pairs))
    }

    /// Takes the value of `--name`, if it was given.
    ///
    /// # Errors
    /// The value is not a `T`.
    pub fn take<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.0.remove(name) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|error| format!("--{name} {value}: {error}").into())
    }

    /// Takes the comma-separated values of `--name`, if it was given.
    ///
    /// # Errors
    /// A value is not a `T`.
    pub fn take_list<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<Vec<T>>, Failure> {
        let Some(values) = self.0.remove(name) else {
            return Ok(None);
        };
        let parse = |value: &str| value.parse().map_err(|error| format!("--{name} {value}: {error}").into());
        values.split(',').map(parse).collect::<Result<_, _>>().map(Some)
    }

    /// Refuses what nobody asked for.
    ///
    /// # Errors
    /// A name is left over.
    pub fn finish(self) -> Result<(), Failure> {
        match self.0.keys().next() {
            Some(name) => Err(format!("unknown option --{name}").into()),
            None => Ok(()),
        }
    }
}
