//! What the attributes accept and refuse: programs that compile and run, and programs that fail with the errors beside
//! them. After a wanted change of a message, `TRYBUILD=overwrite cargo test -p symphra-scheduler-ui`
//! writes it down anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

#[test]
fn programs_compile_or_fail_as_shown() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
    let zones = every_zone().expect("a file can be written to the target folder");
    cases.pass(zones);
}

/// A program with one task for each zone that can be named, which checks that the zone it names is the one it got: the
/// macro spells the zones' constants itself.
fn every_zone() -> io::Result<PathBuf> {
    let mut program = String::new();
    let mut zones = 0;
    for zone in symphra_scheduler::chrono_tz::TZ_VARIANTS {
        writeln!(
            program,
            "#[symphra_scheduler::hourly(timezone = {0:?}, name = {0:?})]\nasync fn task_{zones}() {{}}",
            zone.name()
        )
        .expect("a string takes any text");
        zones += 1;
    }
    writeln!(program, "{}", include_str!("zones.rs").replace("ZONES", &zones.to_string()))
        .expect("a string takes any text");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("every_zone.rs");
    fs::write(&path, program)?;
    Ok(path)
}
