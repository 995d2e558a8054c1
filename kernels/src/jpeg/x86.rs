//! Twins of [`blocks`](super::blocks): a vector is eight columns of a block in AVX2, of two blocks in AVX-512.

use super::dct::{HALF, ODD, Quantiser, Sample, butterflies};
use super::zigzag;
use std::arch::x86_64::*;

/// # Safety
/// The processor has AVX2; `lines` has eight lines, `stride` apart, of at least as many blocks as `out` and `coded` have.
#[target_feature(enable = "avx2")]
pub unsafe fn blocks<S: Sample>(lines: &[S], stride: usize, q: &Quantiser, out: &mut [[i16; 64]], coded: &mut [u64]) {
    let sign = _mm256_set1_ps(-0.0);
    let (most, least) = (_mm256_set1_epi16(q.limit), _mm256_set1_epi16(-q.limit));
    for (i, (out, coded)) in out.iter_mut().zip(coded).enumerate() {
        // SAFETY: block i lies within the lines; each of the quantiser's arrays and the block has 64 numbers.
        unsafe {
            let mut v: [__m256; 8] = std::array::from_fn(|y| S::eight(lines.as_ptr().add(y * stride + 8 * i)));
            pass(&mut v);
            v = transposed(v);
            pass(&mut v);
            let levels: [__m256i; 8] = std::array::from_fn(|u| {
                let v = _mm256_mul_ps(v[u], _mm256_loadu_ps(q.factor.as_ptr().add(8 * u)));
                let dead = _mm256_or_ps(_mm256_loadu_ps(q.dead.as_ptr().add(8 * u)), _mm256_and_ps(v, sign));
                _mm256_cvtps_epi32(_mm256_sub_ps(v, dead))
            });
            // Packing works on halves of vectors, which the permutation puts in order again.
            let ordered = |v| _mm256_permute4x64_epi64::<0b11_01_10_00>(v);
            let mut mask = 0;
            for half in 0..2 {
                let [a, b] = [0, 2].map(|u| {
                    let both = ordered(_mm256_packs_epi32(levels[4 * half + u], levels[4 * half + u + 1]));
                    let both = _mm256_max_epi16(_mm256_min_epi16(both, most), least);
                    _mm256_storeu_si256(out.as_mut_ptr().add(32 * half + 8 * u) as *mut __m256i, both);
                    _mm256_cmpgt_epi16(
                        _mm256_loadu_si256(q.least.as_ptr().add(32 * half + 8 * u) as *const __m256i),
                        _mm256_abs_epi16(both),
                    )
                });
                let below = _mm256_movemask_epi8(ordered(_mm256_packs_epi16(a, b))) as u32;
                mask |= (!below as u64) << (32 * half);
            }
            *coded = zigzag(mask);
        }
    }
}

/// As in dct.rs.
#[target_feature(enable = "avx2")]
#[inline]
fn pass(v: &mut [__m256; 8]) {
    let add = |a, b| _mm256_add_ps(a, b);
    let sub = |a, b| _mm256_sub_ps(a, b);
    let mul = |a, k| _mm256_mul_ps(a, _mm256_set1_ps(k));
    butterflies!(v, add, sub, mul);
}

#[target_feature(enable = "avx2")]
#[inline]
fn transposed(v: [__m256; 8]) -> [__m256; 8] {
    let pairs: [__m256; 8] = std::array::from_fn(|i| {
        let (a, b) = (v[i / 2 * 2], v[i / 2 * 2 + 1]);
        if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
    });
    let fours: [__m256; 8] = std::array::from_fn(|i| {
        let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
        if i % 2 == 0 { _mm256_shuffle_ps::<0b01_00_01_00>(a, b) } else { _mm256_shuffle_ps::<0b11_10_11_10>(a, b) }
    });
    std::array::from_fn(|i| {
        let (a, b) = (fours[i % 4], fours[i % 4 + 4]);
        if i < 4 { _mm256_permute2f128_ps::<0x20>(a, b) } else { _mm256_permute2f128_ps::<0x31>(a, b) }
    })
}

/// # Safety
/// As [`blocks`], and the processor has AVX-512 F, BW and VL.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
pub unsafe fn blocks_wide<S: Sample>(lines: &[S], stride: usize, q: &Quantiser, out: &mut [[i16; 64]], coded: &mut [u64]) {
    let pairs = out.len() / 2;
    let (sign, most, least) = (_mm512_set1_epi32(i32::MIN), _mm256_set1_epi16(q.limit), _mm256_set1_epi16(-q.limit));
    // SAFETY: each of the quantiser's arrays has 64 numbers.
    let twice: [[__m512; 8]; 2] = unsafe {
        // As `transposed_pair` leaves them: the first halves of both blocks, then the second ones.
        let of = |v: &[f32; 64], u| _mm512_shuffle_f32x4::<0b01_01_00_00>(whole(v, u), whole(v, u));
        [&q.factor, &q.dead].map(|v| std::array::from_fn(|u| of(v, u)))
    };
    for i in 0..pairs {
        // SAFETY: blocks 2 i and 2 i + 1 lie within the lines.
        unsafe {
            let mut v: [__m512; 8] = std::array::from_fn(|y| S::sixteen(lines.as_ptr().add(y * stride + 16 * i)));
            pass_pair(&mut v);
            v = transposed_pair(v);
            pass_pair(&mut v);
            let mut masks = [0u64; 2];
            for u in 0..8 {
                let v = _mm512_mul_ps(v[u], twice[0][u]);
                let dead = _mm512_or_si512(_mm512_castps_si512(twice[1][u]), _mm512_and_si512(_mm512_castps_si512(v), sign));
                let levels = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_sub_ps(v, _mm512_castsi512_ps(dead))));
                let levels = _mm256_permute4x64_epi64::<0b11_01_10_00>(levels);
                let levels = _mm256_max_epi16(_mm256_min_epi16(levels, most), least);
                _mm_storeu_si128(out[2 * i].as_mut_ptr().add(8 * u) as *mut __m128i, _mm256_castsi256_si128(levels));
                _mm_storeu_si128(out[2 * i + 1].as_mut_ptr().add(8 * u) as *mut __m128i, _mm256_extracti128_si256::<1>(levels));
                let needed = _mm_loadu_si128(q.least.as_ptr().add(8 * u) as *const __m128i);
                let above = _mm256_cmpge_epi16_mask(_mm256_abs_epi16(levels), _mm256_set_m128i(needed, needed)) as u64;
                masks[0] |= (above & 255) << (8 * u);
                masks[1] |= (above >> 8) << (8 * u);
            }
            (coded[2 * i], coded[2 * i + 1]) = (zigzag(masks[0]), zigzag(masks[1]));
        }
    }
    // SAFETY: the caller's; what is left are the last blocks of the lines.
    unsafe { blocks(&lines[16 * pairs..], stride, q, &mut out[2 * pairs..], &mut coded[2 * pairs..]) }
}

/// # Safety
/// The processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn whole(v: &[f32; 64], u: usize) -> __m512 {
    // SAFETY: eight numbers from 8 u on; the upper half repeats none of them, it is 0.
    unsafe { _mm512_zextps256_ps512(_mm256_loadu_ps(v[8 * u..8 * u + 8].as_ptr())) }
}

/// As [`pass`], of two blocks.
#[target_feature(enable = "avx512f")]
#[inline]
fn pass_pair(v: &mut [__m512; 8]) {
    let add = |a, b| _mm512_add_ps(a, b);
    let sub = |a, b| _mm512_sub_ps(a, b);
    let mul = |a, k| _mm512_mul_ps(a, _mm512_set1_ps(k));
    butterflies!(v, add, sub, mul);
}

/// Each half transposed; of the result the quarters are the first halves of both blocks' rows, then the second ones.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed_pair(v: [__m512; 8]) -> [__m512; 8] {
    let pairs: [__m512; 8] = std::array::from_fn(|i| {
        let (a, b) = (v[i / 2 * 2], v[i / 2 * 2 + 1]);
        if i % 2 == 0 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
    });
    let fours: [__m512; 8] = std::array::from_fn(|i| {
        let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
        if i % 2 == 0 { _mm512_shuffle_ps::<0b01_00_01_00>(a, b) } else { _mm512_shuffle_ps::<0b11_10_11_10>(a, b) }
    });
    std::array::from_fn(|i| {
        let (a, b) = (fours[i % 4], fours[i % 4 + 4]);
        if i < 4 { _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b) } else { _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b) }
    })
}
