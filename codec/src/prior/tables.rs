//! Integer probabilities of quantised latents: one table for each scale index and eighth of a step.
//!
//! A value k under mean m (in 1/8) and scale s: base = m >> 3, phase = m & 7, d = k - base. Wide scales send the low
//! `raw` bits of d as they are. What is outside a table's range follows an escape symbol, Exp-Golomb coded.

use crate::rans::{PROB_BITS, RansDecoder, RansEncoder};

pub(crate) const SCALES: usize = 64;
const PHASES: usize = 8;
/// The search for a symbol begins at an entry kept for each of these ranges of the cumulative probability.
const HINTS: usize = 64;

pub(crate) struct Tables {
    tables: Vec<Table>,
    cdf: Vec<u16>,
    /// Bits that each entry costs.
    cost: Vec<f32>,
    hints: Vec<u16>,
    raw: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Table {
    /// Smallest d >> raw with an entry.
    low: i32,
    /// Entries, the last one the escape.
    entries: u32,
    /// Where its entries + 1 cumulative probabilities begin.
    at: u32,
}

impl Tables {
    /// `low`, `entries`: `[64 * 8]`; `raw`: `[64]`; `cdf`: the tables one after the other. None if they are inconsistent.
    pub fn new(low: &[i16], entries: &[u16], raw: &[u8], cdf: Vec<u16>) -> Option<Tables> {
        if low.len() != SCALES * PHASES || entries.len() != low.len() || raw.len() != SCALES || raw.iter().any(|&r| r > 10) {
            return None;
        }
        let (mut tables, mut hints, mut cost, mut at) = (Vec::new(), Vec::new(), Vec::new(), 0usize);
        for (&low, &entries) in low.iter().zip(entries) {
            let c = cdf.get(at..at + entries as usize + 1)?;
            if entries == 0 || c[0] != 0 || c[entries as usize] != 1 << PROB_BITS || c.windows(2).any(|w| w[0] >= w[1]) {
                return None;
            }
            cost.extend(c.windows(2).map(|w| PROB_BITS as f32 - ((w[1] - w[0]) as f32).log2()));
            cost.push(0.0);
            hints.extend((0..HINTS).map(|i| c.partition_point(|&v| (v as usize) <= i << PROB_BITS >> 6) as u16 - 1));
            tables.push(Table { low: low as i32, entries: entries as u32, at: at as u32 });
            at += entries as usize + 1;
        }
        (at == cdf.len()).then_some(Tables { tables, cdf, cost, hints, raw: raw.to_vec() })
    }

    #[inline]
    fn table(&self, mean: i16, scale: u8) -> (usize, Table, i32, u32) {
        let i = scale as usize * PHASES + (mean & 7) as usize;
        (i, self.tables[i], mean as i32 >> 3, self.raw[scale as usize] as u32)
    }

    /// Bits that `k` costs.
    #[inline]
    pub fn bits(&self, k: i32, mean: i16, scale: u8) -> f32 {
        let (_, t, base, raw) = self.table(mean, scale);
        let s = ((k - base) >> raw) - t.low;
        if (s as u32) < t.entries - 1 {
            return self.cost[t.at as usize + s as usize] + raw as f32;
        }
        let e = if s < 0 { -s as u32 } else { s as u32 + 2 - t.entries };
        self.cost[(t.at + t.entries - 1) as usize] + 5.0 + e.ilog2() as f32 + raw as f32
    }

    #[inline]
    pub fn encode(&self, out: &mut RansEncoder, k: i32, mean: i16, scale: u8) {
        let (_, t, base, raw) = self.table(mean, scale);
        let d = k - base;
        let s = (d >> raw) - t.low;
        let inside = (s as u32) < t.entries - 1;
        let entry = t.at as usize + if inside { s as usize } else { t.entries as usize - 1 };
        out.push(self.cdf[entry] as u32, (self.cdf[entry + 1] - self.cdf[entry]) as u32);
        if !inside {
            let (sign, e) = if s < 0 { (1, -s as u32) } else { (0, s as u32 + 2 - t.entries) };
            let n = e.ilog2();
            out.push_raw(sign, 1);
            out.push_raw(n, 4);
            out.push_raw(e - (1 << n), n);
        }
        out.push_raw(d as u32 & ((1 << raw) - 1), raw);
    }

    #[inline]
    pub fn decode(&self, from: &mut RansDecoder, mean: i16, scale: u8) -> i32 {
        let (i, t, base, raw) = self.table(mean, scale);
        let at = from.peek();
        let mut s = self.hints[i * HINTS + (at >> (PROB_BITS - 6)) as usize] as usize;
        let cdf = &self.cdf[t.at as usize..][..t.entries as usize + 1];
        while cdf[s + 1] as u32 <= at {
            s += 1;
        }
        from.advance(cdf[s] as u32, (cdf[s + 1] - cdf[s]) as u32);
        let mut v = s as i32 + t.low;
        if s as u32 == t.entries - 1 {
            let negative = from.raw(1) == 1;
            let n = from.raw(4);
            let e = ((1 << n) + from.raw(n)) as i32;
            v = t.low + if negative { -e } else { e + t.entries as i32 - 2 };
        }
        base + (v << raw) + from.raw(raw) as i32
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Laplace tables as the export makes them, without its files.
    pub(crate) fn laplace() -> Tables {
        let (mut low, mut entries, mut raw, mut cdf) = (vec![], vec![], vec![], vec![]);
        for s in 0..SCALES {
            let b = (-3.0 + s as f64 / 7.0).exp();
            let r = (b / 14.0).log2().ceil().max(0.0) as u8;
            raw.push(r);
            for phase in 0..PHASES {
                let cell = (1i64 << r) as f64;
                let f = |x: f64| if x < 0.0 { 0.5 * (x / b).exp() } else { 1.0 - 0.5 * (-x / b).exp() };
                let p = |i: i32| f((i + 1) as f64 * cell - 0.5 - phase as f64 / 8.0) - f(i as f64 * cell - 0.5 - phase as f64 / 8.0);
                let range: Vec<i32> = (-300..=300).filter(|&i| p(i) > 2e-5).collect();
                low.push(range[0] as i16);
                entries.push(range.len() as u16 + 1);
                let mut freq: Vec<i64> = range.iter().map(|&i| ((p(i) * 32768.0) as i64).max(1)).chain([1]).collect();
                let rest = 32768 - freq.iter().sum::<i64>();
                *freq.iter_mut().max().unwrap() += rest;
                cdf.push(0u16);
                cdf.extend(freq.iter().scan(0u16, |c, &f| {
                    *c += f as u16;
                    Some(*c)
                }));
            }
        }
        Tables::new(&low, &entries, &raw, cdf).unwrap()
    }

    #[test]
    fn every_value_round_trips_at_every_scale() {
        let t = laplace();
        let mut e = RansEncoder::default();
        let mut said = vec![];
        for scale in 0..64u8 {
            for mean in [-32767i16, -900, -5, 0, 3, 7, 8, 1003, 32767] {
                for k in [-16383i32, -130, -2, -1, 0, 1, 2, 77, 16383] {
                    said.push((k, mean, scale));
                    t.encode(&mut e, k, mean, scale);
                }
            }
        }
        let mut out = vec![];
        e.finish(7, &mut out);
        let mut d = RansDecoder::new(&out);
        for (k, mean, scale) in said {
            assert_eq!(t.decode(&mut d, mean, scale), k, "mean {mean} scale {scale}");
        }
        assert!(d.finish(7));
    }

    #[test]
    fn cost_is_what_is_written() {
        let t = laplace();
        let mut e = RansEncoder::default();
        let mut bits = 0.0;
        for i in 0..5000i32 {
            let (k, mean, scale) = ((i * 37 % 11 - 5) * (1 + i % 60 / 10), (i % 17) as i16, (10 + i % 50) as u8);
            bits += t.bits(k, mean, scale);
            t.encode(&mut e, k, mean, scale);
        }
        let mut out = vec![];
        e.finish(7, &mut out);
        let ratio = out.len() as f32 * 8.0 / bits;
        assert!((0.999..1.001).contains(&ratio), "{ratio}");
    }

    /// Symbols a second of one core: values near their means, as the entropy model expects them, at scales from half a bit to five.
    #[test]
    #[ignore = "measures"]
    fn speed() {
        use std::time::Instant;
        let (t, n) = (laplace(), 1 << 20);
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f64 / (1u64 << 24) as f64
        };
        for scales in [0..16, 8..32, 0..48u8] {
            let mut e = RansEncoder::default();
            let (mut means, mut chosen, mut said) = (vec![], vec![], vec![]);
            for _ in 0..n {
                let scale = scales.start + (random() * scales.len() as f64) as u8;
                let mean = (random() * 64.0) as i16 - 32;
                let u = random() - 0.5;
                let b = (-3.0 + scale as f64 / 7.0).exp();
                let k = (mean as f64 / 8.0 - b * u.signum() * (1.0 - 2.0 * u.abs()).max(1e-9).ln()).round() as i32;
                means.push(mean);
                chosen.push(scale);
                said.push(k);
                t.encode(&mut e, k, mean, scale);
            }
            let (mut out, began) = (vec![], Instant::now());
            e.finish(7, &mut out);
            let wrote = began.elapsed();
            let best = (0..5).map(|_| {
                let (mut d, began) = (RansDecoder::new(&out), Instant::now());
                for ((&m, &s), &k) in means.iter().zip(&chosen).zip(&said) {
                    assert_eq!(t.decode(&mut d, m, s), k);
                }
                began.elapsed()
            });
            let best = best.min().unwrap();
            println!(
                "rANS, scales {scales:?}: {:.2} bits a symbol, {:.0} M/s decoded, {:.0} M/s written",
                out.len() as f64 * 8.0 / n as f64,
                n as f64 / best.as_secs_f64() / 1e6,
                n as f64 / wrote.as_secs_f64() / 1e6
            );
        }
    }
}
