//! JPEG files from coded frames, read back by GStreamer's jpegdec (libjpeg-turbo).

mod common;

use common::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

/// No multiples of 16, or even of 2: edges are padded.
const W: u32 = 83;
const H: u32 = 61;

fn transcoder(caps: &gst::Caps, properties: &str) -> Harness {
    init();
    let mut h = Harness::new_parse(&format!("lictojpeg {properties}"));
    h.play();
    h.set_src_caps(caps.clone());
    h
}

fn stream(launch: &str) -> Stream {
    coded(&format!("{launch} quality=60"), W, H, 0..3)
}

/// Red, green and blue as licdec gives them.
fn shown(s: &Stream) -> Vec<gst::Buffer> {
    let mut d = Harness::new("licdec");
    d.play();
    d.set_sink_caps_str("video/x-raw,format=RGB");
    d.set_src_caps(s.caps.clone());
    s.frames.iter().for_each(|f| assert!(d.push(f.clone()).is_ok()));
    pull_all(&mut d)
}

fn read(file: &gst::Buffer, format: VideoFormat) -> gst::Buffer {
    let mut d = Harness::new_parse("jpegdec ! videoconvert");
    d.play();
    d.set_sink_caps_str(&format!("video/x-raw,format={}", format.to_str()));
    d.set_src_caps_str("image/jpeg,parsed=true,framerate=30/1");
    d.push(file.clone()).unwrap();
    let out = d.pull().unwrap();
    let i = VideoInfo::from_caps(&caps_of(&d)).unwrap();
    assert_eq!((i.width(), i.height()), (W, H));
    out
}

/// Marker and body of each segment before the first scan, and the file's length from there.
fn segments(file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    assert_eq!(file[..2], [0xFF, 0xD8]);
    assert!(file.ends_with(&[0xFF, 0xD9]));
    let (mut at, mut out) = (2, Vec::new());
    while out.last().is_none_or(|s: &(u8, Vec<u8>)| s.0 != 0xDA) {
        let length = u16::from_be_bytes([file[at + 2], file[at + 3]]) as usize;
        out.push((file[at + 1], file[at + 4..at + 2 + length].to_vec()));
        at += 2 + length;
    }
    out
}

#[test]
fn files_look_as_licdec_shows_the_stream() {
    let s = stream("licenc");
    let (pictures, rgb) = (shown(&s), info(VideoFormat::Rgb, W, H));
    for properties in [
        "quality=97 subsampling=444",
        "quality=97 subsampling=444 optimise=false restart-rows=1",
        "quality=97 subsampling=444 progressive=true restart-rows=2",
        "quality=97",
        "quality=97 progressive=true",
        "quality=97 optimise=false restart-rows=3",
        "",
    ] {
        let mut h = transcoder(&s.caps, properties);
        s.frames.iter().for_each(|f| assert!(h.push(f.clone()).is_ok()));
        let files = pull_all(&mut h);
        assert_eq!(files.len(), 3);
        let caps = caps_of(&h);
        let caps = caps.structure(0).unwrap();
        assert_eq!((caps.get::<i32>("width"), caps.get::<i32>("height")), (Ok(W as i32), Ok(H as i32)));
        for (file, picture) in files.iter().zip(&pictures) {
            assert_eq!(file.pts(), picture.pts());
            let p = psnr(&read(file, VideoFormat::Rgb), picture, &rgb)[0];
            let least = if properties.is_empty() { 28.0 } else { 36.0 };
            assert!(p > least, "{properties}: {p} dB");
        }
    }
}

#[test]
fn optimised_progressive_and_plain_files_hold_the_same_coefficients() {
    let s = stream("licenc");
    for subsampling in ["420", "444", "grey"] {
        let format = if subsampling == "grey" { VideoFormat::Gray8 } else { VideoFormat::I420 };
        let of = |properties: &str| {
            let mut h = transcoder(&s.caps, &format!("quality=80 subsampling={subsampling} {properties}"));
            h.push(s.frames[0].clone()).unwrap();
            let file = h.pull().unwrap();
            (file.size(), read(&file, format))
        };
        let (plain, optimised) = (of("optimise=false"), of("optimise=true"));
        assert!(optimised.0 < plain.0, "{subsampling}");
        for other in [optimised, of("progressive=true"), of("restart-rows=1"), of("progressive=true restart-rows=1")] {
            // Of visible samples: what lies beside them in memory is anything.
            let p = psnr(&other.1, &plain.1, &info(format, W, H));
            assert!(p.iter().all(|p| *p > 100.0), "{subsampling}: other samples, {p:?}");
        }
    }
}

#[test]
fn grey_streams_give_grey_files() {
    let mut e = harness("licenc");
    e.set_src_caps(info(VideoFormat::Gray8, W, H).to_caps().unwrap());
    e.push(picture(VideoFormat::Gray8, W, H, 0)).unwrap();
    let frame = e.pull().unwrap();
    let mut h = transcoder(&caps_of(&e), "subsampling=444");
    h.push(frame).unwrap();
    let file = h.pull().unwrap();
    let parts = segments(&bytes(&file));
    assert_eq!(parts.iter().find(|s| s.0 == 0xC0).unwrap().1[5], 1);
    read(&file, VideoFormat::Gray8);
}

#[test]
fn files_say_when_and_from_what_they_were_made() {
    let s = stream("licenc");
    let mut h = transcoder(&s.caps, "");
    let mut tags = gst::TagList::new();
    tags.make_mut().add::<gst::tags::ImageOrientation>(&"rotate-90", gst::TagMergeMode::Replace);
    h.push_event(gst::event::Tag::new(tags));
    let mut frame = s.frames[1].clone();
    let time = gst::ClockTime::from_nseconds(1_700_000_000_123_456_789);
    let unix = gst::Caps::new_empty_simple("timestamp/x-unix");
    gst::ReferenceTimestampMeta::add(frame.make_mut(), &unix, time, gst::ClockTime::NONE);
    h.push(s.frames[0].clone()).unwrap();
    h.push(frame.clone()).unwrap();
    let files = pull_all(&mut h);
    let key = lic_codec::bitstream::parse_header(&bytes(&s.frames[0])).unwrap();
    let header = lic_codec::bitstream::parse_header(&bytes(&frame)).unwrap();
    let own = |file: &gst::Buffer| segments(&bytes(file)).into_iter().find(|s| s.0 == 0xE9).unwrap().1;
    let mut want = b"lic\0\x01\x01\0".to_vec();
    want.push(header.step);
    want.extend(header.number.to_be_bytes());
    want.extend(time.nseconds().to_be_bytes());
    want.extend(key.pack_id.unwrap());
    assert_eq!(own(&files[1]), want);
    assert_eq!(own(&files[0])[5], 0, "a time that nobody gave");
    let meta = files[1].meta::<gst::ReferenceTimestampMeta>().unwrap();
    assert_eq!(meta.timestamp(), time);
    let exif = segments(&bytes(&files[1])).into_iter().find(|s| s.0 == 0xE1).unwrap().1;
    assert_eq!(exif[..6], *b"Exif\0\0");
    assert_eq!(exif[6 + 8 + 2..6 + 8 + 2 + 10], [1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6]);
}

#[test]
fn damaged_frames_are_marked_or_dropped() {
    let s = stream("licenc");
    let mut broken = bytes(&s.frames[1]);
    let last = broken.len() - 1;
    broken[last] ^= 0x55;
    for conceal in [true, false] {
        let mut h = transcoder(&s.caps, &format!("conceal={conceal}"));
        h.push(s.frames[0].clone()).unwrap();
        key_requests(&mut h);
        h.push(with_bytes(&s.frames[1], broken.clone())).unwrap();
        let files = pull_all(&mut h);
        let corrupted: Vec<bool> = files.iter().map(|f| f.flags().contains(gst::BufferFlags::CORRUPTED)).collect();
        assert_eq!(corrupted, if conceal { vec![false, true] } else { vec![false] });
        assert_eq!(key_requests(&mut h), 1, "a key frame is asked for");
        h.push(s.frames[0].clone()).unwrap();
        assert!(!h.pull().unwrap().flags().contains(gst::BufferFlags::CORRUPTED));
    }
}
