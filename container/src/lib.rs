//! lic streams in files, byte for byte as container/FORMAT.md says. No GStreamer.
//!
//! - [`lic`]: `.lic` files, frames one after the other with their times, and an index behind them.

mod error;
pub mod lic;

pub use error::{Error, Result};
