//! Topics, types and the zenoh keys that stand for them.

use crate::error::Error;

/// Which ROS 2 the other side runs: the hashes in its keys differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Distro {
    /// Knows no type hashes.
    Humble,
    /// And every later one in which these messages are unchanged.
    #[default]
    Jazzy,
}

/// Who reads along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// ROS 2 nodes with rmw_zenoh.
    RmwZenoh(Distro),
    /// zenoh-plugin-ros2dds, a bridge to nodes with DDS: bare keys, no attachment.
    Ros2Dds,
}

/// A message type. The hashes are those of ROS 2 Jazzy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type {
    /// As DDS and rmw_zenoh mangle it.
    pub name: &'static str,
    rihs01: &'static str,
}

pub const COMPRESSED_IMAGE: Type = Type {
    name: "sensor_msgs::msg::dds_::CompressedImage_",
    rihs01: "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a",
};
pub const CAMERA_INFO: Type =
    Type { name: "sensor_msgs::msg::dds_::CameraInfo_", rihs01: "RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275" };

impl Type {
    #[must_use]
    pub fn hash(self, distro: Distro) -> &'static str {
        match distro {
            Distro::Humble => "TypeHashNotSupported",
            Distro::Jazzy => self.rihs01,
        }
    }
}

/// An absolute topic, `/camera/image`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic(String);

impl Topic {
    /// The slash in front may be missing.
    ///
    /// # Errors
    /// What ROS 2 does not allow in a topic (design.ros2.org, "Topic and Service name mapping to DDS").
    pub fn new(name: &str) -> Result<Self, Error> {
        let bad = |reason| Err(Error::Topic { name: name.into(), reason });
        let parts = name.strip_prefix('/').unwrap_or(name);
        if parts.split('/').any(str::is_empty) {
            return bad("a part between slashes is empty");
        }
        if !parts.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '/') {
            return bad("only letters, digits, _ and / may be in it");
        }
        if parts.split('/').any(|part| part.starts_with(|c: char| c.is_ascii_digit())) {
            return bad("no part may start with a digit");
        }
        if parts.contains("__") {
            return bad("there may be no two underscores in a row");
        }
        Ok(Self(format!("/{parts}")))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where image_transport publishes it compressed.
    #[must_use]
    pub fn compressed(&self) -> Self {
        Self(format!("{}/compressed", self.0))
    }

    /// Where image_transport looks for the camera's calibration: beside the image.
    #[must_use]
    pub fn camera_info(&self) -> Self {
        let parent = self.0.rsplit_once('/').map_or("", |(parent, _)| parent);
        Self(format!("{parent}/camera_info"))
    }

    /// The key on which samples of `kind` travel.
    #[must_use]
    pub fn key(&self, mode: Mode, domain: u32, kind: Type) -> String {
        let bare = &self.0[1..];
        match mode {
            Mode::RmwZenoh(distro) => format!("{domain}/{bare}/{}/{}", kind.name, kind.hash(distro)),
            Mode::Ros2Dds => bare.into(),
        }
    }
}

/// As in liveliness tokens, where a slash would divide.
#[must_use]
pub fn mangle(name: &str) -> String {
    name.replace('/', "%")
}

/// # Errors
/// A domain that ROS 2 does not have.
pub(crate) fn domain(domain: u32) -> Result<u32, Error> {
    if domain <= 232 { Ok(domain) } else { Err(Error::Domain(domain)) }
}

/// # Errors
/// A name that ROS 2 does not allow for a node.
pub(crate) fn node(name: &str) -> Result<(), Error> {
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if good && !name.is_empty() { Ok(()) } else { Err(Error::Node(name.into())) }
}
