//! A synthesised picture into a compensated one, with a soft border of two luma samples between them.

use crate::planes::Planes;

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

/// `out` holds the compensated picture and gets the blend; `coded` is the synthesised one; `map`:
/// `[height / 16][width / 16]`, whether a block is coded.
///
/// Of a luma sample's 5x5 neighbourhood (the picture's edge repeated), m samples lie in coded blocks:
/// out = (m * coded + (25 - m) * out + 12) / 25. Of a chroma sample, m is the sum over its four luma samples:
/// out = (m * coded + (100 - m) * out + 50) / 100.
pub fn blend(coded: &Planes, map: &[bool], out: &mut Planes) {
    let (w, h) = (out.width, out.height);
    assert_eq!((coded.width, coded.height), (w, h));
    let (across, down) = (w / 16, h / 16);
    assert_eq!(map.len(), across * down);
    let (luma, chroma): ([_; 16], [_; 8]) = (std::array::from_fn(luma_count), std::array::from_fn(chroma_count));
    for row in 0..down {
        for column in 0..across {
            let near: [[u8; 3]; 3] = std::array::from_fn(|y| {
                let y = (row + y).saturating_sub(1).min(down - 1);
                std::array::from_fn(|x| map[y * across + (column + x).saturating_sub(1).min(across - 1)] as u8)
            });
            let number: u8 = near.as_flattened().iter().sum();
            if number == 0 {
                continue;
            }
            block::<16, 25>(&coded.y, &mut out.y, w, 16 * (row * w + column), number == 9, &near, &luma);
            let (stride, at) = (w / 2, 8 * (row * w / 2 + column));
            block::<8, 100>(&coded.u, &mut out.u, stride, at, number == 9, &near, &chroma);
            block::<8, 100>(&coded.v, &mut out.v, stride, at, number == 9, &near, &chroma);
        }
    }
}

/// The `SIZE` x `SIZE` block at index `at` of a plane: a copy where all of `near` is coded, else the blend in parts of `ALL`.
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
                let mut out = old.clone();
                blend(&coded, &map, &mut out);
                assert!(out == want, "{w}x{h}, {chance} of 8 coded");
            }
        }
    }

    #[test]
    #[ignore = "a measurement"]
    fn time_blend() {
        let mut r = random(12);
        let (coded, mut out) = (Planes::for_size(640, 480), Planes::for_size(640, 480));
        let map: Vec<bool> = (0..1200).map(|_| r() % 2 == 1).collect();
        let t = std::time::Instant::now();
        for _ in 0..30 {
            blend(&coded, &map, &mut out);
        }
        println!("blend 640x480, random map: {:.2} ms", t.elapsed().as_secs_f64() * 1e3 / 30.);
    }
}
