//! Damage to bytes, by a generator that a printed number restarts.
#![allow(dead_code)] // each test file uses a part of it

/// Numerical Recipes' 64-bit LCG, upper bits.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % below.max(1)
    }

    /// Once in `n`.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.next(n) == 0
    }

    /// Small numbers, the ends of ranges, and anything.
    pub fn number(&mut self) -> u32 {
        match self.next(4) {
            0 => self.next(4) as u32,
            1 => (1u32 << self.next(32)).wrapping_sub(self.next(2) as u32),
            2 => u32::MAX - self.next(3) as u32,
            _ => (self.next(1 << 16) << 16 | self.next(1 << 16)) as u32,
        }
    }
}

/// What one change did to the length of the bytes, from where on.
pub struct Change {
    pub at: usize,
    pub longer: isize,
}

/// Changes `bytes` at a place in `within`: bits, bytes, integers; ranges removed, doubled, inserted or overwritten from `other`; the end cut.
pub fn change(r: &mut Random, bytes: &mut Vec<u8>, within: std::ops::Range<usize>, other: &[u8]) -> Change {
    let before = bytes.len();
    let at = (within.start + r.next(within.len())).min(before.saturating_sub(1));
    let left = before - at;
    if before > 0 {
        match r.next(10) {
            0..=2 => bytes[at] ^= 1 << r.next(8),
            3 => bytes[at] = r.next(256) as u8,
            4 => {
                let n = r.number().to_le_bytes();
                bytes[at..].iter_mut().zip(&n[..1 << r.next(3)]).for_each(|(b, n)| *b = *n);
            }
            5 => drop(bytes.drain(at..at + 1 + r.next(left.min(16)))),
            6 => {
                let copy = bytes[at..at + 1 + r.next(left.min(24))].to_vec();
                bytes.splice(at..at, copy);
            }
            7 => {
                let from = r.next(other.len());
                let n = r.next((other.len() - from).min(24));
                bytes.splice(at..at, other[from..from + n].iter().copied());
            }
            8 => {
                let from = r.next(other.len());
                let n = r.next((other.len() - from).min(left).min(64));
                bytes[at..at + n].copy_from_slice(&other[from..from + n]);
            }
            _ => bytes.truncate(before - r.next(left.min(32))),
        }
    }
    Change { at, longer: bytes.len() as isize - before as isize }
}
