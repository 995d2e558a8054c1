//! What comes out of a pipeline, sample by sample.

use super::Progress;
use super::source::Source;
use crate::commands::Error;
use crate::media::Running;
use gst::prelude::*;
use std::sync::{Arc, Mutex};

/// End of every pipeline for [`collect`].
pub const END: &str = "appsink name=out sync=false max-buffers=2";

/// Plays a pipeline that ends in [`END`]; `each` takes every sample. Its error ends the pipeline, and is the error.
pub fn collect<T: Send + 'static>(
    running: Running,
    source: &Source,
    progress: &dyn Progress,
    state: T,
    each: impl Fn(&mut T, &gst::Sample) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<T, Error> {
    let state = Arc::new(Mutex::new((state, None)));
    let sink = running.get("out").downcast::<gst_app::AppSink>().expect("an appsink");
    let shared = state.clone();
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let mut state = shared.lock().expect("nobody panics with it");
                let (state, error) = &mut *state;
                each(state, &sample).map_err(|e| {
                    error.get_or_insert(e);
                    gst::FlowError::Error
                })?;
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    let played = running.play(|event| {
        source.watch(&running, event, progress);
        Ok(true)
    });
    // Its threads are gone with it.
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().build());
    drop((sink, running));
    let state = Arc::into_inner(state).ok_or("the pipeline does not end")?;
    let (state, error) = state.into_inner().expect("nobody panics with it");
    // What was met here says more than what the pipeline made of it.
    error.map_or(Ok(()), Err)?;
    played?;
    if let Some(e) = source.error() {
        return Err(e);
    }
    Ok(state)
}

/// Time of a sample in its stream, in nanoseconds.
pub fn time(sample: &gst::Sample) -> Result<u64, Error> {
    let pts = sample.buffer().and_then(|b| b.pts()).ok_or("a frame without a time")?;
    let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
    Ok(segment.and_then(|s| s.to_stream_time(pts)).unwrap_or(pts).nseconds())
}
