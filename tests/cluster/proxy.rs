//! A wire between nodes and a server that can be cut, that can be slow, and that can fall silent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A proxy in front of a server. It ends with the test's process.
pub(crate) struct Proxy {
    port: u16,
    wires: Arc<Mutex<Vec<Arc<Wire>>>>,
    /// For how many milliseconds each answer is held back.
    held_back: Arc<AtomicU32>,
}

/// A connection of a client, and that to the server which is made for it.
struct Wire {
    client: TcpStream,
    server: TcpStream,
    /// How many more times the server is heard. Then nothing comes back any more, and nobody is told.
    answers_left: AtomicU32,
    held_back: Arc<AtomicU32>,
}

impl Proxy {
    /// A proxy in front of the server at a port of this host.
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let wires = Arc::<Mutex<Vec<Arc<Wire>>>>::default();
        let known = Arc::clone(&wires);
        let held_back = Arc::<AtomicU32>::default();
        let slowness = Arc::clone(&held_back);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Where the server is away, the client is told by the end of its connection.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (answers_left, held_back) = (AtomicU32::new(u32::MAX), Arc::clone(&slowness));
                let wire = Arc::new(Wire { client, server, answers_left, held_back });
                lock(&known).push(Arc::clone(&wire));
                let back = Arc::clone(&wire);
                thread::spawn(move || wire.ask());
                thread::spawn(move || back.answer());
            }
        });
        Self { port, wires, held_back }
    }

    /// A proxy in front of the server of a URL, and the URL by which that is reached through it.
    pub(crate) fn before(url: &str) -> (Self, String) {
        let (before, after) = url.rsplit_once(':').expect("the URL names a port");
        let (port, database) = after.split_once('/').expect("the URL names a database");
        let proxy = Self::to(port.parse().expect("a port"));
        let url = format!("{before}:{}/{database}", proxy.port);
        (proxy, url)
    }

    /// Cuts every connection, wherever it is in what it says; how many there were.
    pub(crate) fn cut(&self) -> usize {
        let wires = std::mem::take(&mut *lock(&self.wires));
        wires.iter().filter(|wire| wire.is_cut()).count()
    }

    /// Holds back each answer for so long, whatever the connection, until it is told otherwise.
    pub(crate) fn hold_back(&self, time: Duration) {
        let millis = u32::try_from(time.as_millis()).expect("it is not that long");
        self.held_back.store(millis, Ordering::SeqCst);
    }

    /// Lets every connection that there is fall silent, each after a few more answers: in the middle of a transaction, most
    /// of them. New ones are not. The answer is how many there were.
    pub(crate) fn silence(&self, random: &mut fastrand::Rng) -> usize {
        let wires = lock(&self.wires);
        wires.iter().for_each(|wire| wire.answers_left.store(random.u32(1..6), Ordering::SeqCst));
        wires.len()
    }
}

fn lock<T>(wires: &Mutex<T>) -> MutexGuard<'_, T> {
    wires.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    /// Cuts it; whether it was whole.
    fn is_cut(&self) -> bool {
        let cut = [self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both)];
        cut.iter().all(Result::is_ok)
    }

    fn ask(&self) {
        self.pump(&self.client, &self.server, || true);
    }

    fn answer(&self) {
        self.pump(&self.server, &self.client, || {
            thread::sleep(Duration::from_millis(self.held_back.load(Ordering::SeqCst).into()));
            let left = self.answers_left.load(Ordering::SeqCst);
            self.answers_left.store(if left == u32::MAX { left } else { left.saturating_sub(1) }, Ordering::SeqCst);
            left > 0
        });
    }

    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream, is_heard: impl Fn() -> bool) {
        let mut some = [0; 16 * 1_024];
        while let Ok(read @ 1..) = from.read(&mut some) {
            // What is not heard is lost, and the connection stays.
            if is_heard() && to.write_all(&some[..read]).is_err() {
                break;
            }
        }
        if self.answers_left.load(Ordering::SeqCst) > 0 {
            self.is_cut();
        }
    }
}
