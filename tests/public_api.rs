//! The public interface of the crates that are published, all features on, as rustdoc shows it: `snapshots/public-api.txt`. Whoever
//! changes it sees so, and says in CHANGELOG.md what it means to users. `BLESS=1` writes it anew. And each item of it has an example.
//!
//! It reads what `cargo doc --no-deps --all-features` of the three crates has made, in the folder that `SYMPHRA_DOCUMENTATION` names, as
//! `.ci/run` does; to make that takes as long as to build everything once more, so that without it nothing is compared.
//!
//! It is kept for want of a published version to compare with. What is not documented (`#[doc(hidden)]`) is no part of it, and
//! neither are the methods of traits that types implement, which follow from the traits.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What says nothing of an item that its users rely on: marks that the compiler gives by itself. `Send` and `Sync` are no such.
const OF_THE_COMPILER: [&str; 5] =
    ["impl Freeze for", "impl RefUnwindSafe for", "impl UnsafeUnpin for", "impl Unpin for", "impl UnwindSafe for"];

/// Where the pages of the crates stand, below the folder of the documentation.
const CRATES: [&str; 3] = ["symphra_scheduler", "symphra_scheduler_core", "symphra_scheduler_macros"];

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the documentation") {
        let path = entry.expect("an entry of the documentation").path();
        if path.is_dir() {
            // The suite grows with each promise, and its macro takes it up.
            if !path.ends_with("backend/conformance") {
                found.extend(pages(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "html") {
            found.push(path);
        }
    }
    found
}

/// Text that stands between tags, on one line.
fn text(html: &str) -> String {
    let (mut text, mut is_tag) = (String::new(), false);
    // What these begin stands on a line of its own, and `Show 16 fields` is a button.
    let html = html.replace("<div", " <div").replace("<br", " <br");
    let html = html.split("<summary").map(|part| part.split_once("</summary>").map_or(part, |(_, rest)| rest));
    for character in html.collect::<String>().chars() {
        match character {
            '<' => is_tag = true,
            '>' => is_tag = false,
            _ if !is_tag => text.push(character),
            _ => {}
        }
    }
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    let text = plain.into_iter().fold(text, |text, (written, meant)| text.replace(written, meant));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands between the first of `start` and the `end` behind it.
fn between<'a>(html: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = html.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// What a page declares: its item, then what it has and implements.
fn declared(html: &str) -> BTreeSet<String> {
    // What every type has is of no interest.
    let html = html.split("id=\"blanket-implementations\"").next().unwrap_or_default();
    let mut lines = BTreeSet::new();
    lines.extend(between(html, "<pre class=\"rust item-decl\"><code>", "</code></pre>").map(text));
    for section in html.split("<section id=\"").skip(1) {
        let head = section.split('>').next().unwrap_or_default();
        if !head.contains("trait-impl") {
            let header = between(section, "class=\"code-header\">", "</h3>");
            let header = header.filter(|header| !header.contains("</h4>")).map(str::to_owned);
            let header = header.or_else(|| between(section, "class=\"code-header\">", "</h4>").map(str::to_owned));
            lines.extend(header.map(|header| text(&header)).filter(|header| is_told(header)));
        }
    }
    lines.extend(
        html.split("<code>pub use ")
            .skip(1)
            .filter_map(|of| of.split("</code>").next())
            .map(|of| format!("pub use {}", text(of))),
    );
    lines
}

/// Items whose documentation may be without an example, and why.
const WITHOUT_EXAMPLE: [(&str, &str); 0] = [];

/// Whether a page is that of an item or a module; others list items, or lead elsewhere.
fn is_of_an_item(path: &Path, html: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_listed = name == "index.html" || name.split('.').count() == 3;
    is_listed && !html.contains("http-equiv=\"refresh\"")
}

/// Whether what a page says of its own item, and not of what the item has, shows code that is compiled or must not compile.
fn has_example(html: &str) -> bool {
    between(html, "toggle top-doc", "</details>").is_some_and(|own| own.contains("rust-example-rendered"))
}

fn is_told(header: &str) -> bool {
    !header.is_empty() && !OF_THE_COMPILER.iter().any(|of| header.starts_with(of))
}

fn listing(documentation: &Path) -> String {
    let mut listing = String::new();
    for name in CRATES {
        let folder = documentation.join(name);
        let mut pages = pages(&folder);
        pages.sort();
        for page in pages {
            let path = page.strip_prefix(documentation).expect("a page of the crate").display().to_string();
            let lines = declared(&fs::read_to_string(&page).expect("a readable page"));
            if !lines.is_empty() {
                writeln!(listing, "{path}").expect("text takes everything");
                lines.iter().for_each(|line| writeln!(listing, "    {line}").expect("text takes everything"));
            }
        }
    }
    listing
}

#[test]
fn the_public_interface_is_as_it_is_written_down() {
    let Some(documentation) = std::env::var_os("SYMPHRA_DOCUMENTATION") else {
        println!("left out: SYMPHRA_DOCUMENTATION names no folder");
        return;
    };
    let found = listing(Path::new(&documentation));
    assert!(
        found.contains("pub fn next_after(&self, after: DateTime<Tz>)"),
        "it is still read out of the pages: {found}"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/public-api.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &found).expect("the snapshot can be written");
    }
    let kept = fs::read_to_string(&file).expect("the snapshot is there; BLESS=1 writes it");
    let lines = |of: &str| of.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (was, is) = (lines(&kept), lines(&found));
    let gone: Vec<_> = was.difference(&is).map(|line| format!("- {line}")).collect();
    let new: Vec<_> = is.difference(&was).map(|line| format!("+ {line}")).collect();
    assert!(
        kept == found,
        "the public interface has changed; look what that means to users, and write it anew with BLESS=1:\n{}\n{}",
        gone.join("\n"),
        new.join("\n"),
    );
}

#[test]
fn each_item_has_an_example() {
    let Some(documentation) = std::env::var_os("SYMPHRA_DOCUMENTATION") else {
        println!("left out: SYMPHRA_DOCUMENTATION names no folder");
        return;
    };
    let documentation = Path::new(&documentation);
    let (mut items, mut without) = (0, BTreeSet::new());
    for page in CRATES.iter().flat_map(|name| pages(&documentation.join(name))) {
        let html = fs::read_to_string(&page).expect("a readable page");
        if is_of_an_item(&page, &html) {
            items += 1;
            let path = page.strip_prefix(documentation).expect("a page of the crate").display().to_string();
            if !has_example(&html) {
                without.insert(path);
            }
        }
    }
    assert!(items > 250, "{items} items are seen");
    let excepted: BTreeSet<String> = WITHOUT_EXAMPLE.map(|(path, _)| path.to_owned()).into();
    let missing: Vec<_> = without.difference(&excepted).collect();
    assert!(missing.is_empty(), "these have no example in what is said of them:\n{missing:#?}");
    let needless: Vec<_> = excepted.difference(&without).collect();
    assert!(needless.is_empty(), "these have one, and need no exception:\n{needless:#?}");
}
