//! A synthesised picture into a compensated one, with a soft border of two luma samples between them.

use crate::Level;
use crate::parallel::{each, shares};
use crate::planes::{Bands, Planes};
use std::ops::Range;

/// Samples of a 1-D neighbourhood of five that lie in the block before, in the own and in the block after.
fn luma_count(p: usize) -> [u8; 3] {
    let (before, after) = (2usize.saturating_sub(p) as u8, p.saturating_sub(13) as u8);
    [before, 5 - before - after, after]
}

/// The same for a chroma sample: the sum of its two luma samples.
fn chroma_count(p: usize) -> [u8; 3] {
    let (a, b) = (luma_count(2 * p), luma_count(2 * p + 1));
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// The rows of blocks `rows` of `out`, as a picture of their own: they hold what is compensated and get the blend. `coded` is the
/// synthesised picture; `map`: `[height / 16][width / 16]`, whether a block is coded.
///
/// Of a luma sample's 5x5 neighbourhood (the picture's edge repeated), m samples lie in coded blocks:
/// out = (m * coded + (25 - m) * out + 12) / 25. Of a chroma sample, m is the sum over its four luma samples:
/// out = (m * coded + (100 - m) * out + 50) / 100.
pub fn blend(level: Level, threads: usize, coded: &Planes, map: &[bool], rows: Range<usize>, out: &mut Planes) {
    assert_eq!((coded.width, coded.height), (out.width, out.height));
    assert_eq!(map.len(), out.width / 16 * (out.height / 16));
    let parts = shares(rows.len(), threads, 1);
    let bands = out.bands(rows.start, parts.iter().map(|p| p.len()));
    each(parts.iter().zip(bands).collect(), |(part, band)| {
        let part = rows.start + part.start..rows.start + part.end;
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is given only where the processor has AVX2.
            Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { blend_avx2(coded, map, &rows, part, band) },
            _ => blend_rows(coded, map, &rows, part, band),
        }
    });
}

/// The scalar body compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn blend_avx2(coded: &Planes, map: &[bool], rows: &Range<usize>, part: Range<usize>, out: Bands) {
    blend_rows(coded, map, rows, part, out)
}

/// The `part` of `rows`.
#[inline(always)]
fn blend_rows(coded: &Planes, map: &[bool], rows: &Range<usize>, part: Range<usize>, out: Bands) {
    let (w, first) = (coded.width, part.start);
    let across = w / 16;
    let (luma, chroma): ([_; 16], [_; 8]) = (std::array::from_fn(luma_count), std::array::from_fn(chroma_count));
    let [y, u, v] = [(&coded.y, 256), (&coded.u, 64), (&coded.v, 64)].map(|(plane, n)| &plane[first * across * n..]);
    for row in part {
        for column in 0..across {
            let near: [[u8; 3]; 3] = std::array::from_fn(|y| {
                let y = (row + y).saturating_sub(1).clamp(rows.start, rows.end - 1);
                std::array::from_fn(|x| map[y * across + (column + x).saturating_sub(1).min(across - 1)] as u8)
            });
            let number: u8 = near.as_flattened().iter().sum();
            if number == 0 {
                continue;
            }
            block::<16, 25>(y, out.y, w, 16 * ((row - first) * w + column), number == 9, &near, &luma);
            let (stride, at) = (w / 2, 8 * ((row - first) * w / 2 + column));
            block::<8, 100>(u, out.u, stride, at, number == 9, &near, &chroma);
            block::<8, 100>(v, out.v, stride, at, number == 9, &near, &chroma);
        }
    }
}

/// The `SIZE` x `SIZE` block at index `at` of a plane: a copy where all of `near` is coded, else the blend in parts of `ALL`.
#[inline(always)]
fn block<const SIZE: usize, const ALL: u16>(
    coded: &[u8],
    out: &mut [u8],
    stride: usize,
    at: usize,
    copy: bool,
    near: &[[u8; 3]; 3],
    counts: &[[u8; 3]; SIZE],
) {
    for (r, rows) in counts.iter().enumerate() {
        let at = at + r * stride;
        let coded: &[u8; SIZE] = coded[at..].first_chunk().expect("a whole block");
        let out: &mut [u8; SIZE] = out[at..].first_chunk_mut().expect("a whole block");
        if copy {
            *out = *coded;
            continue;
        }
        // Down each of the three columns of blocks first.
        let part: [u8; 3] = std::array::from_fn(|x| (0..3).map(|y| rows[y] * near[y][x]).sum());
        let m: [u16; SIZE] = std::array::from_fn(|c| (0..3).map(|x| counts[c][x] as u16 * part[x] as u16).sum());
        for c in 0..SIZE {
            out[c] = ((m[c] * coded[c] as u16 + (ALL - m[c]) * out[c] as u16 + ALL / 2) / ALL) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random;
    use super::*;

    #[test]
    fn equals_the_definition() {
        let mut r = random(11);
        for (w, h) in [(16, 16), (64, 16), (16, 48), (80, 96)].into_iter().take(if cfg!(miri) { 1 } else { 4 }) {
            for chance in [0, 1, 3, 4, 7, 8] {
                let mut picture = || {
                    let mut p = Planes::for_size(w, h);
                    p.y.iter_mut().chain(&mut p.u).chain(&mut p.v).for_each(|s| *s = r() as u8);
                    p
                };
                let (coded, old) = (picture(), picture());
                let map: Vec<bool> = (0..w * h / 256).map(|_| r() % 8 < chance).collect();
                let m = |x: usize, y: usize| -> u32 {
                    let mut m = 0;
                    for dy in -2..=2 {
                        for dx in -2..=2 {
                            let (xx, yy) = ((x as isize + dx).clamp(0, w as isize - 1), (y as isize + dy).clamp(0, h as isize - 1));
                            m += map[yy as usize / 16 * (w / 16) + xx as usize / 16] as u32;
                        }
                    }
                    m
                };
                let mut want = old.clone();
                for y in 0..h {
                    for x in 0..w {
                        let (i, m) = (y * w + x, m(x, y));
                        want.y[i] = ((m * coded.y[i] as u32 + (25 - m) * old.y[i] as u32 + 12) / 25) as u8;
                    }
                }
                for y in 0..h / 2 {
                    for x in 0..w / 2 {
                        let i = y * w / 2 + x;
                        let m = m(2 * x, 2 * y) + m(2 * x + 1, 2 * y) + m(2 * x, 2 * y + 1) + m(2 * x + 1, 2 * y + 1);
                        want.u[i] = ((m * coded.u[i] as u32 + (100 - m) * old.u[i] as u32 + 50) / 100) as u8;
                        want.v[i] = ((m * coded.v[i] as u32 + (100 - m) * old.v[i] as u32 + 50) / 100) as u8;
                    }
                }
                for (level, threads) in Level::available().into_iter().flat_map(|l| [(l, 1), (l, 3)]) {
                    let mut out = old.clone();
                    blend(level, threads, &coded, &map, 0..h / 16, &mut out);
                    assert!(out == want, "{w}x{h}, {chance} of 8 coded, {level:?}");
                }
            }
        }
    }

    #[test]
    fn some_rows_are_a_picture_of_their_own() {
        let mut r = random(13);
        let (w, h) = (48, 80);
        let mut picture = |h| {
            let mut p = Planes::for_size(w, h);
            p.y.iter_mut().chain(&mut p.u).chain(&mut p.v).for_each(|s| *s = r() as u8);
            p
        };
        let (coded, old) = (picture(h), picture(h));
        let map: Vec<bool> = (0..15).map(|i| i % 4 == 1).collect();
        let mut out = old.clone();
        blend(Level::best(), 2, &coded, &map, 1..3, &mut out);
        let lines = |p: &Planes| {
            let (y, c) = (16 * w..48 * w, 4 * w..12 * w);
            Planes { width: w, height: 32, y: p.y[y].to_vec(), u: p.u[c.clone()].to_vec(), v: p.v[c].to_vec() }
        };
        let mut want = lines(&old);
        blend(Level::best(), 1, &lines(&coded), &map[3..9], 0..2, &mut want);
        assert!(lines(&out) == want);
        assert!(out.y[..16 * w] == old.y[..16 * w] && out.y[48 * w..] == old.y[48 * w..] && out.u[12 * w..] == old.u[12 * w..]);
    }

    #[test]
    #[ignore = "a measurement"]
    fn time_blend() {
        let mut r = random(12);
        let (coded, mut out) = (Planes::for_size(640, 480), Planes::for_size(640, 480));
        let map: Vec<bool> = (0..1200).map(|_| r() % 2 == 1).collect();
        let t = std::time::Instant::now();
        for _ in 0..30 {
            blend(Level::best(), 1, &coded, &map, 0..30, &mut out);
        }
        println!("blend 640x480, random map: {:.2} ms", t.elapsed().as_secs_f64() * 1e3 / 30.);
    }
}
