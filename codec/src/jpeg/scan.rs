//! Quantised coefficients -> scans (T.81, F.1 and G.1). Each scan is walked twice: once to count symbols, once to write them.

use super::huffman::{Bits, Table};
use super::{Component, Options, annex_k, segments};
use std::ops::RangeInclusive;

/// What a walk gives its symbols to. `class` 0 is DC, 1 AC; `table` 0 luma, 1 chroma.
trait Sink {
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, extra: u32, extra_bits: u32);
    fn restart(&mut self, number: usize);
}

struct Count(Box<[[[u32; 256]; 2]; 2]>);

impl Sink for Count {
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, _: u32, _: u32) {
        self.0[class][table][symbol as usize] += 1;
    }

    fn restart(&mut self, _: usize) {}
}

struct Write<'a> {
    bits: Bits<'a>,
    tables: &'a [[Table; 2]; 2],
}

impl Sink for Write<'_> {
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, extra: u32, extra_bits: u32) {
        let (code, length) = self.tables[class][table].code(symbol);
        self.bits.put((code as u32) << extra_bits | extra, length as u32 + extra_bits);
    }

    fn restart(&mut self, number: usize) {
        self.bits.marker(0xD0 + (number % 8) as u8);
    }
}

/// A scan: its components and its coefficients in zigzag order.
struct Scan<'a> {
    components: Vec<(usize, &'a Component)>,
    spectrum: RangeInclusive<u8>,
    progressive: bool,
    /// MCUs between restart markers; 0 for none.
    interval: usize,
    /// MCUs of a line, and lines.
    size: (usize, usize),
}

/// All scans of a picture of `size` MCUs.
pub fn write(out: &mut Vec<u8>, components: &[Component], size: (usize, usize), options: &Options) {
    let all = || components.iter().enumerate().collect::<Vec<_>>();
    let progressive = options.progressive;
    let mut scans = vec![(all(), if progressive { 0..=0 } else { 0..=63 })];
    if progressive {
        let parts = |range: RangeInclusive<u8>| all().into_iter().map(move |c| (vec![c], range.clone()));
        scans.extend(parts(1..=5).chain(parts(6..=63)));
    }
    for (components, spectrum) in scans {
        let size = match components[..] {
            [(_, c)] => (c.columns, c.rows),
            _ => size,
        };
        let interval = (options.restart_rows as usize * size.0).min(65535);
        let scan = Scan { components, spectrum, progressive, interval, size };
        let tables = if options.optimise || progressive {
            let mut count = Count(Box::new([[[0; 256]; 2]; 2]));
            scan.walk(&mut count);
            count.0.map(|class| class.map(|table| Table::optimal(&table)))
        } else {
            [annex_k::DC, annex_k::AC].map(|class| class.map(|t| Table::standard(&t)))
        };
        if interval > 0 {
            segments::restart_interval(out, interval as u16);
        }
        let classes = (progressive, *scan.spectrum.start());
        let of = |class: usize| match classes {
            (true, 0) => class == 0,
            (true, _) => class == 1,
            _ => true,
        };
        for class in (0..2).filter(|c| of(*c)) {
            for table in (0..2).filter(|t| scan.components.iter().any(|c| c.1.table == *t)) {
                segments::huffman(out, class, table, &tables[class][table]);
            }
        }
        segments::scan(out, scan.components.iter().map(|c| (c.0, c.1.table)), &scan.spectrum);
        let mut sink = Write { bits: Bits::new(out), tables: &tables };
        scan.walk(&mut sink);
        sink.bits.align();
    }
}

/// Bits of a magnitude, and those of the value that follow its category (T.81, F.1.2.1).
fn magnitude(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let low = if value < 0 { value - 1 } else { value } as u32;
    (size, low & ((1 << size) - 1))
}

impl Scan<'_> {
    fn walk(&self, sink: &mut impl Sink) {
        let mut last = [0i32; 3];
        let mut run = EndOfBand::default();
        let mut mcu = 0;
        for y in 0..self.size.1 {
            for x in 0..self.size.0 {
                if self.interval > 0 && mcu > 0 && mcu % self.interval == 0 {
                    run.flush(sink);
                    sink.restart(mcu / self.interval - 1);
                    last = [0; 3];
                }
                mcu += 1;
                if let [(i, c)] = self.components[..] {
                    self.block(sink, c, &c.blocks[y * c.stride + x], &mut last[i], &mut run);
                    continue;
                }
                for (i, c) in &self.components {
                    for v in 0..c.v {
                        for h in 0..c.h {
                            let at = (y * c.v + v) * c.stride + x * c.h + h;
                            self.block(sink, c, &c.blocks[at], &mut last[*i], &mut run);
                        }
                    }
                }
            }
        }
        run.flush(sink);
    }

    fn block(&self, sink: &mut impl Sink, c: &Component, block: &[i16; 64], last: &mut i32, run: &mut EndOfBand) {
        let (mut first, end) = (*self.spectrum.start() as usize, *self.spectrum.end() as usize);
        if first == 0 {
            let (size, low) = magnitude(block[0] as i32 - *last);
            *last = block[0] as i32;
            sink.symbol(0, c.table, size as u8, low, size);
            first = 1;
        }
        if end == 0 {
            return;
        }
        // Bit i: coefficient i is coded.
        let coded = (0..64).fold(0u64, |bits, i| bits | ((block[i] != 0) as u64) << i);
        let mut left = coded & (u64::MAX << first) & (u64::MAX >> (63 - end));
        let mut next = first;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            run.flush(sink);
            let mut zeros = at - next;
            next = at + 1;
            while zeros > 15 {
                sink.symbol(1, c.table, 0xF0, 0, 0);
                zeros -= 16;
            }
            let (size, low) = magnitude(block[at] as i32);
            sink.symbol(1, c.table, (zeros as u32 * 16 + size) as u8, low, size);
        }
        let zeros = end + 1 - next;
        if zeros > 0 && self.progressive {
            run.add(sink, c.table);
        } else if zeros > 0 {
            sink.symbol(1, c.table, 0, 0, 0);
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

    fn flush(&mut self, sink: &mut impl Sink) {
        if self.blocks > 0 {
            let size = 31 - self.blocks.leading_zeros();
            sink.symbol(1, self.table, (size << 4) as u8, self.blocks & ((1 << size) - 1), size);
            self.blocks = 0;
        }
    }
}
