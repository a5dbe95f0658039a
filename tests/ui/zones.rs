/// Every task must have got the zone that it is named after.
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = runtime.block_on(async {
        let scheduler = symphra_scheduler::Scheduler::from_registry().start().await.unwrap();
        let tasks = scheduler.list_tasks();
        scheduler.stop().await.unwrap();
        tasks
    });
    assert_eq!(tasks.len(), ZONES);
    for task in tasks {
        assert_eq!(task.timezone.name(), task.name.as_str());
    }
}
