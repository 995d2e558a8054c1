//! Both ends over zenoh on a UDP link of the test's own that is late and loses datagrams: references, sending again, bit rate.

#[allow(dead_code)]
#[path = "../../examples/link.rs"]
mod link;

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use link::Link;
use lic_transport::*;

const CAPS: &str = "video/x-test, width=(int)64";
/// Long enough for the busiest machine; nothing waits that long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
    }
}

/// Endpoints for the receiver, which listens, and the sender, which connects through the link.
fn apart(link: &Link) -> (Network, Network) {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = |port: u16| Some(format!("udp/127.0.0.1:{port}"));
    let (listen, connect) = (udp(port), udp(near.local_addr().unwrap().port()));
    link::start(near, format!("127.0.0.1:{port}").parse().unwrap(), link).unwrap();
    (Network { listen, ..Default::default() }, Network { connect, ..Default::default() })
}

/// An encoder that does as it is told: 100 frames a second of numbered frames.
struct Encoder {
    publisher: Arc<Publisher>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<u32>>,
    bits: Arc<AtomicU64>,
}

#[derive(Default)]
struct Told {
    key: bool,
    lost: HashSet<u32>,
    acknowledged: Option<Vec<u32>>,
}

impl Encoder {
    fn start(network: &Network, adapt: Option<u64>) -> Encoder {
        let told = Arc::new(Mutex::new(Told::default()));
        let bits = Arc::new(AtomicU64::new(400_000));
        let (hears, rate) = (told.clone(), bits.clone());
        let settings = PublisherSettings { adapt, ..PublisherSettings::new("lic/t/cam") };
        let publisher = Publisher::start(settings, network, move |event| {
            let mut told = hears.lock().unwrap();
            match event {
                PublisherEvent::KeyFrameWanted { .. } => told.key = true,
                PublisherEvent::Lost { number } => drop(told.lost.insert(number)),
                PublisherEvent::Acknowledged { numbers } => told.acknowledged = numbers,
                PublisherEvent::BitRate { bits } => rate.store(bits, Ordering::Relaxed),
                _ => {}
            }
        });
        let publisher = Arc::new(publisher.unwrap());
        assert!(publisher.set_caps(CAPS));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (publisher, stop, bits) = (publisher.clone(), stop.clone(), bits.clone());
            move || {
                let (mut held, mut keys): (Vec<u32>, u32) = (vec![], 0);
                let mut first = 0;
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (wanted, reference) = {
                        let mut told = told.lock().unwrap();
                        held.retain(|n| !told.lost.contains(n) && number - n <= 8);
                        let known = |n: &&u32| told.acknowledged.as_ref().is_none_or(|list| list.contains(n) || **n == first);
                        let newest = held.iter().rev().find(known).copied();
                        (std::mem::take(&mut told.key), newest)
                    };
                    let reference = reference.filter(|_| !wanted);
                    if reference.is_none() {
                        held.clear();
                        first = number;
                        keys += 1;
                    }
                    held.push(number);
                    let info = FrameInfo {
                        key: reference.is_none(),
                        delta: reference.is_some(),
                        number: Some(number),
                        references: reference.into_iter().collect(),
                        pts: Some(u64::from(number) * 10_000_000),
                        ..Default::default()
                    };
                    let bytes = bits.load(Ordering::Relaxed) / 800;
                    publisher.push(Frame { info, payload: vec![number as u8; bytes as usize] });
                    std::thread::sleep(Duration::from_millis(10));
                }
                keys
            }
        });
        Encoder { publisher, stop, thread: Some(thread), bits }
    }

    /// How many key frames there were.
    fn stop(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn receive(network: &Network, playout: Duration) -> Subscriber {
    Subscriber::start(SubscriberSettings { key: "lic/t/cam".into(), playout }, network, |_| {}).unwrap()
}

/// Of the next `count` frames: how many can be decoded, and how many were skipped.
fn watch(receiver: &Subscriber, count: usize, held: &mut HashSet<u32>) -> (usize, u64) {
    let (mut whole, mut skipped, mut last) = (0, 0, None);
    for _ in 0..count {
        let frame = receiver.receive(PATIENCE).expect("frames come");
        let number = frame.info.number.unwrap();
        assert!(last.is_none_or(|last| last < number), "in order");
        last = Some(number);
        assert!(frame.payload.iter().all(|byte| *byte == number as u8));
        skipped += frame.missing.map_or(0, |gap| gap.end() - gap.start() + 1);
        if frame.info.references.iter().all(|n| held.contains(n)) {
            held.insert(number);
            whole += 1;
        }
    }
    (whole, skipped)
}

#[test]
fn what_arrives_over_a_link_that_loses_a_fifth_can_be_decoded() {
    let link = Link { delay: Duration::from_millis(5), loss: 0.2, after: Duration::from_secs(3), ..Link::default() };
    let (there, here) = apart(&link);
    let receiver = receive(&there, Duration::ZERO);
    let encoder = Encoder::start(&here, None);
    let mut held = HashSet::new();
    until("losses", || {
        watch(&receiver, 1, &mut held);
        receiver.stats().lost >= 3
    });
    let (whole, skipped) = watch(&receiver, 400, &mut held);
    let stats = encoder.publisher.stats();
    let keys = encoder.stop();
    assert!(skipped >= 20, "{skipped}");
    // What cannot: the first frames after the first loss, and those that refer to a lost key frame.
    assert!(whole >= 320, "{whole} of 400");
    assert!(keys <= 20, "{keys}");
    assert!(stats.lost > 0 && stats.resent == 0 && stats.round_trip >= 10_000_000, "{stats:?}");
}

#[test]
fn lost_frames_are_sent_again_to_those_who_wait() {
    let link = Link { delay: Duration::from_millis(5), loss: 0.1, after: Duration::from_secs(3), ..Link::default() };
    let (there, here) = apart(&link);
    let receiver = receive(&there, Duration::from_millis(500));
    let encoder = Encoder::start(&here, None);
    let mut held = HashSet::new();
    until("frames sent again", || {
        watch(&receiver, 1, &mut held);
        receiver.stats().recovered >= 3
    });
    let before = receiver.stats();
    let (whole, skipped) = watch(&receiver, 400, &mut held);
    let stats = receiver.stats();
    let (lost, recovered) = (stats.lost - before.lost, stats.recovered - before.recovered);
    assert!(recovered > 0 && skipped * 4 <= recovered, "{skipped} skipped, {recovered} recovered, {lost} lost");
    assert!(whole + 40 >= 400, "{whole}");
    assert!(encoder.publisher.stats().resent >= recovered);
    encoder.stop();
}

#[test]
fn the_bit_rate_follows_the_link() {
    let link = Link { delay: Duration::from_millis(5), rate: vec![(0.0, 1e6)], ..Link::default() };
    let (there, here) = apart(&link);
    let receiver = receive(&there, Duration::ZERO);
    let encoder = Encoder::start(&here, Some(8_000_000));
    let mut held = HashSet::new();
    until("a rate that the link carries", || {
        watch(&receiver, 1, &mut held);
        let stats = encoder.publisher.stats();
        receiver.stats().received > 100 && stats.queue_delay < 200_000_000 && (1..1_100_000).contains(&encoder.bits.load(Ordering::Relaxed))
    });
    encoder.stop();
}
