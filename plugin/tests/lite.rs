//! `licenc model=lite`: the sensor without a network, with what the other packs are asked for as well.

mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

#[test]
fn every_format_at_an_odd_size() {
    for format in [VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Yuy2, VideoFormat::Gray8, VideoFormat::Rgb] {
        let (width, height) = (175, 143);
        let mut h = harness("licenc model=lite quality=80 ! licdec");
        h.set_src_caps(info(format, width, height).to_caps().unwrap());
        let original = info(VideoFormat::I420, width, height);
        for n in 0..3 {
            h.push(picture(format, width, height, n)).unwrap();
            let out = h.pull().unwrap();
            let decoded = VideoInfo::from_caps(&caps_of(&h)).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (width, height));
            let p = psnr(&i420(width, height, n), &convert(&out, &decoded, &original), &original);
            println!("{format}, picture {n}: {p:.1?} dB");
            assert!(p[0] > 26.0 && (format == VideoFormat::Gray8 || p[1].min(p[2]) > 26.0), "{format}: {p:?}");
        }
    }
}

/// What has not changed costs next to nothing, without motion.
#[test]
fn a_still_camera() {
    let mut h = encoder("licenc model=lite", 320, 192);
    for _ in 0..4 {
        h.push(i420(320, 192, 0)).unwrap();
    }
    let sizes: Vec<usize> = pull_all(&mut h).iter().map(|b| b.size()).collect();
    println!("{sizes:?} bytes");
    assert!(sizes[2..].iter().all(|s| s * 8 < sizes[0]), "{sizes:?}");
}

#[test]
fn no_frame_is_larger_than_asked_for() {
    let mut h = encoder("licenc model=lite quality=90 max-frame-bytes=3000", 320, 192);
    for n in 0..12 {
        h.push(i420(320, 192, n)).unwrap();
    }
    let frames = pull_all(&mut h);
    assert_eq!(frames.len(), 12);
    assert!(frames.iter().all(|f| f.size() <= 3000), "{:?}", frames.iter().map(|f| f.size()).collect::<Vec<_>>());
}

/// A key frame for whoever asks, and a frame that the sender gave up is not referred to.
#[test]
fn key_frames_and_lost_ones() {
    let mut h = encoder("licenc model=lite key-int-max=0", 320, 192);
    for n in 0..3 {
        h.push(i420(320, 192, n)).unwrap();
    }
    h.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
    for n in 3..5 {
        h.push(i420(320, 192, n)).unwrap();
    }
    let frames = pull_all(&mut h);
    assert_eq!(frames.iter().map(is_key).collect::<Vec<_>>(), [true, false, false, true, false]);
}

/// Damage is concealed as with other packs; pictures come all the same.
#[test]
fn a_damaged_frame() {
    let stream = coded("licenc model=lite", 320, 192, 0..4);
    let mut d = decoder(&stream.caps);
    d.element().unwrap().set_property("conceal", true);
    for (n, frame) in stream.frames.iter().enumerate() {
        let mut data = bytes(frame);
        if n == 2 {
            *data.last_mut().unwrap() ^= 0x40;
        }
        d.push(with_bytes(frame, data)).unwrap();
    }
    let out = pull_all(&mut d);
    assert_eq!(out.len(), 4);
    let marked: Vec<bool> = out.iter().map(|b| b.flags().contains(gst::BufferFlags::CORRUPTED)).collect();
    assert_eq!(marked[..3], [false, false, true], "{marked:?}");
}

#[test]
fn what_it_has_not_is_said() {
    init();
    let element = gst::ElementFactory::make("licenc").property("model", "lite").property("roi", "0,0,64,48,-4").build().unwrap();
    let bus = watch(&element);
    element.set_state(gst::State::Paused).unwrap();
    let text = message(&bus).unwrap();
    assert!(text.contains("regions of interest") && text.contains("model=base"), "{text}");
    element.set_state(gst::State::Null).unwrap();
}

/// The same stream, by the synthesis tuned for classifiers: another picture, and still one.
#[test]
fn pictures_for_classifiers() {
    let stream = coded("licenc model=lite quality=70", 320, 192, 0..2);
    let original = info(VideoFormat::I420, 320, 192);
    let shown = |properties: &str| {
        let mut d = Harness::new_parse(&format!("licdec {properties}"));
        d.play();
        d.set_src_caps(stream.caps.clone());
        stream.frames.iter().for_each(|f| assert!(d.push(f.clone()).is_ok()));
        pull_all(&mut d)
    };
    let (plain, tuned) = (shown(""), shown("task=classification"));
    assert_eq!((plain.len(), tuned.len()), (2, 2));
    for (n, (a, b)) in plain.iter().zip(&tuned).enumerate() {
        assert_ne!(bytes(a), bytes(b));
        let p = psnr(b, &i420(320, 192, n as u64), &original);
        assert!(p[0] > 22.0, "{p:?}");
    }
    let mut files = Harness::new_parse("lictojpeg task=classification");
    files.play();
    files.set_src_caps(stream.caps);
    stream.frames.iter().for_each(|f| assert!(files.push(f.clone()).is_ok()));
    assert_eq!(pull_all(&mut files).len(), 2);
}

#[test]
fn other_packs_have_no_pictures_for_classifiers() {
    let stream = coded("licenc", 64, 64, 0..1);
    for element in ["licdec", "lictojpeg"] {
        let mut d = Harness::new_parse(&format!("{element} task=classification"));
        let bus = watch(&d.element().unwrap());
        d.play();
        d.set_src_caps(stream.caps.clone());
        assert!(d.push(stream.frames[0].clone()).is_err(), "{element}");
        let text = message(&bus).unwrap();
        assert!(text.contains("task=classification") && text.contains("model=lite"), "{text}");
    }
}
