//! Links: those between files lead somewhere. Those to other sites are safe ones, the same in both languages, and those to this
//! repository name files that it has; that sites answer is looked at by `.ci/links`, which needs a network and is played here without.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{book, page, pages};

/// Texts outside of the book that have links.
const OTHERS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "RELEASING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/README.md",
];

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

fn texts() -> Vec<PathBuf> {
    let root = book().join("..");
    let others = OTHERS.iter().map(|name| root.join(name));
    let of_book = ["en", "zh"]
        .into_iter()
        .flat_map(|language| pages(language).into_iter().map(move |name| book().join(language).join(name)));
    others.chain(of_book).collect()
}

/// The addresses of other sites in a text, but not those in its code, which are a reader's own.
fn addresses(text: &str) -> BTreeSet<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let prose: String = prose.split('`').step_by(2).collect();
    let mut found = BTreeSet::new();
    for scheme in ["https://", "http://"] {
        for rest in prose.split(scheme).skip(1) {
            let end = rest.find([' ', ')', '>', '"', '\n', ']', '|']).unwrap_or(rest.len());
            found.insert(format!("{scheme}{}", rest[..end].trim_end_matches(['.', ',', ';'])));
        }
    }
    found
}

#[test]
fn links_between_files_lead_somewhere() {
    let mut followed = 0;
    for text in texts() {
        let content = fs::read_to_string(&text).expect("a readable text");
        for link in content.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let file =
                text.parent().expect("a file stands in a folder").join(target.split('#').next().unwrap_or_default());
            assert!(file.exists(), "{} links to {target}, which is not there", text.display());
            followed += 1;
        }
    }
    assert!(followed > 5, "the texts link to each other");
}

#[test]
fn links_to_other_sites_are_safe_and_the_same_in_both_languages() {
    let mut seen = BTreeSet::new();
    for text in texts() {
        let found = addresses(&fs::read_to_string(&text).expect("a readable text"));
        for address in &found {
            assert!(address.starts_with("https://"), "{}: {address}", text.display());
            let in_ours = address.strip_prefix(REPOSITORY).and_then(|rest| rest.strip_prefix("/blob/main/"));
            if let Some(file) = in_ours {
                let file = file.split('#').next().unwrap_or(file);
                assert!(book().join("..").join(file).exists(), "{}: {address} is not there", text.display());
            }
        }
        seen.extend(found);
    }
    assert!(seen.len() > 40, "the book names its sources: {seen:?}");
    for name in pages("en") {
        assert_eq!(addresses(&page("en", &name)), addresses(&page("zh", &name)), "{name}");
    }
}

#[test]
fn addresses_are_told_from_what_surrounds_them() {
    let text = "[a](https://a.example/b_c) <https://d.example>, (https://e.example/f). `http://own`\n```\nhttp://code\n```\n\
                [g]: https://g.example/h#i\nhttp://j.example";
    let wanted = [
        "http://j.example",
        "https://a.example/b_c",
        "https://d.example",
        "https://e.example/f",
        "https://g.example/h#i",
    ];
    assert_eq!(addresses(text).into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn whoever_releases_looks_at_them() {
    let steps = fs::read_to_string(book().join("../RELEASING.md")).expect("it is there");
    assert!(steps.contains("`.ci/links`") && Path::new(&book().join("../.ci/links")).exists());
}

/// `.ci/links`, with a curl that answers as is asked for here.
#[cfg(unix)]
mod played {
    use std::process::Output;

    use symphra_scheduler_tests::shown::Shell;

    use super::*;

    /// What `.ci/links` says in a folder that has its texts, where curl does this.
    fn looks(texts: &[(&str, &str)], curl: &str) -> Output {
        let folder = tempfile::tempdir().expect("a folder");
        for place in [".ci", "docs/en", "docs/zh"] {
            fs::create_dir_all(folder.path().join(place)).expect("a folder");
        }
        fs::copy(book().join("../.ci/links"), folder.path().join(".ci/links")).expect("it can be copied");
        for (name, text) in texts {
            fs::write(folder.path().join(name), text).expect("it can be written");
        }
        let shell = Shell::in_folder(folder.path());
        shell.plays("curl", curl);
        shell.types("bash .ci/links").output().expect("a shell")
    }

    /// Answers as a server would of whose pages one has gone and one is for those who have signed in.
    const ANSWERS: &str = r#"case "${@: -1}" in *gone*) printf 404 ;; *private*) printf 403 ;; *) printf 200 ;; esac"#;

    #[test]
    fn a_page_that_has_gone_is_told_with_who_links_to_it() {
        let good = (
            "README.md",
            "[a](https://a.example/there) and `https://own.example/gone`\n```\nhttps://code.example/gone\n```\n",
        );
        let output = looks(&[good], ANSWERS);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 link, all answered"), "{output:?}");

        let bad = ("docs/en/b.md", "[b]: https://b.example/gone\n[c](https://c.example/private)\n");
        let output = looks(&[good, bad, ("docs/zh/b.md", "[b](https://b.example/gone)\n")], ANSWERS);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said.contains("404 https://b.example/gone (docs/en/b.md docs/zh/b.md)"), "{said}");
        assert!(said.contains("1 of 3 links answered"), "{said}");
        assert!(said.contains("NOT CHECKED: 403 https://c.example/private (docs/en/b.md)"), "{said}");
    }

    #[test]
    fn to_find_no_link_at_all_is_a_failure() {
        let output = looks(&[("README.md", "no link\n")], ANSWERS);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }

    #[test]
    fn without_a_network_links_are_said_not_to_be_checked() {
        let text = ("README.md", "[a](https://a.example/there)\n");
        let output = looks(&[text], "printf 000; exit 6");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said.contains("NOT CHECKED: https://a.example/there (README.md)"),
            "{output:?}"
        );
        assert!(said.contains("0 of 1 link answered"), "{said}");
    }
}
