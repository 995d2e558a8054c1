//! What is missing, late or double in a stream, told from its sequence numbers.

use std::ops::RangeInclusive;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    InOrder,
    /// In order after these were skipped.
    Gap(RangeInclusive<u64>),
    /// From before the newest one, not seen until now: too late for a live stream.
    Late,
    Duplicate,
}

#[derive(Debug, Default)]
pub(crate) struct Tracker {
    next: Option<u64>,
    first: Option<u64>,
    /// Bit n: `next - 1 - n` was seen.
    seen: u64,
}

impl Tracker {
    /// The highest number that arrived.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.next.map(|next| next - 1)
    }

    /// Bit n: `newest - n` arrived, or was sent before the first that did.
    pub(crate) fn arrived(&self) -> u64 {
        let before = match (self.newest(), self.first) {
            (Some(newest), Some(first)) => u64::MAX.checked_shl((newest - first + 1).min(64) as u32).unwrap_or(0),
            _ => 0,
        };
        self.seen | before
    }

    pub(crate) fn arrive(&mut self, sequence: u64) -> Arrival {
        let Some(next) = self.next else {
            self.next = Some(sequence.saturating_add(1));
            self.first = Some(sequence);
            self.seen = 1;
            return Arrival::InOrder;
        };
        if sequence >= next {
            let ahead = sequence - next;
            self.next = Some(sequence.saturating_add(1));
            self.seen = if ahead < 63 { self.seen << (ahead + 1) | 1 } else { 1 };
            return if ahead == 0 { Arrival::InOrder } else { Arrival::Gap(next..=sequence - 1) };
        }
        let back = next - 1 - sequence;
        if back < 64 {
            let bit = 1 << back;
            if self.seen & bit != 0 {
                return Arrival::Duplicate;
            }
            self.seen |= bit;
        }
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_gaps_duplicates_and_late_ones() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.arrive(10), Arrival::InOrder);
        assert_eq!(tracker.arrive(11), Arrival::InOrder);
        assert_eq!(tracker.arrive(11), Arrival::Duplicate);
        assert_eq!(tracker.arrive(14), Arrival::Gap(12..=13));
        assert_eq!(tracker.arrive(13), Arrival::Late);
        assert_eq!(tracker.arrive(13), Arrival::Duplicate);
        assert_eq!(tracker.arrive(10), Arrival::Duplicate);
        assert_eq!(tracker.arrive(9), Arrival::Late);
        assert_eq!(tracker.arrive(15), Arrival::InOrder);
        assert_eq!(tracker.arrive(1015), Arrival::Gap(16..=1014));
        assert_eq!(tracker.arrive(15), Arrival::Late);
        assert_eq!(tracker.arrive(1014), Arrival::Late);
    }

    #[test]
    fn a_late_frame_right_at_the_window_is_late_once() {
        let mut tracker = Tracker::default();
        tracker.arrive(0);
        tracker.arrive(63);
        assert_eq!(tracker.arrive(0), Arrival::Duplicate);
        tracker.arrive(64);
        assert_eq!(tracker.arrive(1), Arrival::Late);
        assert_eq!(tracker.arrive(1), Arrival::Duplicate);
    }

    #[test]
    fn what_was_sent_before_the_first_is_not_missing() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.arrived(), 0);
        tracker.arrive(10);
        assert_eq!((tracker.newest(), tracker.arrived()), (Some(10), u64::MAX));
        tracker.arrive(13);
        assert_eq!(tracker.arrived(), u64::MAX - 0b110);
        tracker.arrive(12);
        assert_eq!(tracker.arrived(), u64::MAX - 0b100);
        tracker.arrive(100);
        assert_eq!(tracker.arrived(), 1);
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.arrive(u64::MAX), Arrival::InOrder);
        tracker.arrive(u64::MAX);
        assert_eq!(tracker.arrive(0), Arrival::Late);
        let mut tracker = Tracker::default();
        tracker.arrive(0);
        assert_eq!(tracker.arrive(u64::MAX), Arrival::Gap(1..=u64::MAX - 1));
        tracker.arrive(u64::MAX);
    }
}
