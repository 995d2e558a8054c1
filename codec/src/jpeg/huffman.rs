//! Huffman codes.

use super::annex_k::Codes;

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
        // Symbol 256 takes the longest code, which is all ones, and is left out at the end.
        let mut trees: Vec<(u64, Vec<usize>)> = Vec::new();
        let mut lengths = [0usize; 257];
        trees.push((1, vec![256]));
        trees.extend((0..256).filter(|s| occurrences[*s] > 0).map(|s| (occurrences[s] as u64 + 1, vec![s])));
        if trees.len() == 1 {
            // A scan without symbols: a code all the same, as decoders want one.
            trees.push((2, vec![0]));
        }
        while trees.len() > 1 {
            // The rarest last; of equals the one with symbol 256 is the rarest.
            trees.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.contains(&256).cmp(&b.1.contains(&256))));
            let (a, b) = (trees.pop().expect("two trees"), trees.pop().expect("two trees"));
            let both: Vec<usize> = a.1.into_iter().chain(b.1).collect();
            both.iter().for_each(|s| lengths[*s] += 1);
            trees.push((a.0 + b.0, both));
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
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Bits<'a> {
        Bits { out, held: 0, count: 0 }
    }

    /// At most 32 bits.
    pub fn put(&mut self, value: u32, count: u32) {
        self.held = self.held << count | value as u64;
        self.count += count;
        if self.count >= 32 {
            self.count -= 32;
            let word = ((self.held >> self.count) as u32).to_be_bytes();
            if word.contains(&0xFF) {
                word.into_iter().for_each(|b| self.byte(b));
            } else {
                self.out.extend_from_slice(&word);
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
        if byte == 0xFF {
            self.out.push(0);
        }
    }

    /// Fills the last byte with ones.
    pub fn align(&mut self) {
        let fill = (8 - self.count % 8) % 8;
        self.held = self.held << fill | ((1 << fill) - 1);
        self.count += fill;
        while self.count > 0 {
            self.count -= 8;
            self.byte((self.held >> self.count) as u8);
        }
    }

    pub fn marker(&mut self, marker: u8) {
        self.align();
        self.out.extend_from_slice(&[0xFF, marker]);
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
}
