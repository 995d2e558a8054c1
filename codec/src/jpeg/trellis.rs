//! Levels chosen by what they cost against what they mend: of each block the run-level path of least distortion + lambda x bits
//! (trellis quantisation: Ramchandran and Vetterli, IEEE Trans. Image Processing 3, 1994; for JPEG as mozjpeg has it).

use super::tables::Steps;
use lic_kernels::jpeg::PLACES;

/// Bits of each symbol, those that follow it included; and of the cheapest AC symbol of each size.
pub struct Rates([f32; 256], [f32; 16]);

impl Rates {
    /// Of codes to be made for symbols that occur about so often.
    pub fn expected(count: &[u32; 256]) -> Rates {
        let total = count.iter().sum::<u32>() as f32 + 256.0;
        // What does not occur yet may: no code is longer than 16 bits.
        Rates::new(|s| (total / (count[s] as f32 + 1.0)).log2().clamp(1.0, 16.0) + (s % 16) as f32)
    }

    /// Of known codes.
    pub fn known(length: impl Fn(u8) -> u8) -> Rates {
        Rates::new(|s| match length(s as u8) {
            0 => f32::INFINITY,
            n => n as f32 + (s % 16) as f32,
        })
    }

    fn new(bits: impl FnMut(usize) -> f32) -> Rates {
        let bits = std::array::from_fn(bits);
        let cheapest = std::array::from_fn(|size| (0..16).map(|run| bits[16 * run + size]).fold(f32::INFINITY, f32::min));
        Rates(bits, cheapest)
    }
}

/// What the search needs of one component.
pub struct Search {
    /// By place in zigzag order: 1 / (16 x step), and what the square of an error of one step weighs.
    scale: [f32; 64],
    weight: [f32; 64],
    /// Distortion that a bit is worth.
    lambda: f32,
}

/// A level that may be coded, and the best path to it.
#[derive(Clone, Copy, Default)]
struct Node {
    place: usize,
    level: i16,
    /// Cost of the path, less the distortion of all candidates up to here, were they 0; and the least of that among the nodes so far.
    cost: f32,
    least: f32,
    /// Index of the node before; 0 is the start.
    before: usize,
}

/// Room for a block's paths; the first node is their start.
pub struct Nodes(Box<[Node; 64]>);

impl Default for Nodes {
    fn default() -> Self {
        Nodes(Box::new([Node::default(); 64]))
    }
}

impl Search {
    pub fn new(steps: &Steps) -> Search {
        let scale = steps.table.map(|s| 1.0 / (16.0 * s as f32));
        let weight = std::array::from_fn(|i| steps.weight[i] * (steps.table[i] as f32).powi(2));
        Search { scale, weight, lambda: steps.lambda }
    }

    /// Coefficients in sixteenths, and a bit for each of at least half a step, in zigzag order -> levels, and a bit for each that is not 0. DC
    /// is left at 0. All other coefficients are 0 on every path.
    pub fn block(&self, coefficients: &[i16; 64], candidates: u64, rates: &Rates, nodes: &mut Nodes) -> ([i16; 64], u64) {
        let nodes = &mut nodes.0;
        let mut count = 1;
        // Distortion of all candidates so far, were they 0.
        let mut zeros = 0f32;
        let mut left = candidates & !1;
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            left &= left - 1;
            let v = coefficients[PLACES[i] as usize] as f32 * self.scale[i];
            let magnitude = v.abs();
            let nearest = ((magnitude + 0.5) as i32).clamp(1, 1023);
            let mut best = Node { cost: f32::INFINITY, ..Node::default() };
            for level in [nearest, nearest - 1] {
                if level == 0 {
                    break;
                }
                let size = 32 - level.leading_zeros() as usize;
                let own = self.weight[i] * (magnitude - level as f32).powi(2) + zeros;
                // The nearest first: soon no node before can be better, whatever its run costs.
                let bound = own + self.lambda * rates.1[size];
                for (before, node) in nodes[..count].iter().enumerate().rev() {
                    if node.least + bound >= best.cost {
                        break;
                    }
                    let run = i - node.place - 1;
                    let mut bits = rates.0[run % 16 * 16 + size];
                    if run > 15 {
                        bits += (run / 16) as f32 * rates.0[0xF0];
                    }
                    let cost = node.cost + own + self.lambda * bits;
                    if cost < best.cost {
                        best = Node { place: i, level: level as i16, cost, least: 0.0, before };
                    }
                }
            }
            zeros += self.weight[i] * magnitude * magnitude;
            if best.cost < f32::INFINITY {
                best.level *= if v < 0.0 { -1 } else { 1 };
                best.cost -= zeros;
                best.least = best.cost.min(nodes[count - 1].least);
                nodes[count] = best;
                count += 1;
            }
        }
        let end = |n: &Node| n.cost + if n.place < 63 { self.lambda * rates.0[0] } else { 0.0 };
        let (mut at, _) = nodes[..count].iter().enumerate().min_by(|a, b| end(a.1).total_cmp(&end(b.1))).expect("a start");
        let (mut out, mut coded) = ([0; 64], 0);
        while at > 0 {
            let node = nodes[at];
            out[PLACES[node.place] as usize] = node.level;
            coded |= 1 << node.place;
            at = node.before;
        }
        (out, coded)
    }

    /// DC levels of blocks in the order of a scan, each coded as its difference to the one before: of the nearest level and its neighbours the
    /// best path.
    pub fn dc(&self, coefficients: impl Iterator<Item = i16>, rates: &Rates) -> Vec<i16> {
        // Cost of the best path to each of three levels, and the level.
        let mut paths = [(0f32, 0i32), (f32::INFINITY, 0), (f32::INFINITY, 0)];
        let mut back: Vec<[(i16, u8); 3]> = Vec::new();
        for c in coefficients {
            let v = c as f32 * self.scale[0];
            let nearest = v.round() as i32;
            let mut step = [(0, 0); 3];
            let mut next = paths;
            for (i, (next, step)) in next.iter_mut().zip(&mut step).enumerate() {
                let level = (nearest + [0, -1, 1][i]).clamp(-1023, 1023);
                let own = self.weight[0] * (v - level as f32).powi(2);
                let mut best = (f32::INFINITY, 0);
                for (from, path) in paths.iter().enumerate() {
                    let size = 32 - (level - path.1).unsigned_abs().leading_zeros() as usize;
                    let cost = path.0 + self.lambda * rates.0[size];
                    if cost < best.0 {
                        best = (cost, from as u8);
                    }
                }
                (*next, *step) = ((best.0 + own, level), (level as i16, best.1));
            }
            paths = next;
            back.push(step);
        }
        let mut at = (0..3).min_by(|a, b| paths[*a].0.total_cmp(&paths[*b].0)).expect("three paths");
        for step in back.iter_mut().rev() {
            let (level, from) = step[at];
            step[0].0 = level;
            at = from as usize;
        }
        back.into_iter().map(|s| s[0].0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::annex_k;
    use super::super::huffman::Table;
    use super::*;

    fn steps(step: u8, lambda: f32) -> Steps {
        Steps { table: [step; 64], rounding: 0.5, weight: std::array::from_fn(|i| 1.0 + i as f32 / 64.0), lambda }
    }

    fn rates(codes: &annex_k::Codes) -> Rates {
        let table = Table::standard(codes);
        Rates::known(|s| table.code(s).1)
    }

    struct Random(u32);

    impl Random {
        fn next(&mut self, below: u32) -> u32 {
            self.0 = self.0.wrapping_mul(1664525).wrapping_add(1013904223);
            (self.0 >> 16) % below
        }
    }

    /// Distortion + lambda x bits of AC levels, by the definition.
    fn cost(search: &Search, coefficients: &[i16; 64], levels: &[i16; 64], rates: &Rates) -> f64 {
        let (mut sum, mut last) = (0.0, 0);
        for i in 1..64 {
            let level = levels[PLACES[i] as usize];
            let v = coefficients[PLACES[i] as usize] as f32 * search.scale[i];
            sum += (search.weight[i] * (v - level as f32).powi(2)) as f64;
            if level != 0 {
                let (run, size) = (i - last - 1, 16 - (level.unsigned_abs()).leading_zeros() as usize);
                sum += (search.lambda * ((run / 16) as f32 * rates.0[0xF0] + rates.0[run % 16 * 16 + size])) as f64;
                last = i;
            }
        }
        sum + if last < 63 { (search.lambda * rates.0[0]) as f64 } else { 0.0 }
    }

    /// Against all combinations of the nearest levels, those one nearer to 0, and 0.
    #[test]
    fn no_path_is_better() {
        let (mut r, rates) = (Random(1), rates(&annex_k::AC[0]));
        for round in 0..300 {
            let search = Search::new(&steps(10, [0.0, 10.0, 40.0][round % 3]));
            let (mut coefficients, mut places) = ([0i16; 64], Vec::new());
            for _ in 0..6 {
                let i = 1 + r.next(63) as usize;
                coefficients[PLACES[i] as usize] = r.next(1000) as i16 - 500;
                places.push(i);
            }
            places.sort_unstable();
            places.dedup();
            // Not a candidate: less than half a step.
            coefficients[PLACES[places[0]] as usize] = 70;
            let candidates = places.iter().filter(|i| coefficients[PLACES[**i] as usize].abs() >= 80).fold(0, |m, i| m | 1 << i);
            let (got, coded) = search.block(&coefficients, candidates, &rates, &mut Nodes::default());
            assert_eq!(coded, (0..64).fold(0, |m, i| m | ((got[PLACES[i] as usize] != 0) as u64) << i));
            let got = cost(&search, &coefficients, &got, &rates);
            for mut n in 0..3usize.pow(places.len() as u32) {
                let mut levels = [0; 64];
                for i in &places {
                    let v = coefficients[PLACES[*i] as usize] as f32 / 160.0;
                    let nearest = (v.abs() + 0.5) as i16;
                    levels[PLACES[*i] as usize] = [nearest, (nearest - 1).max(0), 0][n % 3] * v.signum() as i16;
                    n /= 3;
                }
                let other = cost(&search, &coefficients, &levels, &rates);
                assert!(got <= other + 1e-2, "{got} where {other} is possible");
            }
        }
    }

    /// Against all combinations of the nearest DC levels and their neighbours.
    #[test]
    fn no_row_of_dc_levels_is_better() {
        let (mut r, rates) = (Random(2), rates(&annex_k::DC[0]));
        for round in 0..200 {
            let search = Search::new(&steps(8, [0.0, 30.0, 100.0][round % 3]));
            let coefficients: Vec<i16> = (0..6).map(|_| r.next(3000) as i16 - 1500).collect();
            let total = |levels: &[i16]| {
                let mut last = 0;
                let of = |(c, l): (&i16, &i16)| {
                    let size = 16 - (l - last).unsigned_abs().leading_zeros() as usize;
                    last = *l;
                    (search.weight[0] * (*c as f32 / 128.0 - *l as f32).powi(2) + search.lambda * rates.0[size]) as f64
                };
                coefficients.iter().zip(levels).map(of).sum::<f64>()
            };
            let got = search.dc(coefficients.iter().copied(), &rates);
            for n in 0..3usize.pow(6) {
                let other: Vec<i16> = coefficients
                    .iter()
                    .enumerate()
                    .map(|(i, c)| (*c as f32 / 128.0).round() as i16 + (n / 3usize.pow(i as u32) % 3) as i16 - 1)
                    .collect();
                assert!(total(&got) <= total(&other) + 1e-2, "{got:?} where {other:?} is possible");
            }
        }
    }
}
