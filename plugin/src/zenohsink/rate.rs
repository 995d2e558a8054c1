//! The bit rate of whatever encodes what a sink sends.

use crate::stream::feeding;
use gst::glib;
use gst::prelude::*;

/// Encoders whose bit rate may change while they run: element, property, bit/s of its unit.
const ENCODERS: [(&str, &str, u64); 12] = [
    ("licenc", "bitrate", 1000),
    ("x264enc", "bitrate", 1000),
    ("x265enc", "bitrate", 1000),
    ("nvh264enc", "bitrate", 1000),
    ("nvh265enc", "bitrate", 1000),
    ("vah264enc", "bitrate", 1000),
    ("vah265enc", "bitrate", 1000),
    ("qsvh264enc", "bitrate", 1000),
    ("openh264enc", "bitrate", 1),
    ("nvv4l2h264enc", "bitrate", 1),
    ("vp8enc", "target-bitrate", 1),
    ("vp9enc", "target-bitrate", 1),
];
/// Elements between an encoder and a sink that are looked past: parsers, queues, caps filters.
const FAR: usize = 16;

/// An encoder and what it was set to.
#[derive(Clone, Debug)]
pub struct Encoder {
    element: gst::Element,
    property: &'static str,
    unit: u64,
    /// Bit/s; 0 where that means none, as with licenc.
    pub at_first: u64,
}

impl Encoder {
    /// The nearest one upstream of a sink pad.
    pub fn before(sink: &gst::Pad) -> Option<Encoder> {
        let mut pad = sink.clone();
        for _ in 0..FAR {
            let element = feeding(&pad)?.parent_element()?;
            let name = element.factory().map(|factory| factory.name());
            if let Some((_, property, unit)) = ENCODERS.iter().find(|(known, ..)| name.as_deref() == Some(known)) {
                let mut encoder = Encoder { element, property, unit: *unit, at_first: 0 };
                encoder.at_first = encoder.bits();
                return Some(encoder);
            }
            pad = element.sink_pads().into_iter().next()?;
        }
        None
    }

    pub fn name(&self) -> glib::GString {
        self.element.name()
    }

    fn bits(&self) -> u64 {
        let value = self.element.property_value(self.property);
        let number = value.get::<u32>().map(u64::from).or_else(|_| value.get::<i32>().map(|number| number.max(0) as u64));
        number.unwrap_or(0).saturating_mul(self.unit)
    }

    /// Asks for so many bit/s, or what it takes nearest to that.
    pub fn set_bits(&self, bits: u64) {
        let number = bits / self.unit;
        let Some(spec) = self.element.find_property(self.property) else { return };
        if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
            let number = u32::try_from(number).unwrap_or(u32::MAX).clamp(spec.minimum(), spec.maximum());
            self.element.set_property(self.property, number);
        } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
            let number = i32::try_from(number).unwrap_or(i32::MAX).clamp(spec.minimum(), spec.maximum());
            self.element.set_property(self.property, number);
        }
    }
}
