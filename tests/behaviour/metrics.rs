//! What Prometheus is told: each metric by what a scheduler has done, read as a scrape reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use symphra_scheduler::test_util::Fault;
use symphra_scheduler::{MetricsConfig, Overlap, RetryPolicy, RunContext, Scheduler, SchedulerConfig, Task};

use crate::kit::{every, second, seconds, start, start_one, start_one_between};

/// A scrape: its samples by name and labels as they are written, after each line was found to be one of the format.
pub(crate) fn scraped(text: &str) -> BTreeMap<String, f64> {
    let (mut typed, mut samples) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            let (kind, rest) = described.split_once(' ').expect("HELP or TYPE, and what it is of");
            let (name, said) = rest.split_once(' ').expect("a name, and what is said of it");
            match kind {
                "HELP" => assert!(!said.is_empty(), "{line}"),
                "TYPE" => {
                    assert_eq!(typed.insert(name.to_owned(), said.to_owned()), None, "each is described once: {line}")
                }
                _ => panic!("neither HELP nor TYPE: {line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a series and its value");
        let name = series.split('{').next().unwrap_or(series);
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let kind =
            typed.get(name).or_else(|| typed.get(family)).unwrap_or_else(|| panic!("{name} has a type before it"));
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        let value = value.parse().unwrap_or_else(|_| panic!("a number: {line}"));
        assert_eq!(samples.insert(series.to_owned(), value), None, "each series is there once: {series}");
    }
    samples
}

fn value(samples: &BTreeMap<String, f64>, series: &str) -> f64 {
    let series = format!("symphra_scheduler_{series}");
    *samples.get(&series).unwrap_or_else(|| panic!("no {series} in {:#?}", samples.keys()))
}

#[tokio::test(start_paused = true)]
async fn runs_are_counted_by_task_and_outcome() {
    let ends = |run: RunContext| async move {
        match second(run.scheduled_at()) {
            10 | 20 => Ok(()),
            30 => Err("down"),
            _ => {
                tokio::time::sleep(seconds(60)).await;
                Ok(())
            }
        }
    };
    let test =
        start_one(move || Task::new("tick", every(10), ends).retry(RetryPolicy::none()).timeout(seconds(3))).await;
    test.advance(seconds(49)).await;
    let samples = scraped(&test.export_prometheus());
    for (outcome, count) in
        [("succeeded", 2.0), ("failed", 1.0), ("timed_out", 1.0), ("abandoned", 0.0), ("cancelled", 0.0)]
    {
        assert_eq!(value(&samples, &format!("runs_total{{task=\"tick\",outcome=\"{outcome}\"}}")), count, "{outcome}");
    }
    let last = value(&samples, "last_success_timestamp_seconds{task=\"tick\"}");
    assert_eq!(last, crate::kit::at(20).as_millis() as f64 / 1e3);
    assert_eq!(value(&samples, "run_duration_seconds_count"), 4.0);
    assert_eq!(value(&samples, "run_duration_seconds_bucket{le=\"0.001\"}"), 3.0);
    assert_eq!(value(&samples, "run_duration_seconds_bucket{le=\"+Inf\"}"), 4.0);
    assert_eq!(value(&samples, "lateness_seconds_count"), 4.0);
    assert_eq!(value(&samples, "uptime_seconds"), 49.0);
    test.reset_metrics();
    let again = scraped(&test.export_prometheus());
    assert_eq!(value(&again, "runs_total{task=\"tick\",outcome=\"succeeded\"}"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_and_what_runs_is_told_as_it_is() {
    let test = start(|| {
        let slow =
            |name| Task::new(name, every(10), async || tokio::time::sleep(seconds(25)).await).overlap(Overlap::Skip);
        let config = SchedulerConfig::new().max_workers(1);
        Scheduler::empty().register(slow("first")).register(slow("second")).config(config)
    })
    .await;
    test.advance(seconds(21)).await;
    let samples = scraped(&test.export_prometheus());
    assert_eq!((value(&samples, "running"), value(&samples, "queue_depth")), (1.0, 1.0));
    assert_eq!((value(&samples, "tasks"), value(&samples, "workers_stuck")), (2.0, 0.0));
    assert_eq!(value(&samples, "misfires_total{task=\"first\",reason=\"overlap\"}"), 1.0);
    assert_eq!(
        (value(&samples, "up"), value(&samples, "ready"), value(&samples, "clock_offset_seconds")),
        (1.0, 1.0, 0.0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_not_succeeded_for_too_long_is_told() {
    let test = start_one(|| {
        let fails = Task::new("tick", every(10), async || Err::<(), _>("down"));
        fails.retry(RetryPolicy::none()).expect_success_within(seconds(60))
    })
    .await;
    test.advance(seconds(59)).await;
    assert_eq!(value(&scraped(&test.export_prometheus()), "stale{task=\"tick\"}"), 0.0);
    test.advance(seconds(2)).await;
    let samples = scraped(&test.export_prometheus());
    assert_eq!(value(&samples, "stale{task=\"tick\"}"), 1.0);
    assert!(!samples.contains_key("symphra_scheduler_last_success_timestamp_seconds{task=\"tick\"}"), "it never did");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_told_with_the_calls_that_failed() {
    let (test, between) = start_one_between(|| Task::new("tick", every(10), async || {})).await;
    test.advance(seconds(11)).await;
    assert_eq!(value(&scraped(&test.export_prometheus()), "backend_errors_total"), 0.0);
    between.always(Some(Fault::Before));
    test.advance(seconds(20)).await;
    let samples = scraped(&test.export_prometheus());
    assert!(value(&samples, "backend_errors_total") > 1.0, "each try counts");
    assert_eq!((value(&samples, "up"), value(&samples, "ready")), (1.0, 0.0));
    between.always(None);
    test.advance(seconds(20)).await;
    assert_eq!(value(&scraped(&test.export_prometheus()), "ready"), 1.0);
}

/// Whatever the tasks are called, and however many there are.
#[tokio::test(start_paused = true)]
async fn tasks_beyond_the_limit_are_told_together() {
    let names = ["a \"quoted\" \\ name", "second", "third", "fourth", "_other"];
    let test = start(move || {
        let tasks = names.into_iter().map(|name| Task::new(name, every(10), async || {}));
        let config = SchedulerConfig::new().metrics(MetricsConfig::new().task_limit(2).task_histograms(true));
        tasks.fold(Scheduler::empty().config(config), Scheduler::register)
    })
    .await;
    test.advance(seconds(25)).await;
    let samples = scraped(&test.export_prometheus());
    let of = |task: &str| value(&samples, &format!("runs_total{{task=\"{task}\",outcome=\"succeeded\"}}"));
    let all: f64 = samples
        .iter()
        .filter(|(series, _)| series.starts_with("symphra_scheduler_runs_total"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(all, 10.0);
    let told: Vec<&str> = names[..4]
        .iter()
        .copied()
        .filter(|task| {
            samples
                .keys()
                .any(|key| key.contains(&format!("task=\"{}\"", task.replace('\\', "\\\\").replace('"', "\\\""))))
        })
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(of("_other"), 6.0);
    assert_eq!(value(&samples, "lateness_seconds_count{task=\"_other\"}"), 6.0);
    let series = samples.keys().filter(|key| key.starts_with("symphra_scheduler_stale"));
    assert_eq!(series.count(), 2, "of many tasks together it is not told");
}

/// Whether it has a label of its own or shares one: what goes down is taken for what began anew.
#[tokio::test(start_paused = true)]
async fn counters_stay_when_tasks_are_unregistered_and_go_on_with_their_names() {
    let test = start(|| {
        let tasks = ["first", "second", "third"].map(|name| Task::new(name, every(10), async || {}));
        let config = SchedulerConfig::new().metrics(MetricsConfig::new().task_limit(1));
        tasks.into_iter().fold(Scheduler::empty().config(config), Scheduler::register)
    })
    .await;
    test.advance(seconds(25)).await;
    let counts = || {
        let samples = scraped(&test.export_prometheus());
        let counted = samples.into_iter().filter(|(series, _)| series.contains("outcome=\"succeeded\""));
        counted.map(|(_, count)| count).collect::<Vec<_>>()
    };
    let mut before = counts();
    before.sort_by(f64::total_cmp);
    assert_eq!(before, [2.0, 4.0]);
    for name in ["first", "second", "third"] {
        test.unregister(name).await.expect("it is there");
    }
    let mut after = counts();
    after.sort_by(f64::total_cmp);
    assert_eq!(after, before);
    assert!(!test.export_prometheus().contains("symphra_scheduler_stale{"), "who is not there owes nothing");
    for name in ["first", "second", "third"] {
        test.register(Task::new(name, every(10), async || {})).await.expect("it is new");
    }
    test.advance(seconds(10)).await;
    assert_eq!(counts().iter().sum::<f64>(), 9.0);
}

/// The names of metrics in a text, as a scrape describes them.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("symphra_scheduler_")).map(|name| {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        family.filter(|family| family.ends_with("_seconds")).unwrap_or(name).to_owned()
    });
    names.collect()
}

#[tokio::test(start_paused = true)]
async fn the_dashboard_the_rules_and_the_book_name_what_there_is() {
    // One that succeeds, and one that overlaps.
    let test = start_one(|| {
        let slow = |run: RunContext| async move {
            if second(run.scheduled_at()) > 10 {
                tokio::time::sleep(seconds(15)).await;
            }
        };
        Task::new("tick", every(10), slow).overlap(Overlap::Skip)
    })
    .await;
    test.advance(seconds(31)).await;
    let text = test.export_prometheus();
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let there: BTreeSet<String> = described.map(str::to_owned).collect();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let read = |name: &str| fs::read_to_string(docs.join(name)).expect("a readable file");
    let dashboard = read("monitoring/grafana.json");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).expect("it is JSON");
    assert!(parsed["panels"].as_array().is_some_and(|panels| panels.len() > 10));
    let rules: serde_json::Value = serde_saphyr::from_str(&read("monitoring/alerts.yaml")).expect("it is YAML");
    let rules = rules["groups"][0]["rules"].as_array().expect("there are rules");
    assert!(rules.iter().all(|rule| rule["alert"].is_string() && rule["expr"].is_string()), "{rules:?}");
    for file in ["monitoring/grafana.json", "monitoring/alerts.yaml", "en/metrics.md", "zh/metrics.md"] {
        let unknown: Vec<String> = named(&read(file)).difference(&there).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "{file} names what there is not");
    }
    let book = read("en/metrics.md");
    let row = book.lines().find(|line| line.contains("misfires_total")).expect("a row");
    let reasons: BTreeSet<&str> = row.rsplit('|').nth(1).expect("a cell").split('`').skip(1).step_by(2).collect();
    assert!(reasons.contains("overlap") && reasons.len() == 10, "{reasons:?}");
    let outcomes: BTreeSet<&str> = (text.lines().filter(|line| line.starts_with("symphra_scheduler_runs_total{")))
        .filter_map(|line| line.split("outcome=\"").nth(1)?.split('"').next())
        .collect();
    for file in ["monitoring/grafana.json", "monitoring/alerts.yaml"] {
        let read = read(file).replace("\\\"", "\"");
        let asked = |label: &str| -> BTreeSet<String> {
            let matchers = ["=~\"", "=\"", "!~\"", "!=\""].map(|matcher| format!("{label}{matcher}"));
            let matched = matchers.iter().flat_map(|matcher| read.split(matcher).skip(1));
            let values = matched.filter_map(|rest| rest.split('"').next()).flat_map(|values| values.split('|'));
            values.map(str::to_owned).filter(|value| !value.contains('$')).collect()
        };
        for (label, there) in [("outcome", &outcomes), ("reason", &reasons)] {
            let unknown: Vec<String> = asked(label).into_iter().filter(|value| !there.contains(&**value)).collect();
            assert_eq!(unknown, Vec::<String>::new(), "{file} asks for a {label} that there is not");
        }
    }
    // The book has `…_running` beside another of its row.
    let mut told = named(&read("en/metrics.md"));
    told.insert("symphra_scheduler_running".into());
    assert_eq!(told, there, "and the book all of it");
}
