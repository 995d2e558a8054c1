//! The compute under the codec. Every kernel is one function that takes a [`Level`]: the scalar code says what is
//! computed, the SIMD twins beside it compute the same bits, and the tests compare them on random input.

pub mod depthwise;
pub mod jpeg;
pub mod level;
pub mod linear;
#[cfg(target_arch = "aarch64")]
mod linear_neon;
#[cfg(target_arch = "x86_64")]
mod linear_x86;
pub mod lite;
pub mod motion;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod network;
pub mod parallel;
pub mod planes;
pub mod shuffle;

pub use depthwise::Depthwise;
pub use level::Level;
pub use linear::Linear;
