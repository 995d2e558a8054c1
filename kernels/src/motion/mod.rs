//! Motion between pictures, in whole numbers: the same vectors and reference give the same prediction everywhere.
//!
//! Part of the format: [`interpolate`] a block at a fraction of a sample, [`compensate`] a picture from overlapped
//! blocks, [`blend`] what was synthesised into what was compensated. Help for the encoder only: [`search`], [`error`].

pub mod blend;
pub mod compensate;
pub mod error;
pub mod interpolate;
pub mod search;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use blend::blend;
pub use compensate::{Bands, compensate, compensate_rows};
pub use error::block_error;
pub use search::SearchPlane;

/// Where a 16x16 luma block comes from in the reference, in quarter luma samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vector {
    pub x: i16,
    pub y: i16,
}

/// Random numbers below 2^24 for tests.
#[cfg(test)]
fn random(mut s: u64) -> impl FnMut() -> usize {
    move || {
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (s >> 40) as usize
    }
}
