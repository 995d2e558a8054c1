//! What coding a block really achieves: its pixels' error beside that expected from its latents' error. Flat blocks come out better than
//! the average, detail beyond the autoencoder worse; the last frames tell which is which, block by block.

use lic_kernels::Level;
use lic_kernels::motion::{Quarters, block_error};
use lic_kernels::planes::Planes;

/// Of the newest frame.
#[derive(Default)]
pub(in crate::encoder) struct Outcome {
    number: u32,
    /// Of each position: expected error where it was coded, 0 elsewhere.
    expected: Vec<f32>,
    /// How many times that its pixels have erred.
    excess: Vec<f32>,
}

/// Bounds of the excess: one odd block decides nothing for ever.
const BOUNDS: (f32, f32) = (0.1, 8.0);

impl Outcome {
    /// A frame is coded; `excess` as it was taken for, if a plan said so.
    pub fn expect(&mut self, number: u32, expected: Vec<f32>, excess: Option<Vec<f32>>) {
        self.excess = excess.unwrap_or_else(|| vec![1.0; expected.len()]);
        (self.number, self.expected) = (number, expected);
    }

    /// The picture of frame `number`, coded from `source`, has been made.
    pub fn learn(&mut self, level: Level, number: u32, source: &Planes, picture: &Planes) {
        if number != self.number || self.expected.is_empty() {
            return;
        }
        let columns = picture.width / 16;
        for (p, (e, x)) in self.expected.iter_mut().zip(&mut self.excess).enumerate().filter(|(_, (e, _))| **e > 0.0) {
            let seen = (block_error(level, source, picture, p % columns, p / columns) / *e).clamp(BOUNDS.0, BOUNDS.1);
            *x = seen;
            *e = 0.0;
        }
    }

    /// The excess that each block of the next frame should have, by where it comes from.
    pub fn excess(&self, vectors: &[Quarters], columns: usize) -> Vec<f32> {
        if self.excess.len() != vectors.len() {
            return vec![1.0; vectors.len()];
        }
        let rows = vectors.len() / columns;
        let source = |(p, v): (usize, &Quarters)| crate::motion::source(p % columns, p / columns, v.mean(), columns, rows);
        vectors.iter().enumerate().map(|i| self.excess[source(i)]).collect()
    }
}
