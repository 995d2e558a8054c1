//! SCReAM, self-clocked rate adaptation for multimedia (RFC 8298): how many bytes may be on their way, and the bit rate that a
//! source should have. Names and constants are those of its section 4; where they differ it is said why.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const QDELAY_TARGET: f64 = 0.1;
const QDELAY_WEIGHT: f64 = 0.1;
const QDELAY_TREND_TH: f64 = 0.2;
/// Three packets in the RFC. Frames are not cut into packets here, and one is always let through.
const MIN_CWND: f64 = 3000.0;
/// 1.1 in the RFC. A frame, which goes out whole, may be all that is in flight: there must be room for another.
const MAX_BYTES_IN_FLIGHT_HEAD_ROOM: f64 = 2.2;
const GAIN: f64 = 1.0;
/// The same where the delay is above its target. 1 in the RFC, whose audience may wait longer than who steers a robot.
const GAIN_DOWN: f64 = 3.0;
const BETA_LOSS: f64 = 0.8;
const BETA_R: f64 = 0.9;
/// Where the network is congested no frame is spared so many seconds, or some wait far longer.
const STANDING: f64 = 0.08;
const TOO_LONG: f64 = 0.3;
const MSS: f64 = 1200.0;
const RATE_ADJUST_INTERVAL: Duration = Duration::from_millis(200);
/// Bit/s per second. 200 kbit/s in the RFC, for calls that begin at a few hundred; a robot's link varies by megabits.
const RAMP_UP_SPEED: f64 = 600_000.0;
/// 20 ms in the RFC; here the time between two frames at 20 a second.
const RTP_QDELAY_TH: f64 = 0.05;
/// Where the network is congested, the target falls to this share of what it carries, then waits for the effect: the rule of Google's congestion
/// control (draft-ietf-rmcat-gcc-02, section 5.5). The RFC's takes a twentieth of the target off every 200 ms, and with frames in place of
/// packets overshoots by half.
const BETA_DELAY: f64 = 0.85;
const PATIENCE: Duration = Duration::from_millis(600);
/// Falls within this time are one.
const EPISODE: Duration = Duration::from_secs(3);
const T_RESUME_FAST_INCREASE: Duration = Duration::from_secs(5);
/// Lowest delays of so many half minutes are the path's own.
const BASE_DELAY_SPAN: Duration = Duration::from_secs(30);

/// Bit rates that a source may be asked for, bit/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub least: f64,
    pub most: f64,
}

#[derive(Debug)]
pub(crate) struct Scream {
    range: Range,
    cwnd: f64,
    fast_increase: bool,
    left_fast_increase: Instant,
    qdelay: f64,
    qdelay_fraction_avg: f64,
    /// Every 50 ms, the newest last.
    qdelay_fractions: VecDeque<f64>,
    qdelay_trend: f64,
    qdelay_trend_mem: f64,
    sampled: Instant,
    /// The least of the span that runs and of the one before, in seconds of the difference of two clocks.
    base: (f64, f64),
    base_since: Instant,
    target: f64,
    last_max: f64,
    adjusted: Instant,
    /// Of this interval of adjustments and the one before.
    least: (Least, Least),
    lost: Option<Instant>,
    decreased: Option<Instant>,
    acked: Rate,
    sent: Rate,
    offered: Rate,
    in_flight_max: VecDeque<(Instant, f64)>,
}

/// The least that frames waited, in seconds: in the network's queues, and before it. What a burst out of an encoder builds up is gone again
/// between two frames; what never goes is congestion (as CoDel tells them apart, RFC 8289, section 3.2).
#[derive(Debug, Clone, Copy)]
struct Least {
    network: f64,
    here: f64,
}

impl Least {
    const NONE: Least = Least { network: f64::INFINITY, here: f64::INFINITY };

    fn and(self, other: Least) -> Least {
        Least { network: self.network.min(other.network), here: self.here.min(other.here) }
    }
}

/// Bytes in the last half second.
#[derive(Debug, Default)]
struct Rate(VecDeque<(Instant, usize)>);

impl Rate {
    const SPAN: Duration = Duration::from_millis(500);

    fn add(&mut self, now: Instant, bytes: usize) {
        self.0.push_back((now, bytes));
    }

    /// Bit/s.
    fn get(&mut self, now: Instant) -> f64 {
        while self.0.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > Self::SPAN) {
            self.0.pop_front();
        }
        8.0 * self.0.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>() / Self::SPAN.as_secs_f64()
    }
}

impl Scream {
    pub(crate) fn new(range: Range, now: Instant) -> Self {
        let target = (range.least * 2.0).max(range.most / 4.0).min(range.most);
        Self {
            range,
            cwnd: 10.0 * MSS,
            fast_increase: true,
            left_fast_increase: now,
            qdelay: 0.0,
            qdelay_fraction_avg: 0.0,
            qdelay_fractions: VecDeque::new(),
            qdelay_trend: 0.0,
            qdelay_trend_mem: 0.0,
            sampled: now,
            base: (f64::INFINITY, f64::INFINITY),
            base_since: now,
            target,
            last_max: target,
            adjusted: now,
            least: (Least::NONE, Least::NONE),
            lost: None,
            decreased: None,
            acked: Rate::default(),
            sent: Rate::default(),
            offered: Rate::default(),
            in_flight_max: VecDeque::new(),
        }
    }

    /// The bit rate that the source should have now, bit/s.
    pub(crate) fn target(&self) -> f64 {
        self.target
    }

    /// Of the last frame that arrived, in seconds: what the network's queues added.
    pub(crate) fn queue_delay(&self) -> f64 {
        self.qdelay
    }

    /// Whether a frame of so many bytes may go out while `in_flight` are on their way (section 4.1.1.1). One always may.
    pub(crate) fn permits(&self, size: usize, in_flight: usize) -> bool {
        let allowance = if self.qdelay > QDELAY_TARGET { self.cwnd } else { self.cwnd + MSS };
        in_flight == 0 || (in_flight + size) as f64 <= allowance.max(size as f64)
    }

    /// A frame came from the source.
    pub(crate) fn offered(&mut self, size: usize, now: Instant) {
        self.offered.add(now, size);
    }

    /// A frame went out after it waited so long, and so many bytes are on their way with it.
    pub(crate) fn sent(&mut self, size: usize, in_flight: usize, waited: Duration, now: Instant) {
        self.least.0.here = self.least.0.here.min(waited.as_secs_f64());
        self.sent.add(now, size);
        self.in_flight_max.push_back((now, in_flight as f64));
    }

    /// `bytes` arrived, the last of them `delay` seconds after they were sent, by two clocks that need not agree; `in_flight` are left
    /// (section 4.1.2.1).
    pub(crate) fn acknowledged(&mut self, bytes: usize, delay: f64, in_flight: usize, round_trip: Duration, now: Instant) {
        self.acked.add(now, bytes);
        self.delay(delay, now);
        let bytes = bytes as f64;
        let in_flight = in_flight as f64 + bytes;
        if !self.fast_increase
            && self.qdelay_trend < QDELAY_TREND_TH
            && now.saturating_duration_since(self.left_fast_increase) > T_RESUME_FAST_INCREASE
            && self.qdelay < QDELAY_TARGET / 4.0
        {
            self.fast_increase = true;
        }
        if self.fast_increase && self.qdelay_trend >= QDELAY_TREND_TH {
            self.leave_fast_increase(now);
        }
        if self.fast_increase {
            if 1.5 * in_flight + bytes > self.cwnd {
                self.cwnd += bytes;
            }
        } else {
            let off_target = (QDELAY_TARGET - self.qdelay) / QDELAY_TARGET;
            let gain = if off_target < 0.0 { GAIN_DOWN } else { GAIN };
            let delta = (gain * off_target * bytes * MSS / self.cwnd).max(-bytes / 2.0);
            if off_target < 0.0 || 1.25 * in_flight + bytes > self.cwnd {
                self.cwnd += delta;
            }
        }
        if self.qdelay > QDELAY_TARGET {
            // No more than the path holds at the rate at which frames arrive now, and the queue that is meant to be there. The RFC's step would
            // need seconds where a link shrinks to a quarter.
            let path = (round_trip.as_secs_f64() - self.qdelay).max(0.02) + QDELAY_TARGET;
            self.cwnd = self.cwnd.min(self.acked.get(now) / 8.0 * path);
        }
        let span = (5 * round_trip).max(Duration::from_secs(1));
        while self.in_flight_max.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > span) {
            self.in_flight_max.pop_front();
        }
        let most = self.in_flight_max.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max);
        if most > 0.0 {
            self.cwnd = self.cwnd.min((most * MAX_BYTES_IN_FLIGHT_HEAD_ROOM).max(10.0 * MSS));
        }
        self.cwnd = self.cwnd.max(MIN_CWND);
    }

    /// Frames are missing. Counts once a round trip.
    pub(crate) fn loss(&mut self, round_trip: Duration, now: Instant) {
        if self.lost.is_some_and(|last| now.saturating_duration_since(last) < round_trip) {
            return;
        }
        self.lost = Some(now);
        self.leave_fast_increase(now);
        self.cwnd = (self.cwnd * BETA_LOSS).max(MIN_CWND);
        self.remember_max(self.target, now);
        self.decreased = Some(now);
        self.target = (self.target * BETA_R).clamp(self.range.least, self.range.most);
    }

    /// Comes often; `waits`: how long the oldest frame has waited here (section 4.1.3). Returns whether the target moved.
    pub(crate) fn adjust(&mut self, waits: Duration, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.adjusted);
        if passed < RATE_ADJUST_INTERVAL {
            return false;
        }
        self.adjusted = now;
        let interval = passed.as_secs_f64().min(1.0);
        let before = self.target;
        let (sent, acked, offered) = (self.sent.get(now), self.acked.get(now), self.offered.get(now));
        let current = sent.max(acked);
        let least = self.least.0.and(self.least.1);
        self.least = (Least::NONE, self.least.0);
        let waited = waits.as_secs_f64();
        let or = |least: f64, last: f64| if least.is_finite() { least } else { last };
        let (qdelay, waits) = (or(least.network, self.qdelay), or(least.here, waited));
        let congested = qdelay + waits > STANDING || self.qdelay + waited > TOO_LONG;
        if congested && self.decreased.is_none_or(|last| now.saturating_duration_since(last) >= PATIENCE) {
            if acked > 0.0 {
                self.remember_max(acked, now);
                self.target = self.target.min(BETA_DELAY * acked);
            }
            self.decreased = Some(now);
        } else if qdelay < QDELAY_TARGET / 2.0 && waits < RTP_QDELAY_TH {
            let ramp = RAMP_UP_SPEED.min(self.target / 2.0);
            let scale = ((self.target - self.last_max) / self.last_max * 4.0).powi(2).clamp(0.2, 1.0);
            // A source that does not use what it may says nothing of the network.
            let limit = current.max(offered) * (2.0 - self.qdelay_trend_mem.min(1.0));
            self.target = (self.target + ramp * interval * scale).min(limit.max(self.target));
        }
        self.target = self.target.clamp(self.range.least, self.range.most);
        let bound = self.target == self.range.most || self.target == self.range.least;
        (self.target - before).abs() >= 0.02 * before || (bound && self.target != before)
    }

    fn leave_fast_increase(&mut self, now: Instant) {
        if self.fast_increase {
            self.fast_increase = false;
        }
        self.left_fast_increase = now;
    }

    /// The network carried `rate` when it was congested; near that the next rise is slow.
    fn remember_max(&mut self, rate: f64, now: Instant) {
        if self.decreased.is_none_or(|last| now.saturating_duration_since(last) > EPISODE) {
            self.last_max = self.target.min(rate);
        }
    }

    fn delay(&mut self, delay: f64, now: Instant) {
        if now.saturating_duration_since(self.base_since) > BASE_DELAY_SPAN {
            self.base = (f64::INFINITY, self.base.0);
            self.base_since = now;
        }
        self.base.0 = self.base.0.min(delay);
        self.qdelay = (delay - self.base.0.min(self.base.1)).max(0.0);
        self.least.0.network = self.least.0.network.min(self.qdelay);
        let fraction = (self.qdelay / QDELAY_TARGET).min(2.0);
        self.qdelay_fraction_avg += QDELAY_WEIGHT * (fraction - self.qdelay_fraction_avg);
        if now.saturating_duration_since(self.sampled) < Duration::from_millis(50) {
            return;
        }
        self.sampled = now;
        self.qdelay_fractions.push_back(fraction);
        if self.qdelay_fractions.len() > 20 {
            self.qdelay_fractions.pop_front();
        }
        // Section 4.1.2.2: the autocorrelation of the fractions tells a trend from noise.
        let mean = self.qdelay_fractions.iter().sum::<f64>() / self.qdelay_fractions.len() as f64;
        let centred: Vec<f64> = self.qdelay_fractions.iter().map(|f| f - mean).collect();
        let r0: f64 = centred.iter().map(|f| f * f).sum();
        let r1: f64 = centred.windows(2).map(|w| w[0] * w[1]).sum();
        let a = if r0 > 0.0 { (r1 / r0).max(0.0) } else { 0.0 };
        self.qdelay_trend = (a * self.qdelay_fraction_avg).clamp(0.0, 1.0);
        self.qdelay_trend_mem = (0.98 * self.qdelay_trend_mem).max(self.qdelay_trend);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that obeys at 30 frames a second, which stands still for the first `stalls` ms of each second and then gives what it owes, a link of `rate(seconds)` bit/s with a queue before it and 25 ms each way, a second long.
    /// Returns (time, bit rate carried, longest wait before and in the link) once a second.
    fn play(rate: impl Fn(f64) -> f64, seconds: usize, most: f64, stalls: usize) -> Vec<(f64, f64, f64)> {
        let start = Instant::now();
        let at = |t: f64| start + Duration::from_secs_f64(t);
        let mut s = Scream::new(Range { least: 100e3, most }, start);
        let mut waiting: VecDeque<(f64, usize)> = VecDeque::new();
        // On the link: leaves at, size. On its way back: heard at, size, delay.
        let mut link: VecDeque<(f64, usize, f64, f64)> = VecDeque::new();
        let mut acks: VecDeque<(f64, usize, f64)> = VecDeque::new();
        let (mut free, mut out) = (0.0f64, Vec::new());
        let (mut carried, mut worst, mut owed) = (0.0, 0.0f64, 0);
        for ms in 0..1000 * seconds {
            let t = ms as f64 / 1000.0;
            owed += usize::from(ms % 33 == 0);
            for _ in 0..if ms % 1000 >= stalls { std::mem::take(&mut owed) } else { 0 } {
                let size = (s.target() / 30.0 / 8.0) as usize;
                s.offered(size, at(t));
                // As the publisher's queue does.
                if waiting.front().is_none_or(|(came, _)| t - came < 0.15) {
                    waiting.push_back((t, size));
                }
            }
            while link.front().is_some_and(|(leaves, ..)| *leaves <= t) {
                let (leaves, size, sent, came) = link.pop_front().unwrap();
                carried += 8.0 * size as f64;
                acks.push_back((leaves + 0.05, size, leaves - sent));
                worst = worst.max(leaves - came);
            }
            while acks.front().is_some_and(|(heard, ..)| *heard <= t) {
                let (_, size, delay) = acks.pop_front().unwrap();
                let in_flight = link.iter().map(|x| x.1).chain(acks.iter().map(|x| x.1)).sum();
                s.acknowledged(size, delay + 1000.0, in_flight, Duration::from_millis(50), at(t));
            }
            while let Some(&(came, size)) = waiting.front() {
                let in_flight: usize = link.iter().map(|x| x.1).chain(acks.iter().map(|x| x.1)).sum();
                if !s.permits(size, in_flight) {
                    break;
                }
                waiting.pop_front();
                s.sent(size, in_flight + size, Duration::from_secs_f64(t - came), at(t));
                free = free.max(t) + 8.0 * size as f64 / rate(t);
                link.push_back((free, size, t, came));
            }
            s.adjust(waiting.front().map_or(Duration::ZERO, |(came, _)| Duration::from_secs_f64(t - came)), at(t));
            if ms % 1000 == 999 {
                out.push((t, carried, worst));
                (carried, worst) = (0.0, 0.0);
            }
        }
        out
    }

    #[test]
    fn it_follows_a_link_that_shrinks_and_grows() {
        let rate = |t: f64| if (30.0..60.0).contains(&t) { 1e6 } else { 4e6 };
        let play = play(rate, 90, 20e6, 0);
        for (from, link) in [(20, 4e6), (50, 1e6), (80, 4e6)] {
            let mean = play[from..from + 10].iter().map(|p| p.1).sum::<f64>() / 10.0;
            assert!(mean >= 0.8 * link, "{from}: {mean}\n{play:?}");
        }
        for (t, _, delay) in &play[32..] {
            assert!(*delay <= 0.35, "{delay} at {t}\n{play:?}");
        }
    }

    /// It does not look like a network that is full.
    #[test]
    fn an_encoder_that_stumbles() {
        let play = play(|_| 4e6, 60, 20e6, 250);
        let mean = play[30..].iter().map(|p| p.1).sum::<f64>() / 30.0;
        assert!(mean >= 0.6 * 4e6, "{mean}\n{play:?}");
    }

    #[test]
    fn it_never_asks_for_more_than_it_may() {
        let play = play(|_| 50e6, 20, 3e6, 0);
        assert!(play.iter().all(|p| p.1 <= 3.3e6), "{play:?}");
        assert!(play[15..].iter().all(|p| p.1 >= 2.7e6), "{play:?}");
    }

    #[test]
    fn losses_halve_it_in_a_few_round_trips() {
        let now = Instant::now();
        let mut s = Scream::new(Range { least: 1e5, most: 4e6 }, now);
        let (before, trip) = (s.target(), Duration::from_millis(50));
        (0..7).for_each(|i| s.loss(trip, now + i * trip));
        assert!(s.target() < 0.5 * before);
        (0..100).for_each(|i| s.loss(trip, now + (7 + i) * trip));
        assert_eq!(s.target(), 1e5);
    }
}
