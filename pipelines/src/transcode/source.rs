//! Pictures out of an input: the first part of every pipeline.

use super::Progress;
use crate::bag::{Content, Message, Topic};
use crate::commands::Error;
use crate::inputs::{Input, Kind, pictures};
use crate::media::{Event, Running};
use gst::prelude::*;
use lic_codec::RawFormat;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Pushed into: files or messages.
const PUSHED: &str = "appsrc name=pushed format=time block=true max-bytes=16777216";

/// Raw video out of anything, for [`gst::parse`]: what follows is linked behind it.
pub fn raw(input: &Input) -> Result<String, Error> {
    if let Some(front) = packets(input)? {
        return Ok(format!("{front} ! licdec ! videoconvert"));
    }
    let png = |p: &PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    Ok(match input.kind {
        Kind::Pictures if pictures(&input.path)?.first().is_some_and(png) => format!("{PUSHED} ! pngdec ! videoconvert"),
        Kind::Pictures => format!("{PUSHED} ! jpegparse ! licjpegdec ! videoconvert"),
        Kind::Mcap => match first(input)?.content {
            Content::Jpeg(_) => format!("{PUSHED} ! jpegparse ! licjpegdec ! videoconvert"),
            Content::Raw { .. } => format!("{PUSHED} ! videoconvert"),
            Content::Lic(_) => return Err("lic packets are not raw".into()),
            Content::Other(what) => return Err(format!("pictures of the kind {what:?} are not read").into()),
        },
        _ => "filesrc name=file ! decodebin name=decoder decoder. ! queue name=raw max-size-buffers=2 max-size-bytes=0 max-size-time=0 ! videoconvert".into(),
    })
}

/// Packets as they are, where the input has such.
pub fn packets(input: &Input) -> Result<Option<String>, Error> {
    Ok(match input.kind {
        Kind::Lic => Some("filesrc name=file ! licparse".into()),
        Kind::Mcap if matches!(first(input)?.content, Content::Lic(_)) => Some(format!("{PUSHED} ! licparse")),
        _ => None,
    })
}

fn topic(input: &Input) -> Result<Topic, Error> {
    Topic::open(&input.path, input.topic.as_deref().ok_or("no topic was chosen")?)
}

fn first(input: &Input) -> Result<Message, Error> {
    Ok(topic(input)?.next()?.ok_or("the topic is empty")?)
}

/// What is known of an input while it runs.
pub struct Source {
    /// Audio was met, and nobody took it.
    silent: Arc<AtomicBool>,
    /// Texts such as a title, by their tag's name.
    tags: Mutex<Vec<(String, String)>>,
    length: Option<Duration>,
    /// What went wrong outside the pipeline.
    error: Arc<Mutex<Option<Error>>>,
    /// Of recordings: when the first picture was taken, in nanoseconds since 1970.
    start: Option<u64>,
}

impl Source {
    /// Connects the first part of a pipeline of [`raw`], or a filesrc of this name, to its input.
    pub fn connect(running: &Running, input: &Input, fps: gst::Fraction) -> Result<Source, Error> {
        let silent = Arc::new(AtomicBool::new(false));
        let mut length = None;
        if let Some(file) = running.0.by_name("file") {
            file.set_property("location", &input.path);
        }
        if let Some(decoder) = running.0.by_name("decoder") {
            let (silent, pipeline) = (silent.clone(), running.0.downgrade());
            decoder.connect_pad_added(move |_, pad| {
                let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
                let audio = caps.structure(0).is_some_and(|s| s.name().starts_with("audio/"));
                let wanted = pipeline.upgrade().and_then(|p| p.by_name(if audio { "audio" } else { "raw" }));
                // Linked by name already, or there is more than one video stream: the first is taken.
                if pad.is_linked()
                    || wanted.and_then(|e| e.static_pad("sink")).is_some_and(|sink| !sink.is_linked() && pad.link(&sink).is_ok())
                {
                    return;
                }
                silent.fetch_or(audio, Ordering::Relaxed);
            });
        }
        let (error, mut start) = (Arc::new(Mutex::new(None)), None);
        if let Some(pushed) = running.0.by_name("pushed") {
            let pushed = pushed.downcast::<gst_app::AppSrc>().expect("an appsrc");
            if input.kind == Kind::Pictures {
                let list = pictures(&input.path)?;
                length = gst::ClockTime::SECOND.mul_div_floor(list.len() as u64 * fps.denom() as u64, fps.numer() as u64).map(Into::into);
                let (caps, next) = files(list, fps);
                feed(&pushed, caps, next, error.clone());
            } else {
                let first = first(input)?;
                start = Some(first.time);
                feed(&pushed, caps(&first.content)?, messages(topic(input)?, first.time), error.clone());
            }
        }
        Ok(Source { silent, tags: Mutex::default(), length, error, start })
    }

    /// To be called while the pipeline plays.
    pub fn watch(&self, running: &Running, event: Event, progress: &dyn Progress) {
        match event {
            Event::Tick => progress.at(running.position().unwrap_or_default(), self.length.or_else(|| running.duration())),
            Event::Message(m) => match m.view() {
                gst::MessageView::Tag(t) => {
                    let mut tags = self.tags.lock().expect("nobody panics with it");
                    for (name, value) in t.tags().iter() {
                        if let Ok(text) = value.get::<String>()
                            && ["title", "description", "comment", "image-orientation", "artist", "device-model", "datetime"]
                                .contains(&name.as_str())
                            && !tags.iter().any(|(n, _)| n == name.as_str())
                        {
                            tags.push((name.to_string(), text));
                        }
                    }
                }
                gst::MessageView::Warning(w) => progress.warn(&w.error().to_string()),
                _ => {}
            },
        }
    }

    pub fn error(&self) -> Option<Error> {
        self.error.lock().expect("nobody panics with it").take()
    }

    /// Texts that the output can keep.
    pub fn notes(&self) -> BTreeMap<String, String> {
        let tags = self.tags.lock().expect("nobody panics with it").clone();
        tags.into_iter().chain(self.start.map(|t| ("start-time".to_string(), t.to_string()))).collect()
    }

    /// Whether sound was met that nobody took.
    pub fn has_sound(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Says what was left out.
    pub fn left_out(&self, container: &str, progress: &dyn Progress) {
        if self.has_sound() {
            progress.warn(&format!("its sound is left out: {container} holds pictures alone"));
        }
    }
}

/// A buffer with its times, or the end.
type Next = Box<dyn FnMut() -> Result<Option<gst::Buffer>, Error> + Send>;

/// Pushes what `next` gives; an error ends it, and is kept.
fn feed(to: &gst_app::AppSrc, caps: gst::Caps, next: Next, error: Arc<Mutex<Option<Error>>>) {
    to.set_caps(Some(&caps));
    let next = Mutex::new(next);
    to.set_callbacks(
        gst_app::AppSrcCallbacks::builder()
            .need_data(move |to, _| {
                let got = next.lock().expect("nobody panics with it")();
                match got {
                    Ok(Some(buffer)) => drop(to.push_buffer(buffer)),
                    Ok(None) => drop(to.end_of_stream()),
                    Err(e) => {
                        *error.lock().expect("nobody panics with it") = Some(e);
                        let _ = to.end_of_stream();
                    }
                }
            })
            .build(),
    );
}

fn buffer(data: Vec<u8>, pts: gst::ClockTime) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(data);
    buffer.get_mut().expect("just made").set_pts(pts);
    buffer
}

/// Files one after the other, each with its time where that is known, else by the frame rate.
fn files(files: Vec<PathBuf>, fps: gst::Fraction) -> (gst::Caps, Next) {
    let png = files.first().is_some_and(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")));
    let times = super::pictures::times(&files);
    // The mean rate, where it is known better.
    let mean = |t: &Vec<u64>| gst::Fraction::approximate_f64((t.len() - 1) as f64 * 1e9 / (t[t.len() - 1] - t[0]) as f64);
    let fps = times.as_ref().filter(|t| t.len() > 1).and_then(mean).filter(|f| f.numer() > 0).unwrap_or(fps);
    let caps = gst::Caps::builder(if png { "image/png" } else { "image/jpeg" }).field("framerate", fps).build();
    let mut list = files.into_iter().enumerate();
    let next = move || {
        let Some((n, path)) = list.next() else { return Ok(None) };
        let data = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let by_rate = gst::ClockTime::SECOND.mul_div_floor(n as u64 * fps.denom() as u64, fps.numer() as u64);
        let time = times.as_ref().map(|t| gst::ClockTime::from_nseconds(t[n])).or(by_rate);
        Ok(Some(buffer(data, time.ok_or("so many pictures have no time")?)))
    };
    (caps, Box::new(next))
}

/// Caps of messages like the first one.
fn caps(content: &Content) -> Result<gst::Caps, Error> {
    Ok(match content {
        Content::Jpeg(_) => gst::Caps::builder("image/jpeg").field("framerate", gst::Fraction::new(0, 1)).build(),
        Content::Lic(_) => gst::Caps::builder("video/x-lic").field("stream-format", "byte-stream").field("alignment", "frame").build(),
        Content::Raw { format, width, height, .. } => gst::Caps::builder("video/x-raw")
            .field("format", name(*format)?)
            .field("width", *width as i32)
            .field("height", *height as i32)
            .field("framerate", gst::Fraction::new(0, 1))
            .build(),
        Content::Other(what) => return Err(format!("pictures of the kind {what:?} are not read").into()),
    })
}

fn name(format: RawFormat) -> Result<&'static str, Error> {
    Ok(match format {
        RawFormat::Rgb => "RGB",
        RawFormat::Bgr => "BGR",
        RawFormat::Rgbx => "RGBx",
        RawFormat::Bgrx => "BGRx",
        RawFormat::Gray8 => "GRAY8",
        RawFormat::Uyvy => "UYVY",
        RawFormat::Yuy2 => "YUY2",
        other => return Err(format!("{other:?} is not in any message").into()),
    })
}

/// Messages of a topic, from the time `start` on.
fn messages(mut topic: Topic, start: u64) -> Next {
    let mut size = None;
    Box::new(move || {
        let Some(m) = topic.next()? else { return Ok(None) };
        let data = match m.content {
            Content::Jpeg(data) | Content::Lic(data) => data,
            Content::Raw { format, width, height, step, data } => {
                if *size.get_or_insert((format, width, height)) != (format, width, height) {
                    return Err("its pictures change size or format: only --to mcap follows that".into());
                }
                lines(format, width as usize, height as usize, step, &data)?
            }
            Content::Other(what) => return Err(format!("pictures of the kind {what:?} are not read").into()),
        };
        Ok(Some(buffer(data, gst::ClockTime::from_nseconds(m.time.saturating_sub(start)))))
    })
}

/// Lines at GStreamer's distance, a multiple of four.
fn lines(format: RawFormat, width: usize, height: usize, step: usize, data: &[u8]) -> Result<Vec<u8>, Error> {
    let (line, count) = format.planes(width, height)[0];
    if step < line || data.len() < step * count.saturating_sub(1) + line {
        return Err("a message with fewer bytes than its picture has".into());
    }
    let stride = line.next_multiple_of(4);
    let mut out = vec![0; stride * count];
    out.chunks_exact_mut(stride).zip(data.chunks(step)).for_each(|(to, from)| to[..line].copy_from_slice(&from[..line]));
    Ok(out)
}

/// Length of an input, by opening it.
pub fn length(input: &Input, fps: gst::Fraction) -> Option<f64> {
    if input.kind == Kind::Pictures {
        return Some(pictures(&input.path).ok()?.len() as f64 * fps.denom() as f64 / fps.numer() as f64);
    }
    if input.kind == Kind::Lic {
        return super::lic::length(&input.path);
    }
    if input.kind == Kind::Mcap {
        let mut all = topic(input).ok()?;
        let first = all.next().ok()??.time;
        let mut last = first;
        while let Ok(Some(m)) = all.next() {
            last = m.time;
        }
        return Some(last.saturating_sub(first) as f64 * 1e-9);
    }
    let running = Running::parse("filesrc name=file ! decodebin name=decoder decoder. ! queue name=raw ! fakesink").ok()?;
    let _source = Source::connect(&running, input, fps).ok()?;
    running.0.set_state(gst::State::Paused).ok()?;
    running.0.state(gst::ClockTime::from_seconds(20)).0.ok()?;
    running.duration().map(|d| d.as_secs_f64())
}
