//! Frames as gst-plugin-zenoh writes and reads them, by a session that is not lic's.

mod common;

use common::*;
use lic_transport::interop::Metadata;
use lic_transport::*;
use zenoh::Wait;

const CAPS: &str = "image/jpeg, width=(int)64";

/// Delta frames before the first that is none are not shown; caps may come once.
#[test]
fn its_frames_are_received() {
    let port = free_port();
    let receiver = Receiver::start("lic/t/theirs", &here(port));
    until("a session", || receiver.stats().connected);
    let session = zenoh::open(client(port)).wait().unwrap();
    let publisher = session.declare_publisher("lic/t/theirs").wait().unwrap();
    let mut sent = 0u64;
    until("frames", || {
        let delta = sent % 8 != 2;
        let flags = if delta { vec!["delta"] } else { vec![] };
        let caps = (!delta).then(|| CAPS.to_string());
        let metadata = Metadata { caps, pts: Some(1000 * sent), duration: Some(1000), flags, ..Metadata::default() };
        publisher.put(sent.to_le_bytes().to_vec()).attachment(metadata.encode()).wait().unwrap();
        sent += 1;
        receiver.drain();
        receiver.frames.borrow().len() >= 20
    });
    let frames = receiver.frames.borrow();
    assert!(frames[0].info.key && frames[0].new_stream, "{:?}", frames[0]);
    for frame in frames.iter() {
        let n = u64::from_le_bytes(frame.payload[..].try_into().unwrap());
        assert_eq!((frame.info.delta, frame.info.pts, frame.info.duration), (n % 8 != 2, Some(1000 * n), Some(1000)));
        assert_eq!(frame.caps.as_deref(), Some(CAPS));
    }
    let stats = receiver.stats();
    assert_eq!((stats.foreign, stats.lost), (0, 0), "{stats:?}");
    session.close().wait().unwrap();
}

/// Its zenohsrc reads what a publisher set so sends, and so does lic's.
#[test]
fn it_is_sent_what_it_reads() {
    let port = free_port();
    let settings = PublisherSettings { foreign: true, ..PublisherSettings::new("lic/t/ours") };
    let _sender = Sender::with(settings, 100, &here(port));
    let receiver = Receiver::start("lic/t/ours", &here(port));
    receiver.await_frames(10);
    let session = zenoh::open(client(port)).wait().unwrap();
    let subscriber = session.declare_subscriber("lic/t/ours").wait().unwrap();
    let mut caps = 0;
    for _ in 0..30 {
        let sample = subscriber.recv().unwrap();
        let metadata = Metadata::decode(&sample.attachment().unwrap().to_bytes()).expect("gst-plugin-zenoh's lines");
        caps += usize::from(metadata.caps.is_some());
        assert_eq!(metadata.compression, None);
        assert!(!sample.payload().is_empty());
    }
    assert!(caps > 0, "its receivers wait for caps");
    assert_eq!(receiver.stats().foreign, 0);
    session.close().wait().unwrap();
}
