//! Work shared between threads: those of the rayon pool that the caller runs in.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

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

/// `run(stage, band)` for all of them, on the pool's threads. A band's stage begins when the stage before is done with it and with the `near`
/// bands on each side, not with all: threads hardly ever wait, and are not called anew for every stage.
pub(crate) fn stages(threads: usize, stages: usize, bands: usize, near: usize, run: impl Fn(usize, usize) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done: Vec<AtomicUsize> = (0..bands).map(|_| AtomicUsize::new(0)).collect();
    // Taken in order, the oldest part that is not done needs nothing that is not: however few threads come, the work goes on.
    let worker = |_| {
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            let (stage, band) = (part / bands, part % bands);
            if stage >= stages {
                return;
            }
            let needed = &done[band.saturating_sub(near)..band.saturating_add(near).saturating_add(1).min(bands)];
            let mut tries = 0;
            while needed.iter().any(|d| d.load(Ordering::Acquire) < stage) {
                if failed.load(Ordering::Relaxed) {
                    return;
                }
                // The other thread is mostly about to be done; if it lost its processor, that may take long.
                match tries {
                    0..100 => std::hint::spin_loop(),
                    100..200 => std::thread::yield_now(),
                    _ => std::thread::sleep(Duration::from_micros(50)),
                }
                tries += 1;
            }
            let unfinished = Unfinished(&failed);
            run(stage, band);
            std::mem::forget(unfinished);
            done[band].store(stage + 1, Ordering::Release);
        }
    };
    each((0..threads.min(bands)).collect(), worker);
}

/// Tells the other threads when one panics.
struct Unfinished<'a>(&'a AtomicBool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A slice of which threads read and write different parts at a time.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    first: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out nothing but by unsafe functions.
unsafe impl<T: Send + Sync> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Shared<'a, T> {
        Shared { first: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    pub fn len(self) -> usize {
        self.len
    }

    /// To read from.
    pub fn first(self) -> *const T {
        self.first
    }

    /// # Safety
    /// Nobody else reads or writes these values while the result lives.
    pub unsafe fn part(self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within the slice; the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn stages_begin_when_what_they_need_is_done() {
        for (threads, bands, near) in [(1, 1, 1), (1, 5, 1), (3, 4, 1), (4, 9, 1), (2, 6, usize::MAX)] {
            let log = Mutex::new(Vec::new());
            stages(threads, 4, bands, near, |stage, band| log.lock().unwrap().push((stage, band)));
            let log = log.into_inner().unwrap();
            assert_eq!(log.len(), 4 * bands);
            for (i, &(stage, band)) in log.iter().enumerate().filter(|(_, (stage, _))| *stage > 0) {
                for b in (0..bands).filter(|b| b.abs_diff(band) <= near) {
                    assert!(log[..i].contains(&(stage - 1, b)));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "of its own")]
    fn a_panic_ends_all() {
        stages(3, 5, 6, 1, |stage, band| assert!((stage, band) != (2, 3), "of its own"));
    }
}
