//! The networks of a pack's files, as codec/BITSTREAM.md lists them.

use lic_kernels::network::{Analysis, Around, Block, Lane, Matrix, Synthesis, Weights};
use lic_kernels::{Depthwise, Linear};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

pub struct Networks {
    pub analysis: Analysis,
    pub synthesis: Synthesis<u8>,
    pub whole: Synthesis<i16>,
}

type Result<T> = std::result::Result<T, String>;

struct Tensors<'a>(SafeTensors<'a>);

impl Tensors<'_> {
    fn values<T>(&self, name: &str, dtype: Dtype, value: fn(&[u8]) -> T) -> Result<Vec<T>> {
        let t = self.0.tensor(name).map_err(|e| format!("{name}: {e}"))?;
        if t.dtype() != dtype {
            return Err(format!("{name}: {:?} where {dtype:?} is needed", t.dtype()));
        }
        Ok(t.data().chunks_exact(size_of::<T>()).map(value).collect())
    }

    fn i8(&self, name: &str) -> Result<Vec<i8>> {
        self.values(name, Dtype::I8, |b| b[0] as i8)
    }

    fn u8(&self, name: &str) -> Result<Vec<u8>> {
        self.values(name, Dtype::U8, |b| b[0])
    }

    fn i16(&self, name: &str) -> Result<Vec<i16>> {
        self.values(name, Dtype::I16, |b| i16::from_le_bytes([b[0], b[1]]))
    }

    fn i32(&self, name: &str) -> Result<Vec<i32>> {
        self.values(name, Dtype::I32, |b| i32::from_le_bytes(b.try_into().expect("four bytes")))
    }

    fn f32(&self, name: &str) -> Result<Vec<f32>> {
        self.values(name, Dtype::F32, |b| f32::from_le_bytes(b.try_into().expect("four bytes")))
    }

    fn matrix(&self, name: &str) -> Result<Matrix> {
        let weight = format!("{name}.weight");
        let t = self.0.tensor(&weight).map_err(|e| format!("{weight}: {e}"))?;
        let &[outputs, inputs] = t.shape() else { return Err(format!("{weight} is no matrix")) };
        let (bias, scale) = (self.i32(&format!("{name}.bias"))?, self.f32(&format!("{name}.scale"))?);
        let made = if t.dtype() == Dtype::I8 {
            Matrix::new(inputs, outputs, Weights::Bytes(&self.i8(&weight)?), &bias, &scale)
        } else {
            Matrix::new(inputs, outputs, Weights::Words(&self.i16(&weight)?), &bias, &scale)
        };
        made.map_err(|e| format!("{name}: {}", e.0))
    }

    fn blocks<L: Lane>(&self, network: &str) -> Result<Vec<Block<L>>> {
        let count = (0..).take_while(|i| self.0.tensor(&format!("{network}.block{i}.entry")).is_ok()).count();
        let block = |i| {
            let n = |s: &str| format!("{network}.block{i}.{s}");
            let (bias, scale) = (self.i32(&n("around.bias"))?, self.f32(&n("around.scale"))?);
            let weights = match self.i8(&n("around.weight")) {
                Ok(w) => w.into_iter().map(i16::from).collect(),
                Err(_) => self.i16(&n("around.weight"))?,
            };
            let around = Around::new::<L>(bias.len(), &weights, &bias, &scale).map_err(|e| e.0)?;
            let entry = self.i32(&n("entry"))?[0] as i16;
            Ok(Block::new(entry, around, self.matrix(&n("up"))?, self.matrix(&n("down"))?).map_err(|e| e.0)?)
        };
        (0..count).map(block).collect()
    }

    fn synthesis<L: Lane>(&self, name: &str) -> Result<Synthesis<L>> {
        let n = |s: &str| format!("{name}.{s}");
        let made = Synthesis::new(self.f32(&n("entry"))?, self.matrix(&n("first"))?, self.blocks(name)?, self.matrix(&n("last"))?);
        Ok(made.map_err(|e| e.0)?)
    }
}

fn read(folder: &Path, file: &str) -> Result<Vec<u8>> {
    let path = folder.join(file);
    std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
}

pub fn networks(folder: &Path) -> Result<Networks> {
    let bytes = read(folder, "networks.safetensors")?;
    let t = Tensors(SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?);
    let analysis = Analysis::new(t.matrix("analysis.first")?, t.blocks("analysis")?, t.matrix("analysis.last")?).map_err(|e| e.0)?;
    Ok(Networks { analysis, synthesis: t.synthesis("synthesis")?, whole: t.synthesis("whole.synthesis")? })
}

/// The prior's layers by name.
pub struct Prior {
    pub tables: super::entropy::Costs,
    /// `[steps][channels]`.
    pub gain: Vec<f32>,
    pub step_size: Vec<i32>,
    pub linear: Vec<(String, Linear)>,
    pub depthwise: Vec<(String, Depthwise)>,
    /// The same as `linear` without leaky ReLU.
    quiet: Vec<(String, Linear)>,
}

impl Prior {
    pub fn named(&self, name: &str, leaky: bool) -> Result<Linear> {
        let list = if leaky { &self.linear } else { &self.quiet };
        list.iter().find(|l| l.0 == name).map(|l| l.1.clone()).ok_or_else(|| format!("no layer {name}"))
    }

    pub fn deep(&self, name: &str) -> Result<&Depthwise> {
        self.depthwise.iter().find(|l| l.0 == name).map(|l| &l.1).ok_or_else(|| format!("no layer {name}"))
    }
}

fn tables(t: &Tensors) -> Result<super::entropy::Costs> {
    let words = |name: &str, d| t.values(name, d, |b| [b[0], b[1]]);
    let mut costs = super::entropy::Costs {
        low: words("cdf.low", Dtype::I16)?.into_iter().map(|b| i16::from_le_bytes(b) as i32).collect(),
        entries: words("cdf.entries", Dtype::U16)?.into_iter().map(|b| u16::from_le_bytes(b) as i32).collect(),
        raw: t.u8("cdf.raw")?.into_iter().map(i32::from).collect(),
        ..Default::default()
    };
    let cdf: Vec<u16> = words("cdf.data", Dtype::U16)?.into_iter().map(u16::from_le_bytes).collect();
    for &entries in &costs.entries {
        let at = costs.cost.len();
        costs.at.push(at as i32);
        let c = &cdf[at..at + entries as usize + 1];
        costs.cost.extend(c.windows(2).map(|w| 15.0 - ((w[1] - w[0]) as f32).log2()));
        costs.cost.push(0.0);
    }
    Ok(costs)
}

pub fn prior(folder: &Path) -> Result<Prior> {
    let bytes = read(folder, "prior.safetensors")?;
    let t = Tensors(SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?);
    let mut names: Vec<&str> = t.0.names().into_iter().filter_map(|n| n.strip_suffix(".weight")).collect();
    names.sort();
    let mut prior = Prior {
        tables: tables(&t)?,
        gain: t.f32("gain")?,
        step_size: t.i32("step_size")?,
        linear: Vec::new(),
        depthwise: Vec::new(),
        quiet: Vec::new(),
    };
    for name in names {
        let weight = format!("{name}.weight");
        let shape = t.0.tensor(&weight).map_err(|e| e.to_string())?.shape().to_vec();
        let (w, bias, shift) = (t.i8(&weight)?, t.i32(&format!("{name}.bias"))?, t.u8(&format!("{name}.shift"))?);
        if shape[1] == 9 {
            prior.depthwise.push((name.into(), Depthwise::new(shape[0], &w, &bias, &shift).map_err(|e| e.0)?));
        } else {
            // Which layers are leaky is not in the file.
            for (leaky, list) in [(true, &mut prior.linear), (false, &mut prior.quiet)] {
                list.push((name.into(), Linear::new(shape[1], shape[0], &w, &bias, &shift, leaky).map_err(|e| e.0)?));
            }
        }
    }
    Ok(prior)
}
