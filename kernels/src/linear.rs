//! Integer 1x1 convolution: rows of int16 activations times an int8 matrix, summed in int32, rounded back to int16.
//!
//! `out = clamp16((sum(w * x) + bias + round) >> shift)`, then `max(v, v >> 3)` where the layer is leaky. Addition of
//! integers is associative, so every order, SIMD width and processor gives the same bits.

use crate::Level;

/// Outputs are computed in blocks of this many.
pub(crate) const BLOCK: usize = 16;

/// One layer's weights, packed for the kernels.
#[derive(Clone, Debug)]
pub struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// `[outputs / BLOCK][inputs / 2][BLOCK][2]`: what one multiply-add of pairs takes at a time.
    pub(crate) packed: Vec<i16>,
    bias: Vec<i32>,
    pub(crate) shift: Vec<i32>,
    /// Half of what the shift takes off, for rounding.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // others round scalar sums
    pub(crate) round: Vec<i32>,
    pub(crate) leaky: bool,
    /// What the bias of each output may be at most.
    headroom: Vec<i64>,
}

/// Why weights were refused.
#[derive(Debug, PartialEq, Eq)]
pub struct BadWeights(pub &'static str);

impl Linear {
    /// `weights`: `[outputs][inputs]`; `bias`, `shift`: `[outputs]`. Refuses what could overflow int32 for any input.
    pub fn new(inputs: usize, outputs: usize, weights: &[i8], bias: &[i32], shift: &[u8], leaky: bool) -> Result<Linear, BadWeights> {
        if !inputs.is_multiple_of(2)
            || !outputs.is_multiple_of(BLOCK)
            || weights.len() != inputs * outputs
            || bias.len() != outputs
            || shift.len() != outputs
        {
            return Err(BadWeights("shape"));
        }
        if shift.iter().any(|&s| s > 30) {
            return Err(BadWeights("shift"));
        }
        let headroom = weights
            .chunks_exact(inputs)
            .zip(shift)
            .map(|(row, &s)| (1i64 << 31) - 1 - row.iter().map(|&w| (w as i64).abs()).sum::<i64>() * 32767 - (1i64 << s));
        let headroom: Vec<i64> = headroom.collect();
        let mut packed = vec![0i16; inputs * outputs];
        for o in 0..outputs {
            for i in 0..inputs {
                packed[((o / BLOCK * (inputs / 2) + i / 2) * BLOCK + o % BLOCK) * 2 + i % 2] = weights[o * inputs + i] as i16;
            }
        }
        let shift: Vec<i32> = shift.iter().map(|&s| s as i32).collect();
        let round = shift.iter().map(|&s| (1 << s) >> 1).collect();
        let layer = Linear { inputs, outputs, packed, bias: bias.to_vec(), shift, round, leaky, headroom };
        if layer.takes_bias(bias) { Ok(layer) } else { Err(BadWeights("sum does not fit int32")) }
    }

    /// Whether `apply` may be given this bias: no input makes a sum leave int32.
    pub fn takes_bias(&self, bias: &[i32]) -> bool {
        bias.len() == self.outputs && bias.iter().zip(&self.headroom).all(|(&b, &room)| (b as i64).abs() < room)
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    pub fn weight(&self, output: usize, input: usize) -> i32 {
        self.packed[((output / BLOCK * (self.inputs / 2) + input / 2) * BLOCK + output % BLOCK) * 2 + input % 2] as i32
    }

    pub fn bias(&self) -> &[i32] {
        &self.bias
    }

    pub fn shift(&self) -> &[i32] {
        &self.shift
    }

    /// Whether a leaky ReLU follows.
    pub fn leaky(&self) -> bool {
        self.leaky
    }

    /// `x`: rows of `inputs`; `bias`: replaces the layer's own if given; `out`: as many rows of `outputs`.
    pub fn apply(&self, level: Level, x: &[i16], bias: Option<&[i32]>, out: &mut [i16]) {
        let rows = x.len() / self.inputs;
        let bias = bias.unwrap_or(&self.bias);
        assert_eq!((x.len(), out.len(), bias.len()), (rows * self.inputs, rows * self.outputs, self.outputs));
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: Level::available() and best() give these levels only where the processor has the instructions;
            // slice lengths were checked above.
            Level::Vnni => unsafe { crate::linear_x86::vnni(self, x, bias, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 | Level::AvxVnni => unsafe { crate::linear_x86::avx2(self, x, bias, out) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: every 64-bit ARM has NEON.
            Level::Neon => unsafe { crate::linear_neon::apply(self, x, bias, out) },
            _ => self.scalar(x, bias, out),
        }
    }

    fn scalar(&self, x: &[i16], bias: &[i32], out: &mut [i16]) {
        for (row, out) in x.chunks_exact(self.inputs).zip(out.chunks_exact_mut(self.outputs)) {
            for (b, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                let mut sum = [0i32; BLOCK];
                let weights = &self.packed[b * self.inputs * BLOCK..][..self.inputs * BLOCK];
                for (pair, w) in row.chunks_exact(2).zip(weights.chunks_exact(2 * BLOCK)) {
                    for o in 0..BLOCK {
                        sum[o] += pair[0] as i32 * w[2 * o] as i32 + pair[1] as i32 * w[2 * o + 1] as i32;
                    }
                }
                self.finish(b, &sum, bias, out);
            }
        }
    }

    /// Sums of one block of outputs -> activations.
    #[inline(always)]
    pub(crate) fn finish(&self, block: usize, sum: &[i32; BLOCK], bias: &[i32], out: &mut [i16]) {
        let (bias, shift) = (&bias[block * BLOCK..][..BLOCK], &self.shift[block * BLOCK..][..BLOCK]);
        for o in 0..BLOCK {
            out[o] = requantise(sum[o].wrapping_add(bias[o]), shift[o], self.leaky);
        }
    }
}

/// Rounds half up, clamps to +-32767, applies the leaky ReLU.
#[inline(always)]
pub(crate) fn requantise(sum: i32, shift: i32, leaky: bool) -> i16 {
    let v = (sum.wrapping_add((1 << shift) >> 1) >> shift).clamp(-32767, 32767);
    (if leaky { v.max(v >> 3) } else { v }) as i16
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small deterministic generator is enough to fill test arrays.
    pub(crate) fn random(seed: u64) -> impl FnMut() -> u32 {
        let mut s = seed | 1;
        move || {
            s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (s >> 33) as u32
        }
    }

    #[test]
    fn twins_agree_with_scalar() {
        let mut r = random(7);
        let sizes = [(64, 128, 1), (336, 192, 7), (128, 256, 37), (2, 16, 5), (6, 48, 21), (448, 256, 12)];
        for (inputs, outputs, rows) in sizes.into_iter().filter(|s| !cfg!(miri) || s.0 * s.1 * s.2 < 10_000) {
            let weights: Vec<i8> = (0..inputs * outputs).map(|_| (r() % 255) as i32 as u8 as i8).map(|w| w.max(-127)).collect();
            let bias: Vec<i32> = (0..outputs).map(|_| r() as i32 % 100_000).collect();
            let shift: Vec<u8> = (0..outputs).map(|_| (r() % 14) as u8).collect();
            for leaky in [false, true] {
                let layer = match Linear::new(inputs, outputs, &weights, &bias, &shift, leaky) {
                    Ok(l) => l,
                    Err(e) => panic!("{e:?}"),
                };
                let x: Vec<i16> = (0..rows * inputs).map(|_| (r() % 65535) as i32 as u16 as i16).map(|v| v.max(-32767)).collect();
                let mut expect = vec![0; rows * outputs];
                layer.apply(Level::Scalar, &x, None, &mut expect);
                for level in Level::available() {
                    let mut got = vec![0; rows * outputs];
                    layer.apply(level, &x, None, &mut got);
                    assert_eq!(got, expect, "{level:?} {inputs}x{outputs}x{rows}");
                    println!("linear {inputs}x{outputs}: {level:?} equals scalar");
                }
            }
        }
    }

    #[test]
    fn refuses_overflow() {
        let w = vec![127i8; 600 * 16];
        assert!(Linear::new(600, 16, &w, &[0; 16], &[0; 16], false).is_err());
    }
}
