//! What the network must know of a lic frame without parsing it, beside the frame's bytes.

use gst::meta::CustomMeta;
use std::sync::Once;

const NAME: &str = "LicFrameMeta";

/// Attached to every buffer with one lic frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    /// Number of the frame in its stream; wraps.
    pub number: u32,
    /// It refers to no other frame.
    pub key: bool,
    /// It does, but decoders may begin here: the first frame of a refresh cycle.
    pub recovery: bool,
    /// Frames that it refers to.
    pub references: Vec<u32>,
}

fn register() {
    static ONCE: Once = Once::new();
    // With a tag that they do not know, encoders and decoders leave it behind: raw pictures are no lic frames.
    ONCE.call_once(|| CustomMeta::register(NAME, &["lic"]));
}

/// Attaches `meta`; what was attached before is replaced.
pub fn attach(buffer: &mut gst::BufferRef, meta: &FrameMeta) {
    register();
    if let Ok(old) = CustomMeta::from_mut_buffer(buffer, NAME) {
        let _ = old.remove();
    }
    if let Ok(mut m) = CustomMeta::add(buffer, NAME) {
        let s = m.mut_structure();
        s.set("number", meta.number);
        s.set("key", meta.key);
        s.set("recovery", meta.recovery);
        s.set("references", gst::Array::new(&meta.references));
    }
}

/// What is attached to a buffer.
pub fn of(buffer: &gst::BufferRef) -> Option<FrameMeta> {
    register();
    let m = CustomMeta::from_buffer(buffer, NAME).ok()?;
    let s = m.structure();
    let references = s.get::<gst::Array>("references").ok()?;
    let references = references.iter().map(|v| v.get::<u32>()).collect::<Result<_, _>>().ok()?;
    Some(FrameMeta { number: s.get("number").ok()?, key: s.get("key").ok()?, recovery: s.get("recovery").ok()?, references })
}

/// Upstream event: the frame of this number was never sent.
const LOST: &str = "lic-frame-lost";
const LOST_NUMBER: &str = "frame-number";

/// Tells the encoder that a frame was never sent, so that it refers to another.
pub fn lost_event(number: u32) -> gst::Event {
    gst::event::CustomUpstream::new(gst::Structure::builder(LOST).field(LOST_NUMBER, number).build())
}

/// The number in an event of [`lost_event`].
pub fn lost_number(event: &gst::EventRef) -> Option<u32> {
    let gst::EventView::CustomUpstream(event) = event.view() else { return None };
    let structure = event.structure().filter(|structure| structure.name() == LOST)?;
    structure.get(LOST_NUMBER).ok()
}

/// Upstream event: the network loses frames, and receivers hold these.
const ACKNOWLEDGED: &str = "lic-frames-acknowledged";
const ACKNOWLEDGED_NUMBERS: &str = "frame-numbers";

/// Tells the encoder to refer to none but these frames, the newest first, which all receivers hold; `None`: to whatever it likes.
pub fn acknowledged_event(numbers: Option<&[u32]>) -> gst::Event {
    let structure = gst::Structure::builder(ACKNOWLEDGED);
    let structure = match numbers {
        Some(numbers) => structure.field(ACKNOWLEDGED_NUMBERS, gst::Array::new(numbers)),
        None => structure,
    };
    gst::event::CustomUpstream::new(structure.build())
}

/// What an event of [`acknowledged_event`] says; `None`: it is another event.
pub fn acknowledged_numbers(event: &gst::EventRef) -> Option<Option<Vec<u32>>> {
    let gst::EventView::CustomUpstream(event) = event.view() else { return None };
    let structure = event.structure().filter(|structure| structure.name() == ACKNOWLEDGED)?;
    let numbers = structure.get::<gst::Array>(ACKNOWLEDGED_NUMBERS).ok();
    Some(numbers.map(|numbers| numbers.iter().filter_map(|number| number.get::<u32>().ok()).collect()))
}
