mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoInfo;
use gstlic::frame_meta;
use std::path::PathBuf;

const W: u32 = 80;
const H: u32 = 64;

fn frames(key_int_max: u32, count: u64) -> Vec<Vec<u8>> {
    coded(&format!("licenc key-int-max={key_int_max}"), W, H, 0..count).frames.iter().map(bytes).collect()
}

fn parser() -> Harness {
    init();
    let mut p = Harness::new("licparse");
    p.play();
    p.push_event(gst::event::StreamStart::new("test"));
    p.push_event(gst::event::Caps::new(&gst::Caps::new_empty_simple("video/x-lic")));
    p.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new()));
    p
}

/// Pushes `data` in pieces of `chunk` bytes and the end of the stream.
fn parse(data: &[u8], chunk: usize) -> Vec<gst::Buffer> {
    let mut p = parser();
    for c in data.chunks(chunk) {
        p.push(gst::Buffer::from_mut_slice(c.to_vec())).unwrap();
    }
    p.push_event(gst::event::Eos::new());
    pull_all(&mut p)
}

fn assert_frames(out: &[gst::Buffer], expected: &[&Vec<u8>]) {
    assert_eq!(out.iter().map(|b| b.size()).collect::<Vec<_>>(), expected.iter().map(|f| f.len()).collect::<Vec<_>>());
    assert!(out.iter().zip(expected).all(|(b, f)| bytes(b) == **f));
}

#[test]
fn pieces_of_any_size() {
    let f = frames(4, 10);
    let data = f.concat();
    let expected: Vec<_> = f.iter().collect();
    for chunk in [1, 2, 3, 7, 100, 1000, 4096, data.len()] {
        let out = parse(&data, chunk);
        assert_frames(&out, &expected);
        for (n, b) in out.iter().enumerate() {
            assert_eq!((b.pts(), b.duration()), (Some(time(n as u64)), Some(time(1))), "frame {n} in pieces of {chunk}");
            assert_eq!(is_key(b), n % 4 == 0);
            let meta = frame_meta::of(b).unwrap();
            assert_eq!((meta.number, meta.key, meta.references.len()), (n as u32, n % 4 == 0, (n % 4 != 0) as usize));
        }
    }
}

#[test]
fn pieces_of_random_size() {
    let f = frames(4, 6);
    let data = f.concat();
    let mut noise = Noise(4711);
    for _ in 0..20 {
        let (mut p, mut at) = (parser(), 0);
        while at < data.len() {
            let n = (1 + noise.below(700)).min(data.len() - at);
            p.push(gst::Buffer::from_mut_slice(data[at..at + n].to_vec())).unwrap();
            at += n;
        }
        p.push_event(gst::event::Eos::new());
        assert_frames(&pull_all(&mut p), &f.iter().collect::<Vec<_>>());
    }
}

/// A frame leaves when its last byte is there.
#[test]
fn waits_for_nothing() {
    let f = frames(0, 3);
    let mut p = parser();
    for frame in &f {
        p.push(gst::Buffer::from_mut_slice(frame.clone())).unwrap();
        assert_eq!(bytes(&p.try_pull().unwrap()), *frame);
    }
}

#[test]
fn caps_of_the_key_frame() {
    let s = coded("licenc", W, H, 0..1);
    let mut p = parser();
    p.push(s.frames[0].clone()).unwrap();
    let (mine, licencs) = (caps_of(&p), &s.caps);
    for field in ["width", "height", "framerate", "pixel-aspect-ratio", "colorimetry", "stream-format", "alignment"] {
        let (a, b) = (mine.structure(0).unwrap().value(field).unwrap(), licencs.structure(0).unwrap().value(field).unwrap());
        assert_eq!(format!("{a:?}"), format!("{b:?}"), "{field}");
    }
    // Another size: new caps before the frame.
    let other = coded("licenc", 96, 48, 0..1);
    p.push(other.frames[0].clone()).unwrap();
    let i = VideoInfo::from_caps(&caps_of(&p)).unwrap();
    assert_eq!((i.width(), i.height()), (96, 48));
}

#[test]
fn garbage_between_frames() {
    let f = frames(4, 6);
    let mut noise = Noise(99);
    for round in 0..20 {
        let mut data = vec![];
        for frame in &f {
            data.extend((0..noise.below(300)).map(|_| noise.below(256) as u8));
            if round % 2 == 0 {
                data.extend([0x4c, 0xc5, 0x10, 0x4c]);
            }
            data.extend(frame);
        }
        data.extend([0x4c, 0xc5]);
        for chunk in [5, 512, data.len()] {
            assert_frames(&parse(&data, chunk), &f.iter().collect::<Vec<_>>());
        }
    }
}

/// What follows a cut frame is found, although the cut frame says that it is longer.
#[test]
fn cut_frames() {
    let f = frames(3, 6);
    for n in 1..6 {
        for cut in [1, 5, f[n].len() / 2, f[n].len() - 4] {
            let mut cut_frames = f.clone();
            cut_frames[n].truncate(f[n].len() - cut);
            let data = cut_frames.concat();
            let expected: Vec<_> = f.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, f)| f).collect();
            for chunk in [64, 4096, data.len()] {
                assert_frames(&parse(&data, chunk), &expected);
            }
        }
    }
}

/// Lengths that no data will ever reach do not swallow the rest.
#[test]
fn a_length_that_lies() {
    let f = frames(3, 3);
    let mut data = f[0].clone();
    // A header of 48 MiB.
    data.extend([0x4c, 0xc5, 0x10, 0x80, 0x80, 0x80, 0x18]);
    data.extend(f[1..].concat());
    assert_frames(&parse(&data, 100), &f.iter().collect::<Vec<_>>());
}

#[test]
fn random_bytes() {
    let mut noise = Noise(7);
    for size in [0, 1, 2, 3, 10, 1000, 20_000] {
        let data: Vec<u8> = (0..size).map(|_| [0x4c, 0xc5, 0x10, 0x11, noise.below(256) as u8][noise.below(5)]).collect();
        let mut p = parser();
        for c in data.chunks(100) {
            // Base classes give up on endless garbage with an error of their own; nothing worse.
            if p.push(gst::Buffer::from_mut_slice(c.to_vec())).is_err() {
                break;
            }
        }
        p.push_event(gst::event::Eos::new());
        assert!(p.try_pull().is_none());
    }
}

#[test]
fn starts_with_a_key_frame() {
    let f = frames(4, 10);
    let mut p = parser();
    for frame in &f[2..] {
        p.push(gst::Buffer::from_mut_slice(frame.clone())).unwrap();
    }
    let out = pull_all(&mut p);
    assert_frames(&out, &f[4..].iter().collect::<Vec<_>>());
    assert_eq!(key_requests(&mut p), 1);
}

/// However many bytes come before it.
#[test]
fn waits_long_for_a_key_frame() {
    let f = frames(4, 5);
    let mut p = parser();
    let before = f[2].repeat(100);
    for _ in 0..1 + (3 << 20) / before.len() {
        p.push(gst::Buffer::from_mut_slice(before.clone())).unwrap();
    }
    p.push(gst::Buffer::from_mut_slice(f[4].clone())).unwrap();
    assert_frames(&pull_all(&mut p), &[&f[4]]);
}

/// Times of a stream that has them are kept, whatever the header says.
#[test]
fn timed_streams() {
    init();
    let s = coded("licenc key-int-max=4", W, H, 0..6);
    let mut p = Harness::new("licparse");
    p.play();
    p.set_src_caps(s.caps.clone());
    let times: Vec<_> = [100, 133, 150, 800, 801, 2000].map(gst::ClockTime::from_mseconds).to_vec();
    for (f, t) in s.frames.iter().zip(&times) {
        let mut f = f.copy();
        f.make_mut().set_pts(*t);
        f.make_mut().set_dts(*t);
        p.push(f).unwrap();
    }
    let out = pull_all(&mut p);
    assert_eq!(out.iter().map(|b| b.pts().unwrap()).collect::<Vec<_>>(), times);
    assert!(out.iter().all(|b| frame_meta::of(b).is_some()));
}

#[test]
fn a_stream_of_unknown_rate() {
    let mut e = harness("licenc");
    e.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=48,framerate=0/1");
    for n in 0..3 {
        let mut b = gst::Buffer::from_mut_slice(vec![100u8; 64 * 48]);
        b.make_mut().set_pts(gst::ClockTime::from_mseconds(500 * n));
        e.push(b).unwrap();
    }
    let s = pull_all(&mut e);
    // A file has no times at all: some are better than none.
    let untimed = parse(&s.iter().map(bytes).collect::<Vec<_>>().concat(), 1000);
    assert_eq!(untimed.iter().map(|b| b.pts()).collect::<Vec<_>>(), [0, 1, 2].map(|n| Some(time(n))));
    // What comes over a network has.
    let mut p = Harness::new("licparse");
    p.play();
    p.set_src_caps(caps_of(&e));
    for b in &s {
        p.push(b.clone()).unwrap();
    }
    let timed = pull_all(&mut p);
    let expected = [0, 500, 1000].map(|t| Some(gst::ClockTime::from_mseconds(t)));
    assert_eq!(timed.iter().map(|b| b.pts()).collect::<Vec<_>>(), expected);
}

/// A file that is gone when the test is.
struct File(PathBuf);

impl File {
    fn new(name: &str, data: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("lic-test-{}-{name}", std::process::id()));
        std::fs::write(&path, data).unwrap();
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Plays to the end; the caps and the times of all buffers that reached the element `out`.
fn play(launch: &str, seek: Option<gst::ClockTime>) -> (gst::Caps, Vec<gst::ClockTime>) {
    use std::sync::{Arc, Mutex};
    let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap();
    let times = Arc::new(Mutex::new(vec![]));
    let seen = times.clone();
    out.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        seen.lock().unwrap().extend(info.buffer().and_then(|b| b.pts()));
        gst::PadProbeReturn::Ok
    });
    let bus = pipeline.bus().unwrap();
    if let Some(to) = seek {
        pipeline.set_state(gst::State::Paused).unwrap();
        pipeline.state(gst::ClockTime::from_seconds(10)).0.unwrap();
        times.lock().unwrap().clear();
        pipeline.seek_simple(gst::SeekFlags::FLUSH, to).unwrap();
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &types).expect("the end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    let caps = out.static_pad("sink").unwrap().current_caps().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let times = times.lock().unwrap().clone();
    (caps, times)
}

#[test]
fn decodebin_opens_a_lic_file() {
    let data = frames(4, 10).concat();
    // The name must not matter.
    for name in ["clip.lic", "clip.bin"] {
        let file = File::new(name, &data);
        let (caps, times) = play(&format!("filesrc location={} ! decodebin ! fakesink name=out", file.0.display()), None);
        assert_eq!(caps.structure(0).unwrap().name(), "video/x-raw");
        assert_eq!(times, (0..10).map(time).collect::<Vec<_>>());
    }
}

/// Garbage, a length that lies and a cut frame, in a file that is read in pull mode.
#[test]
fn a_damaged_file() {
    let f = frames(4, 12);
    let mut data = f[..5].concat();
    data.extend([0x4c, 0xc5, 0x10, 0x80, 0x80, 0x80, 0x18]);
    data.extend(f[5..9].concat());
    data.extend(&f[9][..f[9].len() / 2]);
    data.extend(f[10..].concat());
    data.extend([0x4c, 0xc5, 0x11]);
    let file = File::new("damaged.lic", &data);
    let (_, times) = play(&format!("filesrc location={} ! licparse ! fakesink name=out", file.0.display()), None);
    assert_eq!(times, (0..11).map(time).collect::<Vec<_>>());
}

#[test]
fn other_files_are_not_taken_for_it() {
    init();
    let mut noise = Noise(12345);
    let file = File::new("noise.bin", &(0..50_000).map(|_| noise.below(256) as u8).collect::<Vec<_>>());
    let found = gst::parse::launch(&format!("filesrc location={} ! typefind name=t ! fakesink", file.0.display())).unwrap();
    found.set_state(gst::State::Paused).unwrap();
    let _ = found.state(gst::ClockTime::from_seconds(5));
    let caps = found.downcast_ref::<gst::Bin>().unwrap().by_name("t").unwrap().static_pad("src").unwrap().current_caps();
    assert!(caps.is_none_or(|c| c.structure(0).unwrap().name() != "video/x-lic"));
    found.set_state(gst::State::Null).unwrap();
}

#[test]
fn seeking_in_a_file() {
    let file = File::new("seek.lic", &frames(8, 96).concat());
    let launch = format!("filesrc location={} ! licparse ! licdec ! fakesink name=out", file.0.display());
    let (_, times) = play(&launch, Some(gst::ClockTime::from_seconds(2)));
    assert!(!times.is_empty() && times.is_sorted_by(|a, b| a < b), "{times:?}");
    // The place is estimated from the bit rate, and the first picture is that of a key frame.
    let first = times[0];
    assert!(first > gst::ClockTime::from_mseconds(1200) && first < gst::ClockTime::from_mseconds(2800), "{first}");
    assert!(times.windows(2).all(|w| w[1] - w[0] < gst::ClockTime::from_mseconds(40)), "{times:?}");
    // Back to the start: all of it.
    assert_eq!(play(&launch, Some(gst::ClockTime::ZERO)).1, (0..96).map(time).collect::<Vec<_>>());
}

/// Files of `lic transcode`: frames with times of their own and an index behind them.
#[test]
fn times_within_frames_count_and_an_index_is_no_garbage() {
    let f = frames(4, 10);
    let times: Vec<u64> = (0..10).map(|n| 5 + n * 33_333_333 + if n % 3 == 1 { 7_654_321 } else { 0 }).collect();
    let mut file = lic_container::lic::Writer::new(Vec::new());
    f.iter().zip(&times).for_each(|(f, t)| file.push(f, *t).unwrap());
    // An index that looks like the beginning of a frame at many places.
    let notes = (0..50).map(|i| (format!("note {i}"), "L\u{4c5}L\u{4c5}".repeat(20))).collect();
    let data = file.finish(notes).unwrap();
    for chunk in [1, 9, 64, 1000, data.len()] {
        let mut p = parser();
        for c in data.chunks(chunk) {
            p.push(gst::Buffer::from_mut_slice(c.to_vec())).unwrap();
        }
        p.push_event(gst::event::Eos::new());
        let out = pull_all(&mut p);
        assert_eq!(out.iter().map(|b| b.pts().unwrap().nseconds()).collect::<Vec<_>>(), times, "in pieces of {chunk}");
        assert!(
            out.iter()
                .zip(&f)
                .all(|(b, f)| b.size() > f.len() && !b.flags().contains(gst::BufferFlags::DISCONT) || b.pts() == out[0].pts())
        );
        while let Some(event) = p.try_pull_upstream_event() {
            assert!(gst_video::UpstreamForceKeyUnitEvent::parse(&event).is_err(), "a key frame was asked for");
        }
    }
}
