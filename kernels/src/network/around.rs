//! Depthwise 3x3 convolution, of bytes or int16.

use super::{Lane, Rows};
use crate::parallel::Shared;
use crate::{Level, linear::BadWeights};

/// Channels that one step of the AVX-512 twin takes.
pub(crate) const GROUP: usize = 64;
/// Channels that one step of the other twins takes.
pub(crate) const LANES: usize = 16;

/// One layer.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // some layouts are of one twin only
pub struct Around {
    pub(crate) channels: usize,
    /// `[9][channels]`, taps in raster order.
    pub(crate) weights: Vec<i16>,
    pub(crate) bias: Vec<i32>,
    pub(crate) scale: Vec<f32>,
    /// For AVX2: `[channels / LANES][5 pairs of taps][2][8]` times two weights, in the order in which unpacking leaves channels.
    pub(crate) pairs: Vec<i32>,
    /// For AVX-512 and bytes: of each group of channels, 3 times 4 taps, 4 times 16 channels in the order in which unpacking leaves them.
    pub(crate) packed: Vec<i32>,
    /// Bias and scale in that order.
    pub(crate) packed_bias: Vec<i32>,
    pub(crate) packed_scale: Vec<f32>,
    bytes: bool,
}

impl Around {
    /// `weights`: `[channels][9]`, within int8 for bytes; `bias` in units of sums of weights times (activation - zero); `scale` as in
    /// [`Matrix`](super::Matrix). Refuses what could overflow for any input.
    pub fn new<L: Lane>(channels: usize, weights: &[i16], bias: &[i32], scale: &[f32]) -> Result<Around, BadWeights> {
        if weights.len() != 9 * channels
            || bias.len() != channels
            || scale.len() != channels
            || !channels.is_multiple_of(LANES)
            || channels == 0
        {
            return Err(BadWeights("shape"));
        }
        let bytes = L::FAR < 256;
        for ((w, b), s) in weights.chunks_exact(9).zip(bias).zip(scale) {
            let far = w.iter().map(|&w| (w as i64).abs()).sum::<i64>() * L::FAR * 2 + (*b as i64).abs();
            let fits = far < 1 << 31 && *s > 0.0 && far as f64 * (*s as f64) < (1u64 << 29) as f64;
            if !fits || w.iter().any(|&w| w == i16::MIN || bytes && !(-127..=127).contains(&w)) {
                return Err(BadWeights("sum does not fit int32"));
            }
        }
        // What stands for zero is taken off in the bias.
        let bias: Vec<i32> =
            bias.iter().zip(weights.chunks_exact(9)).map(|(b, w)| b - L::OFFSET * w.iter().map(|&w| w as i32).sum::<i32>()).collect();
        let tap = |c: usize, t: usize| if c < channels && t < 9 { weights[c * 9 + t] } else { 0 };
        let mut pairs = Vec::with_capacity(channels * 5);
        for first in (0..channels).step_by(LANES) {
            for t in (0..10).step_by(2) {
                for i in 0..LANES {
                    // Register h, half l, word w holds channel 8 l + 4 h + w.
                    let c = first + i % 8 / 4 * 8 + i / 8 * 4 + i % 4;
                    pairs.push((tap(c, t) as u16 as u32 | (tap(c, t + 1) as u16 as u32) << 16) as i32);
                }
            }
        }
        let groups = if bytes { channels.div_ceil(GROUP) } else { 0 };
        let (mut packed, mut packed_bias, mut packed_scale) = (Vec::new(), Vec::new(), Vec::new());
        for group in 0..groups {
            // Lane l of register j holds channels 16 l + 4 j ...
            let order = (0..GROUP).map(|i| group * GROUP + i % 16 / 4 * 16 + i / 16 * 4 + i % 4);
            for taps in [0, 4, 8] {
                packed.extend(order.clone().map(|c| i32::from_le_bytes(std::array::from_fn(|t| tap(c, taps + t) as u8))));
            }
            packed_bias.extend(order.clone().map(|c| bias.get(c).copied().unwrap_or(0)));
            packed_scale.extend(order.map(|c| scale.get(c).copied().unwrap_or(0.0)));
        }
        let weights = (0..9 * channels).map(|i| weights[i % channels * 9 + i / channels]).collect();
        Ok(Around { channels, weights, bias, scale: scale.to_vec(), pairs, packed, packed_bias, packed_scale, bytes })
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[9][channels]`, taps in raster order.
    pub fn weights(&self) -> &[i16] {
        &self.weights
    }

    /// In units of sums of weights times activations as they are stored.
    pub fn bias(&self) -> &[i32] {
        &self.bias
    }

    pub fn scale(&self) -> &[f32] {
        &self.scale
    }

    /// The results of rows `from..` fill `out`. `x`: a row of channels for each of `rows` and one more of what stands for zero.
    ///
    /// # Safety
    /// Nobody writes the rows around these meanwhile.
    pub(crate) unsafe fn apply<L: Lane>(&self, level: Level, rows: &Rows, x: Shared<L>, from: usize, out: &mut [L]) {
        let n = out.len() / self.channels;
        assert!(x.len() == (rows.len() + 1) * self.channels && from + n <= rows.len() && out.len() == n * self.channels);
        assert_eq!(self.bytes, L::FAR < 256);
        let x = x.first();
        // SAFETY: lengths were checked above, and `around` gives rows of x, which nobody writes; the level is given only where the processor
        // has the instructions.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 | Level::AvxVnni | Level::Vnni => L::around_x86(level, self, rows, x, from, out),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => L::around_neon(self, rows, x, from, out),
                _ => self.scalar(rows, x, from, out),
            }
        }
    }

    /// # Safety
    /// As [`apply`](Around::apply), with its lengths.
    unsafe fn scalar<L: Lane>(&self, rows: &Rows, x: *const L, from: usize, out: &mut [L]) {
        let c = self.channels;
        for (row, out) in out.chunks_exact_mut(c).enumerate() {
            let around = rows.around(from + row);
            for (i, out) in out.iter_mut().enumerate() {
                // SAFETY: channel i of a row of x.
                let tap = |t: usize| unsafe { *x.add(around[t] as usize * c + i) }.value() * self.weights[t * c + i] as i32;
                let sum = self.bias[i] + (0..9).map(tap).sum::<i32>();
                *out = L::saturating((sum as f32 * self.scale[i]).round_ties_even() as i32 + L::OFFSET);
            }
        }
    }
}
