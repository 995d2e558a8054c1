//! AVX2 twins of interpolation and of block differences.

use super::interpolate::{Filtered, ROWS};
use super::rows::Rows;
use std::arch::x86_64::*;

#[inline]
#[target_feature(enable = "avx2")]
fn load(s: &[u8; 16]) -> __m128i {
    // SAFETY: s is 16 bytes.
    unsafe { _mm_loadu_si128(s.as_ptr().cast()) }
}

/// Two vectors side by side.
#[inline]
#[target_feature(enable = "avx2")]
fn join(a: &[u8; 16], b: &[u8; 16]) -> __m256i {
    _mm256_inserti128_si256(_mm256_castsi128_si256(load(a)), load(b), 1)
}

/// Lane 0 of every register is the first side, lane 1 the second.
#[target_feature(enable = "avx2")]
pub(super) fn interpolate<const TAPS: usize>(sides: &[Filtered<TAPS>; 2], out: &mut [[u8; 16]]) {
    let [a, b] = sides;
    let lanes = |a: i32, b: i32| _mm256_set_m128i(_mm_set1_epi32(b), _mm_set1_epi32(a));
    let pair8 = |t: &[i8; TAPS], k: usize| (u16::from_le_bytes([t[2 * k] as u8, t[2 * k + 1] as u8]) as u32 * 0x10001) as i32;
    let pair16 = |t: &[i8; TAPS], k: usize| t[2 * k] as u16 as i32 | (t[2 * k + 1] as i32) << 16;
    let (mut across, mut down, mut places) = ([_mm256_setzero_si256(); 4], [_mm256_setzero_si256(); 4], [_mm256_setzero_si256(); 4]);
    let neighbours = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8));
    for k in 0..TAPS / 2 {
        across[k] = lanes(pair8(&a.across, k), pair8(&b.across, k));
        down[k] = lanes(pair16(&a.down, k), pair16(&b.down, k));
        places[k] = _mm256_add_epi8(neighbours, _mm256_set1_epi8(2 * k as i8));
    }
    // No pair of taps times two bytes leaves int16, so that maddubs never saturates.
    let mut t = [_mm256_setzero_si256(); ROWS];
    for (r, t) in t[..out.len() + TAPS - 1].iter_mut().enumerate() {
        let s = join(a.window.row(r), b.window.row(r));
        let mut sum = _mm256_setzero_si256();
        for k in 0..TAPS / 2 {
            sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_shuffle_epi8(s, places[k]), across[k]));
        }
        *t = sum;
    }
    for (r, out) in out.iter_mut().enumerate() {
        let t: &[__m256i; TAPS] = t[r..].first_chunk().expect("TAPS - 1 more rows than out");
        let (mut low, mut high) = (_mm256_set1_epi32(2048), _mm256_set1_epi32(2048));
        for k in 0..TAPS / 2 {
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(t[2 * k], t[2 * k + 1]), down[k]));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(t[2 * k], t[2 * k + 1]), down[k]));
        }
        let s = _mm256_packs_epi32(_mm256_srai_epi32::<12>(low), _mm256_srai_epi32::<12>(high));
        let s = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi16(s, s));
        // SAFETY: out is 16 bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm256_castsi256_si128(s)) };
    }
}

/// Sum of the four 64-bit sums of `sad_epu8`.
#[inline]
#[target_feature(enable = "avx2")]
fn total(s: __m256i) -> u32 {
    let s = _mm_add_epi64(_mm256_castsi256_si128(s), _mm256_extracti128_si256::<1>(s));
    (_mm_cvtsi128_si32(s) + _mm_extract_epi32::<2>(s)) as u32
}

/// Sum of eight 32-bit sums.
#[inline]
#[target_feature(enable = "avx2")]
fn total32(s: __m256i) -> u32 {
    let s = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256::<1>(s));
    let s = _mm_add_epi32(s, _mm_shuffle_epi32::<0b1110>(s));
    (_mm_cvtsi128_si32(s) + _mm_extract_epi32::<1>(s)) as u32
}

/// Eight rows of `a` against the rounded-up mean of `b` and `c`.
#[target_feature(enable = "avx2")]
pub(super) fn sad8(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<8>::new(a, a_stride), Rows::<8>::new(b, stride), Rows::<8>::new(c, stride));
    let mut sum = _mm256_setzero_si256();
    for r in (0..8).step_by(2) {
        let mean = _mm256_avg_epu8(join(b.row(r), b.row(r + 1)), join(c.row(r), c.row(r + 1)));
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(join(a.row(r), a.row(r + 1)), mean));
    }
    total(sum)
}

/// 16x16 samples of `a` against the rounded-up mean of `b` and `c`: sum of squared differences.
#[target_feature(enable = "avx2")]
pub(super) fn mean_sse16(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<16>::new(a, a_stride), Rows::<16>::new(b, stride), Rows::<16>::new(c, stride));
    let mut sum = _mm256_setzero_si256();
    for r in 0..16 {
        let mean = _mm256_cvtepu8_epi16(_mm_avg_epu8(load(b.row(r)), load(c.row(r))));
        let d = _mm256_sub_epi16(_mm256_cvtepu8_epi16(load(a.row(r))), mean);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(d, d));
    }
    total32(sum)
}

/// Four rows of 8 samples from row `r` on.
#[inline]
#[target_feature(enable = "avx2")]
fn join4(rows: &Rows<8, 8>, r: usize) -> __m256i {
    let row = |i: usize| i64::from_le_bytes(*rows.row(r + i));
    _mm256_set_epi64x(row(3), row(2), row(1), row(0))
}

/// 8x8 samples of `a` against the rounded-up mean of `b` and `c`: sum of absolute differences.
#[target_feature(enable = "avx2")]
pub(super) fn quarter_sad(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<8, 8>::new(a, a_stride), Rows::<8, 8>::new(b, stride), Rows::<8, 8>::new(c, stride));
    let part = |r: usize| _mm256_sad_epu8(join4(&a, r), _mm256_avg_epu8(join4(&b, r), join4(&c, r)));
    total(_mm256_add_epi64(part(0), part(4)))
}

/// The same, squared.
#[target_feature(enable = "avx2")]
pub(super) fn quarter_sse(a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    let (a, b, c) = (Rows::<8, 8>::new(a, a_stride), Rows::<8, 8>::new(b, stride), Rows::<8, 8>::new(c, stride));
    let zero = _mm256_setzero_si256();
    let mut sum = zero;
    for r in [0, 4] {
        let (a, mean) = (join4(&a, r), _mm256_avg_epu8(join4(&b, r), join4(&c, r)));
        let low = _mm256_sub_epi16(_mm256_unpacklo_epi8(a, zero), _mm256_unpacklo_epi8(mean, zero));
        let high = _mm256_sub_epi16(_mm256_unpackhi_epi8(a, zero), _mm256_unpackhi_epi8(mean, zero));
        sum = _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high)));
    }
    total32(sum)
}
