//! `prior.safetensors` -> [`Prior`]; the tensors are listed in codec/BITSTREAM.md, section "Pack".

use super::{FLAGS, Hyper, Inter, Intra, MotionPrior, Prior, Tables};
use crate::bitstream::{GROUPS, STEPS};
use crate::error::Result;
use crate::model::Tensors;
use lic_kernels::{Depthwise, Linear};
use safetensors::Dtype;

struct Source<'a>(Tensors<'a>);

/// Weights `[outputs][inputs]` with their bias and shift.
struct Layer {
    outputs: usize,
    inputs: usize,
    weights: Vec<i8>,
    bias: Vec<i32>,
    shift: Vec<u8>,
}

impl Source<'_> {
    fn layer(&self, name: &str) -> Result<Layer> {
        let (shape, data) = self.0.bytes(&format!("{name}.weight"), Dtype::I8)?;
        let [o, i] = shape[..] else { return Err(self.0.bad(name, "weights are not a matrix")) };
        let (bias, shift) = (self.0.i32(&format!("{name}.bias"))?, self.0.u8(&format!("{name}.shift"))?);
        Ok(Layer { outputs: o, inputs: i, weights: data.iter().map(|&b| b as i8).collect(), bias, shift })
    }

    fn linear(&self, name: &str, inputs: usize, leaky: bool) -> Result<Linear> {
        let l = self.layer(name)?;
        if l.inputs != inputs {
            return Err(self.0.bad(name, format!("{} inputs where {inputs} are needed", l.inputs)));
        }
        Linear::new(l.inputs, l.outputs, &l.weights, &l.bias, &l.shift, leaky).map_err(|e| self.0.bad(name, e.0))
    }

    fn depthwise(&self, name: &str, channels: usize) -> Result<Depthwise> {
        let l = self.layer(name)?;
        if l.inputs != 9 || l.outputs != channels {
            return Err(self.0.bad(name, format!("{} channels of {} taps where {channels} of 9 are needed", l.outputs, l.inputs)));
        }
        Depthwise::new(l.outputs, &l.weights, &l.bias, &l.shift).map_err(|e| self.0.bad(name, e.0))
    }

    /// The first layer of a context takes its bias by step.
    fn context_bias(&self, name: &str, layer: &Linear) -> Result<Vec<i32>> {
        let name = format!("{name}.step_bias");
        let v = self.0.i32(&name)?;
        if v.len() != STEPS * layer.outputs() || !v.chunks_exact(layer.outputs()).all(|b| layer.takes_bias(b)) {
            return Err(self.0.bad(&name, "wrong size, or sums do not fit int32"));
        }
        Ok(v)
    }

    fn hyper(&self, name: &str, inputs: usize) -> Result<Hyper> {
        let n = |s: &str| format!("{name}.{s}");
        let analysis0 = self.linear(&n("analysis0"), inputs, true)?;
        let analysis1 = self.linear(&n("analysis1"), 4 * analysis0.outputs(), false)?;
        let synthesis = self.linear(&n("synthesis"), analysis1.outputs(), true)?;
        let smooth = self.depthwise(&n("smooth"), synthesis.outputs() / 4)?;
        let (mean, scale) = (self.0.i16(&n("mean"))?, self.0.u8(&n("scale"))?);
        let size = STEPS * synthesis.inputs();
        if mean.len() != size || scale.len() != size || scale.iter().any(|&s| s > 63) {
            return Err(self.0.bad(name, "distribution of the hyper latents"));
        }
        Ok(Hyper { analysis0, analysis1, synthesis, smooth, mean, scale })
    }

    /// A prior with a reference; `parts`: how many times the channels its context holds beside hyper features and flags.
    fn inter(&self, name: &str, m: usize, parts: usize) -> Result<Inter> {
        let n = |s: &str| format!("{name}.{s}");
        let hyper = self.hyper(&n("hyper"), 2 * m)?;
        let context0 = self.linear(&n("context0"), hyper.features() + parts * m + FLAGS, true)?;
        let context1 = self.linear(&n("context1"), context0.outputs(), true)?;
        let first = self.linear(&n("first"), context1.outputs(), false)?;
        let second0 = self.linear(&n("second0"), context1.outputs() + 2 * m, true)?;
        let second1 = self.linear(&n("second1"), second0.outputs(), false)?;
        if first.outputs() != 3 * m || second1.outputs() != 3 * m {
            return Err(self.0.bad(name, "heads do not fit the channels"));
        }
        Ok(Inter {
            context_bias: self.context_bias(&n("context0"), &context0)?,
            reference: self.depthwise(&n("reference"), m)?,
            spatial: self.depthwise(&n("spatial"), 2 * m)?,
            hyper,
            context0,
            context1,
            first,
            second0,
            second1,
        })
    }

    /// A factor for each step.
    fn by_step(&self, name: &str) -> Result<[f32; STEPS]> {
        let v: [f32; STEPS] = self.0.f32(name)?.try_into().map_err(|_| self.0.bad(name, "not a value for each step"))?;
        if v.iter().any(|v| !v.is_finite() || *v < 0.0) { Err(self.0.bad(name, "impossible values")) } else { Ok(v) }
    }
}

impl Prior {
    pub fn parse(bytes: &[u8]) -> Result<Prior> {
        let s = Source(Tensors::parse("prior.safetensors", bytes)?);
        let gain = s.0.f32("gain")?;
        let channels = gain.len() / STEPS;
        if channels == 0 || !channels.is_multiple_of(2 * GROUPS) || gain.len() != STEPS * channels || gain.iter().any(|g| !g.is_finite()) {
            return Err(s.0.bad("gain", "wrong size or values"));
        }
        let step_size = s.0.i32("step_size")?;
        if step_size.len() != gain.len() || step_size.iter().any(|&d| !(16..131072).contains(&d)) {
            return Err(s.0.bad("step_size", "wrong size or values"));
        }
        let m = channels;

        let hyper = s.hyper("intra.hyper", m)?;
        let context = s.linear("intra.context", hyper.features(), true)?;
        let first = s.linear("intra.first", context.outputs(), false)?;
        let second0 = s.linear("intra.second0", context.outputs() + m, true)?;
        let second1 = s.linear("intra.second1", second0.outputs(), false)?;
        if first.outputs() != 2 * m || second1.outputs() != 2 * m {
            return Err(s.0.bad("intra", "heads do not fit the channels"));
        }
        let intra = Intra {
            context_bias: s.context_bias("intra.context", &context)?,
            spatial: s.depthwise("intra.spatial", m)?,
            hyper,
            context,
            first,
            second0,
            second1,
        };

        let inter = s.inter("inter", m, 2)?;
        let motion = match s.0.all.tensor("motion.context0.weight") {
            Ok(_) => Some(MotionPrior {
                inter: s.inter("motion", m, 3)?,
                pixel_error: s.by_step("motion.pixel_error")?,
                lambda: s.by_step("motion.lambda")?,
            }),
            Err(_) => None,
        };

        let tables = Tables::new(&s.0.i16("cdf.low")?, &s.0.u16("cdf.entries")?, &s.0.u8("cdf.raw")?, s.0.u16("cdf.data")?);
        let lambda = s.0.f32("lambda")?;
        let lambda = lambda.chunks_exact(STEPS).map(|c| c.try_into().expect("STEPS values")).collect::<Vec<[f32; STEPS]>>();
        Ok(Prior {
            channels,
            intra,
            inter,
            motion,
            tables: tables.ok_or_else(|| s.0.bad("cdf", "inconsistent tables"))?,
            skip_init: s.0.u16("skip_init")?.try_into().map_err(|_| s.0.bad("skip_init", "not 16 values"))?,
            gain,
            inverse_size: step_size.iter().map(|&d| ((1i64 << 32) + d as i64 / 2) / d as i64).collect(),
            step_size,
            lambda: lambda.try_into().map_err(|_| s.0.bad("lambda", "not two rows"))?,
        })
    }
}
