//! On Unix: by the descriptor.

use std::fs::File;
#[cfg(feature = "logging")]
use std::io;
use std::os::fd::AsFd;
#[cfg(feature = "logging")]
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::NotOpened;

/// The user whose rights this process has.
pub(crate) fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What is wrong with something that is another's.
pub(crate) fn owned_by(owner: u32) -> String {
    format!("belongs to the user {owner}, and this process runs as {}", me())
}

/// The bits that `chmod` sets.
#[cfg_attr(target_os = "linux", expect(clippy::useless_conversion, reason = "a mode has 16 bits on other systems"))]
pub(crate) fn mode(stat: &Stat) -> u32 {
    u32::from(stat.st_mode) & 0o7777
}

/// Opens the file `name` of `folder`, or makes it with mode 0600 if `how` has `CREATE`; nothing if it is not there, or not
/// any more. A link, what is no regular file, a foreign file, one that others may write to and one with a second name are
/// refused.
pub(crate) fn open_at(folder: impl AsFd, name: impl Arg + Copy, how: OFlags) -> Result<Option<File>, NotOpened> {
    // A named pipe must not keep us waiting, nor a terminal become ours, before the file is seen to be neither.
    let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = match rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => {
            // Only for the words: a link, a folder and a pipe that nobody reads are not opened at all.
            let shown = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
            return Err(match shown.ok().and_then(|stat| no_regular_file(&stat)) {
                Some(what) => NotOpened::Untrusted { what: what.to_owned(), fix: None },
                None => NotOpened::System(error.into()),
            });
        }
    };
    confirmed(folder, name, File::from(fd))
}

/// The file that was opened as `name` of `folder`, if it is this user's alone; nothing if it has gone from there meanwhile.
///
/// Its second names are counted while it is seen to stand there, for one that was taken away after the file was opened by it
/// is not seen in the file. Whoever may write to the folder can still be quicker than the kernel's two looks within that;
/// Linux lets nobody make a second name of a file that he may not write to (`fs.protected_hardlinks`).
fn confirmed(folder: impl AsFd, name: impl Arg, file: File) -> Result<Option<File>, NotOpened> {
    let opened = rustix::fs::fstat(&file).map_err(|error| NotOpened::System(error.into()))?;
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(shown) if (shown.st_dev, shown.st_ino) == (opened.st_dev, opened.st_ino) => {
            judged(&shown).map(|()| Some(file))
        }
        _ => Ok(None),
    }
}

/// Whether an open file is this user's alone.
fn judged(stat: &Stat) -> Result<(), NotOpened> {
    let untrusted = |what: String, fix| Err(NotOpened::Untrusted { what, fix });
    if let Some(what) = no_regular_file(stat) {
        return untrusted(what.to_owned(), None);
    }
    if stat.st_uid != me() {
        return untrusted(owned_by(stat.st_uid), None);
    }
    if mode(stat) & 0o022 != 0 {
        let what = format!("may be written to by others (mode {:o})", mode(stat));
        return untrusted(what, Some("take the right from them (chmod 600), or remove it"));
    }
    if stat.st_nlink > 1 {
        return untrusted("has a second name (a hard link)".to_owned(), None);
    }
    Ok(())
}

/// What it is instead.
fn no_regular_file(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Symlink => Some("is a symbolic link, and what it leads to is not for us to write"),
        FileType::Directory => Some("is no regular file but a folder"),
        FileType::Fifo => Some("is no regular file but a named pipe"),
        FileType::Socket => Some("is no regular file but a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("is no regular file but a device"),
        FileType::Unknown => Some("is no regular file"),
    }
}

/// How often a file is opened anew that has gone meanwhile: another process that puts it aside does so once.
#[cfg(feature = "logging")]
const OPENED_MAX: u32 = 10;

/// Opens the file at `path` to add to it, or makes it, with mode 0600.
#[cfg(feature = "logging")]
pub(crate) fn append(path: &Path) -> Result<File, NotOpened> {
    let how = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    for _ in 0..OPENED_MAX {
        if let Some(file) = open_at(rustix::fs::CWD, path, how)? {
            return Ok(file);
        }
    }
    Err(NotOpened::System(Errno::NOENT.into()))
}

/// Whether at `path`, and not where a link there leads, is a regular file of this user.
#[cfg(feature = "logging")]
pub(crate) fn is_ours(path: &Path) -> bool {
    let shown = rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    shown.is_ok_and(|stat| no_regular_file(&stat).is_none() && stat.st_uid == me())
}

/// Renames a file, unless there is something of the new name, which is an error of the kind `AlreadyExists`.
#[cfg(feature = "logging")]
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // A file system that cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            renamed => return Ok(renamed?),
        }
    }
    match std::fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(from, to),
    }
}

#[cfg(all(test, feature = "logging"))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn refused(path: &Path) -> (String, Option<&'static str>) {
        match append(path).expect_err("it is not ours alone") {
            NotOpened::Untrusted { what, fix } => (what, fix),
            NotOpened::System(error) => panic!("{}: {error}", path.display()),
        }
    }

    fn pipe(path: &Path) {
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    }

    #[test]
    fn a_file_of_ours_is_made_for_us_alone_and_added_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        for line in ["one\n", "two\n"] {
            io::Write::write_all(&mut append(&path).expect("it is ours"), line.as_bytes()).expect("there is room");
        }
        assert_eq!(fs::read_to_string(&path).expect("it can be read"), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o7777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("it is ours");
        append(&path).expect("others may read it");
        let nowhere = append(&folder.path().join("no/such/folder"));
        assert!(matches!(nowhere, Err(NotOpened::System(error)) if error.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn what_is_not_ours_alone_is_refused_with_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let made = |name: &str, mode: u32| {
            fs::write(path(name), "precious").expect("it is made");
            fs::set_permissions(path(name), Permissions::from_mode(mode)).expect("it is ours");
        };
        made("victim", 0o600);
        made("all", 0o666);
        made("group", 0o660);
        made("one", 0o600);
        fs::hard_link(path("one"), path("other")).expect("a second name");
        symlink(path("victim"), path("link")).expect("a link");
        symlink(path("nowhere"), path("dangling")).expect("a link");
        pipe(&path("pipe"));
        pipe(&path("read"));
        let _reader = fs::File::options().read(true).write(true).open(path("read")).expect("somebody reads it");
        let _listener = std::os::unix::net::UnixListener::bind(path("socket")).expect("a socket");
        let mut traps = vec![
            ("all", "may be written to by others (mode 666)", true),
            ("group", "may be written to by others (mode 660)", true),
            ("other", "has a second name (a hard link)", false),
            ("link", "is a symbolic link, and what it leads to is not for us to write", false),
            ("dangling", "is a symbolic link, and what it leads to is not for us to write", false),
            ("pipe", "is no regular file but a named pipe", false),
            ("read", "is no regular file but a named pipe", false),
            ("socket", "is no regular file but a socket", false),
            ("", "is no regular file but a folder", false),
            ("/dev/null", "is no regular file but a device", false),
        ];
        let foreign = format!("belongs to the user 1, and this process runs as {}", me());
        if me() == 0 {
            made("foreign", 0o600);
            chown(path("foreign"), Some(1), None).expect("root may");
            traps.push(("foreign", &foreign, false));
        }
        for (name, says, has_a_fix_of_its_own) in traps {
            let (what, fix) = refused(&path(name));
            assert_eq!((&*what, fix.is_some()), (says, has_a_fix_of_its_own), "{name}");
        }
        assert_eq!(fs::read_to_string(path("victim")).expect("it is there"), "precious");
        assert!(!path("nowhere").exists(), "nothing was made where a link leads");
    }

    #[test]
    fn whoever_exchanges_files_meanwhile_never_has_another_one_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("victim"), "precious").expect("it is made");
        let over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    symlink(path("victim"), path("next")).expect("a link");
                    fs::rename(path("next"), path("log")).expect("it is exchanged");
                    pipe(&path("next"));
                    fs::rename(path("next"), path("log")).expect("it is exchanged");
                    fs::remove_file(path("log")).expect("it is there");
                }
            });
            for _ in 0..5_000 {
                if let Ok(mut file) = append(&path("log")) {
                    io::Write::write_all(&mut file, b"ours").expect("there is room");
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(fs::read_to_string(path("victim")).expect("it is there"), "precious");
    }

    #[test]
    fn a_file_that_has_gone_from_its_path_meanwhile_is_not_the_one_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("victim"), "precious").expect("it is made");
        let opened = |name: &str| fs::File::options().append(true).open(path(name)).expect("it is there");
        let at = |name: &str, file| confirmed(rustix::fs::CWD, path(name), file).expect("it is ours alone");
        assert!(at("victim", opened("victim")).is_some());
        fs::hard_link(path("victim"), path("log")).expect("a second name");
        let by_second_name = opened("log");
        fs::remove_file(path("log")).expect("it is there");
        assert!(at("log", by_second_name).is_none(), "its path is gone");
        symlink(path("victim"), path("log")).expect("a link");
        assert!(at("log", opened("victim")).is_none(), "a link stands there, and is another file");
    }

    #[test]
    fn a_file_is_renamed_only_to_a_name_that_nothing_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("log"), "ours").expect("it is made");
        symlink(path("nowhere"), path("aside")).expect("a link");
        let taken = rename_new(&path("log"), &path("aside")).expect_err("there is a link");
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert!(fs::symlink_metadata(path("aside")).expect("it is there").is_symlink());
        rename_new(&path("log"), &path("free")).expect("nothing is there");
        assert_eq!(fs::read_to_string(path("free")).expect("it is there"), "ours");
    }
}
