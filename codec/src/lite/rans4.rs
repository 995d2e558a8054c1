//! rANS with four states in turns (arXiv 1402.3392), 31 bits each, 16-bit words, 14-bit probabilities; histograms are fixed, so that
//! division is a multiplication by a reciprocal (as in ryg_rans).

use lic_kernels::lite::context::{CLASSES, LEVELS, SYMBOLS};

pub const PROB_BITS: u32 = 14;
/// States lie in [LOW, LOW * 65536).
const LOW: u32 = 1 << 15;
const STATES: usize = 4;
/// Histograms of all classes and levels.
pub const HISTOGRAMS: usize = CLASSES * LEVELS;

/// One symbol of one histogram, as the encoder wants it.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// States from here on give off a word first.
    limit: u32,
    reciprocal: u32,
    bias: u32,
    complement: u16,
    shift: u16,
}

/// Histograms [class][level][symbol].
#[derive(Clone, Debug)]
pub struct Histograms {
    entries: Vec<Entry>,
    /// Cumulative, SYMBOLS a histogram: where each symbol's interval begins.
    starts: Vec<u16>,
}

impl Histograms {
    /// `frequencies`: each at least 1, those of a histogram sum to 2^14.
    pub fn new(frequencies: &[u16]) -> Option<Histograms> {
        let sound = |h: &[u16]| h.iter().all(|&f| f > 0) && h.iter().map(|&f| f as u32).sum::<u32>() == 1 << PROB_BITS;
        if frequencies.len() != HISTOGRAMS * SYMBOLS || !frequencies.chunks_exact(SYMBOLS).all(sound) {
            return None;
        }
        let (mut entries, mut starts) = (Vec::new(), Vec::new());
        for h in frequencies.chunks_exact(SYMBOLS) {
            let mut start = 0;
            for &f in h {
                entries.push(Entry::new(start, f as u32));
                starts.push(start as u16);
                start += f as u32;
            }
        }
        Some(Histograms { entries, starts })
    }

    /// Codes symbols, given as histogram * SYMBOLS + symbol, in the decoder's order.
    pub fn encode(&self, symbols: &[u16], out: &mut Vec<u8>) {
        // A symbol gives off one word at most.
        let mut words = vec![0u16; symbols.len() + 1];
        let (mut at, mut x) = (words.len() - 1, [LOW; STATES]);
        let mut put = |x: &mut u32, symbol: u16| {
            let e = &self.entries[symbol as usize];
            // Stored in any case: whether it counts is hard to predict.
            words[at] = *x as u16;
            let over = *x >= e.limit;
            at -= over as usize;
            let v = if over { *x >> 16 } else { *x };
            let q = ((v as u64 * e.reciprocal as u64) >> 32) as u32 >> e.shift;
            *x = v.wrapping_add(e.bias).wrapping_add(q.wrapping_mul(e.complement as u32));
        };
        let fours = symbols.chunks_exact(STATES);
        for (i, &s) in fours.remainder().iter().enumerate().rev() {
            put(&mut x[i], s);
        }
        for four in fours.rev() {
            let [a, b, c, d] = &mut x;
            put(d, four[3]);
            put(c, four[2]);
            put(b, four[1]);
            put(a, four[0]);
        }
        out.reserve(4 * STATES + 2 * words.len());
        out.extend(x.iter().flat_map(|x| x.to_le_bytes()));
        out.extend(words[at + 1..].iter().flat_map(|w| w.to_le_bytes()));
    }
}

impl Entry {
    fn new(start: u32, freq: u32) -> Entry {
        let limit = freq << (15 - PROB_BITS + 16);
        let complement = ((1 << PROB_BITS) - freq) as u16;
        if freq == 1 {
            return Entry { limit, reciprocal: !0, bias: start + (1 << PROB_BITS) - 1, complement, shift: 0 };
        }
        let shift = 32 - (freq - 1).leading_zeros();
        let reciprocal = (1u64 << (shift + 31)).div_ceil(freq as u64);
        Entry { limit, reciprocal: reciprocal as u32, bias: start, complement, shift: shift as u16 - 1 }
    }
}

/// Reads what [`Histograms::encode`] wrote. Words beyond the end read as zero; [`finish`](Decoder4::finish) tells.
pub struct Decoder4<'a> {
    histograms: &'a Histograms,
    data: &'a [u8],
    at: usize,
    x: [u32; STATES],
    turn: usize,
}

impl<'a> Decoder4<'a> {
    pub fn new(histograms: &'a Histograms, data: &'a [u8]) -> Decoder4<'a> {
        let word = |i: usize| data.get(4 * i..4 * i + 4).map_or(LOW, |b| u32::from_le_bytes(b.try_into().expect("four")));
        Decoder4 { histograms, data, at: 4 * STATES, x: std::array::from_fn(word), turn: 0 }
    }

    /// The next symbol, of this histogram.
    #[inline]
    pub fn next(&mut self, histogram: usize) -> usize {
        let starts: &[u16; SYMBOLS] = self.histograms.starts[histogram * SYMBOLS..][..SYMBOLS].try_into().expect("whole");
        let x = &mut self.x[self.turn];
        self.turn = (self.turn + 1) % STATES;
        let slot = *x & ((1 << PROB_BITS) - 1);
        let symbol = starts.iter().filter(|&&s| s as u32 <= slot).count() - 1;
        let end = starts.get(symbol + 1).map_or(1 << PROB_BITS, |&e| e as u32);
        let start = starts[symbol] as u32;
        *x = (end - start).wrapping_mul(*x >> PROB_BITS).wrapping_add(slot).wrapping_sub(start);
        if *x < LOW {
            let word = self.data.get(self.at..self.at + 2).map_or(0, |b| u16::from_le_bytes(b.try_into().expect("two")));
            self.at += 2;
            *x = *x << 16 | word as u32;
        }
        symbol
    }

    /// Whether more was read than there is.
    pub fn overrun(&self) -> bool {
        self.at > self.data.len()
    }

    /// Whether exactly the written bytes were read.
    pub fn finish(self) -> bool {
        self.at == self.data.len() && self.x == [LOW; STATES]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn random(seed: u64) -> impl FnMut() -> u32 {
        let mut s = seed | 1;
        move || {
            s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (s >> 33) as u32
        }
    }

    /// From flat to nearly certain, with every frequency from 1 up somewhere.
    pub(crate) fn frequencies() -> Vec<u16> {
        let mut r = random(1);
        let mut all = vec![];
        for h in 0..HISTOGRAMS {
            let mut f: Vec<u16> = (0..SYMBOLS as u32).map(|_| 1 + (r() % (1 + 500 * h as u32 / HISTOGRAMS as u32)) as u16).collect();
            f[15] += (1 << PROB_BITS) - f.iter().map(|&v| v as u32).sum::<u32>() as u16;
            all.extend(f);
        }
        all
    }

    #[test]
    fn round_trip_of_any_length() {
        let h = Histograms::new(&frequencies()).expect("sound");
        let mut r = random(2);
        for n in [0usize, 1, 2, 3, 4, 5, 7, 100, 50_001] {
            let symbols: Vec<u16> = (0..n).map(|_| (r() as usize % (HISTOGRAMS * SYMBOLS)) as u16).collect();
            let mut bytes = vec![9];
            h.encode(&symbols, &mut bytes);
            let mut d = Decoder4::new(&h, &bytes[1..]);
            for &s in &symbols {
                assert_eq!(d.next(s as usize / SYMBOLS), s as usize % SYMBOLS);
            }
            assert!(d.finish());
        }
    }

    #[test]
    fn division_by_reciprocal_is_exact() {
        let mut r = random(3);
        for freq in 1..1u32 << PROB_BITS {
            let e = Entry::new(5, freq);
            for x in [LOW, e.limit - 1, LOW + r() % (e.limit - LOW).max(1), r() % e.limit] {
                let q = ((x as u64 * e.reciprocal as u64) >> 32) as u32 >> e.shift;
                let got = x.wrapping_add(e.bias).wrapping_add(q.wrapping_mul(e.complement as u32));
                assert_eq!(got, ((x / freq) << PROB_BITS) + x % freq + 5, "{x} by {freq}");
            }
        }
    }

    #[test]
    fn bytes_are_within_half_a_percent_of_the_entropy() {
        let h = Histograms::new(&frequencies()).expect("sound");
        let f = frequencies();
        let mut r = random(4);
        let (mut bits, mut symbols) = (0.0, vec![]);
        for _ in 0..200_000 {
            let of = &f[380 * SYMBOLS..381 * SYMBOLS];
            let mut at = r() % (1 << PROB_BITS);
            let s = of
                .iter()
                .position(|&f| {
                    if at < f as u32 {
                        true
                    } else {
                        at -= f as u32;
                        false
                    }
                })
                .expect("within");
            bits -= (of[s] as f64 / (1 << PROB_BITS) as f64).log2();
            symbols.push((380 * SYMBOLS + s) as u16);
        }
        let mut out = vec![];
        h.encode(&symbols, &mut out);
        assert!((out.len() as f64 * 8.0) < bits * 1.005 + 128.0, "{} bits for {bits}", out.len() * 8);
    }

    #[test]
    fn unsound_histograms_are_refused() {
        let mut f = frequencies();
        f[40] += 1;
        assert!(Histograms::new(&f).is_none());
        f[40] -= 1;
        f[32 + 15] += f[32];
        f[32] = 0;
        assert!(Histograms::new(&f).is_none() && Histograms::new(&f[1..]).is_none());
    }
}
