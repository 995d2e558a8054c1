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
mod trellis;

use crate::error::{Error, Result};
use crate::{Colour, RawFormat, RawFrame};
use lic_kernels::Level;
use lic_kernels::jpeg::{Quantiser, blocks};
pub use read::{Picture, read};
use samples::{LearnedRows, Rows, Standard, Strip};
use scan::{Scan, Walk};
pub use segments::{Notes, SEGMENT_NAME};
use std::ops::Range;
use symbols::{Sink, Symbols, Tables, Writer};
use tables::Steps;
use trellis::{Nodes, Rates, Search};

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
    /// Where `quality` is 0: tables of so many steps more (finer, and larger files) or fewer, -32 to 32.
    pub finer: i8,
    /// Levels chosen by what they cost against what they mend, wherever tables are not Annex K's: fewer bytes, for several times the time.
    pub trellis: bool,
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
            finer: 0,
            trellis: true,
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

impl Component {
    /// With levels in place of coefficients, of some rows of MCUs.
    fn levels(&self, search: &Search, rates: &[[Rates; 2]; 2], rows: Range<usize>) -> Component {
        let range = rows.start * self.v * self.stride..rows.end * self.v * self.stride;
        let (coefficients, candidates) = (&self.blocks[range.clone()], &self.coded[range]);
        let (rates_ac, mut nodes) = (&rates[1][self.codes], Nodes::default());
        let (blocks, coded) = coefficients.iter().zip(candidates).map(|(b, c)| search.block(b, *c, rates_ac, &mut nodes)).unzip();
        let mut out = Component { blocks, coded, ..*self };
        // In the order of MCUs.
        let order: Vec<usize> = (0..rows.len() * self.stride / self.h)
            .flat_map(|mcu| {
                let (x, y) = (mcu % (self.stride / self.h), mcu / (self.stride / self.h));
                (0..self.v * self.h).map(move |i| (y * self.v + i / self.h) * self.stride + x * self.h + i % self.h)
            })
            .collect();
        let levels = search.dc(order.iter().map(|at| coefficients[*at][0]), &rates[0][self.codes]);
        order.iter().zip(levels).for_each(|(at, level)| out.blocks[*at][0] = level);
        out
    }
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
    let step = i32::from(notes.step.min(63)) + i32::from(options.finer.clamp(-32, 32));
    let mut steps = if learned { tables::learned(options.quality, step) } else { tables::standard(options.quality, step) };
    steps.truncate(if grey { 1 } else { 3 });
    let trellis = options.trellis && (learned || options.quality == 0);
    let file = File { trellis, size, components: components.collect(), steps, options: *options, level };
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
    /// Whether levels are searched for.
    trellis: bool,
    level: Level,
}

impl File {
    fn write<R: Rows>(mut self, out: &mut Vec<u8>, mut rows: R) {
        let Options { progressive, optimise, restart_rows, .. } = self.options;
        let scans = Scan::all(&self.components, self.size, progressive, restart_rows);
        let standard = symbols::standard_tables();
        let own = optimise || progressive;
        let whole = progressive || self.trellis;
        if whole {
            self.quantise(&mut rows);
        }
        if self.trellis {
            self.search(own, &standard);
        }
        for scan in &scans {
            if own {
                let mut symbols = Symbols::new();
                self.walk(whole, &mut rows, scan, &mut symbols);
                let tables = symbols.tables();
                scan.header(out, &self.components, &tables);
                symbols.write(out, &tables);
            } else {
                scan.header(out, &self.components, &standard);
                let mut writer = Writer::new(out, &standard);
                self.walk(whole, &mut rows, scan, &mut writer);
                writer.finish();
            }
        }
    }

    /// A scan's symbols: of blocks that are there, or a row of MCUs coded before the next one is read, so that what is worked on stays in the
    /// cache.
    fn walk<R: Rows>(&mut self, whole: bool, rows: &mut R, scan: &Scan, sink: &mut impl Sink) {
        let mut walk = Walk::new(scan);
        if whole {
            walk.rows(&self.components, 0, 0..scan.size.1, sink);
        } else {
            let mut work = Work::new(self, 1);
            for row in 0..self.size.1 {
                work.row(self, rows, row, 0);
                walk.rows(&self.components, row, row..row + 1, sink);
            }
        }
        walk.finish(sink);
    }

    /// Levels of all blocks, whose coefficients are there. `own`: codes will be made for the picture.
    fn search(&mut self, own: bool, standard: &Tables) {
        let searches: Vec<Search> = self.steps.iter().map(Search::new).collect();
        let mut rates = standard.each_ref().map(|class| class.each_ref().map(|t| Rates::known(|s| t.code(s).1)));
        if own {
            // What symbols will cost, by a quarter of the picture.
            let scan = &Scan::all(&self.components, self.size, false, 0)[0];
            let (mut walk, mut symbols) = (Walk::new(scan), Symbols::new());
            for row in (0..self.size.1).step_by(4) {
                let of = |c: &Component| c.levels(&searches[c.steps], &rates, row..row + 1);
                let components: Vec<Component> = self.components.iter().map(of).collect();
                walk.rows(&components, row, row..row + 1, &mut symbols);
            }
            rates = symbols.count.each_ref().map(|class| class.each_ref().map(Rates::expected));
        }
        for c in &mut self.components {
            *c = c.levels(&searches[c.steps], &rates, 0..self.size.1);
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
            quantisers: file
                .steps
                .iter()
                .map(|s| if file.trellis { Quantiser::sixteenths(&s.table) } else { Quantiser::new(&s.table, s.rounding) })
                .collect(),
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
