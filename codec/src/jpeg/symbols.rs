//! Symbols of scans -> bytes: at once, or once it is known how often each occurs.

use super::annex_k;
use super::huffman::{Bits, Table};
use super::scan::magnitude;
use lic_kernels::jpeg::PLACES;

/// What a walk gives its symbols to. `class` 0 is DC, 1 AC; `table` 0 luma, 1 chroma.
pub trait Sink {
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, extra: u32, extra_bits: u32);
    fn restart(&mut self, number: usize);

    /// AC levels of a block, those of `left` (bits in zigzag order), the first of which may be at `next`. Gives the place behind the last.
    #[inline(always)]
    fn levels(&mut self, table: usize, block: &[i16; 64], mut left: u64, mut next: u32) -> u32 {
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let mut run = at - next;
            next = at + 1;
            while run > 15 {
                self.symbol(1, table, 0xF0, 0, 0);
                run -= 16;
            }
            let (size, low) = magnitude(block[PLACES[at as usize & 63] as usize & 63] as i32);
            self.symbol(1, table, (run << 4 | size) as u8, low, size);
        }
        next
    }

    /// A whole block: DC's change, all AC levels, and its end where the last is 0.
    #[inline(always)]
    fn block(&mut self, table: usize, change: i32, block: &[i16; 64], left: u64) {
        let (size, low) = magnitude(change);
        self.symbol(0, table, size as u8, low, size);
        if self.levels(table, block, left, 1) < 64 {
            self.symbol(1, table, 0, 0, 0);
        }
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
        for some in self.kept.chunks(64) {
            let mut held = bits.begin();
            for s in some {
                if s & RESTART != 0 {
                    bits.end(held);
                    bits.marker(0xD0 + (s & 7) as u8);
                    held = bits.begin();
                    continue;
                }
                let (code, length) = codes[(s >> 18) as usize & 1023];
                let more = s >> 14 & 15;
                bits.put(&mut held, code << more | s & 0x3FFF, length + more);
            }
            bits.end(held);
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
    /// By table, run and level from -NEAR to NEAR - 1: code and further bits, and in the lowest byte how many they are.
    near: Box<[[[u32; 2 * NEAR]; 16]; 2]>,
}

const NEAR: usize = 32;

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>, tables: &'a Tables) -> Writer<'a> {
        let mut near = Box::new([[[0; 2 * NEAR]; 16]; 2]);
        for (table, near) in near.iter_mut().enumerate() {
            for (run, near) in near.iter_mut().enumerate() {
                for (i, entry) in near.iter_mut().enumerate().filter(|l| l.0 != NEAR) {
                    let (size, low) = magnitude(i as i32 - NEAR as i32);
                    let (code, length) = tables[1][table].code((run as u32 * 16 + size) as u8);
                    // 16 bits and six at most.
                    *entry = ((code as u32) << size | low) << 8 | (length as u32 + size);
                }
            }
        }
        Writer { bits: Bits::new(out), tables, near }
    }

    pub fn finish(mut self) {
        self.bits.align();
    }
}

impl Sink for Writer<'_> {
    #[inline(always)]
    fn symbol(&mut self, class: usize, table: usize, symbol: u8, extra: u32, extra_bits: u32) {
        let (code, length) = self.tables[class][table].code(symbol);
        let mut held = self.bits.begin();
        self.bits.put(&mut held, (code as u32) << extra_bits | extra, length as u32 + extra_bits);
        self.bits.end(held);
    }

    #[inline(always)]
    fn block(&mut self, table: usize, change: i32, block: &[i16; 64], mut left: u64) {
        let (codes, near) = (&self.tables[1][table], &self.near[table]);
        let mut held = self.bits.begin();
        let (size, low) = magnitude(change);
        let (code, length) = self.tables[0][table].code(size as u8);
        self.bits.put(&mut held, (code as u32) << size | low, length as u32 + size);
        let mut next = 1;
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let mut run = at - next;
            next = at + 1;
            while run > 15 {
                let (code, length) = codes.code(0xF0);
                self.bits.put(&mut held, code as u32, length as u32);
                run -= 16;
            }
            let level = block[PLACES[at as usize & 63] as usize & 63] as i32;
            let place = (level + NEAR as i32) as usize;
            if place < 2 * NEAR {
                let entry = near[run as usize & 15][place];
                self.bits.put(&mut held, entry >> 8, entry & 255);
            } else {
                let (size, low) = magnitude(level);
                let (code, length) = codes.code((run << 4 | size) as u8);
                self.bits.put(&mut held, (code as u32) << size | low, length as u32 + size);
            }
        }
        if next < 64 {
            let (code, length) = codes.code(0);
            self.bits.put(&mut held, code as u32, length as u32);
        }
        self.bits.end(held);
    }

    fn restart(&mut self, number: usize) {
        self.bits.marker(0xD0 + (number % 8) as u8);
    }
}
