//! `ros2sink`: JPEG -> ROS 2 topics.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct Ros2Sink(ObjectSubclass<imp::Ros2Sink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "ros2sink", gst::Rank::NONE, Ros2Sink::static_type())
}
