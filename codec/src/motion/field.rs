//! The field of one slice: for every block whether it copies, and its vector or those of its quarters, coded with adaptive binary contexts.
//! Prediction by the median of three neighbours and by merging with one of them, as in H.264 (8.4.1.3) and HEVC (8.5.3.2.2);
//! codec/BITSTREAM.md, section "Field".

use super::Mode;
use crate::rans::Adaptive;
use lic_kernels::motion::{Quarters, Vector};
use std::sync::LazyLock;

/// Largest magnitude of a vector's component, in quarter samples.
pub(crate) const MAX_VECTOR: i32 = 16383;

/// Binary contexts of a slice.
pub(crate) struct Contexts {
    copy: [Adaptive; 16],
    own: [Adaptive; 3],
    vector: [Adaptive; VECTOR_CONTEXTS],
}

/// Of `vector`: for blocks, then for quarters, "is the median" (12), "is candidate i" (4), then for each component zero (3), sign (1),
/// length (14), top bit (14); then "is split" (6).
const VECTOR_CONTEXTS: usize = SPLIT + 6;
const OTHERS: usize = 12;
const COMPONENTS: usize = OTHERS + 4;
const COMPONENT: usize = 3 + 1 + 14 + 14;
const QUARTER: usize = COMPONENTS + 2 * COMPONENT;
const SPLIT: usize = 2 * QUARTER;

/// First probabilities, measured on validation clips (codec/BITSTREAM.md, section "Field").
const INIT_OWN: [u16; 3] = [400, 4800, 13000];
const INIT_MEDIAN: [u16; 12] = [20000, 28700, 28800, 32300, 9700, 17900, 23900, 29800, 4400, 10900, 18600, 27000];
const INIT_OTHERS: [u16; 4] = [11500, 12000, 4800, 3100];
const INIT_COMPONENT: [u16; COMPONENT] = [
    9000, 8400, 4500,  // is zero
    15800, // is negative
    25600, 25000, 24800, 23300, 21700, 17400, 8900, 3800, 1500, 1500, 1500, 1500, 1500, 1500, // is longer
    17900, 18800, 17400, 16100, 15500, 14700, 8200, 7000, 6600, 6600, 6600, 6600, 6600, 6600, // next bit
];
const INIT_SPLIT: [u16; 6] = [14100, 4400, 21000, 13500, 24500, 17800];
/// The same of quarters.
const QUARTER_MEDIAN: [u16; 12] = [16600, 19800, 20600, 21900, 10600, 13700, 14800, 20100, 7800, 11400, 13800, 16000];
const QUARTER_OTHERS: [u16; 4] = [11700, 15000, 9300, 5900];
const QUARTER_COMPONENT: [u16; COMPONENT] = [
    7500, 7900, 3900,  // is zero
    16000, // is negative
    29900, 27100, 23800, 21600, 21100, 18600, 8900, 3600, 1500, 1500, 1500, 1500, 1500, 1500, // is longer
    22200, 22200, 18700, 14500, 13900, 14400, 6900, 6500, 6500, 6500, 6500, 6500, 6500, 6500, // next bit
];

/// Bits of a flag by its probability in 1/512.
static COST: LazyLock<[f32; 512]> = LazyLock::new(|| std::array::from_fn(|i| -((i as f32 + 0.5) / 512.0).log2()));

/// What is known of a block once its field entry is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub mode: Mode,
    pub vectors: Quarters,
}

/// The blocks coded so far and what earlier frames tell.
pub(crate) struct Field<'a> {
    pub columns: usize,
    pub blocks: Vec<Block>,
    /// What is known of each quarter, `[2 * rows][2 * columns]`.
    quarters: Vec<Option<Known>>,
    /// The reference's copy map and vectors at the same places; both empty if it has none.
    last_copy: &'a [bool],
    last: &'a [Quarters],
    contexts: Contexts,
}

/// A quarter whose vector has been coded.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    vector: Vector,
    /// Sum of the components' differences to the median.
    surprise: u32,
}

/// What has a vector of its own: the next block or one of its quarters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Block,
    Quarter(usize),
}

/// What one vector is predicted from.
pub(crate) struct Prediction {
    pub median: Vector,
    /// Other candidates, distinct, in the order in which they are asked for.
    pub others: Others,
    /// Contexts: the first of all, "is the median" among those, "is zero" likewise, and, of blocks, "is split"; all but for the copy flag.
    first: usize,
    class: usize,
    size: usize,
    split: Option<usize>,
}

/// At most four vectors. (Thousands of predictions are made for a picture: none of them asks for memory.)
#[derive(Clone, Copy, Default)]
pub(crate) struct Others {
    all: [Vector; 4],
    count: usize,
}

impl std::ops::Deref for Others {
    type Target = [Vector];

    fn deref(&self) -> &[Vector] {
        &self.all[..self.count]
    }
}

/// Codes one flag: (probability of true in 1/32768, wanted) -> the flag. Decoders ignore what is wanted.
pub(crate) trait FlagIo {
    fn flag(&mut self, p: u32, want: bool) -> bool;
    /// The flags that follow are a vector's (or, if not, a map's), for who counts.
    fn vectors(&mut self, _: bool) {}
}

impl<'a> Field<'a> {
    /// `copy_init`: first probabilities of the copy flags ([`Prior::skip_init`](crate::prior::Prior)).
    pub fn new(columns: usize, rows: usize, last_copy: &'a [bool], last: &'a [Quarters], copy_init: &[u16; 16]) -> Field<'a> {
        let begin = |p: u16| Adaptive::new(p);
        let mut vector = [begin(16384); VECTOR_CONTEXTS];
        let block = [&INIT_MEDIAN[..], &INIT_OTHERS, &INIT_COMPONENT, &INIT_COMPONENT];
        let quarter = [&QUARTER_MEDIAN[..], &QUARTER_OTHERS, &QUARTER_COMPONENT, &QUARTER_COMPONENT];
        let all = block.into_iter().chain(quarter).flatten().chain(&INIT_SPLIT);
        vector.iter_mut().zip(all).for_each(|(v, &p)| *v = begin(p));
        Field {
            columns,
            blocks: Vec::with_capacity(columns * rows),
            quarters: vec![None; 4 * columns * rows],
            last_copy,
            last,
            contexts: Contexts { copy: copy_init.map(begin), own: INIT_OWN.map(begin), vector },
        }
    }

    fn at(&self, dx: isize, dy: usize) -> Option<usize> {
        let p = self.blocks.len();
        let x = (p % self.columns) as isize + dx;
        (x >= 0 && x < self.columns as isize && p / self.columns >= dy).then(|| (p / self.columns - dy) * self.columns + x as usize)
    }

    /// Index among the quarters of what lies (dx, dy) quarters from the first of a part of the next block.
    fn quarter(&self, part: Part, dx: isize, dy: isize) -> Option<usize> {
        let (p, q) = (self.blocks.len(), if let Part::Quarter(q) = part { q } else { 0 });
        let (x, y) = ((2 * (p % self.columns) + q % 2) as isize + dx, (2 * (p / self.columns) + q / 2) as isize + dy);
        let width = 2 * self.columns;
        (x >= 0 && x < width as isize && y >= 0).then(|| y as usize * width + x as usize)
    }

    /// Prediction of a vector of the next block. Of quarters, those before in the block have been [placed](Self::place).
    pub fn predict(&self, part: Part) -> Prediction {
        let at = |dx, dy| self.quarters[self.quarter(part, dx, dy)?];
        let width = if part == Part::Block { 2 } else { 1 };
        let (left, above) = (at(-1, 0), at(0, -1));
        let corner = at(width, -1).or_else(|| at(-1, -1));
        let [a, b, c] = [left, above, corner].map(|k| k.map(|k| k.vector));
        let median = match (a, b, c) {
            (Some(a), None, None) => a,
            _ => {
                let [a, b, c] = [a, b, c].map(Option::unwrap_or_default);
                Vector { x: median(a.x, b.x, c.x), y: median(a.y, b.y, c.y) }
            }
        };
        let last = self.last.get(self.blocks.len()).map(|l| match part {
            Part::Block => l.mean(),
            Part::Quarter(q) => l.0[q],
        });
        let mut others = Others::default();
        for o in [last, a, b, Some(Vector::default())].into_iter().flatten() {
            if o != median && !others.contains(&o) {
                others.all[others.count] = o;
                others.count += 1;
            }
        }
        let [before, beyond] = [left, above].map(|k| k.map_or(0, |k| k.surprise));
        let differ = (before > 0) as usize + (beyond > 0) as usize;
        let agree = a == b && b == c;
        let split = |i: Option<usize>| i.is_some_and(|i| self.blocks[i].vectors.one().is_none()) as usize;
        Prediction {
            median,
            others,
            first: if part == Part::Block { 0 } else { QUARTER },
            class: differ * 4 + agree as usize * 2,
            size: match before + beyond {
                0 => 0,
                1..=8 => 1,
                _ => 2,
            },
            split: (part == Part::Block).then(|| 2 * (split(self.at(-1, 0)) + split(self.at(0, 1)))),
        }
    }

    /// Notes the vector of a part of the next block.
    pub fn place(&mut self, part: Part, p: &Prediction, vector: Vector) {
        let (dx, dy) = (vector.x as i32 - p.median.x as i32, vector.y as i32 - p.median.y as i32);
        let known = Known { vector, surprise: dx.unsigned_abs() + dy.unsigned_abs() };
        let at = self.quarter(part, 0, 0).expect("it lies in the slice");
        self.quarters[at] = Some(known);
        if part == Part::Block {
            for q in [at + 1, at + 2 * self.columns, at + 2 * self.columns + 1] {
                self.quarters[q] = Some(known);
            }
        }
    }

    /// Codes the next block; `want` is ignored by decoders.
    pub fn code(&mut self, want: Block, io: &mut impl FlagIo) -> Block {
        let copied = |i: Option<usize>| i.is_none_or(|i| self.blocks[i].mode == Mode::Copy) as usize;
        let last = self.last_copy.get(self.blocks.len()).copied().unwrap_or(false) as usize;
        let at = copied(self.at(-1, 0)) << 3 | copied(self.at(0, 1)) << 2 | copied(self.at(1, 1)) << 1 | last;
        let copy = flag(&mut self.contexts.copy[at], want.mode == Mode::Copy, io);
        let own = !copy && {
            let own = |i: Option<usize>| i.is_some_and(|i| self.blocks[i].mode == Mode::Own) as usize;
            let at = own(self.at(-1, 0)) + own(self.at(0, 1));
            flag(&mut self.contexts.own[at], want.mode == Mode::Own, io)
        };
        io.vectors(true);
        let vectors = match self.vector(Part::Block, copy, want.vectors.one(), io) {
            Some(v) => Quarters::whole(v),
            None => Quarters([0, 1, 2, 3].map(|q| {
                let v = self.vector(Part::Quarter(q), copy, Some(want.vectors.0[q]), io);
                v.expect("quarters are not split")
            })),
        };
        io.vectors(false);
        let mode = match (copy, own) {
            (true, _) => Mode::Copy,
            (_, true) => Mode::Own,
            _ => Mode::Difference,
        };
        self.blocks.push(Block { mode, vectors });
        Block { mode, vectors }
    }

    /// Codes and places one vector; None: the block is split.
    fn vector(&mut self, part: Part, copy: bool, want: Option<Vector>, io: &mut impl FlagIo) -> Option<Vector> {
        let p = self.predict(part);
        let models = &mut self.contexts.vector;
        let v = vector(&p, copy, want, |c, want| match c {
            Some(c) => flag(&mut models[c], want, io),
            None => io.flag(16384, want),
        })?;
        self.place(part, &p, v);
        Some(v)
    }

    /// Bits of the lengths of vectors' differences, as the contexts are now.
    pub fn lengths(&self, part: Part) -> Lengths {
        let first = if part == Part::Block { 0 } else { QUARTER };
        Lengths([0, 1].map(|axis| {
            let at = first + COMPONENTS + axis * COMPONENT;
            let mut before = 0.0;
            std::array::from_fn(|n| {
                if n == 0 {
                    return [0.0; 2];
                }
                let end = if n < 15 { self.cost(at + 3 + n, false) } else { 0.0 };
                let bits = |next: bool| {
                    let next = if n > 1 { self.cost(at + 16 + n, next) } else { 0.0 };
                    before + end + next + n.saturating_sub(2) as f32
                };
                let bits = [bits(false), bits(true)];
                before += if n < 15 { self.cost(at + 3 + n, true) } else { 0.0 };
                bits
            })
        }))
    }

    /// What vectors cost as the predicted one, of a block that copies or not.
    pub fn costs<'l>(&self, p: &Prediction, copy: bool, lengths: &'l Lengths) -> Costs<'l> {
        let is_median = p.first + p.class + copy as usize;
        let whole = p.split.map(|s| SPLIT + s + copy as usize);
        let mut before = self.cost(is_median, false) + whole.map_or(0.0, |s| self.cost(s, false));
        let mut known = [(p.median, self.cost(is_median, true)); 5];
        for (i, &o) in p.others.iter().enumerate() {
            known[1 + i] = (o, before + self.cost(p.first + OTHERS + i, true));
            before += self.cost(p.first + OTHERS + i, false);
        }
        let at = |axis| p.first + COMPONENTS + axis * COMPONENT;
        let pair = |c: usize| [self.cost(c, false), self.cost(c, true)];
        Costs {
            known,
            others: p.others.len(),
            split: self.cost(is_median, false) + whole.map_or(0.0, |s| self.cost(s, true)),
            rest: before,
            zero: [0, 1].map(|a| pair(at(a) + p.size)),
            negative: [0, 1].map(|a| pair(at(a) + 3)),
            lengths,
        }
    }

    fn cost(&self, context: usize, flag: bool) -> f32 {
        let p = self.contexts.vector[context].p();
        COST[(if flag { p } else { 32768 - p } / 64) as usize]
    }
}

/// Bits of the length of a difference and the bits below it, `[axis][length][first bit below the top]`.
pub(crate) struct Lengths([[[f32; 2]; 16]; 2]);

/// Bits of vectors under one prediction.
pub(crate) struct Costs<'a> {
    /// The median and the other candidates.
    known: [(Vector, f32); 5],
    others: usize,
    /// That the block is split.
    pub split: f32,
    rest: f32,
    /// Of each axis, false and true.
    zero: [[f32; 2]; 2],
    negative: [[f32; 2]; 2],
    lengths: &'a Lengths,
}

impl Costs<'_> {
    pub fn bits(&self, v: Vector) -> f32 {
        if let Some(k) = self.known[..=self.others].iter().find(|k| k.0 == v) {
            return k.1;
        }
        let median = self.known[0].0;
        let part = |axis: usize, d: i32| {
            if d == 0 {
                return self.zero[axis][1];
            }
            let magnitude = d.unsigned_abs();
            let n = (32 - magnitude.leading_zeros() as usize).min(15);
            let next = n > 1 && magnitude >> (n - 2) & 1 != 0;
            self.zero[axis][0] + self.negative[axis][(d < 0) as usize] + self.lengths.0[axis][n][next as usize]
        };
        self.rest + part(0, v.x as i32 - median.x as i32) + part(1, v.y as i32 - median.y as i32)
    }
}

fn flag(model: &mut Adaptive, want: bool, io: &mut impl FlagIo) -> bool {
    let f = io.flag(model.p(), want);
    model.update(f);
    f
}

fn median(a: i16, b: i16, c: i16) -> i16 {
    a.max(b).min(a.min(b).max(c))
}

/// The syntax of one vector, or that there are four in its place (None); `f` codes a flag under a context (None: even odds) and says what
/// it is.
fn vector(p: &Prediction, copy: bool, want: Option<Vector>, mut f: impl FnMut(Option<usize>, bool) -> bool) -> Option<Vector> {
    if f(Some(p.first + p.class + copy as usize), want == Some(p.median)) {
        return Some(p.median);
    }
    if p.split.is_some_and(|split| f(Some(SPLIT + split + copy as usize), want.is_none())) {
        return None;
    }
    for (i, &o) in p.others.iter().enumerate() {
        if f(Some(p.first + OTHERS + i), want == Some(o)) {
            return Some(o);
        }
    }
    let want = want.unwrap_or_default();
    let mut part = |axis: usize, median: i16, want: i16| {
        let at = p.first + COMPONENTS + axis * COMPONENT;
        let v = median as i32 + component(at, p.size, want as i32 - median as i32, &mut f);
        v.clamp(-MAX_VECTOR, MAX_VECTOR) as i16
    };
    let x = part(0, p.median.x, want.x);
    Some(Vector { x, y: part(1, p.median.y, want.y) })
}

/// A difference: zero?, sign, length n of the magnitude's binary form in unary, then its n - 1 lower bits, the first of them adaptive.
fn component(at: usize, size: usize, want: i32, f: &mut impl FnMut(Option<usize>, bool) -> bool) -> i32 {
    if f(Some(at + size), want == 0) {
        return 0;
    }
    let negative = f(Some(at + 3), want < 0);
    let magnitude = want.unsigned_abs();
    let wanted = 32 - magnitude.leading_zeros() as usize;
    let mut n = 1;
    while n < 15 && f(Some(at + 4 + n - 1), wanted > n) {
        n += 1;
    }
    let mut v = 1u32;
    for i in (0..n - 1).rev() {
        let context = (i == n - 2).then_some(at + 18 + n - 2);
        v = v << 1 | f(context, magnitude >> i & 1 != 0) as u32;
    }
    if negative { -(v as i32) } else { v as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rans::{RansDecoder, RansEncoder};

    struct Out(RansEncoder);
    struct In<'a>(RansDecoder<'a>);

    impl FlagIo for Out {
        fn flag(&mut self, p: u32, want: bool) -> bool {
            if want {
                self.0.push(0, p)
            } else {
                self.0.push(p, 32768 - p)
            }
            want
        }
    }

    impl FlagIo for In<'_> {
        fn flag(&mut self, p: u32, _: bool) -> bool {
            let f = self.0.peek() < p;
            if f {
                self.0.advance(0, p)
            } else {
                self.0.advance(p, 32768 - p)
            }
            f
        }
    }

    #[test]
    fn fields_round_trip() {
        let mut s = 1u32;
        let mut r = move || {
            s = s.wrapping_mul(1664525).wrapping_add(1013904223);
            (s >> 8) as i32
        };
        let (w, h) = (7, 9);
        let last: Vec<Quarters> = (0..w * h)
            .map(|i| {
                let mut q = Quarters::whole(Vector { x: (r() % 40) as i16, y: 3 });
                q.0[i % 4].y += (i % 5 == 0) as i16;
                q
            })
            .collect();
        let last_copy: Vec<bool> = (0..w * h).map(|_| r() % 2 == 0).collect();
        let blocks: Vec<Block> = (0..w * h)
            .map(|i| {
                let mode = [Mode::Copy, Mode::Difference, Mode::Own][(r() % 3) as usize];
                let far = if r() % 5 == 0 { 32767 } else { 20 };
                let mut c = || (r() % (far + 1) - far / 2).clamp(-MAX_VECTOR, MAX_VECTOR) as i16;
                let mut vector = || Vector { x: c(), y: c() };
                let vectors = match i % 6 {
                    0 => Quarters::whole(last[i].mean()),
                    1 => last[i],
                    2 => Quarters([vector(), vector(), vector(), vector()]),
                    3 => Quarters([vector(), last[i].0[1], vector(), last[i].0[3]]),
                    _ => Quarters::whole(vector()),
                };
                Block { mode, vectors }
            })
            .collect();
        let mut out = Out(RansEncoder::default());
        let mut f = Field::new(w, h, &last_copy, &last, &[20000; 16]);
        let coded: Vec<Block> = blocks.iter().map(|&b| f.code(b, &mut out)).collect();
        assert_eq!(coded, blocks);
        assert!(blocks.iter().filter(|b| b.vectors.one().is_none()).count() > 10);
        let mut bytes = vec![];
        out.0.finish(7, &mut bytes);
        let mut io = In(RansDecoder::new(&bytes));
        let mut f = Field::new(w, h, &last_copy, &last, &[20000; 16]);
        for c in &coded {
            assert_eq!(f.code(Block::default(), &mut io), *c);
        }
        assert!(io.0.finish(7));
    }

    #[test]
    fn costs_are_those_of_the_syntax() {
        let mut f = Field::new(8, 8, &[], &[], &[20000; 16]);
        let mut out = Out(RansEncoder::default());
        for i in 0..60i16 {
            let v = Vector { x: i * 37 % 50 - 20, y: i * i % 9 };
            let vectors = if i % 3 == 0 { Quarters([v, Vector::default(), v, v]) } else { Quarters::whole(v) };
            for (part, far) in [(Part::Block, 3), (Part::Block, 900), (Part::Quarter(0), 40)] {
                let p = f.predict(part);
                let (lengths, copy) = (f.lengths(part), i % 2 == 0);
                let costs = f.costs(&p, copy, &lengths);
                let others = [p.median, Vector::default(), Vector { x: p.median.x + far, y: p.median.y - far / 2 }];
                for v in others.map(Some).into_iter().chain((part == Part::Block).then_some(None)).chain(p.others.iter().copied().map(Some))
                {
                    let mut bits = 0.0;
                    vector(&p, copy, v, |c, want| {
                        bits += c.map_or(1.0, |c| f.cost(c, want));
                        want
                    });
                    let got = v.map_or(costs.split, |v| costs.bits(v));
                    assert!((bits - got).abs() < 1e-3, "{part:?} {v:?}: {bits} and {got}");
                }
            }
            f.code(Block { mode: Mode::Copy, vectors }, &mut out);
        }
    }

    #[test]
    fn a_panning_field_costs_little() {
        let (w, h) = (40, 30);
        let mut out = Out(RansEncoder::default());
        let mut f = Field::new(w, h, &[], &[], &[30000; 16]);
        for _ in 0..w * h {
            f.code(Block { mode: Mode::Copy, vectors: Quarters::whole(Vector { x: -13, y: 6 }) }, &mut out);
        }
        let mut bytes = vec![];
        out.0.finish(7, &mut bytes);
        assert!(bytes.len() < 40, "{} bytes", bytes.len());
    }

    #[test]
    fn garbage_never_leaves_the_range() {
        let bytes: Vec<u8> = (0..4000u32).map(|i| ((i.wrapping_mul(2654435761)) >> 13) as u8).collect();
        let mut io = In(RansDecoder::new(&bytes));
        let mut f = Field::new(20, 20, &[], &[], &[100; 16]);
        for _ in 0..400 {
            let v = f.code(Block::default(), &mut io).vectors.0;
            assert!(v.iter().all(|v| (v.x as i32).abs() <= MAX_VECTOR && (v.y as i32).abs() <= MAX_VECTOR));
        }
    }
}
