//! The attributes and the words each of them knows.
//!
//! This is the one table of options; what is not in it is an unknown option, so nothing is accepted before it is built.
//! A new option of all attributes is one line in [`OPTIONS`], one field and one line in `options.rs`, one call in
//! `expand/options.rs` with its counterpart in the runtime's `Task`, one row in the docs of the crate, and its wrong uses
//! among the tests. Rules about several options together stand in `validate/contradictions.rs`.

/// One word that may stand in an attribute, with an example that goes into error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) name: &'static str,
    /// The word as a user would write it, with a value.
    pub(crate) example: &'static str,
    pub(crate) shape: Shape,
}

/// What may stand after a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `word = value`.
    Value,
    /// `word = true`, `word = false`, or the word alone for true.
    Flag,
    /// `word(key = value, …)`.
    List,
    /// `word = value` or `word(key = value, …)`.
    ValueOrList,
}

const fn word(name: &'static str, example: &'static str) -> Word {
    Word { name, example, shape: Shape::Value }
}

const fn shaped(shape: Shape, name: &'static str, example: &'static str) -> Word {
    Word { name, example, shape }
}

/// The options of every attribute.
pub(crate) const OPTIONS: &[Word] = &[
    word("name", "name = \"nightly_report\""),
    word("tags", "tags = [\"reports\", \"nightly\"]"),
    shaped(Shape::List, "metadata", "metadata(owner = \"billing\")"),
    word("timezone", "timezone = \"Asia/Shanghai\""),
    word("start", "start = \"2026-01-01T00:00:00+08:00\""),
    word("end", "end = \"2026-12-31T23:59:59+08:00\""),
    word("except", "except = \"* * * 25 12 *\""),
    word("jitter", "jitter = \"30s\""),
    word("delay", "delay = \"fixed_delay\""),
    word("max_runs", "max_runs = 10"),
    word("max_instances", "max_instances = 3"),
    word("overlap", "overlap = \"skip\""),
    word("misfire", "misfire = \"run_once\""),
    word("catch_up_window", "catch_up_window = \"6h\""),
    word("timeout", "timeout = \"30s\""),
    shaped(Shape::ValueOrList, "retry", "retry(max_attempts = 5)"),
    word("delivery", "delivery = \"at_least_once\""),
    word("priority", "priority = 10"),
    word("group", "group = \"reports\""),
    word("enabled", "enabled = false"),
    shaped(Shape::Flag, "run_on_start", "run_on_start = true"),
    word("pause_after", "pause_after = 5"),
    word("expect_success_within", "expect_success_within = \"2h\""),
    shaped(Shape::Flag, "blocking", "blocking = true"),
    word("crate", "crate = my_scheduler"),
];

/// The keys of `retry(…)`.
pub(crate) const RETRY: &[Word] = &[
    word("max_attempts", "max_attempts = 5"),
    word("strategy", "strategy = \"exponential\""),
    word("wait_min", "wait_min = \"1s\""),
    word("wait_max", "wait_max = \"60s\""),
    word("multiplier", "multiplier = 2.0"),
    word("jitter", "jitter = false"),
    word("when", "when = is_transient"),
];

const UNITS: &[Word] = &[
    word("milliseconds", "milliseconds = 500"),
    word("seconds", "seconds = 10"),
    word("minutes", "minutes = 5"),
    word("hours", "hours = 1.5"),
    word("days", "days = 1"),
];
const AT: Word = word("at", "at = \"2026-12-31T23:59:59+08:00\"");
const HOUR: Word = word("hour", "hour = 9");
const MINUTE: Word = word("minute", "minute = 30");
const ONCE: &[Word] = &[AT];
const HOURLY: &[Word] = &[MINUTE];
const DAILY: &[Word] = &[HOUR, MINUTE, word("at", "at = \"09:30\"")];
const WEEKLY: &[Word] = &[word("day", "day = \"mon\""), HOUR, MINUTE];
const MONTHLY: &[Word] = &[word("day", "day = 1"), HOUR, MINUTE];
const SCHEDULED: &[Word] =
    &[word("cron", "cron = \"0 30 9 * * MON-FRI\""), word("interval", "interval = \"1m30s\""), AT];

/// The options of jobs alone.
const JOB: &[Word] = &[word("upgrade", "upgrade = [add_language]")];

/// The options that say something about occurrences, of which a job has none.
const OF_OCCURRENCES: [&str; 12] = [
    "timezone",
    "start",
    "end",
    "except",
    "jitter",
    "delay",
    "max_runs",
    "overlap",
    "misfire",
    "catch_up_window",
    "run_on_start",
    "expect_success_within",
];

/// An attribute: how its schedule is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Interval,
    Every,
    Cron,
    Once,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Scheduled,
    Task,
}

impl Form {
    pub(crate) const ALL: [Self; 10] = [
        Self::Interval,
        Self::Every,
        Self::Cron,
        Self::Once,
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Scheduled,
        Self::Task,
    ];

    /// The name of the attribute.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Every => "every",
            Self::Cron => "cron",
            Self::Once => "once",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Scheduled => "scheduled",
            Self::Task => "task",
        }
    }

    /// The attribute called `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// The attribute as a user would write it.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Interval => "#[interval(seconds = 10)]",
            Self::Every => "#[every(\"1m30s\")]",
            Self::Cron => "#[cron(\"0 30 9 * * MON-FRI\")]",
            Self::Once => "#[once(at = \"2026-12-31T23:59:59+08:00\")]",
            Self::Hourly => "#[hourly(minute = 30)]",
            Self::Daily => "#[daily(at = \"09:30\")]",
            Self::Weekly => "#[weekly(day = \"mon\", hour = 9)]",
            Self::Monthly => "#[monthly(day = 1, hour = 9)]",
            Self::Scheduled => "#[scheduled(cron = \"0 30 9 * * MON-FRI\")]",
            Self::Task => "#[task(max_instances = 3)]",
        }
    }

    /// Whether a value without a name may stand in the attribute: the cron expression, the duration.
    pub(crate) fn takes_bare_value(self) -> bool {
        matches!(self, Self::Interval | Self::Every | Self::Cron)
    }

    /// The words of this attribute's schedule; [`OPTIONS`] come on top. A job has none, and words of its own.
    pub(crate) fn schedule_words(self) -> &'static [Word] {
        match self {
            Self::Interval | Self::Every => UNITS,
            Self::Cron => &[],
            Self::Once => ONCE,
            Self::Hourly => HOURLY,
            Self::Daily => DAILY,
            Self::Weekly => WEEKLY,
            Self::Monthly => MONTHLY,
            Self::Scheduled => SCHEDULED,
            Self::Task => JOB,
        }
    }

    /// Every word that may stand in this attribute.
    pub(crate) fn words(self) -> impl Iterator<Item = &'static Word> {
        let is_wanted = move |word: &&Word| self != Self::Task || !OF_OCCURRENCES.contains(&word.name);
        self.schedule_words().iter().chain(OPTIONS.iter().filter(is_wanted))
    }

    /// The word called `name`, if it may stand in this attribute.
    pub(crate) fn word(self, name: &str) -> Option<&'static Word> {
        self.words().find(|word| word.name == name)
    }
}
