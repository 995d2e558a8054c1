//! The entropy model of pictures without a reference, all of it on the device: latents -> symbols and their distributions.

use crate::machine::{Arg, Launch, Machine};
use crate::prior::{Depthwise, Linear, Rows};
use crate::{Buffer, Error, Result};
use std::sync::Arc;

/// Latent positions of some pictures of one size.
#[derive(Clone, Copy, PartialEq)]
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

    fn dims(&self) -> [usize; 3] {
        [self.pictures, self.height, self.width]
    }

    /// As kernels take it.
    fn args(&self) -> [Arg; 3] {
        [int(self.pictures), int(self.width), int(self.height)]
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

/// The layers; tables where symbols are chosen here.
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
    pub tables: Option<Tables>,
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
    pub fn shape(&self) -> Shape {
        self.shape
    }

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
        let (n, m) = (s.shape.positions(), self.spatial.channels());
        if latents.len() < 4 * n * m || step.gains.len() < 4 * m {
            return Err(Error::Shape("too few latents"));
        }
        let Some(t) = &self.tables else { return Err(Error::Shape("no tables to choose symbols by")) };
        let count = Arg::Long((n * m) as i64);
        launch(&s.y, "to_steps", n * m, &[count, latents.arg(), step.gains.arg(), int(m), s.y.arg(), s.spare[0].arg()])?;
        self.to_hyper(s)?;
        self.to_context(s, step.context_bias)?;
        for half in 0..2 {
            self.to_heads(s, half)?;
            let (rows, list) = (s.counts[half], &s.halves[half]);
            // Nobody looks at what the second half adds, which has to be zero when the next pictures come.
            let known = if half == 0 { &s.known } else { &s.spare[0] };
            let mut args = vec![int(rows), list.arg(), s.heads[half].arg(), int(m), Arg::Float(step.lambda), s.y.arg()];
            args.extend([&t.low, &t.entries, &t.at, &t.cost, &t.raw].map(Buffer::arg));
            args.extend([s.values.arg(), known.arg()]);
            launch(&s.y, "choose_symbols", rows * m, &args)?;
        }
        Ok(())
    }

    /// For hosts that choose or read symbols themselves: activations of latents, `[positions][channels]` -> hyper latents of all cells.
    pub fn hyper(&self, s: &mut Space, activations: &[i16]) -> Result<Vec<i16>> {
        s.spare[0].write(all(activations, s.shape.positions() * self.spatial.channels())?)?;
        self.to_hyper(s)?;
        s.z.read()
    }

    /// The same: activations of hyper latents -> what both halves' distributions come from.
    pub fn context(&self, s: &mut Space, activations: &[i16], bias: Option<(&Buffer, usize)>) -> Result<()> {
        s.spare[0].write(all(activations, s.shape.cells() * self.synthesis.inputs())?)?;
        self.to_context(s, bias)
    }

    /// The same: for each position of the first half, in raster order, `channels` means and as many scales, which are not cut to their range.
    pub fn first(&self, s: &mut Space) -> Result<Vec<i16>> {
        self.heads(s, 0)
    }

    /// The same of the second half. `known`: activations of the first half's symbols, `[positions][channels]`, zero elsewhere.
    pub fn second(&self, s: &mut Space, known: &[i16]) -> Result<Vec<i16>> {
        s.known.write(all(known, s.shape.positions() * self.spatial.channels())?)?;
        self.heads(s, 1)
    }

    fn heads(&self, s: &mut Space, half: usize) -> Result<Vec<i16>> {
        self.to_heads(s, half)?;
        // A picture of one position has no second half.
        if s.counts[half] == 0 { Ok(Vec::new()) } else { s.heads[half].read() }
    }

    /// Activations in the first spare buffer -> hyper latents, and those as activations in the first spare buffer.
    fn to_hyper(&self, s: &mut Space) -> Result<()> {
        let (m, cells) = (self.spatial.channels(), s.shape.cells());
        let [a, b] = &mut s.spare;
        launch(&s.z, "to_cells", cells * m, &[&s.shape.args()[..], &[int(m), a.arg(), b.arg()]].concat())?;
        self.analysis0.run(b, 4 * cells, None, a)?;
        self.analysis1.run(a, cells, None, b)?;
        let hyper = cells * self.synthesis.inputs();
        launch(&s.z, "hyper_latents", hyper, &[Arg::Long(hyper as i64), b.arg(), s.z.arg(), a.arg()])
    }

    /// Activations of hyper latents in the first spare buffer -> the context.
    fn to_context(&self, s: &mut Space, bias: Option<(&Buffer, usize)>) -> Result<()> {
        let (shape, h) = (s.shape, self.smooth.channels());
        let [a, b] = &mut s.spare;
        self.synthesis.run(a, shape.cells(), None, b)?;
        launch(&s.z, "from_cells", shape.positions() * h / 4, &[&shape.args()[..], &[int(h), b.arg(), a.arg()]].concat())?;
        self.smooth.run(a, shape.dims(), None, Rows { buffer: b, stride: h, offset: 0 })?;
        self.context.run(b, shape.positions(), bias, &mut s.context)
    }

    /// The context and, for the second half, what is known -> heads.
    fn to_heads(&self, s: &mut Space, half: usize) -> Result<()> {
        let (m, c) = (self.spatial.channels(), self.context.outputs());
        let (rows, list) = (s.counts[half], &s.halves[half]);
        let [a, b] = &mut s.spare;
        let stride = if half == 0 { c } else { c + m };
        launch(&s.z, "gather", rows * c / 4, &[int(rows), list.arg(), s.context.arg(), int(c), a.arg(), int(stride), int(0)])?;
        if half == 0 {
            return self.first.run(a, rows, None, &mut s.heads[0]);
        }
        self.spatial.run(&s.known, s.shape.dims(), Some((list, rows)), Rows { buffer: a, stride, offset: c })?;
        self.second0.run(a, rows, None, b)?;
        self.second1.run(b, rows, None, &mut s.heads[1])
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

fn int(v: usize) -> Arg {
    Arg::Int(v as i32)
}

/// A kernel on so many threads, on the machine of a buffer.
fn launch(on: &Buffer, kernel: &'static str, threads: usize, args: &[Arg]) -> Result<()> {
    if threads == 0 {
        return Ok(());
    }
    let grid = [threads.div_ceil(256) as u32, 1, 1];
    // SAFETY: the kernel's parameters; a space's buffers have room for all positions.
    unsafe { on.machine().launch(&Launch { kernel, grid, block: [256, 1, 1], shared: 0, args }) }
}

/// As many values as are needed.
fn all(values: &[i16], needed: usize) -> Result<&[i16]> {
    if values.len() == needed { Ok(values) } else { Err(Error::Shape("activations of another size")) }
}
