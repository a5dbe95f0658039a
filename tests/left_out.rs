//! Says which tests this run leaves out, since passing tests cannot.

use symphra_scheduler_tests::services;

fn main() {
    if std::env::var_os("SYMPHRA_NIGHTLY").is_none_or(|value| value != "1") {
        println!("left out: the long runs of zones, simulation and clusters, which SYMPHRA_NIGHTLY=1 asks for");
    }
    if cfg!(not(target_os = "linux")) {
        println!("left out: nodes under wrong clocks, which are laid over the machine's on Linux only");
    }
    if !services::has_browser() {
        let missing = services::missing().join(", ");
        println!("left out: the dashboard in a browser, which needs {missing}; ./tests/run installs it");
    }
    for program in ["jq", "openssl"].into_iter().filter(|program| !services::has_program(program)) {
        println!("left out: a command of the book that needs {program}; ./tests/run installs it");
    }
    if !services::has_postgres() {
        let (url, all) = (services::POSTGRES_URL, "./tests/run");
        println!("left out: what needs PostgreSQL; set {url}, or run {all}, which starts a server of its own");
    }
    if !services::has_rabbitmq() {
        let (url, all) = (services::RABBITMQ_URL, "./tests/run");
        println!("left out: what needs RabbitMQ; set {url}, or run {all}, which starts a server of its own");
    }
    if !services::has_redis() {
        let (url, all) = (services::REDIS_URL, "./tests/run");
        println!("left out: what needs Redis; set {url}, or run {all}, which starts a server of its own");
    }
}
