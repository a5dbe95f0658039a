//! What a program tells without being run, by its real command line: `plan`, `check`, `list`, `next`, `show`,
//! `completions`, `man`, and `symphra cron`. What they print stands in `snapshots/`; `BLESS=1` writes it anew.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value as Json;
use symphra_scheduler_tests::samples::is_as;
use symphra_scheduler_tests::shown::{self, Shell};

/// A Wednesday, in the winter of Paris and of Shanghai.
const FROM: [&str; 2] = ["--from", "2026-11-25T00:00:00Z"];

/// A working directory without a configuration, until one is written.
struct Folder(PathBuf);

#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("symphra-plan-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("the file is written");
    }

    fn say(&self, program: &str, variant: &str, arguments: &[&str]) -> Said {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.0)
            .env_clear()
            .envs([("VARIANT", variant), ("XDG_RUNTIME_DIR", "")])
            .env("HOME", &self.0)
            .env("TMPDIR", &self.0)
            .stdin(Stdio::null())
            .output()
            .expect("the program can be run");
        Said::of(output)
    }

    fn program(&self, variant: &str, arguments: &[&str]) -> Said {
        self.say(env!("CARGO_BIN_EXE_planned-fixture"), variant, arguments)
    }

    fn symphra(&self, arguments: &[&str]) -> Said {
        self.say(env!("CARGO_BIN_EXE_symphra-fixture"), "", arguments)
    }

    fn plan(&self, variant: &str, arguments: &[&str]) -> Said {
        self.program(variant, &[&["plan"][..], arguments].concat())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks text");
        Self { code: output.status.code(), out: text(output.stdout), errors: text(output.stderr) }
    }

    fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Compares with what stands in `snapshots/`. The version of the tz database is no part of it.
fn is_as_before(name: &str, text: &str) {
    let text = text.replace(symphra_scheduler::TZDB_VERSION, "<tzdb>");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of snapshots");
        fs::write(&path, &text).expect("the snapshot is written");
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, before, "{}: if this is meant, run with BLESS=1", path.display());
}

#[test]
fn a_plan_shows_every_task_and_the_load() {
    let folder = Folder::new();
    is_as_before("plan", &folder.plan("", &FROM).well());
    let json = folder.plan("", &[&FROM[..], &["--json"]].concat()).json();
    assert_eq!((&json["format"], &json["version"]), (&"symphra-plan".into(), &1.into()));
    assert_eq!(json["load"]["minutes"].as_array().map(Vec::len), Some(1_440));
    let of =
        |name: &str| json["tasks"].as_array().expect("tasks").iter().find(|task| task["name"] == name).expect("it");
    assert_eq!(
        of("sync")["firings"].to_string(),
        r#"[{"first":"2026-11-25T00:00:00.000Z","every_ms":3600000,"count":24}]"#
    );
    assert_eq!(
        (&of("import")["count"], &of("weekly")["count"], &of("cleanup")["count"]),
        (&5.into(), &0.into(), &0.into())
    );
    let minutes: u64 = json["load"]["minutes"].as_array().expect("minutes").iter().filter_map(Json::as_u64).sum();
    let firings: u64 = json["tasks"].as_array().expect("tasks").iter().filter_map(|task| task["count"].as_u64()).sum();
    assert_eq!(minutes, firings);
}

#[test]
fn a_plan_heeds_overrides_hours_and_the_present() {
    let folder = Folder::new();
    folder.write(
        "scheduler.yaml",
        "timezone: Asia/Tokyo\ntasks: { sync: { cron: '0 12 * * *' }, cleanup: { enabled: true } }\n",
    );
    let json = folder.plan("", &["--from", "2026-11-25 00:00", "--hours", "48", "--json"]).json();
    assert_eq!(json["from"], "2026-11-24T15:00:00.000Z", "local to the scheduler's zone");
    let count = |name: &str| {
        json["tasks"].as_array().expect("tasks").iter().find(|task| task["name"] == name).expect("it")["count"].clone()
    };
    assert_eq!((count("sync"), count("cleanup")), (2.into(), 48.into()));
    let now = folder.plan("", &["--json"]).json();
    assert!(now["from"].as_str().expect("an instant").ends_with(":00.000Z"), "cut to the minute");
    for hours in ["0", "745", "many"] {
        assert_eq!(folder.plan("", &["--hours", hours]).code, Some(2));
    }
}

#[test]
fn a_plan_that_was_written_down_is_compared_and_the_exit_code_tells() {
    let folder = Folder::new();
    folder.write("before.json", &folder.plan("", &[&FROM[..], &["--json"]].concat()).well());
    let same = folder.plan("", &["--against", "before.json"]);
    assert!(same.code == Some(0) && same.out.contains("nothing differs"), "{same:?}");
    let later = folder.plan("later", &["--against", "before.json"]);
    assert_eq!(later.code, Some(1), "{later:?}");
    is_as_before("plan-against", &later.out);
    let json = folder.plan("later", &["--against", "before.json", "--json"]);
    assert_eq!((json.code, &json.json()["equal"]), (Some(1), &false.into()));
    is_as_before("plan-against-json", &json.out);
}

#[test]
fn a_file_that_is_no_plan_is_refused_with_what_and_where() {
    let folder = Folder::new();
    let whole = folder.plan("", &[&FROM[..], &["--json"]].concat()).well();
    folder.write("cut.json", &whole[..whole.len() / 2]);
    folder.write("other.json", &whole.replace("\"version\": 1", "\"version\": 9"));
    folder.write("text.json", "report: every day\n");
    for (file, parts) in [
        ("cut.json", &["cut.json: it ends too early, it was cut off", "line "][..]),
        ("other.json", &["other.json: version: 9 is not known here, only 1"]),
        ("text.json", &["text.json: it is no JSON", "line 1 column 1"]),
        ("none.json", &["none.json: ", "No such file"]),
    ] {
        let said = folder.plan("", &["--against", file]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(parts.iter().all(|part| said.errors.contains(part)), "{parts:?}: {said:?}");
    }
    assert_eq!(folder.plan("", &["--against", "cut.json", "--hours", "3"]).code, Some(2));
}

#[test]
fn a_check_tells_every_problem_at_once() {
    let folder = Folder::new();
    let said = folder.program("", &["check"]);
    assert!(said.code == Some(0) && said.out.starts_with("ok: 9 tasks\n"), "{said:?}");
    folder.write("scheduler.yaml", "max_workers: 0\nlogs: {}\n");
    let wrong = folder.program("wrong", &["check"]);
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    is_as_before("check", &wrong.out);
    folder.write("scheduler.yaml", "tasks:\n  polll: { enabled: false }\n");
    let json = folder.program("wrong", &["check", "--json"]);
    assert_eq!(json.code, Some(1), "{json:?}");
    let json = json.json();
    let problems = json["problems"].as_array().expect("a list");
    let mut kinds: Vec<&str> = problems.iter().filter_map(|problem| problem["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["config", "duplicate_task", "missing_state", "missing_task", "missing_task", "task", "task"]);
    let of = |kind: &str| problems.iter().find(|problem| problem["kind"] == kind).expect("it is told");
    assert_eq!((&of("config")["file"], &of("config")["line"]), (&"scheduler.yaml".into(), &2.into()));
    assert!(of("duplicate_task")["file"].as_str().expect("a file").ends_with("planned.rs"));
}

#[test]
fn tasks_are_told_as_declared_while_nothing_runs() {
    let folder = Folder::new();
    let list = folder.program("", &["list", "--json"]);
    let json = list.json();
    let names: Vec<&str> = json.as_array().expect("tasks").iter().filter_map(|task| task["name"].as_str()).collect();
    assert!(names.contains(&"report") && names.len() == 9, "{names:?}");
    assert!(list.errors.contains("the program is not running"), "{list:?}");
    assert!(folder.program("", &["list", "--tag", "monitoring"]).well().contains("health_check"));
    assert!(!folder.program("", &["list", "--tag", "monitoring"]).well().contains("report"));
    let next = folder.program("", &["next", "report", "-n", "3", "--json"]).json();
    assert_eq!(next[0]["next"].as_array().map(Vec::len), Some(3), "{next}");
    assert!(folder.program("", &["show", "report"]).well().contains("Monday to Friday"));
    let unknown = folder.program("", &["show", "reprot"]);
    assert!(unknown.code == Some(1) && unknown.errors.contains("did you mean \"report\"?"), "{unknown:?}");
    // What only a running program knows is not made up.
    for arguments in [&["list", "--status", "paused"][..], &["list", "--pid", "1"], &["trigger", "report"], &["health"]]
    {
        assert_eq!(folder.program("", arguments).code, Some(3), "{arguments:?}");
    }
}

#[test]
fn an_expression_is_explained_and_a_wrong_one_is_pointed_at() {
    let folder = Folder::new();
    let paris = ["--tz", "Europe/Paris", "-n", "3", "--from", "2026-03-28T00:00:00Z"];
    let said = folder.symphra(&[&["cron", "30 2 * * *"][..], &paris].concat()).well();
    is_as_before("cron", &said);
    let chinese = folder.symphra(&["cron", "30 2 * * *", "--zh"]).well();
    assert!(chinese.contains("每天"), "{chinese}");
    let json = folder.symphra(&[&["cron", "30 2 * * *", "--json"][..], &paris].concat()).json();
    assert_eq!(json["next"][1].to_string(), r#"{"at":"2026-03-29T03:00:00+02:00","effect":"moved"}"#);
    let wrong = folder.symphra(&["cron", "0 0 25 * * *"]);
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    is_as_before("cron-wrong", &wrong.errors);
    let wrong = folder.symphra(&["cron", "0 0 25 * * *", "--json"]);
    let error: Json = serde_json::from_str(&wrong.errors).expect("JSON");
    assert_eq!((wrong.code, &error["error"]["field"]), (Some(1), &"hour".into()));
    let zone = folder.symphra(&["cron", "@daily", "--tz", "Europe/Pariss"]);
    assert!(zone.code == Some(2) && zone.errors.contains("Europe/Paris"), "{zone:?}");
}

/// Whether a program that may not be there is content with this text at its standard input or as a file.
fn accepts(program: &str, arguments: &[&str], file: &Path) -> Option<(bool, String)> {
    let output = Command::new(program).args(arguments).arg(file).output().ok()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output.status.success() && errors.is_empty(), errors))
}

#[test]
fn completions_and_the_manual_bear_the_name_of_the_program() {
    let folder = Folder::new();
    for (shell, part) in [
        ("bash", "-o default planned-fixture"),
        ("zsh", "#compdef planned-fixture"),
        ("fish", "complete -c planned-fixture"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[planned-fixture]"),
    ] {
        let script = folder.program("", &["completions", shell]).well();
        assert!(script.contains(part) && script.contains("daemon") && script.contains("against"), "{shell}: {script}");
        let ours = folder.symphra(&["completions", shell]).well();
        assert!(ours.contains("cron") && ours.contains("symphra"), "{shell}: {ours}");
        folder.write("script", &script);
        if let Some((is_right, errors)) =
            accepts(shell, &["-n"], &folder.0.join("script")).filter(|_| shell != "elvish")
        {
            assert!(is_right, "{shell}: {errors}");
        }
    }
    let unknown = folder.program("", &["completions", "cmd"]);
    assert!(unknown.code == Some(2) && unknown.errors.contains("bash, elvish, fish, powershell or zsh"), "{unknown:?}");
    assert_eq!(folder.program("", &["completions"]).code, Some(2), "$SHELL is not set");
    for page in [folder.program("", &["man"]).well(), folder.symphra(&["man"]).well()] {
        assert!(page.contains(".SH NAME") && page.contains(".SH BACKFILL"), "{page}");
        folder.write("page.1", &page);
        if let Some((is_right, errors)) = accepts("man", &["--warnings", "-l", "--pager=cat"], &folder.0.join("page.1"))
        {
            assert!(is_right, "{errors}");
        }
    }
    assert!(folder.program("", &["man"]).well().contains(".SH DAEMON START"));
}

#[test]
fn a_wrong_configuration_keeps_no_completions_from_being_written() {
    let folder = Folder::new();
    folder.write("scheduler.yaml", "max_workers: many\n");
    folder.program("", &["completions", "bash"]).well();
    folder.program("", &["man"]).well();
    let plan = folder.plan("", &[]);
    assert!(plan.code == Some(1) && plan.errors.contains("scheduler.yaml:1"), "{plan:?}");
}

/// What a shell says in the folder, with the program by its name on the page, and a cargo that builds it.
fn types(folder: &Folder, variant: &str, script: &str) -> Said {
    let shell = Shell::in_folder(&folder.0);
    let program = env!("CARGO_BIN_EXE_planned-fixture");
    if !folder.0.join("bin/reports").exists() {
        shell.has("reports", program);
        let builds =
            "[ \"$*\" = 'build --release' ] && mkdir -p target/release && ln -sf ../../bin/reports target/release";
        shell.plays("cargo", builds);
    }
    let mut typed = shell.types(script);
    typed.envs([("VARIANT", variant), ("XDG_RUNTIME_DIR", "")]);
    Said::of(typed.stdin(Stdio::null()).output().expect("a shell"))
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    const PAGE: &str = "docs/en/plan.md";
    let folder = Folder::new();
    let has = |name: &str| fs::read_to_string(folder.0.join(name)).unwrap_or_default();

    let plans = types(&folder, "", &shown::script(PAGE, "reports plan  ")).well();
    assert_eq!(plans.matches("busiest minutes").count(), 2, "of a day, and of a week: {plans}");
    assert!(plans.contains("2026-12-24 00:00 to 2026-12-31 00:00"), "{plans}");

    let difference = shown::script(PAGE, "reports plan --json");
    assert!(types(&folder, "", &difference).well().contains("nothing differs"));
    let (writes, compares) = difference.split_once('\n').expect("two commands");
    types(&folder, "", writes).well();
    let later = types(&folder, "later", compares);
    assert!(later.code == Some(1) && later.out.contains("5 tasks differ"), "{later:?}");

    types(&folder, "", "cargo build --release").well();
    types(&folder, "", &shown::script(PAGE, "mkdir -p plans")).well();
    let in_ci = shown::script(PAGE, "cargo build --release");
    let says = types(&folder, "", &in_ci).well();
    assert!(says.starts_with("ok: 9 tasks") && says.contains("nothing differs"), "{says}");
    let later = types(&folder, "later", &in_ci);
    assert!(later.code == Some(1) && later.out.contains("tasks differ"), "{later:?}");
    let wrong = types(&folder, "wrong", &in_ci);
    assert!(wrong.code == Some(1) && !wrong.out.contains("differ"), "it ends with the check: {wrong:?}");

    types(&folder, "", &shown::script(PAGE, "reports man")).well();
    assert!(has(".local/share/bash-completion/completions/reports").contains("-o default reports"));
    assert!(has(".local/share/man/man1/reports.1").contains(".SH NAME"));
}

#[test]
fn an_expression_is_explained_as_the_page_has_it() {
    let block = shown::block("docs/en/plan.md", "text", "$ symphra cron");
    let folder = Folder::new();
    let samples: Vec<&str> = block.split("$ ").skip(1).collect();
    assert_eq!(samples.len(), 2, "one that is right, and one that is wrong");
    for sample in samples {
        let (typed, says) = sample.split_once('\n').expect("a command, and what it says");
        let words = shown::words(typed);
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let said = folder.symphra(&arguments);
        assert!(words[0] == "symphra" && is_as(says, &format!("{}{}", said.out, said.errors)), "{typed}: {said:?}");
    }
}

/// The snapshots are what the commands print: see above.
#[test]
fn plans_of_the_page_are_what_the_commands_print() {
    for (name, begins) in [("plan", "9 tasks, 11550 firings\n"), ("plan-against", "5 tasks differ\n")] {
        let sample = shown::block("docs/en/plan.md", "text", begins);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(format!("{name}.txt"));
        let printed = fs::read_to_string(path).expect("it is kept");
        // To the letter, but for the lines that it leaves out.
        let mut rest = &*printed;
        for part in sample.split("…\n") {
            let at = rest.find(part).unwrap_or_else(|| panic!("{name}: {part}\nis not in\n{rest}"));
            rest = &rest[at + part.len()..];
        }
        assert!(rest.is_empty() && printed.starts_with(sample.lines().next().unwrap_or_default()), "{name}: {rest}");
    }
    let folder = Folder::new();
    let printed = folder.plan("", &[&FROM[..], &["--json"]].concat()).json();
    let shown = shown::block("docs/en/plan.md", "json", "every_ms");
    let shown: Json = serde_json::from_str(&shown).expect("it is JSON");
    let tasks = printed["tasks"].as_array().expect("tasks").iter();
    let mut firings = tasks.flat_map(|task| task["firings"].as_array().expect("firings"));
    assert!(firings.any(|firings| *firings == shown), "{shown}");
}
