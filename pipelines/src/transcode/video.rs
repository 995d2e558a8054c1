//! To MP4 and Matroska with H.264, for players; sound goes along.

use super::source::{self, Source};
use super::{Coder, Done, Progress, To};
use crate::commands::Error;
use crate::inputs::{Input, Kind};
use crate::media::Running;
use gst::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Encoders of sound, as far as GStreamer has one of them.
const SOUND: [&str; 4] = ["avenc_aac", "voaacenc", "fdkaacenc", "opusenc"];

pub fn run(input: &Input, to: To, coder: &Coder, part: &Path, progress: &dyn Progress) -> Result<Done, Error> {
    let muxer = if to == To::Mp4 { "mp4mux name=mux" } else { "matroskamux name=mux" };
    let mut text =
        format!("{} ! video/x-raw,format=I420 ! x264enc name=coder ! h264parse ! {muxer} ! filesink name=out", source::raw(input)?);
    let sound = SOUND.iter().find(|e| gst::ElementFactory::find(e).is_some());
    if let Some(encoder) = sound.filter(|_| input.kind == Kind::Media && has_sound(input, coder)) {
        text.push_str(&format!(
            " queue name=audio max-size-time=0 max-size-bytes=0 max-size-buffers=2000 ! audioconvert ! audioresample ! {encoder} ! mux."
        ));
    }
    let running = Running::parse(&text)?;
    let x264 = running.get("coder");
    match coder.bitrate.or_else(|| Some((coder.target_size? as f64 * 0.008 / source::length(input, coder.fps)?) as u32)) {
        Some(rate) => x264.set_property("bitrate", rate.max(1)),
        None => {
            x264.set_property_from_str("pass", "quant");
            // Quantisers as licenc's quality: 50 looks alike.
            x264.set_property("quantizer", 51 - coder.quality.min(100) / 2);
        }
    }
    running.get("out").set_property("location", part);
    let input_source = Source::connect(&running, input, coder.fps)?;
    let frames = Arc::new(AtomicU64::new(0));
    let count = frames.clone();
    x264.static_pad("sink").expect("encoders have one").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    let mut seconds = 0.0;
    running.play(|event| {
        input_source.watch(&running, event, progress);
        seconds = running.position().map_or(seconds, |p| p.as_secs_f64());
        Ok(true)
    })?;
    let seconds = running.position().map_or(seconds, |p| p.as_secs_f64());
    drop(running);
    input_source.left_out("this container, without an encoder for it,", progress);
    Ok(Done { frames: frames.load(Ordering::Relaxed), bytes: std::fs::metadata(part)?.len(), seconds })
}

/// Whether there is sound to take along.
fn has_sound(input: &Input, coder: &Coder) -> bool {
    let Ok(running) = Running::parse("filesrc name=file ! decodebin name=decoder decoder. ! queue name=raw ! fakesink") else {
        return false;
    };
    let Ok(source) = Source::connect(&running, input, coder.fps) else { return false };
    running.0.set_state(gst::State::Paused).is_ok() && running.0.state(gst::ClockTime::from_seconds(20)).0.is_ok() && source.has_sound()
}
