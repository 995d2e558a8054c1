//! What was tried in vain and has not changed since is not tried again: static scenes of much detail cost little that way.
//! The early termination of EPZS (Tourapis, VCIP 2002), by the block's own past, for vectors and for the choice to copy.

use super::Plan;

/// Of each position in the newest frame; empty: nothing is known.
#[derive(Default)]
pub(in crate::encoder) struct Calm {
    /// Error of copying, in what a bit is worth, at which copying was the best there was.
    copied: Vec<f32>,
    /// Sum of absolute differences that a full search left at the zero vector; 0: it moved.
    left: Vec<u32>,
    frame: u32,
}

/// What may be worse before all is tried again.
const WORSE: f32 = 1.05;
/// All is tried again after so many frames, a part of the blocks in each.
const AGAIN: u32 = 16;

impl Calm {
    /// The next frame.
    pub fn next(&mut self, positions: usize) {
        self.copied.resize(positions, 0.0);
        self.left.resize(positions, 0);
        self.frame = self.frame.wrapping_add(1);
        let turn = |p: usize| (p as u32).wrapping_mul(0x9e37_79b1) >> 16;
        for p in (0..positions).filter(|&p| turn(p).wrapping_add(self.frame).is_multiple_of(AGAIN)) {
            (self.copied[p], self.left[p]) = (0.0, 0);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.copied.clear();
        self.left.clear();
    }

    /// Whether this difference at the zero vector is what a search would leave.
    pub fn still(&self, p: usize, difference: u32) -> bool {
        self.left.get(p).is_some_and(|&l| difference as f32 <= WORSE * l as f32)
    }

    pub fn left(&self, p: usize) -> u32 {
        self.left[p]
    }

    /// Whether copying is the best there is at this error, in what a bit is worth.
    pub fn copies(&self, p: usize, error: f32) -> bool {
        self.copied.get(p).is_some_and(|&c| error <= WORSE * c)
    }

    /// A frame was coded by a plan; `copied`: its map.
    pub fn learn(&mut self, plan: &Plan, copied: &[bool]) {
        self.left.clone_from(&plan.left);
        self.copied.resize(copied.len(), 0.0);
        for (p, c) in self.copied.iter_mut().enumerate() {
            match (copied[p], plan.candidates[p]) {
                (true, true) => *c = plan.copy_error[p] / plan.bit,
                (true, false) => {}
                (false, _) => *c = 0.0,
            }
        }
    }
}
