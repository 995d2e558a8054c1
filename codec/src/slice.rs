//! The order of everything in a slice, once for encoder and decoder: both walk it with a [`SymbolIo`] that writes or reads,
//! so they cannot disagree.
//!
//! Order: skip map (slices with a reference), hyper latents, latents at the checkerboard's first half, then at its second.

use crate::bitstream::GROUPS;
use crate::prior::{Heads, Kernels, Prior, Shape, latent_to_activation, mean_to_activation};
use crate::rans::Adaptive;

/// Where symbols come from or go to.
pub(crate) trait SymbolIo {
    /// Whether `position` copies the reference; `p`: probability of that in 1/32768.
    fn skip(&mut self, position: usize, p: u32) -> bool;
    /// The hyper latents of the `row`-th sent cell.
    fn hyper(&mut self, row: usize, mean: &[i16], scale: &[u8], out: &mut [i16]);
    /// The coded channels of one position.
    fn latents(&mut self, position: usize, mean: &[i16], scale: &[u8], out: &mut [i16]);
}

/// What every slice of a frame shares.
#[derive(Clone, Copy)]
pub(crate) struct Walk<'a> {
    pub kernels: Kernels,
    pub prior: &'a Prior,
    pub step: u8,
    pub shape: Shape,
    /// Channel groups coded.
    pub groups: u8,
}

/// Reference of a slice.
pub(crate) struct Reference<'a> {
    /// Latents of its positions in 1/65536.
    pub latents: &'a [i32],
    /// Its skip map.
    pub skip: &'a [bool],
    /// The latents in units of the frame's step (see [`Prior::in_steps`]).
    pub in_steps: &'a [i16],
}

/// A decoded slice.
pub(crate) struct Latents {
    /// `[positions][channels]` in 1/65536.
    pub values: Vec<i32>,
    pub skip: Vec<bool>,
}

impl Latents {
    /// CRC-32C of the values as little-endian bytes.
    pub fn crc(&self) -> u32 {
        latents_crc(&self.values)
    }
}

/// CRC-32C of latents as little-endian int32.
pub(crate) fn latents_crc(values: &[i32]) -> u32 {
    let mut crc = 0;
    let mut bytes = [0u8; 4096];
    for part in values.chunks(1024) {
        for (b, v) in bytes.chunks_exact_mut(4).zip(part) {
            b.copy_from_slice(&v.to_le_bytes());
        }
        crc = crc32c::crc32c_append(crc, &bytes[..part.len() * 4]);
    }
    crc
}

impl Walk<'_> {
    fn coded_channels(&self) -> usize {
        self.prior.channels / GROUPS * self.groups as usize
    }

    /// A slice that refers to nothing.
    pub fn none(&self, io: &mut impl SymbolIo) -> Latents {
        let (p, m, n) = (&self.prior.intra, self.prior.channels, self.shape.positions());
        let (cw, ch) = self.shape.cells();
        let mut z = vec![0i16; cw * ch * p.hyper.channels()];
        self.hyper(&p.hyper, &mut z, io);
        let context = p.context(self.kernels, &z, self.shape, self.step);
        let all = 0..n as u32;
        let first: Vec<u32> = all.clone().filter(|&p| self.shape.anchor(p)).collect();
        let second: Vec<u32> = all.filter(|&p| !self.shape.anchor(p)).collect();

        let mut values = vec![0i16; n * m];
        let heads = p.first(self.kernels, &context, &first);
        self.rows(&heads, first.iter().map(|&p| p as usize), &mut values, io);
        let known: Vec<i16> = values.iter().map(|&k| latent_to_activation(k)).collect();
        let heads = p.second(self.kernels, &context, &known, self.shape, &second);
        self.rows(&heads, second.iter().map(|&p| p as usize), &mut values, io);

        let sizes = self.prior.step_sizes(self.step);
        let values = values.chunks_exact(m).flat_map(|row| row.iter().zip(sizes).map(|(&k, &d)| k as i32 * d)).collect();
        Latents { values, skip: vec![false; n] }
    }

    /// A slice predicted from the latents of another frame.
    pub fn latent(&self, reference: &Reference, io: &mut impl SymbolIo) -> Latents {
        let (p, m, n) = (&self.prior.inter, self.prior.channels, self.shape.positions());
        let skip = self.skip_map(reference.skip, io);
        let mut values = reference.latents.to_vec();
        let coded: Vec<u32> = (0..n as u32).filter(|&p| !skip[p as usize]).collect();
        if coded.is_empty() {
            return Latents { values, skip };
        }
        let cells = self.cells(&coded);
        let mut z = vec![0i16; cells.len() * p.hyper.channels()];
        self.hyper(&p.hyper, &mut z, io);
        let c = p.context(self.kernels, self.shape, reference.in_steps, &skip, &z, &cells, coded, self.step);
        let rows = 0..c.coded.len() as u32;
        let anchor = |&r: &u32| self.shape.anchor(c.coded[r as usize]);
        let first: Vec<u32> = rows.clone().filter(anchor).collect();
        let second: Vec<u32> = rows.filter(|r| !anchor(r)).collect();
        let position = |&r: &u32| c.coded[r as usize] as usize;

        let heads = p.first(self.kernels, &c, &first);
        let mut quantised = vec![0i16; n * m];
        self.rows(&heads, first.iter().map(position), &mut quantised, io);
        // What the second half may know: skipped positions and the first half.
        let mut known = vec![0i16; n * 2 * m];
        for q in 0..n {
            let known = &mut known[q * 2 * m..][..2 * m];
            let r = &reference.in_steps[q * m..][..m];
            if skip[q] {
                for i in 0..m {
                    known[i] = mean_to_activation(r[i]);
                }
            } else if self.shape.anchor(q as u32) {
                for i in 0..m {
                    let r = mean_to_activation(r[i]);
                    let v = if i < self.coded_channels() { latent_to_activation(quantised[q * m + i]) } else { r };
                    known[i] = v;
                    known[m + i] = (v as i32 - r as i32).clamp(-32767, 32767) as i16;
                }
            }
        }
        let heads = p.second(self.kernels, &c, &known, &second);
        self.rows(&heads, second.iter().map(position), &mut quantised, io);

        let sizes = &self.prior.step_sizes(self.step)[..self.coded_channels()];
        for &q in &c.coded {
            let q = q as usize;
            for ((v, &k), &d) in values[q * m..].iter_mut().zip(&quantised[q * m..]).zip(sizes) {
                *v = k as i32 * d;
            }
        }
        Latents { values, skip }
    }

    /// Cells with a coded position, raster order.
    pub fn cells(&self, coded: &[u32]) -> Vec<u32> {
        let (cw, ch) = self.shape.cells();
        let mut sent = vec![false; cw * ch];
        for &p in coded {
            sent[self.shape.cell_of(p)] = true;
        }
        (0..sent.len() as u32).filter(|&c| sent[c as usize]).collect()
    }

    /// Contexts: left, above, above right, and the same place in the reference's map; outside counts as skipped.
    fn skip_map(&self, last: &[bool], io: &mut impl SymbolIo) -> Vec<bool> {
        let w = self.shape.width;
        let mut models = self.prior.skip_init.map(Adaptive::new);
        let mut skip = vec![false; self.shape.positions()];
        for i in 0..skip.len() {
            let (y, x) = (i / w, i % w);
            let left = x == 0 || skip[i - 1];
            let above = y == 0 || skip[i - w];
            let right = y == 0 || x + 1 == w || skip[i - w + 1];
            let model = &mut models[(left as usize) << 3 | (above as usize) << 2 | (right as usize) << 1 | last[i] as usize];
            skip[i] = io.skip(i, model.p());
            model.update(skip[i]);
        }
        skip
    }

    fn hyper(&self, h: &crate::prior::Hyper, z: &mut [i16], io: &mut impl SymbolIo) {
        let n = h.channels();
        let at = self.step as usize * n;
        for (row, z) in z.chunks_exact_mut(n).enumerate() {
            io.hyper(row, &h.mean[at..at + n], &h.scale[at..at + n], z);
        }
    }

    fn rows(&self, heads: &Heads, positions: impl Iterator<Item = usize>, values: &mut [i16], io: &mut impl SymbolIo) {
        let (m, n) = (self.prior.channels, self.coded_channels());
        for (row, p) in positions.enumerate() {
            let at = row * m;
            io.latents(p, &heads.mean[at..at + n], &heads.scale[at..at + n], &mut values[p * m..p * m + n]);
        }
    }
}
