//! The entropy model's integer layers.

use crate::machine::{Arg, Launch, Machine};
use crate::weights::{THREADS, TILE, Width, fragments, padded, threads, tile_bytes};
use crate::{Buffer, Error, Result};
use std::sync::Arc;

/// A 1x1 convolution.
pub struct Linear {
    inputs: usize,
    outputs: usize,
    weights: Buffer,
    bias: Buffer,
    shift: Buffer,
    leaky: bool,
}

impl Linear {
    /// Layers whose inputs are a multiple of eight.
    pub fn new(machine: &Arc<dyn Machine>, l: &lic_kernels::Linear) -> Result<Linear> {
        if !l.inputs().is_multiple_of(8) {
            return Err(Error::Shape("a layer's inputs are no multiple of eight"));
        }
        Ok(Linear {
            inputs: l.inputs(),
            outputs: l.outputs(),
            weights: Buffer::of(machine, &fragments(l.inputs(), l.outputs(), Width::Bytes, |o, i| l.weight(o, i)))?,
            bias: Buffer::of(machine, &padded(l.bias()))?,
            shift: Buffer::of(machine, &padded(l.shift()))?,
            leaky: l.leaky(),
        })
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `x`: `rows` rows of `inputs` int16; `bias`: instead of the layer's own, `outputs` int32 from a byte of a buffer on that is
    /// padded to whole groups of 32.
    pub fn run(&self, x: &Buffer, rows: usize, bias: Option<(&Buffer, usize)>, out: &mut Buffer) -> Result<()> {
        if x.len() < 2 * rows * self.inputs || out.len() < 2 * rows * self.outputs {
            return Err(Error::Shape("too few rows"));
        }
        let bias = match bias {
            Some((b, from)) if from + 4 * self.outputs.next_multiple_of(32) > b.len() || from % 16 != 0 => {
                return Err(Error::Shape("too few biases"));
            }
            Some((b, from)) => b.from(from),
            None => self.bias.arg(),
        };
        let int = |v: usize| Arg::Int(v as i32);
        let args = [
            int(rows),
            x.arg(),
            int(self.inputs),
            out.arg(),
            int(self.outputs),
            self.weights.arg(),
            bias,
            self.shift.arg(),
            int(self.leaky as usize),
        ];
        let grid = [rows.div_ceil(TILE) as u32, 1, 1];
        if rows == 0 {
            return Ok(());
        }
        let launch =
            Launch { kernel: "linear", grid, block: [threads(self.outputs), 1, 1], shared: tile_bytes(self.inputs, 2), args: &args };
        // SAFETY: the kernel's parameters; sizes were checked.
        unsafe { x.machine().launch(&launch) }
    }
}

/// A depthwise 3x3 convolution.
pub struct Depthwise {
    channels: usize,
    taps: Buffer,
    bias: Buffer,
    shift: Buffer,
}

/// Rows of int16 in a buffer: every `stride` values, from `offset` on.
pub struct Rows<'a> {
    pub buffer: &'a mut Buffer,
    pub stride: usize,
    pub offset: usize,
}

impl Depthwise {
    /// Layers whose channels are a multiple of eight.
    pub fn new(machine: &Arc<dyn Machine>, d: &lic_kernels::Depthwise) -> Result<Depthwise> {
        if !d.channels().is_multiple_of(8) {
            return Err(Error::Shape("a layer's channels are no multiple of eight"));
        }
        Ok(Depthwise {
            channels: d.channels(),
            taps: Buffer::of(machine, &fours(d))?,
            bias: Buffer::of(machine, d.bias())?,
            shift: Buffer::of(machine, d.shift())?,
        })
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `x`: `[pictures][height][width][channels]` int16; `positions`: raster indices over all pictures, u32, with how many they are;
    /// without them, all.
    pub fn run(&self, x: &Buffer, size: [usize; 3], positions: Option<(&Buffer, usize)>, out: Rows) -> Result<()> {
        let [pictures, height, width] = size;
        let count = positions.map_or(pictures * height * width, |(_, n)| n);
        if count == 0 {
            return Ok(());
        }
        let fits = x.len() >= 2 * pictures * height * width * self.channels
            && positions.is_none_or(|(p, n)| p.len() >= 4 * n)
            && out.buffer.len() >= 2 * ((count - 1) * out.stride + out.offset + self.channels)
            && out.stride.is_multiple_of(8)
            && out.offset.is_multiple_of(8);
        if !fits {
            return Err(Error::Shape("activations of another size"));
        }
        let int = |v: usize| Arg::Int(v as i32);
        let args = [
            int(count),
            positions.map_or(Arg::At(0), |(p, _)| p.arg()),
            x.arg(),
            int(width),
            int(height),
            int(self.channels),
            out.buffer.arg(),
            int(out.stride),
            int(out.offset),
            self.taps.arg(),
            self.bias.arg(),
            self.shift.arg(),
        ];
        let grid = [(count * self.channels / 8).div_ceil(THREADS as usize) as u32, 1, 1];
        // SAFETY: the kernel's parameters; sizes were checked. Positions are the caller's raster indices: those beyond the pictures are
        // refused by nobody, so this function is not for what a stranger sent.
        unsafe { x.machine().launch(&Launch { kernel: "depthwise", grid, block: [THREADS, 1, 1], shared: 0, args: &args }) }
    }
}

/// Taps as the kernel takes them: `[3][channels]` of four, the last of one.
fn fours(d: &lic_kernels::Depthwise) -> Vec<u8> {
    let c = d.channels();
    let tap = |t: usize, i: usize| if t < 9 { d.weights()[t * c + i] as u8 } else { 0 };
    (0..12 * c).map(|i| tap(i / (4 * c) * 4 + i % 4, i / 4 % c)).collect()
}
