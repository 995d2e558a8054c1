//! Where a sender's time stamps lie on the receiver's clock.
//!
//! The first frame is placed at its arrival, later ones as far from it as the sender says: jitter of the network does not
//! move them. Two clocks never run alike, so the whole line slides by tiny steps towards the least delayed frames.

/// More than any drift or jitter: the line starts anew. Nanoseconds.
const RESYNC: i64 = 1_000_000_000;
/// How long the least delay is looked for before the line slides. Nanoseconds.
const WINDOW: u64 = 1_000_000_000;
/// The longest step a window slides the line: 1 ms/s covers any clock and no eye sees it.
const STEP: i64 = 1_000_000;

/// A frame's place on the receiver's clock, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub pts: u64,
    pub dts: Option<u64>,
    /// The line was laid anew: time stamps before and after it are not comparable.
    pub resync: bool,
}

/// Maps one sender's time stamps; see the module's text.
#[derive(Debug, Default)]
pub struct Timeline {
    offset: Option<i64>,
    last_delay: i64,
    window_start: u64,
    least_delay: Option<i64>,
}

impl Timeline {
    /// Forgets the sender.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Places a frame that arrived at `arrival` on the receiver's clock. Without a time stamp it lies at its arrival.
    /// `jump`: the sender says that its own time line jumps here.
    pub fn place(&mut self, pts: Option<u64>, dts: Option<u64>, arrival: u64, jump: bool) -> Placed {
        let now = signed(arrival);
        let Some(sent) = dts.or(pts).map(signed) else {
            return Placed { pts: arrival, dts: None, resync: false };
        };
        let delay = self.offset.map(|offset| now.saturating_sub(sent.saturating_add(offset)));
        let resync = match delay {
            None => true,
            // Late frames are late until a whole window is: a stalled network comes back, and so do they.
            Some(delay) if delay > RESYNC => jump || self.window_is_late(arrival, delay),
            // A sender that is faster than time, a file's, runs ahead step by step; only a leap starts anew.
            Some(delay) if delay < -RESYNC => jump || delay.saturating_sub(self.last_delay) < -RESYNC,
            Some(_) => false,
        };
        if resync {
            self.offset = Some(now.saturating_sub(sent));
            self.last_delay = 0;
            self.start_window(arrival);
        } else if let (Some(delay), Some(offset)) = (delay, self.offset.as_mut()) {
            self.last_delay = delay;
            let least = self.least_delay.map_or(delay, |least| least.min(delay));
            self.least_delay = Some(least);
            if arrival.saturating_sub(self.window_start) >= WINDOW {
                if least.saturating_abs() <= RESYNC {
                    *offset = offset.saturating_add((least / 4).clamp(-STEP, STEP));
                }
                self.start_window(arrival);
            }
        }
        let offset = self.offset.unwrap_or_default();
        let map = |time: u64| signed(time).saturating_add(offset).max(0) as u64;
        Placed { pts: pts.map_or(arrival, map), dts: dts.map(map), resync }
    }

    fn window_is_late(&self, arrival: u64, delay: i64) -> bool {
        arrival.saturating_sub(self.window_start) >= WINDOW && self.least_delay.unwrap_or(delay) > RESYNC
    }

    fn start_window(&mut self, arrival: u64) {
        self.window_start = arrival;
        self.least_delay = None;
    }
}

/// 292 years are enough; a hostile time stamp is cut there.
fn signed(time: u64) -> i64 {
    time.min(i64::MAX as u64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const S: u64 = 1000 * MS;

    #[test]
    fn a_late_joiner_starts_now_and_keeps_the_senders_pace() {
        let mut line = Timeline::default();
        let first = line.place(Some(500 * S), None, 3 * S, false);
        assert_eq!(first, Placed { pts: 3 * S, dts: None, resync: true });
        let second = line.place(Some(500 * S + 33 * MS), None, 3 * S + 50 * MS, false);
        assert_eq!(second, Placed { pts: 3 * S + 33 * MS, dts: None, resync: false });
        assert_eq!(line.place(Some(500 * S + 66 * MS), None, 3 * S + 51 * MS, false).pts, 3 * S + 66 * MS);
    }

    #[test]
    fn a_leap_starts_anew() {
        let mut line = Timeline::default();
        line.place(Some(0), None, S, false);
        let ahead = line.place(Some(10 * S), None, S + 40 * MS, false);
        assert_eq!(ahead, Placed { pts: S + 40 * MS, dts: None, resync: true });
        let told = line.place(Some(0), None, S + 80 * MS, true);
        assert_eq!(told, Placed { pts: S + 80 * MS, dts: None, resync: true });
    }

    #[test]
    fn after_a_stall_the_stream_is_where_it_was() {
        let mut line = Timeline::default();
        for frame in 0..400 {
            let sent = frame * 33 * MS;
            // Everything of seconds 3 to 6 arrives at 6.
            let arrival = if (3 * S..6 * S).contains(&sent) { 6 * S + frame } else { sent };
            let placed = line.place(Some(sent), None, arrival, false);
            assert_eq!((placed.pts, placed.resync), (sent, frame == 0));
        }
    }

    #[test]
    fn a_sender_that_stays_late_is_followed() {
        let mut line = Timeline::default();
        line.place(Some(0), None, 0, false);
        let resyncs = (1..100).filter(|frame| line.place(Some(frame * 33 * MS), None, frame * 33 * MS + 2 * S, false).resync);
        assert_eq!(resyncs.count(), 1);
        assert_eq!(line.place(Some(100 * 33 * MS), None, 100 * 33 * MS + 2 * S, false).pts, 100 * 33 * MS + 2 * S);
    }

    #[test]
    fn a_sender_faster_than_time_keeps_its_pace() {
        let mut line = Timeline::default();
        for frame in 0..1000 {
            let placed = line.place(Some(frame * 33 * MS), None, S + frame * MS, false);
            assert_eq!((placed.pts, placed.resync), (S + frame * 33 * MS, frame == 0));
        }
    }

    #[test]
    fn frames_out_of_order_keep_their_distance() {
        let mut line = Timeline::default();
        let key = line.place(Some(80 * MS), Some(0), S, false);
        assert_eq!((key.pts, key.dts), (S + 80 * MS, Some(S)));
        let b = line.place(Some(40 * MS), Some(40 * MS), S + 40 * MS, false);
        assert_eq!((b.pts, b.dts), (S + 40 * MS, Some(S + 40 * MS)));
    }

    #[test]
    fn a_clock_that_runs_slower_is_followed() {
        // 100 ppm for an hour: 360 ms without correction.
        let mut line = Timeline::default();
        let mut worst = 0;
        for frame in 0..36_000u64 {
            let sent = frame * 100 * MS;
            let arrival = S + sent + sent / 10_000 + (frame % 5) * MS;
            let placed = line.place(Some(sent), None, arrival, false);
            assert!(frame == 0 || !placed.resync);
            worst = worst.max(arrival.abs_diff(placed.pts));
        }
        assert!(worst < 8 * MS, "{worst}");
    }

    #[test]
    fn no_time_stamp_means_arrival_and_extremes_do_not_overflow() {
        let mut line = Timeline::default();
        assert_eq!(line.place(None, None, 7, false).pts, 7);
        line.place(Some(u64::MAX), Some(0), u64::MAX, false);
        line.place(Some(0), Some(u64::MAX), 0, false);
        line.place(Some(u64::MAX), None, 0, false);
    }
}
