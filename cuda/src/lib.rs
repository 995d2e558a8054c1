//! The kernels on CUDA devices: the same bits as on CPUs, many pictures at a time.
//!
//! Neither CUDA nor a device is needed to build this: libraries are found at run time. What runs kernels is a [`Machine`], a device
//! ([`Gpu`]) or, in tests, the host.

mod code;
pub mod entropy;
mod error;
mod gpu;
mod machine;
pub mod motion;
pub mod network;
mod nvrtc;
mod places;
pub mod planes;
pub mod prior;
pub mod source;
mod weights;

pub use code::{Kernels, cache, file_name};
pub use error::{Error, Result};
pub use gpu::Gpu;
pub use machine::{Arg, Buffer, Launch, Locked, Machine};
pub use nvrtc::compile;
pub use places::Places;
