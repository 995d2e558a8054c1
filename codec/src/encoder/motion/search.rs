//! Vectors of one band, of blocks and then of their quarters: the predictors of EPZS (Tourapis, "Enhanced predictive zonal search for
//! single and multiple frame motion estimation", VCIP 2002), refined by small diamonds down to quarter samples; where that leaves much,
//! a coarse grid around (the uneven multi-grid step of UMHexagonS, JVT-F017). A vector's price is what the field's coder would ask for
//! it at this moment.

use super::{Calm, Prices, Reach};
use crate::encoder::effort::Thoroughness;
use crate::held::HeldFrame;
use crate::motion::Mode;
use crate::motion::field::{Block, Costs, Field, FlagIo, Lengths, Part, Prediction};
use lic_kernels::Level;
use lic_kernels::motion::{Quarters, SearchPlane, Vector};
use lic_kernels::planes::Planes;
use std::ops::Range;

/// Where one vector errs by what so many bits are worth, four are tried.
const SPLIT_BITS: f32 = 24.0;
/// Blocks after which the prices of vectors' lengths are looked up again.
const LENGTHS_AGAIN: usize = 8;
/// Half width of the grid and its pitch, in samples.
const GRID: i16 = 32;
const PITCH: i16 = 4;

/// Takes what the field would write, for its contexts to adapt.
struct Nowhere;

impl FlagIo for Nowhere {
    fn flag(&mut self, _: u32, want: bool) -> bool {
        want
    }
}

/// What is searched in what.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub level: Level,
    pub current: &'a Planes,
    pub search: &'a SearchPlane,
    pub prices: Prices,
    pub effort: &'a Thoroughness,
}

/// The search for one vector.
struct Seek<'a> {
    pair: Pair<'a>,
    costs: Costs<'a>,
    part: Part,
    prediction: Prediction,
    x: usize,
    y: usize,
    reach: Option<Reach>,
    /// Difference that a bit is worth.
    bit: f32,
    best: (f32, u32, Vector),
}

/// A vector and what it costs: 0.75 x squared error alone, and with its bits.
struct Found {
    vector: Vector,
    error: f32,
    cost: f32,
}

impl<'a> Seek<'a> {
    /// For a part of the next block of `field`, whose first sample is (x, y).
    fn new(pair: Pair<'a>, field: &Field, lengths: &'a Lengths, part: Part, x: usize, y: usize, reach: Option<Reach>) -> Seek<'a> {
        let (x, y) = if let Part::Quarter(q) = part { (x + q % 2 * 8, y + q / 2 * 8) } else { (x, y) };
        let prediction = field.predict(part);
        let best = (f32::MAX, u32::MAX, prediction.median);
        let costs = field.costs(&prediction, true, lengths);
        let mut seek = Seek { pair, costs, part, prediction, x, y, reach, bit: (pair.prices.vector_bit / 0.75).sqrt(), best };
        seek.try_one(best.2);
        if !seek.allowed(best.2) {
            seek.try_one(Vector::default()); // which always is
        }
        seek
    }

    fn allowed(&self, v: Vector) -> bool {
        let height = if self.part == Part::Block { 16 } else { 8 };
        self.reach.is_none_or(|r| r.allows(self.y, height, v))
    }

    fn try_one(&mut self, v: Vector) -> bool {
        if v == self.best.2 && self.best.0 < f32::MAX || !self.allowed(v) {
            return false;
        }
        let Pair { level, current, search, .. } = self.pair;
        let sad = match self.part {
            Part::Block => search.sad(level, &current.y, current.width, self.x, self.y, v, self.best.0.min(1e9) as u32),
            Part::Quarter(_) => search.quarter_sad(level, &current.y, current.width, self.x, self.y, v),
        };
        if sad as f32 >= self.best.0 {
            return false;
        }
        let cost = sad as f32 + self.bit * self.costs.bits(v);
        let better = cost < self.best.0;
        if better {
            self.best = (cost, sad, v);
        }
        better
    }

    /// Steps to the best of four neighbours at `pitch` until none is better.
    fn diamond(&mut self, pitch: i16, most: usize) {
        for _ in 0..most {
            let c = self.best.2;
            let mut moved = false;
            for (dx, dy) in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
                moved |= self.try_one(Vector { x: c.x + dx * pitch, y: c.y + dy * pitch });
            }
            if !moved {
                return;
            }
        }
    }

    /// The eight neighbours at `pitch`.
    fn square(&mut self, pitch: i16) {
        let c = self.best.2;
        for dy in [-pitch, 0, pitch] {
            for dx in [-pitch, 0, pitch] {
                if (dx, dy) != (0, 0) {
                    self.try_one(Vector { x: c.x + dx, y: c.y + dy });
                }
            }
        }
    }

    /// Most blocks are copied, and then squared error is what counts: a predicted vector may be worth its saved bits.
    fn settle(&self) -> Found {
        let Pair { level, current, search, prices, .. } = self.pair;
        let sse = if self.part == Part::Block { SearchPlane::sse } else { SearchPlane::quarter_sse };
        let found = |vector: Vector| {
            let error = 0.75 * sse(search, level, &current.y, current.width, self.x, self.y, vector) as f32;
            Found { vector, error, cost: error + prices.vector_bit * self.costs.bits(vector) }
        };
        let others = self.prediction.others.iter().copied();
        let predicted = std::iter::once(self.prediction.median).chain(others).filter(|v| *v != self.best.2 && self.allowed(*v));
        predicted.map(found).fold(found(self.best.2), |a, b| if b.cost < a.cost { b } else { a })
    }

    fn grid(&mut self) {
        let c = whole(self.best.2);
        for dy in (-GRID..=GRID).step_by(PITCH as usize) {
            for dx in (-GRID..=GRID).step_by(PITCH as usize) {
                self.try_one(Vector { x: c.x.saturating_add(dx * 4), y: c.y.saturating_add(dy * 4) });
            }
        }
    }
}

/// The nearest whole sample.
fn whole(v: Vector) -> Vector {
    Vector { x: (v.x.saturating_add(2)) & !3, y: (v.y.saturating_add(2)) & !3 }
}

/// Vectors of the blocks in `rows`, raster order, and what [`Calm`] keeps of each: the difference that a full search left where nothing moves.
pub(super) fn band(
    pair: Pair,
    frame: &HeldFrame,
    calm: &Calm,
    columns: usize,
    rows: Range<usize>,
    reach: Option<Reach>,
) -> Vec<(Quarters, u32)> {
    let first = rows.start * columns;
    let n = rows.len() * columns;
    let last = frame.vectors.get(first..first + n).unwrap_or_default();
    let mut field = Field::new(columns, rows.len(), &[], last, &[16384; 16]);
    let mut left = vec![0; n];
    let mut lengths = [Part::Block, Part::Quarter(0)].map(|p| field.lengths(p));
    for (i, left) in left.iter_mut().enumerate() {
        if i > 0 && i % LENGTHS_AGAIN == 0 {
            lengths = [Part::Block, Part::Quarter(0)].map(|p| field.lengths(p));
        }
        let (x, y) = (i % columns * 16, (rows.start + i / columns) * 16);
        let mut b = Seek::new(pair, &field, &lengths[0], Part::Block, x, y, reach);
        let still = b.best.2 == Vector::default() && calm.still(first + i, b.best.1);
        if still {
            *left = calm.left(first + i);
            field.code(Block { mode: Mode::Copy, vectors: Quarters::default() }, &mut Nowhere);
            continue;
        }
        if b.best.1 > pair.effort.good {
            let known = b.prediction.others;
            let at = |dx: isize, dy: isize| {
                let (cx, cy) = ((i % columns) as isize + dx, (i / columns) as isize + dy);
                (cx >= 0 && cx < columns as isize && cy >= 0 && cy < rows.len() as isize).then(|| cy as usize * columns + cx as usize)
            };
            let beyond = [(1, 0), (0, 1), (1, 1)].into_iter().filter_map(|(dx, dy)| Some(last.get(at(dx, dy)?)?.mean()));
            let corner = at(1, -1).map(|p| field.blocks[p].vectors.0[2]);
            for v in known.iter().copied().chain(beyond).chain(corner).chain([Vector::default()]) {
                b.try_one(v);
            }
            if b.best.1 > pair.effort.good {
                let start = b.best.2;
                b.try_one(whole(start));
                b.diamond(4, 16);
                if b.best.1 > pair.effort.bad {
                    b.grid();
                    b.diamond(8, 4);
                    b.diamond(4, 8);
                }
                b.square(2);
                b.square(1);
            }
        }
        let (one, difference) = (b.settle(), b.best.1);
        let vectors = if one.error > SPLIT_BITS * pair.prices.bit { split(pair, &mut field, &lengths, x, y, &one, reach) } else { None };
        let vectors = vectors.unwrap_or(Quarters::whole(one.vector));
        *left = if vectors == Quarters::default() { difference } else { 0 };
        field.code(Block { mode: Mode::Copy, vectors }, &mut Nowhere);
    }
    field.blocks.iter().map(|b| b.vectors).zip(left).collect()
}

/// Vectors for the quarters of the next block of `field`, if they cost less than its `one`.
fn split(pair: Pair, field: &mut Field, lengths: &[Lengths; 2], x: usize, y: usize, one: &Found, reach: Option<Reach>) -> Option<Quarters> {
    let mut cost = pair.prices.vector_bit * field.costs(&field.predict(Part::Block), true, &lengths[0]).split;
    let mut quarters = Quarters::whole(one.vector);
    for q in 0..4 {
        let part = Part::Quarter(q);
        let mut b = Seek::new(pair, field, &lengths[1], part, x, y, reach);
        let known = b.prediction.others;
        for v in known.iter().copied().chain([one.vector]) {
            b.try_one(v);
        }
        if b.best.1 > pair.effort.good / 4 {
            b.diamond(4, 4);
            b.diamond(2, 2);
            b.diamond(1, 2);
        }
        let found = b.settle();
        let prediction = b.prediction;
        cost += found.cost;
        if cost >= one.cost {
            return None;
        }
        quarters.0[q] = found.vector;
        field.place(part, &prediction, found.vector);
    }
    quarters.one().is_none().then_some(quarters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::effort::Effort;

    /// A texture that moves by (4, -2) samples left of a vertical edge and not at all right of it.
    #[test]
    fn a_block_across_an_edge_of_motion_is_split() {
        let (w, h, edge) = (96, 64, 40);
        let texture = |x: usize, y: usize| {
            let (x, y) = (x as f32, y as f32);
            (128.0 + 50.0 * (x / 2.3).sin() * (y / 3.1).cos() + 50.0 * (x * y / 90.0).sin()) as u8
        };
        let picture = |at: &dyn Fn(usize, usize) -> u8| {
            let mut p = Planes::for_size(w, h);
            p.y.iter_mut().enumerate().for_each(|(i, s)| *s = at(i % w, i / w));
            p
        };
        let reference = picture(&|x, y| texture(x + 8, y + 8));
        let current = picture(&|x, y| if x < edge { texture(x + 12, y + 6) } else { texture(x + 8, y + 8) });
        let search = SearchPlane::new(Level::best(), &reference.y, w, h);
        let vectors = |bit| {
            let effort = Effort::Default.thoroughness();
            let pair =
                Pair { level: Level::best(), current: &current, search: &search, prices: Prices { bit, vector_bit: bit }, effort: &effort };
            band(pair, &HeldFrame::default(), &Calm::default(), w / 16, 0..h / 16, None).into_iter().map(|b| b.0).collect::<Vec<_>>()
        };
        let (moving, still) = (Vector { x: 16, y: -8 }, Vector::default());
        for (i, q) in vectors(20.0).iter().enumerate().filter(|(i, _)| *i >= w / 16) {
            let expect = [moving, moving, still, still, still, still][i % 6];
            let expect = if i % 6 == 2 { Quarters([moving, still, moving, still]) } else { Quarters::whole(expect) };
            assert_eq!(*q, expect, "block {i}");
        }
        assert!(vectors(1e6).iter().all(|q| q.one().is_some()), "bits too dear for a split");
    }
}
