//! How does a scheduler live beside a server of one's own? A TCP service takes lines, a task files them, and both end together.
//!
//! `cargo run -p examples --bin tokio_service -- 127.0.0.1:4000` ends at Ctrl+C, at SIGTERM, and by a client's line `shutdown`.

use std::sync::{Arc, Mutex};
use std::{error::Error, io, pin::pin, time::Duration};

use symphra_scheduler::{Scheduler, State, interval};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

type Inbox = Arc<Mutex<Vec<String>>>;

#[interval(milliseconds = 200)]
async fn file_lines(inbox: State<Inbox>) {
    for line in std::mem::take(&mut *inbox.lock().expect("nobody panics with it")) {
        println!("filed: {line}");
    }
}

async fn serve(mut client: TcpStream, inbox: Inbox, stop: watch::Sender<bool>) -> io::Result<()> {
    let mut stopping = stop.subscribe();
    let (reader, mut writer) = client.split();
    let mut lines = BufReader::new(reader).lines();
    while !*stopping.borrow_and_update() {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = stopping.changed() => continue,
        };
        match line.as_deref() {
            None => break,
            Some("shutdown") => stop.send_modify(|stop| *stop = true),
            Some(line) => inbox.lock().expect("nobody panics with it").push(line.to_owned()),
        }
        writer.write_all(b"taken\n").await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4000".to_owned())).await?;
    let inbox = Inbox::default();
    let scheduler = Scheduler::from_registry().state(inbox.clone()).start().await?;
    println!("listening on {}", listener.local_addr()?);
    let (stop, mut stopping) = watch::channel(false);
    let (mut clients, mut signalled) = (JoinSet::new(), pin!(signalled()));
    let ended = loop {
        tokio::select! {
            client = listener.accept() => match client {
                Ok((client, _)) => drop(clients.spawn(serve(client, inbox.clone(), stop.clone()))),
                Err(error) => break Err(error),
            },
            Some(_) = clients.join_next() => {} // how a client ended is no matter
            _ = stopping.changed() => break Ok(()),
            heard = &mut signalled => break heard,
        }
    };
    stop.send_modify(|stop| *stop = true);
    let all = async { while clients.join_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap_or_default(); // who does not read is left
    let report = scheduler.stop().await?;
    // Nothing fires any more, and a task's function is still a function.
    file_lines(State::from(inbox)).await;
    println!("stopped, {} runs cancelled", report.cancelled.len());
    Ok(ended?)
}

/// Returns at Ctrl+C or SIGTERM.
async fn signalled() -> io::Result<()> {
    #[cfg(unix)]
    use tokio::signal::unix;
    #[cfg(unix)]
    let terminated = async { unix::signal(unix::SignalKind::terminate()).ok()?.recv().await };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        heard = tokio::signal::ctrl_c() => heard,
        Some(()) = terminated => Ok(()),
    }
}
