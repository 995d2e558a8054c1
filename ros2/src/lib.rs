//! JPEG pictures as `sensor_msgs/msg/CompressedImage`, with `CameraInfo`, as ROS 2 publishes and receives them over zenoh.
//!
//! - [`Publisher`] and [`Subscriber`] on a session of `lic-transport`.
//! - [`CompressedImage`], [`CameraInfo`]: the messages and their CDR; [`calibration`]: the file a camera was calibrated into.
//! - [`names`], [`graph`], [`attachment`]: keys, liveliness tokens and the 33 bytes beside each sample, as rmw_zenoh of zenoh 1.x
//!   writes them (ros2/rmw_zenoh: `docs/design.md`, `rmw_zenoh_cpp/src/detail`).

pub mod attachment;
pub mod calibration;
mod cdr;
mod error;
pub mod graph;
mod messages;
pub mod names;
mod publisher;
mod subscriber;

pub use cdr::CdrError;
pub use error::Error;
pub use messages::{CameraInfo, CompressedImage, Header, Image, RegionOfInterest};
pub use names::{Distro, Mode, Topic};
pub use publisher::{Publisher, PublisherSettings, PublisherStats};
pub use subscriber::{NoImage, Received, Subscriber, SubscriberSettings, SubscriberStats};
