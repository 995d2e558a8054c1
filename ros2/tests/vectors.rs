//! Strings and bytes as others wrote them down, mutants, and the file a camera was calibrated into.

use lic_ros2::attachment::Attachment;
use lic_ros2::graph::{Endpoint, Node, Qos, gid};
use lic_ros2::names::{CAMERA_INFO, COMPRESSED_IMAGE};
use lic_ros2::{CameraInfo, CdrError, CompressedImage, Distro, Header, Mode, RegionOfInterest, Topic, calibration};

const JAZZY: Mode = Mode::RmwZenoh(Distro::Jazzy);

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn image() -> CompressedImage {
    CompressedImage { header: Header { sec: 1, nanosec: 2, frame_id: "cam".into() }, format: "jpeg".into(), data: vec![0xff, 0xd8, 0xff] }
}

fn info() -> CameraInfo {
    let ramp = |from: f64| move |i: usize| from + i as f64 / 8.0;
    CameraInfo {
        header: Header { sec: -3, nanosec: 999_999_999, frame_id: "front/optical é".into() },
        height: 480,
        width: 640,
        distortion_model: "plumb_bob".into(),
        d: (0..5).map(ramp(-1.0)).collect(),
        k: std::array::from_fn(ramp(100.0)),
        r: std::array::from_fn(ramp(200.0)),
        p: std::array::from_fn(ramp(300.0)),
        binning_x: 2,
        binning_y: 3,
        roi: RegionOfInterest { x_offset: 4, y_offset: 5, height: 6, width: 7, do_rectify: true },
    }
}

/// The key of ros2/rmw_zenoh's `TopicInfo` (`liveliness_utils.cpp`): domain, topic without outer slashes, type, hash.
#[test]
fn keys() {
    let compressed = topic("/camera/image").compressed();
    assert_eq!(
        compressed.key(JAZZY, 0, COMPRESSED_IMAGE),
        "0/camera/image/compressed/sensor_msgs::msg::dds_::CompressedImage_/\
         RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a"
    );
    assert_eq!(
        topic("camera/image").camera_info().key(JAZZY, 7, CAMERA_INFO),
        "7/camera/camera_info/sensor_msgs::msg::dds_::CameraInfo_/\
         RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275"
    );
    assert_eq!(
        compressed.key(Mode::RmwZenoh(Distro::Humble), 0, COMPRESSED_IMAGE),
        "0/camera/image/compressed/sensor_msgs::msg::dds_::CompressedImage_/TypeHashNotSupported"
    );
    assert_eq!(compressed.key(Mode::Ros2Dds, 0, COMPRESSED_IMAGE), "camera/image/compressed");
    assert_eq!(topic("/image").camera_info().as_str(), "/camera_info");
}

/// `docs/design.md` of ros2/rmw_zenoh, "Graph Cache": the listener's node, and the talker's publisher with another type and ids.
#[test]
fn tokens() {
    let listener = Node { domain: 2, session: "aac3178e146ba6f1fc6e6a4085e77f21", id: 0, name: "listener" };
    assert_eq!(listener.token(), "@ros2_lv/2/aac3178e146ba6f1fc6e6a4085e77f21/0/0/NN/%/%/listener");
    let talker = Node { domain: 2, session: "8b20917502ee955ac4476e0266340d5c", id: 0, name: "talker" };
    let qos = Qos { reliable: true, depth: 7 };
    assert_eq!(
        talker.endpoint(Endpoint::Publisher, 10, &topic("/chatter"), COMPRESSED_IMAGE, Distro::Humble, qos),
        "@ros2_lv/2/8b20917502ee955ac4476e0266340d5c/0/10/MP/%/%/talker/%chatter/\
         sensor_msgs::msg::dds_::CompressedImage_/TypeHashNotSupported/::,7:,:,:,,"
    );
    let subscriber = talker.endpoint(Endpoint::Subscriber, 11, &topic("/a/b"), CAMERA_INFO, Distro::Jazzy, qos);
    assert!(subscriber.contains("/0/11/MS/%/%/talker/%a%b/sensor_msgs::msg::dds_::CameraInfo_/RIHS01_b3dfd68f"), "{subscriber}");
}

/// `qos_to_keyexpr` in `liveliness_utils.cpp`: what is default is empty, and the default depth is 42.
#[test]
fn qualities_of_service() {
    for (reliable, depth, token) in [(true, 5, "::,5:,:,:,,"), (false, 5, "2::,5:,:,:,,"), (true, 42, "::,:,:,:,,")] {
        assert_eq!(Qos { reliable, depth }.token(), token);
    }
}

/// XXH3-128 of nothing is 99aa06d3014798d86001c324468d497f (Cyan4973/xxHash, also its Python binding); low 64 bits go first.
#[test]
fn gids() {
    let expected = [0x7f, 0x49, 0x8d, 0x46, 0x24, 0xc3, 0x01, 0x60, 0xd8, 0x98, 0x47, 0x01, 0xd3, 0x06, 0xaa, 0x99];
    assert_eq!(gid(""), expected);
    assert_ne!(gid("a"), gid("b"));
}

/// `docs/design.md` of ros2/rmw_zenoh: two int64, little endian, then the gid with its length before it.
#[test]
fn attachments() {
    let attachment = Attachment { sequence: 1, time: 0x0102_0304_0506_0708, gid: std::array::from_fn(|i| i as u8) };
    let bytes = attachment.encode();
    assert_eq!(bytes[..17], [1, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 16]);
    assert_eq!(bytes[17..], attachment.gid);
    assert_eq!(Attachment::decode(&bytes), Some(attachment));
    assert_eq!(Attachment::decode(&bytes[..32]), None);
    assert_eq!(Attachment::decode(&[&bytes[..], &[0]].concat()), None);
    let mut other = bytes;
    other[16] = 15;
    assert_eq!(Attachment::decode(&other), None);
}

#[test]
fn an_image_is_these_bytes() {
    let bytes = [
        &[0, 1, 0, 0][..],                        // little endian
        &[1, 0, 0, 0, 2, 0, 0, 0],                // stamp
        &[4, 0, 0, 0, b'c', b'a', b'm', 0],       // frame_id
        &[5, 0, 0, 0, b'j', b'p', b'e', b'g', 0], // format
        &[0, 0, 0],                               // to four bytes
        &[3, 0, 0, 0, 0xff, 0xd8, 0xff],          // data
    ]
    .concat();
    assert_eq!(image().to_cdr(), bytes);
    assert_eq!(CompressedImage::from_cdr(&bytes).unwrap(), image());
    let mut big = [&[0, 0, 0, 0][..], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4], b"cam\0", &[0, 0, 0, 5], b"jpeg\0"].concat();
    big.extend([0, 0, 0, 0, 0, 0, 3, 0xff, 0xd8, 0xff]);
    assert_eq!(CompressedImage::from_cdr(&big).unwrap(), image());
}

#[test]
fn every_field_returns() {
    assert_eq!(CameraInfo::from_cdr(&info().to_cdr()).unwrap(), info());
    for frame in 0..9 {
        let mut other = CameraInfo { d: vec![0.5; frame], distortion_model: "x".repeat(frame), ..info() };
        other.header.frame_id = "f".repeat(8 - frame);
        assert_eq!(CameraInfo::from_cdr(&other.to_cdr()).unwrap(), other);
    }
    for stamp in [0, 1, -1, 1_700_000_000_123_456_789, i64::from(i32::MIN) * 1_000_000_000] {
        assert_eq!(Header::new(stamp, "").stamp(), stamp);
    }
}

#[test]
fn mutants_are_errors_or_messages_and_never_more() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for whole in [image().to_cdr(), info().to_cdr()] {
        for cut in 0..whole.len() {
            // Both messages may lose the padding that may follow them; these have none.
            assert!(CompressedImage::from_cdr(&whole[..cut]).is_err(), "{cut}");
            assert!(CameraInfo::from_cdr(&whole[..cut]).is_err(), "{cut}");
        }
        for _ in 0..20_000 {
            let mut mutant = whole.clone();
            for _ in 0..=next(4) {
                let at = next(mutant.len());
                mutant[at] = [0, 1, 0x7f, 0x80, 0xff, next(256) as u8][next(6)];
            }
            if let Ok(image) = CompressedImage::from_cdr(&mutant) {
                assert!(image.data.len() <= mutant.len());
            }
            if let Ok(info) = CameraInfo::from_cdr(&mutant) {
                assert!(info.d.len() * 8 <= mutant.len());
            }
        }
    }
    let huge = [&[0, 1, 0, 0][..], &[0; 8], &[0xff; 4]].concat();
    assert_eq!(CompressedImage::from_cdr(&huge), Err(CdrError::Short));
    let more = [image().to_cdr(), vec![0; 4]].concat();
    assert_eq!(CompressedImage::from_cdr(&more), Err(CdrError::Trailing));
}

#[test]
fn topics_of_ros_and_no_others() {
    assert_eq!(topic("a/b_1").as_str(), "/a/b_1");
    for bad in ["", "/", "//a", "/a/", "/a//b", "/1a", "/a/2", "/a b", "/a*", "/$x", "/a%b", "~/a", "/é", "/a__b"] {
        let error = Topic::new(bad).unwrap_err().to_string();
        assert!(error.contains("/camera/image"), "{bad}: {error}");
    }
}

/// The layout of ros-perception/image_common's `camera_calibration_parsers`.
const CALIBRATION: &str = "image_width: 640\nimage_height: 480\ncamera_name: narrow_stereo\n\
    camera_matrix:\n  rows: 3\n  cols: 3\n  data: [600.5, 0, 320.0, 0., 601, 240, 0, 0, 1]\n\
    distortion_model: plumb_bob\ndistortion_coefficients:\n  rows: 1\n  cols: 5\n  data: [-0.36, 0.11, 1e-3, -0.0005, 0]\n\
    rectification_matrix:\n  rows: 3\n  cols: 3\n  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]\n\
    projection_matrix:\n  rows: 3\n  cols: 4\n  data: [550., 0, 321, 0, 0, 580, 241, 0, 0, 0, 1, 0]\n";

#[test]
fn a_calibration_file() {
    let info = calibration::parse(CALIBRATION).unwrap();
    assert_eq!((info.width, info.height, info.distortion_model.as_str()), (640, 480, "plumb_bob"));
    assert_eq!(info.d, [-0.36, 0.11, 1e-3, -0.0005, 0.0]);
    assert_eq!(info.k, [600.5, 0.0, 320.0, 0.0, 601.0, 240.0, 0.0, 0.0, 1.0]);
    assert_eq!(info.r, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(info.p, [550.0, 0.0, 321.0, 0.0, 0.0, 580.0, 241.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn a_bad_calibration_says_what_is_wrong() {
    for (from, to, says) in [
        ("cols: 5", "cols: 4", "distortion_coefficients"),
        ("data: [600.5, ", "data: [", "camera_matrix"),
        ("rows: 3\n  cols: 4", "rows: 4\n  cols: 3", "projection_matrix"),
        ("image_width: 640\n", "", "image_width"),
    ] {
        let error = calibration::parse(&CALIBRATION.replace(from, to)).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    assert!(calibration::parse("").is_err());
    assert!(calibration::load(std::path::Path::new("/no/such.yaml")).unwrap_err().to_string().contains("/no/such.yaml"));
}

/// Prints both messages in hex for `scripts/test`, whose Python reads them with ROS's own libraries.
#[test]
#[ignore = "scripts/test ros2 runs it"]
fn print_for_python() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    println!("image {}", hex(image().to_cdr()));
    println!("info {}", hex(info().to_cdr()));
}
