//! Which places at 1/8 of pictures' size networks compute.

use crate::machine::{Arg, Machine};
use crate::planes::DevicePlanes;
use crate::{Buffer, Error, Result};
use lic_kernels::network::Position;
use std::sync::Arc;

/// Which places of some pictures are computed.
pub struct Places {
    rows: usize,
    /// In places at 1/8.
    width: usize,
    height: usize,
    pictures: usize,
    /// For each row its index in a grid of all pictures with a border; for each place of that grid its row, or -1.
    chosen: Option<(Buffer, Buffer)>,
}

impl Places {
    /// All places of `pictures` pictures of `width` x `height` samples, multiples of 16. Rows are the four places of each position.
    pub fn all(width: usize, height: usize, pictures: usize) -> Places {
        Places { rows: pictures * width * height / 64, width: width / 8, height: height / 8, pictures, chosen: None }
    }

    /// The places of chosen positions, four rows of each; `places`: those that their neighbours see and whose samples are written.
    fn chosen(machine: &Arc<dyn Machine>, width: usize, height: usize, pictures: usize, at: &[(usize, Position)]) -> Result<Places> {
        let (width, height) = (width / 8, height / 8);
        let mut index = Vec::with_capacity(4 * at.len());
        let mut row_of = vec![-1i32; pictures * (width + 2) * (height + 2)];
        for &(picture, p) in at {
            let (x, y) = (p.at as usize % (width / 2) * 2, p.at as usize / (width / 2) * 2);
            if picture >= pictures || y >= height {
                return Err(Error::Shape("a position outside of its picture"));
            }
            for i in 0..4 {
                let at = (picture * (height + 2) + y + i / 2 + 1) * (width + 2) + x + i % 2 + 1;
                if p.places >> i & 1 != 0 {
                    row_of[at] = index.len() as i32;
                }
                index.push(at as u32);
            }
        }
        let chosen = Some((Buffer::of(machine, &index)?, Buffer::of(machine, &row_of)?));
        Ok(Places { rows: index.len(), width, height, pictures, chosen })
    }

    /// What analysis computes for the latents of `wanted`, distinct positions (picture, raster index of 16x16 samples): their places, and
    /// those that `blocks` residual blocks look at, each one place further.
    pub fn for_latents(
        machine: &Arc<dyn Machine>,
        width: usize,
        height: usize,
        pictures: usize,
        wanted: &[(usize, u32)],
        blocks: usize,
    ) -> Result<Places> {
        let (across, down) = (width / 16, height / 16);
        let mut at = Vec::with_capacity(wanted.len());
        let mut listed = vec![false; pictures * across * down];
        let mut list = |at: &mut Vec<[usize; 3]>, [picture, x, y]: [usize; 3]| {
            if !std::mem::replace(&mut listed[(picture * down + y) * across + x], true) {
                at.push([picture, x, y]);
            }
        };
        for &(picture, p) in wanted {
            let (x, y) = (p as usize % across, p as usize / across);
            if picture >= pictures || y >= down {
                return Err(Error::Shape("a position outside of its picture"));
            }
            list(&mut at, [picture, x, y]);
        }
        if at.len() != wanted.len() {
            return Err(Error::Shape("a position is wanted twice"));
        }
        let mut from = 0;
        for _ in 0..blocks.div_ceil(2) {
            let until = at.len();
            for i in from..until {
                let [picture, x, y] = at[i];
                for y in y.saturating_sub(1)..(y + 2).min(down) {
                    (x.saturating_sub(1)..(x + 2).min(across)).for_each(|x| list(&mut at, [picture, x, y]));
                }
            }
            from = until;
        }
        let position = |[picture, x, y]: [usize; 3]| (picture, Position { at: (y * across + x) as u32, places: 15 });
        let at: Vec<_> = at.into_iter().map(position).collect();
        Places::chosen(machine, width, height, pictures, &at)
    }

    /// What synthesis computes for positions of a picture and those of their places that are listed.
    pub fn for_samples(
        machine: &Arc<dyn Machine>,
        width: usize,
        height: usize,
        pictures: usize,
        positions: &[(usize, Position)],
    ) -> Result<Places> {
        Places::chosen(machine, width, height, pictures, positions)
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn args(&self) -> [Arg; 5] {
        let (at, row_of) = self.chosen.as_ref().map_or((Arg::At(0), Arg::At(0)), |(a, r)| (a.arg(), r.arg()));
        [Arg::Int(self.rows as i32), Arg::Int(self.width as i32), Arg::Int(self.height as i32), at, row_of]
    }

    /// Whether planes hold these pictures.
    pub(crate) fn fits(&self, planes: &DevicePlanes) -> Result<()> {
        let fits = (planes.width, planes.height, planes.pictures) == (8 * self.width, 8 * self.height, self.pictures);
        if fits { Ok(()) } else { Err(Error::Shape("planes of another size than the places")) }
    }
}
