//! Motion at the encoder: vectors, the compensated picture, and what copying each block would cost in pixels.

mod calm;
mod decide;
mod outcome;
mod search;

pub(super) use calm::Calm;
pub(super) use decide::Moved;
pub(super) use outcome::Outcome;

use super::effort::Thoroughness;
use crate::held::HeldFrame;
use crate::motion::{self, Base, Exact};
use crate::prior::Kernels;
use lic_kernels::motion::{Quarters, SearchPlane, Vector, block_error};
use lic_kernels::planes::Planes;
use std::ops::Range;

/// One reference, compensated for the frame to code.
pub(super) struct Plan {
    pub reference: u32,
    /// Of every position.
    pub vectors: Vec<Quarters>,
    pub prediction: Planes,
    /// What [`Calm`] keeps of the search.
    left: Vec<u32>,
    /// Pixel error that a bit is worth.
    bit: f32,
    /// Error of each block if it copies: 0.75 x squared error of luma + 1.25 x that of chroma.
    pub copy_error: Vec<f32>,
    /// What [`Outcome`] tells of each position.
    pub excess: Vec<f32>,
    /// Positions where copying errs enough that coding may pay.
    pub candidates: Vec<bool>,
    /// Latents before gain of the compensated picture, at candidates.
    pub base: Base,
}

/// How a frame lies in its slices.
pub(super) struct Layout {
    pub columns: usize,
    pub rows: usize,
    pub strips: Vec<Strip>,
    /// Nothing of a slice depends on another one, not even its picture: frames of a refresh cycle.
    pub alone: bool,
}

/// Where one slice lies.
#[derive(Clone)]
pub(super) struct Strip {
    pub rows: Range<usize>,
    /// Coded without reference whatever it costs: the band of a refresh cycle.
    pub anew: bool,
    /// Where its vectors may point, if not everywhere.
    pub reach: Option<Reach>,
}

/// How far down in the reference the samples of a slice may lie (codec/BITSTREAM.md, section "Refresh").
#[derive(Clone, Copy)]
pub(super) struct Reach {
    /// Lines of the reference.
    pub lines: usize,
    /// The first line below the slice.
    pub end: usize,
}

impl Reach {
    /// Whether the block or quarter of some height that begins at line `y` may have the vector. The zero vector always may.
    pub fn allows(self, y: usize, height: usize, v: Vector) -> bool {
        // A vector also counts in four lines of what is below; between two lines, filters take more of them.
        let last = (y + height + 3).min(self.end - 1) as i32;
        let luma = last + (v.y as i32 >> 2) + if v.y & 3 != 0 { 4 } else { 0 };
        let chroma = last / 2 + (v.y as i32 >> 3) + if v.y & 7 != 0 { 2 } else { 0 };
        luma < self.lines as i32 && chroma < self.lines as i32 / 2
    }
}

impl Strip {
    pub fn hyper_rows(&self) -> Range<usize> {
        self.rows.start / 2..self.rows.end.div_ceil(2)
    }
}

impl Layout {
    /// Rows whose pictures are made each by themselves.
    pub fn parts(&self) -> Vec<Range<usize>> {
        if self.alone { self.strips.iter().map(|s| s.rows.clone()).collect() } else { std::iter::once(0..self.rows).collect() }
    }
}

/// What a block and a vector may cost.
#[derive(Clone, Copy)]
pub(super) struct Prices {
    /// Pixel error (as [`Plan::copy_error`]) that a bit is worth.
    pub bit: f32,
    /// The same for a bit of a vector.
    pub vector_bit: f32,
}

impl Plan {
    /// Searches vectors against the made picture of `frame` and compensates.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        kernels: Kernels,
        current: &Planes,
        frame: &HeldFrame,
        picture: &Planes,
        search: &mut SearchPlane,
        calm: &Calm,
        layout: &Layout,
        prices: Prices,
        effort: &Thoroughness,
    ) -> Plan {
        let Kernels { level, threads } = kernels;
        search.refill(level, threads, &picture.y, picture.width, picture.height);
        let (w, h) = (layout.columns, layout.rows);
        let pair = search::Pair { level, current, search, prices, effort };
        let cut = |s: &Strip| s.rows.clone().step_by(BAND).map(|y| y..(y + BAND).min(s.rows.end)).collect::<Vec<_>>();
        let bands: Vec<_> = layout.strips.iter().flat_map(|s| cut(s).into_iter().map(move |rows| (rows, s))).collect();
        let parts = crate::threads::parallel(threads, bands.len(), |i| {
            let (rows, strip) = &bands[i];
            if strip.anew {
                return vec![(Quarters::default(), 0); rows.len() * w];
            }
            search::band(pair, frame, calm, w, rows.clone(), strip.reach)
        });
        let (vectors, left): (Vec<_>, Vec<_>) = parts.concat().into_iter().unzip();
        let slices: Vec<_> = layout.parts().into_iter().map(|rows| (rows, Some(picture))).collect();
        let prediction = motion::compensate(level, &slices, &vectors, layout.alone, threads).expect("there is a reference");
        let errors = |y: usize| (0..w).map(|x| block_error(level, current, &prediction, x, y)).collect::<Vec<f32>>();
        let copy_error = crate::threads::parallel(threads, h, errors).concat();
        let copies = |(p, &error): (usize, &f32)| {
            let error = error / prices.bit;
            if vectors[p] == Quarters::default() {
                error <= effort.least_bits_still || calm.copies(p, error)
            } else {
                error <= effort.least_bits
            }
        };
        let mut candidates: Vec<bool> = copy_error.iter().enumerate().map(|e| !copies(e)).collect();
        layout.strips.iter().filter(|s| s.anew).for_each(|s| candidates[s.rows.start * w..s.rows.end * w].fill(true));
        Plan {
            reference: frame.number,
            vectors,
            left,
            bit: prices.bit,
            prediction,
            copy_error,
            excess: Vec::new(),
            candidates,
            base: Base::default(),
        }
    }

    /// Fills in `base`.
    pub fn analyse(&mut self, exact: &Exact, layout: &Layout) -> crate::error::Result<()> {
        let (w, mut map) = (layout.columns, self.candidates.clone());
        layout.strips.iter().filter(|s| s.anew).for_each(|s| map[s.rows.start * w..s.rows.end * w].fill(false));
        layout.parts().into_iter().try_for_each(|rows| exact.analyse_at(&self.prediction, rows, &map, &mut self.base))
    }
}

/// Rows that are searched one after the other; bands of them in parallel.
const BAND: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_of_a_slice_lies_below_its_reach() {
        // Every sample that compensation can read, by the filters' taps, against what is allowed.
        let reach = Reach { lines: 96, end: 64 };
        for (y, height) in [0usize, 16, 32, 48].into_iter().flat_map(|y| [(y, 16), (y, 8), (y + 8, 8)]) {
            let (last, end) = ((y + height + 3).min(63), 64usize);
            assert!(Reach { lines: end, end }.allows(y, height, Vector::default()));
            for v in -300i16..300 {
                let taps = |whole: i32, between: bool, reach: i32| whole + if between { reach } else { 0 };
                let luma = taps(last as i32 + v.div_euclid(4) as i32, v.rem_euclid(4) != 0, 4);
                let chroma = taps((last / 2) as i32 + v.div_euclid(8) as i32, v.rem_euclid(8) != 0, 2);
                assert_eq!(reach.allows(y, height, Vector { x: 5, y: v }), luma <= 95 && chroma <= 47);
            }
        }
    }

    #[test]
    fn tracks_of_a_slice_come_from_within_its_reach() {
        // The lowest that a block's one vector, or the mean of its quarters' vectors, may point.
        let lowest = |reach: Reach, y, height| (-300i16..300).rev().find(|&v| reach.allows(y, height, Vector { x: 0, y: v })).unwrap();
        for (lines, end) in [(96, 64), (64, 64), (96, 96)] {
            let reach = Reach { lines, end };
            for y in (0..end).step_by(16) {
                let [above, below] = [(y, 8), (y + 8, 8)].map(|(y, h)| Vector { x: 0, y: lowest(reach, y, h) });
                for v in [Vector { x: 0, y: lowest(reach, y, 16) }, Quarters([above, above, below, below]).mean()] {
                    assert!(motion::source(0, y / 16, v, 1, 30) < lines / 16);
                }
            }
        }
    }
}
