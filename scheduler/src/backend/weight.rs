//! How much goes into one message between nodes.
//!
//! A message that is larger than its broker takes ends the connection by which it comes, and the next one's, which brings it
//! again. So nothing is sent that is too large, and what is many is sent in pieces.

use std::iter::Peekable;

use super::{
    Action, End, Finish, Firing, LetterRow, NamedTask, NewAction, NewJob, NodeRow, Pause, Record, Registered,
    Registration, RunLog, RunRow, Submission,
};

/// When a message is full. Heavy enough that its head costs nothing beside it, and light enough that what has to be escaped in its
/// texts, at most six bytes for one, makes none of it that is [too large](BYTES_MAX).
pub(super) const FULL: usize = 1 << 20;

/// The largest message: a little less than the 16 MiB that RabbitMQ takes since version 4 if nothing is said.
pub(super) const BYTES_MAX: usize = 15 << 20;

/// What goes into a message with others.
pub(super) trait Weigh {
    /// About how many bytes it takes: its texts as they are, and the rest at its largest.
    fn weight(&self) -> usize;
}

/// The items in pieces, each of which is one message.
pub(super) fn pieces<T: Weigh>(mut items: &[T], count_max: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let count = fitting(items.iter().map(Weigh::weight), count_max);
        let (piece, rest) = items.split_at(count);
        items = rest;
        (count > 0).then_some(piece)
    })
}

/// The first items, as many as one message holds; there may be more.
pub(super) fn piece<T: Weigh>(items: &mut Peekable<impl Iterator<Item = T>>, count_max: usize) -> Vec<T> {
    let (mut taken, mut weight) = (Vec::new(), 0);
    while taken.len() < count_max
        && let Some(next) = items.next_if(|next| taken.is_empty() || weight + next.weight() <= FULL)
    {
        weight += next.weight();
        taken.push(next);
    }
    taken
}

/// All items, in pieces.
pub(super) fn all_pieces<T: Weigh>(items: impl Iterator<Item = T>, count_max: usize) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.peekable();
    std::iter::from_fn(move || Some(piece(&mut items, count_max)).filter(|piece| !piece.is_empty()))
}

/// How many of these, from the first on, one message holds: one at least.
fn fitting(weights: impl Iterator<Item = usize>, count_max: usize) -> usize {
    let mut sum = 0;
    let fit = weights.take(count_max).enumerate().take_while(|(place, weight)| {
        sum += weight;
        *place == 0 || sum <= FULL
    });
    fit.count()
}

/// A timetable, which has bounds of its own.
pub(super) const TIMETABLE: usize = 1_000;

fn of(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

impl<T: Weigh> Weigh for Option<T> {
    fn weight(&self) -> usize {
        self.as_ref().map_or(0, Weigh::weight)
    }
}

/// What is told with its place in a list.
impl<P, T: Weigh> Weigh for (P, T) {
    fn weight(&self) -> usize {
        self.1.weight()
    }
}

impl Weigh for Record {
    fn weight(&self) -> usize {
        200 + of(self.note.as_deref())
    }
}

impl Weigh for RunLog {
    fn weight(&self) -> usize {
        40 + self.text.len()
    }
}

impl Weigh for Pause {
    fn weight(&self) -> usize {
        100 + self.by.len() + of(self.reason.as_deref())
    }
}

impl Weigh for Registered {
    fn weight(&self) -> usize {
        600 + TIMETABLE + self.pause.weight() + self.ended.as_ref().map_or(0, |ended| ended.weight())
    }
}

impl Weigh for Registration {
    fn weight(&self) -> usize {
        let group = self.rules.group.as_ref().map_or(0, |group| group.name.len());
        600 + TIMETABLE + self.name.as_str().len() + group
    }
}

impl Weigh for Firing {
    fn weight(&self) -> usize {
        500 + self.passed.weight()
    }
}

impl Weigh for Finish {
    fn weight(&self) -> usize {
        let said = match &self.end {
            End::Final(outcome) => outcome.text().map_or(0, |text| text.len()),
            End::Retry { failure, .. } => failure.len(),
            End::HandBack => 0,
        };
        400 + said + of(self.log.as_deref())
    }
}

impl Weigh for Submission {
    fn weight(&self) -> usize {
        300
    }
}

impl Weigh for RunRow {
    fn weight(&self) -> usize {
        500 + of(self.failure.as_deref()) + of(self.node.as_deref())
    }
}

impl Weigh for NewJob {
    fn weight(&self) -> usize {
        300 + self.arguments.json.len() + self.unique.as_ref().map_or(0, |unique| unique.key.len())
    }
}

impl Weigh for LetterRow {
    fn weight(&self) -> usize {
        400 + self.arguments.json.len() + of(self.failure.as_deref())
    }
}

impl Weigh for NamedTask {
    fn weight(&self) -> usize {
        60 + self.name.as_str().len()
    }
}

impl Weigh for Action {
    fn weight(&self) -> usize {
        let NewAction { actor, task, change, outcome } = &self.told;
        150 + actor.len() + task.as_ref().map_or(0, |task| task.len()) + change.len() + outcome.len()
    }
}

impl Weigh for NodeRow {
    fn weight(&self) -> usize {
        200 + self.node.len() + self.tzdb.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(usize);

    impl Weigh for Item {
        fn weight(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn no_piece_is_too_heavy_or_of_too_many_and_none_is_empty() {
        let items: Vec<Item> = [1, 2 * FULL, 1, FULL / 2, FULL / 2, FULL / 2, 1, 1, 1, 1].map(Item).into();
        let lens: Vec<usize> = pieces(&items, 3).map(<[Item]>::len).collect();
        assert_eq!(lens, [1, 1, 2, 2, 3, 1]);
        let lens: Vec<usize> = all_pieces(items.into_iter(), 3).map(|piece| piece.len()).collect();
        assert_eq!(lens, [1, 1, 2, 2, 3, 1], "in both ways");
        assert_eq!(pieces::<Item>(&[], 3).count(), 0);
    }
}
