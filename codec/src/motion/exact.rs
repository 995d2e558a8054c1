//! Pictures by the integer networks: the same on every machine, whoever makes them.

use super::picture::{Base, Pending};
use super::{Mode, around};
use crate::device::{OnDevice, Which};
use crate::error::{Error, Result};
use crate::model::{Integers, Pack};
use lic_kernels::Level;
use lic_kernels::motion;
use lic_kernels::network::Position;
use lic_kernels::planes::Planes;
use std::ops::Range;
use std::sync::Arc;

/// A pack's integer networks and what computes them.
#[derive(Clone)]
pub(crate) struct Exact {
    pub pack: Arc<Pack>,
    pub level: Level,
    pub threads: usize,
    /// Instead of the CPU, as long as it computes.
    pub device: Option<Arc<OnDevice>>,
}

impl Exact {
    fn integers(&self) -> Result<&Integers> {
        // Packs with a prior for kind motion have them; the decoder asks before it reads such a slice.
        self.pack.integers.as_ref().ok_or_else(|| Error::Pack("no integer networks".into()))
    }

    /// Adds to `base` what it lacks of the set positions in `rows`, which count as a picture of their own, by the integer network.
    pub fn analyse_at(&self, planes: &Planes, rows: Range<usize>, map: &[bool], base: &mut Base) -> Result<()> {
        let (columns, m) = (planes.width / 16, self.pack.channels);
        let n = columns * (planes.height / 16);
        base.values.resize(n * m, 0.0);
        base.known.resize(n, false);
        let first = rows.start * columns;
        let wanted: Vec<u32> = (first..rows.end * columns).filter(|&p| map[p] && !base.known[p]).map(|p| (p - first) as u32).collect();
        let y = self.analysis(planes, rows, &wanted)?;
        for (p, y) in wanted.iter().map(|&p| p as usize + first).zip(y.chunks_exact(m)) {
            base.values[p * m..][..m].copy_from_slice(y);
            base.known[p] = true;
        }
        Ok(())
    }

    fn analysis(&self, planes: &Planes, rows: Range<usize>, wanted: &[u32]) -> Result<Vec<f32>> {
        if let Some(device) = &self.device
            && let Some(y) = device.attempt(|d| d.analyse(planes, rows.clone(), wanted))?
        {
            return Ok(y);
        }
        Ok(self.integers()?.analysis.run(self.level, self.threads, planes, rows, wanted))
    }

    fn synthesis(
        &self,
        which: Which,
        positions: &[Position],
        latents: impl Fn(usize, &mut [f32]) + Sync,
        rows: Range<usize>,
        out: &mut Planes,
    ) -> Result<()> {
        if let Some(device) = &self.device {
            let m = self.pack.channels;
            let mut all = vec![0f32; positions.len() * m];
            let each = positions.len().div_ceil(self.threads.max(1)).max(1);
            let parts: Vec<_> = all.chunks_mut(each * m).enumerate().collect();
            lic_kernels::parallel::each(parts, |(i, part)| {
                part.chunks_exact_mut(m).enumerate().for_each(|(k, row)| latents(i * each + k, row));
            });
            if device.attempt(|d| d.synthesise(which, positions, &all, rows.clone(), out))?.is_some() {
                return Ok(());
            }
        }
        let integers = self.integers()?;
        match which {
            Which::Parts => integers.synthesis.run(self.level, self.threads, positions, latents, rows, out),
            Which::Whole => integers.whole.run(self.level, self.threads, positions, latents, rows, out),
        }
        Ok(())
    }

    /// Makes the picture of a frame of `columns` latent columns; `own`: its latents.
    pub fn make(&self, own: &[i32], pending: Pending, columns: usize) -> Result<Planes> {
        let m = self.pack.channels;
        let rows = own.len() / m / columns;
        let Pending { step, modes, prediction, mut base, coded, alone } = pending;
        let Some(mut picture) = prediction else { return self.whole(own, columns, rows) };
        let mut synthesised = Planes::for_size(16 * columns, 16 * rows);
        let map: Vec<bool> = modes.iter().map(|m| *m != Mode::Copy).collect();
        let mut row_of = vec![u32::MAX; modes.len()];
        coded.positions.iter().enumerate().for_each(|(row, &p)| row_of[p as usize] = row as u32);
        // From latents before gain to what synthesis takes.
        let prior = self.pack.prior();
        let scale: Vec<f32> =
            prior.gains(step).iter().zip(prior.step_sizes(step)).map(|(g, &d)| (*g as f64 * d as f64 / 65536.0) as f32).collect();
        let all = 0..rows;
        let parts = if alone.is_empty() { std::slice::from_ref(&all) } else { &alone[..] };
        for rows in parts {
            let first = rows.start * columns;
            let positions = around(&map[first..rows.end * columns], columns);
            let mut wanted = vec![false; modes.len()];
            let places = positions.iter().map(|p| p.at as usize + first);
            places.filter(|&p| modes[p] != Mode::Own).for_each(|p| wanted[p] = true);
            self.analyse_at(&picture, rows.clone(), &wanted, &mut base)?;
            let latents = |i: usize, row: &mut [f32]| {
                let p = positions[i].at as usize + first;
                if modes[p] == Mode::Own {
                    return in_units(&own[p * m..], row);
                }
                row.iter_mut().zip(&base.values[p * m..]).zip(&scale).for_each(|((r, b), s)| *r = b * s);
                if row_of[p] != u32::MAX {
                    let d = &coded.difference[row_of[p] as usize * m..];
                    row.iter_mut().zip(d).for_each(|(r, &d)| *r += d as f32 * (1.0 / 65536.0));
                }
            };
            self.synthesis(Which::Parts, &positions, latents, rows.clone(), &mut synthesised)?;
            motion::blend(self.level, self.threads, &synthesised, &map, rows.clone(), &mut picture);
        }
        Ok(picture)
    }

    /// A whole picture from a frame's own latents.
    fn whole(&self, own: &[i32], columns: usize, rows: usize) -> Result<Planes> {
        let mut out = Planes::for_size(16 * columns, 16 * rows);
        let positions: Vec<_> = (0..(columns * rows) as u32).map(|at| Position { at, places: 15 }).collect();
        let m = self.pack.prior().channels;
        let latents = |i: usize, row: &mut [f32]| in_units(&own[i * m..], row);
        self.synthesis(Which::Whole, &positions, latents, 0..rows, &mut out)?;
        Ok(out)
    }
}

/// Latents in units of what synthesis takes.
pub(super) fn in_units(from: &[i32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(t, &v)| *t = v as f32 * (1.0 / 65536.0));
}
