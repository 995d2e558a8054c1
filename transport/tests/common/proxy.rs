//! A TCP line that can be slow, long, dead or cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes in one go, and how many of these may be on their way: 256 KiB.
const CHUNK: usize = 4096;
const IN_FLIGHT: usize = 64;

/// A TCP line to `127.0.0.1:target`.
pub struct Proxy {
    pub port: u16,
    line: Arc<Line>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

#[derive(Default)]
struct Line {
    frozen: AtomicBool,
    /// Connections so far, and how many of them, the first ones, are dead.
    opened: AtomicU32,
    abandoned: AtomicU32,
    /// Bytes per second in each direction, of all connections together; 0: no limit.
    rate: AtomicU32,
    /// When the line is free again, out and back.
    free: [Mutex<Option<Instant>>; 2],
    /// Milliseconds one way.
    delay: AtomicU32,
}

impl Proxy {
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Arc::new(Line::default());
        let open = Arc::new(Mutex::new(vec![]));
        std::thread::spawn({
            let (line, open) = (line.clone(), open.clone());
            move || {
                for near in listener.incoming().flatten() {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                    for stream in [&near, &far] {
                        stream.set_nodelay(true).unwrap();
                    }
                    open.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                    let number = line.opened.fetch_add(1, Ordering::Relaxed);
                    let ways = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
                    for (way, (from, to)) in ways.into_iter().enumerate() {
                        let (chunks, delayed) = sync_channel(IN_FLIGHT);
                        let (entry, exit) = (line.clone(), line.clone());
                        std::thread::spawn(move || entry.take_in(number, way, from, |chunk| chunks.send((Instant::now(), chunk)).is_ok()));
                        std::thread::spawn(move || exit.give_out(number, to, delayed));
                    }
                }
            }
        });
        Self { port, line, open }
    }

    /// Ends all connections.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// In each direction, of all connections together; 0 for no limit.
    pub fn limit(&self, bytes_per_second: u32) {
        self.line.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// One way.
    pub fn delay(&self, time: Duration) {
        self.line.delay.store(time.as_millis() as u32, Ordering::Relaxed);
    }

    /// Of the connections that are open now no byte will ever pass again, and nobody is told; new ones are not affected.
    pub fn abandon(&self) {
        self.line.abandoned.store(self.line.opened.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A black hole: connections stay open, and new ones open, but no byte passes until it ends.
    pub fn freeze(&self, on: bool) {
        self.line.frozen.store(on, Ordering::Relaxed);
    }
}

impl Line {
    fn take_in(&self, number: u32, way: usize, mut from: TcpStream, mut put: impl FnMut(Vec<u8>) -> bool) {
        let mut buffer = [0; CHUNK];
        loop {
            let read = from.read(&mut buffer);
            // Not even that the other side has hung up.
            self.thaw(number);
            let Ok(length @ 1..) = read else { return };
            self.take_turn(way, length as u64);
            if !put(buffer[..length].to_vec()) {
                return;
            }
        }
    }

    /// Waits as long as `bytes` take after whatever is on the line.
    fn take_turn(&self, way: usize, bytes: u64) {
        let Some(micros) = (bytes * 1_000_000).checked_div(self.rate.load(Ordering::Relaxed).into()) else { return };
        let mut free = self.free[way].lock().unwrap();
        let until = free.unwrap_or_else(Instant::now).max(Instant::now()) + Duration::from_micros(micros);
        *free = Some(until);
        drop(free);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    fn give_out(&self, number: u32, mut to: TcpStream, chunks: Receiver<(Instant, Vec<u8>)>) {
        for (when, chunk) in chunks {
            let delay = Duration::from_millis(self.delay.load(Ordering::Relaxed).into());
            std::thread::sleep((when + delay).saturating_duration_since(Instant::now()));
            self.thaw(number);
            if to.write_all(&chunk).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    fn thaw(&self, number: u32) {
        while self.frozen.load(Ordering::Relaxed) || number < self.abandoned.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
