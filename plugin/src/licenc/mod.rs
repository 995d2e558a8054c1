//! `licenc`: raw video -> video/x-lic.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct LicEnc(ObjectSubclass<imp::LicEnc>) @extends gst_video::VideoEncoder, gst::Element, gst::Object;
}

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicBackend")]
pub enum Backend {
    #[default]
    #[enum_value(name = "The fastest that this machine has", nick = "auto")]
    Auto,
    #[enum_value(name = "The CPU", nick = "cpu")]
    Cpu,
}

/// What a frame may be predicted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicInter")]
pub enum Inter {
    #[default]
    #[enum_value(name = "Earlier frames wherever that is cheaper", nick = "auto")]
    Auto,
    #[enum_value(name = "Nothing: every frame is a key frame", nick = "none")]
    None,
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "licenc", gst::Rank::PRIMARY, LicEnc::static_type())
}
