//! Residual block: depthwise 3x3, 1x1 up, leaky ReLU, 1x1 down, added to the stream.

use super::{Around, Lane, Matrix, Out, Rows};
use crate::parallel::{cut, each, shares};
use crate::{Level, linear::BadWeights};
use std::marker::PhantomData;

/// One block. The stream is int16; what goes in and stays between its layers, `L`.
#[derive(Clone, Debug)]
pub struct Block<L> {
    /// Factor from the stream to bytes, in 1/32768.
    entry: i16,
    around: Around,
    up: Matrix,
    down: Matrix,
    lane: PhantomData<L>,
}

/// Rows that pass through all layers of a block together, so that what is between them stays in the nearest cache.
const TILE: usize = 48;

impl<L: Lane> Block<L> {
    pub fn new(entry: i16, around: Around, up: Matrix, down: Matrix) -> Result<Block<L>, BadWeights> {
        let (c, wide) = (around.channels(), L::FAR > 255);
        if up.inputs() != c || down.inputs() != up.outputs() || down.outputs() != c || up.wide != wide || down.wide != wide || entry < 1 {
            return Err(BadWeights("shape"));
        }
        Ok(Block { entry, around, up, down, lane: PhantomData })
    }

    pub fn channels(&self) -> usize {
        self.around.channels()
    }

    /// The stream's rows as this block takes them.
    pub fn enter(&self, level: Level, stream: &[i16], out: &mut [L]) {
        L::enter(level, self.entry, stream, out);
    }

    /// Rows 0..`n`. `x`: what [`enter`](Block::enter) gave, and a row of zero; `next`: the block behind this one and what it takes.
    #[allow(clippy::too_many_arguments)]
    pub fn apply(
        &self,
        level: Level,
        threads: usize,
        rows: &Rows,
        n: usize,
        x: &[L],
        stream: &mut [i16],
        next: Option<(&Block<L>, &mut [L])>,
    ) {
        let c = self.channels();
        let parts = shares(n, threads, TILE);
        let sizes = || parts.iter().map(|p| p.len() * c);
        let (block, out) = next.unzip();
        let mut out = out.map(|out| cut(out, sizes())).into_iter().flatten();
        let work = parts.iter().zip(cut(stream, sizes())).map(|(part, stream)| (part.start, stream, block.zip(out.next())));
        each(work.collect(), |(from, stream, next)| self.tiles(level, rows, from, x, stream, next));
    }

    fn tiles(&self, level: Level, rows: &Rows, from: usize, x: &[L], stream: &mut [i16], mut next: Option<(&Block<L>, &mut [L])>) {
        let (c, e) = (self.channels(), self.up.outputs());
        let (mut a, mut b) = (vec![L::ZERO; TILE * c], vec![L::ZERO; TILE * e]);
        for (i, stream) in stream.chunks_mut(TILE * c).enumerate() {
            let n = stream.len() / c;
            let (a, b) = (&mut a[..n * c], &mut b[..n * e]);
            self.around.apply(level, rows, x, from + i * TILE, a);
            self.up.apply(level, L::given(a), L::leaky(b));
            self.down.apply(level, L::given(b), Out::Add(stream));
            if let Some((block, out)) = &mut next {
                block.enter(level, stream, &mut out[i * TILE * c..][..n * c]);
            }
        }
    }
}
