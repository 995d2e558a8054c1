//! Work shared between threads: those of the rayon pool that the caller runs in.

use rayon::prelude::*;
use std::ops::Range;

/// `run` on each part, on the pool's threads; alone on the caller's if there is one part. A caller outside of any pool uses rayon's global one.
pub fn each<P: Send>(mut parts: Vec<P>, run: impl Fn(P) + Send + Sync) {
    match parts.len() {
        0 | 1 => parts.pop().into_iter().for_each(run),
        _ => parts.into_par_iter().with_max_len(1).for_each(run),
    }
}

/// Half-open parts of 0..n, about equal and in multiples of `unit`, for up to `threads` threads.
pub(crate) fn shares(n: usize, threads: usize, unit: usize) -> Vec<Range<usize>> {
    let units = n.div_ceil(unit);
    let parts = threads.min(units).max(1);
    (0..parts).map(|i| i * units / parts * unit..((i + 1) * units / parts * unit).min(n)).collect()
}

/// The first `sizes` values of `data`, each piece for itself.
pub(crate) fn cut<T>(mut data: &mut [T], sizes: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    let next = |n| {
        let (piece, rest) = std::mem::take(&mut data).split_at_mut(n);
        data = rest;
        piece
    };
    sizes.into_iter().map(next).collect()
}
