//! The command `dashboard`: pages and an HTTP API beside a store, whether or not a program runs on it.
//!
//! Invariant: it listens where others reach it only with a token, and the token comes by no way that others on this machine
//! can see.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;

use super::store::Store;
use super::{Failure, Output};
use crate::dashboard::{Alone, Dashboard, serve};
use crate::error::Error;
use crate::foreground::Signals;
use crate::scheduler::Scheduler;

/// The variable that has the token, unless a file has it.
const TOKEN_VARIABLE: &str = "SYMPHRA_DASHBOARD_TOKEN";

/// The longest file of a token that is read: what is longer is another file.
const TOKEN_FILE_BYTES_MAX: u64 = 4 * 1024;

/// What `dashboard` takes.
#[derive(Debug, Args)]
pub(super) struct DashboardArgs {
    /// Where it listens; an address that other machines reach needs a token; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9393", value_parser = an_address)]
    listen: SocketAddr,

    /// A file with the token that whoever looks has to show; without it $SYMPHRA_DASHBOARD_TOKEN has it, if anything does
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Let whoever reaches it change things too, where there is no token; with one, that is so for who shows it
    #[arg(long)]
    allow_writes: bool,

    /// A name by which browsers ask for it, besides localhost and addresses in numbers; may be given several times
    #[arg(long, value_name = "NAME", value_parser = a_host)]
    allowed_host: Vec<String>,

    /// The path below which it hangs, such as /scheduler; a proxy before it passes paths on as they are
    #[arg(long, value_name = "PATH", value_parser = a_prefix)]
    prefix: Option<String>,
}

/// Serves until Ctrl+C or SIGTERM. `declared` is this program, whose tasks tell more than the store keeps of them.
pub(super) async fn run(
    args: &DashboardArgs,
    store: Store,
    declared: Option<&Scheduler>,
    output: &Output,
) -> Result<u8, Failure> {
    if !store.is_some() {
        return Err(Failure::Usage(no_store(declared)));
    }
    let token = token(args.token_file.as_deref(), std::env::var_os(TOKEN_VARIABLE), output)?;
    let reaches = Reaches::of(args.listen);
    if reaches == Reaches::Others && token.is_none() {
        return Err(Failure::Usage(format!(
            "--listen {}: other machines reach that address, and there is no token; allowed without one is 127.0.0.1 or \
             [::1]; put a token into ${TOKEN_VARIABLE} or into a file that --token-file names",
            args.listen,
        )));
    }
    let (place, namespace, has_token) = (store.place(), store.namespace().map(str::to_owned), token.is_some());
    let store = alone(store, declared);
    let mut dashboard = Dashboard::alone(Arc::clone(&store)).allowed_hosts(&args.allowed_host);
    if let Some(Token { text, from }) = token {
        let wrong = |error: Error| Failure::Usage(format!("{from}: {error}; `openssl rand -hex 32` makes one"));
        dashboard = dashboard.token(text).map_err(wrong)?;
    }
    if args.allow_writes {
        dashboard = dashboard.allow_writes();
    }
    let mut signals = Signals::listen().map_err(Error::signals)?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| cannot_listen(args.listen, &error))?;
    let address = listener.local_addr().map_err(|error| cannot_listen(args.listen, &error))?;
    let changes = Changes::of(args, has_token);
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let url = format!("http://{}{prefix}/", seen_from_here(address));
    output.show(&Serving { url, address: address.to_string(), store: place, namespace, changes }, Serving::text);
    if reaches == Reaches::Others {
        output.note("without TLS others on the way can read the token; let a proxy before it end TLS");
    }
    let until_stopped = async {
        tokio::select! {
            () = signals.stop() => return,
            away = store.away() => if let Some(says) = away {
                output.note(&format!("{says}; pages say so until it does"));
            }
        }
        signals.stop().await;
    };
    serve(listener, dashboard, prefix, &store, until_stopped).await;
    Ok(0)
}

/// What to do where no store can be asked.
fn no_store(declared: Option<&Scheduler>) -> String {
    let memory = "the memory backend keeps nothing beyond its process, so there is nothing to show from another one";
    match declared {
        None => "which store? name it with --url, --config or SCHEDULER_BACKEND_URL; of a program on the memory backend only \
                 that program itself can serve the dashboard, with `SchedulerHandle::dashboard`"
            .to_owned(),
        Some(_) => format!(
            "{memory}; give the program a store (backend.url in its settings), or have it serve the dashboard itself, with \
             `SchedulerHandle::dashboard`"
        ),
    }
}

/// The store, opened when it is asked.
fn alone(store: Store, declared: Option<&Scheduler>) -> Arc<Alone> {
    let (tasks, zone) =
        declared.map_or_else(Default::default, |program| (program.overridden(), program.settings().zone()));
    let (place, store) = (store.place(), Arc::new(store));
    Arc::new(Alone::new(place, tasks, zone, move || {
        let store = Arc::clone(&store);
        Box::pin(async move { Ok(store.open().await?.expect("without a store the command was refused")) })
    }))
}

/// A token, and where it stood.
struct Token {
    text: String,
    from: String,
}

/// The token, if there is one. A variable that is empty is one that went wrong, and not none.
fn token(file: Option<&Path>, variable: Option<OsString>, output: &Output) -> Result<Option<Token>, Failure> {
    if let Some(path) = file {
        let from = format!("--token-file {}", path.display());
        let text = read(path, output).map_err(|error| {
            Failure::Usage(format!(
                "{from}: {error}; allowed is a file of text with the token, {TOKEN_FILE_BYTES_MAX} bytes at most"
            ))
        })?;
        return Ok(Some(Token { text: text.trim_end_matches(['\r', '\n']).to_owned(), from }));
    }
    let from = format!("${TOKEN_VARIABLE}");
    let text = variable.map(|variable| {
        // What is no text is no token either, and may not be shown.
        variable.into_string().map_err(|_| Failure::Usage(format!("{from} is no text; allowed is visible ASCII")))
    });
    Ok(text.transpose()?.map(|text| Token { text, from }))
}

fn read(path: &Path, output: &Output) -> io::Result<String> {
    let file = File::open(path)?;
    note_readers(path, &file, output)?;
    let mut text = String::new();
    file.take(TOKEN_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > TOKEN_FILE_BYTES_MAX {
        true => Err(io::Error::new(ErrorKind::InvalidData, "it is longer")),
        false => Ok(text),
    }
}

/// Says so where others on this machine can read the token.
#[cfg(unix)]
fn note_readers(path: &Path, file: &File, output: &Output) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let mode = file.metadata()?.mode();
    if mode & 0o004 != 0 {
        let (path, mode) = (path.display(), mode & 0o777);
        output
            .note(&format!("every user of this machine can read the token in {path} (mode {mode:03o}); chmod 600 it"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn note_readers(_: &Path, _: &File, _: &Output) -> io::Result<()> {
    Ok(())
}

/// Who reaches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaches {
    /// Whoever is on this machine.
    Neighbours,
    Others,
}

impl Reaches {
    fn of(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_loopback() { Self::Neighbours } else { Self::Others }
    }
}

/// Where a browser on this machine finds who listens at `address`.
fn seen_from_here(address: SocketAddr) -> SocketAddr {
    let here = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(here, address.port())
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let (says, fix) = match error.kind() {
        ErrorKind::AddrInUse => ("another program listens there", "stop that one, or choose another address"),
        ErrorKind::AddrNotAvailable => ("this machine has no such address", "choose one that it has"),
        ErrorKind::PermissionDenied => ("this user may not listen there", "choose a port of 1024 or more"),
        _ => return Failure::failed(format!("--listen {address} is not possible: {error}")),
    };
    Failure::failed(format!(
        "--listen {address} is not possible: {says}; {fix}, such as --listen 127.0.0.1:0 for any free port"
    ))
}

/// Who may change things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Changes {
    Nobody,
    Everybody,
    WithToken,
}

impl Changes {
    const fn of(args: &DashboardArgs, has_token: bool) -> Self {
        match (has_token, args.allow_writes) {
            (true, _) => Self::WithToken,
            (false, true) => Self::Everybody,
            (false, false) => Self::Nobody,
        }
    }
}

/// What is printed once it listens.
#[derive(Debug, Serialize)]
struct Serving {
    url: String,
    address: String,
    store: String,
    namespace: Option<String>,
    changes: Changes,
}

impl Serving {
    fn text(&self, output: &Output) -> String {
        let changes = match self.changes {
            Changes::Nobody => "nobody may change anything; a token or --allow-writes lets somebody",
            Changes::Everybody => "whoever reaches it may change things",
            Changes::WithToken => "who shows the token may look and change things",
        };
        let mut facts = vec![("dashboard", (&*self.url).into()), ("store", (&*self.store).into())];
        facts.extend(self.namespace.iter().map(|name| ("namespace", (&**name).into())));
        facts.extend([("changes", changes.into()), ("end", "Ctrl+C".into())]);
        output.facts(&facts)
    }
}

fn an_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "allowed is an address in numbers and a port, such as 127.0.0.1:9393, [::1]:9393 or 0.0.0.0:9393".to_owned()
    })
}

fn a_host(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match !text.is_empty() && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err("allowed is a name without scheme, port and path, such as ops.example.com".to_owned()),
    }
}

fn a_prefix(text: &str) -> Result<String, String> {
    let is_part = |part: &str| {
        // What a router or a browser gives a meaning of its own is none.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~');
        !part.is_empty() && !matches!(part, "." | "..") && part.chars().all(is_plain)
    };
    match text.strip_prefix('/').is_some_and(|path| path.split('/').all(is_part)) {
        true => Ok(text.to_owned()),
        false => Err(
            "allowed is a path of ASCII letters, digits, `.`, `-`, `_` and `~` without a slash at its end, such as \
                      /scheduler or /ops/scheduler"
                .to_owned(),
        ),
    }
}
