//! What is written, whoever listens: each event by its list, and each caused once in a whole scheduler.

mod caused;
mod odd_store;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::seen::Seen;
use super::*;

#[test]
fn names_are_dotted_words_and_each_is_one_event() {
    let names: BTreeSet<_> = EVENTS.iter().map(|event| event.name).collect();
    assert_eq!(names.len(), EVENTS.len());
    for name in names {
        let (room, what) = name.split_once('.').expect("a name has two parts");
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(is_word(room) && is_word(what), "{name}");
    }
}

/// Counts how often it is formatted.
#[derive(Default)]
struct Counting(AtomicUsize);

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        f.write_str("an id")
    }
}

fn succeeded(run_id: &Counting) -> Entry<'_> {
    Entry::RunSucceeded { task: "tick", run_id, attempt: 1, duration_ms: 0.5 }
}

#[test]
fn nothing_is_formatted_that_nobody_wants() {
    /// Wants warnings.
    struct Grave;

    impl LoggerAdapter for Grave {
        fn log(&self, event: &LogEvent<'_>) {
            panic!("{event} was not wanted");
        }

        fn enabled(&self, level: Level) -> bool {
            level <= Level::WARN
        }
    }

    let id = Counting::default();
    Logger::default().write(succeeded(&id));
    Logger::with_adapter(Silent).write(succeeded(&id));
    Logger::with_adapter(Grave).write(succeeded(&id));
    assert_eq!(id.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_success_is_said_at_debug_unless_the_settings_raise_it() {
    for (raise, level) in [(false, Level::DEBUG), (true, Level::INFO)] {
        let (told, traced) = (Seen::default(), Seen::default());
        Logger::with_adapter(told.clone()).task_success(raise).write(succeeded(&Counting::default()));
        tracing::subscriber::with_default(traced.clone(), || {
            Logger::default().task_success(raise).write(succeeded(&Counting::default()));
        });
        assert_eq!((told.take("run.succeeded").level, traced.take("run.succeeded").level), (level, level));
        let failed = Entry::AttemptTimedOut { task: "tick", run_id: &1, attempt: 1, duration_ms: 1.0 };
        Logger::with_adapter(told.clone()).task_success(raise).write(failed);
        assert_eq!(told.take("attempt.timed_out").level, Level::ERROR, "nothing else is raised");
    }
}

#[test]
fn whoever_panics_loses_the_event_and_nothing_else() {
    /// Throws what throws again when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("and again");
        }
    }

    struct Breaks(bool);

    impl LoggerAdapter for Breaks {
        fn log(&self, _: &LogEvent<'_>) {
            std::panic::panic_any(Bomb);
        }

        fn enabled(&self, _: Level) -> bool {
            assert!(self.0, "it breaks even before");
            true
        }
    }

    struct Unspeakable;

    impl fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }

    let unspeakable = Entry::TaskPaused { task: "tick", pause: &Unspeakable };
    let (told, traced) = (Seen::default(), Seen::default());
    let logger = Logger::with_adapter(told.clone());
    logger.write(unspeakable);
    logger.write(Entry::OutputClosed {});
    tracing::subscriber::with_default(traced.clone(), || {
        Logger::default().write(unspeakable);
        Logger::default().write(Entry::OutputClosed {});
    });
    assert_eq!((told.all().len(), traced.all().len()), (1, 1), "what comes after is written");
    for at_log in [true, false] {
        Logger::with_adapter(Breaks(at_log)).write(Entry::OutputClosed {});
    }
}

#[test]
fn an_event_prints_as_one_line() {
    struct Prints(std::sync::mpsc::Sender<String>);

    impl LoggerAdapter for Prints {
        fn log(&self, event: &LogEvent<'_>) {
            self.0.send(event.to_string()).expect("the test listens");
        }
    }

    let (lines, printed) = std::sync::mpsc::channel();
    let logger = Logger::with_adapter(Prints(lines));
    logger.write(Entry::StoreUnreachable { error: &"no\nanswer", cause: None });
    logger.write(Entry::SchedulerStarted { node: "host-7", tasks: 3, backend: "memory" });
    let printed: Vec<String> = printed.try_iter().collect();
    assert_eq!(
        printed,
        [
            r#"the store cannot be reached; it is asked until it answers error="no\nanswer""#,
            r#"scheduler started node="host-7" tasks=3 backend="memory""#,
        ]
    );
}
