//! To .lic files.

use super::source::{self, Source};
use super::{Coder, Done, Progress, To};
use crate::commands::Error;
use crate::inputs::Input;
use crate::media::Running;
use gst::prelude::*;
use lic_container::lic::{Reader, Writer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is written, and what went wrong.
struct State {
    writer: Option<Writer<BufWriter<File>>>,
    last: u64,
    first: Option<u64>,
    step: u64,
    error: Option<Error>,
}

pub fn run(input: &Input, coder: &Coder, part: &Path, progress: &dyn Progress) -> Result<Done, Error> {
    let running = Running::parse(&format!("{} ! licenc name=coder ! appsink name=out sync=false max-buffers=4", source::raw(input)?))?;
    let seconds = if coder.target_size.is_some() { source::length(input, coder.fps) } else { None };
    coder.set(&running.get("coder"), seconds)?;
    let input_source = Source::connect(&running, input, coder.fps)?;
    let file = File::create(part).map_err(|e| format!("{}: {e}", part.display()))?;
    let state = State { writer: Some(Writer::new(BufWriter::new(file))), last: 0, first: None, step: 0, error: None };
    let state = Arc::new(Mutex::new(state));
    let sink = running.get("out").downcast::<gst_app::AppSink>().expect("an appsink");
    let shared = state.clone();
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let mut state = shared.lock().expect("nobody panics with it");
                push(&mut state, &sample).map_err(|e| {
                    state.error.get_or_insert(e);
                    gst::FlowError::Error
                })?;
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    let played = running.play(|event| {
        input_source.watch(&running, event, progress);
        Ok(true)
    });
    drop(running);
    let mut state = state.lock().expect("nobody panics with it");
    // What the writer met says more than what the pipeline made of it.
    if let Some(e) = state.error.take() {
        return Err(e);
    }
    played?;
    input_source.left_out("a .lic file", progress);
    let writer = state.writer.take().expect("taken once");
    let frames = writer.frames();
    let mut notes: BTreeMap<String, String> = input_source.tags.lock().expect("nobody panics with it").iter().cloned().collect();
    notes.insert("tool".into(), format!("lic {}", env!("CARGO_PKG_VERSION")));
    notes.insert("source".into(), input.path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    notes.insert("made-from".into(), coder.from(&input.path)?);
    notes.insert("made-with".into(), coder.with(To::Lic));
    let file = writer.finish(notes).map_err(Error::from)?.into_inner().map_err(|e| e.into_error())?;
    let bytes = file.metadata()?.len();
    let seconds = (state.last + state.step - state.first.unwrap_or(0)) as f64 * 1e-9;
    Ok(Done { frames, bytes, seconds })
}

fn push(state: &mut State, sample: &gst::Sample) -> Result<(), Error> {
    let buffer = sample.buffer().ok_or("a sample without a buffer")?;
    let pts = buffer.pts().ok_or("a frame without a time")?;
    let time =
        sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>()).and_then(|s| s.to_stream_time(pts)).unwrap_or(pts).nseconds();
    let data = buffer.map_readable()?;
    state.writer.as_mut().expect("not finished yet").push(&data, time)?;
    state.first.get_or_insert(time);
    state.step = buffer.duration().map_or(time.saturating_sub(state.last), |d| d.nseconds());
    state.last = time;
    Ok(())
}

fn open(path: &Path) -> Option<Reader<File>> {
    Reader::open(File::open(path).ok()?).ok()
}

/// How a file says that it was made.
pub fn made(path: &Path) -> Option<(String, String)> {
    let reader = open(path)?;
    let notes = &reader.index().notes;
    Some((notes.get("made-from")?.clone(), notes.get("made-with")?.clone()))
}

/// Length of a file in seconds.
pub fn length(path: &Path) -> Option<f64> {
    let reader = open(path)?;
    let groups = &reader.index().groups;
    let (first, last) = (groups.first()?, groups.last()?);
    let before: u64 = groups[..groups.len() - 1].iter().map(|g| g.frames as u64).sum();
    let step = if before > 0 { last.time.saturating_sub(first.time) as f64 / before as f64 } else { 1e9 / 30.0 };
    Some((step * (before + last.frames as u64) as f64) * 1e-9)
}
