//! Strided patches times an int8 matrix: the whole analysis of a lite pack (the encoder of FRAPPE).

use crate::Level;

/// Outputs are computed in blocks of this many.
pub(crate) const BLOCK: usize = 16;

/// Samples of one plane, rows of `stride` bytes.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    pub data: &'a [u8],
    pub stride: usize,
    pub width: usize,
    pub height: usize,
}

/// Weights of patches of `size` x `size` samples of each of `planes` planes, `step` apart.
#[derive(Clone, Debug)]
pub struct Projection {
    size: usize,
    step: usize,
    planes: usize,
    outputs: usize,
    /// `[planes * size * size / 4][outputs / BLOCK][BLOCK][4]`, taps in the order plane, row, column.
    packed: Vec<i8>,
    /// The same as int16, `[planes * size * size / 2][outputs / BLOCK][BLOCK][2]`, for AVX2, whose 8-bit products saturate, and NEON, which has none of both signs.
    wide: Vec<i16>,
    /// Sum of each output's weights.
    pub sum: Vec<i32>,
}

/// Row `y` of so many patches, and blocks of 16 outputs to compute.
#[derive(Clone, Copy, Debug)]
pub struct Patches {
    pub y: usize,
    pub columns: usize,
    pub blocks: usize,
}

/// What [`Projection::row`] keeps between calls.
#[derive(Default)]
pub struct Scratch {
    band: Vec<u8>,
    wide: Vec<i16>,
}

impl Projection {
    /// `weights`: `[outputs][planes][size][size]`. `size` is a multiple of 4 and at least `step`, outputs a multiple of 16.
    pub fn new(size: usize, step: usize, planes: usize, outputs: usize, weights: &[i8]) -> Option<Projection> {
        let taps = planes * size * size;
        // 1024 taps of at most 255 * 128 stay within int32.
        let fits = size.is_multiple_of(4) && size <= 32 && step > 0 && step <= size && (size - step).is_multiple_of(2);
        if !fits || !(1..=2).contains(&planes) || outputs == 0 || !outputs.is_multiple_of(BLOCK) || weights.len() != taps * outputs {
            return None;
        }
        let (mut packed, mut wide) = (vec![0; taps * outputs], vec![0; taps * outputs]);
        for o in 0..outputs {
            for t in 0..taps {
                packed[((t / 4 * (outputs / BLOCK) + o / BLOCK) * BLOCK + o % BLOCK) * 4 + t % 4] = weights[o * taps + t];
                wide[((t / 2 * (outputs / BLOCK) + o / BLOCK) * BLOCK + o % BLOCK) * 2 + t % 2] = weights[o * taps + t] as i16;
            }
        }
        let sum = weights.chunks_exact(taps).map(|w| w.iter().map(|&w| w as i32).sum()).collect();
        Some(Projection { size, step, planes, outputs, packed, wide, sum })
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Sums of a row of patches: `out[column][outputs]`, the first `blocks` * 16 of each column's. The first patch begins
    /// (size - step) / 2 before the picture; samples outside are those of its border.
    pub fn row(&self, level: Level, planes: &[Samples], row: Patches, scratch: &mut Scratch, out: &mut [i32]) {
        let Patches { y, columns, blocks } = row;
        assert!(planes.len() == self.planes && out.len() == columns * self.outputs);
        assert!(blocks * BLOCK <= self.outputs && columns > 0 && blocks > 0);
        let width = self.step * (columns - 1) + self.size;
        scratch.band.resize(self.planes * self.size * width, 0);
        for (plane, band) in planes.iter().zip(scratch.band.chunks_exact_mut(self.size * width)) {
            self.fill(plane, y, width, band);
        }
        let band = Band { samples: &scratch.band, width, columns, blocks };
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: Level::available() and best() give this level only where the processor has the instructions; the band holds
            // `size` whole rows of each plane for every column, and `out` every column's outputs.
            Level::Vnni => unsafe { super::x86::vnni(self, &band, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::AvxVnni => unsafe { super::x86::avxvnni(self, &band, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe {
                scratch.wide.clear();
                scratch.wide.extend(band.samples.iter().map(|&s| s as i16));
                super::x86::avx2(self, &band, &scratch.wide, out)
            },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above; every 64-bit ARM has NEON.
            Level::Neon => unsafe {
                scratch.wide.clear();
                scratch.wide.extend(band.samples.iter().map(|&s| s as i16));
                super::neon::projection(self, &band, &scratch.wide, out)
            },
            _ => self.scalar(&band, out),
        }
    }

    /// The rows that row `y` of patches covers, with the border repeated.
    fn fill(&self, p: &Samples, y: usize, width: usize, band: &mut [u8]) {
        let before = (self.size - self.step) / 2;
        for (i, row) in band.chunks_exact_mut(width).enumerate() {
            let line = (y * self.step + i).saturating_sub(before).min(p.height - 1);
            let line = &p.data[line * p.stride..][..p.width];
            let n = p.width.min(width - before);
            row[..before].fill(line[0]);
            row[before..before + n].copy_from_slice(&line[..n]);
            row[before + n..].fill(line[p.width - 1]);
        }
    }

    fn scalar(&self, band: &Band, out: &mut [i32]) {
        let blocks = self.outputs / BLOCK;
        for (column, out) in out.chunks_exact_mut(self.outputs).enumerate() {
            for (b, out) in out.chunks_exact_mut(BLOCK).take(band.blocks).enumerate() {
                let mut sum = [0i32; BLOCK];
                for line in 0..self.planes * self.size {
                    let samples = &band.samples[line * band.width + column * self.step..][..self.size];
                    for (k, four) in samples.chunks_exact(4).enumerate() {
                        let w = &self.packed[((line * (self.size / 4) + k) * blocks + b) * 4 * BLOCK..][..4 * BLOCK];
                        for (s, w) in sum.iter_mut().zip(w.chunks_exact(4)) {
                            *s += (0..4).map(|i| four[i] as i32 * w[i] as i32).sum::<i32>();
                        }
                    }
                }
                out.copy_from_slice(&sum);
            }
        }
    }

    pub(crate) fn wide(&self) -> &[i16] {
        &self.wide
    }

    pub(crate) fn shape(&self) -> (usize, usize, usize, usize, &[i8]) {
        (self.size, self.step, self.planes, self.outputs, &self.packed)
    }
}

/// Rows under one row of patches.
pub(crate) struct Band<'a> {
    pub samples: &'a [u8],
    pub width: usize,
    pub columns: usize,
    pub blocks: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::tests::random;

    #[test]
    fn twins_agree_with_scalar() {
        let mut r = random(3);
        for (size, step, planes, outputs, w, h) in
            [(24, 16, 1, 96, 150, 40), (12, 8, 2, 32, 75, 20), (16, 16, 1, 48, 16, 16), (24, 16, 1, 16, 5, 3)]
        {
            let weights: Vec<i8> =
                (0..planes * size * size * outputs).map(|_| (r() % 255) as i32 as u8 as i8).map(|w| w.max(-127)).collect();
            let p = Projection::new(size, step, planes, outputs, &weights).expect("shape");
            let data: Vec<Vec<u8>> =
                (0..planes).map(|_| (0..(w + 3) * h).map(|_| if r().is_multiple_of(3) { 255 } else { r() as u8 }).collect()).collect();
            let samples: Vec<Samples> = data.iter().map(|d| Samples { data: d, stride: w + 3, width: w, height: h }).collect();
            let columns = w.div_ceil(step);
            for y in 0..h.div_ceil(step) {
                for blocks in 1..=outputs / BLOCK {
                    let mut expect = vec![0; columns * outputs];
                    p.row(Level::Scalar, &samples, Patches { y, columns, blocks }, &mut Scratch::default(), &mut expect);
                    for level in Level::available() {
                        let mut got = vec![0; columns * outputs];
                        p.row(level, &samples, Patches { y, columns, blocks }, &mut Scratch::default(), &mut got);
                        assert_eq!(got, expect, "{level:?} {size} {outputs}");
                    }
                }
            }
        }
    }

    #[test]
    fn borders_are_repeated() {
        // One output that sums its patch: a flat picture gives the same everywhere, whatever lies outside.
        let p = Projection::new(12, 8, 1, 16, &[1; 12 * 12 * 16]).expect("shape");
        let data = [7u8; 13 * 9];
        let plane = Samples { data: &data, stride: 13, width: 13, height: 9 };
        for y in 0..2 {
            let mut out = vec![0; 2 * 16];
            p.row(Level::best(), &[plane], Patches { y, columns: 2, blocks: 1 }, &mut Scratch::default(), &mut out);
            assert!(out.iter().all(|&v| v == 7 * 144), "{out:?}");
        }
    }
}
