//! Huffman codes.

use super::annex_k::Codes;
use std::cmp::Reverse;

/// How many codes of each length from 1 to 16, and the symbols in their order.
#[derive(Clone, Debug)]
pub struct Table {
    pub counts: [u8; 16],
    pub symbols: Vec<u8>,
    /// By symbol: code and length; length 0 if it has none.
    codes: Box<[(u16, u8); 256]>,
}

impl Table {
    fn new(counts: [u8; 16], symbols: Vec<u8>) -> Table {
        let mut codes = Box::new([(0, 0); 256]);
        let (mut code, mut at) = (0u32, 0);
        for (length, count) in (1u8..).zip(counts) {
            for symbol in &symbols[at..at + count as usize] {
                codes[*symbol as usize] = (code as u16, length);
                code += 1;
            }
            at += count as usize;
            code <<= 1;
        }
        Table { counts, symbols, codes }
    }

    pub fn standard(codes: &Codes) -> Table {
        Table::new(codes.0, codes.1.to_vec())
    }

    /// The shortest code for symbols that occur so often, of at most 16 bits and with the code of ones alone left free (T.81, K.2).
    pub fn optimal(occurrences: &[u32; 256]) -> Table {
        // Symbol 256 takes the longest code, which is all ones, and is left out at the end. Trees: weight, largest symbol, first symbol.
        let mut trees = vec![(1u64, Reverse(256), 256)];
        trees.extend((0..256).filter(|s| occurrences[*s] > 0).map(|s| (occurrences[s] as u64, Reverse(s), s)));
        if trees.len() == 1 {
            // A scan without symbols: a code all the same, as decoders want one.
            trees.push((1, Reverse(0), 0));
        }
        let mut lengths = [0usize; 257];
        // From each symbol of a tree to another one.
        let mut next = [None; 257];
        while trees.len() > 1 {
            // The rarest; of equals the one with symbol 256.
            let mut take = || {
                let (at, _) = trees.iter().enumerate().min_by_key(|(_, t)| **t).expect("two trees");
                trees.swap_remove(at)
            };
            let (a, b) = (take(), take());
            let mut last = a.2;
            while let Some(s) = next[last] {
                last = s;
            }
            next[last] = Some(b.2);
            let mut symbol = Some(a.2);
            while let Some(s) = symbol {
                lengths[s] += 1;
                symbol = next[s];
            }
            trees.push((a.0 + b.0, a.1.min(b.1), a.2));
        }
        let longest = *lengths.iter().max().expect("257 of them");
        let mut counts = vec![0usize; longest.max(16) + 1];
        lengths.iter().filter(|l| **l > 0).for_each(|l| counts[*l] += 1);
        // Too long a pair: one of them takes the place of their common prefix, the other shares the place of a shorter code.
        for length in (17..=longest).rev() {
            while counts[length] > 0 {
                let shorter = (1..length - 1).rev().find(|l| counts[*l] > 0).expect("a complete code");
                counts[length] -= 2;
                counts[length - 1] += 1;
                counts[shorter + 1] += 2;
                counts[shorter] -= 1;
            }
        }
        // Symbol 256 out.
        let last = (1..=16).rev().find(|l| counts[*l] > 0).expect("two codes at least");
        counts[last] -= 1;
        let mut symbols: Vec<usize> = (0..256).filter(|s| lengths[*s] > 0).collect();
        symbols.sort_by_key(|s| (lengths[*s], *s));
        Table::new(std::array::from_fn(|i| counts[i + 1] as u8), symbols.into_iter().map(|s| s as u8).collect())
    }

    pub fn code(&self, symbol: u8) -> (u16, u8) {
        self.codes[symbol as usize]
    }
}

/// Bits, the first one highest, with a zero byte after each byte of ones (T.81, F.1.2.3).
pub struct Bits<'a> {
    /// Bytes up to `at`, and room behind them.
    out: &'a mut Vec<u8>,
    at: usize,
    held: Held,
}

/// Bits that are no whole word yet: what a loop keeps in registers.
#[derive(Clone, Copy)]
pub struct Held {
    bits: u64,
    free: u32,
}

/// What a block takes at most: 64 symbols of 32 bits, and a zero behind each byte.
const BLOCK: usize = 64 * 4 * 2 + 16;
const ROOM: usize = 1 << 16;

impl<'a> Bits<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Bits<'a> {
        let at = out.len();
        Bits { out, at, held: Held { bits: 0, free: 64 } }
    }

    /// Makes room for a block, and gives what `put` goes on from.
    #[inline(always)]
    pub fn begin(&mut self) -> Held {
        if self.out.len() - self.at < BLOCK {
            self.out.resize(self.at + ROOM, 0);
        }
        self.held
    }

    #[inline(always)]
    pub fn end(&mut self, held: Held) {
        self.held = held;
    }

    /// At most 32 bits; those above are 0. For at most 64 times between `begin` and `end`.
    #[inline(always)]
    pub fn put(&mut self, held: &mut Held, value: u32, count: u32) {
        if count <= held.free {
            held.free -= count;
            held.bits = held.bits << count | value as u64;
            return;
        }
        let later = count - held.free;
        self.word(held.bits << held.free | value as u64 >> later);
        // What is held twice of `value` leaves at the top before the next word is whole.
        *held = Held { bits: value as u64, free: 64 - later };
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        // A byte of ones has its highest bit, and loses it where one is added to each (what is carried into a byte comes from another one).
        if word & HIGH & !word.wrapping_add(HIGH >> 7) == 0 {
            self.out[self.at..self.at + 8].copy_from_slice(&word.to_be_bytes());
            self.at += 8;
        } else {
            self.stuffed(word);
        }
    }

    #[cold]
    fn stuffed(&mut self, word: u64) {
        word.to_be_bytes().into_iter().for_each(|b| self.byte(b));
    }

    fn byte(&mut self, byte: u8) {
        self.out[self.at] = byte;
        self.at += 1;
        if byte == 0xFF {
            self.out[self.at] = 0;
            self.at += 1;
        }
    }

    /// Fills the last byte with ones, and takes back what room is left.
    pub fn align(&mut self) {
        let mut held = self.begin();
        let fill = held.free % 8;
        self.put(&mut held, (1 << fill) - 1, fill);
        let count = (64 - held.free) / 8;
        (0..count).rev().for_each(|i| self.byte((held.bits >> (8 * i)) as u8));
        self.held = Held { bits: 0, free: 64 };
        self.out.truncate(self.at);
    }

    pub fn marker(&mut self, marker: u8) {
        self.align();
        self.out.extend_from_slice(&[0xFF, marker]);
        self.at = self.out.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Occurrences like Fibonacci's numbers ask for codes longer than 16 bits.
    #[test]
    fn codes_are_prefix_free_and_short_enough() {
        let mut occurrences = [0u32; 256];
        let (mut a, mut b) = (1u32, 1u32);
        for o in occurrences.iter_mut().take(40) {
            *o = a;
            (a, b) = (b, a + b);
        }
        for occurrences in [occurrences, [7; 256], std::array::from_fn(|i| (i == 3) as u32), [0; 256]] {
            let t = Table::optimal(&occurrences);
            let kraft: f64 = t.counts.iter().zip(1..).map(|(c, l)| *c as f64 * 0.5f64.powi(l)).sum();
            assert!(kraft < 1.0, "the code of ones alone is taken: {kraft}");
            assert_eq!(t.counts.iter().map(|c| *c as usize).sum::<usize>(), t.symbols.len());
            for (s, o) in occurrences.iter().enumerate() {
                assert!(*o == 0 || (1..=16).contains(&t.code(s as u8).1), "symbol {s}");
            }
        }
    }

    /// Eight symbols, as often as 2^7 to 2^0: lengths 1 to 8, and the ninth for symbol 256.
    #[test]
    fn codes_are_as_short_as_can_be() {
        let t = Table::optimal(&std::array::from_fn(|i| if i < 8 { 1 << (7 - i) } else { 0 }));
        assert_eq!((0..8).map(|s| t.code(s).1).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    /// Against bits one by one.
    #[test]
    fn bits_are_in_order_and_stuffed() {
        let (mut state, mut out, mut want) = (1u32, Vec::new(), Vec::new());
        let mut bits = Bits::new(&mut out);
        let mut plain: Vec<bool> = Vec::new();
        for i in 0..5000 {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            let count = state >> 27 | (i % 2);
            // Often ones.
            let value = if state & 64 == 0 { u32::MAX } else { state } & ((1u64 << count) - 1) as u32;
            let mut held = bits.begin();
            bits.put(&mut held, value, count);
            bits.end(held);
            plain.extend((0..count).rev().map(|b| value >> b & 1 != 0));
        }
        bits.align();
        plain.resize(plain.len().next_multiple_of(8), true);
        for byte in plain.chunks(8).map(|b| b.iter().fold(0u8, |byte, bit| byte << 1 | *bit as u8)) {
            want.push(byte);
            want.extend((byte == 0xFF).then_some(0));
        }
        assert!(want.windows(3).any(|w| w == [0xFF, 0, 0xFF]));
        assert_eq!(out, want);
    }
}
