//! GStreamer, with lic's elements in this program: nothing has to be installed or found.

use crate::commands::Error;
use gst::prelude::*;
use std::sync::Once;
use std::time::Duration;

/// Before anything else of GStreamer.
pub fn init() -> Result<(), Error> {
    static ONCE: Once = Once::new();
    gst::init().map_err(|e| format!("GStreamer does not start: {e}"))?;
    let mut result = Ok(());
    ONCE.call_once(|| result = gstlic::plugin_register_static());
    result.map_err(|e| format!("lic's elements cannot be registered: {e}").into())
}

/// An element, or an error that says what to install.
pub fn element(factory: &str) -> Result<gst::Element, Error> {
    let made = gst::ElementFactory::make(factory).build();
    made.map_err(|_| format!("GStreamer has no element {factory}: `lic doctor` says which package holds it").into())
}

/// What happens while a pipeline runs.
pub enum Event<'a> {
    /// Some time has gone by.
    Tick,
    Message(&'a gst::Message),
}

/// A pipeline that stops when it is dropped.
pub struct Running(pub gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

impl Running {
    /// A pipeline in GStreamer's notation.
    pub fn parse(description: &str) -> Result<Running, Error> {
        let made = gst::parse::launch(description).map_err(|e| format!("{e}; `lic doctor` says what is missing"))?;
        Ok(Running(made.downcast().map_err(|_| "not a pipeline")?))
    }

    /// Its element of this name.
    pub fn get(&self, name: &str) -> gst::Element {
        self.0.by_name(name).expect("the pipeline's description has it")
    }

    /// Plays until the end of the stream; `watch` is called often, and ends it early with false.
    pub fn play(&self, mut watch: impl FnMut(Event) -> Result<bool, Error>) -> Result<(), Error> {
        let bus = self.0.bus().expect("pipelines have a bus");
        let started = self.0.set_state(gst::State::Playing);
        loop {
            let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(if started.is_ok() { 100 } else { 0 })) else {
                if started.is_err() {
                    return Err("the pipeline does not start".into());
                }
                if !watch(Event::Tick)? {
                    return Ok(());
                }
                continue;
            };
            match message.view() {
                gst::MessageView::Eos(_) => return Ok(()),
                gst::MessageView::Error(e) => return Err(said(e)),
                _ => {
                    if !watch(Event::Message(&message))? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends the end of the stream into it and waits for it to come out, so that files are closed whole.
    pub fn end(&self) {
        self.0.send_event(gst::event::Eos::new());
        if let Some(bus) = self.0.bus() {
            let _ = bus.timed_pop_filtered(gst::ClockTime::from_seconds(5), &[gst::MessageType::Eos, gst::MessageType::Error]);
        }
    }

    /// Length of the stream, if it is known.
    pub fn duration(&self) -> Option<Duration> {
        self.0.query_duration::<gst::ClockTime>().map(Into::into)
    }

    /// How far it has come.
    pub fn position(&self) -> Option<Duration> {
        self.0.query_position::<gst::ClockTime>().map(Into::into)
    }
}

/// What an element said, for people: its own words, and the details where they add something.
pub fn said(e: &gst::message::Error) -> Error {
    let who = e.src().map(|s| s.name().to_string()).unwrap_or_default();
    let detail = e.debug().and_then(|d| d.lines().last().map(|l| l.trim().to_string())).filter(|l| !l.is_empty() && !l.contains(".c("));
    match detail {
        Some(d) => format!("{who}: {} ({d})", e.error()).into(),
        None => format!("{who}: {}", e.error()).into(),
    }
}
