//! `ros2src`: a ROS 2 topic -> JPEG.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct Ros2Src(ObjectSubclass<imp::Ros2Src>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "ros2src", gst::Rank::NONE, Ros2Src::static_type())
}
