//! Slices of kind `motion`: a reference's picture shifted block by block, copied or coded as a difference of latents.
//!
//! Everything that decides a probability is decoded integers (vectors, modes, latents); pictures may differ by a level between machines.

mod boxes;
pub(crate) mod field;
mod picture;

pub(crate) use boxes::{Area, areas, dilate};
pub(crate) use picture::{Kind, Networks, Pending, compensate};

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
