mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use lic_codec::bitstream;
use std::collections::HashMap;

const W: u32 = 80;
const H: u32 = 64;

/// What a decoder must show at each time.
type Pictures = HashMap<gst::ClockTime, Vec<u8>>;

fn pictures(h: &mut Harness) -> Vec<(gst::ClockTime, Vec<u8>)> {
    pull_all(h).iter().map(|b| (b.pts().unwrap(), bytes(b))).collect()
}

/// Decodes what was never damaged.
fn truth(s: &Stream) -> Pictures {
    let mut d = decoder(&s.caps);
    for f in &s.frames {
        d.push(f.clone()).unwrap();
    }
    let all: Pictures = pictures(&mut d).into_iter().collect();
    assert_eq!(all.len(), s.frames.len());
    all
}

fn stream(key_int_max: u32, count: u64) -> Stream {
    coded(&format!("licenc quality=60 key-int-max={key_int_max}"), W, H, 0..count)
}

/// Everything that came out is whole, in order, and no error was posted.
fn assert_whole(h: &mut Harness, bus: &gst::Bus, truth: &Pictures) -> Vec<gst::ClockTime> {
    let shown = pictures(h);
    for (t, picture) in &shown {
        assert!(truth.get(t) == Some(picture), "a wrong picture at {t}");
    }
    let times: Vec<_> = shown.into_iter().map(|p| p.0).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    times
}

#[test]
fn downstream_chooses_the_format() {
    let s = stream(0, 2);
    let grey = {
        let mut e = harness("licenc");
        e.set_src_caps(info(VideoFormat::Gray8, W, H).to_caps().unwrap());
        e.push(picture(VideoFormat::Gray8, W, H, 0)).unwrap();
        let frames = pull_all(&mut e);
        Stream { caps: caps_of(&e), frames }
    };
    let of = |s: &Stream, takes: &str| {
        let mut d = Harness::new("licdec");
        d.play();
        d.set_sink_caps_str(&format!("video/x-raw,format={takes}"));
        d.set_src_caps(s.caps.clone());
        d.push(s.frames[0].clone()).unwrap();
        let out = d.pull().unwrap();
        let i = VideoInfo::from_caps(&caps_of(&d)).unwrap();
        if i.is_rgb() {
            // Colours beyond RGB's are cut off: pictures are compared in the test after this one.
            assert_eq!(i.colorimetry().matrix(), gst_video::VideoColorMatrix::Rgb);
            return (i.format(), vec![f64::INFINITY; 3]);
        }
        let i420 = info(VideoFormat::I420, W, H);
        (i.format(), psnr(&common::i420(W, H, 0), &convert(&out, &i, &i420), &i420))
    };
    for (takes, gives) in [
        ("{NV12,GRAY8,I420}", VideoFormat::I420),
        ("{GRAY8,NV12}", VideoFormat::Nv12),
        ("{GRAY8,BGR,RGB}", VideoFormat::Rgb),
        ("BGR", VideoFormat::Bgr),
        ("GRAY8", VideoFormat::Gray8),
    ] {
        let (format, p) = of(&s, takes);
        assert_eq!(format, gives);
        assert!(p[0] > 30.0 && (gives == VideoFormat::Gray8 || p[1].min(p[2]) > 30.0), "{takes}: {p:?}");
    }
    assert_eq!(of(&grey, "{I420,NV12,GRAY8}").0, VideoFormat::Gray8);
    assert_eq!(of(&grey, "{I420,NV12}").0, VideoFormat::I420);
}

/// All the same picture, with lines that end where they must.
#[test]
fn every_output_format_at_an_odd_size() {
    let (w, h) = (175, 143);
    let s = coded("licenc", w, h, 0..1);
    let of = |format: VideoFormat, strides: bool| {
        let mut d = Harness::new("licdec");
        if strides {
            d.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
        }
        d.play();
        d.set_sink_caps(gst_video::VideoCapsBuilder::new().format(format).build());
        d.set_src_caps(s.caps.clone());
        d.push(s.frames[0].clone()).unwrap();
        let out = d.pull().unwrap();
        (out, VideoInfo::from_caps(&caps_of(&d)).unwrap())
    };
    let (planes, i420) = of(VideoFormat::I420, false);
    for format in [VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Gray8, VideoFormat::Rgb, VideoFormat::Bgr] {
        for strides in [false, true] {
            let (out, i) = of(format, strides);
            let p = psnr(&convert(&planes, &i420, &i), &out, &i);
            println!("{format}: {p:.1?} dB");
            // GStreamer smoothes chroma before it makes RGB of it.
            assert!(p.iter().all(|p| *p > if i.is_rgb() { 33.0 } else { 100.0 }), "{format}: {p:?}");
        }
    }
}

#[test]
fn downstream_changes_its_mind() {
    let s = stream(0, 4);
    let mut d = decoder(&s.caps);
    let mut next = |takes: Option<&str>, n: usize| {
        if let Some(t) = takes {
            d.set_sink_caps_str(&format!("video/x-raw,format={t}"));
        }
        d.push(s.frames[n].clone()).unwrap();
        d.pull().unwrap();
        VideoInfo::from_caps(&caps_of(&d)).unwrap().format()
    };
    assert_eq!(next(None, 0), VideoFormat::I420);
    assert_eq!(next(Some("NV12"), 1), VideoFormat::Nv12);
    assert_eq!(next(None, 2), VideoFormat::Nv12);
    assert_eq!(next(Some("{NV12,I420}"), 3), VideoFormat::I420);
}

#[test]
fn header_outranks_caps() {
    let s = stream(0, 1);
    let mut d = Harness::new("licdec");
    d.play();
    d.set_src_caps_str("video/x-lic,stream-format=byte-stream,alignment=frame,width=32,height=16,framerate=7/1");
    d.push(s.frames[0].clone()).unwrap();
    d.pull().unwrap();
    let i = VideoInfo::from_caps(&caps_of(&d)).unwrap();
    assert_eq!((i.width(), i.height(), i.fps()), (W, H, gst::Fraction::new(FPS, 1)));
    assert_eq!(i.colorimetry().to_string(), "bt709");
}

#[test]
fn strides_that_downstream_asks_for() {
    init();
    let s = stream(0, 2);
    let truth = truth(&s);
    let mut d = Harness::new("licdec");
    d.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
    d.play();
    d.set_src_caps(s.caps.clone());
    for f in &s.frames {
        d.push(f.clone()).unwrap();
    }
    let i = info(VideoFormat::I420, W, H);
    for b in pull_all(&mut d) {
        assert!(b.meta::<gst_video::VideoMeta>().is_some());
        assert_eq!(bytes(&convert(&b, &i, &i)), truth[&b.pts().unwrap()]);
    }
}

#[test]
fn a_lost_frame() {
    let s = stream(8, 24);
    let truth = truth(&s);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    for (n, f) in s.frames.iter().enumerate() {
        if n != 3 {
            d.push(f.clone()).unwrap();
        }
        // The frames after it cannot be decoded; one request is enough for a while.
        assert_eq!(key_requests(&mut d), (n == 4) as usize, "at frame {n}");
    }
    let expected: Vec<_> = (0..3).chain(8..24).map(time).collect();
    assert_eq!(assert_whole(&mut d, &bus, &truth), expected);
}

#[test]
fn starts_in_the_middle() {
    let s = stream(8, 12);
    let truth = truth(&s);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    for f in &s.frames[2..8] {
        d.push(f.clone()).unwrap();
    }
    assert_eq!(key_requests(&mut d), 1);
    for f in &s.frames[8..] {
        d.push(f.clone()).unwrap();
    }
    assert_eq!(assert_whole(&mut d, &bus, &truth), (8..12).map(time).collect::<Vec<_>>());
}

/// Without any key frame: one request at most, no picture until the cycle ends, then everybody's.
#[test]
fn starts_within_a_refresh_cycle() {
    let s = coded("licenc quality=60 intra-refresh=5", W, 160, 0..20);
    let truth = truth(&s);
    assert!(s.frames[1..].iter().all(|f| !is_key(f)));
    for parse in [false, true] {
        // Recovery points are frames 1, 6, 11 and 16.
        for (first, shown, requests) in [(6, 10, 0), (3, 10, 1), (10, 15, 1)] {
            let mut d = if parse { harness("licparse ! licdec conceal=false") } else { harness("licdec conceal=false") };
            d.set_src_caps(if parse { gst::Caps::new_empty_simple("video/x-lic") } else { s.caps.clone() });
            let bus = watch(&d.element().unwrap());
            for f in &s.frames[first..] {
                d.push(f.clone()).unwrap();
            }
            assert_eq!(key_requests(&mut d), requests, "from frame {first} on");
            assert_eq!(assert_whole(&mut d, &bus, &truth), (shown..20).map(time).collect::<Vec<_>>(), "from frame {first} on");
            assert!(d.push_event(gst::event::Eos::new()));
            assert!(bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]).is_none());
        }
    }
}

/// A loss within a stream without key frames: pictures come again with the next cycle.
#[test]
fn a_refresh_cycle_mends_a_loss() {
    let s = coded("licenc quality=60 intra-refresh=5", W, 160, 0..16);
    let truth = truth(&s);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    for (n, f) in s.frames.iter().enumerate() {
        if n != 3 {
            d.push(f.clone()).unwrap();
        }
    }
    assert_eq!(key_requests(&mut d), 1);
    assert_eq!(assert_whole(&mut d, &bus, &truth), (0..3).chain(10..16).map(time).collect::<Vec<_>>());
}

#[test]
fn nothing_decodable_is_no_error() {
    let s = stream(0, 4);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    d.push(s.frames[1].clone()).unwrap();
    d.push(with_bytes(&s.frames[2], vec![])).unwrap();
    d.push(with_bytes(&s.frames[2], vec![1, 2, 3])).unwrap();
    assert!(d.push_event(gst::event::Eos::new()));
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    assert!(d.try_pull().is_none());
}

#[test]
fn repeated_and_overtaken_frames() {
    let s = stream(8, 24);
    let truth = truth(&s);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    // Twice each, also key frames; then one that comes late, and a key frame that comes much later again.
    for f in &s.frames[..6] {
        d.push(f.clone()).unwrap();
        d.push(f.clone()).unwrap();
    }
    for n in [1, 0, 5, 6, 7, 8, 9, 10, 8, 11, 3] {
        d.push(s.frames[n].clone()).unwrap();
    }
    assert_eq!(assert_whole(&mut d, &bus, &truth), (0..12).map(time).collect::<Vec<_>>());
    assert_eq!(key_requests(&mut d), 0);
    // Overtaken: 13 cannot do without 12, which then still comes in time for itself.
    for n in [13, 12, 14, 15, 17, 16, 18] {
        d.push(s.frames[n].clone()).unwrap();
    }
    let shown = assert_whole(&mut d, &bus, &truth);
    assert_eq!(shown, [12, 16].map(time));
}

/// Damage of every kind at random: what is shown is right, and after a clean group of pictures all is well again.
#[test]
fn damaged_streams() {
    let s = stream(8, 16);
    let truth = truth(&s);
    let mut noise = Noise(0x9e3779b97f4a7c15);
    let mut shown = 0;
    for round in 0..60 {
        let mut d = decoder(&s.caps);
        let bus = watch(&d.element().unwrap());
        let mut frames: Vec<gst::Buffer> = s.frames[..8].to_vec();
        for _ in 0..1 + noise.below(4) {
            let at = noise.below(frames.len());
            match noise.below(6) {
                0 => drop(frames.remove(at)),
                1 => frames.insert(at, frames[noise.below(frames.len())].clone()),
                2 => {
                    let other = noise.below(frames.len());
                    frames.swap(at, other);
                }
                kind => {
                    let mut b = bytes(&frames[at]);
                    match kind {
                        3 => b.truncate(noise.below(b.len())),
                        4 => b.extend((0..1 + noise.below(9)).map(|_| noise.below(256) as u8).collect::<Vec<_>>()),
                        _ if b.is_empty() => {}
                        _ => {
                            for _ in 0..1 + noise.below(3) {
                                let i = noise.below(b.len());
                                b[i] ^= 1 << noise.below(8);
                            }
                        }
                    }
                    frames[at] = with_bytes(&frames[at], b);
                }
            }
            if frames.is_empty() {
                break;
            }
        }
        for f in frames {
            d.push(f).unwrap_or_else(|e| panic!("round {round}: {e}"));
        }
        shown += assert_whole(&mut d, &bus, &truth).len();
        for f in &s.frames[8..] {
            d.push(f.clone()).unwrap();
        }
        let after = assert_whole(&mut d, &bus, &truth);
        assert_eq!(after, (8..16).map(time).collect::<Vec<_>>(), "round {round}");
    }
    assert!(shown > 60, "{shown} pictures shown in damaged groups");
}

/// What is damaged or missing is shown, and said to be so; what is not is as it would have been.
#[test]
fn losses_are_concealed() {
    for launch in ["licenc quality=60 slices=2 key-int-max=8", "licenc quality=60 intra-refresh=5"] {
        let s = coded(launch, W, 160, 0..24);
        let truth = truth(&s);
        let mut d = harness("licdec");
        d.set_src_caps(s.caps.clone());
        let bus = watch(&d.element().unwrap());
        for (n, f) in s.frames.iter().enumerate() {
            let mut b = bytes(f);
            match n {
                3 => *b.last_mut().unwrap() ^= 0x40,
                17 => continue,
                18 => b[4] ^= 1, // its header
                _ => {}
            }
            d.push(with_bytes(f, b)).unwrap();
        }
        // One for each loss, the first of which was mended.
        assert_eq!(key_requests(&mut d), 2);
        let out = pull_all(&mut d);
        let i = info(VideoFormat::I420, W, 160);
        let mut corrupted = vec![];
        for b in &out {
            let t = b.pts().unwrap();
            if b.flags().contains(gst::BufferFlags::CORRUPTED) {
                corrupted.push(t);
                let n = (t.nseconds() as f64 * FPS as f64 / 1e9).round() as u64;
                // As long as it is not too old, what it is made from is much like it.
                assert!(n > 5 || psnr(&i420(W, 160, n), b, &i)[0] > 20.0, "at {t}");
            } else {
                assert!(bytes(b) == truth[&t], "a wrong picture at {t}");
            }
        }
        let mended = if launch.contains("refresh") { 10 } else { 8 };
        assert_eq!(out.len(), 22);
        assert_eq!(corrupted, (3..mended).chain(19..24).map(time).collect::<Vec<_>>());
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    }
}

/// Bits flipped in payloads alone: the checksum of the latents must catch them.
#[test]
fn damaged_payloads() {
    let s = stream(8, 8);
    let truth = truth(&s);
    let mut noise = Noise(88172645463325252);
    for _ in 0..100 {
        let n = noise.below(8);
        let mut b = bytes(&s.frames[n]);
        let payload = bitstream::parse_header(&b).unwrap().slices[0].range.clone();
        if payload.is_empty() {
            continue;
        }
        b[payload.start + noise.below(payload.len())] ^= 1 << noise.below(8);
        let mut d = decoder(&s.caps);
        let bus = watch(&d.element().unwrap());
        for (i, f) in s.frames.iter().enumerate() {
            d.push(if i == n { with_bytes(f, b.clone()) } else { f.clone() }).unwrap();
        }
        let shown = assert_whole(&mut d, &bus, &truth);
        // Some flips leave the symbols as they were.
        assert!(shown.len() == n || shown.len() == 8, "{n}: {shown:?}");
    }
}

#[test]
fn sizes_change_in_the_stream() {
    let (a, b) = (stream(0, 3), coded("licenc", 96, 48, 3..6));
    let mut d = decoder(&a.caps);
    for f in a.frames.iter().chain(&b.frames) {
        // No new caps: the key frame says it.
        d.push(f.clone()).unwrap();
    }
    assert_eq!(
        pull_all(&mut d).iter().map(|b| b.size()).collect::<Vec<_>>(),
        [80 * 64 * 3 / 2; 3].into_iter().chain([96 * 48 * 3 / 2; 3]).collect::<Vec<_>>()
    );
    d.set_src_caps(a.caps.clone());
    let later = coded("licenc", W, H, 6..8);
    for f in &later.frames {
        d.push(f.clone()).unwrap();
    }
    assert_eq!(pull_all(&mut d).len(), 2);
    let i = VideoInfo::from_caps(&caps_of(&d)).unwrap();
    assert_eq!((i.width(), i.height()), (W, H));
}

/// A sender that starts again counts from 0 again.
#[test]
fn a_sender_that_starts_again() {
    let (a, b) = (stream(0, 6), coded("licenc key-int-max=4", W, H, 20..28));
    let mut d = decoder(&a.caps);
    for f in &a.frames {
        d.push(f.clone()).unwrap();
    }
    assert_eq!(pull_all(&mut d).len(), 6);
    // Its key frame was lost, and its frame 3 refers to a number that the first sender also used.
    for f in &b.frames[1..4] {
        d.push(f.clone()).unwrap();
    }
    assert_eq!(pull_all(&mut d).len(), 0);
    assert_eq!(key_requests(&mut d), 1);
    for f in &b.frames[4..] {
        d.push(f.clone()).unwrap();
    }
    assert_eq!(pull_all(&mut d).len(), 4);
}

#[test]
fn flush_and_go_on() {
    let s = stream(8, 24);
    let truth = truth(&s);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    for f in &s.frames[..12] {
        d.push(f.clone()).unwrap();
    }
    assert_whole(&mut d, &bus, &truth);
    assert!(d.push_event(gst::event::FlushStart::new()));
    assert!(d.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(d.push_event(gst::event::Segment::new(&segment)));
    // Back in time, into the middle of a group.
    for f in &s.frames[6..10] {
        d.push(f.clone()).unwrap();
    }
    assert_eq!(assert_whole(&mut d, &bus, &truth), [8, 9].map(time));
    assert!(d.push_event(gst::event::Eos::new()));
}

/// A second file after the first, or a loop: times begin again without a flush.
#[test]
fn a_new_segment_begins_a_new_timeline() {
    let s = stream(8, 12);
    let mut d = decoder(&s.caps);
    for round in 0..3 {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_base(time(12 * round));
        assert!(d.push_event(gst::event::Segment::new(&segment)));
        for f in &s.frames {
            d.push(f.clone()).unwrap();
        }
        assert_eq!(pull_all(&mut d).len(), 12, "round {round}");
    }
}

/// Frames decoded but not shown, flushes, and caps again, in any order: what is shown is right, and a key frame heals all.
#[test]
fn late_frames_flushes_and_caps_in_any_order() {
    let s = stream(4, 12);
    let truth = truth(&s);
    let mut noise = Noise(0x2545f4914f6cdd1d);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    for round in 0..60 {
        let mut at = noise.below(8);
        for _ in 0..1 + noise.below(5) {
            match noise.below(4) {
                0 => {
                    let late = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, time(2).nseconds() as i64, time(at as u64));
                    assert!(d.push_upstream_event(late));
                }
                1 => {
                    assert!(d.push_event(gst::event::FlushStart::new()));
                    assert!(d.push_event(gst::event::FlushStop::new(true)));
                    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                    assert!(d.push_event(gst::event::Segment::new(&segment)));
                    at = noise.below(8);
                }
                2 => d.set_src_caps(s.caps.clone()),
                _ => {
                    d.push(s.frames[at].clone()).unwrap_or_else(|e| panic!("round {round}: {e}"));
                    at = (at + 1) % 8;
                }
            }
        }
        for (t, picture) in pictures(&mut d) {
            assert!(truth[&t] == picture, "round {round}: a wrong picture at {t}");
        }
        assert!(d.push_event(gst::event::FlushStart::new()));
        assert!(d.push_event(gst::event::FlushStop::new(true)));
        assert!(d.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
        for f in &s.frames[8..] {
            d.push(f.clone()).unwrap();
        }
        assert_eq!(assert_whole(&mut d, &bus, &truth), (8..12).map(time).collect::<Vec<_>>(), "round {round}");
    }
}

/// Late frames are decoded, since others refer to them, but not shown.
#[test]
fn late_frames_are_not_rendered() {
    let s = stream(0, 12);
    let truth = truth(&s);
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    d.push(s.frames[0].clone()).unwrap();
    assert_whole(&mut d, &bus, &truth);
    let late = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, gst::ClockTime::from_mseconds(60).nseconds() as i64, time(1));
    assert!(d.push_upstream_event(late));
    for f in &s.frames[1..] {
        d.push(f.clone()).unwrap();
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Qos]).is_some());
    let shown = assert_whole(&mut d, &bus, &truth);
    assert!(!shown.is_empty() && shown.len() < 11 && shown.last() == Some(&time(11)), "{shown:?}");
}

#[test]
fn a_pack_that_is_not_here() {
    let s = stream(0, 1);
    let data = bytes(&s.frames[0]);
    let h = bitstream::parse_header(&data).unwrap();
    let slices: Vec<_> = h
        .slices
        .iter()
        .map(|s| bitstream::SliceSource {
            kind: s.kind,
            groups: s.groups,
            copies: s.copies,
            hyper_rows: 1,
            payload: data[s.range.clone()].into(),
        })
        .collect();
    let (info, held) = (h.stream.unwrap(), h.held.unwrap());
    let stream = Some((&info, held, [0xab; 16], "elsewhere"));
    let other = bitstream::HeaderSource { number: 0, step: h.step, key: true, stream, clean: None, slices: &slices };
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    assert_eq!(d.push(with_bytes(&s.frames[0], bitstream::write_frame(&other))), Err(gst::FlowError::Error));
    let text = message(&bus).unwrap();
    assert!(text.contains("elsewhere") && text.contains("abab"), "{text}");
}

/// Refused before anything is shown, dropped after: what was there goes on.
#[test]
fn pictures_larger_than_max_pixels() {
    let (small, large) = (stream(2, 4), coded("licenc", 96, 64, 4..6));
    let of = |most: u32, s: &Stream| {
        let mut d = harness(&format!("licdec max-pixels={most}"));
        d.set_src_caps(s.caps.clone());
        let bus = watch(&d.element().unwrap());
        (d, bus)
    };
    let (mut d, bus) = of(W * H - 1, &small);
    assert_eq!(d.push(small.frames[0].clone()), Err(gst::FlowError::Error));
    let text = message(&bus).unwrap();
    assert!(text.contains("80x64") && text.contains("max-pixels allows 5119"), "{text}");

    let (mut d, bus) = of(W * H, &small);
    let truth = truth(&small);
    for f in small.frames[..2].iter().chain(&large.frames).chain(&small.frames[2..]) {
        d.push(f.clone()).unwrap();
    }
    // Concealed neither: what was shown before belongs to another stream.
    assert_eq!(assert_whole(&mut d, &bus, &truth), [0, 1, 2, 3].map(time));
    assert_eq!(key_requests(&mut d), 1);
}

#[test]
fn bytes_without_caps_are_refused() {
    init();
    let mut d = Harness::new("licdec");
    d.play();
    d.push_event(gst::event::StreamStart::new("x"));
    d.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    let s = stream(0, 1);
    assert!(d.push(s.frames[0].clone()).is_err());
}

/// What was decoded is no lic frame any more.
#[test]
fn the_frame_meta_stays_with_coded_frames() {
    let s = stream(0, 2);
    let mut h = harness("licdec ! licenc key-int-max=1");
    h.set_src_caps(s.caps.clone());
    let mut d = decoder(&s.caps);
    for f in &s.frames {
        d.push(f.clone()).unwrap();
        h.push(f.clone()).unwrap();
    }
    assert!(pull_all(&mut d).iter().all(|b| gstlic::frame_meta::of(b).is_none()));
    assert!(pull_all(&mut h).iter().all(|b| gstlic::frame_meta::of(b).unwrap().references.is_empty()));
}

#[test]
fn states_in_any_order() {
    init();
    let element = gst::ElementFactory::make("licdec").build().unwrap();
    for _ in 0..5 {
        for state in [gst::State::Ready, gst::State::Playing, gst::State::Paused, gst::State::Null] {
            element.set_state(state).unwrap();
        }
    }
}
