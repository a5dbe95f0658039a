//! Every word that an attribute accepts does what it says, from the attribute to its effect: an option that is accepted
//! and never built (Immediate.Jobs #64) has no place to hide.
//!
//! [`HELD`] names the test of each word; a word of the macros' table without one is a failure, and each of these tests
//! fails where its word has no effect.

#[path = "options/instants.rs"]
mod instants;
#[path = "options/jobs.rs"]
mod jobs;
#[path = "options/retrying.rs"]
mod retrying;
#[path = "options/runs.rs"]
mod runs;

use symphra_scheduler::test_util::TestScheduler;
use symphra_scheduler::{RunState, Scheduler, SchedulerConfig, SchedulerEvent, every};
use symphra_scheduler_tests::{START, second, seconds};

/// Which test holds a word.
const HELD: &[(&str, &str)] = &[
    ("name", "a_name_is_what_the_task_is_called"),
    ("tags", "tags_find_the_task"),
    ("metadata", "metadata_are_shown"),
    ("timezone", "a_timezone_is_where_the_schedule_is_read"),
    ("start", "before_its_start_there_is_nothing"),
    ("end", "after_its_end_there_is_nothing"),
    ("except", "an_exception_is_no_occurrence"),
    ("jitter", "jitter_moves_some_occurrences"),
    ("delay", "a_fixed_delay_counts_from_the_end"),
    ("max_runs", "max_runs_end_the_schedule"),
    ("max_instances", "max_instances_run_beside_each_other"),
    ("overlap", "an_overlap_policy_is_followed"),
    ("misfire", "a_misfire_policy_is_followed"),
    ("catch_up_window", "a_catch_up_window_bounds_what_is_caught_up"),
    ("timeout", "a_timeout_ends_the_attempt"),
    ("retry", "a_retry_preset_is_followed"),
    ("delivery", "a_delivery_at_most_once_is_one_attempt"),
    ("priority", "a_higher_priority_goes_first"),
    ("group", "a_group_runs_one_at_a_time"),
    ("enabled", "what_is_not_enabled_does_not_run"),
    ("run_on_start", "what_runs_on_start_does"),
    ("pause_after", "so_many_failed_runs_pause_the_task"),
    ("expect_success_within", "without_the_success_that_is_expected_the_task_is_stale"),
    ("blocking", "what_blocks_has_a_thread_of_its_own"),
    ("upgrade", "an_upgrade_reads_what_an_older_program_has_enqueued"),
    ("crate", "the_scheduler_may_have_another_name"),
    ("retry.max_attempts", "the_keys_of_a_retry_set_its_instants"),
    ("retry.strategy", "the_keys_of_a_retry_set_its_instants"),
    ("retry.wait_min", "the_keys_of_a_retry_set_its_instants"),
    ("retry.wait_max", "the_keys_of_a_retry_set_its_instants"),
    ("retry.multiplier", "the_keys_of_a_retry_set_its_instants"),
    ("retry.jitter", "the_keys_of_a_retry_set_its_instants"),
    ("retry.when", "the_keys_of_a_retry_set_its_instants"),
    ("milliseconds", "the_words_of_a_schedule_say_when"),
    ("seconds", "the_words_of_a_schedule_say_when"),
    ("minutes", "the_words_of_a_schedule_say_when"),
    ("hours", "the_words_of_a_schedule_say_when"),
    ("days", "the_words_of_a_schedule_say_when"),
    ("at", "the_words_of_a_schedule_say_when"),
    ("hour", "the_words_of_a_schedule_say_when"),
    ("minute", "the_words_of_a_schedule_say_when"),
    ("day", "the_words_of_a_schedule_say_when"),
    ("cron", "the_words_of_a_schedule_say_when"),
    ("interval", "the_words_of_a_schedule_say_when"),
];

/// The macros' table of words.
const TABLE: &str = include_str!("../scheduler-macros/src/form.rs");

/// These tests.
const TESTS: &str = concat!(
    include_str!("options.rs"),
    include_str!("options/instants.rs"),
    include_str!("options/jobs.rs"),
    include_str!("options/retrying.rs"),
    include_str!("options/runs.rs"),
);

/// The words in a part of the table.
fn words_in(part: &str) -> Vec<&str> {
    let after = |opening: &'static str| part.split(opening).skip(1).filter_map(|rest| rest.split('"').next());
    let shaped = part.split("shaped(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    after("word(\"").chain(shaped).collect()
}

#[test]
fn immediate_jobs_64_no_word_is_accepted_without_a_test_that_it_is_built() {
    let (options, rest) = TABLE.split_once("const RETRY").expect("the table has the keys of a retry");
    let (options, rest) = (options.split_once("const OPTIONS").expect("the table has options").1, rest);
    let (retry, rest) = rest.split_once("const UNITS").expect("the table has units");
    let (schedules, _) = rest.split_once("enum Form").expect("the table ends with the attributes");
    let mut words: Vec<String> = words_in(options).into_iter().map(str::to_owned).collect();
    words.extend(words_in(retry).into_iter().map(|key| format!("retry.{key}")));
    words.extend(words_in(schedules).into_iter().map(str::to_owned));
    words.sort_unstable();
    words.dedup();
    let mut held: Vec<String> = HELD.iter().map(|(word, _)| (*word).to_owned()).collect();
    held.sort_unstable();
    assert_eq!(words, held, "the words of the macros, and those that have a test");
    for (word, test) in HELD {
        assert!(TESTS.contains(&format!("async fn {test}() {{")), "{word}: there is no test {test}");
    }
}

/// The code in the first cells of the table below a heading, the first one of its kind: `name = "report"`.
fn first_cells<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let below = page.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    below.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[test]
fn the_page_of_options_has_each_word_of_the_macros_table() {
    let (before, rest) = TABLE.split_once("const RETRY").expect("the table has the keys of a retry");
    let options = words_in(before.split_once("const OPTIONS").expect("the table has options").1);
    let retry = words_in(rest.split_once("const UNITS").expect("the table has units").0);
    let english = include_str!("../docs/en/options.md");
    for (page, all, of_retry) in
        [(english, "## All options", "## Retry"), (include_str!("../docs/zh/options.md"), "## 全部选项", "## 重试")]
    {
        let cells = first_cells(page, all);
        assert_eq!(cells, first_cells(english, "## All options"), "both languages show the same");
        let words = cells.iter().map(|cell| cell.split([' ', '(']).next().unwrap_or_default());
        let mut words: Vec<&str> = words.collect();
        let mut table = options.clone();
        words.sort_unstable();
        table.sort_unstable();
        assert_eq!(words, table, "{all}");
        assert_eq!(first_cells(page, of_retry), retry, "{of_retry}");
    }
}

async fn start(task: &'static str) -> TestScheduler<impl Fn() -> Scheduler> {
    start_with(task, SchedulerConfig::new()).await
}

/// The tasks whose names begin with `tasks`.
async fn start_with(tasks: &'static str, config: SchedulerConfig) -> TestScheduler<impl Fn() -> Scheduler> {
    let build = move || Scheduler::from_registry().config(config.clone()).filter(|task| task.name().starts_with(tasks));
    TestScheduler::new(START, build).await.expect("it can start")
}

/// When the runs of `task` began, in seconds.
fn began<B>(test: &TestScheduler<B>, task: &str) -> Vec<i64> {
    test.all_fired().iter().filter(|run| run.task == *task).map(|run| second(run.began_at)).collect()
}

/// How runs ended, in that order.
fn ends<B>(test: &TestScheduler<B>) -> Vec<RunState> {
    let ends = test.told().into_iter().filter_map(|event| match event {
        SchedulerEvent::RunEnded { state, .. } => Some(state),
        _ => None,
    });
    ends.collect()
}

/// Runs for half a minute, and tells when the runs began.
async fn half_a_minute(task: &'static str) -> Vec<i64> {
    let test = start(task).await;
    test.advance(seconds(31)).await;
    test.balanced_ledger(task).await;
    began(&test, task)
}

#[every(10, name = "called otherwise")]
async fn named() {}

#[tokio::test(start_paused = true)]
async fn a_name_is_what_the_task_is_called() {
    assert_eq!(half_a_minute("called otherwise").await, [10, 20, 30]);
}

#[every(10, tags = ["fast", "safe"])]
async fn tagged() {}

#[tokio::test(start_paused = true)]
async fn tags_find_the_task() {
    let test = start("tagged").await;
    for tag in ["fast", "safe"] {
        assert_eq!(test.tasks_by_tag(tag).len(), 1, "{tag}");
    }
}

#[every(10, metadata(owner = "billing"))]
async fn described() {}

#[tokio::test(start_paused = true)]
async fn metadata_are_shown() {
    let info = start("described").await.task("described").expect("it is there");
    assert_eq!(info.metadata.iter().collect::<Vec<_>>(), [("owner", "billing")]);
}

mod renamed {
    pub(super) use symphra_scheduler::__private;
}

#[every(10, crate = crate::renamed)]
async fn by_another_crate() {}

#[tokio::test(start_paused = true)]
async fn the_scheduler_may_have_another_name() {
    assert_eq!(half_a_minute("by_another_crate").await, [10, 20, 30]);
}
