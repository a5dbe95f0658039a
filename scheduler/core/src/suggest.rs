//! The nearest known word to one that is not known, for error messages.
//!
//! A suggestion that is far off confuses more than none: the shorter the word, the fewer typing errors are forgiven.

use strsim::osa_distance;

/// Longest word for which a neighbour is looked for: nobody mistypes more, and the comparison is quadratic.
const WORD_CHARS_MAX: usize = 64;

/// The candidate that `word` was probably meant to be, or `None` when none is near.
///
/// Letter case does not count. A word of up to 2 letters must be equal but for case, one of 3 to 5 may have one typing
/// error (a letter too many, missing, wrong, or two swapped), a longer one an error for every three letters. Of equally
/// near candidates the first is taken.
///
/// ```
/// use symphra_scheduler_core::nearest;
///
/// assert_eq!(nearest("tiemzone", ["timeout", "timezone"]), Some("timezone"));
/// assert_eq!(nearest("banana", ["timeout", "timezone"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let errors_max = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        chars => chars / 3,
    };
    nearest_within(word, candidates, errors_max).map(|(candidate, _)| candidate)
}

/// The nearest candidate with at most `errors_max` typing errors, and how many there are.
pub(crate) fn nearest_within<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    errors_max: usize,
) -> Option<(&'a str, usize)> {
    if word.is_empty() || word.chars().nth(WORD_CHARS_MAX).is_some() {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= 4 * errors_max)
        .map(|candidate| (candidate, osa_distance(&word, &candidate.to_lowercase())))
        .filter(|&(_, errors)| errors <= errors_max)
        .min_by_key(|&(_, errors)| errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [&str; 4] = ["name", "tags", "timezone", "max_instances"];

    #[test]
    fn a_typing_error_finds_its_word() {
        assert_eq!(nearest("tag", OPTIONS), Some("tags"));
        assert_eq!(nearest("max_instanecs", OPTIONS), Some("max_instances"));
        assert_eq!(nearest("NAME", OPTIONS), Some("name"));
    }

    #[test]
    fn a_strange_word_finds_nothing() {
        assert_eq!(nearest("", OPTIONS), None);
        assert_eq!(nearest("x", OPTIONS), None);
        assert_eq!(nearest("zonetime", OPTIONS), None);
        assert_eq!(nearest(&"a".repeat(100_000), OPTIONS), None);
    }
}
