//! Residual block: depthwise 3x3, 1x1 up, leaky ReLU, 1x1 down, added to the stream.

use super::{Around, Lane, Matrix, Out, Rows};
use crate::parallel::Shared;
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

    /// Factor from the stream to bytes, in 1/32768.
    pub fn entry(&self) -> i16 {
        self.entry
    }

    /// Its layers: depthwise, up, down.
    pub fn layers(&self) -> (&Around, &Matrix, &Matrix) {
        (&self.around, &self.up, &self.down)
    }

    /// The stream's rows as this block takes them.
    pub fn enter(&self, level: Level, stream: &[i16], out: &mut [L]) {
        L::enter(level, self.entry, stream, out);
    }

    /// The rows from `from` on, as many as `stream` has. `x`: what [`enter`](Block::enter) gave, and a row of zero; `next`: the block behind
    /// this one and what it takes of these rows.
    ///
    /// # Safety
    /// Nobody writes the rows of `x` around these meanwhile.
    pub(crate) unsafe fn apply(
        &self,
        level: Level,
        rows: &Rows,
        from: usize,
        x: Shared<L>,
        stream: &mut [i16],
        mut next: Option<(&Block<L>, &mut [L])>,
    ) {
        let (c, e) = (self.channels(), self.up.outputs());
        let (mut a, mut b) = (vec![L::ZERO; TILE * c], vec![L::ZERO; TILE * e]);
        for (i, stream) in stream.chunks_mut(TILE * c).enumerate() {
            let n = stream.len() / c;
            let (a, b) = (&mut a[..n * c], &mut b[..n * e]);
            // SAFETY: the caller's.
            unsafe { self.around.apply(level, rows, x, from + i * TILE, a) };
            self.up.apply(level, L::given(a), L::leaky(b));
            self.down.apply(level, L::given(b), Out::Add(stream));
            if let Some((block, out)) = &mut next {
                block.enter(level, stream, &mut out[i * TILE * c..][..n * c]);
            }
        }
    }
}
