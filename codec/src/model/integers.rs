//! `networks.safetensors` -> the autoencoder in exact integers, so that pictures which others are predicted from are the same on every
//! machine; the tensors are listed in codec/BITSTREAM.md, section "Pack".

use super::tensors::Tensors;
use crate::error::Result;
use lic_kernels::network::{Analysis, Around, Block, Lane, Matrix, Synthesis, Weights};
use safetensors::Dtype;

/// The networks of a pack.
pub(crate) struct Integers {
    /// For frames with slices of kind `motion`: bytes inside blocks.
    pub analysis: Analysis,
    pub synthesis: Synthesis<u8>,
    /// For frames without: int16.
    pub whole: Synthesis<i16>,
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
        let (synthesis, whole) = (synthesis(&t, "synthesis")?, synthesis(&t, "whole.synthesis")?);
        if [analysis.latents(), synthesis.latents(), whole.latents()] != [channels; 3] {
            return Err(t.bad("analysis, synthesis", format!("not of the prior's {channels} channels")));
        }
        Ok(Integers { analysis, synthesis, whole })
    }
}

fn synthesis<L: Lane>(t: &Tensors, name: &str) -> Result<Synthesis<L>> {
    let n = |s: &str| format!("{name}.{s}");
    let made = Synthesis::new(t.f32(&n("entry"))?, matrix(t, &n("first"))?, blocks(t, name)?, matrix(t, &n("last"))?);
    made.map_err(|e| t.bad(name, e.0))
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

fn blocks<L: Lane>(t: &Tensors, network: &str) -> Result<Vec<Block<L>>> {
    let count = (0..).take_while(|i| t.all.tensor(&format!("{network}.block{i}.entry")).is_ok()).count();
    (0..count)
        .map(|i| {
            let name = format!("{network}.block{i}");
            let n = |s: &str| format!("{name}.{s}");
            let (bias, scale) = (t.i32(&n("around.bias"))?, t.f32(&n("around.scale"))?);
            let weights = match bytes(t, &n("around.weight")) {
                Ok(w) => w.into_iter().map(i16::from).collect(),
                Err(_) => t.i16(&n("around.weight"))?,
            };
            let around = Around::new::<L>(bias.len(), &weights, &bias, &scale).map_err(|e| t.bad(&n("around"), e.0))?;
            let entry =
                t.i32(&n("entry"))?.first().and_then(|&e| i16::try_from(e).ok()).ok_or_else(|| t.bad(&n("entry"), "not an int16"))?;
            Block::new(entry, around, matrix(t, &n("up"))?, matrix(t, &n("down"))?).map_err(|e| t.bad(&name, e.0))
        })
        .collect()
}
