//! Commands for a program that keeps a store: from another process, past its control socket, and when it is dead.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use symphra_scheduler_tests::services::{
    has_postgres, has_rabbitmq, has_redis, postgres_url, rabbitmq_url, redis_namespace, redis_url,
};

use super::commands::not_run;
use super::rig::{APP, Home, PATIENCE, Program, SYMPHRA, Said};

/// A program with a store, in a folder of its own.
pub(crate) struct Kept {
    pub(crate) home: Home,
    pub(crate) url: String,
    pub(crate) namespace: String,
}

impl Kept {
    pub(crate) fn in_sqlite() -> Self {
        let home = Home::new();
        let url = format!("sqlite://{}", home.path("store.db").display());
        Self { home, url, namespace: "kept".to_owned() }
    }

    /// On every store that is there.
    pub(crate) fn everywhere() -> Vec<Self> {
        let mut all = vec![Self::in_sqlite()];
        if has_postgres() {
            let namespace = format!("kept_{}", fastrand::u32(..));
            all.push(Self { home: Home::new(), url: postgres_url().to_owned(), namespace });
        }
        if has_rabbitmq() {
            all.push(Self { home: Home::new(), url: rabbitmq_url().to_owned(), namespace: redis_namespace() });
        }
        if has_redis() {
            all.push(Self { home: Home::new(), url: redis_url().to_owned(), namespace: redis_namespace() });
        }
        all
    }

    pub(crate) fn configured(&self, mut command: Command) -> Command {
        command.env("SCHEDULER_BACKEND_URL", &self.url).env("SCHEDULER_BACKEND_NAMESPACE", &self.namespace);
        command
    }

    pub(crate) fn runs(&self) -> Program {
        let mut program = Program::of(self.configured(self.home.command(APP, "app", &["run"])));
        program.prints("5 tasks");
        program
    }

    /// A command of the program, which finds no socket: only the store is left.
    fn app(&self, arguments: &[&str]) -> Said {
        let mut command = self.configured(self.home.command(APP, "app", arguments));
        Said::of(
            command
                .env("SYMPHRA_CONTROL_DIR", self.home.path("elsewhere"))
                .stdin(Stdio::null())
                .output()
                .expect("it runs"),
        )
    }

    /// The same of the binary that has no code of the program.
    fn symphra(&self, arguments: &[&str]) -> Said {
        let all = ["--url", &self.url, "--namespace", &self.namespace];
        let all: Vec<&str> = all.into_iter().chain(arguments.iter().copied()).collect();
        let mut command = self.home.command(SYMPHRA, "symphra", &all);
        Said::of(command.stdin(Stdio::null()).output().expect("it runs"))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.symphra(&all).well()).expect("it is JSON")
    }

    /// Asks until the answer is as it should be; the answer.
    #[track_caller]
    fn until(&self, arguments: &[&str], is_right: impl Fn(&Value) -> bool) -> Value {
        super::rig::until(|| self.json(arguments), arguments, is_right)
    }
}

fn named<'a>(tasks: &'a Value, name: &str) -> &'a Value {
    let tasks = tasks.as_array().expect("a list");
    tasks.iter().find(|task| task["name"] == name).unwrap_or_else(|| panic!("{name} is there: {tasks:?}"))
}

#[test]
fn a_password_in_the_url_stands_in_no_line_of_the_log_and_in_no_answer() {
    if !has_postgres() {
        return;
    }
    let home = Home::new();
    let (user, place) = postgres_url().rsplit_once('@').expect("a URL with a user");
    // Where the server trusts its callers, any password is right.
    let (url, password) = match user.rsplit_once("://").and_then(|(_, user)| user.split_once(':')) {
        // A word that stands in the rest of the URL too cannot be told from a password.
        Some((name, password)) if name.contains(password) || place.contains(password) => return,
        Some((_, password)) => (postgres_url().to_owned(), password.to_owned()),
        None => (format!("{user}:hunter2@{place}"), "hunter2".to_owned()),
    };
    let settings = |more: &str| {
        let namespace = format!("logged_{}", std::process::id());
        let backend = format!("backend: {{ url: \"{url}\", namespace: {namespace} }}\n");
        home.write("scheduler.yaml", &format!("{backend}logging: {{ level: trace }}\n{more}"));
    };
    settings("");
    let files = ["out", "err"].map(|name| std::fs::File::create(home.path(name)).expect("a file"));
    let [out, err] = files;
    let mut process =
        home.command(APP, "app", &["run"]).stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("it runs");
    let began = Instant::now();
    // Another process triggers what the store knows, which it does not before the program is up.
    while home.app(&["trigger", "fails"]).code != Some(0) {
        assert!(began.elapsed() < PATIENCE, "it comes up");
    }
    home.ended("fails");
    // Right, and then wrong in the line of the secret itself.
    settings("tasks: { report: { timeout: 5s } }\n");
    let log = || std::fs::read_to_string(home.path("err")).expect("it is text");
    let says = |event: &str| {
        super::rig::send(&process.id().to_string(), "HUP");
        while !log().contains(event) {
            assert!(began.elapsed() < PATIENCE, "it says {event}: {}", log());
        }
    };
    says("config.reloaded");
    settings("tasks: { raport: { timeout: 5s } }\nnode: [1]\n");
    says("config.refused");
    settings("");
    for command in [&["list"][..], &["show", "fails"], &["runs"], &["nodes"], &["health"], &["check"], &["plan"]] {
        for form in [&[][..], &["--json"]] {
            let said = home.app(&[command, form].concat());
            assert!(!format!("{said:?}").contains(&password), "{command:?}: {said:?}");
        }
    }
    super::rig::send(&process.id().to_string(), "TERM");
    assert!(process.wait().expect("it ends").success());
    let printed = std::fs::read_to_string(home.path("out")).expect("it is text") + &log();
    assert!(printed.contains("scheduler.started") && printed.contains("scheduler.stopped"), "it was logged");
    assert!(!printed.contains(&password), "the password is in the log");
}

#[test]
fn a_running_program_is_operated_through_its_store() {
    for kept in Kept::everywhere() {
        let mut program = kept.runs();
        let tasks = kept.json(&["list"]);
        assert_eq!(tasks.as_array().map(Vec::len), Some(5), "{tasks}");
        assert_eq!(named(&tasks, "report")["timezone"], "Asia/Shanghai");
        assert_eq!(named(&tasks, "often")["status"], "paused", "by its declaration");

        kept.symphra(&["pause", "report", "--reason", "moving house"]).well();
        let began = Instant::now();
        while kept.home.json(&["show", "report"])["pause"]["reason"] != "moving house" {
            assert!(began.elapsed() < PATIENCE, "the running program hears of it");
        }
        assert!(kept.json(&["show", "report"])["pause"]["by"].as_str().is_some_and(|by| by.contains("cli")));
        kept.symphra(&["resume", "report"]).well();
        assert_eq!(kept.json(&["show", "report"])["status"], "pending");

        let run = kept.json(&["trigger", "report"])["run"].clone();
        program.prints("report: done");
        let ended = kept.until(&["runs", "report"], |runs| runs[0]["state"] == "succeeded");
        assert_eq!((&ended[0]["id"], ended.as_array().map(Vec::len)), (&run, Some(1)));
        assert_eq!(kept.json(&["show", "report"])["status"], "completed");

        let run = kept.json(&["trigger", "slow"])["run"].as_str().expect("an id").to_owned();
        program.prints("slow: began");
        assert_eq!(kept.json(&["show", "slow"])["status"], "running");
        kept.symphra(&["cancel", &run]).well();
        kept.until(&["runs", "slow"], |runs| runs[0]["state"] == "cancelled");
        kept.symphra(&["cancel", &run]).fails(1, &["has ended already: cancelled"]);

        kept.app(&["reschedule", "report", "2h"]).well();
        kept.until(&["show", "report"], |page| page["schedule"] == "every 2 hours");
        assert_eq!(kept.json(&["next", "report", "-n", "3"])[0]["next"].as_array().map(Vec::len), Some(3));

        let nodes = kept.json(&["nodes"]);
        assert_eq!((&nodes[0]["presence"], &nodes[0]["pid"]), (&"alive".into(), &Value::Null), "{nodes}");
        let (of_program, pid) = (kept.home.json(&["nodes"]), program.process.id());
        assert_eq!(
            (&of_program[0]["pid"], of_program.as_array().map(Vec::len)),
            (&pid.into(), Some(1)),
            "{of_program}"
        );
        assert_eq!(kept.json(&["health"])["well"], true);
        kept.symphra(&["pause", "repotr"]).fails(1, &["did you mean \"report\"?"]);
        assert_eq!(program.ends_by("TERM"), Some(0));
        let health = kept.symphra(&["health"]);
        assert_eq!(health.code, Some(1), "nobody fires: {health:?}");
    }
}

#[test]
fn after_a_kill_the_store_still_tells_the_story() {
    for kept in Kept::everywhere() {
        let program = kept.runs();
        kept.symphra(&["resume", "often"]).well();
        kept.until(&["runs", "often"], |runs| runs.as_array().is_some_and(|runs| runs.len() >= 2));
        let failed = kept.json(&["trigger", "fails"])["run"].as_str().expect("an id").to_owned();
        kept.until(&["runs", "fails"], |runs| runs[0]["state"] == "failed");
        assert_eq!(program.ends_by("KILL"), None);
        for said in [kept.app(&["log", &failed]).well(), kept.symphra(&["log", &failed]).well()] {
            assert!(
                said.contains(", failed, attempt 1\n") && said.contains("printer"),
                "what it wrote is kept: {said}"
            );
        }

        let runs: Value = serde_json::from_str(&kept.app(&["runs", "often", "--json"]).well()).expect("JSON");
        let ended =
            runs.as_array().expect("runs").iter().find(|run| run["state"] == "succeeded").expect("one has ended");
        let at = ended["scheduled_at"]["utc"].as_str().expect("an instant");
        for said in [kept.app(&["explain", "often", at]).well(), kept.symphra(&["explain", "often", at]).well()] {
            assert!(said.contains("succeeded") && said.contains(at), "{said}");
        }
        let nodes = kept.symphra(&["nodes"]).well();
        assert!(["sqlite", "postgres", "rabbitmq", "redis"].iter().any(|store| nodes.contains(store)), "{nodes}");

        // What is asked for while nobody is there is done by the next start.
        kept.app(&["trigger", "report"]).well();
        assert_eq!(kept.json(&["runs", "report"])[0]["state"], "queued");
        let again = kept.runs();
        kept.until(&["runs", "report"], |runs| runs[0]["state"] == "succeeded");
        assert_ne!(kept.json(&["show", "often"])["status"], "paused", "the end of the pause outlived the program");
        assert_eq!(again.ends_by("TERM"), Some(0));
    }
}

#[test]
fn a_backfill_is_asked_of_the_store_and_done_by_the_next_start() {
    for kept in Kept::everywhere() {
        let program = kept.runs();
        let (from, to, count) = not_run(&kept.home);
        assert_eq!(program.ends_by("TERM"), Some(0));
        let span = ["backfill", "often", "--from", &from, "--to", &to];
        let with = |more: &[&'static str]| [&span[..], more].concat();
        let preview = kept.json(&with(&["--preview"]));
        assert_eq!((preview["occurrences"].as_array().map(Vec::len), &preview["id"]), (Some(count), &Value::Null));
        assert_eq!(preview["occurrences"][0]["utc"], from);
        kept.symphra(&with(&["--wait"])).fails(1, &["no program runs on this store", "leave out --wait"]);
        assert_eq!(kept.json(&["runs", "often"]), json!([]), "neither has begun anything");

        let begun = kept.json(&span);
        assert_eq!((begun["runs"].as_array().map(Vec::len), &begun["ended"]), (Some(count), &Value::Null), "{begun}");
        assert_eq!(kept.json(&["runs", "often"])[0]["state"], "queued");
        let program = kept.runs();
        kept.until(&["runs", "often"], |runs| {
            let runs = runs.as_array().expect("a list");
            runs.len() == count && runs.iter().all(|run| run["state"] == "succeeded")
        });
        let nothing = kept.symphra(&with(&["--wait"])).well();
        assert_eq!(nothing, "nothing to run: no occurrence of the range since the first registration lacks a success");
        let waited = kept.json(&with(&["--rerun", "--wait"]));
        assert_eq!(waited["ended"], json!({ "succeeded": count }));
        assert_eq!(program.ends_by("TERM"), Some(0));
        // Where there is nothing to wait for nobody is missed.
        assert_eq!(kept.symphra(&with(&["--wait"])).well(), nothing);
        kept.symphra(&["backfill", "oftne", "--from", &from]).fails(1, &["did you mean \"often\"?"]);
    }
}

#[test]
fn a_command_that_asks_makes_no_store_and_migrate_does() {
    let kept = Kept::in_sqlite();
    kept.symphra(&["list"]).fails(1, &["it has no tables", "`migrate`", "store.db"]);
    let declared = kept.app(&["list"]);
    assert!(declared.code == Some(0) && declared.err.contains("what it declares"), "{declared:?}");
    kept.app(&["runs"]).fails(1, &["it has no tables"]);
    assert!(!kept.home.path("store.db").exists(), "a question makes nothing");

    let said = kept.app(&["migrate"]).well();
    assert!(said.contains("store.db are up to date"), "{said}");
    assert_eq!(kept.json(&["list"]), json!([]));
    assert!(kept.app(&["list"]).out.contains("report"), "what is declared and has never run");
    assert_eq!(kept.symphra(&["migrate"]).code, Some(0), "a second time changes nothing");

    let mut checked = kept.configured(kept.home.command(APP, "app", &["run"]));
    checked.env("SCHEDULER_BACKEND_MIGRATE", "check").env("SCHEDULER_BACKEND_NAMESPACE", "other");
    Said::of(checked.output().expect("it runs")).fails(1, &["it has no tables", "store.db"]);
}

#[test]
fn a_store_of_an_older_version_is_no_problem_of_a_start_and_commands_name_the_way_out() {
    use sqlx::{Connection, SqliteConnection};

    let kept = Kept::in_sqlite();
    kept.app(&["migrate"]).well();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut file = SqliteConnection::connect(&kept.url).await.expect("it opens");
        let older = "DROP TABLE kept_logs; DROP TABLE kept_jobs; DROP TABLE kept_actions; ALTER TABLE kept_known DROP COLUMN reads; \
                     ALTER TABLE kept_meta DROP COLUMN store; DROP INDEX kept_runs_begun; DROP INDEX kept_runs_waiting; \
                     DROP INDEX kept_runs_lane; ALTER TABLE kept_history DROP COLUMN node; \
                     CREATE INDEX kept_runs_task ON kept_runs (task, due_at); UPDATE kept_meta SET schema_version = 1";
        sqlx::raw_sql(older).execute(&mut file).await.expect("it is done");
    });
    assert_eq!(kept.app(&["check"]).code, Some(0), "its start brings it up to date");
    let says = "its tables are at version 1 and this program needs 6: run its command `migrate`";
    kept.symphra(&["list"]).fails(1, &[says]);
    let mut checked = kept.configured(kept.home.command(APP, "app", &["check"]));
    let said = Said::of(checked.env("SCHEDULER_BACKEND_MIGRATE", "check").output().expect("it runs"));
    assert!(said.code == Some(1) && said.out.contains(says), "this one makes nothing: {said:?}");
    kept.symphra(&["migrate"]).well();
    assert_eq!(kept.json(&["list"]), json!([]));
}

#[test]
fn a_store_is_named_by_arguments_a_file_or_the_environment() {
    let kept = Kept::in_sqlite();
    kept.app(&["migrate"]).well();
    let home = &kept.home;
    home.symphra(&["list", "--url", &kept.url]).fails(2, &["--namespace"]);
    home.symphra(&["list"]).fails(2, &["--name", "--url", "SCHEDULER_BACKEND_URL"]);
    home.symphra(&["list", "--url", "mysql://db", "--namespace", "a"]).fails(1, &["\"mysql://…\" names no backend"]);
    let text = format!("backend: {{ url: '{}', namespace: kept }}\n", kept.url);
    home.write("store.yaml", &text);
    assert_eq!(home.symphra(&["list", "--config", "store.yaml", "--json"]).well(), "[]");
    let mut command = kept.configured(home.command(SYMPHRA, "symphra", &["list", "--json"]));
    assert_eq!(Said::of(command.output().expect("it runs")).well(), "[]");
}

#[test]
fn a_password_in_the_arguments_is_warned_of_and_never_shown() {
    let home = Home::new();
    let url = "postgres://app:hunter2@127.0.0.1:1/app?connect_timeout=1";
    let said = home.symphra(&["list", "--url", url, "--namespace", "a"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.err.matches("can read a password").count(), 1, "{said:?}");
    assert!(said.err.contains("postgres://app:***@127.0.0.1:1/app") && !said.err.contains("hunter2"), "{said:?}");
    // The same by the environment, which only its user can read.
    let mut command = home.command(SYMPHRA, "symphra", &["list", "--namespace", "a"]);
    let said = Said::of(command.env("SCHEDULER_BACKEND_URL", url).output().expect("it runs"));
    assert!(said.code == Some(1) && !said.err.contains("can read a password"), "{said:?}");
}

#[test]
fn what_was_asked_for_is_listed_with_who_asked_and_what_came_of_it() {
    for kept in Kept::everywhere() {
        let program = kept.runs();
        // Through the control socket, past it, and in vain.
        let pause = ["pause", "report", "--reason", "moving house"];
        Said::of(kept.configured(kept.home.command(APP, "app", &pause)).output().expect("it runs")).well();
        kept.symphra(&["resume", "report"]).well();
        kept.symphra(&["trigger", "reprot"]).fails(1, &["did you mean \"report\"?"]);
        let actions = kept.json(&["actions"]);
        let told: Vec<[&str; 3]> = (actions.as_array().expect("a list").iter())
            .map(|action| ["task", "change", "outcome"].map(|field| action[field].as_str().expect("a text")))
            .collect();
        let pause = ["report", "pause (task: report, reason: moving house)", "done"];
        let in_vain =
            ["reprot", "trigger (task: reprot)", "there is no task named \"reprot\"; did you mean \"report\"?"];
        assert_eq!(told, [in_vain, ["report", "resume (task: report)", "done"], pause]);
        for action in actions.as_array().expect("a list") {
            assert!(action["actor"].as_str().is_some_and(|actor| actor.contains("cli")), "{action}");
            assert!(action["at"]["utc"].is_string(), "{action}");
        }
        assert_eq!(kept.json(&["actions", "-n", "1"]).as_array().map(Vec::len), Some(1));
        let table = kept.symphra(&["actions"]).well();
        assert!(table.contains("CHANGE") && table.contains("moving house"), "{table}");
        program.ends_by("TERM");
        assert_eq!(kept.json(&["actions"]), actions, "they are there when nobody runs");
    }
}
