//! Decoded pictures -> JPEG files (ITU-T T.81, JFIF 1.02), by way of DCT coefficients; and back.
//!
//! ```text
//! planes -> full-range BT.601 samples, or learned colour -> forward DCT -> quantised coefficients -> Huffman-coded scans
//! ```
//!
//! Written here and not by a library because the quantiser knows the stream's step: its tables and its rounding are ours. Read by one.

mod annex_k;
mod huffman;
mod icc;
mod learned;
mod pair;
mod read;
mod samples;
mod scan;
mod segments;
mod symbols;
mod tables;

use crate::error::{Error, Result};
use crate::{Colour, RawFormat, RawFrame};
use lic_kernels::Level;
use lic_kernels::jpeg::{Quantiser, blocks};
pub use read::{Picture, read};
use samples::{LearnedRows, Rows, Standard, Strip};
use scan::{Scan, Walk};
pub use segments::{Notes, SEGMENT_NAME};
use symbols::{Sink, Symbols, Writer};
use tables::Steps;

/// What a file's components are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Components {
    /// YCbCr as JFIF has it: right in every reader.
    #[default]
    Standard,
    /// Learned: fewer bytes, or less error at as many, and false colours in readers that know neither the file's own segment nor its ICC
    /// profile. Three components, none subsampled; grey pictures stay as they are.
    Learned,
}

/// Chroma samples of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subsampling {
    /// Half of luma's columns and rows, as the codec's pictures have them.
    #[default]
    Yuv420,
    /// As many as luma's, interpolated.
    Yuv444,
    /// None.
    Grey,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub components: Components,
    /// Of standard components; learned ones are never subsampled, and grey files have none.
    pub subsampling: Subsampling,
    /// DC first, then low and high frequencies of each component, instead of block after block.
    pub progressive: bool,
    /// Huffman codes made for the picture, instead of those of Annex K. Progressive files always have their own.
    pub optimise: bool,
    /// Rows of MCUs between restart markers; 0 for none.
    pub restart_rows: u16,
    /// 1 to 100: Annex K's tables, scaled as libjpeg scales them, or with learned components the four trained rates at 1, 34, 67 and 100
    /// and what is between. 0: tables and rounding that suit the stream's step.
    pub quality: u8,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            components: Components::default(),
            subsampling: Subsampling::default(),
            progressive: false,
            optimise: true,
            restart_rows: 0,
            quality: 0,
        }
    }
}

/// One component, and quantised blocks of it: all, or those of a row of MCUs.
struct Component {
    /// Its number in the file.
    id: u8,
    /// Sampling factors.
    h: usize,
    v: usize,
    /// Blocks of a line and lines of blocks that hold samples of the picture: what scans of one component code.
    columns: usize,
    rows: usize,
    /// Blocks of a line in memory: whole MCUs.
    stride: usize,
    /// Which quantisation table, and which Huffman codes.
    steps: usize,
    codes: usize,
    /// `[rows][stride]` blocks, as the kernels order them, and a bit for each level that is not 0, in zigzag order.
    blocks: Vec<[i16; 64]>,
    coded: Vec<u64>,
}

/// Writes `picture` of colour `colour` as one JPEG file. With standard components it is I420 or GRAY8, with learned ones also RGB.
///
/// Samples become full-range BT.601 YCbCr, as JFIF has it; primaries and transfer stay, and an ICC profile in `notes` may name them.
/// Learned components take red, green and blue as sRGB, and bring a profile of their own. `notes.step` chooses the tables where
/// `options.quality` is 0.
pub fn write(picture: &RawFrame, colour: Colour, options: &Options, notes: &Notes) -> Result<Vec<u8>> {
    let (format, level) = (picture.format, Level::best());
    let coloured = format != RawFormat::Gray8 && options.subsampling != Subsampling::Grey;
    let learned = options.components == Components::Learned && coloured;
    let grey = !coloured;
    match format {
        RawFormat::I420 | RawFormat::Gray8 => {}
        RawFormat::Rgb if learned => {}
        RawFormat::Rgb => {
            return Err(Error::Unsupported("JPEG files are written from RGB with learned components only: convert it to I420".into()));
        }
        other => return Err(Error::Unsupported(format!("JPEG files are written from I420 or GRAY8, not {other:?}"))),
    }
    if options.quality > 100 {
        return Err(Error::Unsupported(format!("JPEG quality {} is not within 0 to 100", options.quality)));
    }
    if learned && !notes.icc.is_empty() {
        return Err(Error::Unsupported("files with learned components carry an ICC profile of their own: give none".into()));
    }
    let most = if grey || learned || options.subsampling == Subsampling::Yuv444 { 1 } else { 2 };
    let (width, height) = (picture.width, picture.height);
    let size = (width.div_ceil(8 * most), height.div_ceil(8 * most));
    let components = (0..if grey { 1 } else { 3 }).map(|i| {
        let factor = if i == 0 { most } else { 1 };
        let samples = |n: usize| if i > 0 && most == 2 { n.div_ceil(2) } else { n };
        Component {
            id: if learned { b"RGB"[i] } else { i as u8 + 1 },
            h: factor,
            v: factor,
            columns: samples(width).div_ceil(8),
            rows: samples(height).div_ceil(8),
            stride: size.0 * factor,
            steps: if learned { i } else { i.min(1) },
            codes: i.min(1),
            blocks: Vec::new(),
            coded: Vec::new(),
        }
    });
    let mut steps = if learned { tables::learned(options.quality, notes.step) } else { tables::standard(options.quality, notes.step) };
    steps.truncate(if grey { 1 } else { 3 });
    let file = File { size, components: components.collect(), steps, options: *options, level };
    let mut out = Vec::with_capacity(width * height / 8 + 4096);
    let icc = if learned { icc::profile(&learned::inverse(&learned::parameters())?) } else { Vec::new() };
    segments::start(&mut out, notes, learned, if learned { &icc } else { &notes.icc });
    segments::quantisation(&mut out, &file.steps);
    segments::frame(&mut out, width, height, options.progressive, &file.components);
    if learned {
        file.write(&mut out, LearnedRows::new(picture, colour, learned::forward(), level));
    } else {
        let subsampling = if grey { Subsampling::Grey } else { options.subsampling };
        file.write(&mut out, Standard::new(picture, colour, subsampling, level));
    }
    out.extend_from_slice(&[0xFF, 0xD9]);
    Ok(out)
}

/// A file on its way, from where its frame header ends.
struct File {
    /// MCUs of a line, and lines.
    size: (usize, usize),
    components: Vec<Component>,
    steps: Vec<Steps>,
    options: Options,
    level: Level,
}

impl File {
    fn write<R: Rows>(mut self, out: &mut Vec<u8>, mut rows: R) {
        let (progressive, restart) = (self.options.progressive, self.options.restart_rows);
        let scans = Scan::all(&self.components, self.size, progressive, restart);
        if progressive {
            self.quantise(&mut rows);
            for scan in &scans {
                let mut symbols = Symbols::new();
                let mut walk = Walk::new(scan);
                walk.rows(&self.components, 0, 0..scan.size.1, &mut symbols);
                walk.finish(&mut symbols);
                let tables = symbols.tables();
                scan.header(out, &self.components, &tables);
                symbols.write(out, &tables);
            }
        } else if self.options.optimise {
            let mut symbols = Symbols::new();
            self.stream(&mut rows, &scans[0], &mut symbols);
            let tables = symbols.tables();
            scans[0].header(out, &self.components, &tables);
            symbols.write(out, &tables);
        } else {
            let tables = symbols::standard_tables();
            scans[0].header(out, &self.components, &tables);
            let mut writer = Writer::new(out, &tables);
            self.stream(&mut rows, &scans[0], &mut writer);
            writer.finish();
        }
    }

    /// All blocks of all components.
    fn quantise<R: Rows>(&mut self, rows: &mut R) {
        let lines = self.size.1;
        let mut work = Work::new(self, lines);
        for row in 0..lines {
            work.row(self, rows, row, row);
        }
    }

    /// Rows of MCUs, each coded before the next one is read: what is worked on stays in the cache.
    fn stream<R: Rows>(&mut self, rows: &mut R, scan: &Scan, sink: &mut impl Sink) {
        let mut work = Work::new(self, 1);
        let mut walk = Walk::new(scan);
        for row in 0..self.size.1 {
            work.row(self, rows, row, 0);
            walk.rows(&self.components, row, row..row + 1, sink);
        }
        walk.finish(sink);
    }
}

/// Strips of samples, and what turns them into blocks.
struct Work<S> {
    strips: Vec<Strip<S>>,
    quantisers: Vec<Quantiser>,
}

impl<S: lic_kernels::jpeg::Sample + Default> Work<S> {
    /// Makes room for the blocks of so many rows of MCUs.
    fn new(file: &mut File, rows: usize) -> Work<S> {
        for c in &mut file.components {
            let n = rows * c.v * c.stride;
            (c.blocks, c.coded) = (vec![[0; 64]; n], vec![0; n]);
        }
        let strip = |c: &Component| Strip { stride: 8 * c.stride, lines: 8 * c.v, samples: vec![S::default(); 64 * c.v * c.stride] };
        Work {
            strips: file.components.iter().map(strip).collect(),
            quantisers: file.steps.iter().map(|s| Quantiser::new(&s.table, s.rounding)).collect(),
        }
    }

    /// Row `row` of the picture as row `to` of the components' blocks.
    fn row<R: Rows<Sample = S>>(&mut self, file: &mut File, rows: &mut R, row: usize, to: usize) {
        rows.read(row, &mut self.strips);
        for (c, strip) in file.components.iter_mut().zip(&self.strips) {
            for v in 0..c.v {
                let range = (to * c.v + v) * c.stride..(to * c.v + v + 1) * c.stride;
                let lines = &strip.samples[8 * v * strip.stride..][..8 * strip.stride];
                let (out, coded) = (&mut c.blocks[range.clone()], &mut c.coded[range]);
                blocks(file.level, lines, strip.stride, &self.quantisers[c.steps], out, coded);
            }
        }
    }
}
