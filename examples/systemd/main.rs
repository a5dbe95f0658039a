//! How does systemd learn that a scheduler is up, is well, reads its settings again, and drains? By `Type=notify` and
//! `WatchdogSec=`, which `notified.rs` answers.
//!
//! `cargo run -p examples --bin systemd -- FOLDER` does the same without systemd, where nobody is told. In the folder, `period` is
//! how often it reports (`30s`), and `lock` is what another program holds while it exists.

#[cfg(unix)]
mod notified;

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    notified::main()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("systemd is there on Linux alone");
}
