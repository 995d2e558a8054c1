//! What `ros2sink` and `ros2src` have in common: properties, and what becomes of the connection.

use crate::network::{self, text};
use gst::glib;
use gst::prelude::*;
use lic_ros2::{Error, Topic};
use lic_transport::{LinkEvent, Network};

pub const DEFAULT_TOPIC: &str = "/camera/image";

/// Who is on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicRos2Mode")]
pub enum Mode {
    #[default]
    #[enum_value(name = "Nodes with rmw_zenoh", nick = "rmw-zenoh")]
    RmwZenoh,
    #[enum_value(name = "zenoh-plugin-ros2dds, the bridge to nodes with DDS", nick = "ros2dds")]
    Ros2Dds,
}

/// Which ROS 2 the other side runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicRos2Distro")]
pub enum Distro {
    #[enum_value(name = "Humble, without type hashes", nick = "humble")]
    Humble,
    #[default]
    #[enum_value(name = "Jazzy and later", nick = "jazzy")]
    Jazzy,
}

#[derive(Clone, Debug)]
pub struct Common {
    pub network: Network,
    topic: String,
    mode: Mode,
    distro: Distro,
    pub domain: u32,
    pub node: String,
}

impl Common {
    pub fn new(node: &str) -> Self {
        Self {
            network: Network::default(),
            topic: DEFAULT_TOPIC.into(),
            mode: Mode::default(),
            distro: Distro::default(),
            domain: 0,
            node: node.into(),
        }
    }

    pub fn topic(&self) -> Result<Topic, Error> {
        Topic::new(&self.topic)
    }

    pub fn mode(&self) -> lic_ros2::Mode {
        match (self.mode, self.distro) {
            (Mode::Ros2Dds, _) => lic_ros2::Mode::Ros2Dds,
            (Mode::RmwZenoh, Distro::Humble) => lic_ros2::Mode::RmwZenoh(lic_ros2::Distro::Humble),
            (Mode::RmwZenoh, Distro::Jazzy) => lic_ros2::Mode::RmwZenoh(lic_ros2::Distro::Jazzy),
        }
    }

    /// Whether `name` was one of these.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "topic" => self.topic = text(value).unwrap_or_else(|| DEFAULT_TOPIC.into()),
            "mode" => self.mode = value.get().expect("type checked upstream"),
            "distro" => self.distro = value.get().expect("type checked upstream"),
            "domain" => self.domain = value.get().expect("type checked upstream"),
            "node-name" => self.node = text(value).unwrap_or_default(),
            _ => return network::set(&mut self.network, name, value),
        }
        true
    }

    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "topic" => self.topic.to_value(),
            "mode" => self.mode.to_value(),
            "distro" => self.distro.to_value(),
            "domain" => self.domain.to_value(),
            "node-name" => self.node.to_value(),
            _ => return network::get(&self.network, name),
        })
    }
}

/// `topic`, `mode`, `distro`, `domain`, `node-name` (default `node`), and those of the network.
pub fn properties(node: &str) -> Vec<glib::ParamSpec> {
    let mut properties = vec![
        glib::ParamSpecString::builder("topic")
            .nick("Topic")
            .blurb("Image topic as image_transport names it; pictures are on <topic>/compressed, camera_info is beside it")
            .default_value(Some(DEFAULT_TOPIC))
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("mode", Mode::default())
            .nick("Mode")
            .blurb("Who is on the other side")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("distro", Distro::default())
            .nick("Distro")
            .blurb("Which ROS 2 the other side runs; with mode=ros2dds it does not matter")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("domain")
            .nick("Domain")
            .blurb("ROS_DOMAIN_ID of the other side; with mode=ros2dds it does not matter")
            .maximum(232)
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("node-name")
            .nick("Node name")
            .blurb("As ros2 node list shows it")
            .default_value(Some(node))
            .mutable_ready()
            .build(),
    ];
    properties.extend(network::properties());
    properties
}

/// A setting that cannot work, as an element's error.
pub fn error_message(error: &Error) -> gst::ErrorMessage {
    match error {
        Error::Network(error) => network::error_message(error),
        Error::Calibration { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
        _ => gst::error_msg!(gst::ResourceError::Settings, ("{error}")),
    }
}

/// Tells what becomes of the connection.
pub fn heard(element: &impl IsA<gst::Element>, event: LinkEvent) {
    match event {
        LinkEvent::Connected => network::post_connected(element, true),
        LinkEvent::Disconnected => network::post_connected(element, false),
        LinkEvent::Trouble(text) => gst::element_warning!(element, gst::ResourceError::Failed, ("{text}")),
    }
}
