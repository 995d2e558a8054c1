//! Range asymmetric numeral system: one 32-bit state, bytes, 15-bit probabilities (arXiv 1311.2540; the byte-wise variant
//! of ryg_rans). A coder writes backwards, so the encoder first collects what it will say.

/// Bits of a probability.
pub const PROB_BITS: u32 = 15;
const LOW: u32 = 1 << 23;

/// Collects symbols in the order the decoder reads them.
#[derive(Default)]
pub struct RansEncoder {
    /// (start, frequency), frequency >= 1.
    said: Vec<(u16, u16)>,
}

impl RansEncoder {
    pub fn push(&mut self, start: u32, freq: u32) {
        debug_assert!(freq > 0 && start + freq <= 1 << PROB_BITS);
        self.said.push((start as u16, freq as u16));
    }

    /// `bits` (<= 15) raw bits.
    pub fn push_raw(&mut self, value: u32, bits: u32) {
        if bits > 0 {
            self.push(value << (PROB_BITS - bits), 1 << (PROB_BITS - bits));
        }
    }

    /// Codes what was said from a first state that stands for `check`: four bytes more than the symbols need.
    pub fn finish(self, check: u32, out: &mut Vec<u8>) {
        let first = out.len();
        let mut x = first_state(check);
        for &(start, freq) in self.said.iter().rev() {
            let (start, freq) = (start as u32, freq as u32);
            while x >= freq << 16 {
                out.push(x as u8);
                x >>= 8;
            }
            x = ((x / freq) << PROB_BITS) + x % freq + start;
        }
        out.extend_from_slice(&x.to_le_bytes());
        out[first..].reverse();
    }
}

/// The encoder's first state, which is the decoder's last: a checksum travels in it at the price of a byte.
fn first_state(check: u32) -> u32 {
    LOW + check % ((1 << 31) - LOW)
}

/// Reads what [`RansEncoder`] wrote. Bytes beyond the end read as zero; [`finish`](RansDecoder::finish) tells.
pub struct RansDecoder<'a> {
    data: &'a [u8],
    at: usize,
    x: u32,
}

impl<'a> RansDecoder<'a> {
    pub fn new(data: &'a [u8]) -> RansDecoder<'a> {
        let mut d = RansDecoder { data, at: 0, x: 0 };
        d.x = (0..4).fold(0, |x, _| x << 8 | d.byte());
        d
    }

    fn byte(&mut self) -> u32 {
        let b = self.data.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        b as u32
    }

    /// Where the next symbol's interval lies.
    #[inline]
    pub fn peek(&self) -> u32 {
        self.x & ((1 << PROB_BITS) - 1)
    }

    #[inline]
    pub fn advance(&mut self, start: u32, freq: u32) {
        self.x = freq.wrapping_mul(self.x >> PROB_BITS).wrapping_add(self.peek()).wrapping_sub(start);
        // Two bytes at most are missing; a damaged stream may have driven the state to zero, which no byte mends.
        for _ in 0..2 {
            if self.x < LOW {
                self.x = self.x << 8 | self.byte();
            }
        }
    }

    pub fn raw(&mut self, bits: u32) -> u32 {
        if bits == 0 {
            return 0;
        }
        let v = self.peek() >> (PROB_BITS - bits);
        self.advance(v << (PROB_BITS - bits), 1 << (PROB_BITS - bits));
        v
    }

    /// Whether more was read than there is: then nothing that follows makes it whole.
    #[inline]
    pub fn overrun(&self) -> bool {
        self.at > self.data.len()
    }

    /// Whether exactly the written bytes were read and the state is the encoder's first.
    pub fn finish(self, check: u32) -> bool {
        self.x == first_state(check) && self.at == self.data.len()
    }
}

/// Probability of a binary event, adapted as it is coded: the mean of a fast and a slow estimate.
#[derive(Clone, Copy)]
pub struct Adaptive {
    fast: u16,
    slow: u16,
}

impl Adaptive {
    /// `p`: probability of `true` in 1/32768.
    pub fn new(p: u16) -> Adaptive {
        Adaptive { fast: p, slow: p }
    }

    /// Probability of `true` in 1/32768, within [64, 32704].
    pub fn p(&self) -> u32 {
        ((self.fast as u32 + self.slow as u32) / 2).clamp(64, 32704)
    }

    pub fn update(&mut self, bit: bool) {
        let target = if bit { 32768i32 } else { 0 };
        self.fast = (self.fast as i32 + ((target - self.fast as i32) >> 4)) as u16;
        self.slow = (self.slow as i32 + ((target - self.slow as i32) >> 6)) as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_with_raw_bits_and_rare_symbols() {
        let mut s = 5u64;
        let mut r = move || {
            s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (s >> 33) as u32
        };
        let cdf = [0u32, 1, 2, 30000, 32767, 32768];
        let symbols: Vec<usize> = (0..20000).map(|_| if r() % 50 == 0 { (r() % 5) as usize } else { 2 }).collect();
        let mut e = RansEncoder::default();
        for (i, &s) in symbols.iter().enumerate() {
            e.push(cdf[s], cdf[s + 1] - cdf[s]);
            e.push_raw(i as u32 & 31, if i % 7 == 0 { 5 } else { 0 });
        }
        let mut out = vec![1, 2, 3];
        e.finish(0xdeadbeef, &mut out);
        let mut d = RansDecoder::new(&out[3..]);
        for (i, &s) in symbols.iter().enumerate() {
            let at = d.peek();
            let got = cdf.iter().rposition(|&c| c <= at).unwrap();
            assert_eq!(got, s);
            d.advance(cdf[s], cdf[s + 1] - cdf[s]);
            assert_eq!(d.raw(if i % 7 == 0 { 5 } else { 0 }), if i % 7 == 0 { i as u32 & 31 } else { 0 });
        }
        assert!(d.finish(0xdeadbeef));
    }

    #[test]
    fn bytes_are_within_half_a_percent_of_the_entropy() {
        let (n, p) = (100_000, 0.03f64);
        let freq = (p * 32768.0) as u32;
        let mut e = RansEncoder::default();
        let mut bits = 0.0;
        for i in 0..n {
            let rare = i % 33 == 0;
            let (start, f) = if rare { (0, freq) } else { (freq, 32768 - freq) };
            bits -= (f as f64 / 32768.0).log2();
            e.push(start, f);
        }
        let mut out = Vec::new();
        e.finish(0, &mut out);
        assert!((out.len() as f64) * 8.0 < bits * 1.005 + 32.0, "{} bytes for {bits} bits", out.len());
    }

    #[test]
    fn cut_or_changed_bytes_never_panic() {
        let data: Vec<u8> = (0..97u32).map(|i| (i * 73 % 251) as u8).collect();
        for n in 0..data.len() {
            let mut d = RansDecoder::new(&data[..n]);
            for _ in 0..5000 {
                let at = d.peek();
                let (s, f) = if at < 20000 { (0, 20000) } else { (20000, 12768) };
                d.advance(s, f);
                d.raw(3);
            }
            d.finish(0);
        }
    }
}
