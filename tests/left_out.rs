//! Says which tests this run leaves out, since passing tests cannot.

use symphra_scheduler_tests::services;

fn main() {
    if !services::has_postgres() {
        let (url, all) = (services::POSTGRES_URL, "./tests/run");
        println!("left out: what needs PostgreSQL; set {url}, or run {all}, which starts a server of its own");
    }
}
