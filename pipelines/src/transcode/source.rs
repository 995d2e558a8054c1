//! Pictures out of an input: the first part of every pipeline.

use super::Progress;
use crate::commands::Error;
use crate::inputs::{Input, Kind, pictures};
use crate::media::{Event, Running};
use gst::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Raw video out of anything, for [`gst::parse`]: what follows is linked behind it.
pub fn raw(input: &Input) -> Result<&'static str, Error> {
    Ok(match input.kind {
        Kind::Pictures => {
            let first = pictures(&input.path)?.into_iter().next().ok_or("no pictures in it")?;
            match first.extension().map(|e| e.to_ascii_lowercase()) {
                Some(e) if e == "png" => "appsrc name=files format=time block=true max-bytes=16777216 ! pngdec ! videoconvert",
                _ => "appsrc name=files format=time block=true max-bytes=16777216 ! jpegparse ! licjpegdec ! videoconvert",
            }
        }
        _ => {
            "filesrc name=file ! decodebin name=decoder decoder. ! queue name=raw max-size-buffers=4 max-size-bytes=0 max-size-time=0 ! videoconvert"
        }
    })
}

/// What is known of an input while it runs.
pub struct Source {
    /// Audio was met, and nobody took it.
    silent: Arc<AtomicBool>,
    /// Texts such as a title, by their tag's name.
    pub tags: Mutex<Vec<(String, String)>>,
    length: Option<Duration>,
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
        if let Some(files) = running.0.by_name("files") {
            let list = pictures(&input.path)?;
            length = gst::ClockTime::SECOND.mul_div_floor(list.len() as u64 * fps.denom() as u64, fps.numer() as u64).map(Into::into);
            feed(&files.downcast::<gst_app::AppSrc>().expect("an appsrc"), list, fps);
        }
        Ok(Source { silent, tags: Mutex::default(), length })
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

/// Pushes the files one after the other, each with its time: that of its capture if all of them say one, else by the frame rate.
fn feed(to: &gst_app::AppSrc, files: Vec<PathBuf>, fps: gst::Fraction) {
    let png = files.first().is_some_and(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")));
    let times = super::pictures::times(&files);
    // The mean rate, where it is known better.
    let known = times
        .as_ref()
        .filter(|t| t.len() > 1)
        .and_then(|t| gst::Fraction::approximate_f64((t.len() - 1) as f64 * 1e9 / (t[t.len() - 1] - t[0]) as f64));
    let fps = known.filter(|f| f.numer() > 0).unwrap_or(fps);
    to.set_caps(Some(&gst::Caps::builder(if png { "image/png" } else { "image/jpeg" }).field("framerate", fps).build()));
    let at = Mutex::new(0usize);
    to.set_callbacks(
        gst_app::AppSrcCallbacks::builder()
            .need_data(move |to, _| {
                let mut at = at.lock().expect("nobody panics with it");
                let Some(path) = files.get(*at) else {
                    let _ = to.end_of_stream();
                    return;
                };
                let data = match std::fs::read(path) {
                    Ok(data) => data,
                    Err(e) => {
                        gst::element_error!(to, gst::ResourceError::Read, ("{}: {e}", path.display()));
                        return;
                    }
                };
                let n = *at as u64;
                let by_rate = |n: u64| gst::ClockTime::SECOND.mul_div_floor(n * fps.denom() as u64, fps.numer() as u64);
                let mut buffer = gst::Buffer::from_mut_slice(data);
                let b = buffer.get_mut().expect("just made");
                b.set_pts(times.as_ref().map(|t| gst::ClockTime::from_nseconds(t[*at])).or_else(|| by_rate(n)));
                b.set_duration(by_rate(n + 1).zip(by_rate(n)).map(|(b, a)| b - a));
                *at += 1;
                let _ = to.push_buffer(buffer);
            })
            .build(),
    );
}

/// Length of an input, by opening it.
pub fn length(input: &Input, fps: gst::Fraction) -> Option<f64> {
    if input.kind == Kind::Pictures {
        return Some(pictures(&input.path).ok()?.len() as f64 * fps.denom() as f64 / fps.numer() as f64);
    }
    if input.kind == Kind::Lic {
        return super::lic::length(&input.path);
    }
    let running = Running::parse("filesrc name=file ! decodebin name=decoder decoder. ! queue name=raw ! fakesink").ok()?;
    let _source = Source::connect(&running, input, fps).ok()?;
    running.0.set_state(gst::State::Paused).ok()?;
    running.0.state(gst::ClockTime::from_seconds(20)).0.ok()?;
    running.duration().map(|d| d.as_secs_f64())
}
