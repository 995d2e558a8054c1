//! Buffers that a thread keeps from one run to the next: fresh memory has to be cleared by the system and again by us.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// Buffers that are kept at most, of each type: what one run needs at a time.
const KEPT: usize = 3;

/// What buffers are made of.
pub trait Scratch: Copy + Default + 'static {
    fn kept() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>>;
}

macro_rules! scratch {
    ($($t:ty),*) => {$(
        impl Scratch for $t {
            fn kept() -> &'static LocalKey<RefCell<Vec<Vec<$t>>>> {
                thread_local!(static KEPT: RefCell<Vec<Vec<$t>>> = const { RefCell::new(Vec::new()) });
                &KEPT
            }
        }
    )*};
}
scratch!(u8, i16);

/// `n` values of some earlier run: whoever reads one has written it.
pub(super) struct Buffer<T: Scratch>(Vec<T>);

impl<T: Scratch> Buffer<T> {
    pub fn new(n: usize) -> Buffer<T> {
        let mut values = T::kept().with_borrow_mut(Vec::pop).unwrap_or_default();
        // No more than twice what is needed stays after a large picture.
        if values.capacity() > 2 * n + (1 << 16) {
            values = Vec::new();
        }
        values.resize(n, T::default());
        Buffer(values)
    }
}

impl<T: Scratch> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        // While the thread ends there may be nothing to keep them.
        let _ = T::kept().try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT {
                kept.push(values);
            }
        });
    }
}

impl<T: Scratch> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Scratch> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
