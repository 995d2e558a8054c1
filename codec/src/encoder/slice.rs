//! One slice coded one way: symbols chosen by rate and distortion, bytes, and what they cost.

use super::skip;
use crate::bitstream::SliceKind;
use crate::held::HeldFrame;
use crate::motion::Mode;
use crate::motion::field::{Block, FlagIo};
use crate::prior::{Heads, MAX_LATENT, Tables, latent_to_activation, mean_to_activation};
use crate::rans::RansEncoder;
use crate::slice::{Latents, Reference, SymbolIo, Walk};
use std::borrow::Cow;
use std::ops::Range;

/// A coded slice.
pub(super) struct Coded {
    pub kind: SliceKind,
    pub groups: u8,
    pub copies: bool,
    pub payload: Vec<u8>,
    pub latents: Latents,
    /// Error of the pixels plus what the bits are worth; with packs without kind `motion`, of the latents.
    pub cost: f32,
    /// Of each coded position: what the error of its pixels should be by that of its latents alone; 0 of copied ones.
    pub expected: Vec<f32>,
}

/// Latents of one slice as analysis gave them, and how to choose.
pub(super) struct Job<'a> {
    pub walk: Walk<'a>,
    /// `[positions][channels]`, in steps, before rounding.
    pub y: &'a [f32],
    /// Squared error that a bit is worth; 0 for plain rounding.
    pub lambda: f32,
    /// The same for the choice between kinds: one value for all of them.
    pub lambda_kind: f32,
    /// How many times dearer than at its step a bit is, in `lambda`.
    pub price: f32,
    /// Error of pixels for a squared error of 1 of latents, about.
    pub exchange: f32,
    /// What an error counts at each position; empty: the same everywhere.
    pub weights: &'a [f32],
    /// Of each position: how many times more than by its latents' error alone its pixels have erred lately.
    pub excess: &'a [f32],
}

impl Job<'_> {
    pub fn weight(&self, p: usize) -> f32 {
        self.weights.get(p).copied().unwrap_or(1.0)
    }

    /// Without a reference.
    pub fn none(&self) -> Coded {
        let p = &self.walk.prior.intra;
        // Where bits are dear the hyper analysis sees what will be left of the picture.
        let m = self.walk.prior.channels;
        let x: Vec<i16> = if self.price > 1.0 {
            self.y.iter().enumerate().map(|(i, &v)| self.likely(i / m, v, 0)).collect()
        } else {
            self.y.iter().map(|&v| activation(v)).collect()
        };
        let (cw, ch) = self.walk.shape.cells();
        let z = self.walk.device.and_then(|d| d.hyper(self.walk.shape, &x)).unwrap_or_else(|| {
            let cells: Vec<u32> = (0..(cw * ch) as u32).collect();
            p.hyper.analyse(self.walk.kernels, &x, self.walk.shape, &cells)
        });
        let mut io = Writer::new(self, self.y, Vec::new(), &z);
        let latents = self.walk.none(&mut io);
        self.coded(SliceKind::None, latents, io, 0.0)
    }

    /// With the latents of a held frame; `at`: its positions.
    pub fn latent(&self, frame: &HeldFrame, distance: u8, at: Range<usize>) -> Coded {
        let m = self.walk.prior.channels;
        let in_steps = self.in_steps(frame, &at);
        let reference = self.reference(frame, at, &in_steps);
        let float = floats(&in_steps);
        let plain = self.lambda == 0.0;
        let map = if plain {
            vec![false; self.walk.shape.positions()]
        } else {
            skip::guess(self.y, &float, m, self.walk.shape, |p| self.lambda / self.weight(p))
        };
        let (mut latents, mut io) = self.attempt(&reference, &map);
        if !plain {
            // The entropy model knows what the coded positions really cost: drop those that are not worth it.
            let better: Vec<bool> = (0..map.len()).map(|p| map[p] || self.not_worth(p, &io, &float)).collect();
            if better != map {
                (latents, io) = self.attempt(&reference, &better);
            }
        }
        let copied: f32 = (0..map.len()).filter(|&p| latents.skip[p]).map(|p| self.weight(p) * self.copy_error(p, &float)).sum();
        self.coded(SliceKind::Latent { distance }, latents, io, self.exchange * copied)
    }

    /// Latents of a held frame at the slice's positions, in 1/8 steps.
    pub fn in_steps(&self, frame: &HeldFrame, at: &Range<usize>) -> Vec<i16> {
        let m = self.walk.prior.channels;
        self.walk.prior.in_steps(&frame.latents[at.start * m..at.end * m], self.walk.step)
    }

    pub fn reference<'f>(&self, frame: &'f HeldFrame, at: Range<usize>, in_steps: &'f [i16]) -> Reference<'f> {
        let m = self.walk.prior.channels;
        Reference { latents: &frame.latents[at.start * m..at.end * m], skip: &frame.skip[at], in_steps }
    }

    fn not_worth(&self, p: usize, io: &Writer, reference: &[f32]) -> bool {
        // A coded position also pays its share of hyper latents and a dearer flag.
        self.copy_error(p, reference) < io.error[p] + self.lambda / self.weight(p) * (io.bits[p] + 4.0)
    }

    pub fn copy_error(&self, p: usize, reference: &[f32]) -> f32 {
        let m = self.walk.prior.channels;
        self.y[p * m..][..m].iter().zip(&reference[p * m..][..m]).map(|(y, r)| (y - r) * (y - r)).sum()
    }

    pub fn attempt(&self, reference: &Reference, skip: &[bool]) -> (Latents, Writer<'_>) {
        let (p, m) = (&self.walk.prior.inter, self.walk.prior.channels);
        let coded: Vec<u32> = (0..skip.len() as u32).filter(|&p| !skip[p as usize]).collect();
        let cells = self.walk.cells(&coded);
        // Hyper analysis sees what will probably be coded beside the reference.
        let mut x = vec![0i16; skip.len() * 2 * m];
        for (q, row) in x.chunks_exact_mut(2 * m).enumerate() {
            for i in 0..m {
                let r = reference.in_steps[q * m + i];
                row[i] = if skip[q] { mean_to_activation(r) } else { self.likely(q, self.y[q * m + i], r) };
                row[m + i] = mean_to_activation(r);
            }
        }
        let z = p.hyper.analyse(self.walk.kernels, &x, self.walk.shape, &cells);
        let mode = |&s: &bool| Block { mode: if s { Mode::Copy } else { Mode::Own }, ..Block::default() };
        let mut io = Writer::new(self, self.y, skip.iter().map(mode).collect(), &z);
        let latents = self.walk.latent(reference, &mut io);
        (latents, io)
    }

    /// The value that rate-distortion optimisation tends to: near the reference unless the change is clear.
    pub fn likely(&self, p: usize, y: f32, reference: i16) -> i16 {
        let r = nearest(reference as f32 / 8.0) as f32;
        let d = (y - r).abs();
        if 2.0 * d - 1.0 > 3.0 * self.lambda / self.weight(p) { latent_to_activation(clamp(y)) } else { latent_to_activation(r as i16) }
    }

    pub fn coded(&self, kind: SliceKind, latents: Latents, io: Writer, copied: f32) -> Coded {
        // A slice that copies everything, as predicted, need not say it flag by flag.
        let copies = kind != SliceKind::None && io.as_predicted;
        let rans = if copies { RansEncoder::default() } else { io.rans };
        let mut payload = Vec::new();
        rans.finish(latents.crc(), &mut payload);
        let expected: Vec<f32> = io.error.iter().map(|e| self.exchange * e).collect();
        let error: f32 = expected.iter().zip(self.excess).enumerate().map(|(p, (e, x))| self.weight(p) * e * x).sum::<f32>() + copied;
        let cost = error + self.exchange * self.lambda_kind * payload.len() as f32 * 8.0;
        Coded { kind, groups: self.walk.groups, copies, cost, expected, payload, latents }
    }
}

/// Latents in 1/8 steps -> in steps.
pub(super) fn floats(in_steps: &[i16]) -> Vec<f32> {
    in_steps.iter().map(|&v| v as f32 / 8.0).collect()
}

/// The nearest integer, without a call to the maths library.
#[inline]
fn nearest(y: f32) -> i32 {
    (y + 0.5f32.copysign(y)) as i32
}

#[inline]
fn clamp(y: f32) -> i16 {
    nearest(y).clamp(-MAX_LATENT, MAX_LATENT) as i16
}

#[inline]
fn activation(y: f32) -> i16 {
    nearest(y * 64.0).clamp(-32767, 32767) as i16
}

/// Chooses each symbol when its distribution is known, and writes it.
pub(super) struct Writer<'a> {
    tables: &'a Tables,
    rans: RansEncoder,
    /// What latents should be, `[positions][channels]`.
    pub y: Cow<'a, [f32]>,
    threads: usize,
    /// Squared error that a bit is worth: of each position, or one for all.
    pub lambda: Cow<'a, [f32]>,
    blocks: Vec<Block>,
    /// Every flag so far was true.
    as_predicted: bool,
    z: Vec<i16>,
    /// Of each position, over coded and cut channels.
    pub bits: Vec<f32>,
    pub error: Vec<f32>,
}

impl<'a> Writer<'a> {
    pub fn new(job: &Job<'a>, y: &'a [f32], blocks: Vec<Block>, z: &[i16]) -> Writer<'a> {
        let n = job.walk.shape.positions();
        Writer {
            tables: &job.walk.prior.tables,
            rans: RansEncoder::default(),
            y: y.into(),
            threads: job.walk.kernels.threads,
            lambda: Cow::Owned(if job.weights.is_empty() {
                vec![job.lambda]
            } else {
                job.weights.iter().map(|w| job.lambda / w).collect()
            }),
            blocks,
            as_predicted: true,
            z: z.to_vec(),
            bits: vec![0.0; n],
            error: vec![0.0; n],
        }
    }
}

/// The integer near `y` with the least error plus lambda times bits, and its bits.
#[inline]
fn choose(tables: &Tables, lambda: f32, y: f32, mean: i16, scale: u8) -> (i32, f32) {
    let k = clamp(y) as i32;
    let bits = tables.bits(k, mean, scale);
    let likely = (mean as i32 + 4) >> 3;
    if k == likely || lambda == 0.0 {
        return (k, bits);
    }
    let cost = |k: i32, bits: f32| (y - k as f32) * (y - k as f32) + lambda * bits;
    let mut best = (k, bits, cost(k, bits));
    let near = if likely > k { k + 1 } else { k - 1 };
    for other in [near, likely] {
        let bits = tables.bits(other, mean, scale);
        let c = cost(other, bits);
        if c < best.2 {
            best = (other, bits, c);
        }
    }
    (best.0, best.1)
}

impl FlagIo for Writer<'_> {
    fn flag(&mut self, p: u32, want: bool) -> bool {
        if want {
            self.rans.push(0, p)
        } else {
            self.rans.push(p, 32768 - p)
        }
        self.as_predicted &= want;
        want
    }
}

impl SymbolIo for Writer<'_> {
    fn wanted(&self, position: usize) -> Block {
        self.blocks[position]
    }

    fn hyper(&mut self, row: usize, mean: &[i16], scale: &[u8], out: &mut [i16]) {
        out.copy_from_slice(&self.z[row * out.len()..][..out.len()]);
        for ((&k, &m), &s) in out.iter().zip(mean).zip(scale) {
            self.tables.encode(&mut self.rans, k as i32, m, s);
        }
    }

    fn latents(&mut self, positions: &[usize], heads: &Heads, m: usize, n: usize, values: &mut [i16]) {
        /// Positions that are worth a thread of their own.
        const ENOUGH: usize = 64;
        let parts = self.threads.min(positions.len() / ENOUGH).max(1);
        let each = positions.len().div_ceil(parts);
        let choose = |i: usize| {
            let from = (i * each).min(positions.len());
            let part = &positions[from..((i + 1) * each).min(positions.len())];
            let mut chosen = Vec::with_capacity(part.len() * n);
            let costs: Vec<(f32, f32)> = part
                .iter()
                .enumerate()
                .map(|(row, &p)| {
                    let (at, y) = ((from + row) * m, &self.y[p * m..][..m]);
                    let (mut bits, mut error) = (0.0, 0.0);
                    let lambda = if let [all] = self.lambda[..] { all } else { self.lambda[p] };
                    for ((&y, &mean), &scale) in y[..n].iter().zip(&heads.mean[at..]).zip(&heads.scale[at..]) {
                        let (k, b) = choose(self.tables, lambda, y, mean, scale);
                        chosen.push(k as i16);
                        bits += b;
                        error += (y - k as f32) * (y - k as f32);
                    }
                    // Channels that are cut are lost whole (a reference's value, where there is one, does a little better).
                    (bits, error + y[n..].iter().map(|y| y * y).sum::<f32>())
                })
                .collect();
            (chosen, costs)
        };
        let parts = crate::threads::parallel(parts, parts, choose);
        let (chosen, costs): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let rows = chosen.iter().flat_map(|c| c.chunks_exact(n)).zip(costs.iter().flatten());
        for ((row, &p), (chosen, &(bits, error))) in positions.iter().enumerate().zip(rows) {
            values[p * m..p * m + n].copy_from_slice(chosen);
            (self.bits[p], self.error[p]) = (bits, error);
            for ((&k, &mean), &scale) in chosen.iter().zip(&heads.mean[row * m..]).zip(&heads.scale[row * m..]) {
                self.tables.encode(&mut self.rans, k as i32, mean, scale);
            }
        }
    }
}
