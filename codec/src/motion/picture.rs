//! The picture of a frame: compensated blocks, synthesis around what is coded, and the blend at the borders between them
//! (codec/BITSTREAM.md, section "Pictures"). Encoder and decoder make their pictures here.

use super::Mode;
use super::exact::{Exact, in_units};
use crate::device::{Device, Entropy};
use crate::error::{Error, Result};
use crate::held::{Held, HeldFrame, Picture};
use crate::model::{Network, Pack, Runtime};
use crate::threads::Threads;
use lic_kernels::motion::{self, Quarters};
use lic_kernels::planes::{Bands, Planes};
use lic_kernels::{Level, shuffle};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What a frame's picture is made from, beside its latents.
#[derive(Default)]
pub(crate) struct Pending {
    pub step: u8,
    /// Of every position; empty: all are `Own`.
    pub modes: Vec<Mode>,
    /// The compensated picture, of frames with slices of kind `motion`.
    pub prediction: Option<Planes>,
    /// Latents of the compensated picture, as far as they are known already.
    pub base: Base,
    /// Coded differences of latents.
    pub coded: Coded,
    /// Rows that are made each by themselves; empty: all together. Rows in none of them stay compensated.
    pub alone: Vec<Range<usize>>,
}

/// Latents before gain at some positions of a picture.
#[derive(Default)]
pub(crate) struct Base {
    /// `[positions][channels]`; empty: none is known.
    pub values: Vec<f32>,
    /// Of each position.
    pub known: Vec<bool>,
}

/// Differences of latents where they are coded.
#[derive(Default)]
pub(crate) struct Coded {
    /// Raster indices.
    pub positions: Vec<u32>,
    /// `[positions of those][channels]` in 1/65536.
    pub difference: Vec<i32>,
}

/// The networks of a pack.
pub(crate) struct Networks {
    pub exact: Exact,
    /// The entropy model of slices without a reference, where a device computes it.
    pub entropy: Option<Entropy>,
    /// Float, for whole pictures at the encoder.
    analysis: Option<Network>,
    /// Float, for packs without integer networks.
    synthesis: Option<Network>,
    packed: Vec<f32>,
}

impl Networks {
    /// For whole pictures to be analysed as well. Takes about 50 ms.
    pub fn for_encoder(runtime: &Runtime, pack: &Arc<Pack>, level: Level, threads: usize, device: Option<&Device>) -> Result<Networks> {
        // The encoder of a lite pack computes no network and makes no pictures.
        let lite = pack.lite.is_some();
        let analysis = (!lite).then(|| Network::new(runtime, &pack.analysis, threads)).transpose()?;
        let synthesis = (!lite && pack.integers.is_none()).then(|| Network::new(runtime, &pack.synthesis, threads)).transpose()?;
        Networks::new(pack, level, threads, device, analysis, synthesis)
    }

    /// `synthesis`: the float network, for packs without integer ones.
    pub fn for_decoder(
        runtime: &Runtime,
        pack: &Arc<Pack>,
        synthesis: &[u8],
        level: Level,
        threads: usize,
        device: Option<&Device>,
    ) -> Result<Networks> {
        let synthesis = pack.integers.is_none().then(|| Network::new(runtime, synthesis, threads)).transpose()?;
        Networks::new(pack, level, threads, device, None, synthesis)
    }

    fn new(
        pack: &Arc<Pack>,
        level: Level,
        threads: usize,
        device: Option<&Device>,
        analysis: Option<Network>,
        synthesis: Option<Network>,
    ) -> Result<Networks> {
        let device = device.map(|d| d.networks(pack)).transpose()?.flatten();
        Ok(Networks {
            entropy: device.as_ref().and_then(Entropy::new),
            exact: Exact { pack: pack.clone(), level, threads, device },
            analysis,
            synthesis,
            packed: Vec::new(),
        })
    }

    /// Latents before gain, `[positions][channels]`, of a whole picture, by the float network, or the exact one where a device computes.
    pub fn analyse(&mut self, planes: &Planes) -> Result<Vec<f32>> {
        let m = self.exact.pack.channels;
        if self.exact.device.is_some() {
            // The device has the exact network alone, whose latents are nearly the same.
            let (rows, mut base) = (planes.height / 16, Base::default());
            let all = vec![true; planes.width / 16 * rows];
            self.exact.analyse_at(planes, 0..rows, &all, &mut base)?;
            return Ok(base.values);
        }
        shuffle::pack(planes, &mut self.packed);
        let n = planes.width / 16 * (planes.height / 16);
        let network = self.analysis.as_mut().ok_or_else(|| Error::Pack("analysis was not asked for".into()))?;
        network.run(&self.packed, 96, planes.height / 8, planes.width / 8, |t| {
            if t.len() != m * n {
                return Err(Error::Pack("analysis gives a tensor of another size".into()));
            }
            let mut y = vec![0f32; m * n];
            for (c, plane) in t.chunks_exact(n).enumerate() {
                for (p, &v) in plane.iter().enumerate() {
                    y[p * m + c] = v;
                }
            }
            Ok(y)
        })?
    }

    /// Makes the picture of a frame of `columns` latent columns.
    pub fn make(&mut self, frame: &HeldFrame, pending: Pending, columns: usize) -> Result<Planes> {
        let Some(network) = &mut self.synthesis else {
            return self.exact.make(&frame.latents, pending, columns);
        };
        let own = Self::synthesise(network, &frame.latents, self.exact.pack.channels, columns)?;
        // Such a pack has no slices of kind `motion`: here a damaged frame is concealed.
        Ok(match pending.prediction {
            Some(p) => with_blocks(p, &own, columns, |i| pending.modes.get(i) == Some(&Mode::Own)),
            None => own,
        })
    }

    /// All of `latents`, `[positions][m]`, by the float network.
    fn synthesise(network: &mut Network, latents: &[i32], m: usize, columns: usize) -> Result<Planes> {
        let n = latents.len() / m;
        let rows = n / columns;
        let mut out = Planes::for_size(16 * columns, 16 * rows);
        let (mut x, mut row) = (vec![0f32; m * n], vec![0f32; m]);
        for p in 0..n {
            in_units(&latents[p * m..], &mut row);
            row.iter().enumerate().for_each(|(c, &v)| x[c * n + p] = v);
        }
        let (w8, h8) = (2 * columns, 2 * rows);
        network.run(&x, m, rows, columns, |t| {
            if t.len() != 96 * w8 * h8 {
                return Err(Error::Pack("synthesis gives a tensor of another size".into()));
            }
            let (luma, chroma) = t.split_at(64 * w8 * h8);
            let (u, v) = chroma.split_at(16 * w8 * h8);
            let (w, h, cs) = (16 * columns, 16 * rows, out.width / 2);
            shuffle::depth_to_plane::<8>(luma, w8, h8, &mut out.y, out.width, 1, w, h);
            shuffle::depth_to_plane::<4>(u, w8, h8, &mut out.u, cs, 1, w / 2, h / 2);
            shuffle::depth_to_plane::<4>(v, w8, h8, &mut out.v, cs, 1, w / 2, h / 2);
            Ok(())
        })??;
        Ok(out)
    }
}

/// `to` with the blocks of 16x16 of `from` for which `take` holds, by raster index.
fn with_blocks(mut to: Planes, from: &Planes, columns: usize, take: impl Fn(usize) -> bool) -> Planes {
    let planes = [(&mut to.y, &from.y, 16), (&mut to.u, &from.u, 8), (&mut to.v, &from.v, 8)];
    for (to, from, side) in planes {
        for (i, (to, from)) in to.chunks_exact_mut(side).zip(from.chunks_exact(side)).enumerate() {
            if take(i / (columns * side) * columns + i % columns) {
                to.copy_from_slice(from);
            }
        }
    }
    to
}

impl HeldFrame {
    /// Begins to make its picture beside what the caller goes on to do, if integer networks alone do it: whoever wants it waits for what is left.
    pub fn begin_picture(&mut self, networks: &Networks, columns: usize, threads: &Threads) {
        if let (Picture::Pending(p), None) = (&mut self.picture, &networks.synthesis) {
            let (pending, latents, exact) = (std::mem::take(p), self.latents.clone(), networks.exact.clone());
            self.picture = Picture::Begun(threads.begin(move || exact.make(&latents, pending, columns)));
        }
    }

    /// Its picture, made now if it was not yet.
    pub fn picture(&mut self, networks: &mut Networks, columns: usize) -> Result<&Planes> {
        let made = match std::mem::take(&mut self.picture) {
            Picture::Made(p) => p,
            Picture::Begun(b) => b.wait()?,
            Picture::Pending(p) => networks.make(self, p, columns)?,
        };
        self.picture = Picture::Made(made);
        match &self.picture {
            Picture::Made(p) => Ok(p),
            _ => unreachable!("made above"),
        }
    }
}

impl Held {
    /// The picture of a held frame, made now if it was not yet.
    pub fn picture(&mut self, number: u32, networks: &mut Networks, columns: usize) -> Result<Option<&Planes>> {
        self.get_mut(number).map(|f| f.picture(networks, columns)).transpose()
    }

    /// The picture of a held frame that was made before.
    pub fn made(&self, number: u32) -> Option<&Planes> {
        match &self.get(number)?.picture {
            Picture::Made(p) => Some(p),
            _ => None,
        }
    }
}

/// The compensated picture of a frame: `slices` are the block rows of each slice and, in kind `motion`, its reference's planes. In slices
/// of other kinds the vectors are zero and the reference that of the first slice of kind `motion`. `alone`: blocks of one slice know
/// nothing of the vectors of another.
pub(crate) fn compensate(
    level: Level,
    slices: &[(Range<usize>, Option<&Planes>)],
    vectors: &[Quarters],
    alone: bool,
    threads: usize,
) -> Option<Planes> {
    let first = slices.iter().find_map(|s| s.1)?;
    let mut out = Planes::for_size(first.width, first.height);
    let (columns, rows) = (first.width / 16, first.height / 16);
    let each = rows.div_ceil(threads.max(1));
    // Bands of block rows, cut where a thread's part or a slice ends.
    let (mut y, mut u, mut v) = (&mut out.y[..], &mut out.u[..], &mut out.v[..]);
    let mut bands: Vec<Vec<_>> = (0..rows.div_ceil(each)).map(|_| Vec::new()).collect();
    for (i, (range, reference)) in slices.iter().enumerate() {
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min((from / each + 1) * each);
            let n = (to - from) * columns;
            let parts = (take(&mut y, 256 * n), take(&mut u, 64 * n), take(&mut v, 64 * n));
            bands[from / each].push((from..to, i, reference.unwrap_or(first), parts));
            from = to;
        }
    }
    let seen: Vec<Cow<[Quarters]>> = slices
        .iter()
        .map(|(rows, _)| if alone { Cow::Owned(repeat_edges(vectors, columns, rows.clone())) } else { Cow::Borrowed(vectors) })
        .collect();
    let run = |bands: Vec<(Range<usize>, usize, &Planes, _)>| {
        for (rows, slice, reference, (y, u, v)) in bands {
            motion::compensate_rows(level, reference, &seen[slice], rows, Bands { y, u, v });
        }
    };
    lic_kernels::parallel::each(bands, run);
    Some(out)
}

/// The vectors with those of the first and last quarters of `rows` in the row beyond too.
fn repeat_edges(vectors: &[Quarters], columns: usize, rows: Range<usize>) -> Vec<Quarters> {
    let mut out = vectors.to_vec();
    let row = |y: usize| y * columns..(y + 1) * columns;
    if rows.start > 0 {
        let first = vectors[row(rows.start)].iter().map(|Quarters([a, b, ..])| Quarters([*a, *b, *a, *b]));
        out[row(rows.start - 1)].iter_mut().zip(first).for_each(|(o, q)| *o = q);
    }
    if rows.end * columns < out.len() {
        let last = vectors[row(rows.end - 1)].iter().map(|Quarters([.., c, d])| Quarters([*c, *d, *c, *d]));
        out[row(rows.end)].iter_mut().zip(last).for_each(|(o, q)| *o = q);
    }
    out
}

/// The first `n` of what is left.
fn take<'a>(rest: &mut &'a mut [u8], n: usize) -> &'a mut [u8] {
    let (part, more) = std::mem::take(rest).split_at_mut(n);
    *rest = more;
    part
}
