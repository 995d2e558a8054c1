//! Analysis: samples of a picture -> latents before gain.

use super::matrix::In;
use super::scratch::Buffer;
use super::{Block, Lane, Matrix, Out, Rows};
use crate::parallel::{Shared, cut, shares, stages};
use crate::planes::Planes;
use crate::{Level, linear::BadWeights};
use std::ops::Range;
use std::sync::Mutex;

/// 96 samples of each place at 1/8 -> channels; blocks; the four places of a latent position -> latents.
#[derive(Clone, Debug)]
pub struct Analysis {
    first: Matrix,
    blocks: Vec<Block<u8>>,
    last: Matrix,
}

/// Samples of a place: 8x8 of luma, 4x4 of each chroma.
pub(crate) const SAMPLES: usize = 96;
/// Bands for each thread.
const BANDS: usize = 4;
/// Rows that pass through the first layer together, a multiple of four.
const TILE: usize = 48;

impl Analysis {
    pub fn new(first: Matrix, blocks: Vec<Block<u8>>, last: Matrix) -> Result<Analysis, BadWeights> {
        let c = first.outputs();
        let fits = first.inputs() == SAMPLES && first.wide && last.wide && last.inputs() == 4 * c;
        if !fits || blocks.is_empty() || blocks.iter().any(|b| b.channels() != c) {
            return Err(BadWeights("shape"));
        }
        Ok(Analysis { first, blocks, last })
    }

    pub fn latents(&self) -> usize {
        self.last.outputs()
    }

    /// Its layers: first, blocks, last.
    pub fn layers(&self) -> (&Matrix, &[Block<u8>], &Matrix) {
        (&self.first, &self.blocks, &self.last)
    }

    /// Latents before gain at `wanted`, `[wanted][latents]`: raster indices of positions (16x16 samples) in the rows `lines` of a picture,
    /// counted from the first of these rows. What lies outside of `lines` counts as outside the picture.
    pub fn run(&self, level: Level, threads: usize, planes: &Planes, lines: Range<usize>, wanted: &[u32]) -> Vec<f32> {
        let (width, height, c, m) = (planes.width / 8, 2 * lines.len(), self.first.outputs(), self.latents());
        let (rows, counts) = rings(width, height, wanted, self.blocks.len());
        let n = rows.len();
        let mut stream = Buffer::<i16>::new(n * c);
        let (mut x, mut y) = (Buffer::<u8>::new((n + 1) * c), Buffer::<u8>::new((n + 1) * c));
        [&mut x, &mut y].into_iter().for_each(|b| b[n * c..].fill(u8::ZERO));
        let mut out = vec![0f32; wanted.len() * m];
        let parts = shares(n, if threads > 1 { BANDS * threads } else { 1 }, TILE);
        // Of each band: its rows that a stage needs, and those that are wanted in the end.
        let within = |part: &Range<usize>, n: usize| part.start.min(n)..part.end.min(n);
        let ends = cut(&mut out, parts.iter().map(|p| within(p, 4 * wanted.len()).len() / 4 * m));
        let bands = cut(&mut stream, parts.iter().map(|p| p.len() * c)).into_iter().zip(ends);
        let bands: Vec<_> = bands.map(Mutex::new).collect();
        let sides = [Shared::new(&mut x), Shared::new(&mut y)];
        stages(threads, self.blocks.len() + 2, bands.len(), usize::MAX, |stage, band| {
            let (stream, out) = &mut *bands[band].lock().expect("nobody waits for a band after a panic");
            let part = &parts[band];
            // SAFETY: for rows of this band alone; those who read what was there, the stage before in all bands, are done.
            let given = |side: usize, rows: Range<usize>| unsafe { sides[side % 2].part(rows.start * c..rows.end * c) };
            if stage == 0 {
                self.enter(level, planes, lines.start, &rows, part.start, stream);
                self.blocks[0].enter(level, stream, given(0, part.clone()));
            } else if let Some(block) = self.blocks.get(stage - 1) {
                let needed = within(part, counts[self.blocks.len() - stage]);
                let next = self.blocks.get(stage).map(|b| (b, given(stage, needed.clone())));
                // SAFETY: what the stage before gave is written over by the stage behind this one, once this one is done in all bands.
                unsafe { block.apply(level, &rows, needed.start, sides[(stage - 1) % 2], &mut stream[..needed.len() * c], next) };
            } else {
                self.last.apply(level, In::Words(&stream[..out.len() / m * 4 * c]), Out::Floats(out));
            }
        });
        out
    }

    /// The first layer, of rows from `from` on.
    fn enter(&self, level: Level, planes: &Planes, line: usize, rows: &Rows, from: usize, stream: &mut [i16]) {
        let c = self.first.outputs();
        let mut samples = [0i16; TILE * SAMPLES];
        for (i, stream) in stream.chunks_mut(TILE * c).enumerate() {
            let samples = &mut samples[..stream.len() / c * SAMPLES];
            for (j, to) in samples.chunks_exact_mut(SAMPLES).enumerate() {
                let (px, py) = rows.place(from + i * TILE + j);
                take(planes, px, py + 2 * line, to);
            }
            self.first.apply(level, In::Words(samples), Out::Words(stream));
        }
    }
}

/// The four places of each wanted position, then those at most 1, 2, ... places away; how many rows lie within each distance.
fn rings(width: usize, height: usize, wanted: &[u32], most: usize) -> (Rows, Vec<usize>) {
    let mut at = Vec::with_capacity(4 * wanted.len());
    let mut seen = vec![false; width * height];
    for &p in wanted {
        let (px, py) = (p as usize % (width / 2) * 2, p as usize / (width / 2) * 2);
        for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let q = (py + dy) * width + px + dx;
            seen[q] = true;
            at.push(q as u32);
        }
    }
    let mut within = vec![at.len()];
    let mut from = 0;
    for _ in 0..most {
        let until = at.len();
        for i in from..until {
            let (px, py) = (at[i] as usize % width, at[i] as usize / width);
            for qy in py.saturating_sub(1)..(py + 2).min(height) {
                for qx in px.saturating_sub(1)..(px + 2).min(width) {
                    let q = qy * width + qx;
                    if !seen[q] {
                        seen[q] = true;
                        at.push(q as u32);
                    }
                }
            }
        }
        from = until;
        within.push(at.len());
    }
    (Rows::new(width, height, at), within)
}

/// The samples of a place.
fn take(planes: &Planes, x: usize, y: usize, to: &mut [i16]) {
    let (luma, chroma) = to.split_at_mut(64);
    for (line, to) in luma.chunks_exact_mut(8).enumerate() {
        let from = &planes.y[(8 * y + line) * planes.width + 8 * x..][..8];
        to.iter_mut().zip(from).for_each(|(t, &f)| *t = f as i16);
    }
    let (u, v) = chroma.split_at_mut(16);
    for (plane, to) in [(&planes.u, u), (&planes.v, v)] {
        for (line, to) in to.chunks_exact_mut(4).enumerate() {
            let from = &plane[(4 * y + line) * planes.width / 2 + 4 * x..][..4];
            to.iter_mut().zip(from).for_each(|(t, &f)| *t = f as i16);
        }
    }
}
