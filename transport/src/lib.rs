//! Live media frames over zenoh: what a network sink and a network source need, without GStreamer.
//!
//! - [`Publisher`] takes frames and never blocks: a bounded queue ([`Limits`]) evicts what a live stream can spare, tells
//!   the encoder what was never sent, and asks for a key frame for every receiver that joins.
//! - [`Subscriber`] finds the publishers of a key expression, locks onto one, and delivers its frames with what is missing.
//! - [`list`] says which streams are there.
//! - [`Network`] says where both meet; with nothing set that is loopback, whoever starts first.
//! - [`Timeline`] maps a sender's time stamps onto the receiver's clock.
//!
//! Bytes, keys and tokens on the wire: `docs/transport.md`.

mod chooser;
mod clock;
mod config;
mod echo;
mod error;
mod foreign;
mod frame;
mod history;
mod hub;
mod inbox;
pub mod interop;
mod key;
mod link;
mod list;
mod publisher;
mod qos;
mod queue;
mod rendezvous;
mod running;
mod scream;
mod sequence;
mod subscriber;
mod sync;
mod throttle;
mod timeline;
mod window;
pub mod wire;

pub use chooser::PublisherInfo;
pub use clock::unix_now;
pub use config::Network;
pub use error::Error;
pub use frame::{Frame, FrameInfo, MAX_REFERENCES};
pub use inbox::{NoFrame, Received};
pub use key::{DEFAULT_NAME, default_key, hostname};
pub use link::{LinkEvent, Role};
pub use list::{Listed, Listing, list};
pub use publisher::{Publisher, PublisherEvent, PublisherSettings, PublisherStats};
pub use qos::{CongestionControl, Priority, Reliability};
pub use queue::Limits;
pub use running::Running;
pub use subscriber::{Subscriber, SubscriberEvent, SubscriberSettings, SubscriberStats};
pub use timeline::{Placed, Timeline};
