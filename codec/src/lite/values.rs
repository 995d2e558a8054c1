//! Latents in units that synthesis takes, and back: what is held between frames does not depend on their steps.

use super::Lite;
use lic_kernels::lite::CHANNELS;

/// 16 y / sqrt(1 - (y / 127.5)^2), rounded down, for y = 0 to 127: a latent without its companding.
const WHOLE: [i64; 128] = table(0);
/// The same of y - 1/2 (0 for y = 0).
const HALF: [i64; 128] = table(1);

/// In halves h = 2y - less: 8 h * 255 / sqrt(255^2 - h^2).
const fn table(less: i64) -> [i64; 128] {
    let mut out = [0; 128];
    let mut y = 1;
    while y < 128 {
        let h = 2 * y as i64 - less;
        let square = 2040 * h * 2040 * h / (255 * 255 - h * h);
        let mut bit = 1 << 20;
        while bit > 0 {
            if (out[y] + bit) * (out[y] + bit) <= square {
                out[y] += bit;
            }
            bit >>= 1;
        }
        y += 1;
    }
    out
}

/// Latents of one frame: what it holds in 1/65536, and which positions are the reference's.
pub(crate) struct Values {
    pub values: Vec<i32>,
    pub copied: Vec<bool>,
}

impl Lite {
    /// What latents `y` at `step` stand for, in 1/65536. `reference`: its latents at this step and its values; a position of `inter` keeps the
    /// values of channels that equal it.
    pub(crate) fn values(&self, step: usize, y: &[i8], inter: &[bool], reference: Option<(&[i8], &[i32])>) -> Values {
        let unit = &self.unit[step * CHANNELS..][..CHANNELS];
        let mut out = Values { values: vec![0; y.len()], copied: vec![false; inter.len()] };
        for (i, (y, to)) in y.chunks_exact(CHANNELS).zip(out.values.chunks_exact_mut(CHANNELS)).enumerate() {
            for c in 0..CHANNELS {
                let v = ((WHOLE[(y[c].unsigned_abs() as usize).min(127)] * unit[c] as i64) >> 4) as i32;
                to[c] = if y[c] < 0 { -v } else { v };
            }
            let Some((r, values)) = reference.filter(|_| inter[i]) else { continue };
            let at = i * CHANNELS..(i + 1) * CHANNELS;
            let (r, values) = (&r[at.clone()], &values[at]);
            out.copied[i] = r == y;
            for c in 0..CHANNELS {
                to[c] = if r[c] == y[c] { values[c] } else { to[c] };
            }
        }
        out
    }

    /// The latents at `step` that are nearest to values, for companded ones: k where 16 * value is from HALF[k] * unit to HALF[k + 1] * unit.
    pub(crate) fn latents(&self, step: usize, values: &[i32]) -> Vec<i8> {
        let unit = &self.unit[step * CHANNELS..][..CHANNELS];
        let at = |k: usize, c: usize| (HALF[k] * unit[c] as i64) >> 4;
        let nearest = |v: i32, c: usize| -> i8 {
            let a = v.unsigned_abs() as i64;
            // A guess in floating point, then the exact place.
            let x = a as f32 / unit[c] as f32;
            let mut k = ((x / (1.0 + (x / 127.5) * (x / 127.5)).sqrt()).round() as usize).min(127);
            while k > 0 && a < at(k, c) {
                k -= 1;
            }
            while k < 127 && a >= at(k + 1, c) {
                k += 1;
            }
            if v < 0 { -(k as i8) } else { k as i8 }
        };
        values.iter().enumerate().map(|(i, &v)| if v == 0 { 0 } else { nearest(v, i % CHANNELS) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_the_formula() {
        let exact = |y: f64| (16.0 * y / (1.0 - (y / 127.5).powi(2)).sqrt() + 1e-7).floor() as i64;
        for y in 1..128 {
            assert_eq!((WHOLE[y], HALF[y]), (exact(y as f64), exact(y as f64 - 0.5)), "{y}");
        }
    }
}
