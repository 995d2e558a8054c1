//! Motion between pictures, for many pictures at a time.

use crate::machine::{Arg, Launch, Machine};
use crate::planes::DevicePlanes;
use crate::{Buffer, Error, Result};
use lic_kernels::motion::search::MARGIN;
use lic_kernels::motion::{Quarters, Vector};
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
    launch("compensate", reference, &vectors.buffer, out, [4, 4])
}

/// A synthesised picture into a compensated one; `map`: `[pictures][height / 16][width / 16]` bytes, 1 where a block is coded.
pub fn blend(coded: &DevicePlanes, map: &Buffer, out: &mut DevicePlanes) -> Result<()> {
    check(coded, out, map.len())?;
    launch("blend", coded, map, out, [16, 2])
}

fn check(a: &DevicePlanes, b: &DevicePlanes, blocks: usize) -> Result<()> {
    let same = (a.width, a.height, a.pictures) == (b.width, b.height, b.pictures) && blocks == a.pictures * a.width * a.height / 256;
    if same { Ok(()) } else { Err(Error::Shape("pictures of different sizes, or another number of blocks")) }
}

/// A thread for so many columns and lines.
fn launch(kernel: &'static str, from: &DevicePlanes, blocks: &Buffer, to: &mut DevicePlanes, each: [usize; 2]) -> Result<()> {
    let mut args = from.args().to_vec();
    args.extend([Arg::Int(from.width as i32), Arg::Int(from.height as i32), blocks.arg()]);
    args.extend(to.args());
    let block = [32, 4, 1];
    let grid = [(from.width / each[0]).div_ceil(32) as u32, (from.height / each[1]).div_ceil(4) as u32, from.pictures as u32];
    // SAFETY: the kernel's parameters; sizes were checked.
    unsafe { blocks.machine().launch(&Launch { kernel, grid, block, shared: 0, args: &args }) }
}

/// The luma of some pictures at half positions.
pub struct SearchPlanes {
    buffer: Buffer,
    width: usize,
    height: usize,
    pictures: usize,
}

impl SearchPlanes {
    /// For pictures of the size and number of `like`.
    pub fn new(machine: &Arc<dyn Machine>, like: &DevicePlanes) -> Result<SearchPlanes> {
        let size = (like.width + 2 * MARGIN) * (like.height + 2 * MARGIN);
        let buffer = Buffer::new(machine, 4 * size * like.pictures)?;
        Ok(SearchPlanes { buffer, width: like.width, height: like.height, pictures: like.pictures })
    }

    pub fn refill(&mut self, from: &DevicePlanes) -> Result<()> {
        self.fits(from)?;
        let args = [from.args()[0], Arg::Int(self.width as i32), Arg::Int(self.height as i32), self.buffer.arg()];
        let (across, down) = ((self.width + 2 * MARGIN) / 4, (self.height + 2 * MARGIN) / 4);
        let grid = [across.div_ceil(32) as u32, down.div_ceil(4) as u32, self.pictures as u32];
        // SAFETY: the kernel's parameters; sizes were checked.
        unsafe { self.buffer.machine().launch(&Launch { kernel: "search_planes", grid, block: [32, 4, 1], shared: 0, args: &args }) }
    }

    /// `[pictures][4][height + 80][width + 80]`.
    pub fn read(&self) -> Result<Vec<u8>> {
        self.buffer.read()
    }

    /// Sums of absolute and of squared differences of all blocks of `current` at `each` vectors (`[blocks][each]`, two int16) of them:
    /// `out`, `[blocks][each][2]` u32; `u32::MAX` where a vector leaves the planes.
    pub fn differences(&self, current: &DevicePlanes, vectors: &Buffer, each: usize, out: &mut Buffer) -> Result<()> {
        self.fits(current)?;
        let count = self.pictures * self.width * self.height / 256;
        if vectors.len() < 4 * count * each || out.len() < 8 * count * each || count * each >= 1 << 26 {
            return Err(Error::Shape("another number of vectors"));
        }
        let int = |v: usize| Arg::Int(v as i32);
        let planes = [current.args()[0], self.buffer.arg()];
        let args = [int(count), int(each), planes[0], planes[1], int(self.width), int(self.height), vectors.arg(), out.arg()];
        let grid = [(count * each).div_ceil(4) as u32, 1, 1];
        // SAFETY: the kernel's parameters; sizes were checked.
        unsafe { self.buffer.machine().launch(&Launch { kernel: "differences", grid, block: [128, 1, 1], shared: 0, args: &args }) }
    }

    fn fits(&self, planes: &DevicePlanes) -> Result<()> {
        let same = (self.width, self.height, self.pictures) == (planes.width, planes.height, planes.pictures);
        if same { Ok(()) } else { Err(Error::Shape("pictures of different sizes")) }
    }
}

/// Vectors as [`SearchPlanes::differences`] takes them.
pub fn pairs(vectors: &[Vector]) -> Vec<i16> {
    vectors.iter().flat_map(|v| [v.x, v.y]).collect()
}
