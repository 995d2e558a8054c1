//! AVX2, AVX-VNNI and AVX-512 VNNI twins of [`Projection::row`](super::projection::Projection::row): lanes are outputs.

use super::projection::{BLOCK, Band, Projection};
use std::arch::x86_64::*;

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `band` and `out` are as `Projection::row` makes them.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn vnni(p: &Projection, band: &Band, out: &mut [i32]) {
    // SAFETY: the caller's. As many patches at once as leave registers for their sums.
    unsafe {
        match band.blocks {
            1 => vnni_blocks::<1, 8>(p, band, out),
            2 => vnni_blocks::<2, 8>(p, band, out),
            3 => vnni_blocks::<3, 8>(p, band, out),
            4 => vnni_blocks::<4, 6>(p, band, out),
            blocks => {
                // Half the weights at a time stay in the first cache.
                vnni_blocks::<3, 8>(p, band, out);
                vnni_some(p, band, out, 3, blocks - 3);
            }
        }
    }
}

/// # Safety
/// As [`vnni`], and `first + n` blocks are within the projection.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn vnni_some(p: &Projection, band: &Band, out: &mut [i32], first: usize, n: usize) {
    // SAFETY: the caller's.
    unsafe {
        match n {
            2 => vnni_from::<2, 8>(p, band, out, first),
            3 => vnni_from::<3, 8>(p, band, out, first),
            _ => unreachable!("more blocks than a pack has"),
        }
    }
}

/// # Safety
/// As [`vnni`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn vnni_blocks<const B: usize, const PATCHES: usize>(p: &Projection, band: &Band, out: &mut [i32]) {
    // SAFETY: the caller's.
    unsafe { vnni_from::<B, PATCHES>(p, band, out, 0) }
}

/// B blocks from `block` on.
///
/// # Safety
/// As [`vnni`]; block + B blocks are within the projection.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn vnni_from<const B: usize, const PATCHES: usize>(p: &Projection, band: &Band, out: &mut [i32], block: usize) {
    let (size, step, planes, outputs, packed) = p.shape();
    let mut first = 0;
    while first < band.columns {
        let n = PATCHES.min(band.columns - first);
        let mut sum = [[_mm512_setzero_si512(); B]; PATCHES];
        // SAFETY: patch first + i lies in the band for i < n, and i is cut to n - 1; a line has size / 4 groups of taps with
        // outputs * 4 weights each.
        unsafe {
            let at: [*const u8; PATCHES] = std::array::from_fn(|i| band.samples.as_ptr().add((first + i.min(n - 1)) * step));
            let mut w = packed.as_ptr().add(64 * block);
            for line in 0..planes * size {
                for k in 0..size / 4 {
                    let weights: [__m512i; B] = std::array::from_fn(|b| _mm512_loadu_si512(w.add(64 * b) as *const __m512i));
                    for (sum, at) in sum.iter_mut().zip(at) {
                        let four = _mm512_set1_epi32((at.add(line * band.width + 4 * k) as *const i32).read_unaligned());
                        for (sum, weights) in sum.iter_mut().zip(weights) {
                            *sum = _mm512_dpbusd_epi32(*sum, four, weights);
                        }
                    }
                    w = w.add(4 * outputs);
                }
            }
            for (i, sum) in sum.iter().enumerate().take(n) {
                for (b, &sum) in sum.iter().enumerate() {
                    _mm512_storeu_si512(out.as_mut_ptr().add((first + i) * outputs + (block + b) * BLOCK) as *mut __m512i, sum);
                }
            }
        }
        first += n;
    }
}

/// # Safety
/// The processor has AVX-VNNI; `band` and `out` are as `Projection::row` makes them.
#[target_feature(enable = "avx2,avxvnni")]
pub(crate) unsafe fn avxvnni(p: &Projection, band: &Band, out: &mut [i32]) {
    let (size, step, planes, _, packed) = p.shape();
    // SAFETY: the caller's; a line has size / 4 groups of taps. dpbusd takes u8 and i8 in this order and does not saturate.
    unsafe {
        let samples = |x: usize, line: usize, k: usize| {
            (band.samples.as_ptr().add(x * step + line * band.width + 4 * k) as *const i32).read_unaligned()
        };
        let dot = |sum, four, w| _mm256_dpbusd_avx_epi32(sum, four, w);
        narrow(p, band, out, packed.as_ptr() as *const __m256i, (planes * size, size / 4), samples, dot)
    }
}

/// # Safety
/// The processor has AVX2; `band` and `out` are as `Projection::row` makes them, `wide` the band's samples.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn avx2(p: &Projection, band: &Band, wide: &[i16], out: &mut [i32]) {
    let (size, step, planes, ..) = p.shape();
    // SAFETY: the caller's; a line has size / 2 pairs of taps.
    unsafe {
        let samples =
            |x: usize, line: usize, k: usize| (wide.as_ptr().add(x * step + line * band.width + 2 * k) as *const i32).read_unaligned();
        let dot = |sum, pair, w| _mm256_add_epi32(sum, _mm256_madd_epi16(pair, w));
        narrow(p, band, out, p.wide().as_ptr() as *const __m256i, (planes * size, size / 2), samples, dot)
    }
}

/// A block by four patches at a time. `lines`, and in each so many steps of 64 bytes of weights a block; `samples`: those of patch x, a
/// line and a step.
///
/// # Safety
/// The processor has AVX2; `band` and `out` are as `Projection::row` makes them, and weights and samples as large.
#[inline(always)]
unsafe fn narrow(
    p: &Projection,
    band: &Band,
    out: &mut [i32],
    weights: *const __m256i,
    (lines, steps): (usize, usize),
    samples: impl Fn(usize, usize, usize) -> i32,
    dot: impl Fn(__m256i, __m256i, __m256i) -> __m256i,
) {
    const PATCHES: usize = 4;
    let (_, _, _, outputs, _) = p.shape();
    // Block by block: its weights stay in the cache.
    for b in 0..band.blocks {
        let mut first = 0;
        while first < band.columns {
            let n = PATCHES.min(band.columns - first);
            // SAFETY: patch first + i lies in the band for i < n, and i is cut to n - 1.
            unsafe {
                let mut sum = [[_mm256_setzero_si256(); 2]; PATCHES];
                let at: [usize; PATCHES] = std::array::from_fn(|i| first + i.min(n - 1));
                let mut w = weights.add(2 * b);
                for line in 0..lines {
                    for k in 0..steps {
                        let (w0, w1) = (_mm256_loadu_si256(w), _mm256_loadu_si256(w.add(1)));
                        for (sum, at) in sum.iter_mut().zip(at) {
                            let some = _mm256_set1_epi32(samples(at, line, k));
                            *sum = [dot(sum[0], some, w0), dot(sum[1], some, w1)];
                        }
                        w = w.add(2 * (outputs / BLOCK));
                    }
                }
                for (i, sum) in sum.iter().enumerate().take(n) {
                    let to = out.as_mut_ptr().add((first + i) * outputs + b * BLOCK);
                    _mm256_storeu_si256(to as *mut __m256i, sum[0]);
                    _mm256_storeu_si256(to.add(8) as *mut __m256i, sum[1]);
                }
            }
            first += n;
        }
    }
}

/// Sums of pairs times weights `[32][16][2]`.
///
/// # Safety
/// The processor has AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn products_vnni(w: &[i16], around: &[i16; 64]) -> [i32; 16] {
    assert!(w.len() == 1024);
    let mut sum = [_mm512_setzero_si512(); 4];
    let mut out = [0; 16];
    // SAFETY: 32 pairs of the 64 values, 32 weights each; out is 64 bytes.
    unsafe {
        for k in 0..32 {
            let pair = _mm512_set1_epi32((around.as_ptr().add(2 * k) as *const i32).read_unaligned());
            sum[k % 4] = _mm512_dpwssd_epi32(sum[k % 4], pair, _mm512_loadu_si512(w.as_ptr().add(32 * k) as *const __m512i));
        }
        let total = _mm512_add_epi32(_mm512_add_epi32(sum[0], sum[1]), _mm512_add_epi32(sum[2], sum[3]));
        _mm512_storeu_si512(out.as_mut_ptr() as *mut __m512i, total);
    }
    out
}

/// As [`products_vnni`].
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn products_avx2(w: &[i16], around: &[i16; 64]) -> [i32; 16] {
    assert!(w.len() == 1024);
    let mut sum = [_mm256_setzero_si256(); 2];
    let mut out = [0; 16];
    // SAFETY: as in products_vnni.
    unsafe {
        for k in 0..32 {
            let pair = _mm256_set1_epi32((around.as_ptr().add(2 * k) as *const i32).read_unaligned());
            for (i, sum) in sum.iter_mut().enumerate() {
                let w = _mm256_loadu_si256(w.as_ptr().add(32 * k + 16 * i) as *const __m256i);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, w));
            }
        }
        for (i, &sum) in sum.iter().enumerate() {
            _mm256_storeu_si256(out.as_mut_ptr().add(8 * i) as *mut __m256i, sum);
        }
    }
    out
}
