//! The log as a program sees it: the table of the book, files, formats, levels, adapters, and who owns the global
//! subscriber.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use symphra_scheduler::logging::{self, EVENTS, LogAdapter, LogFormat, LoggingConfig, Rotation, Silent, SlogAdapter};
use symphra_scheduler::{
    Error, RetryPolicy, RunFilter, RunLog, RunState, Schedule, Scheduler, SchedulerConfig, SchedulerEvent, Task,
};
use symphra_scheduler_tests::samples::line_is_as;
use symphra_scheduler_tests::shown::block;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Which test of this file the process is for, if it was started by [`alone`].
const ALONE: &str = "SYMPHRA_TEST_ALONE";

/// Runs `test`, which is the test named `name`, in a process of its own, since it sets what a process has once; what that
/// process printed, for the one that started it.
fn alone(name: &str, test: impl FnOnce()) -> Option<Output> {
    if std::env::var_os(ALONE).is_some_and(|only| *only == *name) {
        test();
        return None;
    }
    let this = std::env::current_exe().expect("a test knows where it is");
    let output =
        Command::new(this).args([name, "--exact", "--nocapture"]).env(ALONE, name).output().expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{name} failed:\n{printed}\n{said}");
    Some(output)
}

/// A folder of its own, gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("symphra-logging-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).expect("a new folder");
        Self(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("scheduler.log")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.log()).expect("a log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it can be removed");
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn tick() -> Task {
    Task::new("tick", Schedule::interval(Duration::from_secs(3_600)).expect("a possible period"), async || {})
}

async fn start_and_stop(scheduler: Scheduler) {
    let scheduler = scheduler.register(tick()).start().await.expect("it starts");
    assert!(scheduler.stop().await.expect("it stops").is_clean());
}

/// What a scheduler that starts and stops writes by these settings.
fn written(folder: &Folder, settings: LoggingConfig) -> String {
    let (subscriber, guard) = logging::subscriber(&settings.file(folder.log())).expect("it can be written");
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(target: "shop::orders", "an order");
        tracing::warn!(target: "sqlx::query", "a slow query");
        block_on(start_and_stop(Scheduler::empty()));
    });
    drop(guard);
    folder.text()
}

#[test]
fn the_table_of_the_book_is_the_list_of_events() {
    let known: Vec<[String; 3]> = EVENTS
        .iter()
        .map(|event| {
            let fields: Vec<_> = event.fields.iter().map(|field| format!("`{field}`")).collect();
            [format!("`{}`", event.name), event.level.to_string(), fields.join(", ")]
        })
        .collect();
    for language in ["en", "zh"] {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(language).join("logging.md");
        let page = fs::read_to_string(page).expect("a page of the book");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
        let table: Vec<[String; 3]> = rows
            .map(|row| row.split(" | ").map(str::trim).collect::<Vec<_>>())
            .filter(|cells| cells.len() == 4 && cells[0].contains('.'))
            .map(|cells| [format!("`{}", cells[0]), cells[1].to_owned(), cells[2].replace('—', "")])
            .collect();
        assert_eq!(table, known, "docs/{language}/logging.md");
    }
}

#[test]
fn a_line_of_a_body_is_as_the_page_has_it() {
    // The id is shortened there.
    let sample = block("docs/en/logging.md", "text", "the till is empty").replace("019ca2f8-", "");
    let folder = Folder::new();
    let (subscriber, guard) = logging::subscriber(&LoggingConfig::new().file(folder.log())).expect("it can be written");
    tracing::subscriber::with_default(subscriber, || {
        block_on(async {
            let writes = Task::new("report", Schedule::cron("0 0 1 1 *").expect("an expression"), async || {
                tracing::warn!(target: "shop::till", "the till is empty");
            });
            let config = SchedulerConfig::new().node("host-7");
            let handle = Scheduler::empty().config(config).register(writes).start().await.expect("it starts");
            let mut events = handle.events();
            handle.trigger_task("report").await.expect("it is triggered");
            while !matches!(events.next().await.expect("it ends"), SchedulerEvent::RunEnded { .. }) {}
            handle.stop().await.expect("it stops");
        });
    });
    drop(guard);
    let text = folder.text();
    let line = text.lines().find(|line| line.contains("the till is empty")).expect("it is written");
    assert!(line_is_as(sample.trim_end(), line), "{sample}\n{line}");
}

#[test]
fn the_line_of_a_busy_file_is_one_of_the_events() {
    let sample = block("docs/en/troubleshooting.md", "text", "WARN symphra_scheduler");
    let event = EVENTS.iter().find(|event| event.name == "store.unreachable").expect("there is one");
    let begins = format!("{} symphra_scheduler: {} event=\"{}\" ", event.level, event.message, event.name);
    assert!(sample.starts_with(&begins), "{begins}");
    let fields: Vec<&str> =
        event.fields.iter().copied().filter(|field| !sample.contains(&format!(" {field}="))).collect();
    assert!(fields.is_empty(), "the page lacks {fields:?}");
}

/// The runs of a task that is triggered once, each with its log.
async fn logs(task: Task) -> Vec<(RunState, Option<RunLog>)> {
    let handle = Scheduler::empty().register(task).start().await.expect("it starts");
    let mut events = handle.events();
    let id = handle.trigger_task("writes").await.expect("it is triggered");
    loop {
        match events.next().await.expect("it ends") {
            SchedulerEvent::RunEnded { run, .. } if run == id => break,
            _ => {}
        }
    }
    // An end is told before it is stored, and a stop waits for that.
    handle.stop().await.expect("it stops");
    let mut logs = Vec::new();
    for run in handle.runs(&RunFilter::new()).await.expect("runs are listed") {
        logs.push((run.state, handle.run_log(run.id).await.expect("a log is read")));
    }
    logs
}

fn yearly() -> Schedule {
    Schedule::cron("0 0 1 1 *").expect("a valid expression")
}

#[test]
fn what_a_run_wrote_is_kept_with_it() {
    let folder = Folder::new();
    let (subscriber, _guard) =
        logging::subscriber(&LoggingConfig::new().file(folder.log())).expect("it can be written");
    let writes = Task::new("writes", yearly(), async || {
        tracing::info!(target: "shop", "the first page");
        tokio::task::yield_now().await;
        tracing::debug!(target: "shop", "a detail");
        Err::<(), _>("no ink")
    })
    .retry(RetryPolicy::none());
    let subscriber = subscriber.with(logging::run_log_layer());
    let logs = tracing::subscriber::with_default(subscriber, || block_on(logs(writes)));
    let [(RunState::Failed, Some(log))] = &logs[..] else { panic!("{logs:?}") };
    assert!(log.text.ends_with(" INFO shop: the first page"), "across awaits, and INFO: {log:?}");
    assert_eq!(log.attempt, 1);
}

#[test]
fn without_the_layer_nothing_is_kept() {
    let folder = Folder::new();
    let (subscriber, _guard) =
        logging::subscriber(&LoggingConfig::new().file(folder.log())).expect("it can be written");
    let writes = Task::new("writes", yearly(), async || tracing::error!(target: "shop", "nobody keeps it"));
    let logs = tracing::subscriber::with_default(subscriber, || block_on(logs(writes)));
    assert_eq!(logs, [(RunState::Succeeded, None)]);
}

/// Threads have no subscriber but the global one, and only a global one hears what is written as an event is.
#[test]
fn what_threads_and_values_write_is_kept_too() {
    alone("what_threads_and_values_write_is_kept_too", || {
        struct Chatty;
        impl std::fmt::Display for Chatty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                tracing::warn!(target: "shop", "from within");
                f.write_str("chatty")
            }
        }
        tracing_subscriber::registry().with(logging::run_log_layer()).try_init().expect("there is none yet");
        let task =
            Task::blocking("writes", yearly(), || tracing::info!(target: "shop", value = %Chatty, "from a thread"));
        let logs = block_on(logs(task));
        let [(RunState::Succeeded, Some(log))] = &logs[..] else { panic!("{logs:?}") };
        assert!(log.text.contains(" WARN shop: from within"), "{log:?}");
        assert!(log.text.ends_with(" INFO shop: from a thread value=chatty"), "{log:?}");
    });
}

#[test]
fn an_embedded_scheduler_leaves_the_global_subscriber_to_the_program() {
    alone("an_embedded_scheduler_leaves_the_global_subscriber_to_the_program", || {
        let settings = SchedulerConfig::new().logging(LoggingConfig::new().format(LogFormat::Json));
        block_on(start_and_stop(Scheduler::empty().config(settings)));
        assert!(!tracing::dispatcher::has_been_set(), "there is none yet");
        tracing_subscriber::fmt().try_init().expect("the program can set its own, although a scheduler has run");
    });
}

#[test]
fn a_second_subscriber_is_refused_and_without_a_terminal_there_are_no_colours() {
    let output = alone("a_second_subscriber_is_refused_and_without_a_terminal_there_are_no_colours", || {
        let _log = logging::init(&LoggingConfig::new()).expect("there is none yet");
        let refused = logging::init(&LoggingConfig::new()).expect_err("there is one").to_string();
        assert!(refused.contains("a global subscriber of `tracing` already"), "{refused}");
        block_on(start_and_stop(Scheduler::empty()));
    });
    if let Some(output) = output {
        let said = String::from_utf8(output.stderr).expect("the log is text");
        let line = said.lines().find(|line| line.contains("scheduler.started")).expect("it was started");
        assert!(
            line.contains(" INFO symphra_scheduler: scheduler started event=\"scheduler.started\" node="),
            "{line}"
        );
        assert!(!said.contains('\x1b'), "{said}");
    }
}

/// Runs in the foreground until its task has asked the process to end.
#[cfg(unix)]
fn foreground(logging: LoggingConfig) -> Result<(), Error> {
    let ends =
        Task::new("ends", Schedule::interval(Duration::from_millis(10)).expect("a possible period"), async || {
            Command::new("sh").args(["-c", "kill -TERM $PPID"]).status().map(drop)
        });
    block_on(Scheduler::empty().config(SchedulerConfig::new().logging(logging)).register(ends.max_runs(1)).run())
}

#[cfg(unix)]
#[test]
fn the_foreground_installs_the_subscriber_of_the_settings_if_there_is_none() {
    alone("the_foreground_installs_the_subscriber_of_the_settings_if_there_is_none", || {
        let folder = Folder::new();
        foreground(LoggingConfig::new().file(folder.log()).task_success(true)).expect("it ends well");
        for name in ["scheduler.started", "run.succeeded", "scheduler.stopping", "scheduler.stopped"] {
            assert!(folder.text().contains(name), "{name} is written before it returns:\n{}", folder.text());
        }
    });
}

#[cfg(unix)]
#[test]
fn the_foreground_leaves_the_subscriber_of_the_program() {
    alone("the_foreground_leaves_the_subscriber_of_the_program", || {
        let folder = Folder::new();
        let _log = logging::init(&LoggingConfig::new().file(folder.log())).expect("there is none yet");
        let other = folder.0.join("other.log");
        foreground(LoggingConfig::new().file(&other)).expect("it ends well");
        assert!(!other.exists(), "the settings were not needed");
    });
}

#[cfg(unix)]
#[test]
fn the_foreground_ends_with_all_that_is_wrong_with_the_settings() {
    alone("the_foreground_ends_with_all_that_is_wrong_with_the_settings", || {
        let wrong = foreground(LoggingConfig::new().level("loud").files_kept(0)).expect_err("it cannot start");
        let says = wrong.to_string();
        assert!(wrong.is_config() && says.contains("\"loud\"") && says.contains("logging.files_kept = 0"), "{says}");
    });
}

#[test]
fn lines_of_json_carry_name_level_fields_and_span() {
    let folder = Folder::new();
    let text = written(&folder, LoggingConfig::new().format(LogFormat::Json));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let started = lines.iter().find(|line| line["fields"]["event"] == "scheduler.started").expect("it was started");
    assert_eq!((&started["level"], &started["target"]), (&"INFO".into(), &"symphra_scheduler".into()));
    assert_eq!((&started["fields"]["tasks"], &started["fields"]["backend"]), (&1.into(), &"memory".into()));
    assert_eq!(started["fields"]["message"], "scheduler started");
}

#[test]
fn a_run_stands_in_its_span_also_for_what_its_body_logs() {
    let folder = Folder::new();
    let settings = LoggingConfig::new().format(LogFormat::Json).level("debug").file(folder.log());
    let (subscriber, guard) = logging::subscriber(&settings).expect("it can be written");
    tracing::subscriber::with_default(subscriber, || {
        block_on(async {
            let (told, mut heard) = tokio::sync::mpsc::channel(1);
            let says =
                Task::new("says", Schedule::interval(Duration::from_secs(3_600)).expect("possible"), move || {
                    let told = told.clone();
                    async move {
                        tracing::info!(order = 7, "from the body");
                        told.send(()).await
                    }
                });
            let scheduler = Scheduler::empty().register(says).start().await.expect("it starts");
            scheduler.trigger_task("says").await.expect("it is known");
            heard.recv().await.expect("it runs");
            scheduler.stop().await.expect("it stops");
        });
    });
    drop(guard);
    let lines: Vec<Value> =
        folder.text().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    for wanted in ["from the body", "run succeeded"] {
        let line = lines.iter().find(|line| line["fields"]["message"] == wanted).expect("it was written");
        let span = &line["span"];
        assert_eq!((&span["name"], &span["task"], &span["attempt"]), (&"run".into(), &"says".into(), &1.into()));
        assert!(["run_id", "scheduled_at", "node"].iter().all(|field| span[field].is_string()), "{line}");
    }
}

#[test]
fn each_target_has_its_level() {
    for (level, shown) in [
        ("info", vec!["an order", "a slow query", "scheduler.started"]),
        ("info,sqlx=error", vec!["an order", "scheduler.started"]),
        ("warn", vec!["a slow query"]),
        ("symphra_scheduler=info", vec!["scheduler.started"]),
        ("off,shop::orders=trace", vec!["an order"]),
        ("off", vec![]),
    ] {
        let folder = Folder::new();
        let text = written(&folder, LoggingConfig::new().level(level));
        let found: Vec<_> =
            ["an order", "a slow query", "scheduler.started"].into_iter().filter(|part| text.contains(part)).collect();
        assert_eq!(found, shown, "{level}:\n{text}");
    }
}

#[test]
fn each_format_has_its_look_and_off_writes_nothing() {
    let with = |format| written(&Folder::new(), LoggingConfig::new().format(format));
    let (pretty, compact) = (with(LogFormat::Pretty), with(LogFormat::Compact));
    assert!(pretty.lines().count() > 2 * compact.lines().count(), "{pretty}");
    assert!(!pretty.contains('\x1b') && !compact.contains('\x1b'), "a file has no colours");
    let folder = Folder::new();
    let settings = LoggingConfig::new().format(LogFormat::Off).file(folder.log());
    let (subscriber, _log) = logging::subscriber(&settings).expect("nothing is opened");
    tracing::subscriber::with_default(subscriber, || {
        assert!(!tracing::enabled!(tracing::Level::ERROR), "nobody listens");
    });
    assert!(!folder.log().exists());
}

#[test]
fn a_file_of_an_earlier_day_is_put_aside() {
    let folder = Folder::new();
    fs::write(folder.log(), "of old\n").expect("it is written");
    let old = fs::File::options().append(true).open(folder.log()).expect("it opens");
    old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_000_000)).expect("it is dated back");
    let text = written(&folder, LoggingConfig::new().rotation(Rotation::Daily));
    assert!(!text.contains("of old") && text.contains("scheduler.started"), "{text}");
    let aside = fs::read_to_string(folder.0.join("scheduler.log.2026-02-25")).expect("it was put aside");
    assert_eq!(aside, "of old\n");
}

#[test]
fn settings_and_files_that_cannot_be_had_are_errors() {
    let missing = LoggingConfig::new().file("/nowhere/at/all/scheduler.log");
    let error = logging::subscriber(&missing).map(drop).expect_err("there is no such folder");
    assert!(error.to_string().contains("\"/nowhere/at/all/scheduler.log\" cannot be opened"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "the system says why");
    let wrong = logging::subscriber(&LoggingConfig::new().level("info,sqlx=loud")).map(drop);
    let wrong = wrong.expect_err("a level has no such word");
    assert!(wrong.is_config() && wrong.to_string().contains("\"sqlx=loud\""), "{wrong}");
    let config = SchedulerConfig::new().logging(LoggingConfig::new().level("loud"));
    let start = block_on(Scheduler::empty().config(config).start()).map(drop).expect_err("start checks them too");
    assert!(start.is_config() && start.to_string().contains("logging.level"), "{start}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_write_to_is_refused_with_what_and_why() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    fs::write(folder.log(), "").expect("it is written");
    fs::set_permissions(folder.log(), fs::Permissions::from_mode(0o666)).expect("it is ours");
    let refused = logging::subscriber(&LoggingConfig::new().file(folder.log())).map(drop).expect_err("it is refused");
    let said = refused.to_string();
    for part in [
        &*format!("the log file {:?} may be written to by others (mode 666)", folder.log()),
        "allowed is a regular file of this user",
        "chmod 600",
    ] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    assert_eq!(folder.text(), "");
}

#[test]
fn a_layer_stands_beside_those_of_the_program() {
    use tracing_subscriber::layer::SubscriberExt;

    let (one, other) = (Folder::new(), Folder::new());
    let quiet = logging::layer(&LoggingConfig::new().level("error").file(one.log())).expect("it opens");
    let loud = logging::layer(&LoggingConfig::new().file(other.log())).expect("it opens");
    let subscriber = tracing_subscriber::registry().with(quiet.0).with(loud.0);
    tracing::subscriber::with_default(subscriber, || block_on(start_and_stop(Scheduler::empty())));
    drop((quiet.1, loud.1));
    assert_eq!(one.text(), "");
    assert!(other.text().contains("scheduler.stopped"));
}

/// Lines of records: level, target or tag, text, and what was structured.
type Lines = Arc<Mutex<Vec<String>>>;

fn lines_of(lines: &Lines) -> Vec<String> {
    lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[test]
fn a_program_on_the_crate_log_gets_names_levels_and_fields() {
    struct Keeps(Lines);

    impl log::Log for Keeps {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.level() <= log::Level::Info
        }

        fn log(&self, record: &log::Record<'_>) {
            // Others write too: `mio` tells of its sockets at TRACE where somebody has switched that on.
            if !self.enabled(record.metadata()) {
                return;
            }
            let pairs = record.key_values();
            let of = |key: &str| pairs.get(key.into()).map_or_else(String::new, |value| value.to_string());
            let tasks = pairs.get("tasks".into()).and_then(|tasks| tasks.to_u64());
            let line = format!("{} {} {} {} {tasks:?}", record.level(), record.target(), of("event"), record.args());
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }

        fn flush(&self) {}
    }

    alone("a_program_on_the_crate_log_gets_names_levels_and_fields", || {
        let lines = Lines::default();
        log::set_boxed_logger(Box::new(Keeps(Arc::clone(&lines)))).expect("there is none yet");
        log::set_max_level(log::LevelFilter::Trace);
        let scheduler = || Scheduler::empty().config(SchedulerConfig::new().node("host-7")).logger(LogAdapter);
        block_on(start_and_stop(scheduler()));
        let first = "INFO symphra_scheduler scheduler.started scheduler started node=\"host-7\" tasks=1 \
                     backend=\"memory\" Some(1)";
        assert_eq!(lines_of(&lines)[0], first);
        assert_eq!(lines_of(&lines).len(), 3, "{:?}", lines_of(&lines));
        log::set_max_level(log::LevelFilter::Error);
        block_on(start_and_stop(scheduler()));
        assert_eq!(lines_of(&lines).len(), 3, "nothing more was wanted");
    });
}

#[test]
fn a_program_on_slog_gets_names_levels_and_fields() {
    struct Keeps(Lines);

    impl slog::Drain for Keeps {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, record: &slog::Record<'_>, own: &slog::OwnedKVList) -> Result<(), slog::Never> {
            struct Joined(String);

            impl slog::Serializer for Joined {
                fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
                    self.0.push_str(&format!(" {key}={value}"));
                    Ok(())
                }
            }

            let mut joined = Joined(format!("{} {} {}", record.level(), record.tag(), record.msg()));
            let (told, kept) =
                (slog::KV::serialize(&record.kv(), record, &mut joined), slog::KV::serialize(own, record, &mut joined));
            assert!(told.is_ok() && kept.is_ok());
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(joined.0);
            Ok(())
        }
    }

    let lines = Lines::default();
    let logger = slog::Logger::root(Keeps(Arc::clone(&lines)), slog::o!("service" => "shop"));
    let scheduler = Scheduler::empty().config(SchedulerConfig::new().node("host-7")).logger(SlogAdapter::new(logger));
    block_on(start_and_stop(scheduler));
    let first = "INFO scheduler.started scheduler started event=scheduler.started node=host-7 tasks=1 backend=memory \
                 service=shop";
    assert_eq!(lines_of(&lines)[0], first);
}

#[test]
fn with_an_adapter_the_engine_is_silent_to_tracing_and_the_body_is_not() {
    let folder = Folder::new();
    let (subscriber, guard) = logging::subscriber(&LoggingConfig::new().file(folder.log())).expect("it can be written");
    tracing::subscriber::with_default(subscriber, || {
        block_on(start_and_stop(Scheduler::empty().logger(Silent)));
        tracing::info!("the program's own");
    });
    drop(guard);
    assert_eq!(folder.text().lines().count(), 1, "{}", folder.text());
}
