//! 1x1 convolution: rows of bytes (or int16) times int8 (or int16) weights, summed in int32 and scaled back.

use super::{SLOPE, ZERO_LEAKY};
use crate::{Level, linear::BadWeights};

/// Outputs are computed in blocks of this many.
pub(crate) const BLOCK: usize = 16;

/// Weights of a layer, `[outputs][inputs]`. int16 go with int16 activations, int8 with bytes.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    Bytes(&'a [i8]),
    Words(&'a [i16]),
}

/// Activations that a layer takes: rows of `inputs`.
#[derive(Clone, Copy)]
pub enum In<'a> {
    Bytes(&'a [u8]),
    Words(&'a [i16]),
}

/// What becomes of v = sum * scale: where rows of `outputs` go.
pub enum Out<'a> {
    /// Bytes behind the leaky ReLU, with [`ZERO_LEAKY`](super::ZERO_LEAKY) for zero.
    Leaky(&'a mut [u8]),
    /// Words behind the leaky ReLU.
    LeakyWords(&'a mut [i16]),
    /// Rounded and added to what is there, saturating.
    Add(&'a mut [i16]),
    /// Rounded, saturating.
    Words(&'a mut [i16]),
    /// Rounded, saturating: code values of samples.
    Codes(&'a mut [u8]),
    /// As it is.
    Floats(&'a mut [f32]),
}

impl Out<'_> {
    fn len(&self) -> usize {
        match self {
            Out::Leaky(o) | Out::Codes(o) => o.len(),
            Out::Add(o) | Out::Words(o) | Out::LeakyWords(o) => o.len(),
            Out::Floats(o) => o.len(),
        }
    }
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) wide: bool,
    /// `[outputs / BLOCK][inputs / 4][BLOCK]` times four int8, or `[..][inputs / 2][..]` times two int16: what one multiply-add takes.
    pub(crate) packed: Vec<i32>,
    /// The int8 once more, for AVX2.
    #[cfg(target_arch = "x86_64")]
    pub(crate) chains: super::chains::Chains,
    pub(crate) bias: Vec<i32>,
    pub(crate) scale: Vec<f32>,
}

impl Matrix {
    /// `bias`: in units of the sums; `scale`: what a unit of a sum is in units of the output. Refuses what could overflow for any input,
    /// and pairs of int8 weights whose products with two bytes could leave int16 (AVX2 adds them so).
    pub fn new(inputs: usize, outputs: usize, weights: Weights, bias: &[i32], scale: &[f32]) -> Result<Matrix, BadWeights> {
        let (n, lanes, most) = match weights {
            Weights::Bytes(w) => (w.len(), 4, 255i64),
            Weights::Words(w) => (w.len(), 2, 32768),
        };
        if n != inputs * outputs
            || bias.len() != outputs
            || scale.len() != outputs
            || !inputs.is_multiple_of(lanes)
            || !outputs.is_multiple_of(BLOCK)
            || n == 0
        {
            return Err(BadWeights("shape"));
        }
        let at = |o: usize, i: usize| match weights {
            Weights::Bytes(w) => w[o * inputs + i] as i64,
            Weights::Words(w) => w[o * inputs + i] as i64,
        };
        for o in 0..outputs {
            let row = || (0..inputs).map(|i| at(o, i));
            let far = row().map(i64::abs).sum::<i64>() * most + (bias[o] as i64).abs();
            // Behind the scale there is room for what is added.
            if far >= 1 << 31 || !(scale[o] > 0.0 && far as f64 * (scale[o] as f64) < (1u64 << 29) as f64) {
                return Err(BadWeights("sum does not fit int32"));
            }
            let pairs = |i: usize| (at(o, i).max(0) + at(o, i + 1).max(0)).max(-at(o, i).min(0) - at(o, i + 1).min(0));
            if lanes == 4 && (0..inputs).step_by(2).any(|i| pairs(i) > 128 || at(o, i) == -128) {
                return Err(BadWeights("two products do not fit int16"));
            }
        }
        let mut packed = Vec::with_capacity(n / lanes);
        for block in 0..outputs / BLOCK {
            for k in 0..inputs / lanes {
                for o in block * BLOCK..(block + 1) * BLOCK {
                    packed.push(match weights {
                        Weights::Bytes(w) => i32::from_le_bytes(std::array::from_fn(|i| w[o * inputs + 4 * k + i] as u8)),
                        Weights::Words(w) => {
                            let [a, b] = [w[o * inputs + 2 * k].to_le_bytes(), w[o * inputs + 2 * k + 1].to_le_bytes()];
                            i32::from_le_bytes([a[0], a[1], b[0], b[1]])
                        }
                    });
                }
            }
        }
        Ok(Matrix {
            inputs,
            outputs,
            wide: lanes == 2,
            packed,
            #[cfg(target_arch = "x86_64")]
            chains: super::chains::Chains::new(inputs, outputs, weights),
            bias: bias.to_vec(),
            scale: scale.to_vec(),
        })
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether activations and weights are int16.
    pub fn wide(&self) -> bool {
        self.wide
    }

    pub fn weight(&self, output: usize, input: usize) -> i32 {
        let lanes = if self.wide { 2 } else { 4 };
        let word = self.packed[(output / BLOCK * (self.inputs / lanes) + input / lanes) * BLOCK + output % BLOCK].to_le_bytes();
        match input % lanes {
            i if self.wide => i16::from_le_bytes([word[2 * i], word[2 * i + 1]]) as i32,
            i => word[i] as i8 as i32,
        }
    }

    pub fn bias(&self) -> &[i32] {
        &self.bias
    }

    pub fn scale(&self) -> &[f32] {
        &self.scale
    }

    /// As many rows as `out` holds; their number must be that of `x`.
    pub fn apply(&self, level: Level, x: In, out: Out) {
        let rows = out.len() / self.outputs;
        let given = match x {
            In::Bytes(x) => (x.len(), !self.wide),
            In::Words(x) => (x.len(), self.wide),
        };
        assert_eq!((given, out.len()), ((rows * self.inputs, true), rows * self.outputs));
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: Level::available() and best() give these levels only where the processor has the instructions; lengths and the
            // kind of activations were checked above.
            Level::Vnni => unsafe { super::x86::vnni(self, x, rows, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::AvxVnni => unsafe { super::x86::avx_vnni(self, x, rows, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { super::x86::avx2(self, x, rows, out) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: every 64-bit ARM has NEON.
            Level::Neon => unsafe { super::neon::matrix(self, x, rows, out) },
            _ => self.scalar(x, rows, out),
        }
    }

    fn scalar(&self, x: In, rows: usize, mut out: Out) {
        let lanes = if self.wide { 2 } else { 4 };
        let (n, k) = (self.outputs, self.inputs / lanes);
        for row in 0..rows {
            for block in 0..n / BLOCK {
                let mut sum: [i32; BLOCK] = self.bias[block * BLOCK..][..BLOCK].try_into().expect("a block");
                let weights = &self.packed[block * k * BLOCK..][..k * BLOCK];
                for (i, w) in weights.chunks_exact(BLOCK).enumerate() {
                    for (s, w) in sum.iter_mut().zip(w) {
                        let b = w.to_le_bytes();
                        *s += match x {
                            In::Bytes(x) => (0..4).map(|l| x[row * self.inputs + 4 * i + l] as i32 * b[l] as i8 as i32).sum::<i32>(),
                            In::Words(x) => {
                                let x = &x[row * self.inputs + 2 * i..];
                                x[0] as i32 * i16::from_le_bytes([b[0], b[1]]) as i32
                                    + x[1] as i32 * i16::from_le_bytes([b[2], b[3]]) as i32
                            }
                        };
                    }
                }
                finish(&sum, &self.scale[block * BLOCK..][..BLOCK], &mut out, row * n + block * BLOCK);
            }
        }
    }
}

/// Sums of one block with their bias -> outputs from `i`.
#[inline(always)]
pub(crate) fn finish(sum: &[i32; BLOCK], scale: &[f32], out: &mut Out, i: usize) {
    let values = sum.iter().zip(scale).map(|(s, scale)| *s as f32 * scale);
    let round = |v: f32| v.round_ties_even() as i32;
    let word = |v: i32| v.clamp(-32768, 32767) as i16;
    let at = i..i + BLOCK;
    match out {
        Out::Leaky(o) => {
            o[at].iter_mut().zip(values).for_each(|(o, v)| *o = (round(v.max(v * SLOPE)) + ZERO_LEAKY as i32).clamp(0, 255) as u8)
        }
        Out::Add(o) => o[at].iter_mut().zip(values).for_each(|(o, v)| *o = word(round(v) + *o as i32)),
        Out::LeakyWords(o) => o[at].iter_mut().zip(values).for_each(|(o, v)| *o = word(round(v.max(v * SLOPE)))),
        Out::Words(o) => o[at].iter_mut().zip(values).for_each(|(o, v)| *o = word(round(v))),
        Out::Codes(o) => o[at].iter_mut().zip(values).for_each(|(o, v)| *o = round(v).clamp(0, 255) as u8),
        Out::Floats(o) => o[at].iter_mut().zip(values).for_each(|(o, v)| *o = v),
    }
}
