//! Three processes on one store, one of which is killed in the middle of its work, and one more that joins: nothing is
//! missed, and nothing runs twice but what the killed one had begun.
//!
//! `cargo run -p examples --bin cluster` takes a file in a temporary folder; with the URL of any store,
//! that one: `postgres://…`, `redis://…`, `amqp://…`. It ends by itself,
//! with 0 if all is well, after the time in which a dead node's runs are recovered: its lease of 10 s and a little.

mod account;
mod node;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use account::{account, who_is_under_way};
use symphra_scheduler::chrono::{DateTime, Utc};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often the task fires.
pub(crate) const EVERY: Duration = Duration::from_millis(200);

/// The lease of a dead node, five seconds, and what a slow machine takes.
const PATIENCE: Duration = Duration::from_secs(40);

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_well = match words[..] {
        ["node", url, name, diary, first] => return node::run(url, name, diary, first).map(|()| ExitCode::SUCCESS),
        [] => watch(None)?,
        [url] => watch(Some(url.into()))?,
        _ => return Err("cluster, or cluster <url>".into()),
    };
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn watch(url: Option<String>) -> Result<bool, Failure> {
    let folder = std::env::temp_dir().join(format!("cluster-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let url = url.unwrap_or_else(|| format!("sqlite://{}", folder.join("store.db").display()));
    let diary = folder.join("diary").display().to_string();
    fs::write(&diary, "")?;
    let first = DateTime::from_timestamp(Utc::now().timestamp() + 4, 0).ok_or("an instant")?;
    let start = |name| start(&url, name, &diary, &first.to_rfc3339());
    let mut nodes = BTreeMap::new();
    for name in ["a", "b", "c"] {
        nodes.insert(name.to_owned(), start(name)?);
    }
    let first = first.timestamp_millis();
    while Utc::now().timestamp_millis() < first + 3_000 {
        thread::sleep(EVERY);
    }
    // SIGKILL, while it executes something.
    let killed = who_is_under_way(&diary)?;
    let mut victim = nodes.remove(&killed).ok_or("a node has died by itself")?;
    victim.kill()?;
    victim.wait()?;
    println!("{killed} was killed in the middle of a run; d joins");
    nodes.insert("d".to_owned(), start("d")?);
    let joined = Instant::now();
    let last = Utc::now().timestamp_millis() + 1_000;
    let account = loop {
        thread::sleep(Duration::from_millis(500));
        let account = account(&diary, first, last, &killed)?;
        if account.missed + account.unfinished == 0 || joined.elapsed() > PATIENCE {
            break account;
        }
    };
    for node in nodes.values_mut() {
        drop(node.stdin.take());
        node.wait()?;
    }
    account.print();
    fs::remove_dir_all(folder)?;
    Ok(account.is_clean() && account.taken_over > 0)
}

/// The program itself, started again as a node.
fn start(url: &str, name: &str, diary: &str, first: &str) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["node", url, name, diary, first]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let up = child.stdout.take().and_then(|printed| BufReader::new(printed).lines().next());
    up.ok_or_else(|| format!("{name} does not come up"))??;
    Ok(child)
}
