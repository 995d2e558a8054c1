//! What `zenohsink` and `zenohsrc` have in common: how the other side is reached, and how trouble is told.

use gst::glib;
use gst::prelude::*;
use lic_transport::{Error, Network};

/// `connect`, `listen`, `config`.
pub fn properties() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("connect")
            .nick("Connect")
            .blurb("Endpoints of a router or of the other side, with commas between: tcp/HOST:7447 (default: loopback, port 7447)")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("listen")
            .nick("Listen")
            .blurb("Endpoints at which others may connect: tcp/0.0.0.0:7447 (default: this host only)")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("config")
            .nick("Configuration")
            .blurb("zenoh configuration file, .json5 (default: $ZENOH_CONFIG); connect and listen go before what it says")
            .mutable_ready()
            .build(),
    ]
}

/// A string property; empty is as good as not set.
pub fn text(value: &glib::Value) -> Option<String> {
    value.get::<Option<String>>().expect("type checked upstream").filter(|text| !text.is_empty())
}

/// Whether `name` was one of them.
pub fn set(network: &mut Network, name: &str, value: &glib::Value) -> bool {
    match name {
        "connect" => network.connect = text(value),
        "listen" => network.listen = text(value),
        "config" => network.config = text(value).map(Into::into),
        _ => return false,
    }
    true
}

pub fn get(network: &Network, name: &str) -> Option<glib::Value> {
    match name {
        "connect" => Some(network.connect.to_value()),
        "listen" => Some(network.listen.to_value()),
        "config" => Some(network.config.as_ref().and_then(|path| path.to_str()).to_value()),
        _ => None,
    }
}

/// A setting that cannot work, as an element's error.
pub fn error_message(error: &Error) -> gst::ErrorMessage {
    match error {
        Error::Config { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
        Error::Key { .. } | Error::Endpoint { .. } => gst::error_msg!(gst::ResourceError::Settings, ("{error}")),
        Error::Thread(_) => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{error}")),
    }
}

/// Tells whether there is a session now.
pub fn post_connected(element: &impl IsA<gst::Element>, connected: bool) {
    post(element, gst::Structure::new_empty(if connected { "zenoh-connected" } else { "zenoh-disconnected" }));
}

/// Posts an element message; applications that do not read their bus lose nothing.
pub fn post(element: &impl IsA<gst::Element>, structure: gst::Structure) {
    let element = element.upcast_ref::<gst::Element>();
    let _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
}
