//! The order of everything in a slice, once for encoder and decoder: both walk it with a [`SymbolIo`] that writes or reads,
//! so they cannot disagree.
//!
//! Order: skip map or field (slices with a reference), hyper latents, latents at the checkerboard's first half, then at its second.

use crate::bitstream::GROUPS;
use crate::device::Entropy;
use crate::motion::Mode;
use crate::motion::field::{Block, Field, FlagIo};
use crate::prior::{FLAGS, Heads, Inter, Kernels, Known, Prior, Shape, latent_to_activation, mean_to_activation, neighbours};
use crate::rans::Adaptive;
use lic_kernels::motion::{Quarters, Vector};

/// Where symbols come from or go to.
pub(crate) trait SymbolIo: FlagIo {
    /// Whether there are no symbols any more: what was walked until here is of no use, and the walk ends with no latents at all.
    fn exhausted(&self) -> bool {
        false
    }
    /// What the encoder wants at `position`; decoders answer anything.
    fn wanted(&self, position: usize) -> Block;
    /// The hyper latents of the `row`-th sent cell.
    fn hyper(&mut self, row: usize, mean: &[i16], scale: &[u8], out: &mut [i16]);
    /// The coded channels of some positions; `heads` has a row of `m` for each, `values` a row of `m` for every position of the slice,
    /// of which the first `n` are coded.
    fn latents(&mut self, positions: &[usize], heads: &Heads, m: usize, n: usize, values: &mut [i16]);
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
    /// For slices without a reference.
    pub device: Option<&'a Entropy>,
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

/// The reference of a slice of kind `motion`: the tracks of a whole frame, and where in it the slice lies.
pub(crate) struct Tracks<'a> {
    /// Latents, `[positions of the frame][channels]`, in 1/65536.
    pub latents: &'a [i32],
    /// Magnitudes of recent differences likewise; empty: all zero.
    pub recent: &'a [i32],
    /// Copy map and vectors; empty: the frame has none.
    pub copied: &'a [bool],
    pub vectors: &'a [Quarters],
    /// Rows of the frame, and the slice's first.
    pub rows: usize,
    pub first_row: usize,
}

/// A decoded slice.
#[derive(Default)]
pub(crate) struct Latents {
    /// `[positions][channels]` in 1/65536: latents; of kind `motion` the track that stands for them.
    pub values: Vec<i32>,
    /// Positions that copy the reference.
    pub skip: Vec<bool>,
    /// Of kind `motion` only.
    pub motion: Option<MotionLatents>,
}

/// What a slice of kind `motion` has beside its track of latents.
pub(crate) struct MotionLatents {
    pub blocks: Vec<Block>,
    /// `[positions][channels]` in 1/65536.
    pub recent: Vec<i32>,
    /// Positions with a difference, and `[positions of those][channels]` in 1/65536.
    pub coded: Vec<u32>,
    pub difference: Vec<i32>,
}

impl Latents {
    /// In place of a slice that cannot be decoded; `moves`: of kind `motion`.
    pub fn unknown(positions: usize, m: usize, moves: bool) -> Latents {
        let blocks = || MotionLatents {
            blocks: vec![Block::default(); positions],
            recent: vec![0; positions * m],
            coded: Vec::new(),
            difference: Vec::new(),
        };
        Latents { values: vec![0; positions * m], skip: vec![moves; positions], motion: moves.then(blocks) }
    }

    /// CRC-32C of the values as little-endian bytes, and of the field where there is one.
    pub fn crc(&self) -> u32 {
        let crc = latents_crc(&self.values);
        let Some(m) = &self.motion else { return crc };
        let mut bytes = Vec::with_capacity(17 * m.blocks.len());
        for b in &m.blocks {
            bytes.extend(b.vectors.0.iter().flat_map(|v| [v.x, v.y]).flat_map(i16::to_le_bytes));
            bytes.push(match b.mode {
                Mode::Copy => 0,
                Mode::Own => 1,
                Mode::Difference => 2,
            });
        }
        crc32c::crc32c_append(crc, &bytes)
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
        if io.exhausted() {
            return Latents::default();
        }
        let mut halves = p.halves(self.kernels, z, self.shape, self.step, self.device);
        let all = 0..n as u32;
        let first: Vec<u32> = all.clone().filter(|&p| self.shape.anchor(p)).collect();
        let second: Vec<u32> = all.filter(|&p| !self.shape.anchor(p)).collect();

        let mut values = vec![0i16; n * m];
        let heads = halves.first(&first);
        self.rows(&heads, first.iter().map(|&p| p as usize), &mut values, io);
        if io.exhausted() {
            return Latents::default();
        }
        let known: Vec<i16> = values.iter().map(|&k| latent_to_activation(k)).collect();
        let heads = halves.second(&known, &second);
        self.rows(&heads, second.iter().map(|&p| p as usize), &mut values, io);

        let sizes = self.prior.step_sizes(self.step);
        let values = values.chunks_exact(m).flat_map(|row| row.iter().zip(sizes).map(|(&k, &d)| k as i32 * d)).collect();
        Latents { values, skip: vec![false; n], motion: None }
    }

    /// A slice predicted from the latents of another frame.
    pub fn latent(&self, reference: &Reference, io: &mut impl SymbolIo) -> Latents {
        let (p, m, n) = (&self.prior.inter, self.prior.channels, self.shape.positions());
        let skip = self.skip_map(reference.skip, io);
        if io.exhausted() {
            return Latents::default();
        }
        let mut values = reference.latents.to_vec();
        let coded: Vec<u32> = (0..n as u32).filter(|&p| !skip[p as usize]).collect();
        if coded.is_empty() {
            return Latents { values, skip, motion: None };
        }
        let cells = self.cells(&coded);
        let mut z = vec![0i16; cells.len() * p.hyper.channels()];
        self.hyper(&p.hyper, &mut z, io);
        if io.exhausted() {
            return Latents::default();
        }
        let around: Vec<i16> = reference.in_steps.iter().map(|&v| mean_to_activation(v)).collect();
        let flags = coded.iter().map(|&p| neighbours(self.shape, p, |q| skip[q])).collect();
        let given = Known { reference: reference.in_steps, around: &around, more: None, flags };
        // What the second half may know: skipped positions and the first half.
        let known = |quantised: &[i16], known: &mut [i16]| {
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
        };
        let quantised = self.passes(p, given, &z, &cells, coded.clone(), known, io);

        let sizes = &self.prior.step_sizes(self.step)[..self.coded_channels()];
        for &q in &coded {
            let q = q as usize;
            for ((v, &k), &d) in values[q * m..].iter_mut().zip(&quantised[q * m..]).zip(sizes) {
                *v = k as i32 * d;
            }
        }
        Latents { values, skip, motion: None }
    }

    /// The two passes of the checkerboard over coded positions: `[positions][channels]` symbols. `fill`: (symbols so far, what the
    /// second pass knows of every position).
    #[allow(clippy::too_many_arguments)]
    fn passes(
        &self,
        p: &Inter,
        given: Known,
        z: &[i16],
        cells: &[u32],
        coded: Vec<u32>,
        fill: impl Fn(&[i16], &mut [i16]),
        io: &mut impl SymbolIo,
    ) -> Vec<i16> {
        let (m, n) = (self.prior.channels, self.shape.positions());
        let c = p.context(self.kernels, self.shape, given, z, cells, coded, self.step);
        let rows = 0..c.coded.len() as u32;
        let anchor = |&r: &u32| self.shape.anchor(c.coded[r as usize]);
        let first: Vec<u32> = rows.clone().filter(anchor).collect();
        let second: Vec<u32> = rows.filter(|r| !anchor(r)).collect();
        let position = |&r: &u32| c.coded[r as usize] as usize;
        let heads = p.first(self.kernels, &c, &first);
        let mut quantised = vec![0i16; n * m];
        self.rows(&heads, first.iter().map(position), &mut quantised, io);
        let mut known = vec![0i16; n * 2 * m];
        fill(&quantised, &mut known);
        let heads = p.second(self.kernels, &c, &known, &second);
        self.rows(&heads, second.iter().map(position), &mut quantised, io);
        quantised
    }

    /// A slice predicted from the picture of another frame. Packs without that prior must not get here.
    pub fn motion(&self, tracks: &Tracks, p: &Inter, io: &mut impl SymbolIo) -> Latents {
        let (m, n, w) = (self.prior.channels, self.shape.positions(), self.shape.width);
        let here = tracks.first_row * w..tracks.first_row * w + n;
        let last_copy = tracks.copied.get(here.clone()).unwrap_or_default();
        let last = tracks.vectors.get(here).unwrap_or_default();
        let mut field = Field::new(w, self.shape.height, last_copy, last, &self.prior.skip_init);
        for i in 0..n {
            field.code(io.wanted(i), io);
        }
        let blocks = field.blocks;
        if io.exhausted() {
            return Latents::default();
        }
        let source: Vec<usize> = blocks.iter().enumerate().map(|(i, b)| tracks.source(i % w, i / w, w, b.vectors.mean())).collect();
        let mut values = gather_rows(tracks.latents, m, &source);
        let mut recent = if tracks.recent.is_empty() { vec![0; n * m] } else { gather_rows(tracks.recent, m, &source) };
        let skip: Vec<bool> = blocks.iter().map(|b| b.mode == Mode::Copy).collect();
        let coded: Vec<u32> = (0..n as u32).filter(|&p| !skip[p as usize]).collect();

        let mut quantised = Vec::new();
        if !coded.is_empty() {
            let cells = self.cells(&coded);
            let mut z = vec![0i16; cells.len() * p.hyper.channels()];
            self.hyper(&p.hyper, &mut z, io);
            if io.exhausted() {
                return Latents::default();
            }
            let (reference, around) = self.track(&values, &coded);
            let recently = coded.iter().flat_map(|&p| self.prior.in_steps(&recent[p as usize * m..][..m], self.step));
            let more: Vec<i16> = recently.map(mean_to_activation).collect();
            let flags = coded.iter().map(|&p| flags(self.shape, p, &blocks)).collect();
            let given = Known { reference: &reference, around: &around, more: Some(&more), flags };
            let known = |quantised: &[i16], known: &mut [i16]| {
                for &q in coded.iter().filter(|&&q| self.shape.anchor(q)) {
                    let q = q as usize;
                    let (value, magnitude) = known[q * 2 * m..][..2 * m].split_at_mut(m);
                    for ((v, a), &k) in value.iter_mut().zip(magnitude).zip(&quantised[q * m..]) {
                        *v = latent_to_activation(k);
                        *a = v.abs();
                    }
                }
            };
            quantised = self.passes(p, given, &z, &cells, coded.clone(), known, io);
        }

        // The tracks go on: see codec/BITSTREAM.md, section "Tracks".
        let sizes = self.prior.step_sizes(self.step);
        let (mut differences, mut difference) = (Vec::new(), Vec::new());
        for (q, b) in blocks.iter().enumerate() {
            let (values, recent) = (&mut values[q * m..][..m], &mut recent[q * m..][..m]);
            if b.mode == Mode::Copy {
                recent.iter_mut().for_each(|r| *r -= *r >> 2);
                continue;
            }
            let coded = quantised[q * m..][..m].iter().zip(sizes).map(|(&k, &d)| k as i32 * d);
            if b.mode == Mode::Own {
                values.iter_mut().zip(coded).for_each(|(v, k)| *v = k);
                recent.fill(0);
                continue;
            }
            differences.push(q as u32);
            difference.extend(coded.clone());
            for ((v, r), k) in values.iter_mut().zip(recent).zip(coded) {
                *v = v.saturating_add(k).clamp(-(1 << 30), 1 << 30);
                *r = k.abs();
            }
        }
        Latents { values, skip, motion: Some(MotionLatents { blocks, recent, coded: differences, difference }) }
    }

    /// A track at the coded positions and around them, in steps ([`MEAN_BITS`](crate::prior::MEAN_BITS)), and its magnitudes as
    /// activations; zero elsewhere, where nobody looks.
    pub fn track(&self, values: &[i32], coded: &[u32]) -> (Vec<i16>, Vec<i16>) {
        let m = self.prior.channels;
        let mut map = vec![false; self.shape.positions()];
        coded.iter().for_each(|&p| map[p as usize] = true);
        let near = crate::motion::dilate(&map, self.shape.width, 1);
        let (mut reference, mut around) = (vec![0i16; values.len()], vec![0i16; values.len()]);
        for q in (0..near.len()).filter(|&q| near[q]) {
            let at = q * m..(q + 1) * m;
            let steps = self.prior.in_steps(&values[at.clone()], self.step);
            around[at.clone()].iter_mut().zip(&steps).for_each(|(a, &v)| *a = mean_to_activation(v).abs());
            reference[at].copy_from_slice(&steps);
        }
        (reference, around)
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
            let want = io.wanted(i).mode == Mode::Copy;
            skip[i] = io.flag(model.p(), want);
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
        io.latents(&positions.collect::<Vec<_>>(), heads, m, n, values);
    }
}

impl Tracks<'_> {
    /// Index in the frame of the position that block (x, y) of a slice, of `w` columns, comes from.
    pub fn source(&self, x: usize, y: usize, w: usize, v: Vector) -> usize {
        crate::motion::source(x, y + self.first_row, v, w, self.rows)
    }
}

fn gather_rows(from: &[i32], m: usize, rows: &[usize]) -> Vec<i32> {
    let mut out = Vec::with_capacity(rows.len() * m);
    rows.iter().for_each(|&r| out.extend_from_slice(&from[r * m..][..m]));
    out
}

/// What the prior of kind `motion` is told of a position beside latents, as activations.
fn flags(shape: Shape, p: u32, blocks: &[Block]) -> [i16; FLAGS] {
    let mut f = neighbours(shape, p, |q| blocks[q].mode == Mode::Copy);
    let (p, w) = (p as usize, shape.width);
    let (b, v) = (blocks[p], blocks[p].vectors.mean());
    let distance = |o: Vector| (v.x as i32 - o.x as i32).abs() + (v.y as i32 - o.y as i32).abs();
    let set = |on: bool| if on { 64 } else { 0 };
    f[9] = set(b.mode == Mode::Own);
    f[10] = if p % w > 0 { (8 * distance(blocks[p - 1].vectors.mean())).min(4096) as i16 } else { 0 };
    f[11] = if p >= w { (8 * distance(blocks[p - w].vectors.mean())).min(4096) as i16 } else { 0 };
    f[12] = (2 * distance(Vector::default())).min(4096) as i16;
    f[13] = set((v.x | v.y) & 3 != 0);
    f
}
