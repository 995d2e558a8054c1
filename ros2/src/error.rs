//! What a user can get wrong before anything runs.

/// A setting that cannot work; the text says how to write it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("\"{name}\" is no ROS 2 topic: {reason}. Write it as /camera/image")]
    Topic { name: String, reason: &'static str },
    #[error("ROS domain {0} is none: they go from 0 to 232")]
    Domain(u32),
    #[error("\"{0}\" is no ROS 2 node name: letters, digits and _, no digit first")]
    Node(String),
    #[error("cannot read the calibration \"{path}\": {reason}. It is a camera_info YAML file as camera_calibration writes it")]
    Calibration { path: String, reason: String },
    #[error(transparent)]
    Network(#[from] lic_transport::Error),
}
