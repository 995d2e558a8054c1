//! Synthesis: latents -> samples of a picture.

use super::analysis::SAMPLES;
use super::matrix::In;
use super::scratch::Buffer;
use super::{Block, Lane, Matrix, Out, Rows};
use crate::parallel::{Shared, cut, stages};
use crate::planes::{Bands, Planes};
use crate::{Level, linear::BadWeights};
use std::ops::Range;
use std::sync::Mutex;

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

/// Bands for each thread: what one thread waits for another at the end is a part of one of them.
const BANDS: usize = 6;
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

    /// Of each latent, what goes in is multiplied by.
    pub fn entry(&self) -> &[f32] {
        &self.entry
    }

    /// Its layers: first, blocks, last.
    pub fn layers(&self) -> (&Matrix, &[Block<L>], &Matrix) {
        (&self.first, &self.blocks, &self.last)
    }

    /// Samples of the places of `positions`, which lie in the rows `lines` of the picture, in raster order, and are counted from the first of
    /// these rows. `latents` fills in those of the i-th position, in units of the picture. Places that are not listed count as outside the
    /// picture and keep their samples.
    pub fn run(
        &self,
        level: Level,
        threads: usize,
        positions: &[Position],
        latents: impl Fn(usize, &mut [f32]) + Sync,
        lines: Range<usize>,
        out: &mut Planes,
    ) {
        let (width, height, c) = (out.width / 8, 2 * lines.len(), self.last.inputs());
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
        let cuts = lines_of_bands(positions, &ends, width / 2, lines.len(), if threads > 1 { BANDS * threads } else { 1 });
        let first: Vec<usize> = cuts.iter().map(|cut| positions.partition_point(|p| (p.at as usize) < cut * width / 2)).collect();
        let sizes = first.windows(2).map(|f| (ends[f[1]] - ends[f[0]]) * c);
        let samples = out.bands(lines.start, cuts.windows(2).map(|w| w[1] - w[0]));
        let bands: Vec<_> = cut(&mut stream, sizes).into_iter().zip(samples).map(Mutex::new).collect();
        let sides = [Shared::new(&mut x), Shared::new(&mut y)];
        stages(threads, self.blocks.len() + 2, bands.len(), 1, |stage, band| {
            let (stream, samples) = &mut *bands[band].lock().expect("nobody waits for a band after a panic");
            let (from, to) = (ends[first[band]], ends[first[band + 1]]);
            // SAFETY: for rows of this band alone; those who read what was there, the stage before in this band and beside it, are done.
            let given = |side: usize| unsafe { sides[side % 2].part(from * c..to * c) };
            if stage == 0 {
                self.enter(level, positions, first[band]..first[band + 1], &latents, stream);
                self.blocks[0].enter(level, stream, given(0));
            } else if let Some(block) = self.blocks.get(stage - 1) {
                let next = self.blocks.get(stage).map(|b| (b, given(stage)));
                // SAFETY: places around those of a band lie in it or in the bands beside it, in lines of positions that follow each other. What
                // the stage before gave there is written over by the stage behind this one, once this one is done.
                unsafe { block.apply(level, &rows, from, sides[(stage - 1) % 2], stream, next) };
            } else {
                self.leave(level, &rows, from, stream, cuts[band], samples);
            }
        });
    }

    /// The first layer; `stream`: the places of the positions `part`.
    fn enter(&self, level: Level, positions: &[Position], part: Range<usize>, latents: impl Fn(usize, &mut [f32]), stream: &mut [i16]) {
        let (m, c) = (self.latents(), self.last.inputs());
        let (mut row, mut words, mut four) = (vec![0f32; m], vec![0i16; TILE * m], vec![0i16; TILE * 4 * c]);
        let mut stream = stream.chunks_exact_mut(c);
        for from in part.clone().step_by(TILE) {
            let tile = from..(from + TILE).min(part.end);
            let (words, four) = (&mut words[..tile.len() * m], &mut four[..tile.len() * 4 * c]);
            for (i, to) in tile.clone().zip(words.chunks_exact_mut(m)) {
                latents(i, &mut row);
                for ((t, f), e) in to.iter_mut().zip(&row).zip(&self.entry) {
                    *t = word(f * e);
                }
            }
            self.first.apply(level, In::Words(words), Out::Words(four));
            for (p, four) in positions[tile].iter().zip(four.chunks_exact(4 * c)) {
                for (_, place) in four.chunks_exact(c).enumerate().filter(|(i, _)| p.places >> i & 1 != 0) {
                    stream.next().expect("a row for each place").copy_from_slice(place);
                }
            }
        }
    }

    /// The last layer of the rows from `from` on, into the band that begins at line `first` of positions.
    fn leave(&self, level: Level, rows: &Rows, from: usize, stream: &[i16], first: usize, out: &mut Bands) {
        let c = self.last.inputs();
        let mut codes = [0; 2 * TILE * SAMPLES];
        for (i, stream) in stream.chunks(2 * TILE * c).enumerate() {
            let codes = &mut codes[..stream.len() / c * SAMPLES];
            self.last.apply(level, In::Words(stream), Out::Codes(codes));
            for (j, codes) in codes.chunks_exact(SAMPLES).enumerate() {
                let (px, py) = rows.place(from + i * 2 * TILE + j);
                put(codes, px, py - 2 * first, rows.width(), out);
            }
        }
    }
}

/// Where bands of whole lines of positions begin and end, at most `most` of them with about as many places each; `ends`: places before each
/// position. No band is without a line: those beside a band hold all places around it.
fn lines_of_bands(positions: &[Position], ends: &[usize], columns: usize, lines: usize, most: usize) -> Vec<usize> {
    let (n, most) = (ends[positions.len()], most.clamp(1, lines.max(1)));
    let line = |i: usize| positions.get(ends.partition_point(|&e| e * most < i * n)).map_or(lines, |p| p.at as usize / columns);
    let mut cuts: Vec<usize> = std::iter::once(0).chain((1..most).map(line)).chain([lines]).collect();
    cuts.dedup();
    cuts
}

/// Rounded to nearest even, saturating.
#[inline]
fn word(v: f32) -> i16 {
    // So large that it has no fraction: adding it rounds.
    const WHOLE: f32 = 12_582_912.0;
    ((v.clamp(-32768.0, 32767.0) + WHOLE) - WHOLE) as i16
}

/// The samples of a place into a picture of `width` places.
fn put(codes: &[u8], x: usize, y: usize, width: usize, out: &mut Bands) {
    let (luma, chroma) = codes.split_at(64);
    for (line, from) in luma.chunks_exact(8).enumerate() {
        out.y[((8 * y + line) * width + x) * 8..][..8].copy_from_slice(from);
    }
    let (u, v) = chroma.split_at(16);
    for (plane, from) in [(&mut out.u, u), (&mut out.v, v)] {
        for (line, from) in from.chunks_exact(4).enumerate() {
            plane[((4 * y + line) * width + x) * 4..][..4].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_have_lines_and_share_the_places() {
        let bands = |lines: &[usize], most| {
            let row = |(y, n): (usize, &usize)| (0..*n).map(move |x| Position { at: (y * 10 + x) as u32, places: 15 });
            let positions: Vec<Position> = lines.iter().enumerate().flat_map(row).collect();
            let ends: Vec<usize> = (0..=positions.len()).map(|i| 4 * i).collect();
            lines_of_bands(&positions, &ends, 10, lines.len(), most)
        };
        assert_eq!(bands(&[5; 8], 4), [0, 2, 4, 6, 8]);
        assert_eq!(bands(&[5; 8], 1), [0, 8]);
        assert_eq!(bands(&[0, 0, 10, 1, 0, 0, 0, 0], 8), [0, 2, 3, 8], "all in one line");
        assert_eq!(bands(&[0; 3], 8), [0, 3], "nothing");
        assert_eq!(bands(&[3], 8), [0, 1]);
    }

    #[test]
    fn words_round_to_even_and_saturate() {
        for v in (-70_000..70_000).flat_map(|i| [i as f32 / 2.0, i as f32 / 2.0 + 0.25, i as f32 * 0.7]) {
            assert_eq!(word(v), v.round_ties_even() as i16, "{v}");
        }
    }
}
