//! Sums of products of int16 for NEON, which both kinds of 1x1 layers with int16 weights take.

use std::arch::aarch64::*;

/// Outputs computed together.
const BLOCK: usize = 16;

/// `N` rows times one block of weights, `[pairs][BLOCK][2]`, added to `start`.
///
/// # Safety
/// `weights` spans pairs * BLOCK * 2 values, each of `rows` pairs * 2.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn words<const N: usize>(
    weights: *const i16,
    rows: [*const i16; N],
    pairs: usize,
    start: [i32; BLOCK],
) -> [[i32; BLOCK]; N] {
    // SAFETY: start is four registers; the rest is the caller's.
    unsafe {
        let first: [int32x4_t; 4] = std::array::from_fn(|j| vld1q_s32(start.as_ptr().add(4 * j)));
        let mut sum = [first; N];
        for k in 0..pairs {
            // Weights of the pair's first and second input, each of outputs 0..8 and 8..16.
            let (low, high) = (vld2q_s16(weights.add(2 * k * BLOCK)), vld2q_s16(weights.add(2 * k * BLOCK + BLOCK)));
            for (s, row) in sum.iter_mut().zip(rows) {
                for (i, w) in [(low.0, high.0), (low.1, high.1)].into_iter().enumerate() {
                    let x = *row.add(2 * k + i);
                    s[0] = vmlal_n_s16(s[0], vget_low_s16(w.0), x);
                    s[1] = vmlal_high_n_s16(s[1], w.0, x);
                    s[2] = vmlal_n_s16(s[2], vget_low_s16(w.1), x);
                    s[3] = vmlal_high_n_s16(s[3], w.1, x);
                }
            }
        }
        sum.map(|v| store(v))
    }
}

/// Four registers as an array.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn store(v: [int32x4_t; 4]) -> [i32; BLOCK] {
    let mut out = [0; BLOCK];
    for (o, v) in out.chunks_exact_mut(4).zip(v) {
        // SAFETY: a chunk is one register.
        unsafe { vst1q_s32(o.as_mut_ptr(), v) };
    }
    out
}
