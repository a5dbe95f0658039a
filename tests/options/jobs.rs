//! Words of jobs alone.

use std::sync::LazyLock;

use serde_json::{Value, json};
use symphra_scheduler::{MemoryBackend, Scheduler, Task, task};
use tokio::sync::watch;

static CALLED_WITH: LazyLock<watch::Sender<Option<(u32, String)>>> = LazyLock::new(|| watch::Sender::new(None));

/// What was one text is a number and a text by now.
fn numbered(old: Value) -> Value {
    json!([7, old])
}

#[task(upgrade = [numbered])]
async fn upgraded(order: (u32, String)) {
    CALLED_WITH.send_replace(Some(order));
}

#[tokio::test]
async fn an_upgrade_reads_what_an_older_program_has_enqueued() {
    let store = MemoryBackend::new().outliving_its_program();
    let older = Task::job("upgraded", |_order: String| async {}).enabled(false);
    let before = Scheduler::empty().register(older).backend(store.clone()).start().await.expect("it starts");
    before.enqueue("upgraded", "tea".to_owned()).await.expect("it is enqueued");
    before.stop().await.expect("it stops");
    let newer = Scheduler::from_registry().filter(|task| task.name() == "upgraded").backend(store);
    let after = newer.start().await.expect("it starts");
    let mut called = CALLED_WITH.subscribe();
    let with = called.wait_for(Option::is_some).await.expect("it runs").clone();
    assert_eq!(with, Some((7, "tea".to_owned())));
    after.stop().await.expect("it stops");
}
