//! The map: of each position, its mode and how many groups are coded, under adaptive probabilities.

use crate::rans::{PROB_BITS, RansDecoder, RansEncoder};
use lic_kernels::lite::GROUPS;

/// Numbers of groups: 0 to 8.
pub const COUNTS: usize = GROUPS + 1;
const ONE: i32 = 1 << PROB_BITS;
/// Every symbol keeps at least this.
const LEAST: i32 = 4;
const RATE: u32 = 5;

/// Where the probabilities of a slice begin: cumulative, contexts x (symbols + 1).
#[derive(Clone, Debug)]
pub struct Beginning {
    symbols: usize,
    cumulative: Vec<i32>,
}

impl Beginning {
    /// `frequencies`: contexts x symbols, those of a context sum to 2^15.
    pub fn new(inter: bool, frequencies: &[i32]) -> Option<Beginning> {
        let (contexts, symbols) = if inter { (16, 2 * COUNTS) } else { (2 * GROUPS + 1, COUNTS) };
        let sound = |f: &[i32]| f.iter().all(|&f| (0..=ONE).contains(&f)) && f.iter().sum::<i32>() == ONE;
        if frequencies.len() != contexts * symbols || !frequencies.chunks_exact(symbols).all(sound) {
            return None;
        }
        let mut cumulative = vec![];
        for f in frequencies.chunks_exact(symbols) {
            cumulative.push(0);
            let mut sum = 0;
            cumulative.extend(f.iter().map(|f| {
                sum += f;
                sum
            }));
        }
        Some(Beginning { symbols, cumulative })
    }
}

/// The probabilities of one slice, adapted as it is coded, and the row above.
pub struct Map {
    symbols: usize,
    cumulative: Vec<i32>,
    above: Vec<u8>,
    left: u8,
    inter: bool,
}

impl Map {
    pub fn new(beginning: &Beginning, columns: usize) -> Map {
        let inter = beginning.symbols > COUNTS;
        let outside = if inter { COUNTS as u8 } else { 0 };
        Map { symbols: beginning.symbols, cumulative: beginning.cumulative.clone(), above: vec![outside; columns], left: outside, inter }
    }

    fn row(&mut self, x: usize) -> &mut [i32] {
        if x == 0 {
            self.left = if self.inter { COUNTS as u8 } else { 0 };
        }
        let (left, above) = (self.left as usize, self.above[x] as usize);
        let context = if self.inter { kind(left) * 4 + kind(above) } else { left + above };
        let n = self.symbols + 1;
        &mut self.cumulative[context * n..][..n]
    }

    fn note(&mut self, x: usize, value: u8) {
        (self.left, self.above[x]) = (value, value);
    }

    /// `value`: groups coded, plus COUNTS if inter, of column x; columns come in order, row after row.
    pub fn encode(&mut self, x: usize, value: u8, to: &mut RansEncoder) {
        let row = self.row(x);
        let (start, end) = interval(row, value as usize);
        to.push(start, end - start);
        adapt(row, value as usize);
        self.note(x, value);
    }

    pub fn decode(&mut self, x: usize, from: &mut RansDecoder) -> u8 {
        let row = self.row(x);
        let at = from.peek();
        let value = (0..row.len() - 2).find(|&i| interval(row, i).1 > at).unwrap_or(row.len() - 2);
        let (start, end) = interval(row, value);
        from.advance(start, end - start);
        adapt(row, value);
        self.note(x, value as u8);
        value as u8
    }
}

/// Neighbours of four kinds: inter with none, with one or two, with more groups; intra.
fn kind(value: usize) -> usize {
    match value {
        0..COUNTS => 3,
        9 => 0,
        10 | 11 => 1,
        _ => 2,
    }
}

fn interval(row: &[i32], i: usize) -> (u32, u32) {
    let n = row.len() as i32 - 1;
    let at = |i: usize| (((row[i] * (ONE - LEAST * n)) >> PROB_BITS) + LEAST * i as i32) as u32;
    (at(i), at(i + 1))
}

fn adapt(row: &mut [i32], value: usize) {
    let n = row.len() - 1;
    for (i, c) in row.iter_mut().enumerate().take(n).skip(1) {
        *c += (if i > value { ONE - *c } else { -*c }) >> RATE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lite::rans4::tests::random;

    #[test]
    fn round_trip_and_what_never_changes_costs_nothing() {
        let none = Beginning::new(false, &[vec![3641; 8], vec![32768 - 8 * 3641]].concat().repeat(17)).expect("sound");
        let latent = Beginning::new(true, &[vec![1820; 17], vec![32768 - 17 * 1820]].concat().repeat(16)).expect("sound");
        let (columns, rows) = (11, 9);
        let mut r = random(6);
        for (beginning, most) in [(&none, 9), (&latent, 18), (&latent, 1)] {
            let values: Vec<u8> = (0..columns * rows).map(|_| if most == 1 { 9 } else { (r() % most) as u8 }).collect();
            let (mut e, mut m) = (RansEncoder::default(), Map::new(beginning, columns));
            values.iter().enumerate().for_each(|(i, &v)| m.encode(i % columns, v, &mut e));
            let mut out = vec![];
            e.finish(77, &mut out);
            let (mut d, mut m) = (RansDecoder::new(&out), Map::new(beginning, columns));
            for (i, &v) in values.iter().enumerate() {
                assert_eq!(m.decode(i % columns, &mut d), v);
            }
            assert!(d.finish(77));
            assert!(most > 1 || out.len() < 20, "{} bytes", out.len());
        }
        assert!(Beginning::new(false, &[0; 17 * 9]).is_none());
    }
}
