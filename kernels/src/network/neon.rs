//! NEON twins of the integer networks' layers.

use super::around::{Around, LANES};
use super::matrix::{BLOCK, In, Matrix, Out, finish};
use super::{Lane, Rows, lane};
use crate::neon::{store, words};
use std::arch::aarch64::*;

/// Rows computed together, so that weights are loaded once for all of them.
const ROWS: usize = 4;

/// `x` and `out` hold `rows` rows, `x` of the kind that the layer takes: [`Matrix::apply`] asks.
#[target_feature(enable = "neon")]
pub(super) fn matrix(l: &Matrix, x: In, rows: usize, mut out: Out) {
    let k = l.packed.len() / l.outputs;
    let starts = match x {
        In::Bytes(_) => without_offset(l),
        In::Words(_) => l.bias.clone(),
    };
    for r in (0..rows).step_by(ROWS) {
        let n = ROWS.min(rows - r);
        let at = |i: usize| (r + i.min(n - 1)) * l.inputs;
        for b in 0..l.outputs / BLOCK {
            let start = *starts[b * BLOCK..].first_chunk().expect("a block");
            let weights = l.packed[b * k * BLOCK..][..k * BLOCK].as_ptr();
            // SAFETY: block b has just been cut out; rows are whole, at(i) being cut to the last one.
            let sums: [[i32; BLOCK]; ROWS] = unsafe {
                match x {
                    In::Bytes(x) => bytes(weights.cast(), std::array::from_fn(|i| x[at(i)..][..l.inputs].as_ptr()), k, start),
                    In::Words(x) => words(weights.cast(), std::array::from_fn(|i| x[at(i)..][..l.inputs].as_ptr()), k, start),
                }
            };
            for (i, s) in sums.iter().enumerate().take(n) {
                finish(s, &l.scale[b * BLOCK..][..BLOCK], &mut out, (r + i) * l.outputs + b * BLOCK);
            }
        }
    }
}

/// The bias for bytes that are taken 128 lower: NEON multiplies int8 by int8 only.
fn without_offset(l: &Matrix) -> Vec<i32> {
    let k = l.packed.len() / l.outputs;
    let weights = |o: usize| (0..k).flat_map(move |i| l.packed[(o / BLOCK * k + i) * BLOCK + o % BLOCK].to_le_bytes());
    l.bias.iter().enumerate().map(|(o, b)| b + 128 * weights(o).map(|w| w as i8 as i32).sum::<i32>()).collect()
}

/// `N` rows of bytes, 128 taken off each, times one block of weights, `[fours][BLOCK][4]`, added to `start`.
///
/// # Safety
/// `weights` spans fours * BLOCK * 4 values, each of `rows` fours * 4.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn bytes<const N: usize>(weights: *const i8, rows: [*const u8; N], fours: usize, start: [i32; BLOCK]) -> [[i32; BLOCK]; N] {
    // SAFETY: start is four registers; the rest is the caller's.
    unsafe {
        let first: [int32x4_t; 4] = std::array::from_fn(|j| vld1q_s32(start.as_ptr().add(4 * j)));
        let mut sum = [first; N];
        for k in 0..fours {
            // One register for each of the four inputs: its weights for all outputs of the block.
            let int8x16x4_t(a, b, c, d) = vld4q_s8(weights.add(4 * BLOCK * k));
            for (s, row) in sum.iter_mut().zip(rows) {
                let x = |i: usize| vdupq_n_s8((*row.add(4 * k + i) ^ 128) as i8);
                for (i, w) in [(0, [a, b]), (2, [c, d])] {
                    // Two products fit int16: of a pair's weights neither the positive nor the negative ones exceed 128 in sum
                    // (Matrix::new), so with bytes of -128 to 127 there are at most 32640.
                    let (x, y) = (x(i), x(i + 1));
                    let low = vmlal_s8(vmull_s8(vget_low_s8(w[0]), vget_low_s8(x)), vget_low_s8(w[1]), vget_low_s8(y));
                    let high = vmlal_high_s8(vmull_high_s8(w[0], x), w[1], y);
                    s[0] = vaddw_s16(s[0], vget_low_s16(low));
                    s[1] = vaddw_high_s16(s[1], low);
                    s[2] = vaddw_s16(s[2], vget_low_s16(high));
                    s[3] = vaddw_high_s16(s[3], high);
                }
            }
        }
        sum.map(|v| store(v))
    }
}

/// Activations as int16, eight at a time.
pub(super) trait Eight: Lane {
    /// # Safety
    /// Eight values from `x` on.
    unsafe fn load(x: *const Self) -> int16x8_t;
    /// # Safety
    /// As many to `out`; `v` has the offset of zero.
    unsafe fn store(v: [int32x4_t; 2], out: *mut Self);
}

impl Eight for u8 {
    #[inline(always)]
    unsafe fn load(x: *const u8) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x))) }
    }

    #[inline(always)]
    unsafe fn store(v: [int32x4_t; 2], out: *mut u8) {
        // SAFETY: the caller's.
        unsafe { vst1_u8(out, vqmovun_s16(vcombine_s16(vqmovn_s32(v[0]), vqmovn_s32(v[1])))) }
    }
}

impl Eight for i16 {
    #[inline(always)]
    unsafe fn load(x: *const i16) -> int16x8_t {
        // SAFETY: the caller's.
        unsafe { vld1q_s16(x) }
    }

    #[inline(always)]
    unsafe fn store(v: [int32x4_t; 2], out: *mut i16) {
        // SAFETY: the caller's.
        unsafe { vst1q_s16(out, vcombine_s16(vqmovn_s32(v[0]), vqmovn_s32(v[1]))) }
    }
}

/// # Safety
/// Lengths as [`Around::apply`] checks them.
#[target_feature(enable = "neon")]
pub(super) unsafe fn around<L: Eight>(l: &Around, rows: &Rows, x: *const L, from: usize, out: &mut [L]) {
    let c = l.channels;
    for (row, out) in out.chunks_exact_mut(c).enumerate() {
        let near = rows.around(from + row);
        for first in (0..c).step_by(LANES / 2) {
            // SAFETY: channels come in multiples of LANES; `around` gives rows of x, weights have nine rows of channels.
            unsafe {
                let bias = l.bias.as_ptr().add(first);
                let mut sum = [vld1q_s32(bias), vld1q_s32(bias.add(4))];
                for (tap, &near) in near.iter().enumerate() {
                    let (x, w) = (L::load(x.add(near as usize * c + first)), vld1q_s16(l.weights.as_ptr().add(tap * c + first)));
                    sum = [vmlal_s16(sum[0], vget_low_s16(x), vget_low_s16(w)), vmlal_high_s16(sum[1], x, w)];
                }
                let scale = l.scale.as_ptr().add(first);
                // Rounds to nearest even; vdupq: what stands for zero.
                let v = [0, 1].map(|h| {
                    let v = vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sum[h]), vld1q_f32(scale.add(4 * h))));
                    vaddq_s32(v, vdupq_n_s32(L::OFFSET))
                });
                L::store(v, out.as_mut_ptr().add(first));
            }
        }
    }
}

/// Both have the same length.
#[target_feature(enable = "neon")]
pub(super) fn enter(entry: i16, stream: &[i16], out: &mut [u8]) {
    let (s, o) = (stream.chunks_exact(16), out.chunks_exact_mut(16));
    let whole = stream.len() - s.remainder().len();
    for (s, o) in s.zip(o) {
        // SAFETY: 16 values each.
        unsafe {
            let half = |i: usize| vqmovn_s16(vqrdmulhq_n_s16(vld1q_s16(s.as_ptr().add(i)), entry));
            vst1q_u8(o.as_mut_ptr(), veorq_u8(vreinterpretq_u8_s8(vcombine_s8(half(0), half(8))), vdupq_n_u8(128)));
        }
    }
    lane::enter(entry, &stream[whole..], &mut out[whole..]);
}
