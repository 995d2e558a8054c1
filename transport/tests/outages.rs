//! Links that stand still, and parties that start and end in any order.

mod common;

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use common::proxy::Proxy;
use common::*;
use lic_transport::*;
use zenoh::{Session, Wait};

/// The bar of `make soak`. Here in `make test` only that it comes back at all is asked for.
const LIVE: Duration = Duration::from_secs(1);

fn listen(port: u16) -> Network {
    Network { listen: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() }
}

fn connect(port: u16) -> Network {
    Network { connect: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() }
}

/// Who listens, behind the line that fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Listener {
    Sender,
    Receiver,
    /// A zenoh router as anybody would start it, between both; the sender's side of it fails.
    Router,
}

/// A sender and a receiver with a line between them.
struct Pair {
    proxy: Proxy,
    sender: Option<Sender>,
    receiver: Option<Receiver>,
    router: Option<Session>,
    port: u16,
    listener: Listener,
}

impl Pair {
    fn start(listener: Listener) -> Self {
        let port = free_port();
        let mut pair = Pair { proxy: Proxy::start(port), sender: None, receiver: None, router: None, port, listener };
        pair.start_router();
        pair.start_sender();
        pair.start_receiver();
        pair.live();
        pair
    }

    fn start_router(&mut self) {
        if self.listener == Listener::Router {
            until("the port is free", || {
                self.router = zenoh::open(holder("router", self.port)).wait().ok();
                self.router.is_some()
            });
        }
    }

    fn start_sender(&mut self) {
        let network = if self.listener == Listener::Sender { listen(self.port) } else { connect(self.proxy.port) };
        self.sender = Some(Sender::start("lic/t/cam", &network));
    }

    fn start_receiver(&mut self) {
        let network = match self.listener {
            Listener::Sender => connect(self.proxy.port),
            Listener::Receiver => listen(self.port),
            Listener::Router => connect(self.port),
        };
        self.receiver = Some(Receiver::start("lic/**", &network));
    }

    /// Waits for a frame that was taken after now. Returns how long that took.
    fn live(&self) -> Duration {
        let (start, now) = (Instant::now(), unix_now());
        let receiver = self.receiver.as_ref().unwrap();
        until("a live frame", || receiver.next().info.capture.unwrap() > now);
        receiver.frames.borrow_mut().clear();
        start.elapsed()
    }

    /// No byte passes for `time`. Returns how long after it the first live frame came.
    fn black_hole(&self, time: Duration) -> Duration {
        self.proxy.freeze(true);
        std::thread::sleep(time);
        self.proxy.freeze(false);
        self.live()
    }
}

/// Resident memory of this process, MiB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// One test after the other: zenoh serves all sessions of a process with the same few threads, and a dead link that is being closed
/// may hold them up for seconds.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

const LISTENERS: [Listener; 3] = [Listener::Sender, Listener::Receiver, Listener::Router];

/// Shorter and longer than the 4 s after which a silent link is given up.
#[test]
fn a_link_that_stood_still_is_live_again() {
    let _alone = alone();
    std::thread::scope(|scope| {
        for listener in LISTENERS {
            for seconds in [2, 6] {
                scope.spawn(move || {
                    let took = Pair::start(listener).black_hole(Duration::from_secs(seconds));
                    println!("{listener:?} listens, {seconds} s: live after {} ms", took.as_millis());
                });
            }
        }
    });
}

/// The router believes in its links for a minute, as ROS 2's does; the line is dead for good, and only a new connection helps.
#[test]
#[ignore = "as long as a router may be silent"]
fn a_link_that_hangs_is_given_up_however_long_the_routers_lease() {
    let _alone = alone();
    let port = free_port();
    let proxy = Proxy::start(port);
    let mut config = holder("router", port);
    config.insert_json5("transport/link/tx/lease", "60000").unwrap();
    let _router = zenoh::open(config).wait().unwrap();
    let sender = Sender::start("lic/t/cam", &connect(proxy.port));
    let receiver = Receiver::start("lic/t/cam", &connect(port));
    receiver.await_frames(10);
    // The first question is answered by now.
    std::thread::sleep(Duration::from_secs(4));
    proxy.abandon();
    let (start, now) = (Instant::now(), unix_now());
    until("a live frame", || receiver.next().info.capture.unwrap() > now + 1_000_000_000);
    println!("Router listens: a link dead for good, lease 60 s, live after {} ms", start.elapsed().as_millis());
    assert!(sender.stats().connected);
}

#[test]
fn they_find_each_other_in_every_order() {
    let _alone = alone();
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    std::thread::scope(|scope| {
        for order in ORDERS {
            scope.spawn(move || {
                let port = free_port();
                let listener = Listener::Router;
                let mut pair = Pair { proxy: Proxy::start(port), sender: None, receiver: None, router: None, port, listener };
                for party in order {
                    match party {
                        0 => pair.start_router(),
                        1 => pair.start_sender(),
                        _ => pair.start_receiver(),
                    }
                    std::thread::sleep(Duration::from_millis(300));
                }
                pair.live();
            });
        }
    });
}

/// Of two senders on one session one stops while nothing moves; then the other, the last.
#[test]
fn stopping_on_a_dead_link_is_bounded_for_the_first_and_for_the_last() {
    let _alone = alone();
    let port = free_port();
    let proxy = Proxy::start(port);
    let receiver = Receiver::start("lic/t/cam", &listen(port));
    let senders = ["lic/t/cam", "lic/t/other"].map(|key| Sender::with_frames_of(100_000, key, &connect(proxy.port)));
    receiver.await_frames(5);
    proxy.freeze(true);
    until("the queue is full", || senders[0].stats().evicted > 20);
    for sender in senders.map(Sender::into_publisher) {
        let start = Instant::now();
        drop(sender);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    proxy.freeze(false);
}

/// `make soak`: a minute without a link, then 20 restarts of each party.
#[test]
#[ignore = "minutes"]
fn long_outages_and_many_restarts() {
    let _alone = alone();
    for listener in LISTENERS {
        let mut pair = Pair::start(listener);
        pair.black_hole(Duration::from_secs(1));
        let steady = memory();
        let mut most: f64 = steady;
        let mut late: Vec<Duration> = vec![pair.black_hole(Duration::from_secs(60))];
        println!("{listener:?} listens: 60 s outage, live after {} ms", late[0].as_millis());
        for seconds in [3, 5, 8, 11, 15] {
            late.push(pair.black_hole(Duration::from_secs(seconds)));
            most = most.max(memory());
            println!("{listener:?} listens: {seconds} s outage, live after {} ms", late[late.len() - 1].as_millis());
        }
        let parties = if listener == Listener::Router { 3 } else { 2 };
        for party in 0..parties {
            let mut times = vec![];
            for _ in 0..20 {
                let start = Instant::now();
                match party {
                    0 => {
                        pair.sender = None;
                        pair.start_sender();
                    }
                    1 => {
                        pair.receiver = None;
                        pair.start_receiver();
                    }
                    _ => {
                        pair.router.take().unwrap().close().wait().unwrap();
                        pair.start_router();
                    }
                }
                // From when the new one is there.
                let started = start.elapsed();
                times.push(pair.live());
                assert!(started < Duration::from_secs(2), "{started:?}");
                most = most.max(memory());
            }
            times.sort();
            let name = ["sender", "receiver", "router"][party];
            println!(
                "{listener:?} listens: 20 restarts of the {name}, live after {} ms (median), {} ms at most",
                times[10].as_millis(),
                times[19].as_millis()
            );
            late.extend(times);
        }
        println!("{listener:?} listens: memory {steady:.1} MiB before, {most:.1} MiB at most");
        assert!(most - steady <= 64.0, "{steady} MiB grew to {most} MiB");
        late.sort();
        assert!(late[late.len() - 1] <= LIVE, "{late:?}");
    }
}
