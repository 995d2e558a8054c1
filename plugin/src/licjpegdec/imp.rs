use crate::capture;
use crate::stream::{self, lock};
use gst::glib;
use gst::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use lic_codec::jpeg::{self, Enhancer, Picture};
use lic_codec::{Error, Runtime};
use std::sync::{LazyLock, Mutex};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("licjpegdec", gst::DebugColorFlags::empty(), Some("JPEG decoder of lic")));

const DEFAULT_MAX_PIXELS: u32 = lic_codec::decoder::MAX_PIXELS as u32;
/// As many as a file can have.
const MOST_PIXELS: u32 = 65535 * 65535;
const DEFAULT_ENHANCE: bool = false;
const DEFAULT_THREADS: u32 = 0;

type InputState = gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>;

#[derive(Default)]
struct State {
    input: Option<InputState>,
    output: Option<VideoInfo>,
}

#[derive(Clone)]
struct Settings {
    max_pixels: u32,
    enhance: bool,
    threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { max_pixels: DEFAULT_MAX_PIXELS, enhance: DEFAULT_ENHANCE, threads: DEFAULT_THREADS }
    }
}

#[derive(Default)]
pub struct LicJpegDec {
    settings: Mutex<Settings>,
    state: Mutex<State>,
    /// Made when the first picture is to be restored.
    enhancer: Mutex<Option<Enhancer>>,
}

#[glib::object_subclass]
impl ObjectSubclass for LicJpegDec {
    const NAME: &'static str = "GstLicJpegDec";
    type Type = super::LicJpegDec;
    type ParentType = gst_video::VideoDecoder;
}

impl ObjectImpl for LicJpegDec {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecUInt::builder("max-pixels")
                    .nick("Largest picture")
                    .blurb(
                        "Width times height of the largest picture to decode; larger ones are refused before any memory is taken for them",
                    )
                    .minimum(1)
                    .maximum(MOST_PIXELS)
                    .default_value(DEFAULT_MAX_PIXELS)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("enhance")
                    .nick("Restore pictures")
                    .blurb(
                        "Mend what the rounding of coefficients did to pictures, by a small network that knows the file's quantisation tables; for any file of \
                         YCbCr or grey (those with learned colour stay as they are). A core restores about 9 megapixels a second",
                    )
                    .default_value(DEFAULT_ENHANCE)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("threads")
                    .nick("Threads")
                    .blurb("Threads that restore a picture (0 = one per core)")
                    .maximum(256)
                    .default_value(DEFAULT_THREADS)
                    .mutable_ready()
                    .build(),
            ]
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "max-pixels" => lock(&self.settings).max_pixels = value.get().expect("GObject checked the type"),
            "enhance" => lock(&self.settings).enhance = value.get().expect("GObject checked the type"),
            "threads" => lock(&self.settings).threads = value.get().expect("GObject checked the type"),
            name => gst::error!(CAT, imp = self, "no property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "max-pixels" => lock(&self.settings).max_pixels.to_value(),
            "enhance" => lock(&self.settings).enhance.to_value(),
            "threads" => lock(&self.settings).threads.to_value(),
            _ => pspec.default_value().clone(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_needs_format(true);
    }
}

impl GstObjectImpl for LicJpegDec {}

impl ElementImpl for LicJpegDec {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "lic JPEG decoder",
                "Codec/Decoder/Image",
                "Decodes JPEG files, and undoes the learned colour of those that lictojpeg wrote with it",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection, PadPresence, PadTemplate};
            let jpeg = gst::Caps::new_empty_simple("image/jpeg");
            let raw = gst_video::VideoCapsBuilder::new().format_list([VideoFormat::Rgb, VideoFormat::Gray8]).build();
            vec![
                PadTemplate::new("sink", PadDirection::Sink, PadPresence::Always, &jpeg).expect("a valid template"),
                PadTemplate::new("src", PadDirection::Src, PadPresence::Always, &raw).expect("a valid template"),
            ]
        });
        TEMPLATES.as_ref()
    }
}

impl VideoDecoderImpl for LicJpegDec {
    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = State::default();
        *lock(&self.enhancer) = None;
        self.parent_stop()
    }

    fn set_format(&self, input: &InputState) -> Result<(), gst::LoggableError> {
        *lock(&self.state) = State { input: Some(input.clone()), output: None };
        self.parent_set_format(input)
    }

    fn handle_frame(&self, mut frame: gst_video::VideoCodecFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let instance = self.obj();
        let settings = lock(&self.settings).clone();
        let read = match frame.input_buffer().and_then(|b| b.map_readable().ok()) {
            Some(data) => self.read(&data, &settings),
            None => Err(Error::Damaged("a buffer that cannot be read".into())),
        };
        let picture = match read {
            Ok(picture) => picture,
            // Before the first picture whoever set this up must hear of it; later one file, whoever made it, ends no stream.
            Err(e @ (Error::Unsupported(_) | Error::TooLarge { .. } | Error::Runtime(_))) if lock(&self.state).output.is_none() => {
                instance.release_frame(frame);
                self.post_error_message(stream::error_message(&e));
                return Err(gst::FlowError::Error);
            }
            Err(e) => {
                gst::element_imp_warning!(self, gst::StreamError::Decode, ("A picture is left out: {e}"));
                return instance.drop_frame(frame);
            }
        };
        let done = self.show(&picture, &mut frame);
        match done {
            Ok(()) => instance.finish_frame(frame),
            Err(e) => {
                instance.release_frame(frame);
                Err(e)
            }
        }
    }
}

impl LicJpegDec {
    fn read(&self, file: &[u8], settings: &Settings) -> Result<Picture, Error> {
        let most = u64::from(settings.max_pixels);
        if !settings.enhance {
            return jpeg::read(file, most);
        }
        let mut enhancer = lock(&self.enhancer);
        let enhancer = match &mut *enhancer {
            Some(e) => e,
            empty => {
                let all = std::thread::available_parallelism().map_or(1, |n| n.get());
                let threads = if settings.threads == 0 { all } else { settings.threads as usize };
                empty.insert(Enhancer::new(&Runtime::find()?, threads)?)
            }
        };
        jpeg::read_enhanced(file, most, enhancer)
    }

    fn show(&self, picture: &Picture, frame: &mut gst_video::VideoCodecFrame) -> Result<(), gst::FlowError> {
        let info = self.negotiated(picture)?;
        self.obj().allocate_output_frame(frame, None)?;
        let buffer = frame.output_buffer_mut().ok_or(gst::FlowError::Error)?;
        if let Some(time) = picture.notes.as_ref().and_then(|n| n.time)
            && capture::stamp(buffer).is_none()
        {
            capture::set_stamp(buffer, gst::ClockTime::from_nseconds(time.min(u64::MAX - 1)));
        }
        if picture.notes.as_ref().is_some_and(|n| n.concealed) {
            buffer.set_flags(gst::BufferFlags::CORRUPTED);
        }
        let mut out = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &info).map_err(|_| gst::FlowError::Error)?;
        let grey = info.format() == VideoFormat::Gray8;
        let stride = out.plane_stride()[0] as usize;
        let (width, channels) = (picture.width as usize, if picture.grey { 1 } else { 3 });
        let lines = out.plane_data_mut(0).map_err(|_| gst::FlowError::Error)?.chunks_mut(stride);
        for (to, from) in lines.zip(picture.samples.chunks_exact(channels * width)) {
            if picture.grey && !grey {
                to.chunks_exact_mut(3).zip(from).for_each(|(to, from)| to.fill(*from));
            } else {
                to[..from.len()].copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Caps for such a picture: grey ones as they are, unless only RGB is taken downstream.
    fn negotiated(&self, picture: &Picture) -> Result<VideoInfo, gst::FlowError> {
        let instance = self.obj();
        let mut state = lock(&self.state);
        let size = (picture.width, picture.height);
        // A stream that goes from grey to colour has RGB from there on.
        let fits = |o: &&VideoInfo| (o.width(), o.height()) == size && (picture.grey || o.format() == VideoFormat::Rgb);
        if let Some(info) = state.output.as_ref().filter(fits) {
            return Ok(info.clone());
        }
        let input = state.input.clone();
        // Negotiation calls back into GStreamer, under which no lock is held.
        drop(state);
        let grey = gst_video::VideoCapsBuilder::new().format(VideoFormat::Gray8).build();
        let takes_grey = instance.src_pad().allowed_caps().is_none_or(|c| c.can_intersect(&grey));
        let format = if picture.grey && takes_grey { VideoFormat::Gray8 } else { VideoFormat::Rgb };
        let output = instance.set_output_state(format, size.0, size.1, input.as_ref())?;
        let info = output.info().clone();
        instance.negotiate(output)?;
        state = lock(&self.state);
        state.output = Some(info.clone());
        Ok(info)
    }
}
