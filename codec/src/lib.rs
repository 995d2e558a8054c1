//! The lic codec: learned video compression with a spatiotemporal entropy model.
//!
//! ```text
//! RawFrame -> Encoder -> Packet (codec/BITSTREAM.md) -> Decoder -> PictureMut
//! ```
//!
//! Plain library: no GStreamer, no network. Networks run in ONNX Runtime ([`Runtime`]); everything that
//! decides a probability is integer arithmetic in [`prior`], so every machine decodes the same latents.

pub mod bitstream;
pub mod decoder;
mod device;
pub mod encoder;
pub mod error;
pub mod frame;
mod held;
pub mod info;
pub mod jpeg;
pub mod lite;
pub mod model;
mod motion;
mod prior;
mod rans;
mod slice;
mod threads;

pub use decoder::{Decoded, Decoder, LatentsView, Shares};
pub use device::Device;
pub use encoder::{Effort, Encoder, FrameParams, Inter, Packet, Region, Settings};
pub use error::Error;
pub use frame::{PictureMut, RawFormat, RawFrame};
pub use info::{Colour, StreamInfo};
pub use model::{Pack, Runtime, Task};

/// Latents of a picture: columns and rows of 16x16 pixels.
pub(crate) fn latent_size(info: &StreamInfo) -> (usize, usize) {
    (info.width.div_ceil(16) as usize, info.height.div_ceil(16) as usize)
}
