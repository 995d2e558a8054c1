//! Vectors of one band: the predictors of EPZS (Tourapis, "Enhanced predictive zonal search for single and multiple frame motion
//! estimation", VCIP 2002), refined by small diamonds down to quarter samples; where that leaves much, a coarse grid around (the
//! uneven multi-grid step of UMHexagonS, JVT-F017). A vector's price is what the field's coder would ask for it at this moment.

use super::{Prices, Reach};
use crate::held::HeldFrame;
use crate::motion::Mode;
use crate::motion::field::{Block, Field, FlagIo, Prediction};
use lic_kernels::Level;
use lic_kernels::motion::{SearchPlane, Vector};
use lic_kernels::planes::Planes;
use std::ops::Range;

/// Sum of absolute differences a block below which nothing better is looked for: noise of about half a level.
const GOOD: u32 = 160;
/// Above this the grid is tried.
const BAD: u32 = 2200;
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

struct Block16<'a> {
    level: Level,
    current: &'a Planes,
    search: &'a SearchPlane,
    field: &'a Field<'a>,
    prediction: Prediction,
    x: usize,
    y: usize,
    reach: Option<Reach>,
    /// Difference that a bit is worth.
    bit: f32,
    best: (f32, u32, Vector),
}

impl Block16<'_> {
    fn allowed(&self, v: Vector) -> bool {
        self.reach.is_none_or(|r| r.allows(self.y, v))
    }

    fn try_one(&mut self, v: Vector) -> bool {
        if v == self.best.2 && self.best.0 < f32::MAX || !self.allowed(v) {
            return false;
        }
        let limit = self.best.0.min(1e9) as u32;
        let sad = self.search.sad(self.level, &self.current.y, self.current.width, self.x, self.y, v, limit);
        if sad as f32 >= self.best.0 {
            return false;
        }
        let cost = sad as f32 + self.bit * self.field.bits(&self.prediction, true, v);
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
    fn settle(&self, prices: Prices) -> Vector {
        let cost = |v: Vector| {
            let e = self.search.sse(self.level, &self.current.y, self.current.width, self.x, self.y, v);
            0.75 * e as f32 + prices.bit * self.field.bits(&self.prediction, true, v)
        };
        let found = self.best.2;
        let others = self.prediction.others.iter().copied().filter(|v| *v != found);
        let predicted = std::iter::once(self.prediction.median).filter(|v| *v != found).chain(others).filter(|v| self.allowed(*v));
        predicted.map(|v| (cost(v), v)).fold((cost(found), found), |a, b| if b.0 < a.0 { b } else { a }).1
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

/// Vectors of the blocks in `rows`, raster order.
#[allow(clippy::too_many_arguments)]
pub(super) fn band(
    level: Level,
    current: &Planes,
    search: &SearchPlane,
    frame: &HeldFrame,
    columns: usize,
    rows: Range<usize>,
    reach: Option<Reach>,
    prices: Prices,
) -> Vec<Vector> {
    let first = rows.start * columns;
    let n = rows.len() * columns;
    let last = frame.vectors.get(first..first + n).unwrap_or_default();
    let mut field = Field::new(columns, rows.len(), &[], last, &[16384; 16]);
    let bit = (prices.bit / 0.75).sqrt();
    for i in 0..n {
        let (x, y) = (i % columns * 16, (rows.start + i / columns) * 16);
        let prediction = field.predict();
        let median = prediction.median;
        let mut b = Block16 { level, current, search, field: &field, prediction, x, y, reach, bit, best: (f32::MAX, u32::MAX, median) };
        b.try_one(median);
        if !b.allowed(median) {
            b.try_one(Vector::default()); // which always is
        }
        if b.best.1 > GOOD {
            let mut candidates = b.prediction.others.clone();
            let at = |dx: isize, dy: isize| {
                let (cx, cy) = ((i % columns) as isize + dx, (i / columns) as isize + dy);
                (cx >= 0 && cx < columns as isize && cy >= 0 && cy < rows.len() as isize).then(|| cy as usize * columns + cx as usize)
            };
            candidates.extend([(1, 0), (0, 1), (1, 1)].into_iter().filter_map(|(dx, dy)| last.get(at(dx, dy)?).copied()));
            candidates.extend(at(1, -1).map(|p| field.blocks[p].vector));
            candidates.push(Vector::default());
            for v in candidates {
                b.try_one(v);
            }
            if b.best.1 > GOOD {
                let start = b.best.2;
                b.try_one(whole(start));
                b.diamond(4, 16);
                if b.best.1 > BAD {
                    b.grid();
                    b.diamond(8, 4);
                    b.diamond(4, 8);
                }
                b.square(2);
                b.square(1);
            }
        }
        let vector = b.settle(prices);
        field.code(Block { mode: Mode::Copy, vector }, &mut Nowhere);
    }
    field.blocks.iter().map(|b| b.vector).collect()
}
