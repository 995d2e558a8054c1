//! The picture of a frame: compensated blocks, synthesis around what is coded, and the blend at the borders between them
//! (codec/BITSTREAM.md, section "Pictures"). Encoder and decoder make their pictures here.

use super::{Area, Mode, boxes};
use crate::error::{Error, Result};
use crate::held::{Held, HeldFrame, Picture};
use crate::model::{Network, Pack, Runtime};
use crate::prior::Prior;
use lic_kernels::motion::{self, Quarters};
use lic_kernels::planes::Planes;
use lic_kernels::{Level, shuffle};
use std::borrow::Cow;
use std::ops::Range;

/// What a frame's picture is made from, beside its latents.
#[derive(Default)]
pub(crate) struct Pending {
    pub step: u8,
    /// Of every position; empty: all are `Own`.
    pub modes: Vec<Mode>,
    /// The compensated picture, of frames with slices of kind `motion`.
    pub prediction: Option<Planes>,
    /// Latents before gain of the compensated picture, `[positions][channels]`, at least next to what is coded; empty: still
    /// to be computed.
    pub base: Vec<f32>,
    /// Coded differences of latents.
    pub coded: Coded,
    /// Rows that are made each by themselves; empty: all together. Rows in none of them stay compensated.
    pub alone: Vec<Range<usize>>,
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
    whole: Pair,
    /// For frames with slices of kind `motion`; packs may have but one pair.
    fast: Option<Pair>,
    packed: Vec<f32>,
}

struct Pair {
    analysis: Network,
    synthesis: Network,
}

/// Which of a pack's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For frames without slices of kind `motion`: float.
    Whole,
    /// For frames with them: int8 if the pack has it.
    Fast,
}

impl Networks {
    /// `fast`: use the int8 pair where the pack has one. Takes about 200 ms.
    pub fn new(runtime: &Runtime, pack: &Pack, threads: usize, fast: bool) -> Result<Networks> {
        let pair = |analysis: &[u8], synthesis: &[u8]| -> Result<Pair> {
            Ok(Pair { analysis: Network::new(runtime, analysis, threads)?, synthesis: Network::new(runtime, synthesis, threads)? })
        };
        Ok(Networks {
            whole: pair(&pack.analysis, &pack.synthesis)?,
            fast: pack.fast.as_ref().filter(|_| fast).map(|f| pair(&f.analysis, &f.synthesis)).transpose()?,
            packed: Vec::new(),
        })
    }

    fn pair(&mut self, kind: Kind) -> &mut Pair {
        match (&mut self.fast, kind) {
            (Some(fast), Kind::Fast) => fast,
            _ => &mut self.whole,
        }
    }

    /// Latents before gain, `[positions of the area][m]`, of a part of a picture. What lies outside the area counts as outside the
    /// picture.
    pub fn analyse(&mut self, kind: Kind, planes: &Planes, a: Area, m: usize) -> Result<Vec<f32>> {
        let mut packed = std::mem::take(&mut self.packed);
        if (a.width * 16, a.height * 16) == (planes.width, planes.height) {
            shuffle::pack(planes, &mut packed);
        } else {
            shuffle::pack(&cut(planes, a), &mut packed);
        }
        let n = a.width * a.height;
        let y = self.pair(kind).analysis.run(&packed, 96, 2 * a.height, 2 * a.width, |t| {
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
        })?;
        self.packed = packed;
        y
    }

    /// Makes the picture of a frame of `columns` latent columns.
    pub fn make(&mut self, prior: &Prior, frame: &HeldFrame, pending: Pending, columns: usize) -> Result<Planes> {
        let m = prior.channels;
        let rows = frame.latents.len() / m / columns;
        let Pending { step, modes, prediction, base: known, coded, alone } = pending;
        let whole = Area { x: 0, y: 0, width: columns, height: rows };
        let mut synthesised = Planes::for_size(16 * columns, 16 * rows);
        let Some(mut picture) = prediction else {
            let at = |p: usize, row: &mut [f32]| own(frame, m, p, row);
            self.synthesise(Kind::Whole, whole, columns, m, at, &mut synthesised)?;
            return Ok(synthesised);
        };
        let map: Vec<bool> = modes.iter().map(|m| *m != Mode::Copy).collect();
        let mut row_of = vec![u32::MAX; modes.len()];
        coded.positions.iter().enumerate().for_each(|(row, &p)| row_of[p as usize] = row as u32);
        // From latents before gain to what synthesis takes.
        let scale: Vec<f32> =
            prior.gains(step).iter().zip(prior.step_sizes(step)).map(|(g, &d)| (*g as f64 * d as f64 / 65536.0) as f32).collect();
        let all = 0..rows;
        let parts = if alone.is_empty() { std::slice::from_ref(&all) } else { &alone[..] };
        for (area, wide) in parts.iter().flat_map(|r| boxes(&map, columns, r.clone())) {
            let base = if !known.is_empty() || area.positions(columns).all(|p| modes[p] == Mode::Own) {
                Vec::new()
            } else {
                self.analyse(Kind::Fast, &picture, wide, m)?
            };
            let at = |p: usize, row: &mut [f32]| {
                if modes[p] == Mode::Own {
                    return own(frame, m, p, row);
                }
                let base = if known.is_empty() {
                    &base[((p / columns - wide.y) * wide.width + p % columns - wide.x) * m..]
                } else {
                    &known[p * m..]
                };
                row.iter_mut().zip(base).zip(&scale).for_each(|((r, b), s)| *r = b * s);
                if row_of[p] != u32::MAX {
                    let d = &coded.difference[row_of[p] as usize * m..];
                    row.iter_mut().zip(d).for_each(|(r, &d)| *r += d as f32 * (1.0 / 65536.0));
                }
            };
            self.synthesise(Kind::Fast, area, columns, m, at, &mut synthesised)?;
        }
        if alone.is_empty() {
            motion::blend(&synthesised, &map, &mut picture);
        }
        for rows in alone {
            let area = Area { x: 0, y: rows.start, width: columns, height: rows.len() };
            let mut part = cut(&picture, area);
            motion::blend(&cut(&synthesised, area), &map[rows.start * columns..rows.end * columns], &mut part);
            let (y, c) = (256 * columns * rows.start, 64 * columns * rows.start);
            picture.y[y..y + part.y.len()].copy_from_slice(&part.y);
            picture.u[c..c + part.u.len()].copy_from_slice(&part.u);
            picture.v[c..c + part.v.len()].copy_from_slice(&part.v);
        }
        Ok(picture)
    }

    /// Synthesis of one area into `out`; `at` fills the latents of a position of the frame.
    fn synthesise(
        &mut self,
        kind: Kind,
        a: Area,
        columns: usize,
        m: usize,
        at: impl Fn(usize, &mut [f32]),
        out: &mut Planes,
    ) -> Result<()> {
        let n = a.width * a.height;
        let (mut x, mut row) = (vec![0f32; m * n], vec![0f32; m]);
        for (i, p) in a.positions(columns).enumerate() {
            at(p, &mut row);
            row.iter().enumerate().for_each(|(c, &v)| x[c * n + i] = v);
        }
        let (w8, h8, stride) = (2 * a.width, 2 * a.height, out.width);
        self.pair(kind).synthesis.run(&x, m, a.height, a.width, |t| {
            if t.len() != 96 * w8 * h8 {
                return Err(Error::Pack("synthesis gives a tensor of another size".into()));
            }
            let (luma, chroma) = t.split_at(64 * w8 * h8);
            let (u, v) = chroma.split_at(16 * w8 * h8);
            let (w, h, cs) = (16 * a.width, 16 * a.height, stride / 2);
            shuffle::depth_to_plane::<8>(luma, w8, h8, &mut out.y[16 * (a.y * stride + a.x)..], stride, 1, w, h);
            shuffle::depth_to_plane::<4>(u, w8, h8, &mut out.u[8 * (a.y * cs + a.x)..], cs, 1, w / 2, h / 2);
            shuffle::depth_to_plane::<4>(v, w8, h8, &mut out.v[8 * (a.y * cs + a.x)..], cs, 1, w / 2, h / 2);
            Ok(())
        })?
    }
}

fn own(frame: &HeldFrame, m: usize, p: usize, row: &mut [f32]) {
    row.iter_mut().zip(&frame.latents[p * m..]).for_each(|(r, &v)| *r = v as f32 * (1.0 / 65536.0));
}

/// A part of a picture as a picture of its own.
fn cut(p: &Planes, a: Area) -> Planes {
    let mut out = Planes::for_size(16 * a.width, 16 * a.height);
    let part = |from: &[u8], stride: usize, b: usize, to: &mut [u8]| {
        for (line, to) in from[b * (a.y * stride + a.x)..].chunks(stride).zip(to.chunks_exact_mut(b * a.width)) {
            to.copy_from_slice(&line[..b * a.width]);
        }
    };
    part(&p.y, p.width, 16, &mut out.y);
    part(&p.u, p.width / 2, 8, &mut out.u);
    part(&p.v, p.width / 2, 8, &mut out.v);
    out
}

impl HeldFrame {
    /// Its picture, made now if it was not yet.
    pub fn picture(&mut self, networks: &mut Networks, prior: &Prior, columns: usize) -> Result<&Planes> {
        if let Picture::Pending(p) = &mut self.picture {
            let pending = std::mem::take(p);
            self.picture = Picture::Made(networks.make(prior, self, pending, columns)?);
        }
        match &self.picture {
            Picture::Made(p) => Ok(p),
            Picture::Pending(_) => unreachable!("made above"),
        }
    }
}

impl Held {
    /// The picture of a held frame, made now if it was not yet.
    pub fn picture(&mut self, number: u32, networks: &mut Networks, prior: &Prior, columns: usize) -> Result<Option<&Planes>> {
        self.get_mut(number).map(|f| f.picture(networks, prior, columns)).transpose()
    }

    /// The picture of a held frame that was made before.
    pub fn made(&self, number: u32) -> Option<&Planes> {
        match &self.get(number)?.picture {
            Picture::Made(p) => Some(p),
            Picture::Pending(_) => None,
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
            motion::compensate_rows(level, reference, &seen[slice], rows, motion::Bands { y, u, v });
        }
    };
    std::thread::scope(|s| {
        let mut bands = bands.into_iter();
        let own = bands.next();
        bands.for_each(|b| drop(s.spawn(|| run(b))));
        own.map(run);
    });
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
