//! Slices that say nothing: for frames that may not be larger.

use super::motion::Moved;
use super::slice::{Coded, Job, floats};
use crate::bitstream::SliceKind;
use crate::held::HeldFrame;
use crate::motion::Mode;
use crate::motion::field::Block;
use crate::prior::MotionPrior;
use crate::slice::Tracks;
use lic_kernels::motion::Quarters;
use std::ops::Range;

/// Squared error that a bit is worth where only bits count.
const BITS_ALONE: f32 = 1e9;

impl Job<'_> {
    /// Without a reference: as few bits as there can be about a flat picture.
    pub fn blank(&self) -> Coded {
        Job { y: &vec![0.0; self.y.len()], lambda: BITS_ALONE, weights: &[], ..*self }.none()
    }

    /// Latents of a held frame, all copied; `at`: the slice's positions.
    pub fn copy_latent(&self, frame: &HeldFrame, distance: u8, at: Range<usize>) -> Coded {
        let in_steps = self.in_steps(frame, &at);
        let reference = self.reference(frame, at, &in_steps);
        let float = floats(&in_steps);
        let n = self.walk.shape.positions();
        let (latents, io) = self.attempt(&reference, &vec![true; n]);
        let copied: f32 = (0..n).map(|p| self.copy_error(p, &float)).sum();
        self.coded(SliceKind::Latent { distance }, latents, io, self.exchange * copied)
    }

    /// The picture of a held frame as it is. `copy_error`: of each position, for the cost; of the vectors found, so somewhat low.
    pub fn copy_motion(&self, p: &MotionPrior, tracks: &Tracks, copy_error: &[f32], distance: u8) -> Coded {
        let n = self.walk.shape.positions();
        let copies = vec![Block { mode: Mode::Copy, ..Block::default() }; n];
        let moved =
            Moved { vectors: &vec![Quarters::default(); n], base: &[], copy_error, candidates: &vec![false; n], not_worth_again: 1.0 };
        let (latents, io) = self.attempt_motion(p, tracks, &moved, &copies);
        self.coded(SliceKind::Motion { distance }, latents, io, copy_error.iter().sum())
    }
}
