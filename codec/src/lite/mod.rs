//! The lite pack: a sensor that runs no network, and its entropy coder (codec/BITSTREAM.md, section Lite).
//!
//! ```text
//! planes -> patches x int8 matrix -> gain, companding, int8 -> mode, groups and levels of each position -> rANS
//! ```

mod map;
mod rans4;
mod sensor;
mod slice;
mod tables;
mod values;

pub use lic_kernels::lite::{CHANNELS, GROUPS, STEPS, projection::Samples};
pub use sensor::{Picture, Sensor};
pub use slice::{Scratch, Slice, decode, encode};
pub use tables::Lite;
