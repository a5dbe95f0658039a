//! The rights that the page of the backends asks for on RabbitMQ are enough for a store, and reach no other.

use std::time::Duration;

use symphra_scheduler::{
    RabbitMqBackend, RunContext, RunId, Schedule, Scheduler, SchedulerConfig, SchedulerHandle, Task,
};
use symphra_scheduler_tests::services::{RabbitMq, has_rabbitmq};
use symphra_scheduler_tests::shown::{command, words};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long anything may take, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node of a program that makes a store of this namespace, with a task that tells of its runs.
async fn node(name: &str, url: &str, runs: &UnboundedSender<RunId>) -> SchedulerHandle {
    let store = RabbitMqBackend::options().namespace("payroll").connect(url).await.expect("it may open the store");
    let runs = runs.clone();
    let yearly = Schedule::cron("0 0 1 1 *").expect("an expression");
    let task = Task::new("pay", yearly, move |run: RunContext| {
        runs.send(run.run_id()).expect("the test listens");
        std::future::ready(())
    });
    let config = SchedulerConfig::new().node(name);
    Scheduler::empty().config(config).backend(store).register(task).start().await.expect("it starts")
}

/// Has a node trigger the task, and waits for its run, on whichever node.
async fn runs_by(node: &SchedulerHandle, runs: &mut UnboundedReceiver<RunId>) {
    let asked = tokio::time::timeout(PATIENCE, node.trigger_task("pay")).await;
    let id = asked.expect("it is answered").expect("it may");
    assert_eq!(tokio::time::timeout(PATIENCE, runs.recv()).await.expect("it begins"), Some(id));
}

#[tokio::test]
async fn a_user_with_the_rights_of_the_page_has_all_that_a_store_needs() {
    if !has_rabbitmq() {
        return;
    }
    let server = RabbitMq::start();
    server.ctl(&["add_vhost", "jobs"]);
    server.ctl(&["add_user", "payroll", "secret"]);
    let typed = words(&command("docs/en/backends.md", "rabbitmqctl set_permissions"));
    let arguments: Vec<&str> = typed[1..].iter().map(String::as_str).collect();
    server.ctl(&arguments);
    let address = server.url();
    let address = address.trim_start_matches("amqp://").split('/').next().expect("a host and a port");
    let url = format!("amqp://payroll:secret@{address}/jobs");

    let (sender, mut runs) = unbounded_channel();
    let (owner, other) = (node("owner", &url, &sender).await, node("other", &url, &sender).await);
    runs_by(&owner, &mut runs).await;
    runs_by(&other, &mut runs).await;
    // Whoever takes over makes anew what went with the owner.
    owner.stop().await.expect("it stops");
    runs_by(&other, &mut runs).await;
    other.stop().await.expect("it stops");

    let others = RabbitMqBackend::options().namespace("billing").connect(&url).await.expect_err("it may not");
    let said = format!("{others:?}");
    assert!(said.contains("access") && said.contains("refused"), "{said}");
}
