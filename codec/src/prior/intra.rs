//! The prior of slices without a reference: hyperprior, then checkerboard (arXiv 2103.15306).

use super::{Heads, Hyper, Kernels, Shape, gather};
use crate::device::{Entropy, OnSlice};
use lic_kernels::{Depthwise, Linear};
use std::cell::OnceCell;

pub(crate) struct Intra {
    pub hyper: Hyper,
    pub context: Linear,
    /// `[STEPS][context outputs]`.
    pub context_bias: Vec<i32>,
    pub first: Linear,
    pub spatial: Depthwise,
    pub second0: Linear,
    pub second1: Linear,
}

/// One slice's distributions, half after half, by a device as long as it computes, else by the CPU.
pub(crate) struct Halves<'a> {
    prior: &'a Intra,
    kernels: Kernels,
    shape: Shape,
    step: u8,
    z: Vec<i16>,
    device: Option<OnSlice<'a>>,
    /// The CPU's, when it first needs it.
    context: OnceCell<Vec<i16>>,
}

impl Halves<'_> {
    /// Distributions at the checkerboard's first half: all of its positions.
    pub fn first(&mut self, positions: &[u32]) -> Heads {
        match self.device.as_mut().and_then(|d| d.first(self.shape, &self.z, self.step)) {
            Some(rows) => heads(&rows, self.prior.first.outputs() / 2),
            None => self.prior.first(self.kernels, self.context(), positions),
        }
    }

    /// Distributions at the second half; `known`: `[positions][channels]` activations, zero where not yet known.
    pub fn second(&mut self, known: &[i16], positions: &[u32]) -> Heads {
        match self.device.as_mut().and_then(|d| d.second(self.shape, known)) {
            Some(rows) => heads(&rows, self.prior.spatial.channels()),
            None => self.prior.second(self.kernels, self.context(), known, self.shape, positions),
        }
    }

    fn context(&self) -> &[i16] {
        self.context.get_or_init(|| self.prior.context(self.kernels, &self.z, self.shape, self.step))
    }
}

impl Intra {
    /// From the hyper latents of every cell.
    pub fn halves<'a>(&'a self, kernels: Kernels, z: Vec<i16>, shape: Shape, step: u8, device: Option<&'a Entropy>) -> Halves<'a> {
        Halves { prior: self, kernels, shape, step, z, device: device.map(Entropy::slice), context: OnceCell::new() }
    }

    /// `[positions][context]` from the hyper latents of every cell.
    fn context(&self, k: Kernels, z: &[i16], shape: Shape, step: u8) -> Vec<i16> {
        let (cw, ch) = shape.cells();
        let cells: Vec<u32> = (0..(cw * ch) as u32).collect();
        let all: Vec<u32> = (0..shape.positions() as u32).collect();
        let n = self.hyper.features();
        let dense = self.hyper.synthesise(k, z, shape, &cells);
        let mut smooth = vec![0i16; all.len() * n];
        self.hyper.smooth.apply(k.level, &dense, shape.width, shape.height, &all, &mut smooth, n, 0);
        let mut out = Vec::new();
        let m = self.context.outputs();
        k.linear(&self.context, &smooth, Some(&self.context_bias[step as usize * m..][..m]), &mut out);
        out
    }

    fn first(&self, k: Kernels, context: &[i16], positions: &[u32]) -> Heads {
        let (mut x, mut out) = (Vec::new(), Vec::new());
        gather(context, self.first.inputs(), positions.iter().map(|&p| p as usize), &mut x);
        k.linear(&self.first, &x, None, &mut out);
        heads(&out, self.first.outputs() / 2)
    }

    fn second(&self, k: Kernels, context: &[i16], known: &[i16], shape: Shape, positions: &[u32]) -> Heads {
        let (c, m) = (self.first.inputs(), self.spatial.channels());
        let mut x = vec![0i16; positions.len() * (c + m)];
        for (row, &p) in x.chunks_exact_mut(c + m).zip(positions) {
            row[..c].copy_from_slice(&context[p as usize * c..][..c]);
        }
        self.spatial.apply(k.level, known, shape.width, shape.height, positions, &mut x, c + m, c);
        let (mut t, mut out) = (Vec::new(), Vec::new());
        k.linear(&self.second0, &x, None, &mut t);
        k.linear(&self.second1, &t, None, &mut out);
        heads(&out, m)
    }
}

fn heads(rows: &[i16], m: usize) -> Heads {
    let mut h = Heads::default();
    for row in rows.chunks_exact(2 * m) {
        h.mean.extend_from_slice(&row[..m]);
        h.scale.extend(row[m..].iter().map(|&s| s.clamp(0, 63) as u8));
    }
    h
}
