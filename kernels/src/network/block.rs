//! Residual block: depthwise 3x3, 1x1 up, leaky ReLU, 1x1 down, added to the stream.

use super::matrix::In;
use super::{Around, Matrix, Out, Rows, ZERO, shares};
use crate::{Level, linear::BadWeights};

/// One block. The stream is int16, what goes in and stays between its layers bytes.
#[derive(Clone, Debug)]
pub struct Block {
    /// Factor from the stream to bytes, in 1/32768.
    entry: i16,
    around: Around,
    up: Matrix,
    down: Matrix,
}

/// Rows that pass through all layers of a block together, so that what is between them stays in the nearest cache.
const TILE: usize = 48;

impl Block {
    pub fn new(entry: i16, around: Around, up: Matrix, down: Matrix) -> Result<Block, BadWeights> {
        let c = around.channels();
        if up.inputs() != c || down.inputs() != up.outputs() || down.outputs() != c || up.wide || down.wide || entry < 1 {
            return Err(BadWeights("shape"));
        }
        Ok(Block { entry, around, up, down })
    }

    pub fn channels(&self) -> usize {
        self.around.channels()
    }

    /// The stream's rows as this block takes them.
    pub fn enter(&self, level: Level, stream: &[i16], out: &mut [u8]) {
        assert_eq!(stream.len(), out.len());
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is given only where the processor has the instructions.
            Level::Vnni => unsafe { super::x86::enter_512(self.entry, stream, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { super::x86::enter_256(self.entry, stream, out) },
            _ => enter(self.entry, stream, out),
        }
    }

    /// Rows 0..`n`. `x`: what [`enter`](Block::enter) gave, and a row of [`ZERO`]; `next`: the block behind this one and what it takes.
    #[allow(clippy::too_many_arguments)]
    pub fn apply(
        &self,
        level: Level,
        threads: usize,
        rows: &Rows,
        n: usize,
        x: &[u8],
        stream: &mut [i16],
        mut next: Option<(&Block, &mut [u8])>,
    ) {
        let c = self.channels();
        let mut stream = &mut stream[..n * c];
        let mut parts = Vec::new();
        for part in shares(n, threads, TILE) {
            let (here, rest) = stream.split_at_mut(part.len() * c);
            stream = rest;
            let into = next.take().map(|(b, out)| {
                let (here, rest) = out.split_at_mut(part.len() * c);
                next = Some((b, rest));
                (b, here)
            });
            parts.push((part, here, into));
        }
        let run = |(part, stream, next): (std::ops::Range<usize>, &mut [i16], Option<(&Block, &mut [u8])>)| {
            self.tiles(level, rows, part.start, x, stream, next)
        };
        std::thread::scope(|s| {
            let here = parts.pop();
            for part in parts {
                s.spawn(move || run(part));
            }
            here.into_iter().for_each(run);
        });
    }

    fn tiles(&self, level: Level, rows: &Rows, from: usize, x: &[u8], stream: &mut [i16], mut next: Option<(&Block, &mut [u8])>) {
        let (c, e) = (self.channels(), self.up.outputs());
        let (mut a, mut b) = (vec![0; TILE * c], vec![0; TILE * e]);
        for (i, stream) in stream.chunks_mut(TILE * c).enumerate() {
            let n = stream.len() / c;
            let (a, b) = (&mut a[..n * c], &mut b[..n * e]);
            self.around.apply(level, rows, x, from + i * TILE, a);
            self.up.apply(level, In::Bytes(a), Out::Leaky(b));
            self.down.apply(level, In::Bytes(b), Out::Add(stream));
            if let Some((block, out)) = &mut next {
                block.enter(level, stream, &mut out[i * TILE * c..][..n * c]);
            }
        }
    }
}

#[inline(always)]
pub(crate) fn enter(entry: i16, stream: &[i16], out: &mut [u8]) {
    for (o, &s) in out.iter_mut().zip(stream) {
        let v = (s as i32 * entry as i32 + 0x4000) >> 15;
        *o = (v.clamp(-128, 127) + ZERO as i32) as u8;
    }
}
