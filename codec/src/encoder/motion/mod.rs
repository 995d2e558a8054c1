//! Motion at the encoder: vectors, the compensated picture, and what copying each block would cost in pixels.

mod decide;
mod outcome;
mod search;

pub(super) use decide::Moved;
pub(super) use outcome::Outcome;

use crate::held::HeldFrame;
use crate::model::Pack;
use crate::motion::{self, Kind, Networks, areas, dilate};
use crate::prior::Kernels;
use lic_kernels::motion::{Quarters, SearchPlane, block_error};
use lic_kernels::planes::Planes;

/// One reference, compensated for the frame to code.
pub(super) struct Plan {
    pub reference: u32,
    /// Of every position.
    pub vectors: Vec<Quarters>,
    pub prediction: Planes,
    /// Error of each block if it copies: 0.75 x squared error of luma + 1.25 x that of chroma.
    pub copy_error: Vec<f32>,
    /// What [`Outcome`] tells of each position.
    pub excess: Vec<f32>,
    /// Positions where copying errs enough that coding may pay.
    pub candidates: Vec<bool>,
    /// Latents before gain of the compensated picture, `[positions][channels]`, around candidates.
    pub base: Vec<f32>,
}

/// How a frame lies in its slices.
pub(super) struct Layout {
    pub columns: usize,
    pub rows: usize,
    pub slices: usize,
}

/// What a block and a vector may cost.
#[derive(Clone, Copy)]
pub(super) struct Prices {
    /// Pixel error (as [`Plan::copy_error`]) that a bit is worth.
    pub bit: f32,
}

impl Plan {
    /// Searches vectors against the made picture of `frame` and compensates.
    pub fn new(
        kernels: Kernels,
        current: &Planes,
        frame: &HeldFrame,
        picture: &Planes,
        search: &mut SearchPlane,
        layout: &Layout,
        prices: Prices,
    ) -> Plan {
        let Kernels { level, threads } = kernels;
        search.refill(level, &picture.y, picture.width, picture.height);
        let (w, h) = (layout.columns, layout.rows);
        let pair = search::Pair { level, current, search, prices };
        let slices = (0..layout.slices).map(|i| crate::slice_latent_rows(h, i, layout.slices));
        let bands: Vec<_> = slices.flat_map(|r| r.clone().step_by(BAND).map(move |y| y..(y + BAND).min(r.end))).collect();
        let parts = crate::parallel(threads, bands.len(), |i| search::band(pair, frame, w, bands[i].clone()));
        let vectors = parts.concat();
        let prediction = motion::compensate(level, &[(0..h, Some(picture))], &vectors, threads).expect("there is a reference");
        let copy_error: Vec<f32> = (0..w * h).map(|p| block_error(level, current, &prediction, p % w, p / w)).collect();
        let candidates = copy_error.iter().map(|&e| e > LEAST_BITS * prices.bit).collect();
        Plan { reference: frame.number, vectors, prediction, copy_error, excess: Vec::new(), candidates, base: Vec::new() }
    }

    /// Fills in `base`.
    pub fn analyse(&mut self, networks: &mut Networks, pack: &Pack, layout: &Layout) -> crate::error::Result<()> {
        // As far as synthesis will look: codec/BITSTREAM.md, section "Pictures".
        self.base = analyse_around(networks, pack, &self.prediction, &self.candidates, layout)?;
        Ok(())
    }
}

/// Rows that are searched one after the other; bands of them in parallel.
const BAND: usize = 16;

/// A coded block costs at least about so many bits: where copying errs less than they are worth nothing else is tried.
const LEAST_BITS: f32 = 16.0;

/// Latents before gain of a picture, `[positions][channels]`, right at the set positions and their neighbours.
pub(super) fn analyse_around(
    networks: &mut Networks,
    pack: &Pack,
    planes: &Planes,
    map: &[bool],
    layout: &Layout,
) -> crate::error::Result<Vec<f32>> {
    let (m, w, h) = (pack.prior.channels, layout.columns, layout.rows);
    let mut out = vec![0f32; m * w * h];
    for area in areas(&dilate(map, w, 1), w) {
        let area = area.grown(w, h);
        let y = networks.analyse(Kind::Fast, planes, area, m)?;
        for (row, p) in y.chunks_exact(m).zip(area.positions(w)) {
            out[p * m..][..m].copy_from_slice(row);
        }
    }
    Ok(out)
}
