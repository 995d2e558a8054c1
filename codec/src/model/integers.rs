//! `networks.safetensors` -> the autoencoder in exact integers; the tensors are listed in codec/BITSTREAM.md, section "Pack".

use super::tensors::Tensors;
use crate::error::Result;
use lic_kernels::network::{Analysis, Around, Block, Matrix, Synthesis, Weights};
use safetensors::Dtype;

/// Both networks.
pub(crate) struct Integers {
    pub analysis: Analysis,
    pub synthesis: Synthesis,
}

impl Integers {
    /// `channels`: latents that the pack's prior has.
    pub fn parse(bytes: &[u8], channels: usize) -> Result<Integers> {
        let t = Tensors::parse("networks.safetensors", bytes)?;
        let refused = |name: &'static str| {
            let t = &t;
            move |e: lic_kernels::linear::BadWeights| t.bad(name, e.0)
        };
        let [first, last] = ["analysis.first", "analysis.last"].map(|n| matrix(&t, n));
        let analysis = Analysis::new(first?, blocks(&t, "analysis")?, last?).map_err(refused("analysis"))?;
        let [first, last] = ["synthesis.first", "synthesis.last"].map(|n| matrix(&t, n));
        let entry = t.f32("synthesis.entry")?;
        let synthesis = Synthesis::new(entry, first?, blocks(&t, "synthesis")?, last?).map_err(refused("synthesis"))?;
        if analysis.latents() != channels || synthesis.latents() != channels {
            return Err(t.bad("analysis, synthesis", format!("not of the prior's {channels} channels")));
        }
        Ok(Integers { analysis, synthesis })
    }
}

/// A layer of int8 or int16 weights.
fn matrix(t: &Tensors, name: &str) -> Result<Matrix> {
    let weight = format!("{name}.weight");
    let of = t.all.tensor(&weight).map_err(|e| t.bad(&weight, e))?;
    let &[outputs, inputs] = of.shape() else { return Err(t.bad(&weight, "not a matrix")) };
    let (bias, scale) = (t.i32(&format!("{name}.bias"))?, t.f32(&format!("{name}.scale"))?);
    let made = if of.dtype() == Dtype::I8 {
        Matrix::new(inputs, outputs, Weights::Bytes(&bytes(t, &weight)?), &bias, &scale)
    } else {
        Matrix::new(inputs, outputs, Weights::Words(&t.i16(&weight)?), &bias, &scale)
    };
    made.map_err(|e| t.bad(name, e.0))
}

fn bytes(t: &Tensors, name: &str) -> Result<Vec<i8>> {
    Ok(t.bytes(name, Dtype::I8)?.1.iter().map(|&b| b as i8).collect())
}

fn blocks(t: &Tensors, network: &str) -> Result<Vec<Block>> {
    let count = (0..).take_while(|i| t.all.tensor(&format!("{network}.block{i}.entry")).is_ok()).count();
    (0..count)
        .map(|i| {
            let name = format!("{network}.block{i}");
            let n = |s: &str| format!("{name}.{s}");
            let (bias, scale) = (t.i32(&n("around.bias"))?, t.f32(&n("around.scale"))?);
            let around = Around::new(bias.len(), &bytes(t, &n("around.weight"))?, &bias, &scale).map_err(|e| t.bad(&n("around"), e.0))?;
            let entry =
                t.i32(&n("entry"))?.first().and_then(|&e| i16::try_from(e).ok()).ok_or_else(|| t.bad(&n("entry"), "not an int16"))?;
            Block::new(entry, around, matrix(t, &n("up"))?, matrix(t, &n("down"))?).map_err(|e| t.bad(&name, e.0))
        })
        .collect()
}
