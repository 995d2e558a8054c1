use super::Colour;
use super::settings::{self, Settings};
use crate::capture;
use crate::stream::{self, KeyRequests, lock};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::GenerateOutputSuccess;
use gst_base::subclass::prelude::*;
use lic_codec::jpeg::{self, Notes};
use lic_codec::{Decoder, Error, PictureMut, RawFormat, RawFrame, Runtime, StreamInfo, bitstream};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("lictojpeg", gst::DebugColorFlags::empty(), Some("lic to JPEG")));

struct State {
    decoder: Decoder,
    icc: Vec<u8>,
    /// Of the last key frame.
    stream: Option<(StreamInfo, [u8; 16])>,
    picture: Vec<u8>,
    key_requests: KeyRequests,
}

#[derive(Default)]
pub struct LicToJpeg {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    /// EXIF's number; 0 before any tag.
    orientation: Mutex<u8>,
}

#[glib::object_subclass]
impl ObjectSubclass for LicToJpeg {
    const NAME: &'static str = "GstLicToJpeg";
    type Type = super::LicToJpeg;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for LicToJpeg {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        lock(&self.settings).set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        lock(&self.settings).get(pspec)
    }
}

impl GstObjectImpl for LicToJpeg {}

impl ElementImpl for LicToJpeg {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "lic to JPEG",
                "Codec/Transcoder/Image",
                "Decodes video that licenc compressed, each frame into a JPEG file",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection, PadPresence, PadTemplate};
            let jpeg = gst::Caps::new_empty_simple("image/jpeg");
            vec![
                PadTemplate::new("sink", PadDirection::Sink, PadPresence::Always, &stream::frame_caps()).expect("a valid template"),
                PadTemplate::new("src", PadDirection::Src, PadPresence::Always, &jpeg).expect("a valid template"),
            ]
        });
        TEMPLATES.as_ref()
    }
}

impl BaseTransformImpl for LicToJpeg {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let icc = match &settings.icc_profile {
            Some(path) => std::fs::read(path)
                .map_err(|e| gst::error_msg!(gst::ResourceError::OpenRead, ("icc-profile: {path} cannot be read: {e}")))?,
            None => Vec::new(),
        };
        // As many chunks as the format can count.
        if icc.len() > 255 * 65519 || !icc.is_empty() && icc.get(36..40) != Some(b"acsp") {
            return Err(gst::error_msg!(gst::ResourceError::Settings, ("icc-profile: that file holds no ICC profile")));
        }
        if !icc.is_empty() && settings.colour == Colour::Learned {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("icc-profile: files with colour=learned carry one of their own; set only one of the two")
            ));
        }
        let mut decoder = Runtime::find().and_then(|r| Decoder::new(&r, settings.threads)).map_err(|e| stream::error_message(&e))?;
        decoder.set_task(settings.task.into());
        *lock(&self.state) = Some(State { decoder, icc, stream: None, picture: Vec::new(), key_requests: KeyRequests::default() });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        *lock(&self.orientation) = 0;
        Ok(())
    }

    fn transform_caps(&self, direction: gst::PadDirection, caps: &gst::Caps, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let other = match direction {
            gst::PadDirection::Sink => {
                let mut out = gst::Caps::new_empty();
                for s in caps.iter() {
                    let mut jpeg = gst::Structure::new_empty("image/jpeg");
                    for field in ["width", "height", "framerate", "pixel-aspect-ratio"] {
                        if let Ok(value) = s.value(field) {
                            jpeg.set_value(field, value.clone());
                        }
                    }
                    out.make_mut().append_structure(jpeg);
                }
                out
            }
            _ => stream::frame_caps(),
        };
        Some(filter.map_or_else(|| other.clone(), |f| f.intersect_with_mode(&other, gst::CapsIntersectMode::First)))
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStop(_) => {
                if let Some(state) = lock(&self.state).as_mut() {
                    state.decoder.reset();
                }
            }
            gst::EventView::Tag(tag) => {
                if let Some(value) = tag.tag().get::<gst::tags::ImageOrientation>() {
                    *lock(&self.orientation) = exif_orientation(value.get());
                }
            }
            _ => (),
        }
        self.parent_sink_event(event)
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let Some(input) = self.take_queued_buffer() else { return Ok(GenerateOutputSuccess::NoOutput) };
        let mut guard = lock(&self.state);
        let state = guard.as_mut().ok_or(gst::FlowError::Flushing)?;
        let settings = lock(&self.settings).clone();
        let made = self.transcode(state, &settings, &input);
        let ask = match &made {
            Ok((_, Some(e))) => {
                gst::debug!(CAT, imp = self, "{e}");
                state.key_requests.due(Instant::now())
            }
            _ => false,
        };
        drop(guard);
        if ask {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            let _ = self.obj().sink_pad().push_event(event);
        }
        let (file, error) = match made {
            Ok((Some(file), error)) => (file, error),
            Ok((None, _)) => return Ok(GenerateOutputSuccess::NoOutput),
            Err(e) => {
                self.post_error_message(stream::error_message(&e));
                return Err(gst::FlowError::Error);
            }
        };
        let mut buffer = gst::Buffer::from_mut_slice(file);
        let out = buffer.make_mut();
        out.set_pts(input.pts());
        out.set_dts(input.pts());
        out.set_duration(input.duration());
        out.set_offset(input.offset());
        if input.flags().contains(gst::BufferFlags::DISCONT) {
            out.set_flags(gst::BufferFlags::DISCONT);
        }
        if error.is_some() {
            out.set_flags(gst::BufferFlags::CORRUPTED);
        }
        for meta in input.iter_meta::<gst::ReferenceTimestampMeta>() {
            gst::ReferenceTimestampMeta::add(out, &meta.reference_owned(), meta.timestamp(), meta.duration());
        }
        Ok(GenerateOutputSuccess::Buffer(buffer))
    }
}

impl LicToJpeg {
    /// The file of one frame; none while only parts of the picture are there. With an error if what was lost is made up.
    fn transcode(&self, state: &mut State, settings: &Settings, input: &gst::BufferRef) -> Result<(Option<Vec<u8>>, Option<Error>), Error> {
        let data = input.map_readable().map_err(|_| Error::Unsupported("a buffer that cannot be read".into()))?;
        let header = match bitstream::parse_header(&data) {
            Ok(h) => h,
            Err(e) => return Ok((None, Some(e))),
        };
        let decoded = state.decoder.decode(&data);
        if let (Ok(_), Some(info), Some(pack)) = (&decoded, header.stream, header.pack_id) {
            state.stream = Some((info, pack));
        }
        let error = match decoded {
            Ok(d) => {
                if d.key {
                    state.key_requests.met();
                }
                (!d.whole).then(|| Error::Damaged("a refresh cycle that began before".into()))
            }
            // Before the first picture whoever set this up must hear of it; later one frame, whoever made it, ends no stream.
            Err(e @ (Error::UnknownPack { .. } | Error::Pack(_) | Error::TooLarge { .. })) if state.stream.is_none() => return Err(e),
            Err(e @ Error::Runtime(_)) => return Err(e),
            Err(e) => Some(e),
        };
        if error.is_some() && settings.hide {
            return Ok((None, error));
        }
        let Some((info, pack)) = state.stream else { return Ok((None, error)) };
        let format = if info.grey { RawFormat::Gray8 } else { RawFormat::I420 };
        let sizes = format.planes(info.width as usize, info.height as usize);
        state.picture.resize(sizes.iter().map(|s| s.0 * s.1).sum(), 0);
        let (mut rest, mut planes) = (&mut state.picture[..], Vec::new());
        for (line, lines) in &sizes {
            let (plane, after) = rest.split_at_mut(line * lines);
            planes.push((plane, *line));
            rest = after;
        }
        let mut picture = PictureMut::new(format, info.width, info.height, planes)?;
        match &error {
            None => state.decoder.render(&mut picture)?,
            Some(_) => {
                if let Err(e) = state.decoder.conceal(&data, &mut picture) {
                    gst::debug!(CAT, imp = self, "frame {} cannot be concealed: {e}", header.number);
                    return Ok((None, error));
                }
            }
        }
        let (mut rest, mut planes) = (&state.picture[..], Vec::new());
        for (line, lines) in &sizes {
            let (plane, after) = rest.split_at(line * lines);
            planes.push((plane, *line));
            rest = after;
        }
        let picture = RawFrame::new(format, info.width, info.height, &planes)?;
        let notes = Notes {
            time: capture::stamp(input),
            number: header.number,
            pack,
            step: header.step,
            concealed: error.is_some(),
            orientation: *lock(&self.orientation),
            icc: state.icc.clone(),
        };
        Ok((Some(jpeg::write(&picture, info.colour, &settings.options(), &notes)?), error))
    }
}

/// EXIF's number for what GStreamer says; 1, upright, for what it does not know.
fn exif_orientation(tag: &str) -> u8 {
    let names =
        ["rotate-0", "flip-rotate-0", "rotate-180", "flip-rotate-180", "flip-rotate-270", "rotate-90", "flip-rotate-90", "rotate-270"];
    names.iter().position(|n| *n == tag).map_or(1, |i| i as u8 + 1)
}
