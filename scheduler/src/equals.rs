//! Equal values as one: of very many tasks, most are declared alike.
//!
//! Only the last few different values are known, so that looking for an equal one costs as good as nothing; values that are equal may
//! therefore be two, and nobody may go by that they are one.

use std::collections::VecDeque;
use std::sync::Arc;

/// How many values are looked at for one that is equal: programs of very many tasks have few different ones.
const COMPARED_MAX: usize = 8;

/// The last different ones of many values.
pub(crate) struct Equals<T> {
    known: VecDeque<Arc<T>>,
}

impl<T> Default for Equals<T> {
    fn default() -> Self {
        Self { known: VecDeque::new() }
    }
}

impl<T: PartialEq> Equals<T> {
    /// The one value for all that are equal to this.
    pub(crate) fn one(&mut self, value: T) -> Arc<T> {
        if let Some(known) = self.known.iter().find(|known| ***known == value) {
            return Arc::clone(known);
        }
        let value = Arc::new(value);
        self.known.truncate(COMPARED_MAX - 1);
        self.known.push_front(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_as_long_as_there_are_few() {
        let mut equals = Equals::default();
        let first = equals.one(0);
        let others: Vec<_> = (1..COMPARED_MAX).map(|value| equals.one(value)).collect();
        assert!(Arc::ptr_eq(&first, &equals.one(0)));
        assert!(others.iter().all(|other| Arc::ptr_eq(other, &equals.one(**other))));
        equals.one(COMPARED_MAX);
        assert!(!Arc::ptr_eq(&first, &equals.one(0)), "it is not looked for any more");
    }
}
