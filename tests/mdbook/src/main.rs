//! Builds the book in both languages, below `target/book`, and looks at what was built.
//!
//! A page of the book is also read in the repository, where its links lead to sources and tests. In the built book there are
//! none: such a link is made one to the repository. What mdBook warns of, a link that leads nowhere, and a page that no
//! summary lists, is a failure.

mod links;
mod pages;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use mdbook_driver::MDBook;
use mdbook_driver::book::BookItem;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The languages, each with the other and what a page calls it.
const LANGUAGES: [(&str, &str, &str); 2] = [("en", "zh", "中文"), ("zh", "en", "English")];

fn main() -> ExitCode {
    let warnings = Warnings::default();
    let told = warnings.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(move || told.clone())
        .init();
    let built = build();
    let warned = warnings.0.lock().unwrap_or_else(PoisonError::into_inner);
    io::stderr().write_all(&warned).unwrap_or_default();
    match built {
        Ok(folder) if warned.is_empty() => {
            println!("built without warnings: {}", folder.display());
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds both; the folder of what was built.
fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let (docs, built) = (root.join("docs"), root.join("target/book"));
    for (language, other, name) in LANGUAGES {
        let source = docs.join(language);
        let mut book = MDBook::load(&source)?;
        book.config.build.build_dir = built.join(language);
        pages::are_listed(&source, &book)?;
        book.book.for_each_mut(|item| {
            if let BookItem::Chapter(chapter) = item
                && let Some(path) = &chapter.path
            {
                let switch = format!("[{name}](../{other}/{})\n\n", path.display());
                chapter.content = switch + &links::lead_out(&chapter.content, &source, &root);
            }
        });
        book.build()?;
    }
    // The pages name them as they stand beside the languages.
    let images = built.join("images");
    fs::create_dir_all(&images)?;
    for entry in fs::read_dir(docs.join("images"))? {
        let entry = entry?;
        fs::copy(entry.path(), images.join(entry.file_name()))?;
    }
    for (language, _, _) in LANGUAGES {
        pages::lead_somewhere(&built.join(language))?;
        pages::show_no_stars(&built.join(language))?;
    }
    Ok(built)
}

/// What mdBook warns of, as text.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<u8>>>);

impl Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
