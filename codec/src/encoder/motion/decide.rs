//! Which blocks of a slice copy, which are coded and how: by rate and distortion in pixels, first guessed, then with what the entropy
//! model asked.

use crate::bitstream::SliceKind;
use crate::encoder::slice::{Coded, Job, Writer};
use crate::motion::Mode;
use crate::motion::field::Block;
use crate::prior::{MotionPrior, mean_to_activation};
use crate::slice::{Latents, Tracks};
use lic_kernels::motion::Quarters;
use std::borrow::Cow;

/// What a block's bits may cost, as factors of the slice's lambda.
struct Prices {
    /// To be coded instead of copied.
    coding: f32,
    /// Each of its symbols.
    symbols: f32,
}

impl Prices {
    /// A still block is copied as it is, frame after frame. A moved one is interpolated anew in every frame that copies it: it blurs, and what
    /// is coded now is missed less later.
    fn of(vectors: &Quarters) -> Prices {
        if *vectors == Quarters::default() { Prices { coding: 1.2, symbols: 1.1 } } else { Prices { coding: 0.4, symbols: 0.7 } }
    }
}

/// A slice's part of what [`Plan`](super::Plan) found.
pub(in crate::encoder) struct Moved<'a> {
    pub vectors: &'a [Quarters],
    /// Latents of the compensated picture in steps, `[positions][channels]`, where candidates are.
    pub base: &'a [f32],
    pub copy_error: &'a [f32],
    pub candidates: &'a [bool],
    /// See [`Thoroughness`](super::super::effort::Thoroughness).
    pub not_worth_again: f32,
}

impl Job<'_> {
    /// With the picture of a held frame, shifted.
    pub fn motion(&self, p: &MotionPrior, tracks: &Tracks, moved: &Moved, distance: u8) -> Coded {
        let blocks = self.guess_blocks(moved);
        let (mut latents, mut io) = self.attempt_motion(p, tracks, moved, &blocks);
        if self.lambda > 0.0 {
            let better: Vec<Block> = blocks
                .iter()
                .enumerate()
                .map(|(i, b)| {
                    let worth = self.exchange * self.lambda / self.weight(i) * Prices::of(&b.vectors).coding;
                    let coded = self.excess[i] * self.exchange * io.error[i] + worth * (io.bits[i] + 4.0);
                    if b.mode != Mode::Copy && moved.copy_error[i] < coded { Block { mode: Mode::Copy, ..*b } } else { *b }
                })
                .collect();
            let coded = blocks.iter().filter(|b| b.mode != Mode::Copy).count();
            let gone = better.iter().zip(&blocks).filter(|(a, b)| a != b).count();
            if gone as f32 > moved.not_worth_again * coded as f32 {
                (latents, io) = self.attempt_motion(p, tracks, moved, &better);
            }
        }
        let copied = (0..latents.skip.len()).filter(|&p| latents.skip[p]).map(|p| self.weight(p) * moved.copy_error[p]).sum();
        self.coded(SliceKind::Motion { distance }, latents, io, copied)
    }

    /// Copy, difference or own latents, before the entropy model has been asked.
    fn guess_blocks(&self, moved: &Moved) -> Vec<Block> {
        let (m, shape) = (self.walk.prior.channels, self.walk.shape);
        let n = shape.positions();
        let mut share = vec![0f32; n];
        for p in (0..n).filter(|&p| moved.candidates[p]) {
            let pairs = self.y[p * m..][..m].iter().zip(&moved.base[p * m..]);
            share[p] = pairs.filter(|(y, b)| (*y - *b).abs() > 0.5).count() as f32 / m as f32;
        }
        (0..n)
            .map(|p| {
                let copy = Block { mode: Mode::Copy, vectors: moved.vectors[p] };
                let lambda = self.lambda / self.weight(p);
                let worth = self.exchange * lambda * Prices::of(&copy.vectors).coding;
                if !moved.candidates[p] {
                    return copy;
                }
                let (y, base) = (&self.y[p * m..][..m], &moved.base[p * m..][..m]);
                let (px, py) = (p % shape.width, p / shape.width);
                let mut around = 0.0;
                for dy in 0..3 {
                    let row = (py + dy).saturating_sub(1).min(shape.height - 1) * shape.width;
                    for dx in 0..3 {
                        around += share[row + (px + dx).saturating_sub(1).min(shape.width - 1)];
                    }
                }
                let around = (around / 9.0).clamp(0.01, 0.6);
                let price = ((1.0 - around) / around).log2() + 1.0;
                let (mut error, mut bits) = (0.0, 2.0);
                for (y, b) in y.iter().zip(base) {
                    let d = (y - b).abs();
                    if 2.0 * d - 1.0 > lambda * price && d > 0.5 {
                        let e = d - d.round();
                        error += e * e;
                        bits += price + 1.0 + 2.0 * d.log2().max(0.0);
                    } else {
                        error += d * d;
                    }
                }
                if self.lambda > 0.0 && moved.copy_error[p] < self.excess[p] * self.exchange * error + worth * bits {
                    return copy;
                }
                let difference: f32 = size(y.iter().zip(base).map(|(y, b)| y - b));
                Block { mode: if size(y.iter().copied()) + 8.0 < difference { Mode::Own } else { Mode::Difference }, ..copy }
            })
            .collect()
    }

    pub(in crate::encoder) fn attempt_motion(
        &self,
        p: &MotionPrior,
        tracks: &Tracks,
        moved: &Moved,
        blocks: &[Block],
    ) -> (Latents, Writer<'_>) {
        let (m, shape) = (self.walk.prior.channels, self.walk.shape);
        let mut target = vec![0f32; self.y.len()];
        let mut x = vec![0i16; blocks.len() * 2 * m];
        let coded: Vec<u32> = (0..blocks.len() as u32).filter(|&p| blocks[p as usize].mode != Mode::Copy).collect();
        let cells = self.walk.cells(&coded);
        for (q, b) in blocks.iter().enumerate() {
            let at = q * m..(q + 1) * m;
            if b.mode != Mode::Copy {
                let base = if b.mode == Mode::Own { &[][..] } else { &moved.base[at.clone()] };
                let base = base.iter().chain(std::iter::repeat(&0.0));
                for ((t, y), b) in target[at.clone()].iter_mut().zip(&self.y[at.clone()]).zip(base) {
                    *t = y - b;
                }
            }
            // The hyper analysis sees whole cells: also the copied positions of those that are sent.
            if cells.binary_search(&(shape.cell_of(q as u32) as u32)).is_ok() {
                let source = tracks.source(q % shape.width, q / shape.width, shape.width, b.vectors.mean());
                let track = self.walk.prior.in_steps(&tracks.latents[source * m..][..m], self.walk.step);
                let row = &mut x[q * 2 * m..][..2 * m];
                for i in 0..m {
                    row[i] = if b.mode == Mode::Copy { 0 } else { self.likely(q, target[q * m + i], 0) };
                    row[m + i] = mean_to_activation(track[i]);
                }
            }
        }
        let z = p.inter.hyper.analyse(self.walk.kernels, &x, shape, &cells);
        let mut io = Writer::new(self, &[], blocks.to_vec(), &z);
        io.y = Cow::Owned(target);
        io.lambda =
            Cow::Owned(blocks.iter().enumerate().map(|(p, b)| self.lambda / self.weight(p) * Prices::of(&b.vectors).symbols).collect());
        let latents = self.walk.motion(tracks, &p.inter, &mut io);
        (latents, io)
    }
}

/// About how much there is to say of some values: the sum of log2(1 + v^2).
fn size(values: impl Iterator<Item = f32>) -> f32 {
    // Few logarithms of products for many of factors; a double holds what eight squares of 16 bits give.
    let (mut bits, mut product, mut n) = (0.0, 1.0f64, 0);
    for v in values {
        product *= 1.0 + (v as f64) * (v as f64);
        n += 1;
        if n == 8 {
            bits += product.log2();
            (product, n) = (1.0, 0);
        }
    }
    (bits + product.log2()) as f32
}
