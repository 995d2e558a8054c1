//! Restoration of JPEG pictures: what the rounding of coefficients took away, as a small network makes it out of the samples and both
//! quantisation tables (training/enhance.py). For any file of YCbCr or grey, whoever wrote it.

use super::segments::Tables;
use crate::error::{Error, Result};
use crate::model::{Network, Runtime};

/// Samples of a cell of 8x8 pixels: luma, and both chroma planes at half size.
const SAMPLES: usize = 96;
/// The same and both tables.
const INPUTS: usize = SAMPLES + 128;
/// Rows of cells at a time, so that memory does not follow the picture's height.
const BAND: usize = 32;
/// Rows that the network sees on either side of one: its residual blocks have one depthwise 3x3 each.
const MARGIN: usize = 5;

/// The network; its ONNX Runtime session is kept.
pub struct Enhancer {
    network: Network,
    x: Vec<f32>,
}

/// A picture of YCbCr as files have it, interleaved, chroma interpolated; or of luma alone.
pub(super) struct Samples<'a> {
    pub width: usize,
    pub height: usize,
    pub grey: bool,
    pub values: &'a [u8],
}

/// What to add, in levels: luma of all pixels, chroma at half size.
struct Correction {
    /// Lines of a multiple of 8.
    stride: usize,
    luma: Vec<f32>,
    chroma: [Vec<f32>; 2],
}

impl Enhancer {
    /// threads: at least 1. Takes some 20 ms.
    pub fn new(runtime: &Runtime, threads: usize) -> Result<Enhancer> {
        let model = include_bytes!("../../../models/enhance/enhance.onnx");
        Ok(Enhancer { network: Network::new(runtime, model, threads)?, x: Vec::new() })
    }

    /// Red, green and blue, or luma of grey pictures. Chroma is corrected where the file has it at half of luma's columns and rows.
    pub(super) fn restore(&mut self, p: &Samples, tables: &Tables) -> Result<Vec<u8>> {
        let c = self.correction(p, tables)?;
        let byte = |v: f32| v.round().clamp(0.0, 255.0) as u8;
        if p.grey {
            let lines = p.values.chunks_exact(p.width).zip(c.luma.chunks_exact(c.stride));
            return Ok(lines.flat_map(|(v, d)| v.iter().zip(d).map(|(&v, &d)| byte(v as f32 + d))).collect());
        }
        let mut out = Vec::with_capacity(p.values.len());
        let half = c.stride / 2;
        for (y, line) in p.values.chunks_exact(3 * p.width).enumerate() {
            let (rows, down) = between(y, c.chroma[0].len() / half);
            for (x, v) in line.chunks_exact(3).enumerate() {
                let (columns, across) = between(x, half);
                let chroma = |i: usize| {
                    if !tables.halved {
                        return v[1 + i] as f32 - 128.0;
                    }
                    let at = |r: usize| {
                        let line = &c.chroma[i][rows[r] * half..][..half];
                        line[columns[0]] * (1.0 - across) + line[columns[1]] * across
                    };
                    v[1 + i] as f32 - 128.0 + at(0) * (1.0 - down) + at(1) * down
                };
                let (luma, b, r) = (v[0] as f32 + c.luma[y * c.stride + x], chroma(0), chroma(1));
                out.extend([luma + 1.402 * r, luma - 0.344_136 * b - 0.714_136 * r, luma + 1.772 * b].map(byte));
            }
        }
        Ok(out)
    }

    fn correction(&mut self, p: &Samples, tables: &Tables) -> Result<Correction> {
        let (columns, rows) = (p.width.div_ceil(8), p.height.div_ceil(8));
        let half = 16 * columns * rows;
        let mut c = Correction { stride: 8 * columns, luma: vec![0.0; 64 * columns * rows], chroma: [vec![0.0; half], vec![0.0; half]] };
        for first in (0..rows).step_by(BAND) {
            let (own, above) = (BAND.min(rows - first), MARGIN.min(first));
            let seen = (above + own + MARGIN).min(rows - (first - above));
            fill(&mut self.x, p, tables, first - above, seen, columns);
            self.network.run(&self.x, INPUTS, seen, columns, |t| {
                if t.len() != SAMPLES * seen * columns {
                    return Err(Error::Pack("the network that restores JPEG pictures gives a tensor of another size".into()));
                }
                for (s, plane) in t.chunks_exact(seen * columns).enumerate() {
                    let (to, n, s) = match s.checked_sub(64) {
                        None => (&mut c.luma, 8, s),
                        Some(s) => (&mut c.chroma[s / 16], 4, s % 16),
                    };
                    for (i, d) in plane[above * columns..][..own * columns].iter().enumerate() {
                        let (row, column) = (n * (first + i / columns) + s / n, n * (i % columns) + s % n);
                        to[row * n * columns + column] = 255.0 * d;
                    }
                }
                Ok(())
            })??;
        }
        Ok(c)
    }
}

/// The two samples at half size around a pixel, and how near the second is.
fn between(at: usize, count: usize) -> ([usize; 2], f32) {
    let other = if at.is_multiple_of(2) { (at / 2).saturating_sub(1) } else { (at / 2 + 1).min(count - 1) };
    ([at / 2, other], 0.25)
}

/// The network's input for some rows of cells: `[inputs][rows][columns]`. Outside the picture its border is repeated.
fn fill(x: &mut Vec<f32>, p: &Samples, tables: &Tables, first: usize, rows: usize, columns: usize) {
    let n = rows * columns;
    x.clear();
    x.resize(INPUTS * n, 0.0);
    let channels = if p.grey { 1 } else { 3 };
    let at = |x: usize, y: usize, c: usize| p.values[(y.min(p.height - 1) * p.width + x.min(p.width - 1)) * channels + c] as f32;
    for i in 0..n {
        let (left, top) = (8 * (i % columns), 8 * (first + i / columns));
        for s in 0..64 {
            x[s * n + i] = at(left + s % 8, top + s / 8, 0) / 255.0 - 0.5;
        }
        if !p.grey {
            for s in 0..32 {
                let (c, u, v) = (1 + s / 16, left + 2 * (s % 4), top + 2 * (s % 16 / 4));
                let sum = at(u, v, c) + at(u + 1, v, c) + at(u, v + 1, c) + at(u + 1, v + 1, c);
                x[(64 + s) * n + i] = sum / (4.0 * 255.0) - 0.5;
            }
        }
    }
    for (channel, entry) in x[SAMPLES * n..].chunks_exact_mut(n).zip(tables.luma.iter().chain(&tables.chroma)) {
        channel.fill((*entry as f32 / 16.0).log2() / 4.0);
    }
}
