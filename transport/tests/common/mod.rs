//! Senders, receivers and a line that can be cut, for tests over real zenoh on loopback.
#![allow(dead_code)] // each test program uses its part

pub mod proxy;
pub mod sockets;

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lic_transport::*;
use zenoh::Config;

pub const CAPS: &str = "video/x-test, width=(int)64";
/// Long enough for the busiest machine; nothing waits that long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The default network with a meeting point of the test's own.
pub fn here(port: u16) -> Network {
    Network { rendezvous_port: Some(port), ..Default::default() }
}

pub fn client(port: u16) -> Config {
    config(&[("mode", "\"client\"".into()), ("connect/endpoints", format!("[\"tcp/127.0.0.1:{port}\"]"))])
}

/// A plain zenoh node that listens on `port`.
pub fn holder(mode: &str, port: u16) -> Config {
    config(&[("mode", format!("\"{mode}\"")), ("listen/endpoints", format!("[\"tcp/127.0.0.1:{port}\"]"))])
}

fn config(values: &[(&str, String)]) -> Config {
    let mut config = Config::default();
    config.insert_json5("scouting/multicast/enabled", "false").unwrap();
    for (key, value) in values {
        config.insert_json5(key, value).unwrap();
    }
    config
}

/// Numbers reported as lost, key frames wanted.
#[derive(Default)]
pub struct Reports {
    lost: Mutex<HashSet<u32>>,
    pub wanted: AtomicU32,
}

impl Reports {
    pub fn event(&self, event: PublisherEvent) {
        match event {
            PublisherEvent::Lost { number } => drop(self.lost.lock().unwrap().insert(number)),
            PublisherEvent::KeyFrameWanted { requests } => drop(self.wanted.fetch_add(requests, Ordering::Relaxed)),
            _ => {}
        }
    }

    pub fn contains(&self, number: u32) -> bool {
        self.lost.lock().unwrap().contains(&number)
    }

    pub fn count(&self) -> usize {
        self.lost.lock().unwrap().len()
    }
}

/// An encoder of numbered frames at 100/s that refers to the newest frame it was not told is lost, and its publisher.
pub struct Sender {
    publisher: Option<Arc<Publisher>>,
    reports: Arc<Reports>,
    stop: Arc<AtomicBool>,
    on_demand: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sender {
    pub fn start(key: &str, network: &Network) -> Self {
        Self::with_frames_of(5000, key, network)
    }

    pub fn with_frames_of(bytes: usize, key: &str, network: &Network) -> Self {
        Self::with(PublisherSettings::new(key), bytes, network)
    }

    pub fn with(settings: PublisherSettings, bytes: usize, network: &Network) -> Self {
        let reports = Arc::new(Reports::default());
        let told = reports.clone();
        let publisher = Publisher::start(settings, network, move |event| told.event(event)).unwrap();
        assert!(publisher.set_caps(CAPS));
        let publisher = Arc::new(publisher);
        let stop = Arc::new(AtomicBool::new(false));
        let on_demand = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (publisher, reports, stop, on_demand) = (publisher.clone(), reports.clone(), stop.clone(), on_demand.clone());
            move || {
                let mut answered = 0;
                let mut held: Vec<u32> = vec![];
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let wanted = reports.wanted.load(Ordering::Relaxed);
                    let periodic = number % 10 == 0 && !on_demand.load(Ordering::Relaxed);
                    held.retain(|number| !reports.contains(*number));
                    let key = held.is_empty() || wanted != answered || periodic;
                    answered = wanted;
                    let references = if key { vec![] } else { vec![held[held.len() - 1]] };
                    held.push(number);
                    held.drain(..held.len().saturating_sub(8));
                    let pts = Some(number as u64 * 10_000_000);
                    let capture = Some(unix_now());
                    let info = FrameInfo { key, delta: !key, number: Some(number), references, pts, capture, ..Default::default() };
                    publisher.push(Frame { info, payload: vec![number as u8; bytes] });
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        Self { publisher: Some(publisher), reports, stop, on_demand, thread: Some(thread) }
    }

    pub fn keys_only_on_demand(&mut self) {
        self.on_demand.store(true, Ordering::Relaxed);
    }

    pub fn key_frames_wanted(&self) -> u32 {
        self.reports.wanted.load(Ordering::Relaxed)
    }

    pub fn stats(&self) -> PublisherStats {
        self.publisher.as_ref().unwrap().stats()
    }

    pub fn stream(&self) -> u64 {
        self.publisher.as_ref().unwrap().stream()
    }

    /// Ends the encoder and hands the publisher out, to be dropped by itself.
    pub fn into_publisher(mut self) -> Publisher {
        self.end();
        Arc::into_inner(self.publisher.take().unwrap()).unwrap()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.end();
    }
}

/// A subscriber and all frames it has received.
pub struct Receiver {
    subscriber: Subscriber,
    pub frames: RefCell<Vec<Received>>,
}

impl Receiver {
    pub fn start(key: &str, network: &Network) -> Self {
        let subscriber = Subscriber::start(SubscriberSettings { key: key.into(), ..Default::default() }, network, |_| {}).unwrap();
        Self { subscriber, frames: RefCell::default() }
    }

    pub fn next(&self) -> Received {
        let frame = self.subscriber.receive(PATIENCE).expect("a frame");
        self.frames.borrow_mut().push(frame.clone());
        frame
    }

    /// Takes what is there.
    pub fn drain(&self) {
        while let Ok(frame) = self.subscriber.receive(Duration::ZERO) {
            self.frames.borrow_mut().push(frame);
        }
    }

    pub fn await_frames(&self, frames: usize) {
        self.drain();
        (0..frames).for_each(|_| drop(self.next()));
    }

    pub fn last_sequence(&self) -> u64 {
        self.frames.borrow().last().unwrap().sequence
    }

    pub fn ask(&self) {
        self.subscriber.request_key_frame();
    }

    pub fn stats(&self) -> SubscriberStats {
        self.subscriber.stats()
    }
}
