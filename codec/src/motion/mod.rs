//! Slices of kind `motion`: a reference's picture shifted block by block, copied or coded as a difference of latents.
//!
//! Everything that decides a probability is decoded integers (vectors, modes, latents).

mod around;
mod exact;
pub(crate) mod field;
mod picture;

pub(crate) use around::{around, dilate};
pub(crate) use exact::Exact;
pub(crate) use picture::{Base, Networks, Pending, compensate};

use lic_kernels::motion::Vector;

/// Raster index of the position, of a frame of `columns` and `rows`, that the block in column `x` and row `y` comes from: the nearest one
/// (codec/BITSTREAM.md, section "Tracks").
pub(crate) fn source(x: usize, y: usize, v: Vector, columns: usize, rows: usize) -> usize {
    let from = |at: usize, v: i16, n: usize| ((at as i32 * 64 + v as i32 + 32) >> 6).clamp(0, n as i32 - 1) as usize;
    from(y, v.y, rows) * columns + from(x, v.x, columns)
}

/// What a block (one latent position, 16x16 pixels) of a frame is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The compensated picture.
    #[default]
    Copy,
    /// Synthesis of its own latents alone: kinds `none` and `latent`, and blocks coded so in kind `motion`.
    Own,
    /// Synthesis of the compensated picture's latents and a coded difference.
    Difference,
}
