//! libgstlic: elements that translate between GStreamer and the libraries lic-codec and lic-transport.

use gst::glib;

mod backend;
mod capture;
mod foreign;
pub mod frame_meta;
mod licdec;
mod licenc;
mod licjpegdec;
mod licparse;
mod lictojpeg;
mod network;
mod ros2;
mod ros2sink;
mod ros2src;
pub mod stream;
mod task;
mod zenohsink;
mod zenohsrc;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    licenc::register(plugin)?;
    licdec::register(plugin)?;
    licparse::register(plugin)?;
    lictojpeg::register(plugin)?;
    licjpegdec::register(plugin)?;
    zenohsink::register(plugin)?;
    zenohsrc::register(plugin)?;
    ros2sink::register(plugin)?;
    ros2src::register(plugin)?;
    Ok(())
}

gst::plugin_define!(
    lic,
    "Learned video compression for robots: encoder, decoder, parser and zenoh transport",
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    "lic",
    "lic",
    env!("CARGO_PKG_REPOSITORY")
);
