//! What an encoder needs to look for vectors. Nothing here is part of the format: quarter positions are approximated.

use super::Vector;
use super::interpolate::LUMA;
use crate::Level;
use crate::parallel::{cut, each, shares};
use std::ops::Range;

/// Samples around the picture that a vector may reach into.
pub const MARGIN: usize = 40;

/// A reference's luma at integer and half positions, padded by [`MARGIN`] on each side by repeating the edge. Half
/// positions equal those of [`interpolate`](super::interpolate).
#[derive(Clone, Default)]
pub struct SearchPlane {
    width: usize,
    height: usize,
    /// At integer positions, half a sample to the right, half a sample down, and both.
    planes: [Vec<u8>; 4],
    /// Horizontal sums of the half filter, not yet rounded.
    sums: Vec<i16>,
}

/// For each quarter position (y & 3) * 4 + (x & 3): the two nearest of the four planes, whose mean it is. A fraction of
/// three quarters takes the first plane one sample further down, the second one further right. ITU-T H.264, 8.4.2.2.1,
/// in the order of x264's common/mc.c.
const FIRST: [u8; 16] = [0, 1, 1, 1, 0, 1, 1, 1, 2, 3, 3, 3, 0, 1, 1, 1];
const SECOND: [u8; 16] = [0, 0, 1, 0, 2, 2, 3, 2, 2, 2, 3, 2, 2, 2, 3, 2];

const HALF: [i8; 8] = LUMA[2];

/// Some padded lines at whole positions and half a sample to the right, and the latter's sums.
#[inline(always)]
fn across(luma: &[u8], width: usize, lines: Range<usize>, whole: &mut [u8], right: &mut [u8], sums: &mut [i16]) {
    let stride = width + 2 * MARGIN;
    let mut wide = vec![0; stride + 7]; // the line with three more samples before and four after
    let out = whole.chunks_exact_mut(stride).zip(right.chunks_exact_mut(stride)).zip(sums.chunks_exact_mut(stride));
    for (y, ((whole, right), sums)) in lines.zip(out) {
        let line = &luma[y.saturating_sub(MARGIN).min(luma.len() / width - 1) * width..][..width];
        let (left, rest) = wide.split_at_mut(MARGIN + 3);
        left.fill(line[0]);
        rest[..width].copy_from_slice(line);
        rest[width..].fill(line[width - 1]);
        whole.copy_from_slice(&wide[3..3 + stride]);
        let s: [&[u8]; 8] = std::array::from_fn(|k| &wide[k..k + stride]);
        for i in 0..stride {
            let t: i16 = (0..8).map(|k| HALF[k] as i16 * s[k][i] as i16).sum();
            sums[i] = t;
            right[i] = ((t + 32) >> 6).clamp(0, 255) as u8;
        }
    }
}

/// Some padded lines half a sample down, and both.
#[inline(always)]
fn along(whole: &[u8], sums: &[i16], stride: usize, lines: Range<usize>, down: &mut [u8], both: &mut [u8]) {
    let last = whole.len() / stride - 1;
    for (y, (down, both)) in lines.zip(down.chunks_exact_mut(stride).zip(both.chunks_exact_mut(stride))) {
        let line = |k: usize| (y + k).saturating_sub(3).min(last) * stride;
        let s: [&[u8]; 8] = std::array::from_fn(|k| &whole[line(k)..][..stride]);
        for (i, d) in down.iter_mut().enumerate() {
            let t: i16 = (0..8).map(|k| HALF[k] as i16 * s[k][i] as i16).sum();
            *d = ((t + 32) >> 6).clamp(0, 255) as u8;
        }
        let s: [&[i16]; 8] = std::array::from_fn(|k| &sums[line(k)..][..stride]);
        for (i, d) in both.iter_mut().enumerate() {
            let t: i32 = (0..8).map(|k| HALF[k] as i32 * s[k][i] as i32).sum();
            *d = ((t + 2048) >> 12).clamp(0, 255) as u8;
        }
    }
}

/// The scalar body compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn across_avx2(luma: &[u8], width: usize, lines: Range<usize>, whole: &mut [u8], right: &mut [u8], sums: &mut [i16]) {
    across(luma, width, lines, whole, right, sums)
}

/// The scalar body compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn along_avx2(whole: &[u8], sums: &[i16], stride: usize, lines: Range<usize>, down: &mut [u8], both: &mut [u8]) {
    along(whole, sums, stride, lines, down, both)
}

impl SearchPlane {
    /// `luma`: `[height][width]`.
    pub fn new(level: Level, luma: &[u8], width: usize, height: usize) -> SearchPlane {
        let mut plane = SearchPlane::default();
        plane.refill(level, 1, luma, width, height);
        plane
    }

    /// Another picture, in the same buffers where the size is the same.
    pub fn refill(&mut self, level: Level, threads: usize, luma: &[u8], width: usize, height: usize) {
        assert!(width > 0 && luma.len() == width * height);
        (self.width, self.height) = (width, height);
        let (stride, lines) = (self.stride(), height + 2 * MARGIN);
        let parts = shares(lines, threads, 16);
        let sizes = || parts.iter().map(|p| p.len() * stride);
        let [whole, right, down, both] = &mut self.planes;
        for p in [&mut *whole, right, down, both] {
            p.resize(stride * lines, 0);
        }
        self.sums.resize(stride * lines, 0);
        let out = cut(whole, sizes()).into_iter().zip(cut(right, sizes())).zip(cut(&mut self.sums, sizes()));
        each(parts.iter().zip(out).collect(), |(part, ((whole, right), sums))| match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is given only where the processor has AVX2.
            Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { across_avx2(luma, width, part.clone(), whole, right, sums) },
            _ => across(luma, width, part.clone(), whole, right, sums),
        });
        let out = cut(down, sizes()).into_iter().zip(cut(both, sizes()));
        each(parts.iter().zip(out).collect(), |(part, (down, both))| match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { along_avx2(whole, &self.sums, stride, part.clone(), down, both) },
            _ => along(whole, &self.sums, stride, part.clone(), down, both),
        });
    }

    /// At whole positions, half a sample to the right, half a sample down, and both; lines of the picture's width and two margins.
    pub fn planes(&self) -> &[Vec<u8>; 4] {
        &self.planes
    }

    fn stride(&self) -> usize {
        self.width + 2 * MARGIN
    }

    /// Sum of absolute differences of the 16x16 block at (bx, by) of the picture `current` (lines `stride` apart) against
    /// this reference at `v`; `u32::MAX` where that leaves the padded plane. A result above `limit` may be that of the
    /// upper half of the block only.
    #[allow(clippy::too_many_arguments)]
    pub fn sad(&self, level: Level, current: &[u8], stride: usize, bx: usize, by: usize, v: Vector, limit: u32) -> u32 {
        let Some((first, second)) = self.nearest(bx, by, v, 16) else { return u32::MAX };
        let a = &current[by * stride + bx..];
        let upper = sad8(level, a, stride, first, second, self.stride());
        if upper > limit {
            return upper;
        }
        upper + sad8(level, &a[8 * stride..], stride, &first[8 * self.stride()..], &second[8 * self.stride()..], self.stride())
    }

    /// Sum of squared differences likewise.
    pub fn sse(&self, level: Level, current: &[u8], stride: usize, bx: usize, by: usize, v: Vector) -> u32 {
        let Some((first, second)) = self.nearest(bx, by, v, 16) else { return u32::MAX };
        mean_sse16(level, &current[by * stride + bx..], stride, first, second, self.stride())
    }

    /// [`sad`](Self::sad) of the 8x8 quarter at (x, y), without a limit.
    pub fn quarter_sad(&self, level: Level, current: &[u8], stride: usize, x: usize, y: usize, v: Vector) -> u32 {
        let Some((first, second)) = self.nearest(x, y, v, 8) else { return u32::MAX };
        quarter_sad(level, &current[y * stride + x..], stride, first, second, self.stride())
    }

    /// [`sse`](Self::sse) of the 8x8 quarter at (x, y).
    pub fn quarter_sse(&self, level: Level, current: &[u8], stride: usize, x: usize, y: usize, v: Vector) -> u32 {
        let Some((first, second)) = self.nearest(x, y, v, 8) else { return u32::MAX };
        quarter_sse(level, &current[y * stride + x..], stride, first, second, self.stride())
    }

    /// The two planes whose mean is the block of `size` at `v`, from its first sample on; None if it leaves them.
    fn nearest(&self, bx: usize, by: usize, v: Vector, size: usize) -> Option<(&[u8], &[u8])> {
        let (x, y) = ((bx + MARGIN) as isize + (v.x >> 2) as isize, (by + MARGIN) as isize + (v.y >> 2) as isize);
        let (more_x, more_y) = (v.x & 3 == 3, v.y & 3 == 3);
        let lines = self.height + 2 * MARGIN;
        if x < 0 || y < 0 || x as usize + size + more_x as usize > self.stride() || y as usize + size + more_y as usize > lines {
            return None;
        }
        let at = y as usize * self.stride() + x as usize;
        let position = ((v.y & 3) * 4 + (v.x & 3)) as usize;
        let first = &self.planes[FIRST[position] as usize][at + more_y as usize * self.stride()..];
        Some((first, &self.planes[SECOND[position] as usize][at + more_x as usize..]))
    }
}

/// Eight rows of 16 samples of `a` against the rounded-up mean of `b` and `c`.
fn sad8(level: Level, a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is given only where the processor has AVX2.
        Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { super::x86::sad8(a, a_stride, b, c, stride) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every 64-bit ARM has NEON.
        Level::Neon => unsafe { super::neon::sad8(a, a_stride, b, c, stride) },
        _ => differences::<8, 16>(a, a_stride, b, c, stride).sum(),
    }
}

/// 16x16 samples of `a` against the rounded-up mean of `b` and `c`: sum of squared differences.
fn mean_sse16(level: Level, a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is given only where the processor has AVX2.
        Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { super::x86::mean_sse16(a, a_stride, b, c, stride) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every 64-bit ARM has NEON.
        Level::Neon => unsafe { super::neon::mean_sse16(a, a_stride, b, c, stride) },
        _ => differences::<16, 16>(a, a_stride, b, c, stride).map(|d| d * d).sum(),
    }
}

/// 8x8 samples of `a` against the rounded-up mean of `b` and `c`: sum of absolute differences.
fn quarter_sad(level: Level, a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is given only where the processor has AVX2.
        Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { super::x86::quarter_sad(a, a_stride, b, c, stride) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every 64-bit ARM has NEON.
        Level::Neon => unsafe { super::neon::quarter_sad(a, a_stride, b, c, stride) },
        _ => differences::<8, 8>(a, a_stride, b, c, stride).sum(),
    }
}

/// The same, squared.
fn quarter_sse(level: Level, a: &[u8], a_stride: usize, b: &[u8], c: &[u8], stride: usize) -> u32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is given only where the processor has AVX2.
        Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { super::x86::quarter_sse(a, a_stride, b, c, stride) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every 64-bit ARM has NEON.
        Level::Neon => unsafe { super::neon::quarter_sse(a, a_stride, b, c, stride) },
        _ => differences::<8, 8>(a, a_stride, b, c, stride).map(|d| d * d).sum(),
    }
}

/// N rows of W samples of `a` against the rounded-up mean of `b` and `c`.
fn differences<'a, const N: usize, const W: usize>(
    a: &'a [u8],
    a_stride: usize,
    b: &'a [u8],
    c: &'a [u8],
    stride: usize,
) -> impl Iterator<Item = u32> + 'a {
    (0..N).flat_map(move |r| {
        let (a, b, c) = (&a[r * a_stride..][..W], &b[r * stride..][..W], &c[r * stride..][..W]);
        (0..W).map(move |i| (b[i] as u16 + c[i] as u16).div_ceil(2).abs_diff(a[i] as u16) as u32)
    })
}

/// Sum of absolute differences of the 16x16 samples at the start of `a` and of `b`.
pub fn sad16(level: Level, a: &[u8], a_stride: usize, b: &[u8], b_stride: usize) -> u32 {
    let lower = &b[8 * b_stride..];
    sad8(level, a, a_stride, b, b, b_stride) + sad8(level, &a[8 * a_stride..], a_stride, lower, lower, b_stride)
}

/// Sum of squared differences of the 16x16 samples at the start of `a` and of `b`.
pub fn sse16(level: Level, a: &[u8], a_stride: usize, b: &[u8], b_stride: usize) -> u32 {
    mean_sse16(level, a, a_stride, b, b, b_stride)
}

/// Rounded means of 2x2 samples of `luma`, `[h][w]` -> `[h / 2][w / 2]`; an odd last column or line is left out.
pub fn downsample2(luma: &[u8], w: usize, h: usize) -> Vec<u8> {
    let mut out = vec![0; (w / 2) * (h / 2)];
    if w < 2 {
        return out;
    }
    for (lines, out) in luma.chunks_exact(2 * w).zip(out.chunks_exact_mut(w / 2)) {
        let (a, b) = lines.split_at(w);
        for ((a, b), out) in a.chunks_exact(2).zip(b.chunks_exact(2)).zip(out) {
            *out = ((a[0] as u16 + a[1] as u16 + b[0] as u16 + b[1] as u16 + 2) >> 2) as u8;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::interpolate::{Plane, Side, interpolate};
    use super::super::random;
    use super::*;

    #[test]
    fn twins_agree_with_scalar() {
        let mut r = random(21);
        let (w, h) = if cfg!(miri) { (32, 32) } else { (80, 48) };
        let mut plane = || (0..w * h).map(|_| r() as u8).collect::<Vec<u8>>();
        let (luma, current) = (plane(), plane());
        let scalar = SearchPlane::new(Level::Scalar, &luma, w, h);
        for level in Level::available() {
            let mut twin = SearchPlane::new(level, &current, w, h);
            twin.refill(level, 3, &luma, w, h);
            assert!(twin.planes == scalar.planes && twin.sums == scalar.sums);
            for _ in 0..if cfg!(miri) { 40 } else { 20000 } {
                let v = Vector { x: (r() % 800) as i16 - 400, y: (r() % 600) as i16 - 300 };
                let (bx, by, limit) = (r() % (w - 15), r() % (h - 15), r() % 40000);
                let run = |level| scalar.sad(level, &current, w, bx, by, v, limit as u32);
                assert_eq!(scalar.sse(level, &current, w, bx, by, v), scalar.sse(Level::Scalar, &current, w, bx, by, v));
                assert_eq!(run(level), run(Level::Scalar));
                let (x, y) = (r() % (w - 7), r() % (h - 7));
                let run = |level| [SearchPlane::quarter_sad, SearchPlane::quarter_sse].map(|f| f(&scalar, level, &current, w, x, y, v));
                assert_eq!(run(level), run(Level::Scalar));
                let (a, b) = (&current[by * w + bx..], &luma[r() % 16 * w..]);
                assert_eq!(sad16(level, a, w, b, w), sad16(Level::Scalar, a, w, b, w));
                assert_eq!(sse16(level, a, w, b, w), sse16(Level::Scalar, a, w, b, w));
            }
            println!("search planes, sad and sse: {level:?} equals scalar");
        }
        let (black, white) = ([0; 256], [255; 256]);
        for level in Level::available() {
            assert_eq!(sse16(level, &black, 16, &white, 16), 256 * 255 * 255);
            assert_eq!(sad16(level, &white, 16, &black, 16), 256 * 255);
        }
    }

    /// Against the format's interpolation: half positions are equal, quarter positions nearly so on smooth content.
    #[test]
    #[cfg_attr(miri, ignore = "long")]
    fn follows_the_interpolation() {
        let (w, h) = (64, 48);
        let wave = |i: usize| {
            let (x, y) = ((i % w) as f64, (i / w) as f64);
            (128. + 60. * (x / 5.).sin() + 60. * (y / 4. + x / 9.).cos()) as u8
        };
        let luma: Vec<u8> = (0..w * h).map(wave).collect();
        let search = SearchPlane::new(Level::best(), &luma, w, h);
        let plane = Plane { samples: &luma, width: w, height: h };
        for y in -100..100 {
            for x in -100..100 {
                let (vector, mut p) = (Vector { x, y }, [[0; 16]; 16]);
                interpolate(Level::best(), &LUMA, [0, 8].map(|dx| Side { plane, x: 16 + dx, y: 16, vector }), &mut p);
                let mut current = vec![0; w * h];
                for (r, p) in p.iter().enumerate() {
                    current[(16 + r) * w + 16..][..16].copy_from_slice(p);
                }
                let sad = search.sad(Level::best(), &current, w, 16, 16, vector, u32::MAX);
                let most = if (x | y) & 1 == 0 { 0 } else { 3 * 256 };
                assert!(sad <= most, "{vector:?}: {sad}");
            }
        }
    }

    #[test]
    fn four_quarters_make_a_block() {
        let mut r = random(23);
        let (w, h) = (48, 32);
        let mut plane = || (0..w * h).map(|_| r() as u8).collect::<Vec<u8>>();
        let (luma, current) = (plane(), plane());
        let p = SearchPlane::new(Level::Scalar, &luma, w, h);
        for level in Level::available() {
            for i in (0..64).step_by(if cfg!(miri) { 9 } else { 1 }) {
                let v = Vector { x: i % 8 - 4, y: i / 8 - 4 };
                let sum = |f: fn(&SearchPlane, Level, &[u8], usize, usize, usize, Vector) -> u32| {
                    [(16, 8), (24, 8), (16, 16), (24, 16)].map(|(x, y)| f(&p, level, &current, w, x, y, v)).iter().sum::<u32>()
                };
                assert_eq!(sum(SearchPlane::quarter_sad), p.sad(level, &current, w, 16, 8, v, u32::MAX));
                assert_eq!(sum(SearchPlane::quarter_sse), p.sse(level, &current, w, 16, 8, v));
            }
        }
        let (black, white) = ([0; 64], [255; 64]);
        for level in Level::available() {
            assert_eq!(quarter_sse(level, &black, 8, &white, &white, 8), 64 * 255 * 255);
            assert_eq!(quarter_sad(level, &white, 8, &black, &black, 8), 64 * 255);
        }
    }

    #[test]
    fn vectors_end_at_the_margin() {
        let luma = vec![9; 32 * 16];
        let p = SearchPlane::new(Level::best(), &luma, 32, 16);
        let sad = |x, y| p.sad(Level::best(), &luma, 32, 16, 0, Vector { x, y }, u32::MAX);
        let edge = 4 * MARGIN as i16;
        assert_eq!([sad(edge, 0), sad(-edge - 64, 0), sad(0, edge), sad(0, -edge), sad(edge - 1, edge - 1)], [0; 5]);
        assert_eq!([sad(edge + 3, 0), sad(-edge - 65, 0), sad(0, edge + 4), sad(0, -edge - 1), sad(32767, -32768)], [u32::MAX; 5]);
    }

    #[test]
    fn means_of_four() {
        assert_eq!(downsample2(&[1, 2, 9, 3, 4, 9, 9, 9, 9], 3, 3), [3]);
        assert_eq!(downsample2(&[0, 1, 255, 255, 0, 0, 255, 254], 4, 2), [0, 255]);
    }

    #[test]
    #[ignore = "a measurement"]
    fn time_search() {
        let mut r = random(22);
        let (w, h) = (640, 480);
        let luma: Vec<u8> = (0..w * h).map(|_| r() as u8).collect();
        // Block after block, a hundred vectors for each, as a search would.
        let jobs: Vec<_> = (0..120_000)
            .map(|i| (16 * (i / 100 % 40), 16 * (i / 4000), Vector { x: (r() % 128) as i16 - 64, y: (r() % 128) as i16 - 64 }))
            .take(100_000)
            .collect();
        for level in Level::available() {
            let mut p = SearchPlane::new(level, &luma, w, h);
            let (mut fill, mut sads, mut sum) = (f64::MAX, f64::MAX, 0);
            for _ in 0..20 {
                let t = std::time::Instant::now();
                p.refill(level, 1, &luma, w, h);
                fill = fill.min(t.elapsed().as_secs_f64() * 1e3);
                let t = std::time::Instant::now();
                sum += jobs.iter().map(|&(x, y, v)| p.sad(level, &luma, w, x, y, v, u32::MAX) as u64).sum::<u64>();
                sads = sads.min(t.elapsed().as_secs_f64() * 1e3);
            }
            println!("{level:?}: planes of 640x480 {fill:.2} ms; 100k sad {sads:.2} ms (sum {sum})");
        }
    }
}
