//! The autoencoder's networks in exact integers: the same bits on every machine, so that pictures which later frames are predicted from
//! never differ between encoder and decoder.
//!
//! Activations are rows of channels, one row for each place at 1/8 of the picture's size that is computed ([`Rows`]); the places that
//! are not count as zero, like the outside of the picture. Products are summed in int32, multiplied by an f32 and rounded to the nearest
//! integer, ties to even: conversion, one multiplication and rounding are exact in IEEE 754, so twins agree bit by bit.

mod analysis;
mod around;
mod block;
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

/// Half-open parts of 0..n, about equal and in multiples of `unit`, for up to `threads` threads.
fn shares(n: usize, threads: usize, unit: usize) -> Vec<std::ops::Range<usize>> {
    let units = n.div_ceil(unit);
    let parts = threads.min(units).max(1);
    (0..parts).map(|i| i * units / parts * unit..((i + 1) * units / parts * unit).min(n)).collect()
}

/// The first `sizes` values of `data`, each piece for itself.
fn cut<T>(mut data: &mut [T], sizes: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    let next = |n| {
        let (piece, rest) = std::mem::take(&mut data).split_at_mut(n);
        data = rest;
        piece
    };
    sizes.into_iter().map(next).collect()
}
