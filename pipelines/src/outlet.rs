//! Samples out of a pipeline, one by one, for whoever asks.

use crate::commands::Error;
use crate::media::{Running, said};
use gst::prelude::*;

/// End of every pipeline for an [`Outlet`].
pub const END: &str = "appsink name=out sync=false max-buffers=4";

/// A pipeline that ends in [`END`].
pub struct Outlet {
    running: Running,
    sink: gst_app::AppSink,
}

impl Outlet {
    /// Starts it.
    pub fn start(running: Running) -> Result<Outlet, Error> {
        let sink = running.get("out").downcast().expect("an appsink");
        // A failure's reason is on the bus: `next` says it.
        let _ = running.0.set_state(gst::State::Playing);
        Ok(Outlet { running, sink })
    }

    /// The next sample; none: the end.
    pub fn next(&self) -> Result<Option<gst::Sample>, Error> {
        let bus = self.running.0.bus().expect("pipelines have a bus");
        loop {
            if let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::from_mseconds(50)) {
                return Ok(Some(sample));
            }
            if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
                && let gst::MessageView::Error(e) = message.view()
            {
                return Err(said(e));
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
        }
    }
}
