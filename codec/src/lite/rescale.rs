//! Latents of a reference in another step's units, in integers.

use super::Lite;
use lic_kernels::lite::CHANNELS;

/// A latent without its companding: y / sqrt(1 - (y / 127.5)^2).
pub(super) fn decompand(y: f64) -> f64 {
    y / (1.0 - (y / 127.5).powi(2)).sqrt()
}

/// 16 * decompand(y) of y = 0 to 127, rounded down.
const WHOLE: [i64; 128] = table(2);
/// 16 * decompand(y - 1/2) of y = 1 to 127, rounded down.
const HALF: [i64; 128] = table(1);

/// floor(16 z / sqrt(1 - (z / 127.5)^2)) with z = y or y - 1/2: in halves h = 2z, 16 h / 2 * 255 / sqrt(255^2 - h^2).
const fn table(offset: i64) -> [i64; 128] {
    let mut out = [0; 128];
    let mut y = 1;
    while y < 128 {
        let h = 2 * y as i64 - (2 - offset);
        // floor of a square root of a quotient: n^2 <= (8 * 255 h)^2 / (255^2 - h^2) < (n + 1)^2.
        let (a, b) = (2040 * h * 2040 * h, 255 * 255 - h * h);
        let mut n = 0i64;
        let mut bit = 1 << 20;
        while bit > 0 {
            if (n + bit) * (n + bit) <= a / b {
                n += bit;
            }
            bit >>= 1;
        }
        out[y] = n;
        y += 1;
    }
    out
}

/// Latents coded at step `from` in the units of step `to`.
pub fn rescale(lite: &Lite, from: usize, to: usize, latents: &mut [i8]) {
    if from == to {
        return;
    }
    let mut map = vec![0u8; 128 * CHANNELS];
    for c in 0..CHANNELS {
        let (old, new) = (lite.unit[from * CHANNELS + c] as i64, lite.unit[to * CHANNELS + c] as i64);
        for y in 1..128 {
            let v = WHOLE[y] * old / new;
            map[y * CHANNELS + c] = HALF[1..].partition_point(|&h| h <= v) as u8;
        }
    }
    for position in latents.chunks_exact_mut(CHANNELS) {
        for (c, v) in position.iter_mut().enumerate() {
            let m = map[(v.unsigned_abs() as usize).min(127) * CHANNELS + c] as i8;
            *v = if *v < 0 { -m } else { m };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_the_formula() {
        for y in 1..128 {
            assert_eq!(WHOLE[y], (16.0 * decompand(y as f64) + 1e-7).floor() as i64, "{y}");
            assert_eq!(HALF[y], (16.0 * decompand(y as f64 - 0.5) + 1e-7).floor() as i64, "{y}");
        }
    }
}
