//! Both ends over real zenoh on loopback: meeting, joining, losing, restarting, stopping.

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use common::proxy::Proxy;
use common::*;
use lic_transport::*;
use zenoh::Wait;

#[test]
fn they_meet_in_either_order() {
    for receiver_first in [true, false] {
        let network = here(free_port());
        let receiver = receiver_first.then(|| Receiver::start("lic/**", &network));
        let sender = Sender::start("lic/t/cam", &network);
        let receiver = receiver.unwrap_or_else(|| Receiver::start("lic/**", &network));
        receiver.await_frames(10);
        assert_eq!(receiver.stats().publishers.len(), 1);
        drop(sender);
    }
}

#[test]
fn any_of_two_senders_and_two_receivers_may_end() {
    let network = here(free_port());
    let mut senders = vec![Sender::start("lic/a/cam", &network)];
    let mut receivers = vec![Receiver::start("lic/a/cam", &network)];
    senders.push(Sender::start("lic/b/cam", &network));
    receivers.push(Receiver::start("lic/b/cam", &network));
    receivers.iter().for_each(|receiver| receiver.await_frames(5));
    // The holder of the meeting point goes: the others meet again.
    drop(senders.remove(0));
    receivers[1].await_frames(5);
    let again = Sender::start("lic/a/cam", &network);
    receivers[0].await_frames(5);
    drop(receivers.remove(0));
    receivers[0].await_frames(5);
    drop(senders);
    drop(again);
    let _last = Sender::start("lic/b/cam", &network);
    receivers[0].await_frames(5);
}

#[test]
fn a_router_or_a_peer_may_hold_the_meeting_point() {
    for mode in ["router", "peer"] {
        let port = free_port();
        let holder = zenoh::open(holder(mode, port)).wait().unwrap();
        let _sender = Sender::start("lic/t/cam", &here(port));
        let receiver = Receiver::start("lic/**", &here(port));
        receiver.await_frames(5);
        holder.close().wait().unwrap();
        // Now one of the two holds it.
        receiver.await_frames(5);
    }
}

#[test]
fn either_end_may_listen() {
    let endpoint = |port| Some(format!("tcp/127.0.0.1:{port}"));
    for sender_listens in [true, false] {
        let port = free_port();
        let listen = Network { listen: endpoint(port), ..Default::default() };
        let connect = Network { connect: endpoint(port), ..Default::default() };
        let (send, receive) = if sender_listens { (listen, connect) } else { (connect, listen) };
        let receiver = Receiver::start("lic/t/cam", &receive);
        let _sender = Sender::start("lic/t/cam", &send);
        receiver.await_frames(5);
        let other = Receiver::start("lic/**", &Network { connect: endpoint(port), ..Default::default() });
        other.await_frames(5);
    }
}

#[test]
fn every_joiner_gets_a_key_frame_and_caps() {
    let network = here(free_port());
    let mut sender = Sender::start("lic/t/cam", &network);
    sender.keys_only_on_demand();
    let mut held = vec![];
    for receivers in 1..=3 {
        let receiver = Receiver::start("lic/**", &network);
        let first = receiver.next();
        assert!(first.info.key && first.new_stream);
        assert_eq!(first.caps.as_deref(), Some(CAPS));
        assert!(first.info.capture.is_some() && first.info.pts.is_some());
        until("the joiner is counted", || sender.stats().joiners == receivers);
        assert!(sender.key_frames_wanted() >= 1);
        held.push(receiver);
    }
}

#[test]
fn a_receiver_can_ask_for_a_key_frame() {
    let network = here(free_port());
    let mut sender = Sender::start("lic/t/cam", &network);
    sender.keys_only_on_demand();
    let receiver = Receiver::start("lic/**", &network);
    receiver.await_frames(3);
    let before = sender.stats().key_requests;
    receiver.ask();
    until("the request arrives", || sender.stats().key_requests > before);
    until("a key frame comes", || receiver.next().info.key);
}

#[test]
fn what_is_evicted_is_reported_and_the_rest_stays_decodable() {
    let network = here(free_port());
    let settings = PublisherSettings { limits: Limits { frames: 2, ..Default::default() }, ..PublisherSettings::new("lic/t/cam") };
    let lost = Arc::new(Reports::default());
    let report = lost.clone();
    let publisher = Publisher::start(settings, &network, move |event| report.event(event)).unwrap();
    publisher.set_caps(CAPS);
    let receiver = Receiver::start("lic/**", &network);
    assert!(publisher.wait_receiver(PATIENCE));
    // An encoder that refers to the newest frame it has not been told is lost.
    let mut sent: Vec<u32> = vec![];
    for number in 0..600u32 {
        sent.retain(|number| !lost.contains(*number));
        let references: Vec<u32> = if number == 0 { vec![] } else { sent.last().copied().into_iter().collect() };
        let key = references.is_empty();
        let info = FrameInfo { key, delta: !key, number: Some(number), references, ..Default::default() };
        publisher.push(Frame { info, payload: vec![0; 150_000] });
        sent.push(number);
    }
    assert!(publisher.drain(PATIENCE));
    let stats = publisher.stats();
    assert!(stats.evicted > 0, "{stats:?}");
    assert_eq!(stats.sent + stats.evicted + stats.discarded, 600, "{stats:?}");
    assert_eq!(lost.count() as u64, stats.evicted);
    until("all that was sent arrives or is missed", || {
        receiver.drain();
        receiver.frames.borrow().len() as u64 + receiver.stats().overflowed >= stats.sent
    });
    let mut have = HashSet::new();
    for frame in receiver.frames.borrow().iter() {
        // Frames that this slow reader itself dropped are no fault of the sender.
        if receiver.stats().overflowed == 0 {
            assert!(frame.info.references.iter().all(|number| have.contains(number)), "{:?}", frame.info);
        }
        assert!(!lost.contains(frame.info.number.unwrap()));
        have.insert(frame.info.number.unwrap());
    }
}

#[test]
fn one_publisher_is_received_and_the_others_are_listed() {
    let network = here(free_port());
    let first = Sender::start("lic/a/cam", &network);
    let receiver = Receiver::start("lic/**", &network);
    receiver.await_frames(3);
    let _second = Sender::start("lic/b/cam", &network);
    until("both are listed", || receiver.stats().publishers.len() == 2);
    receiver.await_frames(20);
    let streams: HashSet<u64> = receiver.frames.borrow().iter().map(|frame| frame.stream).collect();
    assert_eq!(streams, HashSet::from([first.stream()]));
    let locked: Vec<_> = receiver.stats().publishers.into_iter().filter(|info| info.locked).collect();
    assert_eq!((locked.len(), locked[0].key.as_str()), (1, "lic/a/cam"));
    drop(first);
    until("the other takes over", || receiver.next().stream != *streams.iter().next().unwrap());
}

#[test]
fn the_same_robot_started_twice_does_not_interleave() {
    let network = here(free_port());
    let _first = Sender::start("lic/a/cam", &network);
    let receiver = Receiver::start("lic/a/cam", &network);
    receiver.await_frames(3);
    let _second = Sender::start("lic/a/cam", &network);
    until("both are listed", || receiver.stats().publishers.len() == 2);
    receiver.await_frames(30);
    let frames = receiver.frames.borrow();
    let told: Vec<_> = frames.iter().map(|frame| (frame.stream, frame.sequence, frame.arrived - frames[0].arrived)).collect();
    assert!(told.iter().all(|frame| frame.0 == told[0].0), "{told:?}");
}

#[test]
fn a_restarted_sender_is_found_again() {
    let network = here(free_port());
    let receiver = Receiver::start("lic/**", &network);
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let sender = Sender::start("lic/t/cam", &network);
        until("its frames arrive", || receiver.next().stream == sender.stream());
        let first = receiver.frames.borrow().iter().find(|frame| frame.stream == sender.stream()).unwrap().clone();
        assert!(first.new_stream && first.info.key && first.missing.is_none());
        assert!(seen.insert(sender.stream()));
    }
}

#[test]
fn a_cut_line_is_mended_and_what_was_lost_is_counted() {
    let port = free_port();
    let listen = Network { listen: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() };
    let proxy = Proxy::start(port);
    let connect = Network { connect: Some(format!("tcp/127.0.0.1:{}", proxy.port)), ..Default::default() };
    let sender = Sender::start("lic/t/cam", &listen);
    let receiver = Receiver::start("lic/**", &connect);
    receiver.await_frames(5);
    for _ in 0..3 {
        let from = receiver.last_sequence();
        proxy.cut();
        until("frames after the cut", || receiver.next().sequence > from + 3);
    }
    let streams: HashSet<u64> = receiver.frames.borrow().iter().map(|frame| frame.stream).collect();
    assert_eq!(streams, HashSet::from([sender.stream()]));
    let frames = receiver.frames.borrow();
    for pair in frames.windows(2) {
        let gap = pair[1].sequence - pair[0].sequence - 1;
        let told = pair[1].missing.as_ref().map_or(0, |missing| missing.end() - missing.start() + 1);
        assert_eq!(gap, told);
    }
}

#[test]
fn a_slow_line_thins_the_stream_and_what_arrives_is_decodable() {
    let port = free_port();
    let listen = Network { listen: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() };
    let proxy = Proxy::start(port);
    let connect = Network { connect: Some(format!("tcp/127.0.0.1:{}", proxy.port)), ..Default::default() };
    let receiver = Receiver::start("lic/**", &listen);
    let mut sender = Sender::with_frames_of(50_000, "lic/t/cam", &connect);
    receiver.await_frames(3);
    sender.keys_only_on_demand();
    // A fifth of what the sender makes.
    proxy.limit(1_000_000);
    until("the queue is full", || {
        receiver.drain();
        sender.stats().evicted > 50
    });
    let keys = sender.stats().key_requests;
    receiver.await_frames(100);
    let mut have = HashSet::new();
    for frame in receiver.frames.borrow().iter() {
        assert!(frame.info.references.iter().all(|number| have.contains(number)), "{:?}", frame.info);
        have.insert(frame.info.number.unwrap());
    }
    assert_eq!(sender.stats().key_requests, keys, "eviction costs no key frame");
}

#[test]
fn garbage_on_the_key_does_no_harm() {
    let port = free_port();
    let network = here(port);
    let _sender = Sender::start("lic/t/cam", &network);
    let receiver = Receiver::start("lic/t/cam", &network);
    receiver.await_frames(3);
    let stranger = zenoh::open(client(port)).wait().unwrap();
    let mut state = 7u64;
    for round in 0..300usize {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut bytes = (0..round % 90).map(|n| (state >> (n % 56)) as u8).collect::<Vec<u8>>();
        for (at, byte) in b"LIC\x01".iter().enumerate().take(if round % 3 == 0 { 4 } else { 0 }) {
            bytes.get_mut(at).into_iter().for_each(|place| *place = *byte);
        }
        let put = stranger.put("lic/t/cam", vec![0u8; round]);
        if round % 7 == 0 {
            put.wait().unwrap()
        } else {
            put.attachment(bytes).wait().unwrap()
        }
        for key in ["lic/t/cam/@lic/pub/zz", "lic/t/cam/@lic/pub/0123456789abcdef"] {
            drop(stranger.liveliness().declare_token(key).wait().unwrap());
        }
    }
    until("garbage is counted", || receiver.stats().foreign > 100);
    receiver.await_frames(10);
    let sequences: Vec<u64> = receiver.frames.borrow().iter().map(|frame| frame.sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_waiting_receiver_says_how_to_find_it() {
    let port = free_port();
    let hints = Arc::new(std::sync::Mutex::new(vec![]));
    let heard = hints.clone();
    let _subscriber = Subscriber::start(SubscriberSettings::default(), &here(port), move |event| {
        if let SubscriberEvent::Waiting { hint, first } = event {
            heard.lock().unwrap().push((hint, first));
        }
    })
    .unwrap();
    until("the hint comes twice", || hints.lock().unwrap().len() == 2);
    let hints = hints.lock().unwrap();
    assert!(hints[0].0.contains(&format!("lic/** at tcp/127.0.0.1:{port}")) && hints[0].0.contains("connect=tcp/HOST:7447"));
    assert_eq!((hints[0].1, hints[1].1), (true, false));
}

#[test]
fn a_foreign_program_on_the_port_is_named_and_outlived() {
    let port = free_port();
    let squatter = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let troubles = Arc::new(std::sync::Mutex::new(vec![]));
    let heard = troubles.clone();
    let publisher = Publisher::start(PublisherSettings::new("lic/t/cam"), &here(port), move |event| {
        if let PublisherEvent::Trouble(text) = event {
            heard.lock().unwrap().push(text);
        }
    })
    .unwrap();
    until("it is named", || !troubles.lock().unwrap().is_empty());
    assert!(troubles.lock().unwrap()[0].contains(&port.to_string()));
    drop(squatter);
    until("it goes on", || publisher.stats().connected);
    assert_eq!(troubles.lock().unwrap().len(), 1);
}

#[test]
fn a_taken_listening_port_is_named() {
    let port = free_port();
    let _squatter = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let text = Arc::new(std::sync::Mutex::new(String::new()));
    let heard = text.clone();
    let network = Network { listen: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() };
    let _subscriber = Subscriber::start(SubscriberSettings::default(), &network, move |event| {
        if let SubscriberEvent::Trouble(text) = event {
            *heard.lock().unwrap() = text;
        }
    })
    .unwrap();
    until("it is named", || text.lock().unwrap().contains("in use"));
}
