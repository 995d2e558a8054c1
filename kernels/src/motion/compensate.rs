//! Overlapped block motion compensation (Orchard and Sullivan, IEEE Trans. Image Processing 3(5), 1994): near the border
//! of a block, the predictions with its neighbours' vectors count too.

use super::interpolate::{CHROMA, LUMA, Patch, Plane, Side, interpolate};
use super::{Quarters, Vector, quarters};
use crate::Level;
use crate::planes::{Bands, Planes};
use std::ops::Range;

/// Sixteenths of the block before (left or above) and after (right or below) for each of 16 luma samples; the block's
/// own vector has the rest.
const LUMA_WEIGHTS: [u16; 16] = [7, 5, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 5, 7];

/// The same for 8 chroma samples, once for u and once for v.
const CHROMA_WEIGHTS: [u16; 16] = [6, 2, 0, 0, 0, 0, 2, 6, 6, 2, 0, 0, 0, 0, 2, 6];

/// The same for two quarters, each with others before and after.
const LUMA_QUARTERS: [u16; 16] = [7, 5, 3, 1, 1, 3, 5, 7, 7, 5, 3, 1, 1, 3, 5, 7];
const CHROMA_QUARTERS: [u16; 16] = [6, 2, 2, 6, 6, 2, 2, 6, 6, 2, 2, 6, 6, 2, 2, 6];

/// Predicts the rows of blocks `rows` of `out` from `reference`, of the same size. `vectors`:
/// `[height / 16][width / 16]`.
///
/// A sample is (sum of wy * wx * P + 128) >> 8 over the 3x3 quarters around its own, P being the sample at its place with
/// that quarter's vector. Outside the picture, the nearest quarter inside counts.
pub fn compensate(level: Level, reference: &Planes, vectors: &[Quarters], rows: Range<usize>, out: &mut Planes) {
    assert_eq!((reference.width, reference.height), (out.width, out.height));
    let band = out.bands(rows.start, [rows.len()]).remove(0);
    compensate_rows(level, reference, vectors, rows, band);
}

/// [`compensate`] into a part of a picture: threads can share one.
pub fn compensate_rows(level: Level, reference: &Planes, vectors: &[Quarters], rows: Range<usize>, out: Bands) {
    let (w, h) = (reference.width, reference.height);
    let (across, down) = (w / 16, h / 16);
    assert_eq!(vectors.len(), across * down);
    let luma = Plane { samples: &reference.y, width: w, height: h };
    let [u, v] = [&reference.u, &reference.v].map(|samples| Plane { samples, width: w / 2, height: h / 2 });
    let mut patch = [[0; 16]; 16];
    for (i, row) in rows.enumerate() {
        for column in 0..across {
            // The block's quarters are rows and columns 1 and 2.
            let ring: [[Vector; 4]; 4] = std::array::from_fn(|y| {
                let y = (2 * row + y).saturating_sub(1).min(2 * down - 1);
                std::array::from_fn(|x| {
                    let x = (2 * column + x).saturating_sub(1).min(2 * across - 1);
                    vectors[y / 2 * across + x / 2].0[y % 2 * 2 + x % 2]
                })
            });
            // Where each side has one vector, the weights of two quarters of a block add to those of the block.
            let whole = ring[1] == ring[2] && ring.iter().all(|r| r[1] == r[2]);
            let near = [0, 1, 3].map(|y| [0, 1, 3].map(|x| ring[y][x]));

            let (x, y) = (16 * column, 16 * row);
            let fetch = |[a, b]: [Vector; 2], rows: Range<usize>, out: &mut Patch| {
                let y = y + rows.start;
                let sides = [Side { plane: luma, x, y, vector: a }, Side { plane: luma, x: x + 8, y, vector: b }];
                interpolate(level, &LUMA, sides, &mut out[rows]);
            };
            if whole {
                block::<16, 4>(level, &near, &LUMA_WEIGHTS, fetch, &mut patch);
            } else {
                quarters::block::<16>(level, &ring, &LUMA_QUARTERS, fetch, &mut patch);
            }
            for (r, p) in patch.iter().enumerate() {
                out.y[(16 * i + r) * w + x..][..16].copy_from_slice(p);
            }

            let (x, y) = (8 * column, 8 * row);
            let fetch = |[a, b]: [Vector; 2], rows: Range<usize>, out: &mut Patch| {
                let y = y + rows.start;
                let sides = |vector| [u, v].map(|plane| Side { plane, x, y, vector });
                interpolate(level, &CHROMA, sides(a), &mut out[rows.clone()]);
                if b != a {
                    // The right half of u and of v.
                    let mut right = [[0; 16]; 8];
                    interpolate(level, &CHROMA, sides(b), &mut right[..rows.len()]);
                    for (out, right) in out[rows].iter_mut().zip(right) {
                        out[4..8].copy_from_slice(&right[4..8]);
                        out[12..].copy_from_slice(&right[12..]);
                    }
                }
            };
            if whole {
                block::<8, 2>(level, &near, &CHROMA_WEIGHTS, fetch, &mut patch);
            } else {
                quarters::block::<8>(level, &ring, &CHROMA_QUARTERS, fetch, &mut patch);
            }
            for (r, p) in patch[..8].iter().enumerate() {
                let at = (8 * i + r) * w / 2 + x;
                out.u[at..][..8].copy_from_slice(&p[..8]);
                out.v[at..][..8].copy_from_slice(&p[8..]);
            }
        }
    }
}

/// One block of `SIZE` rows, of which `EDGE` at each end see a neighbour. `fetch` interpolates some rows of the block,
/// its left half with the first vector and its right half with the second.
#[inline(always)]
fn block<const SIZE: usize, const EDGE: usize>(
    level: Level,
    near: &[[Vector; 3]; 3],
    weights: &[u16; 16],
    fetch: impl Fn([Vector; 2], Range<usize>, &mut Patch),
    out: &mut Patch,
) {
    let own = near[1][1];
    fetch([own; 2], 0..SIZE, out);
    if near.as_flattened().iter().all(|&v| v == own) {
        return; // the weights add to 256
    }
    // No sample sees both the left and the right neighbour, nor both above and below: four patches hold everything.
    let middle = [near[1][0], near[1][2]];
    let mut beside = *out;
    if middle != [own; 2] {
        fetch(middle, 0..SIZE, &mut beside);
    }
    let (mut beyond, mut corners) = (*out, beside);
    for (rows, line) in [(0..EDGE, &near[0]), (SIZE - EDGE..SIZE, &near[2])] {
        let (same, sides) = (line[1], [line[0], line[2]]);
        if same != own {
            fetch([same; 2], rows.clone(), &mut beyond);
        }
        if sides == [same; 2] {
            corners[rows.clone()].copy_from_slice(&beyond[rows]);
        } else if sides != middle {
            fetch(sides, rows, &mut corners);
        }
    }
    mix::<SIZE>(level, &Patches { beside: &beside, beyond: &beyond, corners: &corners }, weights, out);
}

/// The block with the vectors that count beside its own: left and right, above and below, and at the corners.
pub(super) struct Patches<'a> {
    pub beside: &'a Patch,
    pub beyond: &'a Patch,
    pub corners: &'a Patch,
}

/// The weighted sum; `out` holds the block with its own vectors and gets it. `weights` serves rows and columns.
#[inline(always)]
pub(super) fn mix<const SIZE: usize>(level: Level, p: &Patches, weights: &[u16; 16], out: &mut Patch) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is given only where the processor has AVX2.
        Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { mix_avx2::<SIZE>(p, weights, out) },
        _ => mix_scalar::<SIZE>(p, weights, out),
    }
}

/// The scalar body compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn mix_avx2<const SIZE: usize>(p: &Patches, weights: &[u16; 16], out: &mut Patch) {
    mix_scalar::<SIZE>(p, weights, out)
}

/// Every sum fits 16 bits, being at most 256 * 255 + 128.
#[inline(always)]
fn mix_scalar<const SIZE: usize>(p: &Patches, weights: &[u16; 16], out: &mut Patch) {
    for r in 0..SIZE {
        let wy = weights[r];
        let (beside, beyond, corners) = (&p.beside[r], &p.beyond[r], &p.corners[r]);
        for (c, out) in out[r].iter_mut().enumerate() {
            let wx = weights[c];
            let own = (16 - wx) * *out as u16 + wx * beside[c] as u16;
            let other = (16 - wx) * beyond[c] as u16 + wx * corners[c] as u16;
            *out = (((16 - wy) * own + wy * other + 128) >> 8) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random;
    use super::*;

    /// The definition, sample by sample, on a grid of blocks or quarters of `size` in this plane.
    fn plain(luma: bool, plane: &[u8], width: usize, height: usize, size: usize, vectors: &[Vector]) -> Vec<u8> {
        let (across, down) = (width / size, height / size);
        let at =
            |x: isize, y: isize| plane[y.clamp(0, height as isize - 1) as usize * width + x.clamp(0, width as isize - 1) as usize] as i32;
        let taps = |f: usize| -> Vec<i32> {
            if luma { LUMA[f].iter().map(|&t| t as i32).collect() } else { CHROMA[f].iter().map(|&t| t as i32).collect() }
        };
        let (bits, first) = if luma { (2, -3) } else { (3, -1) };
        let sample = |x: usize, y: usize, v: Vector| -> i32 {
            let (xx, yy) = (x as isize + (v.x >> bits) as isize, y as isize + (v.y >> bits) as isize);
            let (tx, ty) = (taps(v.x as usize & ((1 << bits) - 1)), taps(v.y as usize & ((1 << bits) - 1)));
            let mut s = 0;
            for (j, ty) in ty.iter().enumerate() {
                let t: i32 = (0..tx.len()).map(|i| tx[i] * at(xx + first + i as isize, yy + first + j as isize)).sum();
                assert_eq!(t, t as i16 as i32);
                s += ty * t;
            }
            ((s + 2048) >> 12).clamp(0, 255)
        };
        let weights = |p: usize| -> [i32; 3] {
            let edge: &[i32] = if luma { &[7, 5, 3, 1] } else { &[6, 2] };
            let [before, after] = [p, size - 1 - p].map(|p| edge.get(p).copied().unwrap_or(0));
            [before, 16 - before - after, after]
        };
        let mut out = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (wy, wx) = (weights(y % size), weights(x % size));
                let mut sum = 0;
                for (dy, wy) in wy.iter().enumerate() {
                    for (dx, wx) in wx.iter().enumerate() {
                        let row = (y / size + dy).max(1).min(down) - 1;
                        let column = (x / size + dx).max(1).min(across) - 1;
                        if wy * wx != 0 {
                            sum += wy * wx * sample(x, y, vectors[row * across + column]);
                        }
                    }
                }
                out.push(((sum + 128) >> 8) as u8);
            }
        }
        out
    }

    fn picture(w: usize, h: usize, r: &mut impl FnMut() -> usize) -> Planes {
        let mut p = Planes::for_size(w, h);
        for s in p.y.iter_mut().chain(&mut p.u).chain(&mut p.v) {
            *s = [0, 255, r() as u8][r() % 3];
        }
        p
    }

    /// Of eight blocks, `splits` are split.
    fn field(w: usize, h: usize, reach: usize, splits: usize, r: &mut impl FnMut() -> usize) -> Vec<Quarters> {
        let mut block = || {
            let split = r() % 8 < splits;
            let mut one = || ((r() % (2 * reach + 1)) as i32 - reach as i32).clamp(-32768, 32767) as i16;
            let mut quarters = [(); 4].map(|_| Vector { x: one(), y: one() });
            if !split {
                quarters = [quarters[0]; 4];
            }
            Quarters(quarters)
        };
        (0..w * h / 256).map(|_| block()).collect()
    }

    /// `[height / 8][width / 8]`.
    fn grid(vectors: &[Quarters], across: usize) -> Vec<Vector> {
        let at = |y: usize, x: usize| vectors[y / 2 * across + x / 2].0[y % 2 * 2 + x % 2];
        (0..vectors.len() / across * 2).flat_map(|y| (0..2 * across).map(move |x| at(y, x))).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "long")]
    fn equals_the_definition() {
        let mut r = random(7);
        for (w, h) in [(16, 16), (16, 64), (48, 16), (32, 32), (96, 80)] {
            // Reach 0: all equal. 1: most neighbours are equal. 32768: nearly all far outside.
            for (reach, splits) in [(0, 0), (1, 0), (3, 0), (60, 0), (400, 0), (32768, 0), (1, 4), (3, 1), (60, 1), (60, 8), (32768, 4)] {
                let (reference, vectors) = (picture(w, h, &mut r), field(w, h, reach, splits, &mut r));
                let by_quarters = grid(&vectors, w / 16);
                let y = plain(true, &reference.y, w, h, 8, &by_quarters);
                let [u, v] = [&reference.u, &reference.v].map(|p| plain(false, p, w / 2, h / 2, 4, &by_quarters));
                if splits == 0 {
                    // The grid of blocks says the same.
                    let blocks: Vec<Vector> = vectors.iter().map(|q| q.0[0]).collect();
                    assert!(plain(true, &reference.y, w, h, 16, &blocks) == y && plain(false, &reference.u, w / 2, h / 2, 8, &blocks) == u);
                }
                for level in Level::available() {
                    let mut out = Planes::for_size(w, h);
                    for row in 0..h / 16 {
                        compensate(level, &reference, &vectors, row..row + 1, &mut out);
                    }
                    assert!(out.y == y && out.u == u && out.v == v, "{w}x{h}, reach {reach}, {splits} of 8 split, {level:?}");
                    let mut whole = Planes::for_size(w, h);
                    compensate(level, &reference, &vectors, 0..h / 16, &mut whole);
                    assert!(whole == out, "{w}x{h}, reach {reach}, {level:?}");
                    println!("compensate {w}x{h}, reach {reach}, {splits} of 8 split: {level:?} equals the definition");
                }
            }
        }
    }

    #[test]
    fn only_these_rows_are_written() {
        let mut r = random(8);
        let (reference, vectors) = (picture(32, 64, &mut r), field(32, 64, 40, 2, &mut r));
        let mut out = Planes::for_size(32, 64);
        let before = out.clone();
        compensate(Level::best(), &reference, &vectors, 1..3, &mut out);
        assert!(out.y[..512] == before.y[..512] && out.y[1536..] == before.y[1536..]);
        assert!(out.u[..128] == before.u[..128] && out.v[384..] == before.v[384..]);
    }

    /// `cargo test --release -p lic-kernels time_ -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn time_compensate() {
        let mut r = random(9);
        let (w, h) = (640, 480);
        let reference = picture(w, h, &mut r);
        let mut out = Planes::for_size(w, h);
        let mut smooth = field(w, h, 60, 0, &mut r);
        for i in 0..smooth.len() {
            smooth[i] = smooth[i / (w / 16) / 4 * 4 * (w / 16) + i % (w / 16) / 4 * 4];
        }
        let mut few = smooth.clone();
        few.iter_mut().zip(field(w, h, 60, 1, &mut r)).filter(|(_, q)| q.one().is_none()).for_each(|(f, q)| *f = q);
        let fields = [
            ("random", field(w, h, 60, 0, &mut r)),
            ("random by 4x4 blocks", smooth),
            ("such with one block of 8 split", few),
            ("random quarters", field(w, h, 60, 8, &mut r)),
            ("zero", vec![Quarters::default(); w * h / 256]),
        ];
        for (name, vectors) in fields {
            for level in Level::available() {
                let mut ms = Vec::new();
                for _ in 0..30 {
                    let t = std::time::Instant::now();
                    compensate(level, &reference, &vectors, 0..h / 16, &mut out);
                    ms.push(t.elapsed().as_secs_f64() * 1e3);
                }
                ms.sort_by(f64::total_cmp);
                println!("compensate 640x480, {name} vectors, {level:?}: {:.2} ms (least {:.2})", ms[15], ms[0]);
            }
        }
    }
}
