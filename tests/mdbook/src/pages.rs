//! What has to be so of the pages: before a book is built, all of them are listed; after it, their links lead somewhere, and what is
//! bold is shown so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mdbook_driver::MDBook;
use mdbook_driver::book::BookItem;

use crate::Result;

/// Each page in the folder is in the summary, once.
pub(crate) fn are_listed(folder: &Path, book: &MDBook) -> Result<()> {
    let mut listed = BTreeSet::new();
    for item in book.iter() {
        if let BookItem::Chapter(chapter) = item
            && let Some(path) = &chapter.path
            && !listed.insert(path.clone())
        {
            return Err(format!("{} is listed twice in {}", path.display(), folder.display()).into());
        }
    }
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        let is_page = name.extension().is_some_and(|ending| ending == "md") && !name.ends_with("SUMMARY.md");
        if is_page && !listed.contains(&name) {
            return Err(format!("{} is not listed in {}/SUMMARY.md", name.display(), folder.display()).into());
        }
    }
    Ok(())
}

/// Each link between the built pages leads to a file that is there, and to a place in it.
pub(crate) fn lead_somewhere(folder: &Path) -> Result<()> {
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder)? {
        let page = entry?.path();
        // That of what is not found may be shown in any folder, and its links begin at the top of the server.
        if page.extension().is_none_or(|ending| ending != "html") || page.ends_with("404.html") {
            continue;
        }
        let html = fs::read_to_string(&page)?;
        for link in ["href=\"", "src=\"", "srcset=\""].iter().flat_map(|kind| html.split(kind).skip(1)) {
            let link = link.split('"').next().unwrap_or_default();
            if link.contains(':') || link.starts_with("//") || link.is_empty() {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { page.clone() } else { folder.join(file) };
            let there = seen.entry(file.clone()).or_insert_with(|| fs::read(&file).ok());
            let has = |text: &[u8]| {
                place.is_empty() || String::from_utf8_lossy(text).contains(&format!("id=\"{}\"", plain(place)))
            };
            // The page of all pages has the places of each behind its name.
            let is_whole = page.ends_with("print.html") || page.ends_with("toc.html");
            if !is_whole && !there.as_ref().is_some_and(|text| has(text)) {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("links that lead nowhere:\n{}", wrong.join("\n")).into()) }
}

/// No page shows the stars of what should be bold. Between Chinese characters they say nothing if a full stop stands before them.
pub(crate) fn show_no_stars(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let page = entry?.path();
        if page.extension().is_none_or(|ending| ending != "html") {
            continue;
        }
        let html = fs::read_to_string(&page)?;
        let Some((text, _)) = html.split_once("<main").and_then(|(_, rest)| rest.split_once("</main>")) else {
            continue;
        };
        for piece in text.split("<code").map(|piece| piece.split_once("</code>").map_or(piece, |(_, prose)| prose)) {
            if let Some(at) = piece.find("**") {
                let shown: String = piece[at..].chars().take(40).collect();
                return Err(format!("{} shows stars: {shown}", page.display()).into());
            }
        }
    }
    Ok(())
}

/// A place as it stands in a page: addresses write what is not ASCII in percents.
fn plain(place: &str) -> String {
    let mut bytes = Vec::with_capacity(place.len());
    let mut rest = place.bytes();
    while let Some(byte) = rest.next() {
        let hex = (byte == b'%').then(|| rest.by_ref().take(2).map(char::from).collect::<String>());
        bytes.push(hex.and_then(|hex| u8::from_str_radix(&hex, 16).ok()).unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
