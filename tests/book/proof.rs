//! The commands of the page on proof, each of which takes minutes or hours: they are typed in a checkout whose cargo notes what it is asked
//! to do, and in which environment. What it would run is run in a short form each time.

use std::fs;

use symphra_scheduler_tests::services::{POSTGRES_URL, has_postgres};
use symphra_scheduler_tests::shown::{Shell, command};

use super::book;

/// What cargo was asked by a command, with what of the environment is for tests.
fn asks(beginning: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let shell = Shell::in_folder(folder.path());
    fs::create_dir(folder.path().join("tests")).expect("a folder");
    for script in ["chaos", "soak", "mutants", "set_up"] {
        let from = book().join("../tests").join(script);
        fs::copy(from, folder.path().join("tests").join(script)).expect("it can be copied");
    }
    let noted = folder.path().join("noted");
    // What tries mutants leaves a list of those that have survived.
    let notes = "env | grep ^SYMPHRA_ | sort >>noted || true\necho \"cargo $*\" >>noted\n\
                 [ \"$1\" != mutants ] || { mkdir -p \"$3/mutants.out\" && : >\"$3/mutants.out/missed.txt\"; }";
    shell.plays("cargo", notes);
    shell.plays("cargo-mutants", "exit 1");
    for (program, does) in [("cc", ":"), ("apt-get", "exit 1"), ("sudo", "exit 1")] {
        shell.plays(program, does);
    }
    let mut typed = shell.types(&command("docs/en/proof.md", beginning));
    typed.envs(std::env::vars_os().filter(|(name, _)| name == POSTGRES_URL));
    let said = typed.output().expect("a shell");
    let noted = fs::read_to_string(noted).unwrap_or_default();
    assert!(said.status.success(), "{}{noted}", String::from_utf8_lossy(&said.stderr));
    noted.replace(&folder.path().canonicalize().expect("it is there").display().to_string(), "HERE")
}

#[test]
fn the_commands_of_the_page_ask_for_what_it_says() {
    let of_cluster = "cargo test --locked --package symphra-scheduler-tests --all-features --test cluster -- --exact";
    // Where a server is missing the scripts would install it.
    if has_postgres() {
        let chaos = "SYMPHRA_CHAOS=3 1000 300\nSYMPHRA_SEED=7\nSYMPHRA_TEST_SERVICES=1\n";
        assert_eq!(
            asks("./tests/chaos"),
            format!("{chaos}{of_cluster} storm::nodes_on_postgres_survive_faults --nocapture\n")
        );
        let soak = "SYMPHRA_SOAK=3600 HERE/target/soak\nSYMPHRA_TEST_SERVICES=1\n";
        assert_eq!(asks("./tests/soak"), format!("{soak}{of_cluster} soak::postgres_endures --nocapture\n"));
    }
    for (file, test) in [("storm", "nodes_on_postgres_survive_faults"), ("soak", "postgres_endures")] {
        let source = fs::read_to_string(book().join(format!("../tests/cluster/{file}.rs"))).expect("it is there");
        assert!(source.contains(&format!("fn {test}(")), "{file}: {test}");
    }
    let mutants = asks("./tests/mutants");
    let begins = "cargo mutants --output target/mutants/core/quick --package symphra-scheduler-core --features interop";
    assert!(mutants.starts_with(begins), "{mutants}");
    assert!(mutants.contains(" --shard 0/20 --sharding round-robin --timeout 120 -- --lib "), "{mutants}");
}
