//! AVX2 and AVX-512 VNNI twins of the integer networks' layers.

use super::around::{Around, GROUP, LANES};
use super::chains::LANES as LANES_256;
use super::matrix::{BLOCK, In, Matrix, Out};
use super::{Lane, Rows, SLOPE, ZERO_LEAKY, lane};
use std::arch::x86_64::*;

/// A twin in registers of 256 bits: `$bytes` and `$words` add the products of four bytes or two int16 to a sum.
macro_rules! twin_256 {
    ($name:ident, $features:literal, $bytes:expr, $words:expr) => {
        /// # Safety
        /// The processor has the features; `x` and `out` hold `rows` rows, of the kind that the layer takes.
        #[target_feature(enable = $features)]
        pub(crate) unsafe fn $name(l: &Matrix, x: In, rows: usize, mut out: Out) {
            const ROWS: usize = 4;
            let (from, wide) = bytes(x);
            let (stride, k) = (l.inputs << wide as usize, l.packed.len() / l.outputs);
            for r in (0..rows).step_by(ROWS) {
                let n = ROWS.min(rows - r);
                for b in 0..l.outputs / BLOCK {
                    // SAFETY: block b spans k * BLOCK words of the weights and BLOCK of the bias; row r + i is whole for i < n, and i is
                    // cut to n - 1.
                    let sums = unsafe {
                        let w = l.packed.as_ptr().add(b * k * BLOCK) as *const __m256i;
                        let bias = l.bias.as_ptr().add(b * BLOCK) as *const __m256i;
                        let row: [*const i32; ROWS] = std::array::from_fn(|i| from.add((r + i.min(n - 1)) * stride) as *const i32);
                        let mut sum = [[_mm256_loadu_si256(bias), _mm256_loadu_si256(bias.add(1))]; ROWS];
                        for k in 0..k {
                            let w = [_mm256_loadu_si256(w.add(2 * k)), _mm256_loadu_si256(w.add(2 * k + 1))];
                            for i in 0..ROWS {
                                let v = _mm256_set1_epi32(row[i].add(k).read_unaligned());
                                for h in 0..2 {
                                    sum[i][h] = if wide { $words(sum[i][h], v, w[h]) } else { $bytes(sum[i][h], v, w[h]) };
                                }
                            }
                        }
                        sum
                    };
                    for (i, s) in sums.into_iter().enumerate().take(n) {
                        // SAFETY: a block of scales, and of outputs in row r + i.
                        unsafe { store_256(s, l.scale.as_ptr().add(b * BLOCK), &mut out, (r + i) * l.outputs + b * BLOCK) };
                    }
                }
            }
        }
    };
}

twin_256!(avx2_words, "avx2", |_, _, _| unreachable!("words only"), |s, v, w| _mm256_add_epi32(s, _mm256_madd_epi16(v, w)));
twin_256!(avx_vnni, "avx2,avxvnni", |s, v, w| _mm256_dpbusd_avx_epi32(s, v, w), |s, v, w| _mm256_dpwssd_avx_epi32(s, v, w));

/// # Safety
/// The processor has AVX2; `x` and `out` hold `rows` rows, of the kind that the layer takes.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn avx2(l: &Matrix, x: In, rows: usize, mut out: Out) {
    // With more, their sums and the weights of a chain do not fit the 16 registers.
    const ROWS: usize = 6;
    let In::Bytes(x) = x else {
        // SAFETY: the caller's.
        return unsafe { avx2_words(l, x, rows, out) };
    };
    let k = l.inputs / 4;
    for r in (0..rows).step_by(ROWS) {
        let n = ROWS.min(rows - r);
        for (b, counts) in l.chains.counts.iter().enumerate() {
            // SAFETY: eight outputs have k times four inputs and as many weights of eight lanes; row r + i is whole for i < n, and i is cut to
            // n - 1.
            let sums = unsafe {
                let mut inputs = l.chains.inputs.as_ptr().add(b * k);
                let mut w = l.chains.weights.as_ptr().add(b * k * LANES_256) as *const __m256i;
                let row: [*const i32; ROWS] = std::array::from_fn(|i| x.as_ptr().add((r + i.min(n - 1)) * l.inputs) as *const i32);
                let mut sum = [_mm256_loadu_si256(l.bias.as_ptr().add(b * LANES_256) as *const __m256i); ROWS];
                chains::<ROWS, 4>(&row, &mut sum, counts[3], &mut inputs, &mut w);
                chains::<ROWS, 3>(&row, &mut sum, counts[2], &mut inputs, &mut w);
                chains::<ROWS, 2>(&row, &mut sum, counts[1], &mut inputs, &mut w);
                chains::<ROWS, 1>(&row, &mut sum, counts[0], &mut inputs, &mut w);
                sum
            };
            for (i, s) in sums.into_iter().enumerate() {
                if i < n {
                    // SAFETY: eight scales, and outputs in row r + i.
                    unsafe { store_128(s, l.scale.as_ptr().add(b * LANES_256), &mut out, (r + i) * l.outputs + b * LANES_256) };
                }
            }
        }
    }
}

/// Adds `count` chains of N sums of two products each to a sum for each row.
///
/// # Safety
/// The processor has AVX2; there are as many inputs and weights, and the rows have these inputs.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn chains<const ROWS: usize, const N: usize>(
    row: &[*const i32; ROWS],
    sum: &mut [__m256i; ROWS],
    count: u32,
    inputs: &mut *const u32,
    weights: &mut *const __m256i,
) {
    let ones = _mm256_set1_epi16(1);
    for _ in 0..count {
        // SAFETY: the caller's.
        unsafe {
            let at: [usize; N] = std::array::from_fn(|j| *inputs.add(j) as usize);
            let w: [__m256i; N] = std::array::from_fn(|j| _mm256_loadu_si256(weights.add(j)));
            for (row, sum) in row.iter().zip(sum.iter_mut()) {
                let two = |j: usize| _mm256_maddubs_epi16(_mm256_set1_epi32(row.add(at[j]).read_unaligned()), w[j]);
                // No part of it leaves int16: Chains::new saw to that.
                let mut words = two(0);
                for j in 1..N {
                    words = _mm256_add_epi16(words, two(j));
                }
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(words, ones));
            }
            (*inputs, *weights) = (inputs.add(N), weights.add(N));
        }
    }
}

/// What [`finish`](super::matrix::finish) does, of eight outputs.
///
/// # Safety
/// The processor has AVX2; `scale` and `out` have eight values, `out` from `at`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_128(sum: __m256i, scale: *const f32, out: &mut Out, at: usize) {
    // SAFETY: eight scales; eight outputs of each type's size from `at`.
    unsafe {
        let v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale));
        let leaky = |v: __m256| _mm256_max_ps(v, _mm256_mul_ps(v, _mm256_set1_ps(SLOPE)));
        let rounded = |v: __m256| _mm256_cvttps_epi32(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v));
        let words = |v: __m256i| _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let to_words = |o: &mut [i16], v| _mm_storeu_si128(o.as_mut_ptr().add(at) as *mut __m128i, v);
        let to_bytes = |o: &mut [u8], v| _mm_storel_epi64(o.as_mut_ptr().add(at) as *mut __m128i, _mm_packus_epi16(v, v));
        match out {
            Out::Leaky(o) => to_bytes(o, words(_mm256_add_epi32(rounded(leaky(v)), _mm256_set1_epi32(ZERO_LEAKY as i32)))),
            Out::LeakyWords(o) => to_words(o, words(rounded(leaky(v)))),
            Out::Add(o) => {
                let old = _mm256_cvtepi16_epi32(_mm_loadu_si128(o.as_ptr().add(at) as *const __m128i));
                to_words(o, words(_mm256_add_epi32(rounded(v), old)));
            }
            Out::Words(o) => to_words(o, words(rounded(v))),
            Out::Codes(o) => to_bytes(o, words(rounded(v))),
            Out::Floats(o) => _mm256_storeu_ps(o.as_mut_ptr().add(at), v),
        }
    }
}

/// What [`finish`](super::matrix::finish) does.
///
/// # Safety
/// The processor has AVX2; `scale` and `out` have BLOCK values, `out` from `at`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_256(sum: [__m256i; 2], scale: *const f32, out: &mut Out, at: usize) {
    // SAFETY: 16 scales; 16 outputs of each type's size from `at`.
    unsafe {
        let v: [__m256; 2] = std::array::from_fn(|h| _mm256_mul_ps(_mm256_cvtepi32_ps(sum[h]), _mm256_loadu_ps(scale.add(8 * h))));
        let leaky = |v: __m256| _mm256_max_ps(v, _mm256_mul_ps(v, _mm256_set1_ps(SLOPE)));
        let rounded = |v: __m256| _mm256_cvttps_epi32(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v));
        // Packing works within halves: put them in order again.
        let words = |a, b| _mm256_permute4x64_epi64::<0b11011000>(_mm256_packs_epi32(a, b));
        let to_words = |o: &mut [i16], v| _mm256_storeu_si256(o.as_mut_ptr().add(at) as *mut __m256i, v);
        let to_bytes = |o: &mut [u8], v| {
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            _mm_storeu_si128(o.as_mut_ptr().add(at) as *mut __m128i, bytes)
        };
        match out {
            Out::Leaky(o) => {
                let [a, b] = v.map(|v| _mm256_add_epi32(rounded(leaky(v)), _mm256_set1_epi32(ZERO_LEAKY as i32)));
                to_bytes(o, words(a, b));
            }
            Out::LeakyWords(o) => to_words(o, words(rounded(leaky(v[0])), rounded(leaky(v[1])))),
            Out::Add(o) => {
                let p = o.as_ptr().add(at) as *const __m128i;
                let old = |h| _mm256_cvtepi16_epi32(_mm_loadu_si128(p.add(h)));
                to_words(o, words(_mm256_add_epi32(rounded(v[0]), old(0)), _mm256_add_epi32(rounded(v[1]), old(1))));
            }
            Out::Words(o) => to_words(o, words(rounded(v[0]), rounded(v[1]))),
            Out::Codes(o) => to_bytes(o, words(rounded(v[0]), rounded(v[1]))),
            Out::Floats(o) => (0..2).for_each(|h| _mm256_storeu_ps(o.as_mut_ptr().add(at + 8 * h), v[h])),
        }
    }
}

fn bytes(x: In) -> (*const u8, bool) {
    match x {
        In::Bytes(x) => (x.as_ptr(), false),
        In::Words(x) => (x.as_ptr() as *const u8, true),
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `x` and `out` hold `rows` rows, of the kind that the layer takes.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn vnni(l: &Matrix, x: In, rows: usize, out: Out) {
    let (from, wide) = bytes(x);
    let blocks = l.outputs / BLOCK;
    // Sums of 24 registers hide the latency of the multiply-add.
    // SAFETY: the caller's.
    unsafe {
        match (wide, blocks % 4, blocks % 3) {
            (false, 0, _) => tiles::<6, 4, false>(l, from, rows, out),
            (true, 0, _) => tiles::<6, 4, true>(l, from, rows, out),
            (false, _, 0) => tiles::<8, 3, false>(l, from, rows, out),
            (true, _, 0) => tiles::<8, 3, true>(l, from, rows, out),
            (false, ..) => tiles::<12, 1, false>(l, from, rows, out),
            (true, ..) => tiles::<12, 1, true>(l, from, rows, out),
        }
    }
}

/// R rows times C blocks at a time.
///
/// # Safety
/// As [`vnni`]; C divides the number of blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tiles<const R: usize, const C: usize, const WIDE: bool>(l: &Matrix, from: *const u8, rows: usize, mut out: Out) {
    let (stride, k) = (l.inputs << WIDE as usize, l.packed.len() / l.outputs);
    for r in (0..rows).step_by(R) {
        let n = R.min(rows - r);
        for b in (0..l.outputs / BLOCK).step_by(C) {
            // SAFETY: as in avx2, with C blocks from b.
            unsafe {
                let w: [*const __m512i; C] = std::array::from_fn(|c| l.packed.as_ptr().add((b + c) * k * BLOCK) as *const __m512i);
                let row: [*const i32; R] = std::array::from_fn(|i| from.add((r + i.min(n - 1)) * stride) as *const i32);
                let bias: [__m512i; C] =
                    std::array::from_fn(|c| _mm512_loadu_si512(l.bias.as_ptr().add((b + c) * BLOCK) as *const __m512i));
                let mut sum = [bias; R];
                for k in 0..k {
                    let w: [__m512i; C] = std::array::from_fn(|c| _mm512_loadu_si512(w[c].add(k)));
                    for i in 0..R {
                        let v = _mm512_set1_epi32(row[i].add(k).read_unaligned());
                        for c in 0..C {
                            sum[i][c] =
                                if WIDE { _mm512_dpwssd_epi32(sum[i][c], v, w[c]) } else { _mm512_dpbusd_epi32(sum[i][c], v, w[c]) };
                        }
                    }
                }
                for (i, sums) in sum.into_iter().enumerate() {
                    if i < n {
                        for (c, s) in sums.into_iter().enumerate() {
                            let scale = _mm512_loadu_ps(l.scale.as_ptr().add((b + c) * BLOCK));
                            store(s, scale, &mut out, (r + i) * l.outputs + (b + c) * BLOCK);
                        }
                    }
                }
            }
        }
    }
}

/// What [`finish`](super::matrix::finish) does.
///
/// # Safety
/// The processor has AVX-512 F and BW; `out` has BLOCK values from `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store(sum: __m512i, scale: __m512, out: &mut Out, at: usize) {
    let v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    let zero = _mm512_setzero_si512();
    // SAFETY: 16 outputs of each type's size from `at`. Conversion rounds to nearest even, as the processor does unless told otherwise,
    // and says so itself.
    unsafe {
        let round = |v| _mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
        match out {
            Out::Leaky(o) => {
                let v = round(_mm512_max_ps(v, _mm512_mul_ps(v, _mm512_set1_ps(SLOPE))));
                let v = _mm512_max_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(ZERO_LEAKY as i32)), zero);
                _mm_storeu_si128(o.as_mut_ptr().add(at) as *mut __m128i, _mm512_cvtusepi32_epi8(v));
            }
            Out::Add(o) => {
                let p = o.as_mut_ptr().add(at) as *mut __m256i;
                let v = _mm512_add_epi32(round(v), _mm512_cvtepi16_epi32(_mm256_loadu_si256(p)));
                _mm256_storeu_si256(p, _mm512_cvtsepi32_epi16(v));
            }
            Out::LeakyWords(o) => {
                let v = round(_mm512_max_ps(v, _mm512_mul_ps(v, _mm512_set1_ps(SLOPE))));
                _mm256_storeu_si256(o.as_mut_ptr().add(at) as *mut __m256i, _mm512_cvtsepi32_epi16(v));
            }
            Out::Words(o) => _mm256_storeu_si256(o.as_mut_ptr().add(at) as *mut __m256i, _mm512_cvtsepi32_epi16(round(v))),
            Out::Codes(o) => {
                let v = _mm512_max_epi32(round(v), zero);
                _mm_storeu_si128(o.as_mut_ptr().add(at) as *mut __m128i, _mm512_cvtusepi32_epi8(v));
            }
            Out::Floats(o) => _mm512_storeu_ps(o.as_mut_ptr().add(at), v),
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `x` holds the rows and one more, `out` whole rows, of which there are as many from `from`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn around_512(l: &Around, rows: &Rows, x: *const u8, from: usize, out: &mut [u8]) {
    let c = l.channels;
    let zero = _mm512_setzero_si512();
    for (row, out) in out.chunks_exact_mut(c).enumerate() {
        let near = rows.around(from + row);
        for group in 0..c.div_ceil(GROUP) {
            let first = group * GROUP;
            let mask = if c - first >= GROUP { u64::MAX } else { (1 << (c - first)) - 1 };
            // SAFETY: masked loads and stores touch the row's channels only; weights, bias and scale have a whole group.
            unsafe {
                let tap = |t: usize| _mm512_maskz_loadu_epi8(mask, x.add(near[t] as usize * c + first) as *const i8);
                let w = l.packed.as_ptr().add(3 * first) as *const __m512i;
                let bias = l.packed_bias.as_ptr().add(first) as *const __m512i;
                let mut sum: [__m512i; 4] = std::array::from_fn(|j| _mm512_loadu_si512(bias.add(j)));
                for taps in 0..3 {
                    let (a, b, c, d) = if taps < 2 {
                        (tap(4 * taps), tap(4 * taps + 1), tap(4 * taps + 2), tap(4 * taps + 3))
                    } else {
                        (tap(8), zero, zero, zero)
                    };
                    let (ab, cd) = (
                        [_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)],
                        [_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d)],
                    );
                    let four = [
                        _mm512_unpacklo_epi16(ab[0], cd[0]),
                        _mm512_unpackhi_epi16(ab[0], cd[0]),
                        _mm512_unpacklo_epi16(ab[1], cd[1]),
                        _mm512_unpackhi_epi16(ab[1], cd[1]),
                    ];
                    for j in 0..4 {
                        sum[j] = _mm512_dpbusd_epi32(sum[j], four[j], _mm512_loadu_si512(w.add(4 * taps + j)));
                    }
                }
                let scale = l.packed_scale.as_ptr().add(first);
                let v: [__m512i; 4] = std::array::from_fn(|j| {
                    let v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[j]), _mm512_loadu_ps(scale.add(16 * j)));
                    let v = _mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
                    _mm512_add_epi32(v, _mm512_set1_epi32(u8::OFFSET))
                });
                let bytes = _mm512_packus_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
                _mm512_mask_storeu_epi8(out.as_mut_ptr().add(first) as *mut i8, mask, bytes);
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512 F and BW; both have the same length.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) unsafe fn enter_512(entry: i16, stream: &[i16], out: &mut [u8]) {
    let (s, o) = (stream.chunks_exact(32), out.chunks_exact_mut(32));
    let rest = s.remainder();
    let factor = _mm512_set1_epi16(entry);
    for (s, o) in s.zip(o) {
        // SAFETY: 32 values each.
        unsafe {
            let v = _mm512_mulhrs_epi16(_mm512_loadu_si512(s.as_ptr() as *const __m512i), factor);
            let v = _mm256_xor_si256(_mm512_cvtsepi16_epi8(v), _mm256_set1_epi8(-128));
            _mm256_storeu_si256(o.as_mut_ptr() as *mut __m256i, v);
        }
    }
    let whole = stream.len() - rest.len();
    lane::enter(entry, rest, &mut out[whole..]);
}

/// # Safety
/// The processor has AVX2; both have the same length.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn enter_256(entry: i16, stream: &[i16], out: &mut [u8]) {
    let (s, o) = (stream.chunks_exact(32), out.chunks_exact_mut(32));
    let rest = s.remainder();
    let factor = _mm256_set1_epi16(entry);
    for (s, o) in s.zip(o) {
        // SAFETY: 32 values each.
        unsafe {
            let p = s.as_ptr() as *const __m256i;
            let (a, b) = (_mm256_mulhrs_epi16(_mm256_loadu_si256(p), factor), _mm256_mulhrs_epi16(_mm256_loadu_si256(p.add(1)), factor));
            // Packing works within halves: put them in order again.
            let v = _mm256_permute4x64_epi64::<0b11011000>(_mm256_packs_epi16(a, b));
            _mm256_storeu_si256(o.as_mut_ptr() as *mut __m256i, _mm256_xor_si256(v, _mm256_set1_epi8(-128)));
        }
    }
    let whole = stream.len() - rest.len();
    lane::enter(entry, rest, &mut out[whole..]);
}

/// # Safety
/// The processor has AVX2; lengths as in [`Around::apply`].
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn around_bytes(l: &Around, rows: &Rows, x: *const u8, from: usize, out: &mut [u8]) {
    for (row, out) in out.chunks_exact_mut(l.channels).enumerate() {
        let near = rows.around(from + row);
        for first in (0..l.channels).step_by(LANES) {
            // SAFETY: LANES channels from `first` of rows of x and of out.
            unsafe {
                let tap = |t: usize| {
                    let p = x.add(near[t] as usize * l.channels + first) as *const __m128i;
                    _mm256_cvtepu8_epi16(_mm_loadu_si128(p))
                };
                let [a, b] = nine(l, first, tap);
                let zero = _mm256_set1_epi32(u8::OFFSET);
                let words = _mm256_packs_epi32(_mm256_add_epi32(a, zero), _mm256_add_epi32(b, zero));
                let bytes = _mm256_permute4x64_epi64::<0b11011000>(_mm256_packus_epi16(words, words));
                _mm_storeu_si128(out.as_mut_ptr().add(first) as *mut __m128i, _mm256_castsi256_si128(bytes));
            }
        }
    }
}

/// # Safety
/// The processor has AVX2; lengths as in [`Around::apply`].
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn around_words(l: &Around, rows: &Rows, x: *const i16, from: usize, out: &mut [i16]) {
    for (row, out) in out.chunks_exact_mut(l.channels).enumerate() {
        let near = rows.around(from + row);
        for first in (0..l.channels).step_by(LANES) {
            // SAFETY: as above.
            unsafe {
                let tap = |t: usize| _mm256_loadu_si256(x.add(near[t] as usize * l.channels + first) as *const __m256i);
                let [a, b] = nine(l, first, tap);
                _mm256_storeu_si256(out.as_mut_ptr().add(first) as *mut __m256i, _mm256_packs_epi32(a, b));
            }
        }
    }
}

/// Rounded results of 16 channels, as packing puts them in order again.
///
/// # Safety
/// The processor has AVX2; `first` is a multiple of LANES below the channels.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn nine(l: &Around, first: usize, tap: impl Fn(usize) -> __m256i) -> [__m256i; 2] {
    let pairs = l.pairs[first * 5..].as_ptr() as *const __m256i;
    // SAFETY: 5 pairs of taps of 16 channels; bias and scale of 16 channels in halves of four.
    unsafe {
        let mut sum = [_mm256_setzero_si256(); 2];
        for t in 0..5 {
            let (a, b) = (tap(2 * t), if t < 4 { tap(2 * t + 1) } else { _mm256_setzero_si256() });
            sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), _mm256_loadu_si256(pairs.add(2 * t))));
            sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), _mm256_loadu_si256(pairs.add(2 * t + 1))));
        }
        let (bias, scale) = (l.bias[first..].as_ptr(), l.scale[first..].as_ptr());
        std::array::from_fn(|h| {
            let halves = |p: *const i32| _mm256_loadu2_m128i(p.add(4 * h + 8) as *const __m128i, p.add(4 * h) as *const __m128i);
            let v = _mm256_cvtepi32_ps(_mm256_add_epi32(sum[h], halves(bias)));
            let v = _mm256_mul_ps(v, _mm256_castsi256_ps(halves(scale as *const i32)));
            // Rounds to the nearest even, whatever the processor was told.
            _mm256_cvttps_epi32(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v))
        })
    }
}
