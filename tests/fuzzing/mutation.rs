//! Inputs made of others: bytes changed, pieces dropped, doubled and brought in from elsewhere, numbers put at their limits.
//!
//! Invariant: the same seed makes the same inputs of the same seeds.

use fastrand::Rng;

/// The longest input that is made.
const BYTES_MAX: usize = 4_096;

/// How many changes one input has at most.
const CHANGES_MAX: usize = 6;

/// What has often been a mistake.
const ODD: [&str; 24] = [
    "",
    "0",
    "1",
    "-1",
    "59",
    "60",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e999",
    "NaN",
    "null",
    "\"",
    "\\",
    "\u{0}",
    "é",
    "${HOST}",
    "%00",
    "<fuzz>",
];

pub(crate) struct Mutation<'a> {
    rng: Rng,
    seeds: &'a [Vec<u8>],
    /// Words and numbers that stand in the seeds, and what stands between them.
    words: Vec<&'a [u8]>,
}

impl<'a> Mutation<'a> {
    pub(crate) fn new(seed: u64, seeds: &'a [Vec<u8>]) -> Self {
        let words = seeds.iter().flat_map(|seed| seed.chunk_by(|a, b| is_word(*a) == is_word(*b)));
        Self { rng: Rng::with_seed(seed), seeds, words: words.chain(ODD.iter().map(|odd| odd.as_bytes())).collect() }
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.seeds[self.rng.usize(..self.seeds.len())].clone();
        for _ in 0..self.rng.usize(1..=CHANGES_MAX) {
            self.change(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.span(input);
        match self.rng.u8(..10) {
            0 if from < input.len() => input[from] ^= 1 << self.rng.u8(..8),
            1 if from < input.len() => input[from] = self.rng.u8(..),
            2 => input.insert(from, self.rng.u8(..)),
            3 => drop(input.drain(from..to)),
            4 => {
                let again = input[from..to].to_vec();
                input.splice(to..to, again);
            }
            5 => {
                let other = &self.seeds[self.rng.usize(..self.seeds.len())];
                let (start, end) = self.span(other);
                input.splice(from..to, other[start..end].iter().copied());
            }
            6 => {
                let odd = ODD[self.rng.usize(..ODD.len())].as_bytes();
                input.splice(from..from, odd.iter().copied());
            }
            // A whole word, so that what is around it is still understood.
            _ => {
                let (start, end) = word_at(input, from);
                let word = self.words[self.rng.usize(..self.words.len())];
                input.splice(start..end, word.iter().copied());
            }
        }
    }

    /// A short piece, mostly.
    fn span(&mut self, of: &[u8]) -> (usize, usize) {
        let from = self.rng.usize(..=of.len());
        let length = if self.rng.u8(..4) == 0 { of.len() } else { 8 };
        (from, (from + self.rng.usize(..=length)).min(of.len()))
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The word, or what stands between two, around a byte.
fn word_at(input: &[u8], at: usize) -> (usize, usize) {
    let Some(kind) = input.get(at).map(|&byte| is_word(byte)) else { return (at, at) };
    let start = input[..at].iter().rposition(|&byte| is_word(byte) != kind).map_or(0, |before| before + 1);
    let end = input[at..].iter().position(|&byte| is_word(byte) != kind).map_or(input.len(), |after| at + after);
    (start, end)
}
