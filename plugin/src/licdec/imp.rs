use crate::backend::{self, Backend, Chosen};
use crate::foreign;
use crate::stream::{self, KeyRequests, lock};
use crate::task::{self, Task};
use gst::glib;
use gst::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;
use lic_codec::{Decoder, Error, PictureMut, RawFormat, Runtime, StreamInfo, bitstream};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("licdec", gst::DebugColorFlags::empty(), Some("lic decoder")));

/// Best first.
const OUTPUT_FORMATS: [gst_video::VideoFormat; 5] = {
    use gst_video::VideoFormat as V;
    [V::I420, V::Nv12, V::Rgb, V::Bgr, V::Gray8]
};

const DEFAULT_THREADS: u32 = 0;
const DEFAULT_CONCEAL: bool = true;
const DEFAULT_MAX_PIXELS: u32 = lic_codec::decoder::MAX_PIXELS as u32;

type InputState = gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>;

#[derive(Clone, Debug)]
struct Settings {
    threads: u32,
    conceal: bool,
    max_pixels: u32,
    backend: Backend,
    device_id: u32,
    task: Task,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            threads: DEFAULT_THREADS,
            conceal: DEFAULT_CONCEAL,
            max_pixels: DEFAULT_MAX_PIXELS,
            backend: Backend::default(),
            device_id: backend::DEFAULT_DEVICE,
            task: Task::default(),
        }
    }
}

struct State {
    decoder: Decoder,
    chosen: Chosen,
    input: Option<InputState>,
    output: Option<Output>,
    newest: Option<Newest>,
    /// Frames dropped since the last one decoded.
    dropped: u64,
    key_requests: KeyRequests,
}

/// What was negotiated downstream.
struct Output {
    stream: StreamInfo,
    format: RawFormat,
    video_info: gst_video::VideoInfo,
}

/// The newest frame decoded.
struct Newest {
    number: u32,
    pts: Option<gst::ClockTime>,
}

/// Where a frame went.
enum Outcome {
    /// Its picture is in the output buffer.
    Picture,
    /// It came again or too late: nothing is missing.
    Stale,
    /// Decoded as a reference; its picture would come too late.
    TooLate,
    /// Decoded as far as a decoder can that began within a refresh cycle: the rest of the picture is still to come.
    Recovering,
    /// Damaged, or what it refers to is missing.
    Lost(Error),
    /// That or not whole yet, but a picture was made of it.
    Concealed(Option<Error>),
}

/// What ends the stream.
enum Fatal {
    Codec(Error),
    Flow(gst::FlowError),
}

impl From<Error> for Fatal {
    fn from(e: Error) -> Self {
        Fatal::Codec(e)
    }
}

impl From<gst::FlowError> for Fatal {
    fn from(e: gst::FlowError) -> Self {
        Fatal::Flow(e)
    }
}

#[derive(Default)]
pub struct LicDec {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for LicDec {
    const NAME: &'static str = "GstLicDec";
    type Type = super::LicDec;
    type ParentType = gst_video::VideoDecoder;
}

impl ObjectImpl for LicDec {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut own = vec![
                glib::ParamSpecUInt::builder("threads")
                    .nick("Threads")
                    .blurb("Threads that decode a frame (0 = one per core)")
                    .maximum(256)
                    .default_value(DEFAULT_THREADS)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("conceal")
                    .nick("Conceal losses")
                    .blurb(
                        "Show frames of which something is damaged or missing: that part from the last whole picture, moved as what lies \
                         around it. Their buffers have the flag CORRUPTED, and a key frame is asked for all the same (false = show nothing that is not as it \
                         was sent)",
                    )
                    .default_value(DEFAULT_CONCEAL)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("max-pixels")
                    .nick("Largest picture")
                    .blurb(
                        "Width times height of the largest picture to decode. A stream that asks for more is refused before any memory is taken for \
                         it: an error if nothing was shown before, else its frames are dropped",
                    )
                    .minimum(1)
                    .maximum(DEFAULT_MAX_PIXELS)
                    .default_value(DEFAULT_MAX_PIXELS)
                    .mutable_playing()
                    .build(),
            ];
            own.extend(backend::properties());
            own.push(task::property());
            own
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "threads" => lock(&self.settings).threads = value.get().expect("GObject checked the type"),
            "conceal" => lock(&self.settings).conceal = value.get().expect("GObject checked the type"),
            "max-pixels" => lock(&self.settings).max_pixels = value.get().expect("GObject checked the type"),
            "backend" => lock(&self.settings).backend = value.get().expect("GObject checked the type"),
            "task" => lock(&self.settings).task = value.get().expect("GObject checked the type"),
            "device-id" => lock(&self.settings).device_id = value.get().expect("GObject checked the type"),
            name => gst::error!(CAT, imp = self, "no property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "threads" => lock(&self.settings).threads.to_value(),
            "conceal" => lock(&self.settings).conceal.to_value(),
            "max-pixels" => lock(&self.settings).max_pixels.to_value(),
            "backend" => lock(&self.settings).backend.to_value(),
            "task" => lock(&self.settings).task.to_value(),
            "device-id" => lock(&self.settings).device_id.to_value(),
            _ => pspec.default_value().clone(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        // Bytes without caps are no frames: better an error at once than every buffer dropped as damaged.
        self.obj().set_needs_format(true);
    }
}

impl GstObjectImpl for LicDec {}

impl ElementImpl for LicDec {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "lic video decoder",
                "Codec/Decoder/Video",
                "Decodes video that licenc compressed; asks upstream for a key frame when frames were lost",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection, PadPresence, PadTemplate};
            let raw = gst_video::VideoCapsBuilder::new().format_list(OUTPUT_FORMATS).build();
            vec![
                PadTemplate::new("sink", PadDirection::Sink, PadPresence::Always, &stream::frame_caps()).expect("a valid template"),
                PadTemplate::new("src", PadDirection::Src, PadPresence::Always, &raw).expect("a valid template"),
            ]
        });
        TEMPLATES.as_ref()
    }
}

impl VideoDecoderImpl for LicDec {
    /// NULL to READY: what is missing on this machine is said before any data comes.
    fn open(&self) -> Result<(), gst::ErrorMessage> {
        Runtime::find().map_err(|e| stream::error_message(&e))?;
        self.parent_open()
    }

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let mut decoder = Runtime::find().and_then(|r| Decoder::new(&r, settings.threads)).map_err(|e| stream::error_message(&e))?;
        let (chosen, warning) = Chosen::new(settings.backend, settings.device_id)?;
        if let Some(text) = warning {
            gst::element_imp_warning!(self, gst::LibraryError::Init, ("{text}"));
        }
        gst::info!(CAT, imp = self, "backend {:?}: taking {}", settings.backend, chosen.name());
        decoder.set_device(chosen.device.clone());
        decoder.set_task(settings.task.into());
        *lock(&self.state) =
            Some(State { decoder, chosen, input: None, output: None, newest: None, dropped: 0, key_requests: KeyRequests::default() });
        if let Some(text) = self.obj().static_pad("sink").and_then(|pad| foreign::warning(&pad)) {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{text}"));
        }
        self.parent_start()
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        self.parent_stop()
    }

    fn set_format(&self, input: &InputState) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "caps {:?}", input.caps());
        if let Some(state) = lock(&self.state).as_mut() {
            state.input = Some(input.clone());
            // What caps say beside the key frame's header (chroma siting, a frame rate) may have changed.
            state.output = None;
        }
        self.parent_set_format(input)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if matches!(event.type_(), gst::EventType::StreamStart | gst::EventType::Segment)
            && let Some(state) = lock(&self.state).as_mut()
        {
            // Times after it begin anew (the next file, a loop): none of them is too late.
            state.newest = None;
        }
        self.parent_sink_event(event)
    }

    fn flush(&self) -> bool {
        if let Some(state) = lock(&self.state).as_mut() {
            state.decoder.reset();
            state.newest = None;
            state.dropped = 0;
            state.key_requests.met();
        }
        true
    }

    fn handle_frame(&self, mut frame: gst_video::VideoCodecFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        // Taken out: negotiation and allocation call back into GStreamer, under which no lock is held. Frames, flushes and
        // caps come one after the other.
        let mut state = lock(&self.state).take().ok_or(gst::FlowError::NotNegotiated)?;
        let silent = state.newest.is_none() && state.dropped == 0;
        let outcome = self.decode(&mut state, &mut frame);
        if let Some(text) = state.chosen.failure() {
            gst::element_imp_warning!(self, gst::LibraryError::Failed, ("{text}"));
        }
        let ask = match &outcome {
            Ok(Outcome::Lost(e)) => self.lost(&mut state, e, false),
            Ok(Outcome::Concealed(Some(e))) => self.lost(&mut state, e, true),
            _ => false,
        };
        *lock(&self.state) = Some(state);

        let instance = self.obj();
        match outcome {
            Ok(Outcome::Picture) => instance.finish_frame(frame),
            Ok(Outcome::Concealed(_)) => {
                if ask {
                    instance.request_sync_point(&frame, gst_video::VideoDecoderRequestSyncPointFlags::empty());
                }
                instance.finish_frame(frame)
            }
            Ok(Outcome::TooLate) => instance.drop_frame(frame),
            Ok(Outcome::Stale) => {
                instance.release_frame(frame);
                Ok(gst::FlowSuccess::Ok)
            }
            Ok(Outcome::Lost(_) | Outcome::Recovering) => {
                if ask {
                    instance.request_sync_point(&frame, gst_video::VideoDecoderRequestSyncPointFlags::empty());
                }
                if silent {
                    // Without a single drop_frame, the base class ends a stream that showed nothing with an error.
                    return instance.drop_frame(frame);
                }
                // With it, frames that this one overtook would be shown at its time.
                instance.release_frame(frame);
                Ok(gst::FlowSuccess::Ok)
            }
            Err(fatal) => {
                instance.release_frame(frame);
                Err(match fatal {
                    Fatal::Codec(e) => {
                        self.post_error_message(stream::error_message(&e));
                        gst::FlowError::Error
                    }
                    Fatal::Flow(e) => e,
                })
            }
        }
    }

    fn decide_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        self.parent_decide_allocation(query)?;
        // With GstVideoMeta the pool may choose strides that suit downstream; without it, it must not.
        if query.find_allocation_meta::<gst_video::VideoMeta>().is_some()
            && let Some((Some(pool), _, _, _)) = query.allocation_pools().next()
        {
            let mut config = pool.config();
            config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
            pool.set_config(config).map_err(|e| gst::loggable_error!(CAT, "buffer pool: {e}"))?;
        }
        Ok(())
    }
}

impl LicDec {
    fn decode(&self, state: &mut State, frame: &mut gst_video::VideoCodecFrame) -> Result<Outcome, Fatal> {
        let instance = self.obj();
        let pts = frame.pts();
        let settings = lock(&self.settings).clone();
        let conceal = settings.conceal && state.output.is_some();
        state.decoder.set_max_pixels(settings.max_pixels.into());
        // What cannot be shown as it is, and why if something is lost.
        let mut broken = None;
        let decoded = {
            let Some(data) = frame.input_buffer().and_then(|b| b.map_readable().ok()) else {
                return Ok(Outcome::Lost(Error::Damaged("a buffer that cannot be read".into())));
            };
            let header = match bitstream::parse_header(&data) {
                Ok(h) => h,
                Err(e) => return Ok(Outcome::Lost(e)),
            };
            if state.newest.as_ref().is_some_and(|n| n.outdates(header.number, pts)) {
                gst::debug!(CAT, imp = self, "frame {} again, or too late: ignored", header.number);
                return Ok(Outcome::Stale);
            }
            match state.decoder.decode(&data) {
                Ok(d) => {
                    if conceal && !d.whole {
                        broken = Some((header.number, data.to_vec(), None));
                    }
                    Some(d)
                }
                // Before the first picture whoever set this up must hear of it; later one frame, whoever made it, ends no stream.
                Err(e @ (Error::UnknownPack { .. } | Error::Pack(_) | Error::TooLarge { .. })) if state.output.is_none() => {
                    return Err(e.into());
                }
                Err(e @ (Error::Runtime(_) | Error::Device(_) | Error::NoDevice(_))) => return Err(e.into()),
                Err(e) if conceal => {
                    broken = Some((header.number, data.to_vec(), Some(e)));
                    None
                }
                Err(e) => return Ok(Outcome::Lost(e)),
            }
        };
        if let Some((number, data, error)) = broken {
            if decoded.is_some() {
                state.key_requests.met();
                state.newest = Some(Newest { number, pts });
                state.dropped += 1;
            }
            return self.conceal(state, frame, number, &data, error);
        }
        let Some(decoded) = decoded else { return Err(gst::FlowError::Error.into()) };
        state.newest = Some(Newest { number: decoded.number, pts });
        if decoded.key || !decoded.whole {
            state.key_requests.met();
        }
        if !decoded.whole {
            gst::debug!(CAT, imp = self, "frame {}: a part of the picture", decoded.number);
            state.dropped += 1;
            return Ok(Outcome::Recovering);
        }
        if state.dropped > 0 {
            gst::info!(CAT, imp = self, "frame {}: pictures again, after {} frames without", decoded.number, state.dropped);
            state.dropped = 0;
        }

        let output = self.negotiated(state.input.as_ref(), state.output.take(), decoded.info)?;
        let late = instance.is_qos() && instance.max_decode_time(frame) < 0;
        let outcome = if late {
            gst::debug!(CAT, imp = self, "frame {} would be late: not shown", decoded.number);
            Outcome::TooLate
        } else {
            instance.allocate_output_frame(frame, None)?;
            let buffer = frame.output_buffer_mut().ok_or(gst::FlowError::Error)?;
            into_buffer(&output, buffer, |picture| state.decoder.render(picture))?;
            Outcome::Picture
        };
        state.output = Some(output);
        Ok(outcome)
    }

    /// Shows what can be made of a frame; of a late one nothing.
    fn conceal(
        &self,
        state: &mut State,
        frame: &mut gst_video::VideoCodecFrame,
        number: u32,
        data: &[u8],
        error: Option<Error>,
    ) -> Result<Outcome, Fatal> {
        let instance = self.obj();
        let hidden = |error: Option<Error>| error.map_or(Outcome::Recovering, Outcome::Lost);
        let late = instance.is_qos() && instance.max_decode_time(frame) < 0;
        let Some(old) = state.output.take_if(|_| !late) else {
            return Ok(hidden(error));
        };
        let stream = old.stream;
        let output = self.negotiated(state.input.as_ref(), Some(old), stream)?;
        instance.allocate_output_frame(frame, None)?;
        let buffer = frame.output_buffer_mut().ok_or(gst::FlowError::Error)?;
        let made = into_buffer(&output, buffer, |picture| state.decoder.conceal(data, picture));
        if made.is_ok() {
            buffer.set_flags(gst::BufferFlags::CORRUPTED);
        }
        state.output = Some(output);
        if let Err(Fatal::Codec(e)) = made {
            gst::debug!(CAT, imp = self, "frame {number} cannot be concealed: {e}");
            return Ok(hidden(error));
        }
        made?;
        gst::debug!(CAT, imp = self, "frame {number}: concealed");
        // Whatever comes with an older number would be shown in its place.
        state.newest = Some(Newest { number, pts: frame.pts() });
        Ok(Outcome::Concealed(error))
    }

    /// `old` where it still holds, else agrees with downstream on the picture of `stream`.
    fn negotiated(&self, input: Option<&InputState>, old: Option<Output>, stream: StreamInfo) -> Result<Output, Fatal> {
        let instance = self.obj();
        let reconfigure = instance.src_pad().check_reconfigure();
        if let Some(output) = old.filter(|o| o.stream == stream && !reconfigure) {
            return Ok(output);
        }
        let format = self.choose_format(stream.grey);
        let (Ok(mut output), Some(raw)) =
            (instance.set_output_state(format, stream.width, stream.height, input), stream::raw_format(format))
        else {
            return Err(gst::FlowError::NotNegotiated.into());
        };
        let mut builder = gst_video::VideoInfo::builder_from_info(output.info()).par(stream::aspect(&stream));
        if stream.fps.0 > 0 {
            builder = builder.fps(stream::frame_rate(&stream));
        }
        let rgb = output.info().is_rgb();
        let colorimetry = if rgb { Some(stream::rgb_colorimetry(&stream.colour)) } else { stream::colorimetry(&stream.colour) };
        if let Some(c) = &colorimetry {
            builder = builder.colorimetry(c);
        }
        let site = input.map(|i| i.info().chroma_site()).filter(|s| !s.is_empty() && !rgb);
        if let Some(s) = site {
            builder = builder.chroma_site(s);
        }
        let video_info = builder.build().map_err(|e| {
            gst::error!(CAT, imp = self, "no raw video for {stream:?}: {e}");
            gst::FlowError::NotNegotiated
        })?;
        gst::debug!(CAT, imp = self, "output {video_info:?}");
        output.set_info(video_info.clone());
        if let Err(e) = instance.negotiate(output) {
            // Another try with the next frame, as the base class does.
            instance.src_pad().mark_reconfigure();
            let flushing = instance.src_pad().pad_flags().contains(gst::PadFlags::FLUSHING);
            return Err(if flushing { gst::FlowError::Flushing } else { e }.into());
        }
        let latency = stream::latency(video_info.fps());
        instance.set_latency(latency, latency);
        Ok(Output { stream, format: raw, video_info })
    }

    /// What downstream takes, best first.
    fn choose_format(&self, grey: bool) -> gst_video::VideoFormat {
        let mut order = OUTPUT_FORMATS;
        order.sort_by_key(|f| grey && *f != gst_video::VideoFormat::Gray8);
        let allowed = self.obj().src_pad().allowed_caps();
        let takes = |f: &gst_video::VideoFormat| {
            let caps = gst_video::VideoCapsBuilder::new().format(*f).build();
            allowed.as_ref().is_some_and(|a| a.can_intersect(&caps))
        };
        order.into_iter().find(takes).unwrap_or(order[0])
    }

    /// Says what is missing, again each second; true when it is time to ask for a key frame.
    fn lost(&self, state: &mut State, error: &Error, concealed: bool) -> bool {
        let ask = state.key_requests.due(Instant::now());
        // Whoever joins a stream misses what was sent before: no reason to warn at once.
        let joining = state.newest.is_none() && matches!(error, Error::MissingReference { .. });
        let warn = if state.dropped == 0 { !joining } else { ask };
        if warn {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Decode,
                ("{} until the next key frame: {error}", if concealed { "Damaged pictures" } else { "No picture" })
            );
        } else {
            gst::debug!(CAT, imp = self, "dropped: {error}");
        }
        state.dropped += 1;
        ask
    }
}

impl Newest {
    /// Whether a frame of this number and time is one that came already or was overtaken. A sender that starts again also
    /// sends old numbers, but with new times.
    fn outdates(&self, number: u32, pts: Option<gst::ClockTime>) -> bool {
        /// Without times: as far back as a frame may be overtaken.
        const OVERTAKEN: u32 = 64;
        let back = self.number.wrapping_sub(number);
        match (self.pts, pts) {
            (Some(newest), Some(pts)) => back < u32::MAX / 2 && pts <= newest,
            // The first frame of a new stream is number 0.
            _ => back < OVERTAKEN && number != 0,
        }
    }
}

/// Has `write` write a picture.
fn into_buffer(
    output: &Output,
    buffer: &mut gst::BufferRef,
    write: impl FnOnce(&mut PictureMut) -> lic_codec::error::Result<()>,
) -> Result<(), Fatal> {
    let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &output.video_info).map_err(|_| gst::FlowError::Error)?;
    let planes = stream::planes_mut(&mut frame, output.format).ok_or(gst::FlowError::Error)?;
    Ok(write(&mut PictureMut::new(output.format, output.stream.width, output.stream.height, planes)?)?)
}
