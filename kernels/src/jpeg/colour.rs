//! Colour of whole lines: what goes into a file, and what comes out of one with learned colour.

use crate::Level;
use crate::lite::for_each_level;

/// YCbCr of one kind -> another, in 1/65536: what of chroma goes to luma, and the 2x2 matrix of chroma. Luma's own share and what is taken
/// off it are those of the range.
#[derive(Clone, Debug)]
pub struct Conversion {
    pub luma: i32,
    pub black: i32,
    pub to_luma: [i32; 2],
    pub chroma: [[i32; 2]; 2],
}

/// A line of chroma, and what of it goes to luma.
pub fn chroma(level: Level, c: &Conversion, from: [&[u8]; 2], to: [&mut [u8]; 2], share: &mut [i32]) {
    #[inline(always)]
    fn generic(c: &Conversion, from: [&[u8]; 2], to: [&mut [u8]; 2], share: &mut [i32]) {
        let [cb, cr] = to;
        for ((((u, v), cb), cr), share) in from[0].iter().zip(from[1]).zip(cb).zip(cr).zip(share) {
            let (u, v) = (*u as i32 - 128, *v as i32 - 128);
            let of = |m: [i32; 2]| (((m[0] * u + m[1] * v + 32768) >> 16) + 128).clamp(0, 255) as u8;
            (*cb, *cr) = (of(c.chroma[0]), of(c.chroma[1]));
            *share = c.to_luma[0] * u + c.to_luma[1] * v;
        }
    }
    for_each_level!(level, generic(c: &Conversion, from: [&[u8]; 2], to: [&mut [u8]; 2], share: &mut [i32]))
}

/// A line of luma; `share`: what goes to it from chroma, half as many.
pub fn luma(level: Level, c: &Conversion, from: &[u8], share: &[i32], to: &mut [u8]) {
    #[inline(always)]
    fn generic(c: &Conversion, from: &[u8], share: &[i32], to: &mut [u8]) {
        let of = |v: u8, share: i32| ((c.luma * (v as i32 - c.black) + share + 32768) >> 16).clamp(0, 255) as u8;
        for ((from, to), share) in from.chunks_exact(2).zip(to.chunks_exact_mut(2)).zip(share) {
            (to[0], to[1]) = (of(from[0], *share), of(from[1], *share));
        }
        if let ([v], [to]) = (from.chunks_exact(2).remainder(), to.chunks_exact_mut(2).into_remainder()) {
            *to = of(*v, share.get(from.len() / 2).copied().unwrap_or(0));
        }
    }
    assert!(from.len() == to.len() && from.len() / 2 <= share.len());
    for_each_level!(level, generic(c: &Conversion, from: &[u8], share: &[i32], to: &mut [u8]))
}

/// Twice the columns of a line, in sixteenths; each sample 3/4 of the nearest and 1/4 of the next, along the line and across: `near` is the
/// line nearest to it and `next` the one beyond.
pub fn doubled(level: Level, near: &[u8], next: &[u8], sum: &mut Vec<u16>, to: &mut [u16]) {
    #[inline(always)]
    fn generic(sum: &[u16], to: &mut [u16]) {
        let n = sum.len();
        for (i, to) in to.chunks_exact_mut(2).enumerate() {
            let (before, after) = (sum[i.saturating_sub(1)], sum[(i + 1).min(n - 1)]);
            (to[0], to[1]) = (3 * sum[i] + before, 3 * sum[i] + after);
        }
        if let [to] = to.chunks_exact_mut(2).into_remainder() {
            *to = 3 * sum[n - 1] + sum[n.saturating_sub(2)];
        }
    }
    assert!(near.len() == next.len() && near.len() == to.len().div_ceil(2) && !near.is_empty());
    sum.clear();
    sum.extend(near.iter().zip(next).map(|(a, b)| 3 * *a as u16 + *b as u16));
    let sum = &sum[..];
    for_each_level!(level, generic(sum: &[u16], to: &mut [u16]))
}

/// YCbCr -> red, green and blue: luma's factor and what is taken off it before; of Cb and Cr what goes to each.
#[derive(Clone, Debug)]
pub struct ToRgb {
    pub luma: f32,
    pub black: f32,
    pub cb: [f32; 3],
    pub cr: [f32; 3],
}

/// Learned colour: red, green and blue less 128 times a matrix, each of the three values u companded to u / (1 + knee |u| / 128).
#[derive(Clone, Debug)]
pub struct Learned {
    pub matrix: [[f32; 3]; 3],
    pub knee: [f32; 3],
}

impl Learned {
    /// Samples less 128, and not rounded. `rgb` less 128.
    #[inline(always)]
    fn components(&self, rgb: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|i| {
            let m = self.matrix[i];
            let u = m[0] * rgb[0] + m[1] * rgb[1] + m[2] * rgb[2];
            (u / (1.0 + self.knee[i] / 128.0 * u.abs())).clamp(-128.0, 127.0)
        })
    }
}

/// A line of interleaved red, green and blue.
pub fn learned_rgb(level: Level, c: &Learned, from: &[u8], to: [&mut [f32]; 3]) {
    #[inline(always)]
    fn generic(c: &Learned, from: &[u8], to: [&mut [f32]; 3]) {
        let [a, b, d] = to;
        for (((p, a), b), d) in from.chunks_exact(3).zip(a).zip(b).zip(d) {
            [*a, *b, *d] = c.components([p[0] as f32 - 128.0, p[1] as f32 - 128.0, p[2] as f32 - 128.0]);
        }
    }
    for_each_level!(level, generic(c: &Learned, from: &[u8], to: [&mut [f32]; 3]))
}

/// A line of YCbCr; chroma in sixteenths, as [`doubled`] gives it.
pub fn learned_yuv(level: Level, c: &Learned, rgb: &ToRgb, from: (&[u8], [&[u16]; 2]), to: [&mut [f32]; 3]) {
    #[inline(always)]
    fn generic(c: &Learned, rgb: &ToRgb, from: (&[u8], [&[u16]; 2]), to: [&mut [f32]; 3]) {
        let ([a, b, d], (luma, [cb, cr])) = (to, from);
        for (((((y, u), v), a), b), d) in luma.iter().zip(cb).zip(cr).zip(a).zip(b).zip(d) {
            let y = (*y as f32 - rgb.black) * rgb.luma;
            let (u, v) = (*u as f32 / 16.0 - 128.0, *v as f32 / 16.0 - 128.0);
            let rgb = std::array::from_fn(|i| (y + rgb.cb[i] * u + rgb.cr[i] * v).clamp(0.0, 255.0) - 128.0);
            [*a, *b, *d] = c.components(rgb);
        }
    }
    for_each_level!(level, generic(c: &Learned, rgb: &ToRgb, from: (&[u8], [&[u16]; 2]), to: [&mut [f32]; 3]))
}

/// The way back: samples d less 128 expanded to d / (1 - knee |d| / 128), times a matrix, plus an offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Inverse {
    pub matrix: [[f32; 3]; 3],
    pub knee: [f32; 3],
    pub offset: [f32; 3],
}

/// What each sample of each component adds to red, green and blue, in 1/65536; the fourth is 0.
pub struct InverseTable(Box<[[[i32; 4]; 256]; 3]>);

impl Inverse {
    pub fn table(&self) -> InverseTable {
        let mut table = Box::new([[[0; 4]; 256]; 3]);
        for (c, table) in table.iter_mut().enumerate() {
            for (sample, sums) in table.iter_mut().enumerate() {
                let d = sample as f64 - 128.0;
                let u = d / (1.0 - f64::from(self.knee[c]) / 128.0 * d.abs());
                for (i, sum) in sums.iter_mut().enumerate().take(3) {
                    // The offset, and the half that makes cutting off rounding, with the first component. No three sums leave 32 bits.
                    let offset = if c == 0 { f64::from(self.offset[i]) + 0.5 } else { 0.0 };
                    *sum = ((f64::from(self.matrix[i][c]) * u + offset) * 65536.0).round().clamp(-7e8, 7e8) as i32;
                }
            }
        }
        InverseTable(table)
    }
}

/// Interleaved samples of learned colour -> red, green and blue, in their place.
pub fn inverse(level: Level, table: &InverseTable, samples: &mut [u8]) {
    #[inline(always)]
    fn generic(table: &InverseTable, samples: &mut [u8]) {
        let [a, b, c] = &*table.0;
        let sum = |p: &[u8]| -> [i32; 4] {
            let (a, b, c) = (&a[p[0] as usize], &b[p[1] as usize], &c[p[2] as usize]);
            std::array::from_fn(|i| a[i] + b[i] + c[i])
        };
        let mut fours = samples.chunks_exact_mut(12);
        for p in &mut fours {
            let sums = [sum(&p[0..3]), sum(&p[3..6]), sum(&p[6..9]), sum(&p[9..12])];
            let out: [u8; 16] = std::array::from_fn(|i| (sums[i / 4][i % 4] >> 16).clamp(0, 255) as u8);
            for i in 0..4 {
                p[3 * i..3 * i + 3].copy_from_slice(&out[4 * i..4 * i + 3]);
            }
        }
        for p in fours.into_remainder().chunks_exact_mut(3) {
            let sums = sum(p);
            (0..3).for_each(|i| p[i] = (sums[i] >> 16).clamp(0, 255) as u8);
        }
    }
    for_each_level!(level, generic(table: &InverseTable, samples: &mut [u8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize, seed: u32) -> Vec<u8> {
        (0..n as u32).map(|i| ((i ^ seed).wrapping_mul(2654435761) >> 24) as u8).collect()
    }

    const LEARNED: Learned = Learned { matrix: [[0.32, 0.34, 0.34], [-0.19, -0.51, 0.72], [0.66, -0.72, 0.07]], knee: [0.001, 0.25, 0.23] };

    /// All of a level's functions on lines of odd length.
    fn all(level: Level) -> (Vec<u8>, Vec<u16>, Vec<f32>, Vec<u8>) {
        let n = 77;
        let (y, u, v, rgb) = (line(n, 1), line(n.div_ceil(2), 2), line(n.div_ceil(2), 3), line(3 * n, 4));
        let conversion = Conversion { luma: 76309, black: 16, to_luma: [-900, 700], chroma: [[74000, 900], [-800, 75000]] };
        let (mut cb, mut cr, mut share, mut luma_out) = (u.clone(), v.clone(), vec![0; u.len()], vec![0; n]);
        chroma(level, &conversion, [&u, &v], [&mut cb, &mut cr], &mut share);
        luma(level, &conversion, &y, &share, &mut luma_out);
        let (mut sum, mut double) = (Vec::new(), [vec![0; n], vec![0; n]]);
        doubled(level, &u, &v, &mut sum, &mut double[0]);
        doubled(level, &v, &u, &mut sum, &mut double[1]);
        let mut values = [(); 6].map(|_| vec![0f32; n]);
        let [a, b, c, d, e, f] = &mut values;
        learned_rgb(level, &LEARNED, &rgb, [a, b, c]);
        let to_rgb = ToRgb { luma: 1.164, black: 16.0, cb: [0.0, -0.213, 2.112], cr: [1.793, -0.533, 0.0] };
        learned_yuv(level, &LEARNED, &to_rgb, (&y, [&double[0], &double[1]]), [d, e, f]);
        let mut back = rgb.clone();
        let c = Inverse { matrix: [[1.1, 0.2, 0.7], [1.0, -0.3, -0.6], [0.9, 0.8, 0.1]], knee: LEARNED.knee, offset: [128.0; 3] };
        inverse(level, &c.table(), &mut back);
        ([cb, cr, luma_out].concat(), double.concat(), values.concat(), back)
    }

    #[test]
    fn twins_agree() {
        let want = all(Level::Scalar);
        for level in Level::available() {
            assert!(all(level) == want, "{level:?}");
        }
    }

    /// Where chroma does not change, neither does what is made of it.
    #[test]
    fn doubling_keeps_flat_lines_and_averages_others() {
        let (mut sum, mut out) = (Vec::new(), vec![0; 5]);
        doubled(Level::Scalar, &[100; 3], &[100; 3], &mut sum, &mut out);
        assert_eq!(out, [1600; 5]);
        doubled(Level::Scalar, &[0, 16, 32], &[0, 16, 32], &mut sum, &mut out);
        assert_eq!(out, [0, 64, 192, 320, 448]);
        doubled(Level::Scalar, &[160; 3], &[0; 3], &mut sum, &mut out);
        assert_eq!(out, [1920; 5]);
    }

    #[test]
    fn samples_lead_back_to_their_colour() {
        let m = LEARNED.matrix.map(|r| r.map(f64::from));
        let det = |a: usize, b: usize, c: usize, d: usize| m[a][b] * m[c][d] - m[a][d] * m[c][b];
        let whole = m[0][0] * det(1, 1, 2, 2) - m[0][1] * det(1, 0, 2, 2) + m[0][2] * det(1, 0, 2, 1);
        let next = |i: usize| ((i + 1) % 3, (i + 2) % 3);
        let inverted = std::array::from_fn(|r| {
            std::array::from_fn(|c| {
                let ((a, b), (d, e)) = (next(c), next(r));
                ((m[a][d] * m[b][e] - m[a][e] * m[b][d]) / whole) as f32
            })
        });
        let c = Inverse { matrix: inverted, knee: LEARNED.knee, offset: [128.0; 3] };
        let rgb = line(300, 9);
        let mut values = [(); 3].map(|_| vec![0f32; 100]);
        let [a, b, d] = &mut values;
        learned_rgb(Level::best(), &LEARNED, &rgb, [a, b, d]);
        let mut samples: Vec<u8> = (0..300).map(|i| (values[i % 3][i / 3] + 128.5) as u8).collect();
        inverse(Level::best(), &c.table(), &mut samples);
        // Rounded samples, expanded.
        assert!(samples.iter().zip(&rgb).all(|(a, b)| a.abs_diff(*b) <= 2), "{samples:?} {rgb:?}");
    }
}
