//! Motion between pictures, for many pictures at a time.

use crate::machine::{Arg, Launch, Machine};
use crate::planes::DevicePlanes;
use crate::{Buffer, Error, Result};
use lic_kernels::motion::Quarters;
use std::sync::Arc;

/// Vectors of all blocks of some pictures, `[pictures][height / 16][width / 16]`.
pub struct Vectors {
    buffer: Buffer,
    blocks: usize,
}

impl Vectors {
    pub fn of(machine: &Arc<dyn Machine>, vectors: &[Quarters]) -> Result<Vectors> {
        Ok(Vectors { buffer: Buffer::of(machine, &words(vectors))?, blocks: vectors.len() })
    }

    /// As many others.
    pub fn write(&mut self, vectors: &[Quarters]) -> Result<()> {
        if vectors.len() != self.blocks {
            return Err(Error::Shape("another number of vectors"));
        }
        self.buffer.write(&words(vectors))
    }
}

fn words(vectors: &[Quarters]) -> Vec<i16> {
    vectors.iter().flat_map(|q| q.0).flat_map(|v| [v.x, v.y]).collect()
}

/// Predicts `out` from `reference`, of the same size.
pub fn compensate(reference: &DevicePlanes, vectors: &Vectors, out: &mut DevicePlanes) -> Result<()> {
    check(reference, out, vectors.blocks)?;
    launch("compensate", reference, &vectors.buffer, out, 4)
}

/// A synthesised picture into a compensated one; `map`: `[pictures][height / 16][width / 16]` bytes, 1 where a block is coded.
pub fn blend(coded: &DevicePlanes, map: &Buffer, out: &mut DevicePlanes) -> Result<()> {
    check(coded, out, map.len())?;
    launch("blend", coded, map, out, 2)
}

fn check(a: &DevicePlanes, b: &DevicePlanes, blocks: usize) -> Result<()> {
    let same = (a.width, a.height, a.pictures) == (b.width, b.height, b.pictures) && blocks == a.pictures * a.width * a.height / 256;
    if same { Ok(()) } else { Err(Error::Shape("pictures of different sizes, or another number of blocks")) }
}

/// A thread for each four columns of `lines` lines.
fn launch(kernel: &'static str, from: &DevicePlanes, blocks: &Buffer, to: &mut DevicePlanes, lines: usize) -> Result<()> {
    let mut args = from.args().to_vec();
    args.extend([Arg::Int(from.width as i32), Arg::Int(from.height as i32), blocks.arg()]);
    args.extend(to.args());
    let block = [32, 4, 1];
    let grid = [(from.width / 4).div_ceil(32) as u32, (from.height / lines).div_ceil(4) as u32, from.pictures as u32];
    // SAFETY: the kernel's parameters; sizes were checked.
    unsafe { blocks.machine().launch(&Launch { kernel, grid, block, shared: 0, args: &args }) }
}
