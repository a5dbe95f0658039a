//! The commands that pages show, so that tests type them as readers do: the lines of blocks in `sh`, and in samples what follows
//! `$ `.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A page, by its path from the root of the repository.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The blocks of this kind of a page, in its order.
///
/// # Panics
/// If the page is not there.
#[must_use]
pub fn blocks(path: &str, kind: &str) -> Vec<String> {
    let page = page(path);
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix(kind)?.strip_prefix('\n'));
    blocks.map(str::to_owned).collect()
}

/// The one block of this kind of a page that has this in it.
///
/// # Panics
/// If there is none, or another.
#[must_use]
pub fn block(path: &str, kind: &str, part: &str) -> String {
    let found: Vec<String> = blocks(path, kind).into_iter().filter(|block| block.contains(part)).collect();
    let [block] = &found[..] else { panic!("{path}: {} blocks in {kind} have {part:?}", found.len()) };
    block.clone()
}

/// The one block in `sh` of a page that has a line which begins so.
///
/// # Panics
/// If there is none, or another.
#[must_use]
pub fn script(path: &str, beginning: &str) -> String {
    let has_it = |script: &String| script.lines().any(|line| line.starts_with(beginning));
    let found: Vec<String> = blocks(path, "sh").into_iter().filter(has_it).collect();
    let [script] = &found[..] else { panic!("{path}: {} blocks have {beginning:?}", found.len()) };
    script.clone()
}

/// Every command of a page.
///
/// # Panics
/// If the page is not there.
#[must_use]
pub fn commands(path: &str) -> Vec<String> {
    let scripts = blocks(path, "sh").into_iter();
    let of_blocks = scripts.flat_map(|script| script.lines().map(str::to_owned).collect::<Vec<_>>());
    let page = page(path);
    let of_samples = page.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned);
    of_blocks.chain(of_samples).collect()
}

/// The one command of a page that is this, or else begins so.
///
/// # Panics
/// If there is none, or another.
#[must_use]
pub fn command(path: &str, beginning: &str) -> String {
    let all = commands(path);
    if all.iter().any(|command| command == beginning) {
        return beginning.to_owned();
    }
    let found: Vec<String> = all.into_iter().filter(|command| command.starts_with(beginning)).collect();
    let [command] = &found[..] else { panic!("{path}: {} commands begin with {beginning:?}", found.len()) };
    command.clone()
}

/// The words of a command, of which some may stand in quotes.
#[must_use]
pub fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, piece) in command.split(['"', '\'']).enumerate() {
        match number % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    words
}

/// The example that a command runs, and what it is called with.
///
/// # Panics
/// If it runs none.
#[must_use]
pub fn example(command: &str) -> (String, Vec<String>) {
    let mut words = words(command).into_iter();
    let before: Vec<String> = words.by_ref().take(5).collect();
    assert_eq!(before, ["cargo", "run", "-p", "examples", "--bin"], "{command}");
    let name = words.next().unwrap_or_else(|| panic!("{command} names an example"));
    assert!(words.next().is_none_or(|word| word == "--"), "{command}: what follows is cargo's");
    (name, words.collect())
}

/// A shell in a folder whose programs come before those of the machine.
#[derive(Debug)]
pub struct Shell {
    folder: PathBuf,
}

impl Shell {
    /// In this folder, which exists.
    ///
    /// # Panics
    /// If nothing can be made in it.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("bin")).expect("a folder of programs");
        Self { folder: folder.to_path_buf() }
    }

    /// Has a program by this name, which is a copy of `program`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn has(&self, name: &str, program: &str) {
        let place = self.folder.join("bin").join(name);
        // A program is named by its file, so a symbolic link will not do.
        let made = fs::hard_link(program, &place).or_else(|_| fs::copy(program, &place).map(drop));
        made.unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    }

    /// Has a program by this name, which does in bash what is written here.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn plays(&self, name: &str, does: &str) {
        // By another process: what this one has open for writing nobody executes, and its children hold it open until they begin.
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin", name]).current_dir(self.folder.join("bin")).stdin(Stdio::piped());
        let mut install = install.spawn().expect("install is there");
        let mut written = install.stdin.take().expect("it is piped");
        write!(written, "#!/usr/bin/env bash\nset -euo pipefail\n{does}\n").expect("it reads");
        drop(written);
        assert!(install.wait().expect("it ends").success(), "{name}");
    }

    /// What types this, to be run with nothing of our own environment but the way to programs.
    ///
    /// # Panics
    /// If `PATH` has a place that cannot stand in one.
    #[must_use]
    pub fn types(&self, script: &str) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::iter::once(self.folder.join("bin")).chain(std::env::split_paths(&path));
        let mut command = Command::new("bash");
        command.args(["-c", script]).current_dir(&self.folder).env_clear().env("LC_ALL", "C");
        command.env("HOME", &self.folder).env("TMPDIR", &self.folder);
        command.env("PATH", std::env::join_paths(places).expect("a path"));
        command
    }
}
