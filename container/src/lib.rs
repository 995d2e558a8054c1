//! lic streams in files, byte for byte as container/FORMAT.md says. No GStreamer.
//!
//! - [`lic`]: `.lic` files, frames one after the other with their times, and an index behind them.
//! - [`bag`]: MCAP files, record by record, and what their channels are.

pub mod bag;
mod error;
pub mod lic;

pub use error::{Error, Result};
