//! What the kernel was asked to execute when this process began, and whether it leads to this program still.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

/// What the kernel was asked to execute, `AT_EXECFN` of `getauxval(3)`; nothing in a process that has more rights than who
/// started it. That one chose the path, and what it leads to later would run with rights that are not theirs.
pub(super) fn asked_for() -> Option<PathBuf> {
    let auxv = std::fs::read("/proc/self/auxv").ok()?;
    let asked = rustix::param::linux_execfn().to_bytes();
    (!has_gained_rights(&auxv) && !asked.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(asked)))
}

/// Whether the kernel says so of the process with these entries (`AT_SECURE`): by a set-user-id bit, or by capabilities of
/// the file.
fn has_gained_rights(auxv: &[u8]) -> bool {
    const AT_SECURE: usize = 23;
    let (words, _) = auxv.as_chunks::<{ size_of::<usize>() }>();
    let (entries, _) = words.as_chunks::<2>();
    let secure = entries.iter().find(|[key, _]| usize::from_ne_bytes(*key) == AT_SECURE);
    secure.is_none_or(|[_, value]| usize::from_ne_bytes(*value) != 0)
}

/// The path that was asked for, made absolute, if the program is to be found there.
pub(super) fn believed(asked: &Path, own: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(asked).ok()?;
    // By its number, a descriptor may be another file by now.
    let is_descriptor = ["/dev/fd", "/proc"].iter().any(|folder| path.starts_with(folder));
    // The working directory may be another than at the start, where the same path leads to another program.
    let is_sure = asked.is_absolute() || is_same_file(&path, own);
    (is_sure && !is_descriptor && is_executable(&path)).then_some(path)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|file| identity(other) == Some(file))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file())
        && rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{OpenOptionsExt, symlink};

    use super::*;

    fn file(path: &Path, mode: u32) -> PathBuf {
        std::fs::File::options().write(true).create_new(true).mode(mode).open(path).expect("it is new");
        path.to_owned()
    }

    #[test]
    fn a_link_is_kept_and_what_is_no_program_is_not_believed() {
        let ground = tempfile::tempdir().expect("a folder");
        let own = file(&ground.path().join("old"), 0o755);
        let link = ground.path().join("current");
        let believed = |asked: &Path| believed(asked, &own);
        assert_eq!(believed(&link), None, "it is not there");
        symlink(&own, &link).expect("a link");
        assert_eq!(believed(&link).as_ref(), Some(&link), "not what it leads to today");
        std::fs::remove_file(&link).expect("it is there");
        symlink(file(&ground.path().join("new"), 0o755), &link).expect("a link");
        assert_eq!(believed(&link).as_ref(), Some(&link), "nor whether it leads to another file by now");
        assert_eq!(believed(&file(&ground.path().join("text"), 0o644)), None, "it cannot be executed");
        assert_eq!(believed(ground.path()), None, "it is a folder");
        assert_eq!(believed(Path::new("/proc/self/exe")), None, "it is this process's own, whoever reads it");
        assert_eq!(believed(Path::new("")), None);
    }

    #[test]
    fn a_relative_path_is_believed_only_if_it_still_leads_to_this_program() {
        let here = std::env::current_dir().expect("there is one");
        let ground = tempfile::tempdir_in(&here).expect("a folder");
        let own = file(&ground.path().join("app"), 0o755);
        let relative = own.strip_prefix(&here).expect("it is below");
        assert_eq!(believed(relative, &own).as_ref(), Some(&own));
        let another = file(&ground.path().join("another"), 0o755);
        assert_eq!(believed(relative, &another), None);
    }

    #[test]
    fn a_process_that_has_gained_rights_is_told_by_the_kernel() {
        let auxv = |entries: &[[usize; 2]]| -> Vec<u8> {
            entries.iter().flatten().flat_map(|word| word.to_ne_bytes()).collect()
        };
        assert!(!has_gained_rights(&auxv(&[[6, 4096], [23, 0], [0, 0]])));
        assert!(has_gained_rights(&auxv(&[[6, 4096], [23, 1], [0, 0]])));
        assert!(has_gained_rights(&auxv(&[[6, 4096], [0, 0]])), "what is not said is not believed");
        let own = std::fs::read("/proc/self/auxv").expect("it can be read");
        assert!(!has_gained_rights(&own), "a test has the rights of who started it");
    }
}
