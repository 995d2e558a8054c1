//! Fuzz targets for everything that reads bytes of others. `cargo test` runs each for a moment on random input and on what is in its
//! corpus; `cargo bolero test NAME` lets an engine look for new paths. See README.md.
#![cfg(test)]

// The wire format's own files: their crate would bring all of zenoh.
#[path = "../transport/src/frame.rs"]
#[allow(dead_code)]
mod frame;
#[path = "../transport/src/wire.rs"]
mod wire;

mod attachments;
mod frames;
mod jpeg;
mod packs;
