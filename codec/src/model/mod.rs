//! Model packs and the runtime that runs their float networks.

mod integers;
mod network;
mod pack;
mod runtime;
mod task;
mod tensors;

pub(crate) use integers::Integers;
pub use network::Network;
pub use pack::{COMPILED_IN, Card, Pack, search_path};
pub use runtime::Runtime;
pub(crate) use runtime::own_folder;
pub use task::Task;
pub(crate) use tensors::Tensors;
