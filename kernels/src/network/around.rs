//! Depthwise 3x3 convolution of bytes: bytes again.

use super::{Rows, ZERO};
use crate::{Level, linear::BadWeights};

/// Channels that one step of the AVX-512 twin takes.
pub(crate) const GROUP: usize = 64;

/// One layer.
#[derive(Clone, Debug)]
pub struct Around {
    pub(crate) channels: usize,
    /// `[9][channels]`, taps in raster order.
    weights: Vec<i8>,
    bias: Vec<i32>,
    scale: Vec<f32>,
    /// For AVX-512: of each group of channels, 3 times 4 taps, 4 times 16 channels in the order in which unpacking bytes leaves them.
    pub(crate) packed: Vec<i32>,
    /// Bias and scale in that order.
    pub(crate) packed_bias: Vec<i32>,
    pub(crate) packed_scale: Vec<f32>,
}

impl Around {
    /// `weights`: `[channels][9]`; `bias` in units of sums of weights times (byte - [`ZERO`]); `scale` as in [`Matrix`](super::Matrix).
    pub fn new(channels: usize, weights: &[i8], bias: &[i32], scale: &[f32]) -> Result<Around, BadWeights> {
        if weights.len() != 9 * channels || bias.len() != channels || scale.len() != channels || channels % 16 != 0 || channels == 0 {
            return Err(BadWeights("shape"));
        }
        if bias.iter().any(|b| b.unsigned_abs() > 1 << 29) || scale.iter().any(|&s| !(s > 0.0 && s < 0.5)) {
            return Err(BadWeights("sum does not fit int32"));
        }
        // The zero of the bytes is taken off in the bias.
        let bias: Vec<i32> =
            bias.iter().zip(weights.chunks_exact(9)).map(|(b, w)| b - ZERO as i32 * w.iter().map(|&w| w as i32).sum::<i32>()).collect();
        let groups = channels.div_ceil(GROUP);
        let mut packed = Vec::with_capacity(groups * 3 * GROUP);
        let (mut packed_bias, mut packed_scale) = (Vec::new(), Vec::new());
        for group in 0..groups {
            // Lane l of register j holds channels 16 l + 4 j ...
            let order = (0..GROUP).map(|i| group * GROUP + i % 16 / 4 * 16 + i / 16 * 4 + i % 4);
            for taps in [0, 4, 8] {
                packed.extend(order.clone().map(|c| {
                    let tap = |t: usize| if c < channels && t < 9 { weights[c * 9 + t] as u8 } else { 0 };
                    i32::from_le_bytes(std::array::from_fn(|t| tap(taps + t)))
                }));
            }
            packed_bias.extend(order.clone().map(|c| bias.get(c).copied().unwrap_or(0)));
            packed_scale.extend(order.map(|c| scale.get(c).copied().unwrap_or(0.0)));
        }
        let weights = (0..9 * channels).map(|i| weights[i % channels * 9 + i / channels]).collect();
        Ok(Around { channels, weights, bias, scale: scale.to_vec(), packed, packed_bias, packed_scale })
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `x`: rows of channels and one more of [`ZERO`]; the results of rows `from..` fill `out`.
    pub fn apply(&self, level: Level, rows: &Rows, x: &[u8], from: usize, out: &mut [u8]) {
        let n = out.len() / self.channels;
        assert!(x.len() == (rows.len() + 1) * self.channels && from + n <= rows.len() && out.len() == n * self.channels);
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is given only where the processor has the instructions; lengths were checked above, and `around` gives
            // rows of x.
            Level::Vnni => unsafe { super::x86::around(self, rows, x, from, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { self.avx2(rows, x, from, out) },
            _ => self.body(rows, x, from, out),
        }
    }

    /// The scalar body compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2(&self, rows: &Rows, x: &[u8], from: usize, out: &mut [u8]) {
        self.body(rows, x, from, out)
    }

    #[inline(always)]
    fn body(&self, rows: &Rows, x: &[u8], from: usize, out: &mut [u8]) {
        const LANES: usize = 16;
        let c = self.channels;
        for (row, out) in out.chunks_exact_mut(c).enumerate() {
            let around = rows.around(from + row);
            for first in (0..c).step_by(LANES) {
                let mut sum: [i32; LANES] = self.bias[first..first + LANES].try_into().expect("as long");
                for (tap, &r) in around.iter().enumerate() {
                    let x: &[u8; LANES] = x[r as usize * c + first..][..LANES].try_into().expect("as long");
                    let w: &[i8; LANES] = self.weights[tap * c + first..][..LANES].try_into().expect("as long");
                    for i in 0..LANES {
                        sum[i] += (x[i] as i16 * w[i] as i16) as i32;
                    }
                }
                for i in 0..LANES {
                    let v = (sum[i] as f32 * self.scale[first + i]).round_ties_even() as i32;
                    out[first + i] = (v + ZERO as i32).clamp(0, 255) as u8;
                }
            }
        }
    }
}
