//! What pages show of what commands print, held against what they do print.

/// How long the id of a run is.
const ID_BYTES: usize = 36;

/// Whether `says` is as `sample` has it, in which `…` stands for anything in a line, and alone for any number of lines.
#[must_use]
pub fn is_as(sample: &str, says: &str) -> bool {
    let says: Vec<String> = says.lines().map(plain).collect();
    let mut from = 0;
    let mut anywhere = false;
    for line in sample.lines().map(plain) {
        if line == "…" {
            anywhere = true;
            continue;
        }
        let found = says[from..].iter().position(|said| plain_is_as(&line, said));
        match found {
            Some(0) => from += 1,
            Some(skipped) if anywhere => from += skipped + 1,
            _ => return false,
        }
        anywhere = false;
    }
    anywhere || from == says.len()
}

/// Whether one line is as that of a sample.
#[must_use]
pub fn line_is_as(sample: &str, said: &str) -> bool {
    plain_is_as(&plain(sample), &plain(said))
}

fn plain_is_as(sample: &str, said: &str) -> bool {
    let mut rest = said;
    for (number, part) in sample.split('…').map(str::trim).enumerate() {
        let Some(at) = rest.find(part) else { return false };
        if number == 0 && at > 0 {
            return false;
        }
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || sample.ends_with('…')
}

/// A line without what is another each time: each number is 0, each id is ID, and columns are one space apart.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let (id, rest) = word.split_at_checked(ID_BYTES).unwrap_or(("", word));
        if !id.is_empty() && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) {
            return format!("ID{rest}");
        }
        let mut plain = String::new();
        for character in word.chars() {
            // The fraction of a second is left out where it is none.
            let is_number = character.is_ascii_digit() || character == '.';
            match is_number && plain.ends_with('0') {
                true => {}
                false if character.is_ascii_digit() => plain.push('0'),
                false => plain.push(character),
            }
        }
        plain
    });
    words.collect::<Vec<_>>().join(" ")
}
