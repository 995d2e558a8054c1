//! `zenohsink`: any stream -> zenoh.

use gst::glib;
use gst::prelude::*;

mod imp;
mod rate;

glib::wrapper! {
    pub struct ZenohSink(ObjectSubclass<imp::ZenohSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// Which stream goes first on a shared link. Numbers as zenoh counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicZenohPriority")]
pub enum Priority {
    #[enum_value(name = "Before everything else", nick = "real-time")]
    RealTime = 1,
    #[enum_value(name = "Interactive, high", nick = "interactive-high")]
    InteractiveHigh = 2,
    #[enum_value(name = "Interactive, low", nick = "interactive-low")]
    InteractiveLow = 3,
    #[enum_value(name = "Data, high", nick = "data-high")]
    DataHigh = 4,
    #[default]
    #[enum_value(name = "Data", nick = "data")]
    Data = 5,
    #[enum_value(name = "Data, low", nick = "data-low")]
    DataLow = 6,
    #[enum_value(name = "After everything else", nick = "background")]
    Background = 7,
}

/// What happens to a frame that the network cannot take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicZenohCongestionControl")]
pub enum CongestionControl {
    #[enum_value(name = "It waits; after 5 s the connection is given up and made anew", nick = "block")]
    Block,
    #[default]
    #[enum_value(name = "It waits up to a second, then it is dropped", nick = "drop")]
    Drop,
}

/// Which link a frame prefers where there are several. zenoh never sends anything twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicZenohReliability")]
pub enum Reliability {
    #[enum_value(name = "A link that may lose frames", nick = "best-effort")]
    BestEffort,
    #[default]
    #[enum_value(name = "A link that loses none", nick = "reliable")]
    Reliable,
}

/// What travels beside each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicZenohAttachment")]
pub enum Attachment {
    #[default]
    #[enum_value(name = "lic's header: sequence, references, times", nick = "lic")]
    Lic,
    #[enum_value(name = "What the zenohsrc of gst-plugin-zenoh reads", nick = "gst-plugin-zenoh")]
    GstPluginZenoh,
}

impl From<Priority> for lic_transport::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::RealTime => Self::RealTime,
            Priority::InteractiveHigh => Self::InteractiveHigh,
            Priority::InteractiveLow => Self::InteractiveLow,
            Priority::DataHigh => Self::DataHigh,
            Priority::Data => Self::Data,
            Priority::DataLow => Self::DataLow,
            Priority::Background => Self::Background,
        }
    }
}

impl From<CongestionControl> for lic_transport::CongestionControl {
    fn from(control: CongestionControl) -> Self {
        match control {
            CongestionControl::Block => Self::Block,
            CongestionControl::Drop => Self::Drop,
        }
    }
}

impl From<Reliability> for lic_transport::Reliability {
    fn from(reliability: Reliability) -> Self {
        match reliability {
            Reliability::BestEffort => Self::BestEffort,
            Reliability::Reliable => Self::Reliable,
        }
    }
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // The second name: see `foreign`.
    gst::Element::register(Some(plugin), "zenohsink", gst::Rank::NONE, ZenohSink::static_type())?;
    gst::Element::register(Some(plugin), "liczenohsink", gst::Rank::NONE, ZenohSink::static_type())
}
