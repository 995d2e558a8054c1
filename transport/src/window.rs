//! What a receiver holds of a stream's last frames: which arrived, and which of those can be decoded.

use std::collections::VecDeque;

use crate::frame::FrameInfo;
use crate::sequence::Tracker;
use crate::wire::ACKNOWLEDGED;

#[derive(Debug)]
struct Kept {
    sequence: u64,
    number: Option<u32>,
    /// It stands alone, or a receiver may begin there.
    start: bool,
    references: Vec<u32>,
    whole: bool,
}

/// The newest frames that were kept, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Window {
    kept: VecDeque<Kept>,
}

impl Window {
    /// A frame arrived in time, perhaps after ones that refer to it.
    pub(crate) fn keep(&mut self, sequence: u64, info: &FrameInfo) {
        let at = self.kept.partition_point(|kept| kept.sequence < sequence);
        let start = info.key || info.recovery || !info.delta;
        let kept = Kept { sequence, number: info.number, start, references: info.references.clone(), whole: false };
        self.kept.insert(at, kept);
        if self.kept.len() as u64 > ACKNOWLEDGED {
            self.kept.pop_front();
        }
        // Few, and each refers to few: what came late may make all behind it whole.
        for i in at.min(self.kept.len() - 1)..self.kept.len() {
            self.kept[i].whole = self.judge(&self.kept[i], i);
        }
    }

    fn judge(&self, frame: &Kept, at: usize) -> bool {
        let held = |number: &u32| self.kept.range(..at).rev().find(|kept| kept.number == Some(*number)).is_some_and(|kept| kept.whole);
        // Without numbers nobody can tell.
        frame.start || frame.number.is_none() || frame.references.iter().all(held) || frame.whole
    }

    /// A frame was kept and then dropped unseen.
    pub(crate) fn drop(&mut self, sequence: u64) {
        self.kept.retain(|kept| kept.sequence != sequence);
    }

    /// Bit n: frame `newest - n` can be decoded.
    pub(crate) fn whole(&self, tracker: &Tracker) -> u64 {
        let Some(newest) = tracker.newest() else { return 0 };
        let bit = |kept: &Kept| newest.checked_sub(kept.sequence).filter(|back| kept.whole && *back < 64).map_or(0, |back| 1 << back);
        self.kept.iter().map(bit).fold(0, |bits, bit| bits | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u32, references: &[u32]) -> FrameInfo {
        let key = references.is_empty();
        FrameInfo { key, delta: !key, number: Some(number), references: references.to_vec(), ..Default::default() }
    }

    /// Frames by sequence number and what they refer to, in the order of their arrival; the bits of what is whole.
    fn after(frames: &[(u64, &[u32])]) -> u64 {
        let (mut window, mut tracker) = (Window::default(), Tracker::default());
        for (sequence, references) in frames {
            tracker.arrive(*sequence);
            window.keep(*sequence, &frame(*sequence as u32, references));
        }
        window.whole(&tracker)
    }

    #[test]
    fn what_refers_to_a_missing_frame_is_not_whole_until_that_comes() {
        assert_eq!(after(&[(0, &[]), (1, &[0]), (2, &[1])]), 0b111);
        assert_eq!(after(&[(0, &[]), (2, &[1]), (3, &[2]), (4, &[0])]), 0b10001);
        assert_eq!(after(&[(0, &[]), (2, &[1]), (3, &[2]), (4, &[0]), (1, &[0])]), 0b11111);
        assert_eq!(after(&[(7, &[6]), (8, &[])]), 0b01);
    }

    #[test]
    fn far_frames_are_forgotten_but_not_what_they_meant() {
        let (mut window, mut tracker) = (Window::default(), Tracker::default());
        for n in 0..200u32 {
            tracker.arrive(n.into());
            window.keep(n.into(), &frame(n, if n == 0 { &[] } else { std::slice::from_ref(&n) }.iter().map(|n| n - 1).collect::<Vec<_>>().as_slice()));
        }
        assert_eq!(window.whole(&tracker), u64::MAX);
        window.drop(198);
        assert_eq!(window.whole(&tracker), u64::MAX - 2);
    }
}
