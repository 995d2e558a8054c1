use crate::frame_meta::{self, FrameMeta};
use crate::stream::{self, KeyRequests, lock};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use lic_codec::StreamInfo;
use lic_codec::bitstream::{self, FrameHeader, Scan, scan};
use lic_container::lic::{MAGIC, TimeReader};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("licparse", gst::DebugColorFlags::empty(), Some("lic parser")));

/// Frames a second where neither the stream nor its transport says when a frame was taken.
const FALLBACK_RATE: gst::Fraction = gst::Fraction::new_raw(30, 1);
/// The least that may tell a frame from none.
const MIN_SIZE: u32 = 3;
/// How much more to read to find out whether a frame was cut.
const CUT_LOOK_AHEAD: usize = 1 << 20;

#[derive(Default)]
struct State {
    stream: Option<StreamInfo>,
    /// Upstream gives bytes without times (a file), not buffers with them.
    untimed: bool,
    /// By which the frames of an untimed stream are timed.
    rate: Option<gst::Fraction>,
    /// Times that the frames of an untimed stream have of their own.
    times: TimeReader,
    own_time: bool,
    /// Frames were dropped since the last one that left.
    gap: bool,
    key_requests: KeyRequests,
}

/// What to do with the bytes at hand.
enum Step {
    Frame(FrameHeader),
    /// At least this many bytes are needed.
    Wait(usize),
    Skip(usize),
}

#[derive(Default)]
pub struct LicParse {
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for LicParse {
    const NAME: &'static str = "GstLicParse";
    type Type = super::LicParse;
    type ParentType = gst_base::BaseParse;
}

impl ObjectImpl for LicParse {}

impl GstObjectImpl for LicParse {}

impl ElementImpl for LicParse {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "lic video parser",
                "Codec/Parser/Converter/Video",
                "Finds the frames of a lic stream, of a .lic file for example, and what they refer to",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection, PadPresence, PadTemplate};
            let any = gst::Caps::new_empty_simple(stream::MEDIA);
            vec![
                PadTemplate::new("sink", PadDirection::Sink, PadPresence::Always, &any).expect("a valid template"),
                PadTemplate::new("src", PadDirection::Src, PadPresence::Always, &stream::frame_caps()).expect("a valid template"),
            ]
        });
        TEMPLATES.as_ref()
    }
}

impl BaseParseImpl for LicParse {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = State { untimed: true, ..State::default() };
        self.obj().set_min_frame_size(MIN_SIZE);
        self.parent_start()
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Segment(e) => {
                let mut state = lock(&self.state);
                state.untimed = e.segment().format() != gst::Format::Time;
                state.rate = state.rate.filter(|_| state.untimed);
            }
            gst::EventView::FlushStop(_) => self.obj().set_min_frame_size(MIN_SIZE),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn set_sink_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "caps {caps}");
        // They may say something that key frames do not; announced with the next one.
        lock(&self.state).stream = None;
        Ok(())
    }

    fn handle_frame(&self, mut frame: gst_base::BaseParseFrame) -> Result<(gst::FlowSuccess, u32), gst::FlowError> {
        let instance = self.obj();
        let draining = instance.is_draining();
        let buffer = frame.buffer().ok_or(gst::FlowError::Error)?;
        let step = {
            let data = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            step(&data, draining)
        };
        let header = match step {
            Step::Frame(h) => h,
            Step::Wait(n) => {
                instance.set_min_frame_size(n.min(i32::MAX as usize) as u32);
                return Ok((gst::FlowSuccess::Ok, 0));
            }
            Step::Skip(n) => {
                instance.set_min_frame_size(MIN_SIZE);
                return Ok((gst::FlowSuccess::Ok, n as u32));
            }
        };
        instance.set_min_frame_size(MIN_SIZE);
        if let Some(info) = header.stream {
            self.announce(&info)?;
        } else if self.no_beginning_yet() {
            gst::debug!(CAT, imp = self, "frame {} comes before any that a stream may begin with: dropped", header.number);
            // Not skipped: the base class takes what is skipped for garbage, and too much garbage for an error.
            frame.set_flags(gst_base::BaseParseFrameFlags::DROP);
            return Ok((instance.finish_frame(frame, header.length as u32)?, 0));
        }

        let time = {
            let mut state = lock(&self.state);
            let time = buffer.map_readable().ok().filter(|_| state.untimed).and_then(|data| state.times.read(&data, &header));
            state.own_time = time.is_some();
            time.map(gst::ClockTime::from_nseconds)
        };
        let FrameHeader { number, key, recovery, length, references, .. } = header;
        let meta = FrameMeta { number, key, recovery, references };
        // Without the metas of what upstream cut differently; they belong to whole buffers.
        let parts = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::MEMORY;
        let mut out = buffer.copy_region(parts, 0..length).map_err(|_| gst::FlowError::Error)?;
        {
            let out = out.make_mut();
            if key {
                out.unset_flags(gst::BufferFlags::DELTA_UNIT);
            } else {
                out.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            if std::mem::take(&mut lock(&self.state).gap) {
                out.set_flags(gst::BufferFlags::DISCONT);
            }
            if let Some(time) = time {
                out.set_pts(time);
                out.set_dts(None);
            }
            frame_meta::attach(out, &meta);
        }
        frame.set_output_buffer(out);
        Ok((instance.finish_frame(frame, length as u32)?, 0))
    }

    fn pre_push_frame(&self, frame: &mut gst_base::BaseParseFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let rate = Some(lock(&self.state)).filter(|s| !s.own_time).and_then(|s| s.rate);
        if let (Some(rate), Some(buffer)) = (rate, frame.buffer_mut()) {
            // The base class adds up rounded durations.
            let (pts, dts) = (buffer.pts().map(|t| on_grid(t, rate)), buffer.dts().map(|t| on_grid(t, rate)));
            buffer.set_pts(pts);
            buffer.set_dts(dts);
        }
        self.parent_pre_push_frame(frame)
    }
}

impl LicParse {
    /// Then a frame is of no use to anyone, and one that is gets asked for.
    fn no_beginning_yet(&self) -> bool {
        let ask = {
            let mut state = lock(&self.state);
            if state.stream.is_some() {
                return false;
            }
            state.gap = true;
            state.key_requests.due(Instant::now())
        };
        if ask {
            self.obj().sink_pad().push_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
        }
        true
    }

    /// Caps of what a key frame or recovery point describes, where they changed.
    fn announce(&self, info: &StreamInfo) -> Result<(), gst::FlowError> {
        let rate = stream::frame_rate(info);
        let rate = {
            let mut state = lock(&self.state);
            state.key_requests.met();
            if state.stream.as_ref() == Some(info) {
                return Ok(());
            }
            state.stream = Some(*info);
            let rate = if state.untimed && rate.numer() == 0 { FALLBACK_RATE } else { rate };
            state.rate = state.untimed.then_some(rate);
            rate
        };
        let instance = self.obj();
        let mut caps = stream::stream_caps(info);
        let upstream = instance.sink_pad().current_caps();
        if let Some(site) = upstream.as_ref().and_then(|c| c.structure(0)).and_then(|s| s.get::<String>("chroma-site").ok()) {
            caps.make_mut().set("chroma-site", site);
        }
        gst::debug!(CAT, imp = self, "output {caps}");
        instance.set_frame_rate(rate, 0, 0);
        if !instance.src_pad().push_event(gst::event::Caps::new(&caps)) {
            // Said again with the next key frame.
            lock(&self.state).stream = None;
            let flushing = instance.src_pad().pad_flags().contains(gst::PadFlags::FLUSHING);
            return Err(if flushing { gst::FlowError::Flushing } else { gst::FlowError::NotNegotiated });
        }
        Ok(())
    }
}

/// The time of the frame that is nearest to `time`, counted from 0.
fn on_grid(time: gst::ClockTime, rate: gst::Fraction) -> gst::ClockTime {
    let second = gst::ClockTime::SECOND.nseconds() as u128;
    let (n, d) = (rate.numer() as u128, second * rate.denom() as u128);
    let frame = (time.nseconds() as u128 * n + d / 2) / d;
    u64::try_from(frame * d / n).map_or(time, gst::ClockTime::from_nseconds)
}

fn step(data: &[u8], draining: bool) -> Step {
    // The index of a file; nothing comes behind it.
    if data.starts_with(&MAGIC) {
        return Step::Skip(data.len());
    }
    match scan(data) {
        Scan::Frame(h) => {
            let (frame, rest) = data.split_at(h.length.min(data.len()));
            // What follows is no frame: then this one may have been cut, and the next lie within what it says is its own.
            if rest.starts_with(&MAGIC[..rest.len().min(MAGIC.len())]) {
                return Step::Frame(h);
            }
            let sync = &bitstream::SYNC[..rest.len().min(bitstream::SYNC.len())];
            if rest.starts_with(sync) {
                return Step::Frame(h);
            }
            for (i, _) in frame.iter().enumerate().skip(1).filter(|(_, b)| **b == bitstream::SYNC[0]) {
                match scan(&data[i..]) {
                    Scan::Frame(_) => return Step::Skip(i),
                    Scan::NeedMore(n) if !draining && n <= CUT_LOOK_AHEAD => return Step::Wait(i + n),
                    _ => {}
                }
            }
            Step::Frame(h)
        }
        // The end: a cut frame hides no whole one.
        Scan::NeedMore(_) if draining => {
            let next = data.iter().skip(1).position(|b| *b == bitstream::SYNC[0]);
            Step::Skip(next.map_or(data.len().max(1), |i| i + 1))
        }
        Scan::NeedMore(n) => Step::Wait(n),
        Scan::Skip(n) => Step::Skip(n),
    }
}
