//! Symbols of scans -> bytes: at once, or once it is known how often each occurs.

use super::annex_k;
use super::huffman::{Bits, Table};
use super::scan::magnitude;

/// What a walk gives its symbols to. `class` 0 is DC, 1 AC; `table` 0 luma, 1 chroma.
pub trait Sink {
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, extra: u32, extra_bits: u32);
    fn restart(&mut self, number: usize);

    /// An AC level behind `run` zeros, at most 15.
    #[inline(always)]
    fn level(&mut self, table: usize, run: u32, value: i32) {
        let (size, low) = magnitude(value);
        self.symbol(1, table, (run << 4 | size) as u8, low, size);
    }
}

/// By class and table.
pub type Tables = [[Table; 2]; 2];

pub fn standard_tables() -> Tables {
    [annex_k::DC, annex_k::AC].map(|class| class.map(|t| Table::standard(&t)))
}

/// Symbols kept until their codes are known, and how often each occurs.
pub struct Symbols {
    /// A restart marker's number with bit 31, or: class and table, symbol, number of further bits, and those, 14 at most.
    kept: Vec<u32>,
    pub count: Box<[[[u32; 256]; 2]; 2]>,
}

const RESTART: u32 = 1 << 31;

impl Symbols {
    pub fn new() -> Symbols {
        Symbols { kept: Vec::new(), count: Box::new([[[0; 256]; 2]; 2]) }
    }

    pub fn tables(&self) -> Tables {
        self.count.each_ref().map(|class| class.each_ref().map(Table::optimal))
    }

    pub fn write(&self, out: &mut Vec<u8>, tables: &Tables) {
        // Shortest codes take about the place of the symbols' own numbers.
        out.reserve(self.kept.len() * 2);
        let mut codes = [(0u32, 0u32); 1024];
        for (i, (code, bits)) in codes.iter_mut().enumerate() {
            let (c, n) = tables[i >> 9][i >> 8 & 1].code(i as u8);
            (*code, *bits) = (c.into(), n.into());
        }
        let mut bits = Bits::new(out);
        for s in &self.kept {
            if s & RESTART != 0 {
                bits.marker(0xD0 + (s & 7) as u8);
                continue;
            }
            let (code, length) = codes[(s >> 18) as usize & 1023];
            let more = s >> 14 & 15;
            bits.put(code << more | s & 0x3FFF, length + more);
        }
        bits.align();
    }
}

impl Sink for Symbols {
    #[inline(always)]
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, extra: u32, extra_bits: u32) {
        self.count[class][table][symbol as usize] += 1;
        self.kept.push((class << 27 | table << 26 | (symbol as usize) << 18) as u32 | extra_bits << 14 | extra);
    }

    fn restart(&mut self, number: usize) {
        self.kept.push(RESTART | (number % 8) as u32);
    }
}

/// Symbols written at once, by codes known before.
pub struct Writer<'a> {
    bits: Bits<'a>,
    tables: &'a Tables,
    /// Code and further bits of a level from -NEAR to NEAR - 1 by table and run, and how many bits.
    levels: Box<[[Near; 16]; 2]>,
}

const NEAR: usize = 32;
type Near = [(u32, u32); 2 * NEAR];

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>, tables: &'a Tables) -> Writer<'a> {
        let mut levels = Box::new([[[(0, 0); 2 * NEAR]; 16]; 2]);
        for (table, levels) in levels.iter_mut().enumerate() {
            for (run, levels) in levels.iter_mut().enumerate() {
                for (i, entry) in levels.iter_mut().enumerate().filter(|l| l.0 != NEAR) {
                    let (size, low) = magnitude(i as i32 - NEAR as i32);
                    let (code, length) = tables[1][table].code((run as u32 * 16 + size) as u8);
                    *entry = ((code as u32) << size | low, length as u32 + size);
                }
            }
        }
        Writer { bits: Bits::new(out), tables, levels }
    }

    pub fn finish(mut self) {
        self.bits.align();
    }
}

impl Sink for Writer<'_> {
    #[inline(always)]
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, extra: u32, extra_bits: u32) {
        let (code, length) = self.tables[class][table].code(symbol);
        self.bits.put((code as u32) << extra_bits | extra, length as u32 + extra_bits);
    }

    #[inline(always)]
    fn level(&mut self, table: usize, run: u32, value: i32) {
        let at = (value + NEAR as i32) as usize;
        if at < 2 * NEAR {
            let (code, bits) = self.levels[table][run as usize][at];
            self.bits.put(code, bits);
        } else {
            let (size, low) = magnitude(value);
            self.symbol(1, table, (run << 4 | size) as u8, low, size);
        }
    }

    fn restart(&mut self, number: usize) {
        self.bits.marker(0xD0 + (number % 8) as u8);
    }
}
