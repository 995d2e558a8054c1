//! Key frames' entropy model on a device: its layers, while the host chooses or reads the symbols of one half after the other.

use super::{OnDevice, lock};
use crate::error::{Error, Result};
use crate::prior::{Prior, Shape, latent_to_activation};
use lic_cuda::entropy::{Intra, Space};
use lic_cuda::prior::{Depthwise, Linear};
use lic_cuda::{Buffer, Machine};
use std::sync::{Arc, Mutex};

/// Slices in work at a time whose places on the device are kept for the next ones.
const KEPT: usize = 32;

/// A pack's layers, shared by its streams.
pub(super) struct Layers {
    intra: Intra,
    /// The context's biases by step.
    bias: Buffer,
    /// Places that no slice is using.
    spaces: Mutex<Vec<Space>>,
}

impl Layers {
    pub fn new(machine: &Arc<dyn Machine>, prior: &Prior) -> lic_cuda::Result<Layers> {
        let (p, linear) = (&prior.intra, |l| Linear::new(machine, l));
        let intra = Intra {
            analysis0: linear(&p.hyper.analysis0)?,
            analysis1: linear(&p.hyper.analysis1)?,
            synthesis: linear(&p.hyper.synthesis)?,
            smooth: Depthwise::new(machine, &p.hyper.smooth)?,
            context: linear(&p.context)?,
            first: linear(&p.first)?,
            spatial: Depthwise::new(machine, &p.spatial)?,
            second0: linear(&p.second0)?,
            second1: linear(&p.second1)?,
            tables: None,
        };
        // A layer reads whole groups of 32.
        let mut bias = p.context_bias.clone();
        bias.resize(bias.len() + 32, 0);
        Ok(Layers { intra, bias: Buffer::of(machine, &bias)?, spaces: Mutex::default() })
    }
}

/// What one encoder or decoder has of it.
pub(crate) struct Entropy {
    device: Arc<OnDevice>,
    failed: Mutex<Option<Error>>,
}

impl Entropy {
    /// None: the device does not have such layers.
    pub fn new(device: &Arc<OnDevice>) -> Option<Entropy> {
        device.entropy.as_ref()?;
        Some(Entropy { device: device.clone(), failed: Mutex::default() })
    }

    /// Whether a slice was computed by the CPU although only the device may: its symbols are right, but nobody asked for that.
    pub fn check(&self) -> Result<()> {
        lock(&self.failed).take().map_or(Ok(()), Err)
    }

    /// Hyper latents of all cells from activations at all positions. None, here and below: the CPU has to.
    pub fn hyper(&self, shape: Shape, x: &[i16]) -> Option<Vec<i16>> {
        self.slice().attempt(shape, |layers, space| layers.intra.hyper(space, x))
    }

    /// For the walk over a slice.
    pub fn slice(&self) -> OnSlice<'_> {
        OnSlice { entropy: self, space: None, begun: false }
    }
}

/// One slice's walk: what it has on the device goes to the next when it ends.
pub(crate) struct OnSlice<'a> {
    entropy: &'a Entropy,
    space: Option<Space>,
    /// The context lies there.
    begun: bool,
}

impl OnSlice<'_> {
    /// Means and scales at the first half, as the layers give them.
    pub fn first(&mut self, shape: Shape, z: &[i16], step: u8) -> Option<Vec<i16>> {
        let x: Vec<i16> = z.iter().map(|&v| latent_to_activation(v)).collect();
        let out = self.attempt(shape, |layers, space| {
            let at = 4 * step as usize * layers.intra.context.outputs();
            layers.intra.context(space, &x, Some((&layers.bias, at)))?;
            layers.intra.first(space)
        });
        self.begun = out.is_some();
        out
    }

    /// The same at the second half, if the first was computed there.
    pub fn second(&mut self, shape: Shape, known: &[i16]) -> Option<Vec<i16>> {
        if self.begun { self.attempt(shape, |layers, space| layers.intra.second(space, known)) } else { None }
    }

    fn attempt<T>(&mut self, shape: Shape, f: impl FnOnce(&Layers, &mut Space) -> lic_cuda::Result<T>) -> Option<T> {
        let layers = self.entropy.device.entropy.as_ref()?;
        let wanted = lic_cuda::entropy::Shape { pictures: 1, width: shape.width, height: shape.height };
        let done = self.entropy.device.attempt(|d| {
            let space = match &mut self.space {
                Some(s) => s,
                slot => {
                    let mut spaces = lock(&layers.spaces);
                    let found = spaces.iter().position(|s| s.shape() == wanted).map(|i| spaces.remove(i));
                    drop(spaces);
                    slot.insert(found.map_or_else(|| Space::new(&d.shared.machine, wanted, &layers.intra), Ok)?)
                }
            };
            f(layers, space)
        });
        done.unwrap_or_else(|e| {
            lock(&self.entropy.failed).get_or_insert(e);
            None
        })
    }
}

impl Drop for OnSlice<'_> {
    fn drop(&mut self) {
        if let (Some(space), Some(layers)) = (self.space.take(), &self.entropy.device.entropy) {
            let mut spaces = lock(&layers.spaces);
            // The oldest goes: sizes that nobody has any more do not stay.
            if spaces.len() >= KEPT {
                spaces.remove(0);
            }
            spaces.push(space);
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))] // where the emulation is built
mod tests {
    use crate::device::{Device, Entropy};
    use crate::model::Pack;
    use crate::prior::{Kernels, Shape, latent_to_activation};
    use lic_kernels::Level;
    use std::sync::Arc;

    /// Layer for layer what the CPU computes, in places that were used before.
    #[test]
    fn a_device_says_what_the_cpu_says() {
        let device = Device::on(Arc::new(lic_emulation::Host::default()), false);
        let kernels = Kernels { level: Level::best(), threads: 1 };
        let mut state = 5u32;
        let mut latent = move || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            [0, 0, (state >> 24) as i16 % 3, (state >> 20) as i16 % 900][(state >> 28) as usize % 4] - (state >> 31) as i16
        };
        for name in ["base", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny-motion")] {
            let pack = Pack::open(name).unwrap();
            let entropy = Entropy::new(&device.networks(&pack).unwrap().unwrap()).unwrap();
            let (p, m) = (&pack.prior().intra, pack.channels);
            for (width, height, step) in [(1, 1, 0), (5, 3, 20), (8, 4, 63), (5, 3, 41)] {
                let shape = Shape { width, height };
                let values: Vec<i16> = (0..shape.positions() * m).map(|_| latent()).collect();
                let x: Vec<i16> = values.iter().map(|&v| latent_to_activation(v)).collect();
                let (cw, ch) = shape.cells();
                let cells: Vec<u32> = (0..(cw * ch) as u32).collect();
                let z = p.hyper.analyse(kernels, &x, shape, &cells);
                assert_eq!(entropy.hyper(shape, &x).unwrap(), z, "hyper latents of {width}x{height}");
                let half = |anchor| -> Vec<u32> { (0..shape.positions() as u32).filter(|&q| shape.anchor(q) == anchor).collect() };
                let (first, second) = (half(true), half(false));
                let mut known = vec![0; x.len()];
                first.iter().map(|&q| q as usize * m..(q as usize + 1) * m).for_each(|at| known[at.clone()].copy_from_slice(&x[at]));
                let said = [None, Some(&entropy)].map(|device| {
                    let mut halves = p.halves(kernels, z.clone(), shape, step, device);
                    let (first, second) = (halves.first(&first), halves.second(&known, &second));
                    [first, second].map(|h| (h.mean, h.scale))
                });
                assert_eq!(said[0], said[1], "distributions of {width}x{height}");
            }
            // Nothing of it by the CPU.
            entropy.check().unwrap();
        }
    }
}
