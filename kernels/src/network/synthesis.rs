//! Synthesis: latents -> samples of a picture.

use super::analysis::SAMPLES;
use super::matrix::In;
use super::scratch::Buffer;
use super::{Block, Lane, Matrix, Out, Rows, cut, shares};
use crate::parallel::each;
use crate::planes::Planes;
use crate::{Level, linear::BadWeights};
use std::ops::Range;

/// Latents of a position -> channels of its four places at 1/8; blocks; channels of a place -> its 96 samples.
#[derive(Clone, Debug)]
pub struct Synthesis<L> {
    /// Of each latent, what goes in is multiplied by.
    entry: Vec<f32>,
    first: Matrix,
    blocks: Vec<Block<L>>,
    last: Matrix,
}

/// A position of 16x16 samples and which of its four places are computed: bit 2 * dy + dx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Raster index.
    pub at: u32,
    pub places: u8,
}

/// Positions that pass through the first layer together.
const TILE: usize = 24;

impl<L: Lane> Synthesis<L> {
    pub fn new(entry: Vec<f32>, first: Matrix, blocks: Vec<Block<L>>, last: Matrix) -> Result<Synthesis<L>, BadWeights> {
        let c = last.inputs();
        let fits = last.outputs() == SAMPLES && first.wide && last.wide && first.outputs() == 4 * c && entry.len() == first.inputs();
        if !fits || blocks.is_empty() || blocks.iter().any(|b| b.channels() != c) || entry.iter().any(|e| !(*e > 0.0 && *e < 1e9)) {
            return Err(BadWeights("shape"));
        }
        Ok(Synthesis { entry, first, blocks, last })
    }

    pub fn latents(&self) -> usize {
        self.entry.len()
    }

    /// Samples of the places of `positions`, which lie in the rows `lines` of the picture and are counted from the first of these rows.
    /// `latents`: `[positions][latents]`, in units of the picture. Places that are not listed count as outside the picture and keep their samples.
    pub fn run(&self, level: Level, threads: usize, positions: &[Position], latents: &[f32], lines: Range<usize>, out: &mut Planes) {
        let (width, height, m, c) = (out.width / 8, 2 * lines.len(), self.latents(), self.last.inputs());
        assert_eq!(latents.len(), positions.len() * m);
        let (mut at, mut ends) = (Vec::with_capacity(4 * positions.len()), vec![0]);
        for p in positions {
            let (px, py) = (p.at as usize % (width / 2) * 2, p.at as usize / (width / 2) * 2);
            at.extend((0..4).filter(|i| p.places >> i & 1 != 0).map(|i| ((py + i / 2) * width + px + i % 2) as u32));
            ends.push(at.len());
        }
        let rows = Rows::new(width, height, at);
        let n = rows.len();
        let mut stream = Buffer::<i16>::new(n * c);
        let (mut x, mut y) = (Buffer::<L>::new((n + 1) * c), Buffer::<L>::new((n + 1) * c));
        [&mut x, &mut y].into_iter().for_each(|b| b[n * c..].fill(L::ZERO));
        let parts = shares(positions.len(), threads, TILE);
        let sizes = || parts.iter().map(|p| (ends[p.end] - ends[p.start]) * c);
        let work = parts.iter().zip(cut(&mut stream, sizes())).zip(cut(&mut x, sizes()));
        each(work.collect(), |((part, stream), bytes)| {
            self.enter(level, &positions[part.clone()], &latents[part.start * m..part.end * m], stream);
            self.blocks[0].enter(level, stream, bytes);
        });
        for (i, block) in self.blocks.iter().enumerate() {
            let next = self.blocks.get(i + 1).map(|b| (b, &mut y[..]));
            block.apply(level, threads, &rows, n, &x, &mut stream, next);
            std::mem::swap(&mut x, &mut y);
        }
        let mut codes = Buffer::<u8>::new(n * SAMPLES);
        let parts = shares(n, threads, TILE);
        let work = parts.iter().zip(cut(&mut codes, parts.iter().map(|p| p.len() * SAMPLES)));
        each(work.collect(), |(part, codes)| self.last.apply(level, In::Words(&stream[part.start * c..part.end * c]), Out::Codes(codes)));
        for (row, codes) in codes.chunks_exact(SAMPLES).enumerate() {
            let (px, py) = rows.place(row);
            put(codes, px, py + 2 * lines.start, out);
        }
    }

    /// The first layer.
    fn enter(&self, level: Level, positions: &[Position], latents: &[f32], stream: &mut [i16]) {
        let (m, c) = (self.latents(), self.last.inputs());
        let (mut words, mut four) = (vec![0i16; TILE * m], vec![0i16; TILE * 4 * c]);
        let mut stream = stream.chunks_exact_mut(c);
        for (positions, latents) in positions.chunks(TILE).zip(latents.chunks(TILE * m)) {
            let (words, four) = (&mut words[..latents.len()], &mut four[..positions.len() * 4 * c]);
            for (to, from) in words.chunks_exact_mut(m).zip(latents.chunks_exact(m)) {
                for ((t, f), e) in to.iter_mut().zip(from).zip(&self.entry) {
                    *t = word(f * e);
                }
            }
            self.first.apply(level, In::Words(words), Out::Words(four));
            for (p, four) in positions.iter().zip(four.chunks_exact(4 * c)) {
                for (_, place) in four.chunks_exact(c).enumerate().filter(|(i, _)| p.places >> i & 1 != 0) {
                    stream.next().expect("a row for each place").copy_from_slice(place);
                }
            }
        }
    }
}

/// Rounded to nearest even, saturating.
#[inline]
fn word(v: f32) -> i16 {
    // So large that it has no fraction: adding it rounds.
    const WHOLE: f32 = 12_582_912.0;
    ((v.clamp(-32768.0, 32767.0) + WHOLE) - WHOLE) as i16
}

/// The samples of a place.
fn put(codes: &[u8], x: usize, y: usize, out: &mut Planes) {
    let (luma, chroma) = codes.split_at(64);
    for (line, from) in luma.chunks_exact(8).enumerate() {
        out.y[(8 * y + line) * out.width + 8 * x..][..8].copy_from_slice(from);
    }
    let (u, v) = chroma.split_at(16);
    for (plane, from) in [(&mut out.u, u), (&mut out.v, v)] {
        for (line, from) in from.chunks_exact(4).enumerate() {
            plane[(4 * y + line) * out.width / 2 + 4 * x..][..4].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_round_to_even_and_saturate() {
        for v in (-70_000..70_000).flat_map(|i| [i as f32 / 2.0, i as f32 / 2.0 + 0.25, i as f32 * 0.7]) {
            assert_eq!(super::word(v), v.round_ties_even() as i16, "{v}");
        }
    }
}
