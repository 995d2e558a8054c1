//! Quantised coefficients -> symbols of scans (T.81, F.1 and G.1).

use super::file::Component;
use super::segments;
use super::symbols::{Sink, Tables};
use std::ops::{Range, RangeInclusive};

/// Bits of a magnitude, and those of the value that follow its category (T.81, F.1.2.1).
#[inline(always)]
pub fn magnitude(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let low = (value + (value >> 31)) as u32;
    (size, low & ((1 << size) - 1))
}

/// A scan of some components.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Indices.
    pub components: Vec<usize>,
    /// Coefficients in zigzag order.
    pub spectrum: RangeInclusive<u8>,
    pub progressive: bool,
    /// MCUs between restart markers; 0 for none.
    pub interval: usize,
    /// MCUs of a line, and lines.
    pub size: (usize, usize),
}

impl Scan {
    /// All of a picture of `size` MCUs at once, as in baseline files, or in parts.
    pub fn all(components: &[Component], size: (usize, usize), progressive: bool, restart_rows: u16) -> Vec<Scan> {
        let scan = |of: Vec<usize>, spectrum| {
            let size = match of[..] {
                [one] => (components[one].columns, components[one].rows),
                _ => size,
            };
            let interval = (restart_rows as usize * size.0).min(65535);
            Scan { components: of, spectrum, progressive, interval, size }
        };
        let every = || 0..components.len();
        if !progressive {
            return vec![scan(every().collect(), 0..=63)];
        }
        let mut scans = vec![scan(every().collect(), 0..=0)];
        for part in [1..=5, 6..=63] {
            scans.extend(every().map(|c| scan(vec![c], part.clone())));
        }
        scans
    }

    /// Restart interval, Huffman codes and start of scan.
    pub fn header(&self, out: &mut Vec<u8>, components: &[Component], tables: &Tables) {
        if self.interval > 0 {
            segments::restart_interval(out, self.interval as u16);
        }
        let of = |class: usize| match (self.progressive, *self.spectrum.start()) {
            (true, 0) => class == 0,
            (true, _) => class == 1,
            _ => true,
        };
        let mine = || self.components.iter().map(|c| &components[*c]);
        for class in (0..2).filter(|c| of(*c)) {
            for table in (0..2).filter(|t| mine().any(|c| c.codes == *t)) {
                segments::huffman(out, class, table, &tables[class][table]);
            }
        }
        segments::scan(out, mine().map(|c| (c.id, c.codes)), &self.spectrum);
    }
}

/// Where a walk over a scan is.
pub struct Walk<'a> {
    scan: &'a Scan,
    last: [i32; 3],
    run: EndOfBand,
    mcu: usize,
}

impl<'a> Walk<'a> {
    pub fn new(scan: &'a Scan) -> Walk<'a> {
        Walk { scan, last: [0; 3], run: EndOfBand::default(), mcu: 0 }
    }

    /// Some rows of MCUs; the components' blocks begin with row `first` of the picture.
    pub fn rows(&mut self, components: &[Component], first: usize, rows: Range<usize>, sink: &mut impl Sink) {
        let interval = self.scan.interval;
        for y in rows.start - first..rows.end - first {
            for x in 0..self.scan.size.0 {
                if interval > 0 && self.mcu > 0 && self.mcu.is_multiple_of(interval) {
                    self.run.flush(sink);
                    sink.restart(self.mcu / interval - 1);
                    self.last = [0; 3];
                }
                self.mcu += 1;
                if let [i] = self.scan.components[..] {
                    let c = &components[i];
                    self.block(sink, c, y * c.stride + x, i);
                    continue;
                }
                for (i, c) in components.iter().enumerate() {
                    for v in 0..c.v {
                        for h in 0..c.h {
                            self.block(sink, c, (y * c.v + v) * c.stride + x * c.h + h, i);
                        }
                    }
                }
            }
        }
    }

    pub fn finish(mut self, sink: &mut impl Sink) {
        self.run.flush(sink);
    }

    #[inline(always)]
    fn block(&mut self, sink: &mut impl Sink, c: &Component, at: usize, i: usize) {
        let (block, coded) = (&c.blocks[at], c.coded[at]);
        if !self.scan.progressive {
            let change = block[0] as i32 - self.last[i];
            self.last[i] = block[0] as i32;
            return sink.block(c.codes, change, block, coded & !1);
        }
        let (first, end) = (*self.scan.spectrum.start() as u32, *self.scan.spectrum.end() as u32);
        if first == 0 {
            let (size, low) = magnitude(block[0] as i32 - self.last[i]);
            self.last[i] = block[0] as i32;
            return sink.symbol(0, c.codes, size as u8, low, size);
        }
        let left = coded & (u64::MAX << first) & (u64::MAX >> (63 - end));
        if left != 0 {
            self.run.flush(sink);
        }
        if sink.levels(c.codes, block, left, first) <= end {
            self.run.add(sink, c.codes);
        }
    }
}

/// Blocks in a row of which nothing more is coded (T.81, G.1.2.2).
#[derive(Default)]
struct EndOfBand {
    blocks: u32,
    table: usize,
}

impl EndOfBand {
    fn add(&mut self, sink: &mut impl Sink, table: usize) {
        self.table = table;
        self.blocks += 1;
        if self.blocks == 0x7FFF {
            self.flush(sink);
        }
    }

    #[inline(always)]
    fn flush(&mut self, sink: &mut impl Sink) {
        if self.blocks > 0 {
            let size = 31 - self.blocks.leading_zeros();
            sink.symbol(1, self.table, (size << 4) as u8, self.blocks & ((1 << size) - 1), size);
            self.blocks = 0;
        }
    }
}
