//! licjpegdec: files of lictojpeg with learned colour, those of others, and those that it must refuse.

mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

const W: u32 = 83;
const H: u32 = 61;
const FILES: &str = "image/jpeg,framerate=30/1";

fn reader(properties: &str) -> (Harness, gst::Bus) {
    init();
    let mut h = Harness::new_parse(&format!("licjpegdec {properties}"));
    let bus = watch(&h.element().unwrap());
    h.play();
    h.set_src_caps_str(FILES);
    (h, bus)
}

/// Files of the same stream, and what licdec shows of it.
fn files(properties: &str) -> (Vec<gst::Buffer>, Vec<gst::Buffer>) {
    let s = coded("licenc quality=60", W, H, 0..3);
    let mut t = Harness::new_parse(&format!("lictojpeg {properties}"));
    t.play();
    t.set_src_caps(s.caps.clone());
    s.frames.iter().for_each(|f| assert!(t.push(f.clone()).is_ok()));
    let mut d = Harness::new("licdec");
    d.play();
    d.set_sink_caps_str("video/x-raw,format=RGB");
    d.set_src_caps(s.caps);
    s.frames.iter().for_each(|f| assert!(d.push(f.clone()).is_ok()));
    (pull_all(&mut t), pull_all(&mut d))
}

#[test]
fn learned_colour_shows_what_licdec_does() {
    let rgb = info(VideoFormat::Rgb, W, H);
    for (properties, least) in [
        ("colour=learned quality=100", 40.0),
        ("colour=learned quality=100 progressive=true restart-rows=2", 40.0),
        ("colour=learned quality=34", 34.0),
        ("colour=learned", 28.0),
        ("quality=97 subsampling=444", 36.0),
    ] {
        let (files, pictures) = files(properties);
        let (mut d, _) = reader("");
        files.iter().for_each(|f| assert!(d.push(f.clone()).is_ok()));
        let shown = pull_all(&mut d);
        assert_eq!(shown.len(), 3);
        let caps = VideoInfo::from_caps(&caps_of(&d)).unwrap();
        assert_eq!((caps.width(), caps.height(), caps.format(), caps.fps()), (W, H, VideoFormat::Rgb, gst::Fraction::new(30, 1)));
        for (a, b) in shown.iter().zip(&pictures) {
            assert_eq!(a.pts(), b.pts());
            let p = psnr(a, b, &rgb)[0];
            assert!(p > least, "{properties}: {p} dB");
        }
    }
}

/// The same file by GStreamer's jpegdec.
#[test]
fn plain_files_are_read_too() {
    init();
    let mut e = Harness::new_parse("jpegenc quality=95");
    e.play();
    e.set_src_caps(info(VideoFormat::I420, W, H).to_caps().unwrap());
    e.push(i420(W, H, 0)).unwrap();
    let file = e.pull().unwrap();
    let mut theirs = Harness::new_parse("jpegdec ! videoconvert");
    theirs.play();
    theirs.set_sink_caps_str("video/x-raw,format=RGB");
    theirs.set_src_caps_str("image/jpeg,parsed=true,framerate=30/1");
    theirs.push(file.clone()).unwrap();
    let (mut d, _) = reader("");
    d.push(file).unwrap();
    let p = psnr(&d.pull().unwrap(), &theirs.pull().unwrap(), &info(VideoFormat::Rgb, W, H))[0];
    assert!(p > 36.0, "{p} dB");
}

#[test]
fn grey_files_are_grey_unless_colour_is_asked_for() {
    let mut e = harness("licenc ! lictojpeg");
    e.set_src_caps(info(VideoFormat::Gray8, W, H).to_caps().unwrap());
    e.push(picture(VideoFormat::Gray8, W, H, 0)).unwrap();
    let file = e.pull().unwrap();
    for (format, channels) in [("GRAY8", 1), ("RGB", 3)] {
        let (mut d, _) = reader(&format!("! capsfilter caps=video/x-raw,format={format}"));
        d.push(file.clone()).unwrap();
        let out = bytes(&d.pull().unwrap());
        let stride = (W as usize * channels).next_multiple_of(4);
        assert_eq!(out.len(), stride * H as usize);
        assert!(channels == 1 || out[..3 * W as usize].chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    }
}

#[test]
fn pictures_know_when_they_were_taken() {
    let (files, _) = files("colour=learned");
    let mut file = bytes(&files[1]);
    let own = file.windows(4).position(|w| w == b"lic\0").unwrap();
    file[own + 5] |= 1;
    file[own + 12..own + 20].copy_from_slice(&1_700_000_000_123_456_789u64.to_be_bytes());
    let (mut d, _) = reader("");
    d.push(with_bytes(&files[1], file)).unwrap();
    let shown = d.pull().unwrap();
    let meta = shown.meta::<gst::ReferenceTimestampMeta>().unwrap();
    assert_eq!(meta.timestamp(), gst::ClockTime::from_nseconds(1_700_000_000_123_456_789));
    assert_eq!(meta.reference().structure(0).unwrap().name(), "timestamp/x-unix");
}

#[test]
fn damaged_files_are_left_out_and_said() {
    let (files, _) = files("colour=learned");
    let (mut d, bus) = reader("");
    let whole = bytes(&files[1]);
    for broken in [&whole[..whole.len() / 2], &whole[..40], b"no JPEG file"] {
        d.push(files[0].clone()).unwrap();
        assert!(d.push(with_bytes(&files[1], broken.to_vec())).is_ok());
        d.push(files[2].clone()).unwrap();
        assert_eq!(pull_all(&mut d).len(), 2);
        assert!(message(&bus).unwrap().contains("left out"));
    }
}

#[test]
fn segments_of_a_newer_lic_are_errors_that_name_them() {
    let (files, _) = files("colour=learned");
    for (place, value, name) in [(4, 9, "version 9"), (6, 7, "colour 7")] {
        let mut file = bytes(&files[0]);
        let own = file.windows(4).position(|w| w == b"lic\0").unwrap();
        file[own + place] = value;
        let (mut d, bus) = reader("");
        assert!(d.push(with_bytes(&files[0], file.clone())).is_err());
        let text = message(&bus).unwrap();
        assert!(text.contains(name) && text.contains("update"), "{text}");
        // Behind a picture it is one that is left out.
        let (mut d, bus) = reader("");
        d.push(files[0].clone()).unwrap();
        assert!(d.push(with_bytes(&files[1], file)).is_ok());
        d.push(files[2].clone()).unwrap();
        assert_eq!(pull_all(&mut d).len(), 2);
        assert!(message(&bus).unwrap().contains(name));
    }
    let (mut d, bus) = reader("max-pixels=100");
    assert!(d.push(files[0].clone()).is_err());
    assert!(message(&bus).unwrap().contains("max-pixels"));
}

#[test]
fn lictojpeg_refuses_two_profiles() {
    init();
    let path = std::env::temp_dir().join(format!("lic-profile-{}.icc", std::process::id()));
    let mut profile = vec![0; 200];
    profile[36..40].copy_from_slice(b"acsp");
    std::fs::write(&path, profile).unwrap();
    let e = gst::ElementFactory::make("lictojpeg")
        .property("icc-profile", path.to_str())
        .property_from_str("colour", "learned")
        .build()
        .unwrap();
    let bus = watch(&e);
    assert!(e.set_state(gst::State::Playing).is_err());
    assert!(message(&bus).unwrap().contains("only one of the two"));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn restoration_is_a_property() {
    let rgb = info(VideoFormat::Rgb, W, H);
    let (files, pictures) = files("quality=15");
    let shown = |properties: &str| {
        let (mut d, _) = reader(properties);
        files.iter().for_each(|f| assert!(d.push(f.clone()).is_ok()));
        pull_all(&mut d)
    };
    let (plain, mended) = (shown(""), shown("enhance=true threads=1"));
    assert_eq!((plain.len(), mended.len()), (3, 3));
    for ((a, b), picture) in plain.iter().zip(&mended).zip(&pictures) {
        let [a, b] = [a, b].map(|p| psnr(p, picture, &rgb)[0]);
        assert!(b > a + 0.1, "{a} dB, restored {b}");
    }
}
