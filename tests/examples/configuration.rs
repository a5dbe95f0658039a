//! The example of a configuration, in a folder and an environment of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use symphra_scheduler_tests::services::{has_redis, redis_url};

use symphra_scheduler_tests::examples;

use super::Program;

const EXAMPLE: &str = include_str!("../../examples/configuration/scheduler.yaml");

/// A working directory.
struct Folder(PathBuf);

impl Folder {
    /// One with this file in it.
    fn with(name: &str, text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("symphra-configuration-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a new folder");
        let folder = Self(path);
        folder.write(name, text);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("the file is written");
    }

    /// The example, here, with these variables and no other.
    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(examples().join("configuration"));
        command.args(arguments).current_dir(&self.0).env_clear().envs(variables.iter().copied());
        command
    }

    /// What it says of its settings: the exit code, and both outputs.
    fn shown(&self, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let output = self.command(&["--show"], variables).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn shows(&self, variables: &[(&str, &str)], parts: &[&str]) {
        let (code, out, errors) = self.shown(variables);
        assert_eq!(code, Some(0), "{out}{errors}");
        for part in parts {
            assert!(out.lines().any(|line| line == *part), "{part:?} is missing in\n{out}");
        }
    }

    /// The entries of its error: it does not start.
    fn refused(&self, variables: &[(&str, &str)]) -> Vec<String> {
        let (code, out, errors) = self.shown(variables);
        assert_eq!(code, Some(1), "{out}{errors}");
        errors.lines().filter_map(|line| line.strip_prefix("  - ")).map(str::to_owned).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn the_file_rules_over_attributes_the_environment_over_it_and_code_over_all() {
    let folder = Folder::with("nothing.txt", "");
    folder.shows(
        &[],
        &[
            "max_workers 10, queue_size 1000",
            "cleanup: at 03:00 every day, Europe/Paris, enabled",
            "health_check: every 5 minutes, UTC, enabled",
            "report: at 09:30, Monday to Friday, UTC, enabled",
        ],
    );
    folder.write("scheduler.yaml", EXAMPLE);
    folder.shows(
        &[],
        &[
            "max_workers 16, queue_size 1500",
            "cleanup: at 04:00 every day, Europe/Paris, enabled",
            "health_check: every 30 seconds, Asia/Shanghai, enabled",
            "report: at 09:30, Monday to Friday, Asia/Shanghai, disabled",
        ],
    );
    let variables = [
        ("SCHEDULER_MAX_WORKERS", "20"),
        ("QUEUE", "7"),
        ("SCHEDULER_TIMEZONE", "Asia/Tokyo"),
        ("SCHEDULER_DISABLE", "cleanup"),
    ];
    folder.shows(
        &variables,
        &[
            "max_workers 20, queue_size 7",
            "cleanup: at 04:00 every day, Europe/Paris, disabled",
            "health_check: every 30 seconds, Asia/Tokyo, enabled",
        ],
    );
    folder.write("other.toml", "max_workers = 3\n[tasks.health_check]\ninterval = 90\n");
    folder.shows(
        &[("SCHEDULER_CONFIG", "other.toml")],
        &["max_workers 3, queue_size 1000", "health_check: every 1 minute 30 seconds, UTC, enabled"],
    );
}

/// The examples of the ancestor's guide, word for word.
const GUIDE_FILE: &str = "\
scheduler:
  max_workers: 16
  queue_size: 1500
  timezone: Asia/Shanghai
backend:
  type: redis
  url: redis://localhost:6379/0
  max_connections: 50
";
const GUIDE_VARIABLES: &str = "\
export SCHEDULER_MAX_WORKERS=20
export SCHEDULER_QUEUE_SIZE=2000
export SCHEDULER_TIMEZONE=Asia/Shanghai
";

#[test]
fn the_file_of_the_guide_works_as_it_stands() {
    if !has_redis() {
        return;
    }
    // But for the server, which is a private one.
    let folder = Folder::with("config.yaml", &GUIDE_FILE.replace("redis://localhost:6379/0", redis_url()));
    folder.shows(
        &[("SCHEDULER_CONFIG", "config.yaml")],
        &["max_workers 16, queue_size 1500", "health_check: every 5 minutes, Asia/Shanghai, enabled"],
    );
}

#[test]
fn the_variables_of_the_guide_work_as_they_stand() {
    let folder = Folder::with("guide.sh", &format!("{GUIDE_VARIABLES}exec \"$@\"\n"));
    let mut shell = Command::new("sh");
    let shell = shell.arg("guide.sh").arg(examples().join("configuration")).arg("--show").current_dir(&folder.0);
    let output = shell.output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    for line in ["max_workers 20, queue_size 2000", "health_check: every 5 minutes, Asia/Shanghai, enabled"] {
        assert!(text.lines().any(|shown| shown == line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn seven_mistakes_are_seven_entries_each_with_its_line() {
    let wrong = include_str!("../../examples/configuration/wrong.yaml");
    let folder = Folder::with("scheduler.yaml", wrong);
    let told = folder.refused(&[]);
    let expected = [
        "scheduler.yaml:2: scheduler.max_workers = \"many\"",
        "scheduler.yaml:3: scheduler.queue_sise",
        "scheduler.yaml:4: scheduler.timezone",
        "scheduler.yaml:8: tasks.report.cron",
        "scheduler.yaml:9: tasks.report.overlap",
        "scheduler.yaml:10: tasks.report.retry.max_attempts",
        "scheduler.yaml:11: log_level",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (entry, start) in told.iter().zip(expected) {
        assert!(entry.starts_with(start), "{start:?}: {entry:?}");
    }
    // The book shows the file, and what is really said.
    for page in [include_str!("../../docs/en/configuration.md"), include_str!("../../docs/zh/configuration.md")] {
        assert!(page.contains(&format!("```yaml\n{wrong}```")), "the book lacks the file");
        for entry in &told {
            assert!(page.contains(entry.as_str()), "the book lacks {entry:?}");
        }
    }
}

#[test]
fn at_sighup_overrides_are_read_again_all_or_none() {
    let folder = Folder::with("scheduler.yaml", "tasks: { health_check: { interval: 1h } }\n");
    let mut program = Program::spawned(&mut folder.command(&[], &[]));
    program.prints("every hour");
    // The signal would end the program before its handler stands, which it does when the table is printed.
    folder.write("scheduler.yaml", "tasks: { health_check: { interval: 1s }, repot: { enabled: false } }\n");
    program.signal("HUP");
    let refused = program.prints("the overrides stay as they were");
    assert!(refused.contains("\"repot\"") && refused.contains("did you mean \"report\"?"), "{refused}");
    folder.write("scheduler.yaml", "max_workers: 3\ntasks: { health_check: { interval: 1s } }\n");
    program.signal("HUP");
    let read = program.prints("the overrides were read again");
    assert!(read.contains("health_check"), "{read}");
    program.prints("health_check: ok");
    program.signal("TERM");
    let (status, printed) = program.ends();
    assert_eq!(status.code(), Some(0), "{printed}");
}
