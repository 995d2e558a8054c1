//! The entropy model in integers: hyper, temporal and spatial prior -> for each symbol a mean (in 1/8 of a quantiser step)
//! and a scale index, which choose a table of integer probabilities. Nothing here is float, so every machine that follows
//! codec/BITSTREAM.md computes the same numbers.

mod hyper;
mod inter;
mod intra;
mod load;
mod tables;

pub(crate) use hyper::Hyper;
pub(crate) use inter::{FLAGS, Inter, Known, neighbours};
pub(crate) use intra::Intra;
pub(crate) use tables::Tables;

use crate::bitstream::STEPS;
use lic_kernels::{Level, Linear};

/// Fraction bits of activations.
pub(crate) const ACTIVATION_BITS: u32 = 6;
/// Fraction bits of means and of a reference's latents.
pub(crate) const MEAN_BITS: u32 = 3;
/// Largest magnitude of a quantised latent.
pub(crate) const MAX_LATENT: i32 = 16383;

/// Everything of a pack that decides probabilities, and the quantiser.
pub(crate) struct Prior {
    /// Latent channels; a multiple of 8 groups.
    pub channels: usize,
    pub intra: Intra,
    pub inter: Inter,
    /// Packs without it have no slices of kind `motion`.
    pub motion: Option<MotionPrior>,
    pub tables: Tables,
    /// First probability (in 1/32768) that a position is skipped, by context.
    pub skip_init: [u16; 16],
    /// Encoder: `[STEPS][channels]` factors of latents before rounding.
    pub gain: Vec<f32>,
    /// `[STEPS][channels]` in 1/65536: a decoded integer times this is the latent that synthesis takes.
    pub step_size: Vec<i32>,
    /// `[STEPS][channels]`: 2^32 divided by that.
    pub inverse_size: Vec<i64>,
    /// Encoder: squared error (in steps) that a bit is worth in slices of kind `none` and `latent`, by step.
    pub lambda: [[f32; STEPS]; 2],
}

/// What kind `motion` needs.
pub(crate) struct MotionPrior {
    pub inter: Inter,
    /// Encoder: at each step, about what error of a block's pixels (as [`block_error`](lic_kernels::motion::block_error)) comes of a squared
    /// error of 1 (in steps) of its latents.
    pub pixel_error: [f32; STEPS],
    /// Encoder: as [`Prior::lambda`].
    pub lambda: [f32; STEPS],
}

/// Distribution of each of some symbols.
#[derive(Default)]
pub(crate) struct Heads {
    /// Mean in 1/8 of a step.
    pub mean: Vec<i16>,
    /// Scale index, 0 to 63.
    pub scale: Vec<u8>,
}

impl Prior {
    pub fn gains(&self, step: u8) -> &[f32] {
        &self.gain[step as usize * self.channels..][..self.channels]
    }

    pub fn step_sizes(&self, step: u8) -> &[i32] {
        &self.step_size[step as usize * self.channels..][..self.channels]
    }

    /// Encoder: the step, at most `step`, at which slices without reference give as much error for a bit as those of kind `motion` do
    /// at `step`: their lambdas differ, so the same step would be two points of different slope.
    pub fn step_alone(&self, step: u8) -> u8 {
        let Some(m) = &self.motion else { return step };
        let price = self.price(step);
        let off = |s: &u8| (m.pixel_error[*s as usize] * self.lambda[0][*s as usize] / price).ln().abs();
        (0..=step).min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(step)
    }

    /// Encoder: error of pixels that a bit is worth at a step, up to a factor for all steps.
    pub fn price(&self, step: u8) -> f32 {
        let Some(m) = &self.motion else {
            // Latents' errors in steps, pixels' about in the squares of these.
            let sizes = self.step_sizes(step);
            let size = sizes.iter().map(|&d| d as f32).sum::<f32>() / sizes.len() as f32;
            return size * size * self.lambda[1][step as usize];
        };
        m.pixel_error[step as usize] * m.lambda[step as usize]
    }

    /// Latents of a reference (in 1/65536) in units of `step`, with [`MEAN_BITS`] fraction bits, clamped to int16.
    pub fn in_steps(&self, latents: &[i32], step: u8) -> Vec<i16> {
        let inverse = &self.inverse_size[step as usize * self.channels..][..self.channels];
        let mut out = vec![0i16; latents.len()];
        for (row, out) in latents.chunks_exact(self.channels).zip(out.chunks_exact_mut(self.channels)) {
            for ((o, &a), &r) in out.iter_mut().zip(row).zip(inverse) {
                *o = ((a as i64 * r + (1 << 28)) >> 29).clamp(-32767, 32767) as i16;
            }
        }
        out
    }
}

/// A value with [`MEAN_BITS`] fraction bits as an activation.
#[inline]
pub(crate) fn mean_to_activation(v: i16) -> i16 {
    ((v as i32) << (ACTIVATION_BITS - MEAN_BITS)).clamp(-32767, 32767) as i16
}

/// A quantised latent as an activation.
#[inline]
pub(crate) fn latent_to_activation(k: i16) -> i16 {
    ((k as i32) << ACTIVATION_BITS).clamp(-32767, 32767) as i16
}

/// Latent positions of one slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub width: usize,
    pub height: usize,
}

impl Shape {
    pub fn positions(&self) -> usize {
        self.width * self.height
    }

    /// Hyper cells: 2x2 positions each.
    pub fn cells(&self) -> (usize, usize) {
        (self.width.div_ceil(2), self.height.div_ceil(2))
    }

    pub fn cell_of(&self, position: u32) -> usize {
        let (y, x) = (position as usize / self.width, position as usize % self.width);
        y / 2 * self.width.div_ceil(2) + x / 2
    }

    /// First half of the checkerboard?
    pub fn anchor(&self, position: u32) -> bool {
        (position as usize / self.width + position as usize % self.width).is_multiple_of(2)
    }
}

/// Rows of `from` (each `n` wide) whose indices are given, one after the other.
pub(crate) fn gather(from: &[i16], n: usize, rows: impl Iterator<Item = usize>, out: &mut Vec<i16>) {
    out.clear();
    for r in rows {
        out.extend_from_slice(&from[r * n..][..n]);
    }
}

/// What computes: which twins of the kernels, on how many threads. The result depends on neither.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    pub level: Level,
    pub threads: usize,
}

impl Kernels {
    /// [`Linear::apply`] with the rows spread over the threads.
    pub fn linear(self, layer: &Linear, x: &[i16], bias: Option<&[i32]>, out: &mut Vec<i16>) {
        /// Rows that are worth a thread of their own.
        const ENOUGH: usize = 96;
        let (inputs, outputs) = (layer.inputs(), layer.outputs());
        let rows = x.len() / inputs;
        out.resize(rows * outputs, 0);
        let each = rows.div_ceil(self.threads.min(rows / ENOUGH).max(1)).max(1);
        let parts = x.chunks(each * inputs).zip(out.chunks_mut(each * outputs));
        lic_kernels::parallel::each(parts.collect(), |(x, out)| layer.apply(self.level, x, bias, out));
    }
}
