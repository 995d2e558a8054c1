//! `licjpegdec`: image/jpeg -> video/x-raw.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct LicJpegDec(ObjectSubclass<imp::LicJpegDec>) @extends gst_video::VideoDecoder, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // No rank: plain files are for the decoders that the system has.
    gst::Element::register(Some(plugin), "licjpegdec", gst::Rank::NONE, LicJpegDec::static_type())
}
