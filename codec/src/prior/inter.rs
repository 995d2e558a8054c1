//! The priors of slices with a reference (STEM, arXiv 2104.06083): what the reference tells, hyperprior, checkerboard; only
//! where something is coded. One structure serves kind `latent`, conditioned on the reference's latents, and kind `motion`,
//! conditioned on the tracks of latents that both ends keep beside the pictures.

use super::{Heads, Hyper, Kernels, Shape, mean_to_activation};
use lic_kernels::{Depthwise, Linear};

pub(crate) struct Inter {
    pub hyper: Hyper,
    pub reference: Depthwise,
    pub context0: Linear,
    /// `[STEPS][context0 outputs]`.
    pub context_bias: Vec<i32>,
    pub context1: Linear,
    pub first: Linear,
    pub spatial: Depthwise,
    pub second0: Linear,
    pub second1: Linear,
}

/// Channels of the context for what is known of a position and its neighbours.
pub(crate) const FLAGS: usize = 16;

/// What the context of every coded position is made of.
pub(crate) struct Known<'a> {
    /// Latents of the reference, `[positions][channels]`, [`MEAN_BITS`](super::MEAN_BITS) fraction bits.
    pub reference: &'a [i16],
    /// What the depthwise layer sees: activations, `[positions][channels]`.
    pub around: &'a [i16],
    /// Further activations of the position itself, `[coded positions][channels]` (kind `motion`).
    pub more: Option<&'a [i16]>,
    /// `[coded positions]`.
    pub flags: Vec<[i16; FLAGS]>,
}

/// What the passes over one slice share.
pub(crate) struct InterContext<'a> {
    shape: Shape,
    reference: &'a [i16],
    /// Coded positions, raster order.
    pub coded: Vec<u32>,
    /// A row for each coded position.
    context: Vec<i16>,
}

impl Inter {
    /// `z`: hyper latents of `cells`, those with a coded position; `coded`: positions in raster order.
    #[allow(clippy::too_many_arguments)]
    pub fn context<'a>(
        &self,
        k: Kernels,
        shape: Shape,
        known: Known<'a>,
        z: &[i16],
        cells: &[u32],
        coded: Vec<u32>,
        step: u8,
    ) -> InterContext<'a> {
        let (h, m) = (self.hyper.features(), self.reference.channels());
        let n = self.context0.inputs();
        let dense = self.hyper.synthesise(k, z, shape, cells);
        let mut x = vec![0i16; coded.len() * n];
        self.hyper.smooth.apply(k.level, &dense, shape.width, shape.height, &coded, &mut x, n, 0);
        self.reference.apply(k.level, known.around, shape.width, shape.height, &coded, &mut x, n, h + m);
        for (i, ((row, &p), flags)) in x.chunks_exact_mut(n).zip(&coded).zip(&known.flags).enumerate() {
            let at = p as usize * m..(p as usize + 1) * m;
            for (x, &r) in row[h..].iter_mut().zip(&known.reference[at.clone()]) {
                *x = mean_to_activation(r);
            }
            if let Some(more) = known.more {
                row[h + 2 * m..h + 3 * m].copy_from_slice(&more[i * m..][..m]);
            }
            row[n - FLAGS..].copy_from_slice(flags);
        }
        let (mut t, mut context) = (Vec::new(), Vec::new());
        let c = self.context0.outputs();
        k.linear(&self.context0, &x, Some(&self.context_bias[step as usize * c..][..c]), &mut t);
        k.linear(&self.context1, &t, None, &mut context);
        InterContext { shape, reference: known.reference, coded, context }
    }

    /// Distributions at the `rows` (indices into `coded`) of the checkerboard's first half.
    pub fn first(&self, k: Kernels, c: &InterContext, rows: &[u32]) -> Heads {
        let (mut x, mut out) = (Vec::new(), Vec::new());
        super::gather(&c.context, self.first.inputs(), rows.iter().map(|&r| r as usize), &mut x);
        k.linear(&self.first, &x, None, &mut out);
        self.heads(&out, c, rows)
    }

    /// Distributions at the second half; `known`: `[positions][2 * channels]` activations: values, then their difference
    /// to the reference (kind `latent`) or their magnitude (kind `motion`), all zero where not yet known.
    pub fn second(&self, k: Kernels, c: &InterContext, known: &[i16], rows: &[u32]) -> Heads {
        let (n, m) = (self.first.inputs(), self.spatial.channels());
        let positions: Vec<u32> = rows.iter().map(|&r| c.coded[r as usize]).collect();
        let mut x = vec![0i16; rows.len() * (n + m)];
        for (row, &r) in x.chunks_exact_mut(n + m).zip(rows) {
            row[..n].copy_from_slice(&c.context[r as usize * n..][..n]);
        }
        self.spatial.apply(k.level, known, c.shape.width, c.shape.height, &positions, &mut x, n + m, n);
        let (mut t, mut out) = (Vec::new(), Vec::new());
        k.linear(&self.second0, &x, None, &mut t);
        k.linear(&self.second1, &t, None, &mut out);
        self.heads(&out, c, rows)
    }

    /// Means are the network's plus a gated part of the reference's value.
    fn heads(&self, out: &[i16], c: &InterContext, rows: &[u32]) -> Heads {
        let m = self.reference.channels();
        let mut h = Heads::default();
        for (row, &r) in out.chunks_exact(3 * m).zip(rows) {
            let reference = &c.reference[c.coded[r as usize] as usize * m..][..m];
            let (mean, rest) = row.split_at(m);
            let (scale, gate) = rest.split_at(m);
            h.mean.extend((0..m).map(|i| {
                let g = (gate[i] as i32).clamp(0, 1 << super::ACTIVATION_BITS);
                let part = (g * reference[i] as i32 + 32) >> super::ACTIVATION_BITS;
                (mean[i] as i32 + part).clamp(-32767, 32767) as i16
            }));
            h.scale.extend(scale.iter().map(|&s| s.clamp(0, 63) as u8));
        }
        h
    }
}

/// The 3x3 flags around `p` in raster order, as activations; outside the slice counts as not set.
pub(crate) fn neighbours(shape: Shape, p: u32, set: impl Fn(usize) -> bool) -> [i16; FLAGS] {
    let (py, px) = (p as usize / shape.width, p as usize % shape.width);
    let mut flags = [0i16; FLAGS];
    for (tap, f) in flags.iter_mut().enumerate().take(9) {
        let (y, x) = ((py + tap / 3).wrapping_sub(1), (px + tap % 3).wrapping_sub(1));
        if y < shape.height && x < shape.width && set(y * shape.width + x) {
            *f = 1 << super::ACTIVATION_BITS;
        }
    }
    flags
}
