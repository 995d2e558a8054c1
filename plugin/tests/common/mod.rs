//! Pictures, coded streams and comparisons for the tests of the elements.
#![allow(dead_code)] // each test program uses its part

use gst::prelude::*;
use gst_check::Harness;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrame, VideoInfo};

pub const FPS: i32 = 30;

pub fn init() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The frozen pack of the codec's own tests, so that training breaks none of these.
        // SAFETY: nothing else in this process has looked at the environment yet: every test begins here.
        unsafe { std::env::set_var("LIC_MODELS", concat!(env!("CARGO_MANIFEST_DIR"), "/../codec/tests/golden")) };
        gst::init().unwrap();
        gstlic::plugin_register_static().unwrap();
    });
}

pub fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    let mut b = VideoInfo::builder(format, width, height).fps(gst::Fraction::new(FPS, 1));
    let bt709 = gst_video::VideoColorimetry::new(
        gst_video::VideoColorRange::Range16_235,
        gst_video::VideoColorMatrix::Bt709,
        gst_video::VideoTransferFunction::Bt709,
        gst_video::VideoColorPrimaries::Bt709,
    );
    if gst_video::VideoFormatInfo::from_format(format).is_yuv() {
        b = b.colorimetry(&bt709);
    }
    b.build().unwrap()
}

pub fn time(n: u64) -> gst::ClockTime {
    gst::ClockTime::SECOND * n / FPS as u64
}

fn stamped(mut buffer: gst::Buffer, n: u64) -> gst::Buffer {
    let b = buffer.get_mut().unwrap();
    b.set_pts(time(n));
    b.set_duration(time(1));
    buffer
}

/// Picture `n` of a smooth, coloured, moving scene as I420.
pub fn i420(width: u32, height: u32, n: u64) -> gst::Buffer {
    let info = info(VideoFormat::I420, width, height);
    let buffer = gst::Buffer::with_size(info.size()).unwrap();
    let mut frame = VideoFrame::from_buffer_writable(buffer, &info).unwrap();
    let t = n as f32 * 0.15;
    let strides: Vec<usize> = frame.plane_stride().iter().map(|s| *s as usize).collect();
    for (plane, stride) in strides.into_iter().enumerate() {
        let scale = if plane == 0 { 1.0 } else { 2.0 };
        let data = frame.plane_data_mut(plane as u32).unwrap();
        for (y, line) in data.chunks_mut(stride).enumerate() {
            for (x, v) in line.iter_mut().enumerate() {
                let (x, y) = (x as f32 * scale, y as f32 * scale);
                *v = match plane {
                    0 => 120.0 + 60.0 * (x / 23.0 + t).sin() + 30.0 * (y / 17.0 - t).cos(),
                    1 => 110.0 + 30.0 * (x / 60.0).sin(),
                    _ => 150.0 + 30.0 * (y / 50.0 + t).cos(),
                } as u8;
            }
        }
    }
    stamped(frame.into_buffer(), n)
}

pub fn convert(buffer: &gst::Buffer, from: &VideoInfo, to: &VideoInfo) -> gst::Buffer {
    let converter = gst_video::VideoConverter::new(from, to, None).unwrap();
    let source = VideoFrame::from_buffer_readable(buffer.clone(), from).unwrap();
    let mut target = VideoFrame::from_buffer_writable(gst::Buffer::with_size(to.size()).unwrap(), to).unwrap();
    converter.frame(&source, &mut target);
    let mut out = target.into_buffer();
    let b = out.get_mut().unwrap();
    b.set_pts(buffer.pts());
    b.set_duration(buffer.duration());
    out
}

/// Picture `n` of the same scene in any format.
pub fn picture(format: VideoFormat, width: u32, height: u32, n: u64) -> gst::Buffer {
    convert(&i420(width, height, n), &info(VideoFormat::I420, width, height), &info(format, width, height))
}

/// PSNR of each plane's visible samples.
pub fn psnr(a: &gst::Buffer, b: &gst::Buffer, info: &VideoInfo) -> Vec<f64> {
    let (a, b) = (VideoFrame::from_buffer_readable(a.clone(), info).unwrap(), VideoFrame::from_buffer_readable(b.clone(), info).unwrap());
    let plane = |p: u32| {
        let (w, h) = (info.comp_width(p as u8) as usize, info.comp_height(p as u8) as usize);
        let (sa, sb) = (a.plane_stride()[p as usize] as usize, b.plane_stride()[p as usize] as usize);
        let (da, db) = (a.plane_data(p).unwrap(), b.plane_data(p).unwrap());
        let mut sum = 0.0;
        for y in 0..h {
            for x in 0..w {
                sum += (da[y * sa + x] as f64 - db[y * sb + x] as f64).powi(2);
            }
        }
        10.0 * (255.0 * 255.0 * (w * h) as f64 / sum.max(1e-9)).log10()
    };
    (0..info.n_planes()).map(plane).collect()
}

pub fn bytes(buffer: &gst::Buffer) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

pub fn is_key(buffer: &gst::Buffer) -> bool {
    !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
}

/// All that a harness has to give at the moment.
pub fn pull_all(h: &mut Harness) -> Vec<gst::Buffer> {
    std::iter::from_fn(|| h.try_pull()).collect()
}

/// An encoder that takes I420.
pub fn encoder(launch: &str, width: u32, height: u32) -> Harness {
    let mut h = harness(launch);
    h.set_src_caps(info(VideoFormat::I420, width, height).to_caps().unwrap());
    h
}

/// Elements with the tests' pack, playing.
pub fn harness(launch: &str) -> Harness {
    init();
    let mut h = Harness::new_parse(&launch.replace("licenc", "licenc model=tiny"));
    h.play();
    h
}

pub struct Stream {
    pub caps: gst::Caps,
    pub frames: Vec<gst::Buffer>,
}

/// Frames `numbers` of the scene, coded.
pub fn coded(launch: &str, width: u32, height: u32, numbers: std::ops::Range<u64>) -> Stream {
    let mut h = encoder(launch, width, height);
    let count = numbers.end - numbers.start;
    for n in numbers {
        h.push(i420(width, height, n)).unwrap();
    }
    let frames = pull_all(&mut h);
    assert_eq!(frames.len() as u64, count);
    Stream { caps: caps_of(&h), frames }
}

/// Caps that came out of a harness's element.
pub fn caps_of(h: &Harness) -> gst::Caps {
    h.sinkpad().unwrap().current_caps().unwrap()
}

/// A decoder that shows only what is whole.
pub fn decoder(caps: &gst::Caps) -> Harness {
    init();
    let mut h = Harness::new("licdec");
    h.element().unwrap().set_property("conceal", false);
    h.play();
    h.set_src_caps(caps.clone());
    h
}

/// A buffer with the same times and flags but other bytes.
pub fn with_bytes(like: &gst::Buffer, bytes: Vec<u8>) -> gst::Buffer {
    let mut out = gst::Buffer::from_mut_slice(bytes);
    let b = out.get_mut().unwrap();
    b.set_pts(like.pts());
    b.set_dts(like.dts());
    b.set_duration(like.duration());
    b.set_flags(like.flags());
    out
}

/// Key frames that were asked for upstream of a harness's element since last asked here.
pub fn key_requests(h: &mut Harness) -> usize {
    std::iter::from_fn(|| h.try_pull_upstream_event()).filter(is_key_request).count()
}

/// The text of the first error or warning on an element's bus.
pub fn message(bus: &gst::Bus) -> Option<String> {
    let types = [gst::MessageType::Error, gst::MessageType::Warning];
    bus.pop_filtered(&types).map(|m| match m.view() {
        gst::MessageView::Error(e) => e.error().to_string(),
        gst::MessageView::Warning(w) => w.error().to_string(),
        _ => String::new(),
    })
}

pub fn watch(element: &gst::Element) -> gst::Bus {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    bus
}

/// Deterministic noise.
pub struct Noise(pub u64);

impl Noise {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// GStreamer names the event alike in both directions.
pub fn is_key_request(event: &gst::Event) -> bool {
    event.structure().is_some_and(|s| s.name() == "GstForceKeyUnit")
}
