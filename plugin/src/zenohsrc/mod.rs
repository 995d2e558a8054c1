//! `zenohsrc`: zenoh -> any stream.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct ZenohSrc(ObjectSubclass<imp::ZenohSrc>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // The second name: see `foreign`.
    gst::Element::register(Some(plugin), "zenohsrc", gst::Rank::NONE, ZenohSrc::static_type())?;
    gst::Element::register(Some(plugin), "liczenohsrc", gst::Rank::NONE, ZenohSrc::static_type())
}
