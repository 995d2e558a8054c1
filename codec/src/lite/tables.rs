//! `lite.safetensors` -> [`Lite`]; the tensors are listed in codec/BITSTREAM.md, section "Lite".

use super::map::Beginning;
use super::rans4::Histograms;
use crate::error::Result;
use crate::model::Tensors;
use lic_kernels::lite::context::{Contexts, Weights};
use lic_kernels::lite::projection::Projection;
use lic_kernels::lite::{CHANNELS, GROUPS, LUMA, STEPS};
use safetensors::Dtype;

/// What sensor and decoder share of a lite pack: the projection, its gains, the entropy coder's tables. Checked.
pub struct Lite {
    pub(super) luma: Projection,
    pub(super) chroma: Projection,
    /// `[STEPS][CHANNELS]`, those of luma first: latent before companding for a projection of samples in 1/(nominal range).
    pub(super) gain: Vec<f32>,
    /// `[STEPS][CHANNELS]` in order of groups: magnitudes below are coded as 0.
    pub(super) zone: Vec<f32>,
    /// `[STEPS][CHANNELS]` in order of groups: what synthesis takes for a latent of 1, in 1/65536.
    pub(super) unit: Vec<i32>,
    pub(super) contexts: Contexts,
    pub(super) histograms: Histograms,
    pub(super) map_none: Beginning,
    pub(super) map_latent: Beginning,
}

impl Lite {
    pub fn parse(bytes: &[u8]) -> Result<Lite> {
        let t = Tensors::parse("lite.safetensors", bytes)?;
        let signed = |name: &str| t.bytes(name, Dtype::I8).map(|(shape, data)| (shape, data.iter().map(|&b| b as i8).collect::<Vec<i8>>()));
        let projection = |name: &str, planes: usize, step: usize, outputs: usize| {
            let (shape, w) = signed(name)?;
            let [o, p, k, l] = shape[..] else { return Err(t.bad(name, "not four dimensions")) };
            let fits = o == outputs && p == planes && k == l;
            fits.then(|| Projection::new(k, step, planes, outputs, &w)).flatten().ok_or_else(|| t.bad(name, format!("shape {shape:?}")))
        };
        let weights = |mode: &str| -> Result<Weights> {
            let of = |n: &str| t.i16(&format!("{mode}.{n}"));
            let mean = signed(&format!("{mode}.mean"))?.1;
            let w = Weights::new(&of("floor")?, &of("count")?, &of("own")?, &of("near")?, &of("here")?, &mean);
            w.ok_or_else(|| t.bad(mode, "wrong sizes, a negative weight, or sums beyond 2^24"))
        };
        let frequencies: Vec<u16> = t.i16("freq")?.iter().map(|&f| f as u16).collect();
        let histograms = Histograms::new(&frequencies).ok_or_else(|| t.bad("freq", "frequencies are not sound"))?;
        let map = |name: &str, inter| Beginning::new(inter, &t.i32(name)?).ok_or_else(|| t.bad(name, "frequencies are not sound"));
        let (gain, unit) = (t.f32("gain")?, t.i32("unit")?);
        if gain.len() != STEPS * CHANNELS || gain.iter().any(|g| !(g.is_finite() && *g > 0.0)) {
            return Err(t.bad("gain", "not 64 x 128 positive numbers"));
        }
        if unit.len() != STEPS * CHANNELS || unit.iter().any(|&u| !(1..1 << 20).contains(&u)) {
            return Err(t.bad("unit", "not 64 x 128 numbers from 1 to 2^20 - 1"));
        }
        let zone: Vec<f32> = t.u8("zone")?.iter().map(|&z| z as f32 / 256.0).collect();
        if zone.len() != STEPS * CHANNELS || zone.iter().any(|&z| z < 0.6) {
            return Err(t.bad("zone", "not 64 x 128 numbers from 0.6 (154) on"));
        }
        Ok(Lite {
            luma: projection("luma", 1, 16, GROUPS * LUMA)?,
            chroma: projection("chroma", 2, 8, CHANNELS - GROUPS * LUMA)?,
            gain,
            zone,
            unit,
            contexts: Contexts { intra: weights("intra")?, inter: weights("inter")? },
            histograms,
            map_none: map("map.none", false)?,
            map_latent: map("map.latent", true)?,
        })
    }
}

impl std::fmt::Debug for Lite {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Lite")
    }
}
