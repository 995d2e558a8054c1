//! Rotating refresh: instead of key frames, every frame codes a band of rows anew, and after a cycle of them the whole picture has been.
//! Rows above the band are predicted from rows above it alone, so who begins with a cycle's first frame ends up with the same picture as
//! everybody else (codec/BITSTREAM.md, section "Refresh").

use std::ops::Range;

/// The cycle that runs, and whether another one is wanted.
#[derive(Default)]
pub(super) struct Refresh {
    cycle: Option<Cycle>,
    asked: bool,
}

struct Cycle {
    first: u32,
    /// In frames.
    length: u32,
    /// Somebody waits for it.
    asked: bool,
    /// Hyper rows that depend on nothing before the cycle.
    clean: usize,
    /// The newest frame that cleaned some.
    grown: u32,
}

/// What a frame of a cycle codes anew, in hyper rows; those above are clean. It may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Band {
    pub rows: Range<usize>,
    /// The first of a cycle: a recovery point.
    pub first: bool,
}

impl Refresh {
    /// The next frame begins a cycle, unless one runs that was asked for: that would never end if everybody who joins began it anew.
    /// Then the one after it is theirs.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether somebody waits for a cycle to begin.
    pub fn asked(&self) -> bool {
        self.asked
    }

    /// A key frame ends a cycle.
    pub fn key(&mut self) {
        *self = Refresh::default();
    }

    /// The band of frame `number`, predicted from `reference`, of a picture of `all` hyper rows; None between two cycles.
    pub fn next(&mut self, length: u32, all: usize, number: u32, reference: u32) -> Option<Band> {
        if length == 0 {
            self.key();
            return None;
        }
        let runs = self.cycle.as_ref().is_some_and(|c| {
            let whole = c.clean == all;
            // If a frame of the cycle is gone, what it cleaned is not to be had: older frames will do only once all rows were clean in them.
            let since = |n: u32| n.wrapping_sub(c.first);
            let intact = reference == number.wrapping_sub(1) || whole && (since(c.grown)..c.length).contains(&since(reference));
            number.wrapping_sub(c.first) < c.length && intact && !(self.asked && (whole || !c.asked))
        });
        if !runs {
            self.cycle = Some(Cycle { first: number, length, asked: std::mem::take(&mut self.asked), clean: 0, grown: number });
        }
        let c = self.cycle.as_ref()?;
        let done = number.wrapping_sub(c.first) as u64 + 1;
        let end = (done * all as u64).div_ceil(c.length as u64) as usize;
        (c.clean < all).then(|| Band { rows: c.clean..end.max(c.clean), first: done == 1 })
    }

    /// Frame `number` of the cycle is coded, and so many rows are clean in it.
    pub fn coded(&mut self, number: u32, clean: usize) {
        if let Some(c) = self.cycle.as_mut().filter(|c| c.clean != clean) {
            (c.clean, c.grown) = (clean, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bands of `frames` frames from number 10 on, without losses.
    fn run(r: &mut Refresh, from: u32, frames: u32, length: u32, all: usize) -> Vec<Option<(Range<usize>, bool)>> {
        let mut one = |n: u32| {
            let band = r.next(length, all, n, n.wrapping_sub(1))?;
            r.coded(n, band.rows.end);
            Some((band.rows, band.first))
        };
        (from..from + frames).map(&mut one).collect()
    }

    #[test]
    fn a_cycle_covers_every_row_once_and_the_next_begins_after_it() {
        for (length, all) in [(1, 1), (1, 9), (3, 15), (7, 15), (15, 15), (30, 15), (31, 4), (4, 5)] {
            let bands = run(&mut Refresh::default(), 10, 3 * length, length, all);
            for cycle in bands.chunks(length as usize) {
                let rows: Vec<usize> = cycle.iter().flatten().flat_map(|b| b.0.clone()).collect();
                assert_eq!(rows, (0..all).collect::<Vec<_>>(), "{length} frames, {all} rows");
                let (first, rest) = cycle.split_first().unwrap();
                assert!(first.as_ref().is_some_and(|b| b.1 && !b.0.is_empty()) && !rest.iter().flatten().any(|b| b.1));
            }
        }
    }

    #[test]
    fn a_lost_frame_begins_the_cycle_anew() {
        let mut r = Refresh::default();
        run(&mut r, 0, 4, 8, 8);
        assert_eq!(r.next(8, 8, 4, 2), Some(Band { rows: 0..1, first: true }));
        // Of these frame 6 cleans the last rows: from then on it will do as well.
        for (reference, first) in [(7, None), (6, None), (5, Some(true)), (u32::MAX, Some(true))] {
            let mut r = Refresh::default();
            run(&mut r, 0, 8, 9, 4);
            assert_eq!(r.next(9, 4, 8, reference).map(|b| b.first), first, "{reference}");
        }
    }

    #[test]
    fn who_asks_gets_a_cycle_and_does_not_end_that_of_another() {
        let mut r = Refresh::default();
        run(&mut r, 0, 3, 6, 6);
        r.ask();
        assert_eq!(run(&mut r, 3, 2, 6, 6), [Some((0..1, true)), Some((1..2, false))]);
        r.ask();
        let bands = run(&mut r, 5, 5, 6, 6);
        assert_eq!(bands.iter().map(|b| b.as_ref().unwrap().1).collect::<Vec<_>>(), [false, false, false, false, true]);
        r.key();
        assert_eq!(r.next(0, 6, 10, 9), None);
    }
}
