//! Apart from the other tests: zenoh closes a link that stands still on threads that all sessions of a process share, and holds them up.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::proxy::Proxy;
use common::*;
use lic_transport::*;

#[test]
fn stopping_takes_less_than_two_seconds_whatever_the_network_does() {
    let stops_in_time = |what: &str, end: Box<dyn FnOnce()>| {
        let start = Instant::now();
        end();
        assert!(start.elapsed() < Duration::from_secs(2), "{what}: {:?}", start.elapsed());
    };
    // Nobody there.
    let nobody = Network { connect: Some(format!("tcp/127.0.0.1:{}", free_port())), ..Default::default() };
    let sender = Sender::start("lic/t/cam", &nobody);
    let receiver = Receiver::start("lic/**", &nobody);
    std::thread::sleep(Duration::from_millis(300));
    stops_in_time("alone", Box::new(move || drop((sender.into_publisher(), receiver))));
    // Somebody who accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = Network { connect: Some(format!("tcp/{}", silent.local_addr().unwrap())), ..Default::default() };
    let sender = Sender::start("lic/t/cam", &mute);
    std::thread::sleep(Duration::from_millis(300));
    stops_in_time("mute", Box::new(move || drop(sender.into_publisher())));
    // A line that stands still while the queue is full.
    for congestion_control in [CongestionControl::Drop, CongestionControl::Block] {
        let port = free_port();
        let proxy = Proxy::start(port);
        let listen = Network { listen: Some(format!("tcp/127.0.0.1:{port}")), ..Default::default() };
        let connect = Network { connect: Some(format!("tcp/127.0.0.1:{}", proxy.port)), ..Default::default() };
        let receiver = Receiver::start("lic/**", &listen);
        let settings = PublisherSettings { congestion_control, ..PublisherSettings::new("lic/t/cam") };
        let publisher = Publisher::start(settings, &connect, |_| {}).unwrap();
        assert!(publisher.wait_receiver(PATIENCE));
        proxy.freeze(true);
        let number = AtomicU32::new(0);
        until("the queue fills", || {
            for _ in 0..20 {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let info = FrameInfo { key: true, number: Some(number), ..Default::default() };
                publisher.push(Frame { info, payload: vec![0; 400_000] });
            }
            publisher.stats().evicted > 20
        });
        stops_in_time("stalled", Box::new(move || drop(publisher)));
        proxy.freeze(false);
        drop(receiver);
    }
}
