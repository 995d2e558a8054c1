//! Integer depthwise 3x3 convolution at chosen positions of an int16 picture; outside counts as zero.

use crate::{Level, linear::requantise};

/// One layer's weights.
#[derive(Clone, Debug)]
pub struct Depthwise {
    channels: usize,
    /// `[9][channels]`, taps in raster order.
    weights: Vec<i16>,
    bias: Vec<i32>,
    shift: Vec<i32>,
}

impl Depthwise {
    /// `weights`: `[channels][9]`; `bias`, `shift`: `[channels]`. Nine products of int16 and int8 always fit int32.
    pub fn new(channels: usize, weights: &[i8], bias: &[i32], shift: &[u8]) -> Result<Depthwise, crate::linear::BadWeights> {
        if weights.len() != 9 * channels || bias.len() != channels || shift.len() != channels || shift.iter().any(|&s| s > 30) {
            return Err(crate::linear::BadWeights("shape"));
        }
        if bias.iter().any(|b| b.unsigned_abs() > 1 << 30) {
            return Err(crate::linear::BadWeights("sum does not fit int32"));
        }
        let weights = (0..9 * channels).map(|i| weights[i % channels * 9 + i / channels] as i16).collect();
        Ok(Depthwise { channels, weights, bias: bias.to_vec(), shift: shift.iter().map(|&s| s as i32).collect() })
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[9][channels]`, taps in raster order.
    pub fn weights(&self) -> &[i16] {
        &self.weights
    }

    pub fn bias(&self) -> &[i32] {
        &self.bias
    }

    pub fn shift(&self) -> &[i32] {
        &self.shift
    }

    /// `x`: `[height][width][channels]`; one row of `channels` for each of `positions` (raster index) is written to
    /// `out` at `stride` from `offset`.
    #[allow(clippy::too_many_arguments)]
    pub fn apply(
        &self,
        level: Level,
        x: &[i16],
        width: usize,
        height: usize,
        positions: &[u32],
        out: &mut [i16],
        stride: usize,
        offset: usize,
    ) {
        assert_eq!(x.len(), width * height * self.channels);
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is given only where the processor has AVX2.
            Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { self.avx2(x, width, height, positions, out, stride, offset) },
            _ => self.body(x, width, height, positions, out, stride, offset),
        }
    }

    /// The scalar body compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    #[allow(clippy::too_many_arguments)]
    fn avx2(&self, x: &[i16], width: usize, height: usize, positions: &[u32], out: &mut [i16], stride: usize, offset: usize) {
        self.body(x, width, height, positions, out, stride, offset)
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn body(&self, x: &[i16], width: usize, height: usize, positions: &[u32], out: &mut [i16], stride: usize, offset: usize) {
        const LANES: usize = 16;
        let c = self.channels;
        for (row, &p) in positions.iter().enumerate() {
            let (py, px) = (p as usize / width, p as usize % width);
            let out = &mut out[row * stride + offset..][..c];
            let mut first = 0;
            while first < c {
                let n = LANES.min(c - first);
                let mut sum = [0i32; LANES];
                sum[..n].copy_from_slice(&self.bias[first..first + n]);
                for tap in 0..9 {
                    let (yy, xx) = (py + tap / 3, px + tap % 3); // one more than the tap's place
                    if yy == 0 || xx == 0 || yy > height || xx > width {
                        continue;
                    }
                    let x = &x[((yy - 1) * width + xx - 1) * c + first..][..n];
                    let w = &self.weights[tap * c + first..][..n];
                    if n == LANES {
                        for i in 0..LANES {
                            sum[i] += x[i] as i32 * w[i] as i32;
                        }
                    } else {
                        for i in 0..n {
                            sum[i] += x[i] as i32 * w[i] as i32;
                        }
                    }
                }
                for i in 0..n {
                    out[first + i] = requantise(sum[i], self.shift[first + i], false);
                }
                first += n;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_agree_with_scalar() {
        let mut s = 99u64;
        let mut r = move || {
            s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (s >> 40) as i32
        };
        for (c, w, h) in [(128, 5, 4), (64, 1, 1), (256, 3, 7), (8, 2, 2)].into_iter().filter(|c| !cfg!(miri) || c.0 < 128) {
            let weights: Vec<i8> = (0..9 * c).map(|_| (r() % 255 - 127) as i8).collect();
            let bias: Vec<i32> = (0..c).map(|_| r() % 9999 - 5000).collect();
            let shift: Vec<u8> = (0..c).map(|_| (r() % 12) as u8).collect();
            let d = Depthwise::new(c, &weights, &bias, &shift).unwrap();
            let x: Vec<i16> = (0..w * h * c).map(|_| (r() % 65535 - 32767) as i16).collect();
            let positions: Vec<u32> = (0..(w * h) as u32).rev().collect();
            let run = |l| {
                let mut out = vec![0i16; w * h * (c + 3)];
                d.apply(l, &x, w, h, &positions, &mut out, c + 3, 1);
                out
            };
            for level in Level::available() {
                assert_eq!(run(level), run(Level::Scalar), "{level:?}");
                println!("depthwise {c}: {level:?} equals scalar");
            }
        }
    }
}
