//! What GStreamer and the codec call the same things: caps, colour, planes, errors.

use gst_video::prelude::*;
use lic_codec::{Colour, Error, RawFormat, StreamInfo};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Name of the media type.
pub const MEDIA: &str = "video/x-lic";

/// How long a frame may take in an element that codes it at once, whatever the frame rate. Reported as latency, so that a
/// sink that synchronises waits for the coding and no longer, even at one frame a second.
const CODING_TIME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A panic elsewhere must not become a second one here.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Caps of whole lic frames, without the fields that depend on the stream.
pub fn frame_caps() -> gst::Caps {
    gst::Caps::builder(MEDIA).field("stream-format", "byte-stream").field("alignment", "frame").build()
}

/// Caps of whole lic frames of one stream.
pub fn stream_caps(info: &StreamInfo) -> gst::Caps {
    let mut caps = gst::Caps::builder(MEDIA)
        .field("stream-format", "byte-stream")
        .field("alignment", "frame")
        .field("width", info.width as i32)
        .field("height", info.height as i32)
        .field("framerate", frame_rate(info))
        .field("pixel-aspect-ratio", aspect(info));
    if let Some(c) = colorimetry(&info.colour) {
        caps = caps.field("colorimetry", c.to_string());
    }
    caps.build()
}

/// 0/1 where it is unknown or no fraction of GStreamer's.
pub fn frame_rate(info: &StreamInfo) -> gst::Fraction {
    fraction(info.fps).unwrap_or(gst::Fraction::new(0, 1))
}

pub fn aspect(info: &StreamInfo) -> gst::Fraction {
    fraction(info.par).filter(|f| f.numer() > 0).unwrap_or(gst::Fraction::new(1, 1))
}

fn fraction((n, d): (u32, u32)) -> Option<gst::Fraction> {
    let (n, d) = (i32::try_from(n).ok()?, i32::try_from(d).ok()?);
    (d > 0).then(|| gst::Fraction::new(n, d))
}

/// A negative or zero half of a fraction becomes `default`.
fn unsigned(f: gst::Fraction, default: (u32, u32)) -> (u32, u32) {
    match (u32::try_from(f.numer()), u32::try_from(f.denom())) {
        (Ok(n), Ok(d)) if n > 0 && d > 0 => (n, d),
        _ => default,
    }
}

/// What the codec writes into key frames for raw video of these caps.
pub fn stream_info(info: &gst_video::VideoInfo) -> StreamInfo {
    StreamInfo {
        width: info.width(),
        height: info.height(),
        fps: unsigned(info.fps(), (0, 1)),
        par: unsigned(info.par(), (1, 1)),
        colour: if info.is_rgb() { Colour::BT709 } else { colour(&info.colorimetry()) },
        grey: info.is_gray(),
    }
}

fn colour(c: &gst_video::VideoColorimetry) -> Colour {
    // Code points of H.273 fit a byte.
    Colour {
        primaries: c.primaries().to_iso() as u8,
        transfer: c.transfer().to_iso() as u8,
        matrix: c.matrix().to_iso() as u8,
        full_range: c.range() == gst_video::VideoColorRange::Range0_255,
    }
}

/// None where the stream does not say by which matrix, or names one that is none of YUV's: GStreamer refuses such caps.
pub fn colorimetry(c: &Colour) -> Option<gst_video::VideoColorimetry> {
    use gst_video::{VideoColorMatrix as Matrix, VideoColorPrimaries, VideoColorRange as Range, VideoTransferFunction};
    let matrix = Matrix::from_iso(c.matrix.into());
    let range = if c.full_range { Range::Range0_255 } else { Range::Range16_235 };
    (!matches!(matrix, Matrix::Unknown | Matrix::Rgb)).then(|| {
        let (transfer, primaries) = (VideoTransferFunction::from_iso(c.transfer.into()), VideoColorPrimaries::from_iso(c.primaries.into()));
        gst_video::VideoColorimetry::new(range, matrix, transfer, primaries)
    })
}

/// Of the RGB pictures that are made of such YUV.
pub fn rgb_colorimetry(c: &Colour) -> gst_video::VideoColorimetry {
    use gst_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoTransferFunction};
    let (transfer, primaries) = (VideoTransferFunction::from_iso(c.transfer.into()), VideoColorPrimaries::from_iso(c.primaries.into()));
    gst_video::VideoColorimetry::new(VideoColorRange::Range0_255, VideoColorMatrix::Rgb, transfer, primaries)
}

/// The raw formats that the codec reads, by GStreamer's name. Alpha is ignored.
pub const RAW_FORMATS: [(gst_video::VideoFormat, RawFormat); 17] = {
    use gst_video::VideoFormat as V;
    [
        (V::I420, RawFormat::I420),
        (V::Yv12, RawFormat::Yv12),
        (V::Nv12, RawFormat::Nv12),
        (V::Nv21, RawFormat::Nv21),
        (V::Yuy2, RawFormat::Yuy2),
        (V::Uyvy, RawFormat::Uyvy),
        (V::Gray8, RawFormat::Gray8),
        (V::Rgb, RawFormat::Rgb),
        (V::Bgr, RawFormat::Bgr),
        (V::Rgbx, RawFormat::Rgbx),
        (V::Bgrx, RawFormat::Bgrx),
        (V::Xrgb, RawFormat::Xrgb),
        (V::Xbgr, RawFormat::Xbgr),
        (V::Rgba, RawFormat::Rgbx),
        (V::Bgra, RawFormat::Bgrx),
        (V::Argb, RawFormat::Xrgb),
        (V::Abgr, RawFormat::Xbgr),
    ]
};

/// Why licenc does not take these caps, for the person who has to mend it; None if that is no raw format's fault.
pub fn refused_format(caps: &gst::CapsRef) -> Option<String> {
    let format = gst_video::VideoInfo::from_caps(caps).ok()?.format_info();
    if format.format() == gst_video::VideoFormat::Encoded || raw_format(format.format()).is_some() {
        return None;
    }
    let bits = format.depth().iter().max().copied().unwrap_or(8);
    let why = if bits > 8 { format!("samples of {bits} bits") } else { "a layout that it does not read".into() };
    Some(format!("licenc codes 8 bits a sample in I420, NV12, YUY2, RGB and the like; {format} has {why}: put videoconvert before licenc"))
}

pub fn raw_format(format: gst_video::VideoFormat) -> Option<RawFormat> {
    RAW_FORMATS.iter().find(|f| f.0 == format).map(|f| f.1)
}

/// Start, stride and length of each plane of a mapped frame, cut to what the picture needs. None if the buffer's
/// GstVideoMeta promises more than its memory holds: GStreamer does not check that.
fn plane_ranges<F: VideoFrameExt>(frame: &F, format: RawFormat) -> Option<Vec<(*mut u8, usize, usize)>> {
    let sizes = format.planes(frame.width() as usize, frame.height() as usize);
    // SAFETY: the frame is mapped for as long as `frame` lives.
    let raw = unsafe { &*frame.as_ptr() };
    let mut out = Vec::with_capacity(sizes.len());
    for (i, (line, lines)) in sizes.into_iter().enumerate() {
        let stride = usize::try_from(raw.info.stride[i]).ok()?;
        let need = stride.checked_mul(lines.checked_sub(1)?)?.checked_add(line)?;
        let (data, end) = (raw.data[i] as usize, (raw.data[i] as usize).checked_add(need)?);
        let within = raw.map.iter().any(|m| !m.data.is_null() && m.data as usize <= data && end <= m.data as usize + m.size);
        if !within {
            return None;
        }
        out.push((raw.data[i] as *mut u8, stride, need));
    }
    Some(out)
}

/// Bytes and stride of each plane.
pub fn planes<'a>(frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>, format: RawFormat) -> Option<Vec<(&'a [u8], usize)>> {
    let ranges = plane_ranges(frame, format)?;
    // SAFETY: each range lies within memory that `frame` keeps mapped.
    Some(ranges.into_iter().map(|(p, stride, len)| (unsafe { std::slice::from_raw_parts(p, len) }, stride)).collect())
}

/// Bytes and stride of each plane, to write to. None also if planes overlap.
pub fn planes_mut<'a>(
    frame: &'a mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    format: RawFormat,
) -> Option<Vec<(&'a mut [u8], usize)>> {
    let ranges = plane_ranges(&*frame, format)?;
    let mut spans: Vec<_> = ranges.iter().map(|r| (r.0 as usize, r.0 as usize + r.2)).collect();
    spans.sort_unstable();
    if spans.windows(2).any(|w| w[1].0 < w[0].1) {
        return None;
    }
    // SAFETY: each range lies within memory that `frame` keeps mapped for writing, and no two overlap.
    Some(ranges.into_iter().map(|(p, stride, len)| (unsafe { std::slice::from_raw_parts_mut(p, len) }, stride)).collect())
}

/// The pad of an element that feeds a sink pad, through the walls of bins.
pub fn feeding(sink: &gst::Pad) -> Option<gst::Pad> {
    let mut at = sink.peer()?;
    loop {
        at = match at.downcast::<gst::GhostPad>().map_err(|p| p.downcast::<gst::ProxyPad>()) {
            Ok(ghost) => ghost.target()?,
            Err(Ok(inner)) => inner.internal()?.peer()?,
            Err(Err(pad)) => return Some(pad),
        };
    }
}

/// The element that a pad's stream begins at, as in a launch line, and the caps that it can give.
pub fn source_of(sink: &gst::Pad) -> (String, gst::Caps) {
    let mut first = feeding(sink);
    // More elements in a row than any pipeline has, so that a loop ends.
    for _ in 0..1000 {
        let element = first.as_ref().and_then(|p| p.parent_element());
        match element.and_then(|e| e.sink_pads().into_iter().next()).and_then(|p| feeding(&p)) {
            Some(before) => first = Some(before),
            None => break,
        }
    }
    let source = first.as_ref().and_then(|p| p.parent_element()).map_or("...".into(), |e| launch_name(&e));
    (source, first.map_or_else(gst::Caps::new_any, |p| p.query_caps(None)))
}

fn launch_name(element: &gst::Element) -> String {
    let name = element.factory().map_or_else(|| element.name(), |f| f.name());
    let device = element.find_property("device").filter(|p| p.value_type() == String::static_type());
    let device =
        device.filter(|p| p.flags().contains(gst::glib::ParamFlags::READABLE)).and_then(|_| element.property::<Option<String>>("device"));
    device.map_or(name.to_string(), |d| format!("{name} device={d}"))
}

/// The latency of an element that codes each frame at once: it holds none back, but coding takes time.
pub fn latency(fps: gst::Fraction) -> gst::ClockTime {
    let frame = gst::ClockTime::SECOND.mul_div_floor(fps.denom().max(1) as u64, fps.numer().max(1) as u64);
    frame.filter(|_| fps.numer() > 0).map_or(CODING_TIME, |f| f.min(CODING_TIME))
}

/// The codec's error in GStreamer's terms; its text is written for users.
pub fn error_message(error: &Error) -> gst::ErrorMessage {
    let text = error.to_string();
    match error {
        Error::NoDevice(_) | Error::Device(_) => gst::error_msg!(gst::LibraryError::Init, ("{text}")),
        Error::Runtime(_) => gst::error_msg!(gst::LibraryError::Init, ("{text}")),
        Error::Pack(_) | Error::UnknownPack { .. } => gst::error_msg!(gst::ResourceError::NotFound, ("{text}")),
        Error::Unsupported(_) | Error::TooLarge { .. } => gst::error_msg!(gst::StreamError::Format, ("{text}")),
        Error::Damaged(_) | Error::MissingReference { .. } => gst::error_msg!(gst::StreamError::Decode, ("{text}")),
    }
}

/// When to ask upstream for a key frame: at once when the need arises, and again each second that none comes.
#[derive(Default)]
pub struct KeyRequests {
    asked: Option<Instant>,
}

impl KeyRequests {
    const AGAIN: Duration = Duration::from_secs(1);

    /// A key frame is needed; whether to ask at this time.
    pub fn due(&mut self, now: Instant) -> bool {
        let due = self.asked.is_none_or(|t| now.saturating_duration_since(t) >= Self::AGAIN);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// A key frame came.
    pub fn met(&mut self) {
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_asked_for_again_each_second() {
        let (mut requests, start) = (KeyRequests::default(), Instant::now());
        let mut asked = |ms: u64| requests.due(start + Duration::from_millis(ms));
        assert_eq!([0, 10, 999, 1000, 1500, 1999, 2000].map(&mut asked), [true, false, false, true, false, false, true]);
        requests.met();
        assert!(requests.due(start + Duration::from_millis(2001)));
    }

    #[test]
    fn what_is_refused_is_named() {
        gst::init().unwrap();
        let text = |format: &str| refused_format(&format!("video/x-raw,format={format},width=8,height=8").parse::<gst::Caps>().unwrap());
        for (format, why) in [("P010_10LE", "10 bits"), ("Y444_16LE", "16 bits"), ("I422_12LE", "12 bits"), ("Y42B", "does not read")] {
            let text = text(format).unwrap();
            assert!(text.contains(format) && text.contains(why) && text.contains("put videoconvert before"), "{text}");
        }
        assert!(RAW_FORMATS.iter().all(|f| text(f.0.to_str()).is_none()));
        assert!(refused_format(&"image/jpeg,width=8,height=8".parse::<gst::Caps>().unwrap()).is_none());
    }
}
