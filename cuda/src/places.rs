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

    /// Chosen places: `at` has (picture, column, line) of each row, and whether its neighbours see it and its samples are written.
    pub fn chosen(machine: &Arc<dyn Machine>, width: usize, height: usize, pictures: usize, at: &[([usize; 3], bool)]) -> Result<Places> {
        let (width, height) = (width / 8, height / 8);
        let mut index = Vec::with_capacity(at.len());
        let mut row_of = vec![-1i32; pictures * (width + 2) * (height + 2)];
        for (row, &([picture, x, y], seen)) in at.iter().enumerate() {
            if picture >= pictures || x >= width || y >= height {
                return Err(Error::Shape("a place outside of its picture"));
            }
            let i = (picture * (height + 2) + y + 1) * (width + 2) + x + 1;
            index.push(i as u32);
            if seen {
                row_of[i] = row as i32;
            }
        }
        let chosen = Some((Buffer::of(machine, &index)?, Buffer::of(machine, &row_of)?));
        Ok(Places { rows: at.len(), width, height, pictures, chosen })
    }

    /// What analysis computes for the latents of `wanted`, distinct positions (picture, raster index of 16x16 samples): their places, and
    /// those at most `blocks` places away, which residual blocks look at.
    pub fn for_latents(
        machine: &Arc<dyn Machine>,
        width: usize,
        height: usize,
        pictures: usize,
        wanted: &[(usize, u32)],
        blocks: usize,
    ) -> Result<Places> {
        let (w, h) = (width / 8, height / 8);
        let mut at = Vec::with_capacity(4 * wanted.len());
        let mut listed = vec![false; pictures * w * h];
        let mut list = |at: &mut Vec<[usize; 3]>, place: [usize; 3]| {
            let [picture, x, y] = place;
            if !std::mem::replace(&mut listed[(picture * h + y) * w + x], true) {
                at.push(place);
            }
        };
        for &(picture, p) in wanted {
            let (x, y) = (p as usize % (w / 2) * 2, p as usize / (w / 2) * 2);
            if picture >= pictures || y >= h {
                return Err(Error::Shape("a position outside of its picture"));
            }
            (0..4).for_each(|i| list(&mut at, [picture, x + i % 2, y + i / 2]));
        }
        if at.len() != 4 * wanted.len() {
            return Err(Error::Shape("a position is wanted twice"));
        }
        let mut from = 0;
        for _ in 0..blocks {
            let until = at.len();
            for i in from..until {
                let [picture, x, y] = at[i];
                for y in y.saturating_sub(1)..(y + 2).min(h) {
                    (x.saturating_sub(1)..(x + 2).min(w)).for_each(|x| list(&mut at, [picture, x, y]));
                }
            }
            from = until;
        }
        let at: Vec<_> = at.into_iter().map(|p| (p, true)).collect();
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
        let across = width / 16;
        let places = |&(picture, p): &(usize, Position)| {
            let (x, y) = (p.at as usize % across * 2, p.at as usize / across * 2);
            [0, 1, 2, 3].map(|i| ([picture, x + i % 2, y + i / 2], p.places >> i & 1 != 0))
        };
        let at: Vec<_> = positions.iter().flat_map(places).collect();
        Places::chosen(machine, width, height, pictures, &at)
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
