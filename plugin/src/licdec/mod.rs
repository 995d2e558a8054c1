//! `licdec`: video/x-lic -> raw video.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct LicDec(ObjectSubclass<imp::LicDec>) @extends gst_video::VideoDecoder, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "licdec", gst::Rank::PRIMARY, LicDec::static_type())
}
