//! `lictojpeg`: video/x-lic -> image/jpeg.

use gst::glib;
use gst::prelude::*;

mod imp;
mod settings;

glib::wrapper! {
    pub struct LicToJpeg(ObjectSubclass<imp::LicToJpeg>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// What `subsampling` may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicJpegSubsampling")]
pub enum Subsampling {
    #[default]
    #[enum_value(name = "Grey for streams without chroma, else 4:2:0", nick = "auto")]
    Auto,
    #[enum_value(name = "Chroma at half of luma's columns and rows", nick = "420")]
    Yuv420,
    #[enum_value(name = "Chroma as fine as luma", nick = "444")]
    Yuv444,
    #[enum_value(name = "No chroma", nick = "grey")]
    Grey,
}

/// What `colour` may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicJpegColour")]
pub enum Colour {
    #[default]
    #[enum_value(name = "YCbCr, right in every reader", nick = "standard")]
    Standard,
    #[enum_value(name = "Learned: better at equal bytes, for licjpegdec and readers that apply ICC profiles", nick = "learned")]
    Learned,
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "lictojpeg", gst::Rank::NONE, LicToJpeg::static_type())
}
