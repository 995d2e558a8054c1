//! One module a subcommand.

pub mod bench;
pub mod compare;
pub mod completions;
pub mod doctor;
pub mod info;
pub mod list;
pub mod man;
pub mod models;
pub mod receive;
pub mod send;
pub mod transcode;
pub mod verify;

/// Exit status where something could not be done. (clap ends with 2 on wrong arguments.)
pub const FAILED: u8 = 1;

/// What a subcommand says when it ends early: one line for people, naming what to do.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
