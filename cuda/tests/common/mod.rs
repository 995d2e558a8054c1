//! Every kernel on random cases against the function of the CPU that it is a twin of; on whatever machine.
#![allow(dead_code)] // each user takes a part

pub mod entropy;
pub mod motion;
pub mod networks;
pub mod pack;
pub mod pictures;
pub mod prior;

use std::sync::Arc;

pub type Machine = Arc<dyn lic_cuda::Machine>;

/// What failed first.
pub type Outcome = Result<usize, String>;

/// Random numbers below a bound.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    /// From -n to n.
    pub fn around(&mut self, n: i32) -> i32 {
        self.below(2 * n as usize + 1) as i32 - n
    }
}

/// Where two differ first.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &[T], expected: &[T]) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{what}: {} values where {} are expected", got.len(), expected.len()));
    }
    let wrong = got.iter().zip(expected).filter(|(g, e)| g != e).count();
    match got.iter().zip(expected).position(|(g, e)| g != e) {
        None => Ok(()),
        Some(i) => Err(format!("{what}: value {i} of {} is {:?} and should be {:?} ({wrong} differ)", got.len(), got[i], expected[i])),
    }
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

pub fn said(e: lic_cuda::Error) -> String {
    e.to_string()
}
