//! Model packs and the runtime that runs their float networks.

mod network;
mod pack;
mod runtime;

pub use network::Network;
pub use pack::{Pack, search_path};
pub use runtime::Runtime;
