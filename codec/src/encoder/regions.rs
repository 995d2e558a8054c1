//! Regions of interest: there an error counts more than elsewhere, by the same weight at every choice that trades errors for bits. The
//! frame gets the step that suits its weightiest part; elsewhere bits are as much dearer. Decoders need not know.

use super::frame::Fineness;
use crate::bitstream::STEPS;
use crate::prior::Prior;

/// A rectangle of the picture, in pixels, that matters more or less than the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    /// As other encoders' delta QP: an error counts 2^(-delta_qp / 3) times as much as elsewhere, which is how lambda follows QP in H.264
    /// (Wiegand et al., IEEE TCSVT 13(7), 2003). Negative: better. Taken as -24 to 24.
    pub delta_qp: f32,
}

/// Largest weight, and its inverse: as far as [`Region::delta_qp`] counts.
const MOST: f32 = 24.0;

/// What an error counts at each position, raster order; empty: everywhere the same. Blocks of 16x16 that a region touches are in it; where
/// several overlap the best one counts.
pub(super) fn weights(regions: &[Region], columns: usize, rows: usize) -> Vec<f32> {
    if regions.is_empty() {
        return Vec::new();
    }
    let mut out: Vec<Option<f32>> = vec![None; columns * rows];
    for r in regions.iter().filter(|r| r.width > 0 && r.height > 0 && r.delta_qp.is_finite()) {
        let weight = (-r.delta_qp.clamp(-MOST, MOST) / 3.0).exp2();
        let blocks =
            |from: u32, length: u32, n: usize| (from as usize / 16).min(n)..((from as usize + length as usize).div_ceil(16)).min(n);
        for y in blocks(r.y, r.height, rows) {
            for x in blocks(r.x, r.width, columns) {
                let w = &mut out[y * columns + x];
                *w = Some(w.map_or(weight, |w| w.max(weight)));
            }
        }
    }
    if out.iter().all(|w| w.is_none_or(|w| w == 1.0)) {
        return Vec::new();
    }
    out.into_iter().map(|w| w.unwrap_or(1.0)).collect()
}

/// What suits the weightiest position, with bits as dear elsewhere as they were.
pub(super) fn finer(fine: Fineness, weights: &[f32], prior: &Prior) -> Fineness {
    let most = weights.iter().copied().fold(0.0, f32::max);
    let price = |step: u8| prior.price(step);
    let step = (fine.step..STEPS as u8).take_while(|&s| price(s) * most >= price(fine.step)).last().filter(|_| most > 1.0);
    let step = step.unwrap_or(fine.step);
    Fineness { step, price: fine.price * price(fine.step) / price(step), ..fine }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_a_region_touches_weigh_more() {
        let region = |x, y, width, height, delta_qp| Region { x, y, width, height, delta_qp };
        assert_eq!(weights(&[region(17, 0, 14, 16, -3.0)], 4, 2), [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(weights(&[region(15, 15, 2, 2, -6.0), region(0, 0, 64, 16, 3.0)], 4, 2), [4.0, 4.0, 0.5, 0.5, 4.0, 4.0, 1.0, 1.0]);
        // Beyond the picture, without size or weight: none.
        let none = [region(64, 0, 9, 9, -6.0), region(u32::MAX, u32::MAX, u32::MAX, 1, -6.0), region(0, 0, 0, 9, -6.0)];
        assert!(weights(&none, 4, 2).is_empty() && weights(&[region(0, 0, 9, 9, f32::NAN)], 4, 2).is_empty());
        assert!(weights(&[region(0, 0, 9, 9, 0.0)], 4, 2).is_empty());
    }
}
