//! The field of one slice: for every block whether it copies, and its vector, coded with adaptive binary contexts.
//! Prediction by the median of three neighbours and by merging with one of them, as in H.264 (8.4.1.3) and HEVC (8.5.3.2.2);
//! codec/BITSTREAM.md, section "Field".

use super::Mode;
use crate::rans::Adaptive;
use lic_kernels::motion::Vector;
use std::sync::LazyLock;

/// Largest magnitude of a vector's component, in quarter samples.
pub(crate) const MAX_VECTOR: i32 = 16383;

/// Binary contexts of a slice.
pub(crate) struct Contexts {
    copy: [Adaptive; 16],
    own: [Adaptive; 3],
    vector: [Adaptive; VECTOR_CONTEXTS],
}

/// Of `vector`: "is the median" (12), "is candidate i" (4), then for each component zero (3), sign (1), length (14), top bit (14).
const VECTOR_CONTEXTS: usize = 12 + 4 + 2 * COMPONENT;
const OTHERS: usize = 12;
const COMPONENTS: usize = OTHERS + 4;
const COMPONENT: usize = 3 + 1 + 14 + 14;

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

/// Bits of a flag by its probability in 1/512.
static COST: LazyLock<[f32; 512]> = LazyLock::new(|| std::array::from_fn(|i| -((i as f32 + 0.5) / 512.0).log2()));

/// What is known of a block once its field entry is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub mode: Mode,
    pub vector: Vector,
}

/// The blocks coded so far and what earlier frames tell.
pub(crate) struct Field<'a> {
    pub columns: usize,
    pub blocks: Vec<Block>,
    /// Sum of the components' difference to the median, and whether it differs.
    surprise: Vec<u32>,
    /// The reference's copy map and vectors at the same places; both empty if it has none.
    last_copy: &'a [bool],
    last: &'a [Vector],
    contexts: Contexts,
}

/// What one block's vector is predicted from.
pub(crate) struct Prediction {
    pub median: Vector,
    /// Other candidates, distinct, in the order in which they are asked for.
    pub others: Vec<Vector>,
    class: usize,
    size: usize,
}

/// Codes one flag: (probability of true in 1/32768, wanted) -> the flag. Decoders ignore what is wanted.
pub(crate) trait FlagIo {
    fn flag(&mut self, p: u32, want: bool) -> bool;
    /// The flags that follow are a vector's (or, if not, a map's), for who counts.
    fn vectors(&mut self, _: bool) {}
}

impl<'a> Field<'a> {
    /// `copy_init`: first probabilities of the copy flags ([`Prior::skip_init`](crate::prior::Prior)).
    pub fn new(columns: usize, rows: usize, last_copy: &'a [bool], last: &'a [Vector], copy_init: &[u16; 16]) -> Field<'a> {
        let begin = |p: u16| Adaptive::new(p);
        let mut vector = [begin(16384); VECTOR_CONTEXTS];
        let parts = [&INIT_MEDIAN[..], &INIT_OTHERS, &INIT_COMPONENT, &INIT_COMPONENT];
        vector.iter_mut().zip(parts.into_iter().flatten()).for_each(|(v, &p)| *v = begin(p));
        Field {
            columns,
            blocks: Vec::with_capacity(columns * rows),
            surprise: Vec::with_capacity(columns * rows),
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

    /// Prediction of the next block's vector.
    pub fn predict(&self) -> Prediction {
        let v = |i: Option<usize>| i.map(|i| self.blocks[i].vector);
        let (left, above) = (self.at(-1, 0), self.at(0, 1));
        let corner = self.at(1, 1).or(self.at(-1, 1));
        let (a, b, c) = (v(left), v(above), v(corner));
        let median = match (a, b, c) {
            (Some(a), None, None) => a,
            _ => {
                let [a, b, c] = [a, b, c].map(Option::unwrap_or_default);
                Vector { x: median(a.x, b.x, c.x), y: median(a.y, b.y, c.y) }
            }
        };
        let mut others = Vec::with_capacity(4);
        let zero = Some(Vector::default());
        for o in [self.last.get(self.blocks.len()).copied(), a, b, zero].into_iter().flatten() {
            if o != median && !others.contains(&o) {
                others.push(o);
            }
        }
        let surprise = |i: Option<usize>| i.map_or(0, |i| self.surprise[i]);
        let sum = surprise(left) + surprise(above);
        let differ = (surprise(left) > 0) as usize + (surprise(above) > 0) as usize;
        let agree = a == b && b == c;
        let class = differ * 4 + agree as usize * 2;
        Prediction {
            median,
            others,
            class,
            size: if sum == 0 {
                0
            } else if sum <= 8 {
                1
            } else {
                2
            },
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
        let p = self.predict();
        io.vectors(true);
        let models = &mut self.contexts.vector;
        let vector = vector(&p, copy, want.vector, |c, want| match c {
            Some(c) => flag(&mut models[c], want, io),
            None => io.flag(16384, want),
        });
        io.vectors(false);
        let (dx, dy) = (vector.x as i32 - p.median.x as i32, vector.y as i32 - p.median.y as i32);
        self.surprise.push(dx.unsigned_abs() + dy.unsigned_abs());
        let block = Block {
            mode: if copy {
                Mode::Copy
            } else if own {
                Mode::Own
            } else {
                Mode::Difference
            },
            vector,
        };
        self.blocks.push(block);
        block
    }

    /// Bits that a vector would cost as the next block's.
    pub fn bits(&self, p: &Prediction, copy: bool, v: Vector) -> f32 {
        let mut bits = 0.0;
        vector(p, copy, v, |c, want| {
            bits += c.map_or(1.0, |c| {
                let p = self.contexts.vector[c].p();
                COST[(if want { p } else { 32768 - p } / 64) as usize]
            });
            want
        });
        bits
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

/// The syntax of one vector; `f` codes a flag under a context (None: even odds) and says what it is.
fn vector(p: &Prediction, copy: bool, want: Vector, mut f: impl FnMut(Option<usize>, bool) -> bool) -> Vector {
    if f(Some(p.class + copy as usize), want == p.median) {
        return p.median;
    }
    for (i, &o) in p.others.iter().enumerate() {
        if f(Some(OTHERS + i), want == o) {
            return o;
        }
    }
    let mut part = |axis: usize, median: i16, want: i16| {
        let at = COMPONENTS + axis * COMPONENT;
        let v = median as i32 + component(at, p.size, want as i32 - median as i32, &mut f);
        v.clamp(-MAX_VECTOR, MAX_VECTOR) as i16
    };
    let x = part(0, p.median.x, want.x);
    Vector { x, y: part(1, p.median.y, want.y) }
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
        let last: Vec<Vector> = (0..w * h).map(|_| Vector { x: (r() % 40) as i16, y: 3 }).collect();
        let last_copy: Vec<bool> = (0..w * h).map(|_| r() % 2 == 0).collect();
        let blocks: Vec<Block> = (0..w * h)
            .map(|i| {
                let mode = [Mode::Copy, Mode::Difference, Mode::Own][(r() % 3) as usize];
                let far = if r() % 5 == 0 { 32767 } else { 20 };
                let mut c = || (r() % (far + 1) - far / 2).clamp(-MAX_VECTOR, MAX_VECTOR) as i16;
                let vector = if i % 3 == 0 { last[i] } else { Vector { x: c(), y: c() } };
                Block { mode, vector }
            })
            .collect();
        let mut out = Out(RansEncoder::default());
        let mut f = Field::new(w, h, &last_copy, &last, &[20000; 16]);
        let coded: Vec<Block> = blocks.iter().map(|&b| f.code(b, &mut out)).collect();
        for (b, c) in blocks.iter().zip(&coded) {
            assert_eq!(b.mode, c.mode);
            assert_eq!(b.vector, c.vector);
        }
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
    fn a_panning_field_costs_little() {
        let (w, h) = (40, 30);
        let mut out = Out(RansEncoder::default());
        let mut f = Field::new(w, h, &[], &[], &[30000; 16]);
        for _ in 0..w * h {
            f.code(Block { mode: Mode::Copy, vector: Vector { x: -13, y: 6 } }, &mut out);
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
            let v = f.code(Block::default(), &mut io).vector;
            assert!((v.x as i32).abs() <= MAX_VECTOR && (v.y as i32).abs() <= MAX_VECTOR);
        }
    }
}
