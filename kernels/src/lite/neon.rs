//! NEON twins: of [`Projection::row`](super::projection::Projection::row), and of the sums that a context's mean is.

use super::projection::{BLOCK, Band, Projection};
use crate::neon::{store, words};
use std::arch::aarch64::*;

/// Patches computed together, so that weights are loaded once for all of them.
const PATCHES: usize = 4;

/// A block of outputs by four patches at a time; `wide`: the band's samples.
///
/// # Safety
/// `band` and `out` are as `Projection::row` makes them.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn projection(p: &Projection, band: &Band, wide: &[i16], out: &mut [i32]) {
    let (size, step, planes, outputs, _) = p.shape();
    for b in 0..band.blocks {
        for first in (0..band.columns).step_by(PATCHES) {
            let n = PATCHES.min(band.columns - first);
            let mut sum = [[vdupq_n_s32(0); 4]; PATCHES];
            // SAFETY: patch first + i lies in the band for i < n, and i is cut to n - 1; a line has size / 2 pairs of taps with outputs * 2
            // weights each.
            unsafe {
                let at: [*const i16; PATCHES] = std::array::from_fn(|i| wide.as_ptr().add((first + i.min(n - 1)) * step));
                let mut w = p.wide().as_ptr().add(2 * b * BLOCK);
                for line in 0..planes * size {
                    for k in 0..size / 2 {
                        // Weights of the pair's first and second tap, each of outputs 0..8 and 8..16.
                        let (low, high) = (vld2q_s16(w), vld2q_s16(w.add(BLOCK)));
                        for (s, at) in sum.iter_mut().zip(at) {
                            for (i, w) in [(low.0, high.0), (low.1, high.1)].into_iter().enumerate() {
                                let x = *at.add(line * band.width + 2 * k + i);
                                s[0] = vmlal_n_s16(s[0], vget_low_s16(w.0), x);
                                s[1] = vmlal_high_n_s16(s[1], w.0, x);
                                s[2] = vmlal_n_s16(s[2], vget_low_s16(w.1), x);
                                s[3] = vmlal_high_n_s16(s[3], w.1, x);
                            }
                        }
                        w = w.add(2 * outputs);
                    }
                }
            }
            for (i, &sum) in sum.iter().enumerate().take(n) {
                out[(first + i) * outputs + b * BLOCK..][..BLOCK].copy_from_slice(&store(sum));
            }
        }
    }
}

/// Sums of pairs times weights `[32][16][2]`.
#[target_feature(enable = "neon")]
pub(crate) fn products(w: &[i16], around: &[i16; 64]) -> [i32; 16] {
    assert!(w.len() == 1024);
    // SAFETY: 32 pairs of the 64 values, 16 pairs of weights each.
    unsafe { words(w.as_ptr(), [around.as_ptr()], 32, [0; 16])[0] }
}
