//! `ros2sink` and `ros2src` on loopback, with a plain zenoh program between that knows the bytes alone.

use gst::prelude::*;
use lic_ros2::attachment::Attachment;
use lic_ros2::{CameraInfo, CompressedImage, graph};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use zenoh::Wait;
use zenoh::sample::Sample;

/// Long enough for the busiest machine; nothing waits that long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);
const CAMERA: &str = "image_width: 64\nimage_height: 48\ndistortion_model: plumb_bob\n\
    camera_matrix: {rows: 3, cols: 3, data: [50, 0, 32, 0, 50, 24, 0, 0, 1]}\n\
    distortion_coefficients: {rows: 1, cols: 5, data: [0.5, 0, 0, 0, 0]}\n\
    rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}\n\
    projection_matrix: {rows: 3, cols: 4, data: [50, 0, 32, 0, 0, 50, 24, 0, 0, 0, 1, 0]}\n";

fn init() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        gst::init().unwrap();
        gstlic::plugin_register_static().unwrap();
    });
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A session to which others connect at `port`, as they would to zenohd.
fn router(port: u16) -> zenoh::Session {
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("mode", "\"router\"".to_string()),
        ("listen/endpoints", format!("[\"tcp/127.0.0.1:{port}\"]")),
        ("scouting/multicast/enabled", "false".into()),
    ] {
        config.insert_json5(key, &value).unwrap();
    }
    zenoh::open(config).wait().unwrap()
}

fn collect(session: &zenoh::Session, key: &str) -> (zenoh::pubsub::Subscriber<()>, Arc<Mutex<Vec<Sample>>>) {
    let samples = Arc::new(Mutex::new(vec![]));
    let into = samples.clone();
    let subscriber = session.declare_subscriber(key.to_string()).callback(move |sample| into.lock().unwrap().push(sample)).wait();
    (subscriber.unwrap(), samples)
}

fn tokens(session: &zenoh::Session) -> Vec<String> {
    let replies = session.liveliness().get("@ros2_lv/**").wait().unwrap();
    replies.iter().filter_map(|reply| reply.result().ok().map(|sample| sample.key_expr().to_string())).collect()
}

fn launch(line: &str) -> gst::Pipeline {
    gst::parse::launch(line).unwrap().downcast().unwrap()
}

fn sender(port: u16, properties: &str) -> gst::Pipeline {
    launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! jpegenc \
         ! ros2sink connect=tcp/127.0.0.1:{port} {properties}"
    ))
}

/// Pictures with their time stamps: PTS and reference.
type Shown = Arc<Mutex<Vec<(Vec<u8>, u64, Option<u64>)>>>;

fn receiver(port: u16, properties: &str) -> (gst::Pipeline, Shown) {
    let pipeline = launch(&format!(
        "ros2src connect=tcp/127.0.0.1:{port} {properties} ! image/jpeg ! fakesink name=end signal-handoffs=true sync=false"
    ));
    let shown = Shown::default();
    let into = shown.clone();
    pipeline.by_name("end").unwrap().connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().unwrap();
        let capture = buffer.meta::<gst::ReferenceTimestampMeta>().map(|meta| meta.timestamp().nseconds());
        let bytes = buffer.map_readable().unwrap().to_vec();
        into.lock().unwrap().push((bytes, buffer.pts().unwrap().nseconds(), capture));
        None
    });
    (pipeline, shown)
}

#[test]
fn a_camera_is_what_rmw_zenoh_says_a_camera_is() {
    init();
    let file = std::env::temp_dir().join(format!("lic-ros2-{}.yaml", std::process::id()));
    std::fs::write(&file, CAMERA).unwrap();
    let port = free_port();
    let session = router(port);
    for (distro, hashes) in [
        (
            "jazzy",
            [
                "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a",
                "RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275",
            ],
        ),
        ("humble", ["TypeHashNotSupported"; 2]),
    ] {
        let image_type = format!("sensor_msgs::msg::dds_::CompressedImage_/{}", hashes[0]);
        let info_type = format!("sensor_msgs::msg::dds_::CameraInfo_/{}", hashes[1]);
        let (_images, images) = collect(&session, &format!("3/front/image/compressed/{image_type}"));
        let (_infos, infos) = collect(&session, &format!("3/front/camera_info/{info_type}"));
        let common = format!("topic=/front/image distro={distro} domain=3");
        let sender = sender(port, &format!("{common} frame-id=lens camera-info={}", file.display()));
        let (receiver, shown) = receiver(port, &common);
        receiver.set_state(gst::State::Playing).unwrap();
        sender.set_state(gst::State::Playing).unwrap();
        until("pictures", || images.lock().unwrap().len() >= 3 && infos.lock().unwrap().len() >= 3 && shown.lock().unwrap().len() >= 3);

        let tokens = tokens(&session);
        let of = |end: &str| tokens.iter().filter(|token| token.ends_with(end)).collect::<Vec<_>>();
        assert_eq!(of("/0/0/NN/%/%/lic_camera").len(), 1, "{tokens:?}");
        assert_eq!(of("/0/0/NN/%/%/lic_receiver").len(), 1, "{tokens:?}");
        let publisher = of(&format!("/0/1/MP/%/%/lic_camera/%front%image%compressed/{image_type}/::,5:,:,:,,"));
        let publisher_of_info = of(&format!("/0/2/MP/%/%/lic_camera/%front%camera_info/{info_type}/::,5:,:,:,,"));
        assert_eq!((publisher.len(), publisher_of_info.len()), (1, 1), "{tokens:?}");
        assert_eq!(of(&format!("/0/1/MS/%/%/lic_receiver/%front%image%compressed/{image_type}/::,5:,:,:,,")).len(), 1, "{tokens:?}");

        let (images, infos) = (images.lock().unwrap().clone(), infos.lock().unwrap().clone());
        let attachment = |sample: &Sample| Attachment::decode(&sample.attachment().unwrap().to_bytes()).unwrap();
        let mut stamps = vec![];
        for pair in images.windows(2) {
            assert!(attachment(&pair[0]).sequence < attachment(&pair[1]).sequence);
        }
        for image in &images {
            assert_eq!(attachment(image).gid, graph::gid(publisher[0]));
            let image = CompressedImage::from_cdr(&image.payload().to_bytes()).unwrap();
            assert_eq!((image.header.frame_id.as_str(), image.format.as_str()), ("lens", "jpeg"));
            assert!(image.data.starts_with(&[0xff, 0xd8]) && image.data.ends_with(&[0xff, 0xd9]));
            stamps.push((image.header, image.data));
        }
        let mut beside = 0;
        for info in &infos {
            assert_eq!(attachment(info).gid, graph::gid(publisher_of_info[0]));
            let info = CameraInfo::from_cdr(&info.payload().to_bytes()).unwrap();
            assert_eq!((info.width, info.height, info.d[0], info.k[2]), (64, 48, 0.5, 32.0));
            beside += usize::from(stamps.iter().any(|(header, _)| *header == info.header));
        }
        assert!(beside > 0, "a calibration has its picture's header");
        sender.set_state(gst::State::Null).unwrap();
        receiver.set_state(gst::State::Null).unwrap();
        let shown = shown.lock().unwrap().clone();
        let same = |stamp: i64, capture: Option<u64>| u64::try_from(stamp).ok() == capture;
        let both =
            shown.iter().filter(|(bytes, _, capture)| stamps.iter().any(|(header, data)| same(header.stamp(), *capture) && data == bytes));
        assert!(both.count() > 0, "what ros2src shows is what was sent, with its capture time");
        until("tokens gone", || self::tokens(&session).is_empty());
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_bridge_gets_bare_keys_and_raw_cdr() {
    init();
    let port = free_port();
    let session = router(port);
    let (_images, images) = collect(&session, "camera/image/compressed");
    let sender = sender(port, "mode=ros2dds");
    let (receiver, shown) = receiver(port, "mode=ros2dds");
    receiver.set_state(gst::State::Playing).unwrap();
    sender.set_state(gst::State::Playing).unwrap();
    until("pictures", || !images.lock().unwrap().is_empty() && !shown.lock().unwrap().is_empty());
    assert!(tokens(&session).is_empty());
    let images = images.lock().unwrap().clone();
    for sample in images {
        assert!(sample.attachment().is_none());
        assert_eq!(CompressedImage::from_cdr(&sample.payload().to_bytes()).unwrap().header.frame_id, "camera");
    }
    sender.set_state(gst::State::Null).unwrap();
    receiver.set_state(gst::State::Null).unwrap();
}

#[test]
fn foreign_bytes_are_counted_and_passed_over() {
    init();
    let port = free_port();
    let session = router(port);
    let (receiver, shown) = receiver(port, "mode=ros2dds name=from");
    receiver.set_state(gst::State::Playing).unwrap();
    let from = receiver.by_name("from").unwrap();
    let foreign = || from.property::<gst::Structure>("stats").get::<u64>("foreign").unwrap();
    let image = |data: &[u8]| CompressedImage { format: "jpeg".into(), data: data.into(), ..Default::default() }.to_cdr();
    until("garbage counted and a picture shown", || {
        session.put("camera/image/compressed", &b"\x00\x01\x00\x00garbage"[..]).wait().unwrap();
        session.put("camera/image/compressed", image(b"\x89PNG")).wait().unwrap();
        session.put("camera/image/compressed", image(b"\xff\xd8picture")).wait().unwrap();
        foreign() > 0 && !shown.lock().unwrap().is_empty()
    });
    assert!(shown.lock().unwrap().iter().all(|(bytes, _, capture)| bytes == b"\xff\xd8picture" && capture.is_none()));
    receiver.set_state(gst::State::Null).unwrap();
}

#[test]
fn what_cannot_work_is_said() {
    init();
    assert!(gst::parse::launch("videotestsrc ! video/x-raw ! ros2sink").is_err(), "only JPEG");
    for (properties, says) in [
        ("topic=/a//b", "/camera/image"),
        ("camera-info=/no/such.yaml", "/no/such.yaml"),
        ("node-name=1x", "node name"),
        ("connect=x", "tcp/HOST"),
    ] {
        let pipeline = launch(&format!("videotestsrc ! jpegenc ! ros2sink {properties}"));
        let _ = pipeline.set_state(gst::State::Playing);
        let error = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        assert!(error.error().to_string().contains(says), "{}", error.error());
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
