//! AVX2 and AVX-512 VNNI twins of [`Linear`](crate::Linear).

use crate::linear::{BLOCK, Linear};
use std::arch::x86_64::*;

/// # Safety
/// The processor has AVX2; `x` holds whole rows and `out` as many.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn avx2(l: &Linear, x: &[i16], bias: &[i32], out: &mut [i16]) {
    // Rows computed together: enough independent sums to hide the latency of the multiply-add.
    const ROWS: usize = 4;
    let rows = x.len() / l.inputs;
    // The weights of a block stay in the nearest cache while all rows pass.
    for b in 0..l.outputs / BLOCK {
        for r in (0..rows).step_by(ROWS) {
            let n = ROWS.min(rows - r);
            // SAFETY: block b spans inputs * BLOCK weights and BLOCK of bias, round and shift; row r + i is whole for i < n, and i is cut to
            // n - 1; out has BLOCK values from there.
            unsafe {
                let w = l.packed.as_ptr().add(b * l.inputs * BLOCK) as *const __m256i;
                let row: [*const i32; ROWS] = std::array::from_fn(|i| x.as_ptr().add((r + i.min(n - 1)) * l.inputs) as *const i32);
                let of_block = |v: &[i32]| -> [__m256i; 2] {
                    let p = v.as_ptr().add(b * BLOCK) as *const __m256i;
                    [_mm256_loadu_si256(p), _mm256_loadu_si256(p.add(1))]
                };
                let (bias, round, shift) = (of_block(bias), of_block(&l.round), of_block(&l.shift));
                let mut sum = [[_mm256_add_epi32(bias[0], round[0]), _mm256_add_epi32(bias[1], round[1])]; ROWS];
                for k in 0..l.inputs / 2 {
                    let (w0, w1) = (_mm256_loadu_si256(w.add(2 * k)), _mm256_loadu_si256(w.add(2 * k + 1)));
                    for i in 0..ROWS {
                        let v = _mm256_set1_epi32(row[i].add(k).read_unaligned());
                        sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(v, w0));
                        sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(v, w1));
                    }
                }
                for (i, sum) in sum.into_iter().enumerate().take(n) {
                    let shifted = |h: usize| _mm256_srav_epi32(sum[h], shift[h]);
                    // Packing saturates, within halves: put them in order again. -32768 is clamped as well.
                    let v = _mm256_permute4x64_epi64::<0b11011000>(_mm256_packs_epi32(shifted(0), shifted(1)));
                    let v = _mm256_max_epi16(v, _mm256_set1_epi16(-32767));
                    let v = if l.leaky { _mm256_max_epi16(v, _mm256_srai_epi16::<3>(v)) } else { v };
                    _mm256_storeu_si256(out.as_mut_ptr().add((r + i) * l.outputs + b * BLOCK) as *mut __m256i, v);
                }
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `x` holds whole rows and `out` as many.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn vnni(l: &Linear, x: &[i16], bias: &[i32], out: &mut [i16]) {
    // SAFETY: the caller's.
    unsafe {
        // Sums of 24 registers; more of them for a load of weights or of activations with two blocks.
        if (l.outputs / BLOCK).is_multiple_of(2) { tiles::<12, 2>(l, x, bias, out) } else { tiles::<16, 1>(l, x, bias, out) }
    }
}

/// R rows times C blocks at a time.
///
/// # Safety
/// As [`vnni`]; C divides the number of blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tiles<const R: usize, const C: usize>(l: &Linear, x: &[i16], bias: &[i32], out: &mut [i16]) {
    let rows = x.len() / l.inputs;
    for b in (0..l.outputs / BLOCK).step_by(C) {
        for r in (0..rows).step_by(R) {
            let n = R.min(rows - r);
            // SAFETY: as in avx2, with C blocks from b.
            unsafe {
                let w: [*const __m512i; C] = std::array::from_fn(|c| l.packed.as_ptr().add((b + c) * l.inputs * BLOCK) as *const __m512i);
                let row: [*const i32; R] = std::array::from_fn(|i| x.as_ptr().add((r + i.min(n - 1)) * l.inputs) as *const i32);
                let of_block = |v: &[i32], c: usize| _mm512_loadu_si512(v.as_ptr().add((b + c) * BLOCK) as *const __m512i);
                let first: [__m512i; C] = std::array::from_fn(|c| _mm512_add_epi32(of_block(bias, c), of_block(&l.round, c)));
                let mut sum = [first; R];
                for k in 0..l.inputs / 2 {
                    let w: [__m512i; C] = std::array::from_fn(|c| _mm512_loadu_si512(w[c].add(k)));
                    for i in 0..R {
                        let v = _mm512_set1_epi32(row[i].add(k).read_unaligned());
                        for c in 0..C {
                            // dpwssd does not saturate: it is the same sum of products as madd and add.
                            sum[i][c] = _mm512_dpwssd_epi32(sum[i][c], v, w[c]);
                        }
                    }
                }
                // Not cut short with take(n): the sums would leave their registers.
                for (i, sums) in sum.into_iter().enumerate() {
                    if i < n {
                        for (c, s) in sums.into_iter().enumerate() {
                            let v = _mm512_cvtsepi32_epi16(_mm512_srav_epi32(s, of_block(&l.shift, c)));
                            let v = _mm256_max_epi16(v, _mm256_set1_epi16(-32767));
                            let v = if l.leaky { _mm256_max_epi16(v, _mm256_srai_epi16::<3>(v)) } else { v };
                            _mm256_storeu_si256(out.as_mut_ptr().add((r + i) * l.outputs + (b + c) * BLOCK) as *mut __m256i, v);
                        }
                    }
                }
            }
        }
    }
}
