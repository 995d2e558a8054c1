//! The entropy model of pictures without a reference, all of it on the device: latents -> symbols and their distributions.

use crate::machine::{Arg, Launch, Machine};
use crate::prior::{Depthwise, Linear, Rows};
use crate::{Buffer, Error, Result};
use std::sync::Arc;

/// Latent positions of some pictures of one size.
#[derive(Clone, Copy)]
pub struct Shape {
    pub pictures: usize,
    pub width: usize,
    pub height: usize,
}

impl Shape {
    pub fn positions(&self) -> usize {
        self.pictures * self.width * self.height
    }

    /// Hyper cells: 2x2 positions each.
    pub fn cells(&self) -> usize {
        self.pictures * self.width.div_ceil(2) * self.height.div_ceil(2)
    }
}

/// Probability tables: what a symbol costs. Of each of 64 scales and 8 eighths of a step the smallest value with an entry, how many
/// entries (the last one the escape) and where they begin in `cost`; low bits that a scale sends as they are.
pub struct Tables {
    pub low: Buffer,
    pub entries: Buffer,
    pub at: Buffer,
    pub cost: Buffer,
    pub raw: Buffer,
}

/// The layers.
pub struct Intra {
    pub analysis0: Linear,
    pub analysis1: Linear,
    pub synthesis: Linear,
    pub smooth: Depthwise,
    pub context: Linear,
    pub first: Linear,
    pub spatial: Depthwise,
    pub second0: Linear,
    pub second1: Linear,
    pub tables: Tables,
}

/// Where everything of some pictures lies.
pub struct Space {
    shape: Shape,
    /// `[positions][channels]` latents in steps.
    pub y: Buffer,
    /// Symbols, `[positions][channels]` int16; and as activations.
    pub values: Buffer,
    known: Buffer,
    /// Hyper latents, `[cells][hyper channels]` int16.
    pub z: Buffer,
    /// Means and scales of the halves' symbols, `[positions of the half][2][channels]` int16.
    pub heads: [Buffer; 2],
    /// Positions of the checkerboard's halves.
    halves: [Buffer; 2],
    counts: [usize; 2],
    context: Buffer,
    /// Anything else.
    spare: [Buffer; 2],
}

impl Space {
    pub fn new(machine: &Arc<dyn Machine>, shape: Shape, p: &Intra) -> Result<Space> {
        let (m, n) = (p.spatial.channels(), shape.positions());
        let half = |odd: usize| -> Vec<u32> {
            let parity = |i: &u32| (*i as usize / shape.width % shape.height + *i as usize % shape.width) % 2;
            (0..n as u32).filter(|i| parity(i) == odd).collect()
        };
        let (even, odd) = (half(0), half(1));
        let words = |values: usize| Buffer::new(machine, 2 * values);
        let widest = [&p.analysis0, &p.analysis1, &p.synthesis, &p.context, &p.first, &p.second0, &p.second1];
        let widest = widest.iter().map(|l| l.inputs().max(l.outputs())).max().expect("seven layers");
        Ok(Space {
            shape,
            y: Buffer::new(machine, 4 * n * m)?,
            values: words(n * m)?,
            known: words(n * m)?,
            z: words(shape.cells() * p.synthesis.inputs())?,
            heads: [words(even.len() * 2 * m)?, words(odd.len() * 2 * m)?],
            counts: [even.len(), odd.len()],
            halves: [Buffer::of(machine, &even)?, Buffer::of(machine, &odd)?],
            context: words(n * p.context.outputs())?,
            spare: [words(4 * shape.cells() * widest)?, words(4 * shape.cells() * widest)?],
        })
    }
}

/// What a quantiser step decides: factors before rounding (f32), the context's biases (int32, a whole layer's, or none: its own), and
/// what a bit is worth.
pub struct Step<'a> {
    pub gains: &'a Buffer,
    pub context_bias: Option<(&'a Buffer, usize)>,
    pub lambda: f32,
}

impl Intra {
    /// `latents`: `[positions][channels]` f32 before gain. Fills symbols, hyper latents and heads of `s`.
    pub fn run(&self, s: &mut Space, latents: &Buffer, step: &Step) -> Result<()> {
        let (shape, m) = (s.shape, self.spatial.channels());
        let (n, cells, h) = (shape.positions(), shape.cells(), self.smooth.channels());
        if latents.len() < 4 * n * m || step.gains.len() < 4 * m {
            return Err(Error::Shape("too few latents"));
        }
        let int = |v: usize| Arg::Int(v as i32);
        let size = [int(shape.pictures), int(shape.width), int(shape.height)];
        let [a, b] = &mut s.spare;
        let run = |kernel, threads: usize, args: &[Arg]| {
            let grid = [threads.div_ceil(256).max(1) as u32, 1, 1];
            // SAFETY: the kernel's parameters; buffers have room for all positions.
            unsafe { latents.machine().launch(&Launch { kernel, grid, block: [256, 1, 1], shared: 0, args }) }
        };
        let count = Arg::Long((n * m) as i64);
        run("to_steps", n * m, &[count, latents.arg(), step.gains.arg(), int(m), s.y.arg(), a.arg()])?;
        run("to_cells", 4 * cells * m / 4, &[&size[..], &[int(m), a.arg(), b.arg()]].concat())?;
        self.analysis0.run(b, 4 * cells, None, a)?;
        self.analysis1.run(a, cells, None, b)?;
        let hyper = cells * self.synthesis.inputs();
        run("hyper_latents", hyper, &[Arg::Long(hyper as i64), b.arg(), s.z.arg(), a.arg()])?;
        self.synthesis.run(a, cells, None, b)?;
        run("from_cells", n * h / 4, &[&size[..], &[int(h), b.arg(), a.arg()]].concat())?;
        let dims = [shape.pictures, shape.height, shape.width];
        self.smooth.run(a, dims, None, Rows { buffer: b, stride: h, offset: 0 })?;
        self.context.run(b, n, step.context_bias, &mut s.context)?;
        let c = self.context.outputs();
        for half in 0..2 {
            let (rows, list) = (s.counts[half], &s.halves[half]);
            if rows == 0 {
                continue;
            }
            let stride = if half == 0 { c } else { c + m };
            run("gather", rows * c / 4, &[int(rows), list.arg(), s.context.arg(), int(c), a.arg(), int(stride), int(0)])?;
            if half == 0 {
                self.first.run(a, rows, None, &mut s.heads[0])?;
            } else {
                self.spatial.run(&s.known, dims, Some((list, rows)), Rows { buffer: a, stride, offset: c })?;
                self.second0.run(a, rows, None, b)?;
                self.second1.run(b, rows, None, &mut s.heads[1])?;
            }
            let t = &self.tables;
            let tables = [&t.low, &t.entries, &t.at, &t.cost, &t.raw].map(Buffer::arg);
            let mut args = vec![int(rows), list.arg(), s.heads[half].arg(), int(m), Arg::Float(step.lambda), s.y.arg()];
            args.extend(tables);
            args.extend([s.values.arg(), s.known.arg()]);
            run("choose_symbols", rows * m, &args)?;
        }
        Ok(())
    }

    /// Symbols -> latents as synthesis takes them; `sizes`: of each channel, int32 in 1/65536.
    pub fn latents(&self, s: &Space, sizes: &Buffer, out: &mut Buffer) -> Result<()> {
        let (n, m) = (s.shape.positions(), self.spatial.channels());
        if out.len() < 4 * n * m || sizes.len() < 4 * m {
            return Err(Error::Shape("too little room for latents"));
        }
        let args = [Arg::Long((n * m) as i64), s.values.arg(), sizes.arg(), Arg::Int(m as i32), out.arg()];
        let grid = [(n * m).div_ceil(256) as u32, 1, 1];
        // SAFETY: the kernel's parameters; sizes were checked.
        unsafe { out.machine().launch(&Launch { kernel: "to_latents", grid, block: [256, 1, 1], shared: 0, args: &args }) }
    }
}
