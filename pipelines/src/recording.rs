//! A live stream into a .lic file, written as it comes.

use crate::commands::Error;
use crate::media::Running;
use gst::prelude::*;
use lic_container::lic::Writer;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// End of the pipeline for a [`Recorder`]: whole frames of lic's and nothing else.
pub const END: &str = "video/x-lic,alignment=frame ! appsink name=out sync=false max-buffers=64";

struct State {
    writer: Writer<File>,
    /// Presentation time of the first frame, and of the newest in the file, in nanoseconds.
    first: Option<u64>,
    last: Option<u64>,
    /// When the first was taken, in nanoseconds since 1970.
    captured: Option<u64>,
    error: Option<Error>,
}

/// The file, open under its own name: a crash leaves all whole frames in it.
pub struct Recorder {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl Recorder {
    /// Takes what comes out of [`END`] of this pipeline.
    pub fn begin(running: &Running, path: &Path) -> Result<Recorder, Error> {
        let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let state = Arc::new(Mutex::new(State { writer: Writer::new(file), first: None, last: None, captured: None, error: None }));
        let shared = Arc::downgrade(&state);
        let sink = running.get("out").downcast::<gst_app::AppSink>().expect("an appsink");
        let new_sample = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let state = shared.upgrade().ok_or(gst::FlowError::Flushing)?;
            let mut state = state.lock().expect("nobody panics with it");
            take(&mut state, &sample).map_err(|e| {
                state.error.get_or_insert(e);
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        Ok(Recorder { state, path: path.to_path_buf() })
    }

    /// Writes the index. A file without a frame goes. The pipeline has ended before.
    pub fn finish(self) -> Result<(), Error> {
        let state = Arc::into_inner(self.state).ok_or("the pipeline still runs")?.into_inner().expect("nobody panics with it");
        let at = |e: &dyn std::fmt::Display| Error::from(format!("{}: {e}", self.path.display()));
        if state.writer.frames() == 0 {
            std::fs::remove_file(&self.path).map_err(|e| at(&e))?;
            return state.error.map_or(Ok(()), |e| Err(at(&e)));
        }
        let mut notes = BTreeMap::from([("tool".to_string(), format!("lic {}", env!("CARGO_PKG_VERSION")))]);
        notes.extend(state.captured.map(|t| ("start-time".to_string(), t.to_string())));
        let file = state.writer.finish(notes).map_err(|e| at(&e))?;
        file.sync_all().map_err(|e| at(&e))?;
        state.error.map_or(Ok(()), |e| Err(at(&e)))
    }
}

fn take(state: &mut State, sample: &gst::Sample) -> Result<(), Error> {
    let buffer = sample.buffer().ok_or("a sample without a buffer")?;
    let pts = buffer.pts().ok_or("a frame without a time")?.nseconds();
    if state.first.is_none() {
        state.captured = buffer
            .iter_meta::<gst::ReferenceTimestampMeta>()
            .find(|m| m.reference().structure(0).is_some_and(|s| s.name() == "timestamp/x-unix"))
            .map(|m| m.timestamp().nseconds());
    }
    let first = *state.first.get_or_insert(pts);
    // The clock of a sender that started anew may lie a little before: times in a file rise.
    let time = pts.saturating_sub(first).max(state.last.map_or(0, |t| t + 1));
    state.last = Some(time);
    state.writer.push(&buffer.map_readable()?, time)?;
    Ok(())
}
