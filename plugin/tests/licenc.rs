mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use gstlic::frame_meta;

const FORMATS: [VideoFormat; 17] = [
    VideoFormat::I420,
    VideoFormat::Yv12,
    VideoFormat::Nv12,
    VideoFormat::Nv21,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Gray8,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
];

/// Codes and decodes three pictures of a format; the worst PSNR of luma and of chroma against the I420 original.
fn round_trip(format: VideoFormat, width: u32, height: u32) -> (f64, f64) {
    let mut h = harness("licenc quality=90 ! licdec");
    h.set_src_caps(info(format, width, height).to_caps().unwrap());
    let original = info(VideoFormat::I420, width, height);
    let mut worst = (f64::INFINITY, f64::INFINITY);
    for n in 0..3 {
        h.push(picture(format, width, height, n)).unwrap();
        let out = h.pull().unwrap();
        assert_eq!((out.pts(), out.duration()), (Some(time(n)), Some(time(1))));
        let decoded = VideoInfo::from_caps(&caps_of(&h)).unwrap();
        assert_eq!((decoded.width(), decoded.height(), decoded.fps()), (width, height, gst::Fraction::new(FPS, 1)));
        let p = psnr(&i420(width, height, n), &convert(&out, &decoded, &original), &original);
        worst = (worst.0.min(p[0]), worst.1.min(p[1]).min(p[2]));
    }
    worst
}

#[test]
fn every_format_at_an_odd_size() {
    for format in FORMATS {
        let (luma, chroma) = round_trip(format, 175, 143);
        println!("{format}: {luma:.1} dB luma, {chroma:.1} dB chroma");
        assert!(luma > 32.0, "{format}: {luma}");
        assert!(chroma > 30.0 || format == VideoFormat::Gray8, "{format}: {chroma}");
    }
}

/// With no property set.
#[test]
fn the_default_pack() {
    init();
    let (i420_info, n) = (info(VideoFormat::I420, 320, 240), 5);
    let mut h = Harness::new_parse("licenc ! licdec");
    h.play();
    h.set_src_caps(i420_info.to_caps().unwrap());
    for n in 0..n {
        h.push(i420(320, 240, n)).unwrap();
        let p = psnr(&i420(320, 240, n), &h.pull().unwrap(), &i420_info);
        println!("frame {n}: {p:.1?} dB");
        assert!(p.iter().all(|p| *p > 30.0), "frame {n}: {p:?}");
    }
}

#[test]
fn sizes() {
    for (w, h) in [(1, 1), (2, 3), (16, 16), (17, 33), (320, 240), (641, 31)] {
        let (luma, _) = round_trip(VideoFormat::I420, w, h);
        println!("{w}x{h}: {luma:.1} dB");
        assert!(luma > 20.0, "{w}x{h}: {luma}");
    }
}

/// Where the planes lie is what GstVideoMeta says: lines with room behind them, planes with room between them, and the part of a larger
/// picture that begins at some offset.
#[test]
fn strides_and_offsets_of_video_meta() {
    let (w, h) = (175, 143);
    for format in FORMATS {
        let i = info(format, w, h);
        let code = |buffer: gst::Buffer| {
            let mut e = harness("licenc");
            e.set_src_caps(i.to_caps().unwrap());
            e.push(buffer).unwrap();
            bytes(&e.pull().unwrap())
        };
        let source = picture(format, w, h, 0);
        let tight = code(source.clone());
        let source = bytes(&source);
        let lines =
            |p: usize| (0..i.n_components()).find(|c| i.format_info().plane()[*c as usize] == p as u32).map(|c| i.comp_height(c as u8));
        for (room, between, first) in [(0, 1000, 0), (81, 0, 7), (512, 4099, 1000)] {
            let (mut data, mut offsets, mut strides) = (vec![7u8; first], vec![], vec![]);
            for p in 0..i.n_planes() as usize {
                let (from, lines) = (i.stride()[p] as usize, lines(p).unwrap() as usize);
                offsets.push(data.len());
                strides.push(i.stride()[p] + room);
                for line in source[i.offset()[p]..][..from * lines].chunks(from) {
                    data.extend(line);
                    data.extend(vec![200u8; room as usize]);
                }
                data.extend(vec![9u8; between]);
            }
            let mut buffer = gst::Buffer::from_mut_slice(data);
            let flags = gst_video::VideoFrameFlags::empty();
            gst_video::VideoMeta::add_full(buffer.get_mut().unwrap(), flags, format, w, h, &offsets, &strides).unwrap();
            assert!(code(buffer) == tight, "{format}: {offsets:?} {strides:?}");
        }
    }
}

#[test]
fn buffers_too_small_for_their_caps_are_dropped() {
    let (w, h) = (64, 64);
    let mut e = encoder("licenc", w, h);
    e.push(gst::Buffer::with_size(100).unwrap()).unwrap();
    e.push(gst::Buffer::new()).unwrap();
    // The planes end where the memory ends, but for the last line of the last.
    let mut buffer = gst::Buffer::with_size(64 * 96 - 1).unwrap();
    let flags = gst_video::VideoFrameFlags::empty();
    let meta =
        gst_video::VideoMeta::add_full(buffer.get_mut().unwrap(), flags, VideoFormat::I420, w, h, &[0, 64 * 64, 64 * 80], &[64, 32, 32]);
    if meta.is_ok() {
        e.push(buffer).unwrap();
    }
    assert!(e.try_pull().is_none());
    e.push(i420(w, h, 3)).unwrap();
    assert_eq!(e.pull().unwrap().pts(), Some(time(3)));
    // A key frame that was asked for then comes with the next picture.
    assert!(e.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().build()));
    e.push(gst::Buffer::with_size(100).unwrap()).unwrap();
    e.push(i420(w, h, 4)).unwrap();
    assert!(is_key(&e.pull().unwrap()));
}

#[test]
fn times_flags_and_meta() {
    let mut e = encoder("licenc key-int-max=4", 64, 48);
    let times = [5, 38, 71, 300, 301, 390].map(gst::ClockTime::from_mseconds);
    for (n, t) in times.into_iter().enumerate() {
        let mut b = i420(64, 48, n as u64);
        b.make_mut().set_pts(t);
        b.make_mut().set_duration(gst::ClockTime::from_mseconds(33));
        e.push(b).unwrap();
        let out = e.pull().unwrap();
        assert_eq!((out.pts(), out.dts(), out.duration()), (Some(t), Some(t), Some(gst::ClockTime::from_mseconds(33))));
        let meta = frame_meta::of(&out).unwrap();
        assert_eq!((meta.number, meta.key), (n as u32, n % 4 == 0));
        assert_eq!(is_key(&out), meta.key);
        assert_eq!(meta.key, meta.references.is_empty());
        let header = lic_codec::bitstream::parse_header(&bytes(&out)).unwrap();
        assert_eq!((header.number, header.key, header.references), (meta.number, meta.key, meta.references));
    }
}

#[test]
fn key_frames_on_demand() {
    let mut e = encoder("licenc key-int-max=0", 64, 48);
    let mut keys = vec![];
    for n in 0..8 {
        match n {
            3 => assert!(e.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().build())),
            6 => assert!(e.push_event(gst_video::DownstreamForceKeyUnitEvent::builder().build())),
            _ => {}
        }
        e.push(i420(64, 48, n)).unwrap();
        if is_key(&e.pull().unwrap()) {
            keys.push(n);
        }
    }
    assert_eq!(keys, [0, 3, 6]);
    let events = std::iter::from_fn(|| e.try_pull_event());
    assert!(events.filter(is_key_request).count() >= 2);
}

#[test]
fn refresh_cycles_on_demand() {
    let mut e = encoder("licenc key-int-max=2 intra-refresh=20", 64, 160);
    let (mut keys, mut recoveries) = (vec![], vec![]);
    for n in 0..16 {
        match n {
            5 | 7 => assert!(e.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build())),
            9 => e.find_element("licenc").unwrap().set_property("intra-refresh", 3u32),
            11 => assert!(e.push_event(gst_video::DownstreamForceKeyUnitEvent::builder().build())),
            _ => {}
        }
        e.push(i420(64, 160, n)).unwrap();
        let out = e.pull().unwrap();
        let meta = frame_meta::of(&out).unwrap();
        assert_eq!(is_key(&out), meta.key);
        keys.extend(meta.key.then_some(n));
        recoveries.extend(meta.recovery.then_some(n));
    }
    // The one asked for at 7 would follow the one asked for at 5; what comes from upstream is a key frame as ever.
    assert_eq!((keys, recoveries), (vec![0, 11], vec![1, 5, 12, 15]));
}

#[test]
fn settings_change_while_playing() {
    let mut e = encoder("licenc quality=80 key-int-max=0", 176, 144);
    let mut next = {
        let mut n = 0;
        move |e: &mut Harness| {
            e.push(i420(176, 144, n)).unwrap();
            n += 1;
            e.pull().unwrap()
        }
    };
    let fine = next(&mut e).size();
    let element = e.element().unwrap().downcast::<gst::Bin>().map_or_else(|e| e, |b| b.children().remove(0));
    element.set_property("inter", element.find_property("inter").unwrap().default_value());
    element.set_property_from_str("inter", "none");
    assert!(is_key(&next(&mut e)) && is_key(&next(&mut e)));
    element.set_property("quality", 10i32);
    let coarse = next(&mut e).size();
    assert!(coarse * 2 < fine, "{coarse} of {fine} bytes");
    element.set_property_from_str("inter", "auto");
    element.set_property("slices", 3u32);
    element.set_property("rdo", false);
    element.set_property("bitrate", 200u32);
    assert!(!is_key(&next(&mut e)));
    element.set_property("key-int-max", 1u32);
    assert!(is_key(&next(&mut e)));
    // Every reading gives what was written.
    assert_eq!(element.property::<i32>("quality"), 10);
    assert_eq!((element.property::<u32>("slices"), element.property::<u32>("bitrate"), element.property::<bool>("rdo")), (3, 200, false));
    assert_eq!(element.property::<String>("model"), "tiny");
}

#[test]
fn frames_that_were_never_sent_are_not_referred_to() {
    let mut e = encoder("licenc key-int-max=0", 64, 48);
    let mut last = 0;
    for n in 0..3 {
        e.push(i420(64, 48, n)).unwrap();
        last = frame_meta::of(&e.pull().unwrap()).unwrap().number;
    }
    assert!(e.push_upstream_event(frame_meta::lost_event(last)));
    e.push(i420(64, 48, 3)).unwrap();
    let meta = frame_meta::of(&e.pull().unwrap()).unwrap();
    assert_eq!(meta.references, [last - 1]);
}

#[test]
fn where_frames_are_lost_only_acknowledged_ones_are_referred_to() {
    let mut e = encoder("licenc key-int-max=0", 64, 48);
    let code = |e: &mut Harness, n| {
        e.push(i420(64, 48, n)).unwrap();
        frame_meta::of(&e.pull().unwrap()).unwrap()
    };
    let numbers: Vec<u32> = (0..4).map(|n| code(&mut e, n).number).collect();
    assert!(e.push_upstream_event(frame_meta::acknowledged_event(Some(&numbers[1..=2]))));
    assert_eq!(code(&mut e, 4).references, [numbers[2]]);
    assert_eq!(code(&mut e, 5).references, [numbers[2]], "until there is other news");
    assert!(e.push_upstream_event(frame_meta::acknowledged_event(Some(&[]))));
    // Nothing but the first frame, which stands alone, may be there, and that is no longer held.
    assert!(code(&mut e, 6).key);
    assert_eq!(code(&mut e, 7).references, [numbers[0] + 6]);
    assert_eq!(code(&mut e, 8).references, [numbers[0] + 6]);
    assert!(e.push_upstream_event(frame_meta::acknowledged_event(None)));
    assert_eq!(code(&mut e, 9).references, [numbers[0] + 8]);
}

#[test]
fn output_caps() {
    let of = |caps: &str| {
        let mut e = harness("licenc");
        e.set_src_caps_str(caps);
        let i = VideoInfo::from_caps(&e.srcpad().unwrap().current_caps().unwrap()).unwrap();
        e.push(gst::Buffer::from_mut_slice(vec![128u8; i.size()])).unwrap();
        let out = e.pull().unwrap();
        (caps_of(&e).structure(0).unwrap().to_owned(), lic_codec::bitstream::parse_header(&bytes(&out)).unwrap().stream.unwrap())
    };
    let (s, stream) =
        of("video/x-raw,format=UYVY,width=66,height=50,framerate=30000/1001,pixel-aspect-ratio=4/3,colorimetry=bt709,chroma-site=mpeg2");
    assert_eq!(s.name(), "video/x-lic");
    assert_eq!((s.get::<i32>("width").unwrap(), s.get::<i32>("height").unwrap()), (66, 50));
    assert_eq!(s.get::<gst::Fraction>("framerate").unwrap(), gst::Fraction::new(30000, 1001));
    assert_eq!(s.get::<gst::Fraction>("pixel-aspect-ratio").unwrap(), gst::Fraction::new(4, 3));
    assert_eq!(s.get::<&str>("stream-format").unwrap(), "byte-stream");
    assert_eq!(s.get::<&str>("alignment").unwrap(), "frame");
    assert_eq!((s.get::<&str>("colorimetry").unwrap(), s.get::<&str>("chroma-site").unwrap()), ("bt709", "mpeg2"));
    assert_eq!((stream.fps, stream.par, stream.colour), ((30000, 1001), (4, 3), lic_codec::Colour::BT709));

    let (s, stream) = of("video/x-raw,format=BGRx,width=64,height=48,framerate=0/1,pixel-aspect-ratio=2/1");
    assert_eq!((s.get::<&str>("colorimetry").unwrap(), s.get::<&str>("chroma-site").unwrap()), ("bt709", "jpeg"));
    assert_eq!((s.get::<i32>("width").unwrap(), s.get::<i32>("height").unwrap()), (64, 48));
    assert_eq!(s.get::<gst::Fraction>("pixel-aspect-ratio").unwrap(), gst::Fraction::new(2, 1));
    assert_eq!((stream.fps, stream.colour, stream.grey), ((0, 1), lic_codec::Colour::BT709, false));

    let (s, stream) = of("video/x-raw,format=YUY2,width=64,height=48,framerate=5/1,colorimetry=1:4:16:4");
    assert_eq!(s.get::<&str>("colorimetry").unwrap(), "1:4:16:4", "{s}");
    assert!(stream.colour.full_range && stream.colour.matrix == 6);

    let (_, stream) = of("video/x-raw,format=GRAY8,width=64,height=48,framerate=5/1");
    assert!(stream.grey);
    let (_, stream) = of("video/x-raw,format=I420,width=64,height=48,framerate=5/1");
    assert_eq!(stream.colour, lic_codec::Colour::BT601, "what GStreamer takes small pictures for");
}

/// What v4l2src does: it intersects with the peer's caps in the peer's order, and takes the first structure for a preference.
#[test]
fn a_source_that_may_choose_takes_a_size_for_real_time() {
    init();
    let element = gst::ElementFactory::make("licenc").build().unwrap();
    let sink = element.static_pad("sink").unwrap();
    let chosen = |modes: &str| {
        let (modes, takes) = (modes.parse::<gst::Caps>().unwrap(), sink.query_caps(None));
        let first = takes.intersect_with_mode(&modes, gst::CapsIntersectMode::First).structure(0).unwrap().to_owned();
        let size = (first.get::<i32>("width").unwrap(), first.get::<i32>("height").unwrap());
        (size, first.get::<gst::Fraction>("framerate").unwrap().numer())
    };
    let mode = |w: i32, h: i32, fps: i32| format!("video/x-raw,format=YUY2,width={w},height={h},framerate={fps}/1");
    let camera = [mode(3840, 2160, 30), mode(1280, 720, 60), mode(1280, 720, 30), mode(640, 480, 30)].join(";");
    assert_eq!(chosen(&camera), ((1280, 720), 30));
    // Nothing is refused for being larger or faster, of odd size, or without a rate.
    for (w, h, fps) in [(3840, 2160, 30), (4096, 2304, 120), (1281, 721, 0), (1, 1, 0), (175, 143, 25)] {
        assert_eq!(chosen(&mode(w, h, fps)), ((w, h), fps));
    }
}

#[test]
fn caps_change_in_the_stream() {
    let mut h = encoder("licenc ! licdec", 64, 48);
    h.push(i420(64, 48, 0)).unwrap();
    h.pull().unwrap();
    for (n, (width, height)) in [(1, (128, 80)), (2, (65, 47)), (3, (64, 48))] {
        h.set_src_caps(info(VideoFormat::I420, width, height).to_caps().unwrap());
        h.push(i420(width, height, n)).unwrap();
        let out = h.pull().unwrap();
        let i = VideoInfo::from_caps(&caps_of(&h)).unwrap();
        assert_eq!((i.width(), i.height(), out.pts()), (width, height, Some(time(n))));
    }
    // So do rate and shape, while the pictures go on.
    h.set_src_caps_str("video/x-raw,format=I420,width=64,height=48,framerate=15/2,pixel-aspect-ratio=2/1,colorimetry=bt709");
    h.push(i420(64, 48, 4)).unwrap();
    h.pull().unwrap();
    let i = VideoInfo::from_caps(&caps_of(&h)).unwrap();
    assert_eq!((i.fps(), i.par(), i.colorimetry().to_string()), (gst::Fraction::new(15, 2), gst::Fraction::new(2, 1), "bt709".into()));
    // Another layout of the same picture is no new stream.
    let mut e = encoder("licenc", 64, 48);
    e.push(i420(64, 48, 0)).unwrap();
    e.set_src_caps(info(VideoFormat::Nv12, 64, 48).to_caps().unwrap());
    e.push(picture(VideoFormat::Nv12, 64, 48, 1)).unwrap();
    let out = pull_all(&mut e);
    assert!(is_key(&out[0]) && !is_key(&out[1]));
    // Another size is one, with a numbering that goes on.
    e.set_src_caps(info(VideoFormat::I420, 80, 48).to_caps().unwrap());
    e.push(i420(80, 48, 2)).unwrap();
    let out = e.pull().unwrap();
    assert!(is_key(&out) && frame_meta::of(&out).unwrap().number == 2);
}

#[test]
fn a_flush_is_followed_by_a_key_frame() {
    let mut e = encoder("licenc", 64, 48);
    for n in 0..3 {
        e.push(i420(64, 48, n)).unwrap();
    }
    pull_all(&mut e);
    assert!(e.push_event(gst::event::FlushStart::new()));
    assert!(e.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(e.push_event(gst::event::Segment::new(&segment)));
    e.push(i420(64, 48, 3)).unwrap();
    let out = e.pull().unwrap();
    assert!(is_key(&out));
    assert_eq!(out.pts(), Some(time(3)));
}

#[test]
fn a_flush_before_new_caps_is_followed_by_a_key_frame() {
    let mut e = encoder("licenc", 64, 48);
    for n in 0..2 {
        e.push(i420(64, 48, n)).unwrap();
    }
    pull_all(&mut e);
    assert!(e.push_event(gst::event::FlushStart::new()));
    assert!(e.push_event(gst::event::FlushStop::new(true)));
    assert!(e.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    // The same stream in another layout, for which the encoder is kept.
    e.set_src_caps(info(VideoFormat::Nv12, 64, 48).to_caps().unwrap());
    e.push(picture(VideoFormat::Nv12, 64, 48, 2)).unwrap();
    assert!(is_key(&e.pull().unwrap()));
}

#[test]
fn latency_is_the_time_to_code_a_frame() {
    let of = |fps: &str| {
        let mut h = harness("licenc ! licdec");
        h.set_src_caps_str(&format!("video/x-raw,format=GRAY8,width=64,height=48,framerate={fps}"));
        h.push(gst::Buffer::from_mut_slice(vec![9u8; 64 * 48])).unwrap();
        h.query_latency()
    };
    assert_eq!(of("100/1"), Some(gst::ClockTime::from_mseconds(20)));
    assert_eq!(of("1/1"), Some(gst::ClockTime::from_mseconds(80)));
    assert_eq!(of("0/1"), Some(gst::ClockTime::from_mseconds(80)));
}

#[test]
fn what_it_does_not_take_is_said() {
    let mut e = harness("licenc");
    let bus = watch(&e.element().unwrap());
    e.set_src_caps_str("video/x-raw,format=I420,width=64,height=48,framerate=25/1,interlace-mode=interleaved");
    assert!(e.push(i420(64, 48, 0)).is_err());
    assert!(message(&bus).unwrap().contains("deinterlace"));

    let element = gst::ElementFactory::make("licenc").property("model", "nosuchpack").build().unwrap();
    let bus = watch(&element);
    assert!(element.set_state(gst::State::Paused).is_err());
    let text = message(&bus).unwrap();
    assert!(text.contains("nosuchpack"), "{text}");
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn without_onnx_runtime() {
    const INNER: &str = "LIC_TEST_WITHOUT_RUNTIME";
    if std::env::var_os(INNER).is_some() {
        init();
        for name in ["licenc", "licdec"] {
            let element = gst::ElementFactory::make(name).build().unwrap();
            let bus = watch(&element);
            assert!(element.set_state(gst::State::Ready).is_err());
            let text = message(&bus).unwrap();
            assert!(text.contains("onnxruntime") && text.contains("Install"), "{text}");
        }
        return;
    }
    // A process loads ONNX Runtime once: another one is needed to be without.
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "without_onnx_runtime"])
        .env("ORT_DYLIB_PATH", "/nonexistent/libonnxruntime.so")
        .env(INNER, "1")
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn states_in_any_order() {
    init();
    let element = gst::ElementFactory::make("licenc").property("model", "tiny").build().unwrap();
    for _ in 0..5 {
        for state in [gst::State::Ready, gst::State::Playing, gst::State::Paused, gst::State::Null] {
            element.set_state(state).unwrap();
        }
    }
}

#[test]
fn no_frame_is_larger_than_asked_for() {
    let mut e = encoder("licenc quality=100 max-frame-bytes=240", 96, 64);
    let next = |n: u64, e: &mut Harness| {
        e.push(i420(96, 64, n * 31)).unwrap();
        e.pull().unwrap().size()
    };
    let sizes: Vec<usize> = (0..8).map(|n| next(n, &mut e)).collect();
    assert!(sizes.iter().all(|s| *s <= 240) && sizes.iter().any(|s| *s > 120), "{sizes:?}");
    // Less than some frame needs: said, and the old one goes on.
    let element = e.element().unwrap();
    let bus = watch(&element);
    let element = element.downcast::<gst::Bin>().map_or_else(|e| e, |b| b.children().remove(0));
    element.set_property("max-frame-bytes", 10u32);
    assert!(next(8, &mut e) <= 240);
    let warning = bus.pop_filtered(&[gst::MessageType::Warning]).expect("it is said");
    let gst::MessageView::Warning(w) = warning.view() else { panic!("{warning:?}") };
    assert!(w.error().to_string().contains("smallest possible"), "{}", w.error());
    assert_eq!(element.property::<u32>("max-frame-bytes"), 240);
}

/// A frame leaves when it is coded, and none is held back for the next.
#[test]
fn one_frame_in_one_frame_out() {
    for threads in [1, 2, 4] {
        let mut e = encoder(&format!("licenc threads={threads}"), 176, 144);
        for n in 0..3 {
            e.push(i420(176, 144, n)).unwrap();
            // Without waiting: it came out while it was pushed.
            assert_eq!(e.try_pull().unwrap().pts(), Some(time(n)), "{threads} threads");
        }
        assert_eq!(e.query_latency(), Some(time(1)), "no more than a frame's time to code one");
    }
}

#[test]
fn threads_change_no_byte() {
    let of = |n: u32| {
        let mut e = encoder(&format!("licenc slices=3 threads={n}"), 96, 128);
        (0..3).for_each(|n| assert!(e.push(i420(96, 128, n)).is_ok()));
        pull_all(&mut e).iter().map(bytes).collect::<Vec<_>>()
    };
    assert!(of(1) == of(5));
}

#[test]
fn deep_formats_are_refused_by_name() {
    for (format, says) in [("I420_10LE", "10 bits"), ("P010_10LE", "10 bits"), ("GRAY16_LE", "16 bits"), ("Y444", "does not read")] {
        let mut e = harness("licenc");
        let bus = watch(&e.element().unwrap());
        e.set_src_caps_str(&format!("video/x-raw,format={format},width=64,height=48,framerate=25/1"));
        assert!(e.push(gst::Buffer::with_size(64 * 48 * 4).unwrap()).is_err());
        let text = message(&bus).unwrap_or_default();
        assert!(text.contains(format) && text.contains(says) && text.contains("videoconvert"), "{format}: {text}");
    }
    // Who only asks hears nothing.
    let e = harness("licenc");
    let bus = watch(&e.element().unwrap());
    let caps = "video/x-raw,format=P010_10LE,width=64,height=48,framerate=25/1".parse::<gst::Caps>().unwrap();
    assert!(!e.element().unwrap().static_pad("sink").unwrap().query_accept_caps(&caps));
    assert_eq!(message(&bus), None);
}

#[test]
fn more_pixels_than_are_coded_are_refused_by_name() {
    let mut e = harness("licenc");
    let bus = watch(&e.element().unwrap());
    e.set_src_caps_str("video/x-raw,format=GRAY8,width=4096,height=2305,framerate=25/1");
    assert!(e.push(gst::Buffer::with_size(4096 * 2305).unwrap()).is_err());
    let text = message(&bus).unwrap();
    assert!(text.contains("4096x2305") && text.contains("9437184") && text.contains("videoscale"), "{text}");
}

/// What caps say beside size and format comes out at the other end.
#[test]
fn colorimetry_chroma_site_and_pixel_aspect_are_kept() {
    for (colorimetry, site, aspect) in
        [("bt709", "mpeg2", (4, 3)), ("bt601", "jpeg", (1, 1)), ("bt2020", "cosited", (12, 11)), ("1:4:16:4", "mpeg2", (2, 1))]
    {
        let mut h = harness("licenc ! licdec");
        h.set_src_caps_str(&format!(
            "video/x-raw,format=NV12,width=64,height=48,framerate=24000/1001,pixel-aspect-ratio={}/{},colorimetry={colorimetry},chroma-site={site}",
            aspect.0, aspect.1
        ));
        h.push(picture(VideoFormat::Nv12, 64, 48, 0)).unwrap();
        h.pull().unwrap();
        let caps = caps_of(&h);
        let i = VideoInfo::from_caps(&caps).unwrap();
        assert_eq!((i.par(), i.fps()), (gst::Fraction::new(aspect.0, aspect.1), gst::Fraction::new(24000, 1001)), "{caps}");
        let s = caps.structure(0).unwrap();
        assert_eq!((s.get::<&str>("colorimetry").unwrap(), s.get::<&str>("chroma-site").unwrap()), (colorimetry, site), "{caps}");
        assert_eq!(s.get::<&str>("interlace-mode").unwrap_or("progressive"), "progressive");
    }
}

/// A rate that nothing keeps up with, and one that everything does: no clock is asked.
#[test]
fn a_mode_that_cannot_run_in_time_is_said_once() {
    let warnings = |fps: &str| {
        let mut e = harness("licenc");
        let bus = watch(&e.element().unwrap());
        e.set_src_caps_str(&format!("video/x-raw,format=I420,width=64,height=48,framerate={fps}"));
        for n in 0..150 {
            e.push(i420(64, 48, n % 8)).unwrap();
            e.pull().unwrap();
        }
        std::iter::from_fn(|| message(&bus)).collect::<Vec<_>>()
    };
    assert_eq!(warnings("1/1000"), [""; 0]);
    let said = warnings("1000000/1");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("64x48") && said[0].contains("video/x-raw,") && said[0].ends_with("! licenc"), "{said:?}");
}

/// Only with qos=true: frames that would be late are dropped and counted, and a key frame that was asked for comes with the next.
#[test]
fn late_frames_are_not_coded() {
    for qos in [false, true] {
        let mut e = encoder(&format!("licenc qos={qos} key-int-max=0"), 64, 48);
        let bus = watch(&e.element().unwrap());
        e.push(i420(64, 48, 0)).unwrap();
        let late = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, gst::ClockTime::from_mseconds(60).nseconds() as i64, time(1));
        assert!(e.push_upstream_event(late));
        assert!(e.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().build()));
        for n in 1..12 {
            e.push(i420(64, 48, n)).unwrap();
        }
        let out = pull_all(&mut e);
        assert_eq!(bus.pop_filtered(&[gst::MessageType::Qos]).is_some(), qos);
        assert!(if qos { out.len() < 12 } else { out.len() == 12 }, "{} frames", out.len());
        assert!(is_key(&out[1]) && out.iter().skip(2).all(|b| !is_key(b)));
        assert_eq!(out.last().unwrap().pts(), Some(time(11)));
    }
}
