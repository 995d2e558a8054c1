//! Many ends in one process, on one session.

mod common;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use common::proxy::Proxy;
use common::*;
use lic_transport::*;
use zenoh::Wait;

const STREAMS: usize = 16;

fn key(stream: usize) -> String {
    format!("lic/t/cam{stream}")
}

fn connect(port: u16) -> Network {
    Network { connect: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() }
}

/// Takes from all alike until each has `frames` more: one that is not looked after overflows.
fn await_all(receivers: &[Receiver], frames: usize) {
    let goals: Vec<usize> = receivers.iter().map(|receiver| receiver.frames.borrow().len() + frames).collect();
    until("frames for everybody", || {
        receivers.iter().for_each(Receiver::drain);
        receivers.iter().zip(&goals).all(|(receiver, goal)| receiver.frames.borrow().len() >= *goal)
    });
}

fn assert_whole(receiver: &Receiver) {
    let frames = receiver.frames.borrow();
    let broken = frames.windows(2).find(|pair| pair[1].sequence != pair[0].sequence + 1 || pair[1].stream != pair[0].stream);
    let told = broken.map(|pair| [0, 1].map(|i| (pair[i].stream, pair[i].sequence, pair[i].missing.clone(), pair[i].new_stream)));
    assert_eq!(told, None, "{:?}", receiver.stats());
    let stats = receiver.stats();
    assert_eq!((stats.lost, stats.late, stats.overflowed, stats.foreign), (0, 0, 0, 0), "{stats:?}");
}

/// With nothing set: one meeting point, one connection to it, and nothing that another machine could reach.
#[test]
fn sixteen_streams_share_one_session_and_lose_nothing() {
    let port = free_port();
    let network = here(port);
    let mut senders: Vec<_> = (0..STREAMS).map(|stream| Sender::start(&key(stream), &network)).collect();
    let mut receivers: Vec<_> = (0..STREAMS).map(|stream| Receiver::start(&key(stream), &network)).collect();
    await_all(&receivers, 50);
    // One accepted connection at the meeting point, not one for each end.
    assert_eq!(sockets::connections(port), 1);
    let open = sockets::all();
    assert!(open.iter().any(|socket| socket.listens && socket.local.port() == port), "{open:?}");
    assert!(open.iter().all(|socket| socket.local.ip().is_loopback()), "{open:?}");
    // Half of them stop: each within its bound, and the others do not notice.
    for stream in (0..STREAMS).rev().step_by(2) {
        let start = Instant::now();
        drop(senders.remove(stream));
        assert_whole(&receivers.remove(stream));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    await_all(&receivers, 50);
    receivers.iter().for_each(assert_whole);
    assert!(senders.iter().all(|sender| sender.stats().evicted == 0));
    assert_eq!(sockets::connections(port), 1);
    drop((senders, receivers));
    until("nothing is left open", || !sockets::all().iter().any(|socket| socket.local.port() == port));
}

/// The streams of one process cross one connection to a router; cutting it or starting the router anew ends none of them.
#[test]
fn a_shared_session_that_dies_comes_back_for_everybody() {
    let port = free_port();
    let proxy = Proxy::start(port);
    let router = zenoh::open(holder("router", port)).wait().unwrap();
    let senders: Vec<_> = (0..STREAMS).map(|stream| Sender::start(&key(stream), &connect(proxy.port))).collect();
    let receivers: Vec<_> = (0..STREAMS).map(|stream| Receiver::start(&key(stream), &connect(port))).collect();
    await_all(&receivers, 30);
    assert_eq!(router.info().transports().wait().count(), 2);
    let go_on = |what: &str| {
        let from: Vec<u64> = senders.iter().map(|sender| sender.stats().sent).collect();
        until(what, || {
            receivers.iter().for_each(Receiver::drain);
            receivers.iter().zip(&from).all(|(receiver, from)| receiver.last_sequence() > from + 20)
        });
    };
    proxy.cut();
    go_on("frames after the cut");
    router.close().wait().unwrap();
    let router = zenoh::open(holder("router", port)).wait().unwrap();
    go_on("frames through the new router");
    assert_eq!(router.info().transports().wait().count(), 2);
    let streams: HashSet<u64> =
        receivers.iter().flat_map(|receiver| receiver.frames.borrow().iter().map(|frame| frame.stream).collect::<Vec<_>>()).collect();
    assert_eq!(streams, senders.iter().map(Sender::stream).collect());
}

/// All ends of a process may name the same port to listen on.
#[test]
fn several_may_listen_on_one_port() {
    let port = free_port();
    let listen = Network { listen: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() };
    let senders: Vec<_> = (0..3).map(|stream| Sender::start(&key(stream), &listen)).collect();
    let receivers: Vec<_> = (0..3).map(|stream| Receiver::start(&key(stream), &connect(port))).collect();
    receivers.iter().for_each(|receiver| receiver.await_frames(10));
    assert_eq!(sockets::connections(port), 1);
    // The last of a plan goes and comes back: the port is free again.
    drop(senders);
    let _again = Sender::start(&key(0), &listen);
    receivers[0].await_frames(10);
}

/// Two streams on a link that the large one fills all the time: frames of the large and of the small one that arrived, and how
/// many of the small one were given up.
fn large_beside_small(large: Priority, apart: bool) -> (usize, usize, u64) {
    let port = free_port();
    let proxy = Proxy::start(port);
    let _router = zenoh::open(holder("router", port)).wait().unwrap();
    let settings = PublisherSettings { priority: large, ..PublisherSettings::new(key(0)) };
    let large = Sender::with(settings, 200_000, &connect(proxy.port));
    let other = Network { connect: Some(format!("tcp/localhost:{}", proxy.port)), ..Default::default() };
    let small = Sender::start(&key(1), &if apart { other } else { connect(proxy.port) });
    let receivers = [Receiver::start(&key(0), &connect(port)), Receiver::start(&key(1), &connect(port))];
    await_all(&receivers, 1);
    // A tenth of what the large one makes.
    proxy.limit(2_000_000);
    until("the link is full", || large.stats().evicted > 20);
    let mut delays = vec![];
    let counts = || receivers.each_ref().map(|receiver| receiver.frames.borrow().len());
    receivers.iter().for_each(Receiver::drain);
    let (from, evicted) = (counts(), small.stats().evicted);
    until("large frames arrive", || {
        let before = counts()[1];
        receivers.iter().for_each(Receiver::drain);
        delays.extend(receivers[1].frames.borrow()[before..].iter().map(|frame| (unix_now() - frame.info.capture.unwrap()) / 1_000_000));
        counts()[0] >= from[0] + 20
    });
    let (now, evicted) = (counts(), small.stats().evicted - evicted);
    delays.sort();
    println!(
        "large frames {}, small ones {}, given up {evicted}; delay of the small ones, ms: median {} max {}",
        now[0] - from[0],
        now[1] - from[1],
        delays[delays.len() / 2],
        delays[delays.len() - 1]
    );
    (now[0] - from[0], now[1] - from[1], evicted)
}

/// Of equal priority, they take turns: the small one is thinned, not starved.
#[test]
fn a_large_stream_does_not_starve_a_small_one() {
    let (large, small, _) = large_beside_small(Priority::Data, false);
    // Of one each in turn; less is left where the machine itself has no time for the small one's hundred frames a second.
    assert!(small * 4 >= large, "{small} small, {large} large");
}

/// Of lower priority, the large one costs the small one nothing.
#[test]
fn a_large_stream_of_low_priority_costs_a_small_one_nothing() {
    let (_, small, evicted) = large_beside_small(Priority::DataLow, false);
    assert!(evicted * 20 <= small as u64, "{evicted} of {small} given up");
}

/// For comparison, not a claim: each with a connection of its own. `cargo test ... -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn a_large_stream_and_a_small_one_on_sessions_of_their_own() {
    large_beside_small(Priority::Data, true);
}

/// One session that several receivers dial: one that stands still holds up neither the streams to others nor who joins.
#[test]
fn a_stalled_receiver_does_not_hold_up_other_streams() {
    let port = free_port();
    let proxy = Proxy::start(port);
    let listen = Network { listen: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() };
    let stalling = Sender::with_frames_of(200_000, &key(0), &listen);
    let sender = Sender::start(&key(1), &listen);
    // Different ports, different sessions.
    let far = [Receiver::start(&key(0), &connect(proxy.port)), Receiver::start(&key(1), &connect(port))];
    await_all(&far, 10);
    proxy.freeze(true);
    until("the stalled one's queue is full", || stalling.stats().evicted > 5);
    far[1].await_frames(100);
    let joiner = Receiver::start(&key(1), &Network { connect: Some(format!("tcp/localhost:{port}")), ..Default::default() });
    joiner.await_frames(1);
    assert!(sender.stats().evicted == 0, "{:?}", sender.stats());
    proxy.freeze(false);
    until("the stalled one goes on", || far[0].next().sequence + 20 > stalling.stats().sent);
}
