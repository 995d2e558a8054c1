//! Merges requests that come too fast; none is lost, the last ones are only answered together.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Throttle {
    gap: Duration,
    last: Option<Instant>,
    waiting: u32,
}

impl Throttle {
    /// At most one answer per `gap`.
    pub(crate) fn new(gap: Duration) -> Self {
        Self { gap, last: None, waiting: 0 }
    }

    pub(crate) fn ask(&mut self) {
        self.waiting = self.waiting.saturating_add(1);
    }

    /// How many requests are answered now, if it is time to answer any.
    pub(crate) fn answer(&mut self, now: Instant) -> Option<u32> {
        let free = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.gap);
        if self.waiting == 0 || !free {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_but_never_loses() {
        let gap = Duration::from_millis(500);
        let start = Instant::now();
        let mut throttle = Throttle::new(gap);
        assert_eq!(throttle.answer(start), None);
        throttle.ask();
        assert_eq!(throttle.answer(start), Some(1));
        throttle.ask();
        throttle.ask();
        assert_eq!(throttle.answer(start + gap / 2), None);
        assert_eq!(throttle.answer(start + gap), Some(2));
        assert_eq!(throttle.answer(start + gap * 9), None);
    }
}
