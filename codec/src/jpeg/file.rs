//! From rows of samples to scans: blocks of each component, their levels, their symbols.

use super::Options;
use super::samples::{Rows, Strip};
use super::scan::{Scan, Walk};
use super::symbols::{self, Sink, Symbols, Tables, Writer};
use super::tables::Steps;
use super::trellis::{Nodes, Rates, Search};
use lic_kernels::Level;
use lic_kernels::jpeg::{Quantiser, Sample, blocks};
use std::ops::Range;

/// One component, and quantised blocks of it: all, or those of a row of MCUs.
pub struct Component {
    /// Its number in the file.
    pub id: u8,
    /// Sampling factors.
    pub h: usize,
    pub v: usize,
    /// Blocks of a line and lines of blocks that hold samples of the picture: what scans of one component code.
    pub columns: usize,
    pub rows: usize,
    /// Blocks of a line in memory: whole MCUs.
    pub stride: usize,
    /// Which quantisation table, and which Huffman codes.
    pub steps: usize,
    pub codes: usize,
    /// `[rows][stride]` blocks, as the kernels order them, and a bit for each level that is not 0, in zigzag order.
    pub blocks: Vec<[i16; 64]>,
    pub coded: Vec<u64>,
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

/// A file on its way, from where its frame header ends.
pub struct File {
    /// MCUs of a line, and lines.
    pub size: (usize, usize),
    pub components: Vec<Component>,
    pub steps: Vec<Steps>,
    pub options: Options,
    /// Whether levels are searched for.
    pub trellis: bool,
    pub level: Level,
}

impl File {
    pub fn write<R: Rows>(mut self, out: &mut Vec<u8>, mut rows: R) {
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

impl<S: Sample + Default> Work<S> {
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
