//! `licenc`: raw video -> video/x-lic.

use gst::glib;
use gst::prelude::*;

mod imp;
mod pace;
mod roi;

glib::wrapper! {
    pub struct LicEnc(ObjectSubclass<imp::LicEnc>) @extends gst_video::VideoEncoder, gst::Element, gst::Object;
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
    #[enum_value(name = "Latents of earlier frames: no loop, nothing drifts; for static cameras", nick = "latent")]
    Latent,
    #[enum_value(name = "Pictures of earlier frames, shifted block by block; for cameras that move", nick = "motion")]
    Motion,
}

impl From<Inter> for lic_codec::Inter {
    fn from(i: Inter) -> lic_codec::Inter {
        match i {
            Inter::Auto => lic_codec::Inter::Auto,
            Inter::None => lic_codec::Inter::None,
            Inter::Latent => lic_codec::Inter::Latent,
            Inter::Motion => lic_codec::Inter::Motion,
        }
    }
}

/// How much time to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicEffort")]
pub enum Effort {
    #[default]
    #[enum_value(name = "For live streams: what hardly pays is not tried", nick = "default")]
    Default,
    #[enum_value(name = "For recordings: everything is tried, a few percent smaller", nick = "max")]
    Max,
}

impl From<Effort> for lic_codec::Effort {
    fn from(e: Effort) -> lic_codec::Effort {
        match e {
            Effort::Default => lic_codec::Effort::Default,
            Effort::Max => lic_codec::Effort::Max,
        }
    }
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "licenc", gst::Rank::PRIMARY, LicEnc::static_type())
}
