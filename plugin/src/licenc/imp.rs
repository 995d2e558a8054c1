use super::pace::{self, Pace};
use super::{Effort, Inter, roi};
use crate::backend::{self, Backend, Chosen};
use crate::foreign;
use crate::frame_meta::{self, FrameMeta};
use crate::stream::{self, lock};
use gst::glib;
use gst::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;
use lic_codec::{Encoder, FrameParams, Pack, Packet, RawFormat, RawFrame, Region, Runtime, StreamInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("licenc", gst::DebugColorFlags::empty(), Some("lic encoder")));

const DEFAULT_QUALITY: i32 = 50;
const DEFAULT_BITRATE: u32 = 0;
const DEFAULT_MAX_FRAME_BYTES: u32 = 0;
const DEFAULT_KEY_INT_MAX: u32 = 60;
const DEFAULT_INTRA_REFRESH: u32 = 0;
const DEFAULT_MODEL: &str = "base";
const DEFAULT_THREADS: u32 = 0;
const DEFAULT_SLICES: u32 = 0;
const DEFAULT_RDO: bool = true;

/// Width, height and frame rate up to which the first structure of the template goes. By it v4l2src chooses among a camera's
/// modes; with no limit it takes the largest, which is far from real time.
const PREFERRED: (i32, i32, gst::Fraction) = (1280, 720, gst::Fraction::new_raw(30, 1));

/// Reports of lost frames that may wait for the next frame; older ones are of no use to the encoder any more.
const MAX_LOST: usize = 64;

#[derive(Clone, Debug)]
struct Settings {
    quality: i32,
    bitrate: u32,
    max_frame_bytes: u32,
    key_int_max: u32,
    intra_refresh: u32,
    model: String,
    backend: Backend,
    device_id: u32,
    threads: u32,
    slices: u32,
    inter: Inter,
    rdo: bool,
    effort: Effort,
    roi: String,
    /// What `roi` says, or what is wrong with it.
    regions: Result<Vec<Region>, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            quality: DEFAULT_QUALITY,
            bitrate: DEFAULT_BITRATE,
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
            key_int_max: DEFAULT_KEY_INT_MAX,
            intra_refresh: DEFAULT_INTRA_REFRESH,
            model: DEFAULT_MODEL.into(),
            backend: Backend::default(),
            device_id: backend::DEFAULT_DEVICE,
            threads: DEFAULT_THREADS,
            slices: DEFAULT_SLICES,
            inter: Inter::default(),
            rdo: DEFAULT_RDO,
            effort: Effort::default(),
            roi: String::new(),
            regions: Ok(Vec::new()),
        }
    }
}

impl Settings {
    fn for_codec(&self) -> lic_codec::Settings {
        lic_codec::Settings {
            quality: self.quality as f32,
            bitrate: self.bitrate,
            max_frame_bytes: self.max_frame_bytes,
            key_int_max: self.key_int_max,
            intra_refresh: self.intra_refresh,
            threads: self.threads,
            slices: self.slices,
            inter: self.inter.into(),
            rdo: self.rdo,
            fixed_step: false,
            effort: self.effort.into(),
        }
    }
}

struct State {
    encoder: Encoder,
    /// What `encoder` was made for.
    stream: StreamInfo,
    video_info: gst_video::VideoInfo,
    format: RawFormat,
    /// The receiver may have lost what the next frame would refer to.
    force_key: bool,
    /// Settings that the encoder would not take.
    refused: Option<lic_codec::Settings>,
    pace: Pace,
    /// What a frame takes, if that is too long and not said yet.
    slow: Option<Duration>,
}

#[derive(Default)]
pub struct LicEnc {
    settings: Mutex<Settings>,
    pack: Mutex<Option<Arc<Pack>>>,
    chosen: Mutex<Chosen>,
    state: Mutex<Option<State>>,
    /// Somebody waits for a picture, and a refresh cycle brings it.
    refresh_asked: AtomicBool,
    /// Frames that the network never sent. Apart from the state, so that a report never waits for a frame being coded.
    lost: Mutex<Vec<u32>>,
    /// Likewise: what receivers hold of a stream that loses frames, if there is news of it.
    acknowledged: Mutex<Option<Option<Vec<u32>>>>,
}

#[glib::object_subclass]
impl ObjectSubclass for LicEnc {
    const NAME: &'static str = "GstLicEnc";
    type Type = super::LicEnc;
    type ParentType = gst_video::VideoEncoder;
}

impl ObjectImpl for LicEnc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut own = vec![
                glib::ParamSpecInt::builder("quality")
                    .nick("Quality")
                    .blurb("Constant quality, 0 (fewest bytes) to 100 (best picture); with a bitrate, the best that it may reach")
                    .minimum(0)
                    .maximum(100)
                    .default_value(DEFAULT_QUALITY)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("bitrate")
                    .nick("Bit rate")
                    .blurb(
                        "Bit rate in kbit/s (0 = constant quality): no second of capture time holds more than 1.1 times that, key frames \
                         and scene cuts included",
                    )
                    .default_value(DEFAULT_BITRATE)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("max-frame-bytes")
                    .nick("Largest frame")
                    .blurb(
                        "Bytes that no frame exceeds, whatever the picture, the quality and the bit rate (0 = no limit). A frame that would is \
                         coded again, coarser, up to five times; the smallest possible value depends on the size of the picture, and the error \
                         about one that is too small names it",
                    )
                    .default_value(DEFAULT_MAX_FRAME_BYTES)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("key-int-max")
                    .nick("Key frame interval")
                    .blurb("Most frames from one key frame to the next (0 = only the first frame and those asked for)")
                    .default_value(DEFAULT_KEY_INT_MAX)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("intra-refresh")
                    .nick("Intra refresh")
                    .blurb(
                        "Instead of key frames, code a band of every frame anew: all of the picture within this many frames (0 = off). \
                         No frame is then much larger than the others; who joins or lost something sees a picture after one such round, which \
                         begins at once when asked for (force-key-unit from downstream). key-int-max is not used",
                    )
                    .default_value(DEFAULT_INTRA_REFRESH)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecString::builder("model")
                    .nick("Model pack")
                    .blurb("Name of a model pack, or path of its folder (with a slash in it); receivers need the same pack")
                    .default_value(Some(DEFAULT_MODEL))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("threads")
                    .nick("Threads")
                    .blurb("Threads that code a frame (0 = one per core)")
                    .maximum(256)
                    .default_value(DEFAULT_THREADS)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("slices")
                    .nick("Slices")
                    .blurb("Bands of a frame that are coded independently, in parallel (0 = by height); more of them cost some bytes")
                    .maximum(256)
                    .default_value(DEFAULT_SLICES)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("inter", Inter::default())
                    .nick("Inter prediction")
                    .blurb("What a frame may be predicted from")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("rdo")
                    .nick("Rate-distortion optimisation")
                    .blurb("Spend bits only where they improve the picture enough (false = plain rounding: more bytes, less work)")
                    .default_value(DEFAULT_RDO)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("effort", Effort::default())
                    .nick("Effort")
                    .blurb("How much time to take for each frame; whatever it is, decoders do the same")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecString::builder("roi")
                    .nick("Regions of interest")
                    .blurb(
                        "Parts of the picture that get more of the bytes: \"x,y,width,height[,delta-qp];...\" in pixels; a delta QP of -6, the \
                         default, makes an error count four times there, one above 0 less than elsewhere. Beside GstVideoRegionOfInterestMeta on \
                         buffers, whose parameter roi/licenc may have an integer delta-qp",
                    )
                    .default_value(Some(""))
                    .mutable_playing()
                    .build(),
            ];
            own.extend(backend::properties());
            own
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        const CHECKED: &str = "GObject checked the type";
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "quality" => settings.quality = value.get().expect(CHECKED),
            "bitrate" => settings.bitrate = value.get().expect(CHECKED),
            "max-frame-bytes" => settings.max_frame_bytes = value.get().expect(CHECKED),
            "key-int-max" => settings.key_int_max = value.get().expect(CHECKED),
            "intra-refresh" => settings.intra_refresh = value.get().expect(CHECKED),
            "model" => settings.model = value.get::<Option<String>>().expect(CHECKED).unwrap_or(DEFAULT_MODEL.into()),
            "backend" => settings.backend = value.get().expect(CHECKED),
            "device-id" => settings.device_id = value.get().expect(CHECKED),
            "threads" => settings.threads = value.get().expect(CHECKED),
            "slices" => settings.slices = value.get().expect(CHECKED),
            "inter" => settings.inter = value.get().expect(CHECKED),
            "rdo" => settings.rdo = value.get().expect(CHECKED),
            "effort" => settings.effort = value.get().expect(CHECKED),
            "roi" => {
                settings.roi = value.get::<Option<String>>().expect(CHECKED).unwrap_or_default();
                settings.regions = roi::parse(&settings.roi);
                if let Err(text) = &settings.regions {
                    gst::error!(CAT, imp = self, "{text}");
                }
            }
            name => gst::error!(CAT, imp = self, "no property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "quality" => settings.quality.to_value(),
            "bitrate" => settings.bitrate.to_value(),
            "max-frame-bytes" => settings.max_frame_bytes.to_value(),
            "key-int-max" => settings.key_int_max.to_value(),
            "intra-refresh" => settings.intra_refresh.to_value(),
            "model" => settings.model.to_value(),
            "backend" => settings.backend.to_value(),
            "device-id" => settings.device_id.to_value(),
            "threads" => settings.threads.to_value(),
            "slices" => settings.slices.to_value(),
            "inter" => settings.inter.to_value(),
            "rdo" => settings.rdo.to_value(),
            "effort" => settings.effort.to_value(),
            "roi" => settings.roi.to_value(),
            _ => pspec.default_value().clone(),
        }
    }
}

impl GstObjectImpl for LicEnc {}

impl ElementImpl for LicEnc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "lic video encoder",
                "Codec/Encoder/Video",
                "Compresses video with a learned codec for robots: a light transform and a spatiotemporal entropy model",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection, PadPresence, PadTemplate};
            let any = || gst_video::VideoCapsBuilder::new().format_list(stream::RAW_FORMATS.map(|f| f.0));
            let (width, height, fps) = PREFERRED;
            let fps = gst::Fraction::new(0, 1)..=fps;
            let mut raw = any().width_range(1..=width).height_range(1..=height).framerate_range(fps).build();
            raw.make_mut().append(any().build());
            vec![
                PadTemplate::new("sink", PadDirection::Sink, PadPresence::Always, &raw).expect("a valid template"),
                PadTemplate::new("src", PadDirection::Src, PadPresence::Always, &stream::frame_caps()).expect("a valid template"),
            ]
        });
        TEMPLATES.as_ref()
    }
}

impl VideoEncoderImpl for LicEnc {
    /// NULL to READY: what is missing on this machine is said before any camera starts.
    fn open(&self) -> Result<(), gst::ErrorMessage> {
        Runtime::find().map_err(|e| stream::error_message(&e))?;
        self.parent_open()
    }

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        if let Err(text) = &settings.regions {
            return Err(gst::error_msg!(gst::LibraryError::Settings, ("{text}")));
        }
        let pack = Pack::open(&settings.model).map_err(|e| stream::error_message(&e))?;
        if pack.is_lite() && (settings.regions.as_ref().is_ok_and(|r| !r.is_empty()) || settings.inter == Inter::Motion) {
            let text = format!(
                "model={} has neither motion nor regions of interest: inter=motion and roi are ignored (model=base has both)",
                settings.model
            );
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{text}"));
        }
        let (chosen, warning) = Chosen::new(settings.backend, settings.device_id)?;
        if let Some(text) = warning {
            gst::element_imp_warning!(self, gst::LibraryError::Init, ("{text}"));
        }
        gst::info!(CAT, imp = self, "backend {:?}: taking {}; model pack {:?}", settings.backend, chosen.name(), pack.name());
        *lock(&self.chosen) = chosen;
        *lock(&self.pack) = Some(pack);
        if let Some(text) = self.obj().static_pad("src").and_then(|pad| foreign::warning(&pad)) {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{text}"));
        }
        self.parent_start()
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        *lock(&self.pack) = None;
        *lock(&self.chosen) = Chosen::default();
        lock(&self.lost).clear();
        *lock(&self.acknowledged) = None;
        self.parent_stop()
    }

    fn set_format(
        &self,
        input: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        let info = input.info().clone();
        gst::debug!(CAT, imp = self, "format {info:?}");
        if info.is_interlaced() {
            gst::element_imp_error!(self, gst::StreamError::Format, ("licenc codes progressive video only: put deinterlace before it"));
            return Err(gst::loggable_error!(CAT, "interlaced video"));
        }
        let format = stream::raw_format(info.format()).ok_or_else(|| gst::loggable_error!(CAT, "raw format {:?}", info.format()))?;
        let wanted = stream::stream_info(&info);
        let old = lock(&self.state).take();
        let (encoder, force_key, pace) = match old {
            // Making one takes as long as several frames, and receivers would need a new key frame.
            Some(s) if s.stream == wanted => (s.encoder, s.force_key, s.pace),
            old => {
                let mut encoder = self.make_encoder(wanted).map_err(|e| {
                    let text = e.to_string();
                    self.post_error_message(stream::error_message(&e));
                    gst::loggable_error!(CAT, "{text}")
                })?;
                // One numbering for the whole stream: late news of a lost frame then never means another one.
                if let Some(old) = old {
                    encoder.set_next_number(old.encoder.next_number());
                }
                (encoder, false, Pace::default())
            }
        };

        let instance = self.obj();
        let mut output =
            instance.set_output_state(stream::frame_caps(), Some(input)).map_err(|e| gst::loggable_error!(CAT, "output state: {e:?}"))?;
        if let Some(c) = stream::colorimetry(&wanted.colour).filter(|_| info.is_rgb()) {
            // Each chroma sample is the mean of 2x2 pixels.
            let site = gst_video::VideoChromaSite::JPEG;
            let converted = gst_video::VideoInfo::builder_from_info(output.info()).colorimetry(&c).chroma_site(site).build();
            output.set_info(converted.map_err(|e| gst::loggable_error!(CAT, "output info: {e}"))?);
        }
        instance.negotiate(output).map_err(|e| gst::loggable_error!(CAT, "negotiation: {e:?}"))?;
        // It is never late by more than it takes to code a frame; no frame is held back.
        let latency = stream::latency(info.fps());
        instance.set_latency(latency, latency);

        *lock(&self.state) = Some(State { encoder, stream: wanted, video_info: info, format, force_key, refused: None, pace, slow: None });
        self.parent_set_format(input)
    }

    fn flush(&self) -> bool {
        if let Some(state) = lock(&self.state).as_mut() {
            state.force_key = true;
        }
        lock(&self.lost).clear();
        true
    }

    fn handle_frame(&self, mut frame: gst_video::VideoCodecFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let force_key = frame.flags().contains(gst_video::VideoCodecFrameFlags::FORCE_KEYFRAME);
        let instance = self.obj();
        if instance.is_qos_enabled() && instance.max_encode_time(&frame) < 0 {
            gst::debug!(CAT, imp = self, "a frame at {:?} would be late: not coded", frame.pts());
            if let Some(state) = lock(&self.state).as_mut() {
                state.force_key |= force_key;
                state.paced(None);
            }
            self.say_if_slow();
            // Without an output buffer the base class drops it.
            return instance.finish_frame(frame);
        }
        let buffer = frame.input_buffer().ok_or(gst::FlowError::Error)?;
        match self.encode(buffer, frame.pts(), force_key)? {
            Some(packet) => {
                if packet.key {
                    frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
                }
                let mut buffer = gst::Buffer::from_mut_slice(packet.data);
                let Packet { number, key, recovery, references, .. } = packet;
                let meta = FrameMeta { number, key, recovery, references };
                frame_meta::attach(buffer.make_mut(), &meta);
                frame.set_output_buffer(buffer);
                // Frames leave in the order in which they come.
                let pts = frame.pts();
                frame.set_dts(pts);
            }
            // Without an output buffer the base class drops the frame and says so on the bus.
            None => gst::warning!(CAT, imp = self, "dropping a picture whose buffer is too small for its format"),
        }
        self.say_if_slow();
        instance.finish_frame(frame)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        if let Some(number) = frame_meta::lost_number(&event) {
            gst::debug!(CAT, imp = self, "frame {number} was never sent");
            let mut lost = lock(&self.lost);
            if lost.len() >= MAX_LOST {
                lost.remove(0);
            }
            lost.push(number);
            return true;
        }
        if let Some(numbers) = frame_meta::acknowledged_numbers(&event) {
            gst::debug!(CAT, imp = self, "receivers hold {numbers:?}");
            *lock(&self.acknowledged) = Some(numbers);
            return true;
        }
        // Not for the base class: it would wait for a key frame, and force one.
        if lock(&self.settings).intra_refresh > 0 && gst_video::UpstreamForceKeyUnitEvent::parse(&event).is_ok() {
            gst::debug!(CAT, imp = self, "a key frame is wanted: a refresh cycle brings the picture");
            self.refresh_asked.store(true, Ordering::Release);
            return true;
        }
        self.parent_src_event(event)
    }

    /// Caps that the pad template excludes never reach [`Self::set_format`]. Who asks about ones that are already being sent does not probe, and
    /// is told why they are refused.
    fn sink_query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryView::AcceptCaps(q) = query.view()
            && let Some(text) = stream::refused_format(q.caps())
            && stream::feeding(self.obj().sink_pad()).and_then(|p| p.current_caps()).is_some_and(|c| *c == *q.caps())
        {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{text}"));
        }
        self.parent_sink_query(query)
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        self.parent_propose_allocation(query)
    }
}

impl State {
    /// A frame took so long, or was dropped.
    fn paced(&mut self, took: Option<Duration>) {
        let (n, d) = self.stream.fps;
        let period = (n > 0).then(|| Duration::from_secs_f64(d as f64 / n as f64));
        self.slow = self.slow.or(self.pace.frame(took, period));
    }
}

impl LicEnc {
    /// Warns of a live source that is opened in a mode which cannot run in time here, and says which line would.
    fn say_if_slow(&self) {
        let Some((took, info)) = lock(&self.state).as_mut().and_then(|s| Some((s.slow.take()?, s.video_info.clone()))) else { return };
        let mut latency = gst::query::Latency::new();
        // Other sources wait for whoever takes their pictures.
        if !self.obj().sink_pad().peer_query(&mut latency) || !latency.result().0 {
            return;
        }
        let now = pace::Mode { jpeg: false, width: info.width() as i32, height: info.height() as i32, fps: info.fps() };
        let (source, offered) = stream::source_of(self.obj().sink_pad());
        let line = pace::advice(&source, &offered, &now, took);
        let period = 1000.0 * info.fps().denom() as f64 / info.fps().numer() as f64;
        let took = took.as_secs_f64() * 1000.0;
        gst::element_imp_warning!(
            self,
            gst::StreamError::Encode,
            (
                "{}x{} takes {took:.1} ms a frame here and a frame comes every {period:.1} ms: frames come late or are lost. This would run in time: {line}",
                now.width,
                now.height
            )
        );
    }

    fn make_encoder(&self, info: StreamInfo) -> lic_codec::error::Result<Encoder> {
        let settings = lock(&self.settings).clone();
        let pack = lock(&self.pack).clone();
        let pack = pack.map_or_else(|| Pack::open(&settings.model), Ok)?;
        Encoder::on(pack, &Runtime::find()?, info, settings.for_codec(), lock(&self.chosen).device.as_ref())
    }

    /// None: the buffer does not hold the picture that its caps promise.
    fn encode(&self, buffer: &gst::BufferRef, pts: Option<gst::ClockTime>, force_key: bool) -> Result<Option<Packet>, gst::FlowError> {
        let (settings, regions) = {
            let settings = lock(&self.settings);
            (settings.for_codec(), settings.regions.clone().unwrap_or_default())
        };
        let lost = std::mem::take(&mut *lock(&self.lost));
        let acknowledged = lock(&self.acknowledged).take();
        let mut state = lock(&self.state);
        let state = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        if *state.encoder.settings() != settings && state.refused.as_ref() != Some(&settings) {
            gst::info!(CAT, imp = self, "from this frame on: {settings:?}");
            state.refused = state.encoder.set_settings(settings.clone()).err().map(|e| {
                gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{e}; going on with the settings before"));
                lock(&self.settings).max_frame_bytes = state.encoder.settings().max_frame_bytes;
                settings
            });
        }
        for number in lost {
            state.encoder.frame_lost(number);
        }
        if let Some(numbers) = acknowledged {
            state.encoder.set_acknowledged(numbers);
        }
        if self.refresh_asked.swap(false, Ordering::AcqRel) {
            // Without a cycle to begin (the property may just have changed) a key frame serves the one who asked.
            if state.encoder.settings().intra_refresh > 0 {
                state.encoder.start_refresh();
            } else {
                state.force_key = true;
            }
        }
        // Whoever asked for a key frame gets one also if this picture cannot be coded.
        state.force_key |= force_key;
        let Ok(mapped) = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &state.video_info) else { return Ok(None) };
        let Some(planes) = stream::planes(&mapped, state.format) else { return Ok(None) };
        let began = Instant::now();
        let coded = RawFrame::new(state.format, state.stream.width, state.stream.height, &planes)
            .and_then(|f| {
                let regions = [regions, roi::of_buffer(buffer)].concat();
                let f = pts.map_or(f.clone(), |t| f.at(t.into()));
                state.encoder.encode_with(&f, &FrameParams { key: state.force_key, regions })
            })
            .map_err(|e| {
                self.post_error_message(stream::error_message(&e));
                gst::FlowError::Error
            })?;
        if let Some(text) = lock(&self.chosen).failure() {
            gst::element_imp_warning!(self, gst::LibraryError::Failed, ("{text}"));
        }
        state.force_key = false;
        state.paced(Some(began.elapsed()));
        gst::trace!(
            CAT,
            imp = self,
            "frame {}: {} bytes after {} attempts, key {}, recovery {}, refers to {:?}",
            coded.number,
            coded.data.len(),
            coded.attempts,
            coded.key,
            coded.recovery,
            coded.references
        );
        Ok(Some(coded))
    }
}
