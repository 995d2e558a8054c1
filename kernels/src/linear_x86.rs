//! AVX2 and AVX-512 VNNI twins of [`Linear`](crate::Linear).

use crate::linear::{BLOCK, Linear};
use std::arch::x86_64::*;

/// Rows computed together: enough independent sums to hide the latency of the multiply-add.
const ROWS: usize = 4;

/// # Safety
/// The processor has AVX2; `x` holds whole rows and `out` as many.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn avx2(l: &Linear, x: &[i16], bias: &[i32], out: &mut [i16]) {
    let rows = x.len() / l.inputs;
    let mut r = 0;
    while r < rows {
        let n = ROWS.min(rows - r);
        for b in 0..l.outputs / BLOCK {
            let mut sum = [[_mm256_setzero_si256(); 2]; ROWS];
            // SAFETY: block b spans inputs * BLOCK weights; row r + i is whole for i < n, and i is cut to n - 1.
            unsafe {
                let w = l.packed.as_ptr().add(b * l.inputs * BLOCK) as *const __m256i;
                let row: [*const i32; ROWS] = std::array::from_fn(|i| x.as_ptr().add((r + i.min(n - 1)) * l.inputs) as *const i32);
                for k in 0..l.inputs / 2 {
                    let (w0, w1) = (_mm256_loadu_si256(w.add(2 * k)), _mm256_loadu_si256(w.add(2 * k + 1)));
                    for i in 0..ROWS {
                        let v = _mm256_set1_epi32(row[i].add(k).read_unaligned());
                        sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(v, w0));
                        sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(v, w1));
                    }
                }
            }
            for i in 0..n {
                let mut s = [0i32; BLOCK];
                // SAFETY: s is 64 bytes.
                unsafe {
                    _mm256_storeu_si256(s.as_mut_ptr() as *mut __m256i, sum[i][0]);
                    _mm256_storeu_si256(s.as_mut_ptr().add(8) as *mut __m256i, sum[i][1]);
                }
                l.finish(b, &s, bias, &mut out[(r + i) * l.outputs + b * BLOCK..][..BLOCK]);
            }
        }
        r += n;
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `x` holds whole rows and `out` as many.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn vnni(l: &Linear, x: &[i16], bias: &[i32], out: &mut [i16]) {
    const ROWS: usize = 8;
    let rows = x.len() / l.inputs;
    let mut r = 0;
    while r < rows {
        let n = ROWS.min(rows - r);
        for b in 0..l.outputs / BLOCK {
            let mut sum = [_mm512_setzero_si512(); ROWS];
            // SAFETY: as in avx2.
            unsafe {
                let w = l.packed.as_ptr().add(b * l.inputs * BLOCK) as *const __m512i;
                let row: [*const i32; ROWS] = std::array::from_fn(|i| x.as_ptr().add((r + i.min(n - 1)) * l.inputs) as *const i32);
                for k in 0..l.inputs / 2 {
                    let w = _mm512_loadu_si512(w.add(k));
                    for i in 0..ROWS {
                        // dpwssd does not saturate: it is the same sum of products as madd and add.
                        sum[i] = _mm512_dpwssd_epi32(sum[i], _mm512_set1_epi32(row[i].add(k).read_unaligned()), w);
                    }
                }
            }
            for i in 0..n {
                let mut s = [0i32; BLOCK];
                // SAFETY: s is 64 bytes.
                unsafe { _mm512_storeu_si512(s.as_mut_ptr() as *mut __m512i, sum[i]) };
                l.finish(b, &s, bias, &mut out[(r + i) * l.outputs + b * BLOCK..][..BLOCK]);
            }
        }
        r += n;
    }
}
