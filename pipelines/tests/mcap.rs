//! Bags: cameras become lic packets and JPEG again, everything else stays as it is.

mod common;

use common::{Folder, clip, fails, ok};
use lic_container::bag::{Records, channels};
use lic_container::lic::Reader;
use lic_ros2::{CompressedImage, Header, Image};
use mcap::records::{MessageHeader, Record};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

const START: u64 = 1_700_000_000_123_456_789;

/// A camera of JPEG, one of raw pictures, and two topics that are none; an attachment and metadata.
fn bag(f: &Folder, frames: u32) -> std::path::PathBuf {
    clip(&f.at("source.mp4"), frames, 0);
    ok(&["transcode", f.at("source.mp4").to_str().unwrap(), "--to", "jpeg", "--out", f.at("jpeg").to_str().unwrap(), "--quality", "80"]);
    let path = f.at("bag.mcap");
    let mut w = mcap::WriteOptions::new()
        .profile("ros2")
        .chunk_size(Some(60_000))
        .create(std::io::BufWriter::new(File::create(&path).unwrap()))
        .unwrap();
    let none = BTreeMap::new();
    let qos: BTreeMap<String, String> = [("offered_qos_profiles".to_string(), "- history: 1".to_string())].into();
    let compressed = w.add_schema("sensor_msgs/msg/CompressedImage", "ros2msg", b"any text").unwrap();
    let raw = w.add_schema("sensor_msgs/msg/Image", "ros2msg", b"any text").unwrap();
    let imu = w.add_schema_with_id(77, "sensor_msgs/msg/Imu", "ros2msg", b"float64 x").unwrap();
    let front = w.add_channel(compressed, "/front/image/compressed", "cdr", &qos).unwrap();
    let back = w.add_channel(raw, "/back/image", "cdr", &none).unwrap();
    let imu = w.add_channel_with_id(500, imu, "/imu", "cdr", &qos).unwrap();
    let text = w.add_channel(0, "/text", "json", &none).unwrap();
    w.write_metadata(&mcap::records::Metadata { name: "robot".into(), metadata: qos.clone() }).unwrap();
    let data = b"calibration".to_vec().into();
    w.attach(&mcap::Attachment { log_time: 5, create_time: 6, name: "c.yaml".into(), media_type: "text/yaml".into(), data }).unwrap();
    for i in 0..frames {
        let log = START + 7 + i as u64 * 33_333_333;
        let mut put = |channel, data: &[u8], late: u64| {
            let header = MessageHeader { channel_id: channel, sequence: i, log_time: log + late, publish_time: log - 3 };
            w.write_to_known_channel(&header, data).unwrap();
        };
        let header = Header::new((log - 7) as i64, "front_camera");
        let data = fs::read(f.at(&format!("jpeg/source/frame{i:06}.jpg"))).unwrap();
        put(front, &CompressedImage { header: header.clone(), format: "bgr8; jpeg compressed bgr8".into(), data }.to_cdr(), 0);
        // Lines with a gap behind them.
        let (width, height, step) = (50u32, 40u32, 160u32);
        let data = (0..step * height).map(|p| (p % step + p / step * 3 + i) as u8).collect();
        put(back, &Image { header, height, width, encoding: "rgb8".into(), is_bigendian: 0, step, data }.to_cdr(), 1);
        put(imu, &[i as u8; 100], 2);
        put(text, format!("{{\"i\":{i}}}").as_bytes(), 3);
    }
    w.finish().unwrap();
    path
}

/// Topic -> schema, channel metadata and messages.
type Topics = BTreeMap<String, (String, BTreeMap<String, String>, Vec<(MessageHeader, Vec<u8>)>)>;

fn read(path: &Path) -> (Topics, Vec<String>) {
    let all = channels(&mut File::open(path).unwrap()).unwrap();
    let mut out: Topics = all.iter().map(|c| (c.topic.clone(), (c.schema.clone(), c.metadata.clone(), vec![]))).collect();
    let (mut records, mut others) = (Records::new(File::open(path).unwrap()), vec![]);
    while let Some(r) = records.next().unwrap() {
        match r {
            Record::Message { header, data } => {
                let topic = &all.iter().find(|c| c.id == header.channel_id).unwrap().topic;
                out.get_mut(topic).unwrap().2.push((header, data.into_owned()));
            }
            Record::Attachment { header, data, .. } => others.push(format!("{header:?} {data:?}")),
            Record::Metadata(m) => others.push(format!("{m:?}")),
            _ => {}
        }
    }
    (out, others)
}

#[test]
fn cameras_are_coded_and_the_rest_is_untouched() {
    let f = Folder::new("mcap");
    let source = bag(&f, 20);
    let (coded, jpeg) = (f.at("coded.mcap"), f.at("jpeg.mcap"));
    ok(&["transcode", source.to_str().unwrap(), "--to", "mcap", "--out", coded.to_str().unwrap()]);
    let ((before, kept), (after, still)) = (read(&source), read(&coded));
    assert_eq!(kept, still);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["/back/image/lic", "/front/image/lic", "/imu", "/text"]);
    assert!(["/imu", "/text"].iter().all(|t| before[*t] == after[*t]));
    for (old, new) in [("/front/image/compressed", "/front/image/lic"), ("/back/image", "/back/image/lic")] {
        assert_eq!(before[old].1, after[new].1);
        for ((a, _), (b, data)) in before[old].2.iter().zip(&after[new].2) {
            assert_eq!((a.sequence, a.log_time, a.publish_time), (b.sequence, b.log_time, b.publish_time));
            let m = CompressedImage::from_cdr(data).unwrap();
            assert_eq!((m.format.as_str(), m.header.frame_id.as_str()), ("lic", "front_camera"));
            assert_eq!(m.header.stamp() as u64, START + a.sequence as u64 * 33_333_333);
        }
        assert_eq!(after[new].2.len(), 20);
    }
    assert!(fs::metadata(&coded).unwrap().len() * 2 < fs::metadata(&source).unwrap().len());
    // And pictures again, for whoever reads those.
    ok(&[
        "transcode",
        coded.to_str().unwrap(),
        "--to",
        "mcap",
        "--images",
        "jpeg",
        "--out",
        jpeg.to_str().unwrap(),
        "--topic",
        "/front/image/lic",
    ]);
    let (again, _) = read(&jpeg);
    assert_eq!(again.keys().collect::<Vec<_>>(), ["/back/image/lic", "/front/image/compressed", "/imu", "/text"]);
    assert_eq!(again["/back/image/lic"], after["/back/image/lic"]);
    for (_, data) in &again["/front/image/compressed"].2 {
        let m = CompressedImage::from_cdr(data).unwrap();
        let p = lic_codec::jpeg::read(&m.data, 1 << 20).unwrap();
        assert_eq!((p.width, p.height, p.notes.unwrap().time), (160, 96, Some(m.header.stamp() as u64)));
    }
}

/// `image_raw` and what image_transport makes of it are one name, but two cameras.
#[test]
fn topics_keep_apart() {
    let f = Folder::new("apart");
    let path = f.at("two.mcap");
    let mut w = mcap::Writer::new(std::io::BufWriter::new(File::create(&path).unwrap())).unwrap();
    let schema = w.add_schema("sensor_msgs/msg/Image", "ros2msg", b"any text").unwrap();
    for (topic, width) in [("/cam/image", 48u32), ("/cam/image/compressed", 64)] {
        let channel = w.add_channel(schema, topic, "cdr", &BTreeMap::new()).unwrap();
        for i in 0..5 {
            let data = vec![100 + i as u8; (width * 32) as usize];
            let image =
                Image { header: Header::new(i, ""), height: 32, width, encoding: "mono8".into(), is_bigendian: 0, step: width, data };
            let header = MessageHeader { channel_id: channel, sequence: i as u32, log_time: i as u64, publish_time: 0 };
            w.write_to_known_channel(&header, &image.to_cdr()).unwrap();
        }
    }
    w.finish().unwrap();
    let (coded, jpeg) = (f.at("coded.mcap"), f.at("jpeg.mcap"));
    ok(&["transcode", path.to_str().unwrap(), "--to", "mcap", "--out", coded.to_str().unwrap()]);
    ok(&["transcode", coded.to_str().unwrap(), "--to", "mcap", "--images", "jpeg", "--out", jpeg.to_str().unwrap()]);
    let (after, _) = read(&jpeg);
    let sizes: Vec<_> = after
        .values()
        .map(|(_, _, m)| {
            m.iter()
                .map(|(_, d)| lic_codec::jpeg::read(&CompressedImage::from_cdr(d).unwrap().data, 1 << 20).unwrap().width)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(sizes, [vec![48; 5], vec![64; 5]], "{:?}", after.keys());
}

#[test]
fn each_camera_becomes_a_file_with_its_times() {
    let f = Folder::new("topics");
    let source = bag(&f, 12);
    let out = f.at("out");
    ok(&["transcode", source.to_str().unwrap(), "--to", "lic", "--out", out.to_str().unwrap()]);
    for name in ["front_image_compressed", "back_image"] {
        let mut r = Reader::open(File::open(out.join(format!("bag/{name}.lic"))).unwrap()).unwrap();
        assert_eq!(r.index().notes["start-time"], START.to_string());
        let mut frames = r.frames(0).unwrap();
        for i in 0..12 {
            assert_eq!(frames.next().unwrap().unwrap().time, Some(i * 33_333_333), "{name}");
        }
        assert!(frames.next().unwrap().is_none());
    }
    let one = f.at("one.lic");
    ok(&["transcode", source.to_str().unwrap(), "--to", "lic", "--topic", "/back/image", "--out", one.to_str().unwrap()]);
    assert_eq!(fs::read(&one).unwrap().len(), fs::read(out.join("bag/back_image.lic")).unwrap().len());
    assert!(
        fails(&["transcode", source.to_str().unwrap(), "--to", "lic", "--topic", "/imu", "--out", f.at("x").to_str().unwrap()])
            .contains("/front/image/compressed")
    );
    // Packets out of .lic and back, and pictures straight from packets.
    ok(&["transcode", one.to_str().unwrap(), "--to", "mcap", "--topic", "/c/lic", "--out", f.at("p.mcap").to_str().unwrap()]);
    ok(&["transcode", f.at("p.mcap").to_str().unwrap(), "--to", "jpeg", "--out", f.at("pictures").to_str().unwrap()]);
    assert!(f.at("pictures/p/frame000011.jpg").exists());
    ok(&["transcode", f.at("p.mcap").to_str().unwrap(), "--to", "lic", "--out", f.at("q.lic").to_str().unwrap()]);
    assert_eq!(Reader::open(File::open(f.at("q.lic")).unwrap()).unwrap().index().frames(), 12);
}

#[test]
fn a_cut_bag_gives_what_is_whole_and_mutants_do_no_harm() {
    let f = Folder::new("mutants");
    let source = bag(&f, 8);
    let good = fs::read(&source).unwrap();
    let mut state = 5u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let count = std::env::var("LIC_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let mut messages = 0u64;
    for _ in 0..count {
        let mut file = good.clone();
        for _ in 0..1 + random() % 3 {
            let at = random() % file.len();
            match random() % 4 {
                0 => file[at] ^= 1 << (random() % 8),
                1 => drop(file.drain(at..(at + random() % 64).min(file.len()))),
                2 => file.truncate(at.max(9)),
                _ => file[at] = random() as u8,
            }
        }
        let _ = channels(&mut std::io::Cursor::new(&file));
        let mut records = Records::new(&file[..]);
        while let Ok(Some(r)) = records.next() {
            if let Record::Message { data, .. } = r {
                messages += 1;
                let _ = (CompressedImage::from_cdr(&data), Image::from_cdr(&data));
            }
        }
    }
    assert!(messages > count, "{messages} messages in {count} mutants");
    // Cut behind the first chunk: there is no summary, and the rest is missing.
    let other = Folder::new("cut-bag");
    let long = bag(&other, 120);
    let whole = fs::read(&long).unwrap();
    fs::write(f.at("cut.mcap"), &whole[..whole.len() * 3 / 4]).unwrap();
    ok(&["transcode", f.at("cut.mcap").to_str().unwrap(), "--to", "mcap", "--out", f.at("mended.mcap").to_str().unwrap()]);
    let n = read(&f.at("mended.mcap")).0["/imu"].2.len();
    assert!((1..120).contains(&n), "{n}");
}
