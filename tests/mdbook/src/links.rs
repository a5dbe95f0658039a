//! Links of a page that leave the book.

use std::path::{Component, Path, PathBuf};

/// The text of a page in `folder`, of which links to files of the repository that are in no book lead to its address.
pub(crate) fn lead_out(page: &str, folder: &Path, root: &Path) -> String {
    let mut text = String::with_capacity(page.len());
    // What stands between fences, every other piece, is code.
    for (number, piece) in page.split("```").enumerate() {
        if number > 0 {
            text.push_str("```");
        }
        if number % 2 == 1 {
            text.push_str(piece);
            continue;
        }
        let mut parts = piece.split("](");
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            text.push_str("](");
            match outside(part, folder, root) {
                Some((address, rest)) => text.extend([&*address, rest]),
                None => text.push_str(part),
            }
        }
    }
    text
}

/// Where a link leads whose target begins `link`, and what stands behind the target, if that is a file in no book.
fn outside<'a>(link: &'a str, folder: &Path, root: &Path) -> Option<(String, &'a str)> {
    let target = link.split([')', '#']).next().filter(|target| target.starts_with("../"))?;
    let file = normal(&folder.join(target));
    let file = file.strip_prefix(root).ok()?;
    let in_a_book = ["docs/en", "docs/zh", "docs/images"].iter().any(|book| file.starts_with(book));
    let address = || format!("{}/blob/main/{}", env!("CARGO_PKG_REPOSITORY"), file.display());
    (!in_a_book).then(|| (address(), &link[target.len()..]))
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}
