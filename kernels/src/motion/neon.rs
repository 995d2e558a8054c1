//! NEON twins of interpolation and of block differences.

use super::interpolate::{Filtered, ROWS};
use super::rows::Rows;
use std::arch::aarch64::*;

#[target_feature(enable = "neon")]
pub(super) fn interpolate<const TAPS: usize>(sides: &[Filtered<TAPS>; 2], out: &mut [[u8; 16]]) {
    for (i, side) in sides.iter().enumerate() {
        let mut t = [vdupq_n_s16(0); ROWS]; // at most 88 * 255, at least -24 * 255
        for (r, t) in t[..out.len() + TAPS - 1].iter_mut().enumerate() {
            let s = side.window.row(r);
            for (k, &tap) in side.across.iter().enumerate() {
                // SAFETY: eight of 16 samples, k being at most 7.
                let x = unsafe { vmovl_u8(vld1_u8(s[k..][..8].as_ptr())) };
                *t = vmlaq_n_s16(*t, vreinterpretq_s16_u16(x), tap as i16);
            }
        }
        for (r, out) in out.iter_mut().enumerate() {
            let t: &[int16x8_t; TAPS] = t[r..].first_chunk().expect("TAPS - 1 more rows than out");
            let (mut low, mut high) = (vdupq_n_s32(0), vdupq_n_s32(0));
            for (t, &tap) in t.iter().zip(&side.down) {
                low = vmlal_n_s16(low, vget_low_s16(*t), tap as i16);
                high = vmlal_high_n_s16(high, *t, tap as i16);
            }
            let s = vcombine_u16(vqrshrun_n_s32::<12>(low), vqrshrun_n_s32::<12>(high));
            // SAFETY: half of 16 samples.
            unsafe { vst1_u8(out[8 * i..][..8].as_mut_ptr(), vqmovn_u16(s)) };
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(s: &[u8; 16]) -> uint8x16_t {
    // SAFETY: s is 16 bytes.
    unsafe { vld1q_u8(s.as_ptr()) }
}

/// Two rows of eight samples from row `r` on.
#[inline]
#[target_feature(enable = "neon")]
fn two(rows: &Rows<8, 8>, r: usize) -> uint8x16_t {
    // SAFETY: a row is 8 bytes.
    unsafe { vcombine_u8(vld1_u8(rows.row(r).as_ptr()), vld1_u8(rows.row(r + 1).as_ptr())) }
}

/// Adds squares of bytes to four sums.
#[inline]
#[target_feature(enable = "neon")]
fn add_squares(sum: uint32x4_t, d: uint8x16_t) -> uint32x4_t {
    let sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(d), vget_low_u8(d)));
    vpadalq_u16(sum, vmull_high_u8(d, d))
}

/// Eight rows of `a` against the rounded-up mean of `b` and `c`: sum of absolute differences.
#[target_feature(enable = "neon")]
pub(super) fn sad8(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<8>::new(a, a_stride), Rows::<8>::new(b, stride), Rows::<8>::new(c, stride));
    let difference = |r: usize| vabdq_u8(load(a.row(r)), vrhaddq_u8(load(b.row(r)), load(c.row(r))));
    vaddlvq_u16((0..8).fold(vdupq_n_u16(0), |sum, r| vpadalq_u8(sum, difference(r))))
}

/// 16x16 samples of `a` against the rounded-up mean of `b` and `c`: sum of squared differences.
#[target_feature(enable = "neon")]
pub(super) fn mean_sse16(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<16>::new(a, a_stride), Rows::<16>::new(b, stride), Rows::<16>::new(c, stride));
    let difference = |r: usize| vabdq_u8(load(a.row(r)), vrhaddq_u8(load(b.row(r)), load(c.row(r))));
    vaddvq_u32((0..16).fold(vdupq_n_u32(0), |sum, r| add_squares(sum, difference(r))))
}

/// 8x8 samples of `a` against the rounded-up mean of `b` and `c`: sum of absolute differences.
#[target_feature(enable = "neon")]
pub(super) fn quarter_sad(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<8, 8>::new(a, a_stride), Rows::<8, 8>::new(b, stride), Rows::<8, 8>::new(c, stride));
    let difference = |r: usize| vabdq_u8(two(&a, r), vrhaddq_u8(two(&b, r), two(&c, r)));
    vaddlvq_u16((0..8).step_by(2).fold(vdupq_n_u16(0), |sum, r| vpadalq_u8(sum, difference(r))))
}

/// The same, squared.
#[target_feature(enable = "neon")]
pub(super) fn quarter_sse(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<8, 8>::new(a, a_stride), Rows::<8, 8>::new(b, stride), Rows::<8, 8>::new(c, stride));
    let difference = |r: usize| vabdq_u8(two(&a, r), vrhaddq_u8(two(&b, r), two(&c, r)));
    vaddvq_u32((0..8).step_by(2).fold(vdupq_n_u32(0), |sum, r| add_squares(sum, difference(r))))
}
