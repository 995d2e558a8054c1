//! Samples -> quantised coefficients.

use super::samples::Plane;
use super::tables::{Quantiser, ZIGZAG};

/// Outputs of [`pass`] are larger by 8^(1/2) times these.
const SCALE: [f32; 8] = [1.0, 1.387_039_8, 1.306_563, 1.175_875_6, 1.0, 0.785_694_96, 0.541_196_1, 0.275_899_38];

/// One-dimensional DCTs of eight columns. The scaled algorithm of Arai, Agui and Nakajima (Trans. IEICE E71, 1988).
fn pass(v: &mut [[f32; 8]; 8]) {
    let add = |a: [f32; 8], b: [f32; 8]| std::array::from_fn::<f32, 8, _>(|i| a[i] + b[i]);
    let sub = |a: [f32; 8], b: [f32; 8]| std::array::from_fn::<f32, 8, _>(|i| a[i] - b[i]);
    let mul = |a: [f32; 8], k: f32| a.map(|a| a * k);
    let (s0, s1, s2, s3) = (add(v[0], v[7]), add(v[1], v[6]), add(v[2], v[5]), add(v[3], v[4]));
    let (d0, d1, d2, d3) = (sub(v[0], v[7]), sub(v[1], v[6]), sub(v[2], v[5]), sub(v[3], v[4]));

    let (e0, e1, e2, e3) = (add(s0, s3), add(s1, s2), sub(s1, s2), sub(s0, s3));
    let z = mul(add(e2, e3), std::f32::consts::FRAC_1_SQRT_2);
    (v[0], v[4], v[2], v[6]) = (add(e0, e1), sub(e0, e1), add(e3, z), sub(e3, z));

    let (o0, o1, o2) = (add(d3, d2), add(d2, d1), add(d1, d0));
    let z5 = mul(sub(o0, o2), 0.382_683_43);
    let (z2, z4) = (add(mul(o0, 0.541_196_1), z5), add(mul(o2, 1.306_563), z5));
    let z3 = mul(o1, std::f32::consts::FRAC_1_SQRT_2);
    let (z11, z13) = (add(d0, z3), sub(d0, z3));
    (v[5], v[3], v[1], v[7]) = (add(z13, z2), sub(z13, z2), add(z11, z4), sub(z11, z4));
}

/// `[column frequency][row frequency]`, scaled by [`SCALE`].
fn forward(mut v: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
    pass(&mut v);
    let mut t: [[f32; 8]; 8] = std::array::from_fn(|x| std::array::from_fn(|y| v[y][x]));
    pass(&mut t);
    t
}

/// Added to a number within 2^22 of zero, it leaves the nearest whole number in the lowest bits: without a conversion, which no vector of
/// SSE2 does as Rust wants it.
const NEAREST: f32 = (3 << 22) as f32;

/// [`ZIGZAG`] for blocks as [`forward`] orders them.
const PLACES: [u8; 64] = {
    let (mut places, mut i) = (ZIGZAG, 0);
    while i < 64 {
        places[i] = ZIGZAG[i] % 8 * 8 + ZIGZAG[i] / 8;
        i += 1;
    }
    places
};

/// All blocks of a plane and of its padding to `lines` rows of `stride` blocks, which repeats the last samples.
pub fn blocks(plane: &Plane, stride: usize, lines: usize, quantiser: &Quantiser) -> Vec<[i16; 64]> {
    // By frequency as `forward` orders it.
    let mut factor = [[0.0; 8]; 8];
    let mut dead = [[0.0; 8]; 8];
    for (i, n) in ZIGZAG.iter().enumerate() {
        let (x, y) = (*n as usize % 8, *n as usize / 8);
        factor[x][y] = 1.0 / (8.0 * SCALE[x] * SCALE[y] * quantiser.table[i] as f32);
        dead[x][y] = if i == 0 { 0.0 } else { 0.5 - quantiser.rounding };
    }
    let mut out = Vec::with_capacity(stride * lines);
    for by in 0..lines {
        for bx in 0..stride {
            let samples = std::array::from_fn(|y| {
                let line = &plane.samples[(8 * by + y).min(plane.height - 1) * plane.width..][..plane.width];
                match line.get(8 * bx..8 * bx + 8) {
                    Some(s) => std::array::from_fn(|x| s[x] as f32 - 128.0),
                    None => std::array::from_fn(|x| line[(8 * bx + x).min(plane.width - 1)] as f32 - 128.0),
                }
            });
            let coefficients = forward(samples);
            let mut levels = [[0i16; 8]; 8];
            for x in 0..8 {
                for y in 0..8 {
                    let v = coefficients[x][y] * factor[x][y];
                    let level = (v - dead[x][y].copysign(v) + NEAREST).to_bits().wrapping_sub(NEAREST.to_bits()) as i32;
                    // Ten bits of magnitude is what a baseline AC code can say.
                    levels[x][y] = (level as i16).clamp(-1023, 1023);
                }
            }
            let levels = levels.as_flattened();
            out.push(PLACES.map(|n| levels[n as usize & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition (T.81, A.3.3).
    #[test]
    fn coefficients_are_those_of_the_definition() {
        let samples: Vec<u8> = (0..64u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
        let plane = Plane { width: 8, height: 8, samples: samples.clone() };
        let quantiser = Quantiser { table: [1; 64], rounding: 0.5 };
        let got = blocks(&plane, 1, 1, &quantiser)[0];
        let c = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        let cos = |x: usize, k: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
        for (i, n) in ZIGZAG.iter().enumerate() {
            let (u, v) = (*n as usize % 8, *n as usize / 8);
            let sum: f64 = (0..64).map(|p| (samples[p] as f64 - 128.0) * cos(p % 8, u) * cos(p / 8, v)).sum();
            let want = c(u) * c(v) * sum / 4.0;
            assert!((got[i] as f64 - want).abs() < 0.51, "coefficient {i}: {} instead of {want}", got[i]);
        }
    }
}
