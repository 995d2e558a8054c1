//! Everything that happens to elements while they live, in any order: a seeded walk over pushes, caps, segments, flushes, ends of stream,
//! key frame requests, properties, losses and states. Nothing panics or posts an error, and what leaves licdec whole is what a plain decode gives.

mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use lic_codec::{Decoder, PictureMut, RawFormat, Runtime};
use std::collections::HashMap;

/// Multiples of 8, so that no line has padding.
const SIZES: [(u32, u32); 4] = [(64, 48), (80, 64), (16, 16), (96, 128)];
const FORMATS: [VideoFormat; 4] = [VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Yuy2, VideoFormat::Bgrx];

fn make(name: &str) -> (Harness, gst::Bus) {
    init();
    let mut h = Harness::new(name);
    let bus = watch(&h.element().unwrap());
    if name == "licenc" {
        h.element().unwrap().set_property("model", "tiny");
    }
    h.play();
    (h, bus)
}

fn segment(r: &mut Noise) -> gst::Event {
    let mut s = gst::FormattedSegment::<gst::ClockTime>::new();
    s.set_base(time(r.below(100) as u64));
    gst::event::Segment::new(&s)
}

/// A new stream, as after a change of state or an end of stream.
fn begin(h: &mut Harness, caps: &gst::Caps, r: &mut Noise) {
    h.push_event(gst::event::StreamStart::new(&format!("stream {}", r.below(1000))));
    h.push_event(gst::event::Caps::new(caps));
    h.push_event(segment(r));
}

fn flush(h: &mut Harness, r: &mut Noise) {
    assert!(h.push_event(gst::event::FlushStart::new()));
    assert!(h.push_event(gst::event::FlushStop::new(true)));
    assert!(h.push_event(segment(r)));
}

/// What may happen to either element between two buffers.
fn interrupt(h: &mut Harness, caps: &gst::Caps, r: &mut Noise) {
    match r.below(5) {
        0 => flush(h, r),
        1 => assert!(h.push_event(segment(r))),
        2 => {
            h.push_event(gst::event::Eos::new());
            if r.below(2) == 0 { flush(h, r) } else { begin(h, caps, r) }
        }
        3 => {
            let element = h.element().unwrap();
            for _ in 0..1 + r.below(3) {
                let state = [gst::State::Null, gst::State::Ready, gst::State::Paused, gst::State::Playing][r.below(4)];
                element.set_state(state).unwrap();
            }
            // Through READY: else it may still be running, and its stream goes on.
            element.set_state(gst::State::Ready).unwrap();
            element.set_state(gst::State::Playing).unwrap();
            begin(h, caps, r);
        }
        _ => {
            let late = gst::ClockTime::from_mseconds(r.below(80) as u64).nseconds() as i64;
            h.push_upstream_event(gst::event::Qos::new(gst::QOSType::Underflow, 1.5, late, time(r.below(3000) as u64)));
        }
    }
}

fn adjust(element: &gst::Element, r: &mut Noise) {
    match r.below(8) {
        0 => element.set_property("quality", r.below(101) as i32),
        1 => element.set_property("bitrate", [0, 100, 2000][r.below(3)] as u32),
        2 => element.set_property("key-int-max", r.below(12) as u32),
        3 => element.set_property("intra-refresh", [0, 0, 3][r.below(3)] as u32),
        4 => element.set_property("slices", r.below(4) as u32),
        5 => element.set_property_from_str("inter", ["auto", "none", "latent", "motion"][r.below(4)]),
        6 => element.set_property("max-frame-bytes", [0, 4000][r.below(2)] as u32),
        _ => element.set_property("qos", r.below(3) == 0),
    }
}

/// The picture that a decoder to which nothing ever happened makes of a frame; None before its picture is whole.
fn plain(d: &mut Decoder, frame: &[u8]) -> Option<Vec<u8>> {
    let decoded = d.decode(frame).unwrap();
    let (w, h) = (decoded.info.width, decoded.info.height);
    let mut out = vec![0; (w * h * 3 / 2) as usize];
    let (y, uv) = out.split_at_mut((w * h) as usize);
    let (u, v) = uv.split_at_mut((w * h / 4) as usize);
    let (w, planes) = (w as usize, vec![(y, w as usize), (u, w as usize / 2), (v, w as usize / 2)]);
    d.render(&mut PictureMut::new(RawFormat::I420, w as u32, h, planes).unwrap()).ok()?;
    Some(out)
}

fn no_errors(bus: &gst::Bus, about: &str) {
    while let Some(m) = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]) {
        let text = format!("{m:?}").to_lowercase();
        assert!(m.type_() == gst::MessageType::Warning && !text.contains("panic"), "{text}; {about}");
    }
}

/// Pictures shown whole, concealed, and steps in all.
fn walk(seed: u64, steps: u32) -> (u32, u32) {
    println!("seed {seed:#x}");
    let mut r = Noise(seed);
    let ((mut e, e_bus), (mut d, d_bus)) = (make("licenc"), make("licdec"));
    let mut reference = Decoder::new(&Runtime::find().unwrap(), 1).unwrap();
    let (mut size, mut format) = (SIZES[0], FORMATS[0]);
    let caps_of_input = |size: (u32, u32), format| info(format, size.0, size.1).to_caps().unwrap();
    let mut caps = caps_of_input(size, format);
    begin(&mut e, &caps, &mut r);
    let mut coded_caps: Option<gst::Caps> = None;
    let mut truth = HashMap::new();
    let (mut whole, mut corrupted) = (0, 0);
    for n in 0..steps {
        let about = format!("seed {seed:#x}, step {n}");
        match r.below(24) {
            0 => interrupt(&mut e, &caps, &mut r),
            1 => {
                (size, format) = (SIZES[r.below(SIZES.len())], FORMATS[r.below(FORMATS.len())]);
                caps = caps_of_input(size, format);
                assert!(e.push_event(gst::event::Caps::new(&caps)));
            }
            2 => drop(e.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().build())),
            3 => assert!(e.push_event(gst_video::DownstreamForceKeyUnitEvent::builder().build())),
            4 => drop(e.push_upstream_event(gstlic::frame_meta::lost_event(r.below(40) as u32))),
            5 => adjust(&e.element().unwrap(), &mut r),
            6 => {
                if let Some(caps) = &coded_caps {
                    interrupt(&mut d, caps, &mut r);
                }
            }
            7 => d.element().unwrap().set_property("conceal", r.below(2) == 0),
            _ => {}
        }
        let mut input = picture(format, size.0, size.1, n as u64 / 2);
        input.make_mut().set_pts(time(n as u64));
        e.push(input).unwrap_or_else(|error| panic!("{error}: {:?}; {about}", message(&e_bus)));
        for frame in pull_all(&mut e) {
            let at = frame.pts().unwrap();
            if let Some(picture) = plain(&mut reference, &bytes(&frame)) {
                truth.insert(at, picture);
            }
            let now = caps_of(&e);
            if coded_caps.as_ref() != Some(&now) {
                match coded_caps {
                    Some(_) => drop(d.push_event(gst::event::Caps::new(&now))),
                    None => begin(&mut d, &now, &mut r),
                }
                coded_caps = Some(now);
            }
            let mut data = bytes(&frame);
            match r.below(30) {
                0 => continue,
                1 => *data.last_mut().unwrap() ^= 1 << r.below(8),
                _ => {}
            }
            d.push(with_bytes(&frame, data)).unwrap_or_else(|error| panic!("{error}: {:?}; {about}", message(&d_bus)));
            for shown in pull_all(&mut d) {
                if shown.flags().contains(gst::BufferFlags::CORRUPTED) {
                    corrupted += 1;
                    continue;
                }
                whole += 1;
                let i = VideoInfo::from_caps(&caps_of(&d)).unwrap();
                assert_eq!((i.format(), i.size()), (VideoFormat::I420, shown.size()), "{about}");
                assert!(truth.get(&shown.pts().unwrap()) == Some(&bytes(&shown)), "a wrong picture at {:?}; {about}", shown.pts());
            }
        }
        no_errors(&e_bus, &about);
        no_errors(&d_bus, &about);
    }
    (whole, corrupted)
}

fn walks(seeds: std::ops::RangeInclusive<u64>) {
    for seed in seeds {
        let (whole, corrupted) = walk(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1500);
        println!("{whole} pictures, {corrupted} concealed");
        assert!(whole > 200 && corrupted > 5, "{whole} whole, {corrupted} concealed: the walk tried too little");
    }
}

#[test]
fn anything_in_any_order() {
    walks(1..=4);
}

#[test]
#[ignore = "minutes; make soak"]
fn anything_in_any_order_for_long() {
    walks(100..=199);
}

/// Flushing seeks in a running pipeline, to anywhere: pictures come in order. Then backwards to the start.
#[test]
fn seeks_in_a_file() {
    init();
    let count = 60;
    let s = coded("licenc key-int-max=10", 64, 48, 0..count);
    let file = std::env::temp_dir().join(format!("lic-life-{}.lic", std::process::id()));
    std::fs::write(&file, s.frames.iter().flat_map(bytes).collect::<Vec<_>>()).unwrap();
    let line = format!("filesrc location={} ! licparse ! licdec ! appsink name=out sync=false max-buffers=4", file.display());
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap();
    let pull = || {
        let wait = gst::ClockTime::from_seconds(60);
        out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&wait.nseconds()]).map(|s| s.buffer().unwrap().pts().unwrap())
    };
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(pull(), Some(gst::ClockTime::ZERO));
    let mut r = Noise(7);
    for round in 0..30 {
        let to = time(r.below(count as usize - 1) as u64);
        pipeline.seek_simple(gst::SeekFlags::FLUSH, to).unwrap();
        let mut shown = vec![];
        for _ in 0..r.below(80) {
            match pull() {
                Some(t) => shown.push(t),
                None => break,
            }
        }
        assert!(shown.is_sorted_by(|a, b| a < b), "round {round}: {shown:?}");
    }
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    pipeline.seek(-1.0, flags, gst::SeekType::Set, gst::ClockTime::ZERO, gst::SeekType::Set, time(50)).unwrap();
    let backwards: Vec<_> = std::iter::from_fn(pull).collect();
    assert_eq!(backwards, (0..50).rev().map(time).collect::<Vec<_>>());
    pipeline.set_state(gst::State::Null).unwrap();
    std::fs::remove_file(&file).unwrap();
    let bus = pipeline.bus().unwrap();
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}
