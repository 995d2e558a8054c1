//! Weights in the order in which a warp takes them: kernels/cuda/tile.cuh.

use crate::{Buffer, Machine, Result};
use std::sync::Arc;

/// Outputs that a warp computes at a time.
const COLUMNS: usize = 32;
/// Inputs that one tensor core instruction takes.
const STEP: usize = 32;

/// The parts of weights that count: int8 as they are, int16 as higher, signed bytes and lower ones.
#[derive(Clone, Copy)]
pub(crate) enum Width {
    Bytes,
    Words,
}

/// `weight(output, input)` of a layer.
pub(crate) fn fragments(inputs: usize, outputs: usize, width: Width, weight: impl Fn(usize, usize) -> i32) -> Vec<u8> {
    let shifts: &[u32] = match width {
        Width::Bytes => &[0],
        Width::Words => &[8, 0],
    };
    let (groups, steps) = (outputs.div_ceil(COLUMNS), inputs.div_ceil(STEP));
    let mut out = Vec::with_capacity(shifts.len() * groups * steps * COLUMNS * STEP);
    for shift in shifts {
        for group in 0..groups {
            for step in 0..steps {
                for i in 0..COLUMNS * STEP {
                    // [two pairs of tiles][32 lanes][two tiles][two halves of the step][4 bytes]
                    let (pair, lane, tile, half, byte) = (i / 512, i / 16 % 32, i / 8 % 2, i / 4 % 2, i % 4);
                    let (column, quarter) = (lane / 4, lane % 4);
                    // A lane's outputs follow each other over the tiles.
                    let output = group * COLUMNS + column / 2 * 8 + (2 * pair + tile) * 2 + column % 2;
                    let input = step * STEP + half * 16 + quarter * 4 + byte;
                    let inside = output < outputs && input < inputs;
                    out.push(if inside { (weight(output, input) >> shift) as u8 } else { 0 });
                }
            }
        }
    }
    out
}

/// Values for whole groups of outputs.
pub(crate) fn padded<T: Copy + Default>(values: &[T]) -> Vec<T> {
    let mut out = values.to_vec();
    out.resize(values.len().next_multiple_of(COLUMNS), T::default());
    out
}

/// A layer's weights, bias, and what scales its sums.
pub(crate) struct Layer {
    pub weights: Buffer,
    pub bias: Buffer,
    pub scale: Buffer,
}

impl Layer {
    pub fn new(machine: &Arc<dyn Machine>, m: &lic_kernels::network::Matrix) -> Result<Layer> {
        let width = if m.wide() { Width::Words } else { Width::Bytes };
        Ok(Layer {
            weights: Buffer::of(machine, &fragments(m.inputs(), m.outputs(), width, |o, i| m.weight(o, i)))?,
            bias: Buffer::of(machine, &padded(m.bias()))?,
            scale: Buffer::of(machine, &padded(m.scale()))?,
        })
    }
}

/// Rows of a thread block.
pub(crate) const TILE: usize = 64;
/// Threads of one.
pub(crate) const THREADS: u32 = 128;

/// Threads of one for so many outputs: of at most four warps as many as leave the fewest idle in the last round.
pub(crate) fn threads(outputs: usize) -> u32 {
    let groups = outputs.div_ceil(COLUMNS);
    let best = (1..=4).min_by_key(|&w| (groups.div_ceil(w) * w, 4 - w)).expect("four of them");
    32 * best as u32
}

/// Bytes of shared memory that a tile of rows takes, in `planes` planes of bytes.
pub(crate) fn tile_bytes(inputs: usize, planes: usize) -> usize {
    planes * TILE * (inputs.next_multiple_of(32) + 16)
}
