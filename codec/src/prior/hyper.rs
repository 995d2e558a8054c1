//! Hyper analysis and synthesis, and the distribution of hyper latents (arXiv 1802.01436).

use super::{ACTIVATION_BITS, Kernels, Shape};
use lic_kernels::{Depthwise, Linear};

/// The hyperprior that both kinds of slice have.
pub(crate) struct Hyper {
    pub analysis0: Linear,
    /// Four positions of a cell side by side -> one hyper latent vector.
    pub analysis1: Linear,
    /// One hyper latent vector -> features of four positions, position by position.
    pub synthesis: Linear,
    pub smooth: Depthwise,
    /// `[STEPS][channels]`: mean (1/8) and scale index of each hyper latent.
    pub mean: Vec<i16>,
    pub scale: Vec<u8>,
}

impl Hyper {
    /// Hyper latents of a cell.
    pub fn channels(&self) -> usize {
        self.synthesis.inputs()
    }

    pub fn features(&self) -> usize {
        self.smooth.channels()
    }

    /// `x`: `[positions][inputs]` activations; result: a row of hyper latents for each of `cells` (raster index).
    pub fn analyse(&self, k: Kernels, x: &[i16], shape: Shape, cells: &[u32]) -> Vec<i16> {
        let (inputs, n) = (self.analysis0.inputs(), self.analysis0.outputs());
        let cw = shape.width.div_ceil(2);
        let mut rows = Vec::with_capacity(cells.len() * 4 * inputs);
        for &c in cells {
            for i in 0..4 {
                let (y, x0) = (c as usize / cw * 2 + i / 2, c as usize % cw * 2 + i % 2);
                if y < shape.height && x0 < shape.width {
                    rows.extend_from_slice(&x[(y * shape.width + x0) * inputs..][..inputs]);
                } else {
                    rows.resize(rows.len() + inputs, 0);
                }
            }
        }
        let (mut t, mut z) = (Vec::new(), Vec::new());
        k.linear(&self.analysis0, &rows, None, &mut t);
        debug_assert_eq!(t.len(), cells.len() * 4 * n);
        k.linear(&self.analysis1, &t, None, &mut z);
        for v in &mut z {
            *v = ((*v as i32 + (1 << (ACTIVATION_BITS - 1))) >> ACTIVATION_BITS) as i16;
        }
        z
    }

    /// Hyper latents of `cells` -> `[positions][features]`; other cells count as zero.
    pub fn synthesise(&self, k: Kernels, z: &[i16], shape: Shape, cells: &[u32]) -> Vec<i16> {
        let n = self.features();
        let x: Vec<i16> = z.iter().map(|&v| super::latent_to_activation(v)).collect();
        let mut t = Vec::new();
        k.linear(&self.synthesis, &x, None, &mut t);
        let mut dense = vec![0i16; shape.positions() * n];
        let cw = shape.width.div_ceil(2);
        for (row, &c) in t.chunks_exact(4 * n).zip(cells) {
            for i in 0..4 {
                let (y, x) = (c as usize / cw * 2 + i / 2, c as usize % cw * 2 + i % 2);
                if y < shape.height && x < shape.width {
                    dense[(y * shape.width + x) * n..][..n].copy_from_slice(&row[i * n..][..n]);
                }
            }
        }
        dense
    }
}
