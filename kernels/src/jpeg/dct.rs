//! Lines of samples -> quantised blocks.

use super::{PLACES, zigzag};
use crate::Level;

/// Outputs of [`pass`] are larger by 8^(1/2) times these.
const SCALE: [f32; 8] = [1.0, 1.387_039_8, 1.306_563, 1.175_875_6, 1.0, 0.785_694_96, 0.541_196_1, 0.275_899_38];
/// Of [`pass`]: cosines of multiples of pi/16, their sums and differences.
pub(super) const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
pub(super) const ODD: [f32; 3] = [0.382_683_43, 0.541_196_1, 1.306_563];

/// Added to a number within 2^22 of zero, it leaves the nearest whole number in the lowest bits: without a conversion, which no vector of
/// SSE2 does as Rust wants it.
const NEAREST: f32 = (3 << 22) as f32;

/// How coefficients become levels: multiplied, shortened by the dead zone (less than 1/2), rounded to the nearest (of two, the even one).
#[derive(Clone, Debug)]
pub struct Quantiser {
    /// In the order of blocks.
    pub(super) factor: [f32; 64],
    pub(super) dead: [f32; 64],
    /// Largest magnitude of a level.
    pub(super) limit: i16,
    /// Smallest that a level's bit is set for.
    pub(super) least: [i16; 64],
}

impl Quantiser {
    /// `table`: steps in zigzag order. `rounding` is what is added to the magnitude of an AC coefficient, in steps, before its fraction is
    /// cut off. Levels have ten bits at most, as baseline's AC codes can say.
    pub fn new(table: &[u8; 64], rounding: f32) -> Quantiser {
        let mut q = Quantiser { factor: [0.0; 64], dead: [0.5 - rounding; 64], limit: 1023, least: [1; 64] };
        q.dead[0] = 0.0;
        PLACES.iter().zip(table).for_each(|(at, step)| q.factor[*at as usize] = 1.0 / *step as f32);
        q.scaled()
    }

    /// Not levels but coefficients themselves, in sixteenths; bits are set for those of at least half a step.
    pub fn sixteenths(table: &[u8; 64]) -> Quantiser {
        let mut q = Quantiser { factor: [16.0; 64], dead: [0.0; 64], limit: i16::MAX, least: [0; 64] };
        PLACES.iter().zip(table).for_each(|(at, step)| q.least[*at as usize] = 8 * *step as i16);
        q.scaled()
    }

    fn scaled(mut self) -> Quantiser {
        for (at, f) in self.factor.iter_mut().enumerate() {
            *f /= 8.0 * SCALE[at / 8] * SCALE[at % 8];
        }
        self
    }
}

/// What a line holds: bytes, or values that are centred on 0 already.
pub trait Sample: Copy + Send + Sync + private::Load {}
impl Sample for u8 {}
impl Sample for f32 {}

pub(super) mod private {
    pub trait Load: Copy {
        fn centred(self) -> f32;
        /// # Safety
        /// The processor has AVX2, and there are eight samples.
        #[cfg(target_arch = "x86_64")]
        unsafe fn eight(from: *const Self) -> std::arch::x86_64::__m256;
        /// # Safety
        /// The processor has AVX-512 F, and there are sixteen samples.
        #[cfg(target_arch = "x86_64")]
        unsafe fn sixteen(from: *const Self) -> std::arch::x86_64::__m512;
    }
}

impl private::Load for u8 {
    #[inline(always)]
    fn centred(self) -> f32 {
        self as f32 - 128.0
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn eight(from: *const u8) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::*;
        // SAFETY: the caller's; no alignment is asked for.
        unsafe {
            let samples = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from as *const __m128i)));
            _mm256_sub_ps(samples, _mm256_set1_ps(128.0))
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn sixteen(from: *const u8) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::*;
        // SAFETY: the caller's; no alignment is asked for.
        unsafe {
            let samples = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from as *const __m128i)));
            _mm512_sub_ps(samples, _mm512_set1_ps(128.0))
        }
    }
}

impl private::Load for f32 {
    #[inline(always)]
    fn centred(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn eight(from: *const f32) -> std::arch::x86_64::__m256 {
        // SAFETY: the caller's; no alignment is asked for.
        unsafe { std::arch::x86_64::_mm256_loadu_ps(from) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn sixteen(from: *const f32) -> std::arch::x86_64::__m512 {
        // SAFETY: the caller's; no alignment is asked for.
        unsafe { std::arch::x86_64::_mm512_loadu_ps(from) }
    }
}

/// A row of blocks out of eight lines of `lines`, `stride` samples apart. `coded`: of each block a bit for each level that is not 0, in
/// zigzag order ([`Quantiser::sixteenths`] has other bits).
pub fn blocks<S: Sample>(level: Level, lines: &[S], stride: usize, quantiser: &Quantiser, out: &mut [[i16; 64]], coded: &mut [u64]) {
    assert!(out.len() == coded.len() && 8 * out.len() <= stride && lines.len() >= 8 * stride);
    match level {
        // SAFETY: Level::available() and best() give this level only where the processor has AVX-512 F and BW; VL is asked for, and sizes
        // were checked.
        #[cfg(target_arch = "x86_64")]
        Level::Vnni if crate::lite::wide() => unsafe { super::x86::blocks_wide(lines, stride, quantiser, out, coded) },
        // SAFETY: Level::available() and best() give these levels only where the processor has AVX2; sizes were checked.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { super::x86::blocks(lines, stride, quantiser, out, coded) },
        _ => scalar(lines, stride, quantiser, out, coded),
    }
}

fn scalar<S: Sample>(lines: &[S], stride: usize, quantiser: &Quantiser, out: &mut [[i16; 64]], coded: &mut [u64]) {
    let limit = quantiser.limit as i32;
    for (i, (out, coded)) in out.iter_mut().zip(coded).enumerate() {
        let v = forward(std::array::from_fn(|y| std::array::from_fn(|x| lines[y * stride + 8 * i + x].centred())));
        let mut mask = 0;
        for (at, out) in out.iter_mut().enumerate() {
            let v = v[at / 8][at % 8] * quantiser.factor[at];
            let v = (v - quantiser.dead[at].copysign(v) + NEAREST).to_bits().wrapping_sub(NEAREST.to_bits()) as i32;
            *out = v.clamp(-limit, limit) as i16;
            mask |= ((out.abs() >= quantiser.least[at]) as u64) << at;
        }
        *coded = zigzag(mask);
    }
}

/// `[u][v]`, scaled by [`SCALE`].
fn forward(mut v: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
    pass(&mut v);
    let mut t: [[f32; 8]; 8] = std::array::from_fn(|x| std::array::from_fn(|y| v[y][x]));
    pass(&mut t);
    t
}

/// Eight rows of `v` -> their DCTs, by whatever adds, subtracts and multiplies rows of that width: the scaled algorithm of Arai, Agui and
/// Nakajima (Trans. IEICE E71, 1988). One text, so that twins do the same operations in the same order.
macro_rules! butterflies {
    ($v:ident, $add:ident, $sub:ident, $mul:ident) => {
        let (s0, s1, s2, s3) = ($add($v[0], $v[7]), $add($v[1], $v[6]), $add($v[2], $v[5]), $add($v[3], $v[4]));
        let (d0, d1, d2, d3) = ($sub($v[0], $v[7]), $sub($v[1], $v[6]), $sub($v[2], $v[5]), $sub($v[3], $v[4]));

        let (e0, e1, e2, e3) = ($add(s0, s3), $add(s1, s2), $sub(s1, s2), $sub(s0, s3));
        let z = $mul($add(e2, e3), HALF);
        ($v[0], $v[4], $v[2], $v[6]) = ($add(e0, e1), $sub(e0, e1), $add(e3, z), $sub(e3, z));

        let (o0, o1, o2) = ($add(d3, d2), $add(d2, d1), $add(d1, d0));
        let z5 = $mul($sub(o0, o2), ODD[0]);
        let (z2, z4) = ($add($mul(o0, ODD[1]), z5), $add($mul(o2, ODD[2]), z5));
        let z3 = $mul(o1, HALF);
        let (z11, z13) = ($add(d0, z3), $sub(d0, z3));
        ($v[5], $v[3], $v[1], $v[7]) = ($add(z13, z2), $sub(z13, z2), $add(z11, z4), $sub(z11, z4));
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use butterflies;

/// One-dimensional DCTs of eight columns.
fn pass(v: &mut [[f32; 8]; 8]) {
    let add = |a: [f32; 8], b: [f32; 8]| std::array::from_fn::<f32, 8, _>(|i| a[i] + b[i]);
    let sub = |a: [f32; 8], b: [f32; 8]| std::array::from_fn::<f32, 8, _>(|i| a[i] - b[i]);
    let mul = |a: [f32; 8], k: f32| a.map(|a| a * k);
    butterflies!(v, add, sub, mul);
}

#[cfg(test)]
mod tests {
    use super::super::ZIGZAG;
    use super::*;

    fn noise(n: usize) -> Vec<u8> {
        (0..n as u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect()
    }

    fn quantised<S: Sample>(level: Level, lines: &[S], n: usize, q: &Quantiser) -> (Vec<[i16; 64]>, Vec<u64>) {
        let (mut out, mut coded) = (vec![[0; 64]; n], vec![0; n]);
        blocks(level, lines, 8 * n, q, &mut out, &mut coded);
        (out, coded)
    }

    /// Against the definition (T.81, A.3.3).
    #[test]
    fn coefficients_are_those_of_the_definition() {
        let samples = noise(64);
        let (got, coded) = quantised(Level::Scalar, &samples, 1, &Quantiser::new(&[1; 64], 0.5));
        let c = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        let cos = |x: usize, k: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
        for (i, n) in ZIGZAG.iter().enumerate() {
            let (u, v) = (*n as usize % 8, *n as usize / 8);
            let sum: f64 = (0..64).map(|p| (samples[p] as f64 - 128.0) * cos(p % 8, u) * cos(p / 8, v)).sum();
            let want = c(u) * c(v) * sum / 4.0;
            let got = got[0][PLACES[i] as usize];
            assert!((got as f64 - want).abs() < 0.51, "coefficient {i}: {got} instead of {want}");
            assert_eq!(coded[0] >> i & 1 != 0, got != 0);
        }
    }

    #[test]
    fn twins_agree() {
        let n = 5;
        let bytes = noise(64 * n);
        let values: Vec<f32> = bytes.iter().map(|b| (*b as f32 - 128.0) * 0.987).collect();
        let steep: [u8; 64] = std::array::from_fn(|i| (1 + 4 * i) as u8);
        for q in
            [Quantiser::new(&[1; 64], 0.5), Quantiser::new(&steep, 0.28), Quantiser::new(&[255; 64], 0.4), Quantiser::sixteenths(&steep)]
        {
            let want = (quantised(Level::Scalar, &bytes, n, &q), quantised(Level::Scalar, &values, n, &q));
            assert!(want.0.1.iter().any(|c| *c != 0));
            for level in Level::available() {
                assert!((quantised(level, &bytes, n, &q), quantised(level, &values, n, &q)) == want, "{level:?}");
            }
        }
    }
}
