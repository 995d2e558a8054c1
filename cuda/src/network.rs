//! The autoencoder's exact networks, for many pictures at a time.

use crate::machine::{Arg, Launch, Machine};
use crate::places::Places;
use crate::planes::DevicePlanes;
use crate::weights::{Layer, THREADS, TILE, threads, tile_bytes};
use crate::{Buffer, Error, Result};
use lic_kernels::network::{self, Around, Lane, Matrix};
use std::sync::Arc;

/// Bytes before the rows that blocks take, 1024 int16 or half as many bytes of which stand for places where nothing is computed: zeros,
/// then what stands for zero in bytes.
const FRONT: usize = 2048;
/// Most channels of a stream: so many zeros are there.
const CHANNELS: usize = 512;

/// What networks keep between layers; grows as it must.
pub struct Workspace {
    machine: Arc<dyn Machine>,
    stream: Buffer,
    sides: [Buffer; 2],
}

impl Workspace {
    pub fn new(machine: &Arc<dyn Machine>) -> Result<Workspace> {
        let empty = || Buffer::new(machine, 0);
        Ok(Workspace { machine: machine.clone(), stream: empty()?, sides: [empty()?, empty()?] })
    }

    /// For so many values of the stream, of so many bytes where blocks take them.
    fn reserve(&mut self, values: usize, bytes: usize) -> Result<()> {
        if values >= 1 << 31 {
            return Err(Error::Shape("too many pictures at a time"));
        }
        if self.stream.len() < 2 * values {
            self.stream = Buffer::new(&self.machine, 2 * values)?;
        }
        for s in self.sides.iter_mut().filter(|s| s.len() < FRONT + bytes * values) {
            *s = Buffer::new(&self.machine, FRONT + bytes * values)?;
            s.write(&[[0u8; FRONT / 2], [128; FRONT / 2]].concat())?;
        }
        Ok(())
    }

    /// Where rows begin, behind what stands for zero.
    fn side(&self, i: usize) -> Arg {
        self.sides[i % 2].from(FRONT)
    }
}

/// A residual block.
struct Block {
    kernel: &'static str,
    channels: usize,
    inner: usize,
    entry: i32,
    shared: usize,
    taps: Buffer,
    bias: Buffer,
    scale: Buffer,
    up: Layer,
    down: Layer,
}

impl Block {
    fn new<L: Lane>(machine: &Arc<dyn Machine>, b: &network::Block<L>) -> Result<Block> {
        let (around, up, down) = b.layers();
        let (channels, inner, wide) = (b.channels(), up.outputs(), up.wide());
        if channels > CHANNELS {
            return Err(Error::Shape("more than 512 channels"));
        }
        let planes = 1 + wide as usize;
        Ok(Block {
            kernel: if wide { "block_words" } else { "block_bytes" },
            channels,
            inner,
            entry: b.entry() as i32,
            // Both layers' inputs, and of bytes the stream, for which those of int16 have room.
            shared: tile_bytes(channels, planes) + tile_bytes(inner, planes) + if wide { 0 } else { TILE * (2 * channels + 16) },
            taps: if wide { Buffer::of(machine, around.weights())? } else { Buffer::of(machine, &fours(around))? },
            bias: Buffer::of(machine, around.bias())?,
            scale: Buffer::of(machine, around.scale())?,
            up: Layer::new(machine, up)?,
            down: Layer::new(machine, down)?,
        })
    }

    fn run(&self, w: &Workspace, side: usize, places: &Places, next: Option<&Block>) -> Result<()> {
        self.launch(self.kernel, w, side, places, next)
    }

    fn launch(&self, kernel: &'static str, w: &Workspace, side: usize, places: &Places, next: Option<&Block>) -> Result<()> {
        let mut args = places.args().to_vec();
        let to = next.map_or(Arg::At(0), |_| w.side(side + 1));
        args.extend([w.side(side), w.stream.arg(), to, Arg::Int(next.map_or(0, |n| n.entry))]);
        args.extend([Arg::Int(self.channels as i32), Arg::Int(self.inner as i32)]);
        args.extend([&self.taps, &self.bias, &self.scale].map(Buffer::arg));
        args.extend([&self.up.weights, &self.up.bias, &self.up.scale].map(Buffer::arg));
        args.extend([&self.down.weights, &self.down.bias, &self.down.scale].map(Buffer::arg));
        // As many warps as there are groups of outputs: none waits for the others.
        let threads = threads(self.channels);
        // SAFETY: the kernel's parameters; the workspace has room for all rows.
        unsafe { launch(&w.machine, kernel, places.rows(), threads, self.shared, &args) }
    }
}

/// Taps of bytes as dp4a takes them: `[3 lines][channels]` of three and a zero.
fn fours(around: &Around) -> Vec<u8> {
    let c = around.channels();
    let tap = |i: usize| if i % 4 < 3 { around.weights()[(i / (4 * c) * 3 + i % 4) * c + i / 4 % c] as u8 } else { 0 };
    (0..3 * c * 4).map(tap).collect()
}

/// # Safety
/// As [`Machine::launch`].
unsafe fn launch(machine: &Arc<dyn Machine>, kernel: &'static str, rows: usize, threads: u32, shared: usize, args: &[Arg]) -> Result<()> {
    if rows == 0 {
        return Ok(());
    }
    let grid = [rows.div_ceil(TILE) as u32, 1, 1];
    // SAFETY: the caller's.
    unsafe { machine.launch(&Launch { kernel, grid, block: [threads, 1, 1], shared, args }) }
}

fn layer_args(l: &Layer) -> [Arg; 3] {
    [l.weights.arg(), l.bias.arg(), l.scale.arg()]
}

/// Samples of pictures -> latents before gain.
pub struct Analysis {
    first: Layer,
    blocks: Vec<Block>,
    last: Layer,
    channels: usize,
    latents: usize,
}

impl Analysis {
    pub fn new(machine: &Arc<dyn Machine>, a: &network::Analysis) -> Result<Analysis> {
        let (first, blocks, last) = a.layers();
        Ok(Analysis {
            first: Layer::new(machine, first)?,
            blocks: blocks.iter().map(|b| Block::new(machine, b)).collect::<Result<_>>()?,
            last: Layer::new(machine, last)?,
            channels: first.outputs(),
            latents: a.latents(),
        })
    }

    pub fn latents(&self) -> usize {
        self.latents
    }

    /// Multiplications of a place at 1/8, in int8 products as the tensor cores do them (int16 counts four times).
    pub fn products(&self) -> usize {
        let (c, e) = (self.channels, self.blocks[0].inner);
        2 * 96 * c + self.blocks.len() * 2 * c * e + 4 * c * self.latents
    }

    /// Latents of the first `positions` rows of four places go to `out`, `[positions][latents]` f32.
    pub fn run(&self, w: &mut Workspace, planes: &DevicePlanes, places: &Places, positions: usize, out: &mut Buffer) -> Result<()> {
        places.fits(planes)?;
        if 4 * positions > places.rows() || out.len() < 4 * positions * self.latents {
            return Err(Error::Shape("more positions than places, or than the output has room for"));
        }
        w.reserve(places.rows() * self.channels, 1)?;
        self.first(w, planes, places)?;
        for i in 0..self.blocks.len() {
            self.block(w, i, places)?;
        }
        self.last(w, positions, out)
    }

    /// One layer of [`run`](Analysis::run), to be measured alone; the workspace is from a whole run.
    pub fn first(&self, w: &Workspace, planes: &DevicePlanes, places: &Places) -> Result<()> {
        let mut args = places.args().to_vec();
        args.extend(planes.args());
        args.extend([w.stream.arg(), w.side(0), Arg::Int(self.blocks[0].entry), Arg::Int(self.channels as i32)]);
        args.extend(layer_args(&self.first));
        // SAFETY: the kernel's parameters; planes and workspace are large enough.
        unsafe { launch(&w.machine, "analysis_first", places.rows(), THREADS, 0, &args) }
    }

    /// As [`first`](Analysis::first).
    pub fn block(&self, w: &Workspace, i: usize, places: &Places) -> Result<()> {
        self.blocks[i].run(w, i, places, self.blocks.get(i + 1))
    }

    /// The depthwise layer of the first block alone, or its other layers: for measurements; what they compute is of no use.
    pub fn part(&self, w: &Workspace, around: bool, places: &Places) -> Result<()> {
        let kernel = if around { "measure_around" } else { "measure_products" };
        self.blocks[0].launch(kernel, w, 0, places, self.blocks.get(1))
    }

    /// As [`first`](Analysis::first).
    pub fn last(&self, w: &Workspace, positions: usize, out: &mut Buffer) -> Result<()> {
        let inputs = 4 * self.channels;
        let args = [Arg::Int(positions as i32), w.stream.arg(), Arg::Int(inputs as i32), out.arg(), Arg::Int(self.latents as i32)];
        let args = [&args[..], &layer_args(&self.last)].concat();
        // SAFETY: the kernel's parameters; workspace and output are large enough.
        unsafe { launch(&w.machine, "analysis_last", positions, threads(self.latents), tile_bytes(inputs, 2), &args) }
    }
}

/// Latents -> samples of pictures.
pub struct Synthesis {
    entry: Buffer,
    first: Layer,
    blocks: Vec<Block>,
    last: Layer,
    channels: usize,
    latents: usize,
    wide: bool,
}

impl Synthesis {
    pub fn new<L: Lane>(machine: &Arc<dyn Machine>, s: &network::Synthesis<L>) -> Result<Synthesis> {
        let (first, blocks, last) = s.layers();
        let matrices: [&Matrix; 2] = [first, last];
        if !s.latents().is_multiple_of(8) || matrices.iter().any(|m| !m.inputs().is_multiple_of(8)) {
            return Err(Error::Shape("channels are no multiple of eight"));
        }
        Ok(Synthesis {
            entry: Buffer::of(machine, s.entry())?,
            first: Layer::new(machine, first)?,
            blocks: blocks.iter().map(|b| Block::new(machine, b)).collect::<Result<_>>()?,
            last: Layer::new(machine, last)?,
            channels: last.inputs(),
            latents: s.latents(),
            wide: L::FAR > 255,
        })
    }

    /// As [`Analysis::products`].
    pub fn products(&self) -> usize {
        let (c, e) = (self.channels, self.blocks[0].inner);
        4 * self.latents * c + self.blocks.len() * 2 * c * e * if self.wide { 4 } else { 1 } + 4 * c * 96
    }

    /// `latents`: `[positions][latents]` f32 in units of the picture, four rows of `places` each.
    pub fn run(&self, w: &mut Workspace, latents: &Buffer, places: &Places, planes: &mut DevicePlanes) -> Result<()> {
        places.fits(planes)?;
        if !places.rows().is_multiple_of(4) || latents.len() < places.rows() * self.latents {
            return Err(Error::Shape("not four places, or no latents, of each position"));
        }
        w.reserve(places.rows() * self.channels, 1 + self.wide as usize)?;
        self.first(w, latents, places)?;
        for i in 0..self.blocks.len() {
            self.block(w, i, places)?;
        }
        self.last(w, places, planes)
    }

    /// As [`Analysis::first`].
    pub fn first(&self, w: &Workspace, latents: &Buffer, places: &Places) -> Result<()> {
        let positions = places.rows() / 4;
        let mut args = vec![Arg::Int(positions as i32), latents.arg(), Arg::Int(self.latents as i32), self.entry.arg()];
        let entry = if self.wide { 0 } else { self.blocks[0].entry };
        args.extend([w.stream.arg(), w.side(0), Arg::Int(entry), Arg::Int(4 * self.channels as i32)]);
        args.extend(layer_args(&self.first));
        // SAFETY: the kernel's parameters; latents and workspace are large enough.
        unsafe { launch(&w.machine, "synthesis_first", positions, threads(4 * self.channels), tile_bytes(self.latents, 2), &args) }
    }

    /// As [`Analysis::first`].
    pub fn block(&self, w: &Workspace, i: usize, places: &Places) -> Result<()> {
        self.blocks[i].run(w, i, places, self.blocks.get(i + 1))
    }

    /// As [`Analysis::first`].
    pub fn last(&self, w: &Workspace, places: &Places, planes: &mut DevicePlanes) -> Result<()> {
        let mut args = places.args().to_vec();
        args.extend([w.stream.arg(), Arg::Int(self.channels as i32)]);
        args.extend(planes.args());
        args.extend(layer_args(&self.last));
        // SAFETY: the kernel's parameters; workspace and planes are large enough.
        unsafe { launch(&w.machine, "synthesis_last", places.rows(), threads(96), tile_bytes(self.channels, 2), &args) }
    }
}
