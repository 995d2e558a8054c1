//! Raw pictures to planes and back, and the float networks' channels.

use super::networks::{random_pictures, same_planes};
use super::{Machine, Outcome, Random, bits, said, same};
use lic_cuda::Buffer;
use lic_cuda::planes::{DevicePlanes, Layout, Lines, pack, unpack};
use lic_kernels::planes::{self, Planes, RgbMatrix};
use lic_kernels::shuffle;

/// A buffer of random bytes with lines of so many, somewhere in it.
struct Raw {
    data: Vec<u8>,
    offset: usize,
    stride: usize,
    step: usize,
}

impl Raw {
    fn new(r: &mut Random, pictures: usize, lines: usize, bytes: usize) -> Raw {
        // Half of them so that whole words can be read.
        let unit = [1, 16][r.below(2)];
        let stride = (bytes + r.below(40)).next_multiple_of(unit);
        let (offset, step) = (r.below(3) * unit, (stride * lines + r.below(50)).next_multiple_of(unit));
        // Nothing lies behind the last line: what reads further is seen by a sanitizer.
        let data = (0..offset + step * (pictures - 1) + stride * (lines - 1) + bytes).map(|_| r.below(256) as u8).collect();
        Raw { data, offset, stride, step }
    }

    fn picture(&self, i: usize) -> &[u8] {
        &self.data[self.offset + i * self.step..]
    }

    fn lines<'a>(&self, buffer: &'a Buffer) -> Lines<'a> {
        Lines { buffer, offset: self.offset, stride: self.stride, step: self.step }
    }
}

const FORMATS: usize = 9;

/// The result counts blocks of 8x2 samples.
pub fn unpacked(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(17), 0);
    for round in 0..rounds * FORMATS {
        let (w, h, n) = ([1 + r.below(40), 16 * (1 + r.below(8))][r.below(2)], 1 + r.below(40), 1 + r.below(3));
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let format = round % FORMATS;
        let size = match format {
            4 | 5 => (h, 4 * cw),
            6 | 8 => (h, 3 * w),
            7 => (h, 4 * w),
            _ => (h, w),
        };
        let first = Raw::new(&mut r, n, size.0, size.1);
        let second = Raw::new(&mut r, n, ch, if format == 0 { cw } else { 2 * cw });
        let third: Vec<u8> = second.data.iter().map(|v| v.wrapping_mul(7)).collect();
        let [a, b, c] = [&first.data, &second.data, &third].map(|d| Buffer::of(machine, d));
        let (a, b, c) = (a.map_err(said)?, b.map_err(said)?, c.map_err(said)?);
        let order = [[0, 1, 2], [2, 1, 0], [1, 2, 0]][r.below(3)];
        let order4 = order.map(|o| o + r.below(1) + (round / FORMATS) % 2);
        let layout = match format {
            0 => Layout::Planar { y: first.lines(&a), uv: Some([second.lines(&b), second.lines(&c)]) },
            1 => Layout::Planar { y: first.lines(&a), uv: None },
            2 | 3 => Layout::Interleaved { y: first.lines(&a), c: second.lines(&b), swapped: format == 3 },
            4 | 5 => Layout::Packed422 { lines: first.lines(&a), luma: format - 4 },
            6 | 8 => Layout::Rgb { lines: first.lines(&a), bytes: 3, order },
            _ => Layout::Rgb { lines: first.lines(&a), bytes: 4, order: order4 },
        };
        let mut on = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
        unpack(&layout, w, h, &mut on).map_err(said)?;
        for (i, got) in on.read().map_err(said)?.iter().enumerate() {
            let mut p = Planes::for_size(w, h);
            let (pw, from) = (p.width, first.picture(i));
            match format {
                0..=3 => {
                    planes::copy(from, first.stride, &mut p.y, pw, w, h);
                    let s = second.stride;
                    match format {
                        0 => {
                            planes::copy(second.picture(i), s, &mut p.u, pw / 2, cw, ch);
                            planes::copy(&third[second.offset + i * second.step..], s, &mut p.v, pw / 2, cw, ch);
                        }
                        2 => planes::split(second.picture(i), s, &mut p.u, &mut p.v, pw / 2, cw, ch),
                        3 => planes::split(second.picture(i), s, &mut p.v, &mut p.u, pw / 2, cw, ch),
                        _ => {}
                    }
                }
                4 | 5 => planes::packed_422(from, first.stride, format - 4, w, h, &mut p),
                6 | 8 => planes::rgb(from, first.stride, 3, order, w, h, &mut p),
                _ => planes::rgb(from, first.stride, 4, order4, w, h, &mut p),
            }
            p.extend(w, h);
            same_planes(&format!("format {format}, picture {i} of {w}x{h}, stride {}", first.stride), got, &p)?;
            cases += p.width * p.height / 16;
        }
    }
    Ok(cases)
}

/// As [`unpacked`].
pub fn packed(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(19), 0);
    for round in 0..rounds * 4 {
        let (w, h, n) = ([1 + r.below(40), 16 * (1 + r.below(8))][r.below(2)], 1 + r.below(40), 1 + r.below(3));
        let (cw, ch, format) = (w.div_ceil(2), h.div_ceil(2), round % 4);
        let pictures = random_pictures(&mut r, n, w, h);
        let mut on = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
        on.write(&pictures).map_err(said)?;
        let first = Raw::new(&mut r, n, h, if format == 3 { 3 * w } else { w });
        let second = Raw::new(&mut r, n, ch, if format == 2 { 2 * cw } else { cw });
        let buffer = |d: &Raw| Buffer::of(machine, &d.data).map_err(said);
        let (a, b, c) = (buffer(&first)?, buffer(&second)?, buffer(&second)?);
        let order = [[0, 1, 2], [2, 1, 0], [1, 2, 0]][r.below(3)];
        let layout = match format {
            0 => Layout::Planar { y: first.lines(&a), uv: Some([second.lines(&b), second.lines(&c)]) },
            1 => Layout::Planar { y: first.lines(&a), uv: None },
            2 => Layout::Interleaved { y: first.lines(&a), c: second.lines(&b), swapped: false },
            _ => Layout::Rgb { lines: first.lines(&a), bytes: 3, order },
        };
        let matrix = RgbMatrix::new([0.2126, 0.299][r.below(2)], [0.0722, 0.114][r.below(2)], r.below(2) == 0);
        pack(&on, matrix, w, h, &layout).map_err(said)?;
        // What lies between lines stays.
        let [mut x, mut y, mut z] = [&first.data, &second.data, &second.data].map(|d| d.clone());
        for (i, p) in pictures.iter().enumerate() {
            let (pw, s) = (p.width, second.stride);
            let (x, y) = (&mut x[first.offset + i * first.step..], &mut y[second.offset + i * second.step..]);
            if format == 3 {
                planes::to_rgb(p, matrix, order, x, first.stride, w, h);
                continue;
            }
            planes::copy(&p.y, pw, x, first.stride, w, h);
            match format {
                0 => {
                    planes::copy(&p.u, pw / 2, y, s, cw, ch);
                    planes::copy(&p.v, pw / 2, &mut z[second.offset + i * second.step..], s, cw, ch);
                }
                2 => {
                    // The last line may be shorter than its stride.
                    for line in 0..ch {
                        let from = line * pw / 2;
                        planes::interleave(&p.u[from..], &p.v[from..], pw / 2, &mut y[line * s..][..2 * cw], 2 * cw, cw, 1);
                    }
                }
                _ => {}
            }
        }
        let what = format!("format {format}, {n} pictures of {w}x{h}, stride {}", first.stride);
        same(&format!("{what}, first plane"), &a.read::<u8>().map_err(said)?, &x)?;
        same(&format!("{what}, second plane"), &b.read::<u8>().map_err(said)?, &y)?;
        same(&format!("{what}, third plane"), &c.read::<u8>().map_err(said)?, &z)?;
        cases += pictures.iter().map(|p| p.width * p.height / 16).sum::<usize>();
    }
    Ok(cases)
}

/// The result counts values.
pub fn channels(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(23), 0);
    for _ in 0..rounds {
        let (w, h, n) = (16 * (1 + r.below(5)), 16 * (1 + r.below(5)), 1 + r.below(3));
        let pictures = random_pictures(&mut r, n, w, h);
        let mut on = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
        on.write(&pictures).map_err(said)?;
        let (mut expected, mut one) = (Vec::new(), Vec::new());
        for p in &pictures {
            shuffle::pack(p, &mut one);
            expected.extend_from_slice(&one);
        }
        let mut to = Buffer::new(machine, 4 * expected.len()).map_err(said)?;
        on.to_channels(&mut to).map_err(said)?;
        same("to channels", &bits(&to.read::<f32>().map_err(said)?), &bits(&expected))?;
        // Values out of range too, and none at all.
        let values: Vec<f32> =
            expected.iter().map(|v| if r.below(50) == 0 { f32::NAN } else { v + r.around(200) as f32 / 150.0 }).collect();
        to.write(&values).map_err(said)?;
        on.from_channels(&to).map_err(said)?;
        let (bw, bh) = (w / 8, h / 8);
        for (got, v) in on.read().map_err(said)?.iter().zip(values.chunks_exact(96 * bw * bh)) {
            let mut p = Planes::for_size(w, h);
            shuffle::depth_to_plane::<8>(&v[..64 * bw * bh], bw, bh, &mut p.y, w, 1, w, h);
            shuffle::depth_to_plane::<4>(&v[64 * bw * bh..80 * bw * bh], bw, bh, &mut p.u, w / 2, 1, w / 2, h / 2);
            shuffle::depth_to_plane::<4>(&v[80 * bw * bh..], bw, bh, &mut p.v, w / 2, 1, w / 2, h / 2);
            same_planes("from channels", got, &p)?;
        }
        cases += 2 * values.len();
    }
    Ok(cases)
}
