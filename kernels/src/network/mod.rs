//! The autoencoder's networks in exact integers: the same bits on every machine, so that pictures which later frames are predicted from
//! never differ between encoder and decoder.
//!
//! Activations are rows of channels, one row for each place at 1/8 of the picture's size that is computed ([`Rows`]); the places that
//! are not count as zero, like the outside of the picture. Products are summed in int32, multiplied by an f32 and rounded to the nearest
//! integer, ties to even: conversion, one multiplication and rounding are exact in IEEE 754, so twins agree bit by bit.

mod analysis;
mod around;
mod block;
#[cfg(target_arch = "x86_64")]
mod chains;
mod lane;
mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
mod rows;
mod scratch;
mod synthesis;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use analysis::Analysis;
pub use around::Around;
pub use block::Block;
pub use lane::Lane;
pub use matrix::{Matrix, Out, Weights};
pub use rows::Rows;
pub use synthesis::{Position, Synthesis};

/// What stands for zero in bytes behind the leaky ReLU, which leaves few values below it.
pub const ZERO_LEAKY: u8 = 24;
/// Factor of the leaky ReLU below zero.
pub const SLOPE: f32 = 0.1;
