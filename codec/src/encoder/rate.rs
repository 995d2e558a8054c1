//! Constant bit rate: no second of capture time holds more than [`PEAK`] times the target. Where the target changes within it, each frame
//! counts by its share of the one it was made for.
//!
//! Two buckets, as in x264 (doc/ratecontrol.txt: average bit rate beside VBV, which is the hypothetical reference decoder of ITU-T H.264,
//! Annex C). One leaks at the target and says what frames should take on average. The other is the strict one: what was sent in the last
//! second, frame by frame. Every window of a second ends with some frame, so if no frame makes the second that ends with it too full, no
//! window is. A model of bytes by step, log-linear, learns from each frame; [`fit`](super::fit) codes a frame again if it was wrong.

use std::collections::VecDeque;

/// Bytes of any second, as a multiple of the target's.
const PEAK: f64 = 1.1;
/// What frames plan to stay below, so that an ordinary one too large needs no second attempt.
const PLANNED_PEAK: f64 = 1.1;
/// The same for the second that ends with a key frame that is due: those right after it need room too.
const KEY_PEAK: f64 = 1.04;
/// Steps that double the bytes, about.
const STEPS_PER_OCTAVE: f32 = 15.0;
/// Ordinary frames whose bytes a key frame may take, and its share of a second at least, whatever the frame rate.
const KEY_FRAMES: f64 = 12.0;
const KEY_SHARE: f64 = 0.25;
/// Share of what is free in its second that a key frame may take in any case.
const KEY_OF_FREE: f64 = 0.6;
/// Share of the target that a large frame leaves to those after it.
const LEFT: f64 = 0.25;
/// Seconds of the target by which frames may be behind it and still catch up. More is not made up for: what was still for long
/// gains nothing from it.
const CREDIT: f64 = 0.5;
/// Seconds in which a difference from the target is made good.
const HORIZON: f64 = 1.0;
/// Seconds for which nothing is planned: there single frames' luck decides, and what they may take at most.
const SOON: f64 = 0.25;
/// Steps by which frames of steady content differ from the one before, at most: coarser and finer.
const COARSER: f32 = 2.5;
const FINER: f32 = 1.0;
const FINER_MOST: f32 = 3.0;
/// Share of a difference in steps that one frame makes good all the same.
const CATCH_UP: f32 = 0.25;
/// Steps by which the frame after a key frame may be finer than that.
const ABOVE_KEY: f32 = 10.0;
/// What saves as much as about so many steps comes in one portion below step 0: see [`Rung`](super::fit::Rung).
pub(super) const STEPS_BELOW: f32 = 8.0;
const SECOND: u64 = 1_000_000_000;

/// Bytes of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Budget {
    /// What it should take.
    pub aim: f32,
    /// What it may take.
    pub most: f32,
}

/// Chooses the step of each frame.
pub(super) struct Rate {
    /// Bytes a second; 0: none.
    target: f64,
    /// Nanoseconds from frame to frame: by the stream's frame rate, else as last seen.
    nominal: Option<u64>,
    interval: u64,
    /// Capture time of the frame that comes, and intervals of the last second's frames.
    now: Option<u64>,
    /// Capture times and bytes of what was sent in the second before.
    sent: VecDeque<(u64, f64)>,
    /// Bytes above the target.
    debt: f64,
    /// log2 of the bytes that a frame would take at step 0, for key and other frames.
    level: [Option<f32>; 2],
    /// Step of the last frame that was none.
    step: Option<f32>,
    pixels: f32,
    /// Bytes of the smallest frame: as much room is always left.
    least: f64,
}

impl Rate {
    /// `fps`: None where frames come as they like.
    pub fn new(kbits: u32, fps: Option<f64>, pixels: f32) -> Rate {
        let nominal = fps.map(|f| (SECOND as f64 / f).round() as u64);
        Rate {
            target: kbits as f64 * 125.0,
            nominal,
            interval: nominal.unwrap_or(SECOND / 30),
            now: None,
            sent: VecDeque::new(),
            debt: 0.0,
            level: [None; 2],
            step: None,
            pixels,
            least: 0.0,
        }
    }

    /// `least`: bytes of the smallest key frame.
    pub fn set_target(&mut self, kbits: u32, least: usize) {
        let target = kbits as f64 * 125.0;
        if target != self.target {
            self.debt = 0.0;
            if target > 0.0 && self.target > 0.0 {
                // A frame counts by its share of the target it was made for. By its bytes, a target that falls would leave nothing to the
                // frames of the next second, and one that rises would give them all that the lower one had spared.
                self.sent.iter_mut().for_each(|s| s.1 *= target / self.target);
            }
        }
        (self.target, self.least) = (target, least as f64);
    }

    pub fn is_constant(&self) -> bool {
        self.target > 0.0
    }

    /// A frame comes, captured at a time in nanoseconds if that is known. Time that goes backwards counts as one more interval.
    pub fn arrive(&mut self, time: Option<u64>) {
        let Some(last) = self.now else {
            self.now = Some(time.unwrap_or(0));
            return;
        };
        let now = time.filter(|t| *t >= last).unwrap_or(last + self.interval);
        if self.nominal.is_none() && (1..10 * SECOND).contains(&(now - last)) {
            self.interval = now - last;
        }
        self.debt = (self.debt - self.target * seconds(now - last)).max(-CREDIT * self.target);
        while self.sent.front().is_some_and(|s| now - s.0 >= SECOND) {
            self.sent.pop_front();
        }
        self.now = Some(now);
    }

    /// Bytes for the frame that came. `key_in`: frames until a key frame is due, None if none is ever; `period`: frames from key frame to
    /// key frame, or 0.
    pub fn budget(&self, key: bool, key_in: Option<u32>, period: u32) -> Budget {
        let dt = seconds(self.interval);
        let next_key = key_in.filter(|n| *n > 0 && !key).map(|n| (n as u64 * self.interval, self.key_share(period)));
        let next_key = next_key.filter(|k| k.0 < SECOND);
        let room = self.room(next_key);
        // Where every frame is one, none may live on the others.
        let aim = if key && period != 1 {
            let free = PLANNED_PEAK * self.target - self.used();
            let of_free = if self.sent.is_empty() { 0.0 } else { KEY_OF_FREE * free };
            free.min(self.key_share(period).max(of_free))
        } else {
            // Frames at irregular times share a second with more others than their rate says; where that counts, each takes less.
            let shared = (1.0 / self.shortest()).ceil().max(1.0);
            (self.rate(next_key) * dt).min(PLANNED_PEAK * self.target / shared).max(0.1 * self.target * dt.min(1.0))
        };
        Budget { aim: aim.clamp(1.0, room.max(1.0)) as f32, most: room.max(1.0) as f32 }
    }

    /// The second that ends now, less what comes.
    fn used(&self) -> f64 {
        self.sent.iter().map(|s| s.1).sum()
    }

    /// Bytes sent that lie in one second with what comes after a time, in nanoseconds from now.
    fn used_after(&self, time: u64) -> f64 {
        let now = self.now.unwrap_or(0);
        // Half an interval: that time is a guess.
        self.sent.iter().filter(|s| s.0 + SECOND > now + time + self.interval / 2).map(|s| s.1).sum()
    }

    /// The most that the frame may take: every second that it is in stays below the peak, and leaves something to the frames after it,
    /// and the next key frame if one is due in that second.
    fn room(&self, next_key: Option<(u64, f64)>) -> f64 {
        let now = self.now.unwrap_or(0);
        let peak = PEAK * self.target;
        let most = peak - self.used();
        let dt = seconds(self.interval);
        let left = |until: f64| self.least + LEFT * self.target * (until - dt).max(0.0);
        let mut since = 0.0;
        let mut room = peak - left(1.0);
        for &(time, bytes) in self.sent.iter().rev() {
            since += bytes;
            room = room.min(peak - since - left(seconds(time + SECOND - now)));
        }
        if let Some((until, bytes)) = next_key {
            room = room.min((peak - self.used_after(until) - bytes - left(seconds(until))).max(LEFT * self.target * dt));
        }
        // What is left for others is theirs unless this one could not be sent at all.
        room.max(self.least).min(most)
    }

    /// Bytes a second for frames from now on: the target, less what was too much, and not so many that a later one would find no room.
    fn rate(&self, next_key: Option<(u64, f64)>) -> f64 {
        let now = self.now.unwrap_or(0);
        let mut rate = self.target - self.debt / HORIZON;
        let mut since = 0.0;
        for &(time, bytes) in self.sent.iter().rev() {
            since += bytes;
            let until = seconds(time + SECOND - now);
            if until >= SOON {
                rate = rate.min((PLANNED_PEAK * self.target - since) / until);
            }
        }
        if let Some((until, bytes)) = next_key {
            rate = rate.min((KEY_PEAK * self.target - bytes - self.used_after(until)) / seconds(until));
        }
        rate
    }

    /// Bytes of a key frame if there is room. The seconds around it hold as much less, and where key frames are due, those between have to
    /// make up for that within the peak.
    fn key_share(&self, period: u32) -> f64 {
        let dt = seconds(self.interval);
        let frames = (1.0 / dt).max(1.0);
        let share = (KEY_FRAMES / (KEY_FRAMES - 1.0 + frames)).max(KEY_SHARE);
        let every = period as f64 * dt;
        let spare = (PLANNED_PEAK + KEY_PEAK) / 2.0 - 1.0;
        let most = match () {
            _ if self.sent.is_empty() && self.debt == 0.0 || period == 0 => 1.0,
            _ if every <= 1.0 => every * KEY_FRAMES / (KEY_FRAMES - 1.0 + period as f64),
            _ if every < 2.0 => spare * every / (every - 1.0),
            _ => spare * every,
        };
        share.min(most) * self.target
    }

    /// The shortest time between two frames of the last second, in seconds.
    fn shortest(&self) -> f64 {
        let times = self.sent.iter().map(|s| s.0);
        let next = times.clone().skip(1).chain(self.now);
        let least = times.zip(next).map(|(a, b)| b - a).min().unwrap_or(self.interval).min(self.interval);
        // Rounded times of a constant rate are constant.
        seconds(least.max(1)) + 1e-6
    }

    /// Bytes that a frame at a step is expected to take. Steps here go on below zero, where bytes are saved by other means.
    pub fn expected(&self, key: bool, step: f32) -> f32 {
        (self.level(key) + step / STEPS_PER_OCTAVE).exp2()
    }

    fn level(&self, key: bool) -> f32 {
        // Before anything is known: a hundredth of a byte a pixel at the coarsest step, and between key frames a sixth of theirs.
        let first = || self.level[1].unwrap_or((self.pixels * 0.01).log2());
        self.level[key as usize].unwrap_or_else(|| if key { first() } else { first() - 2.6 })
    }

    /// Step for a frame of about `bytes`.
    pub fn step_for(&self, key: bool, bytes: f32) -> f32 {
        (bytes.max(1.0).log2() - self.level(key)) * STEPS_PER_OCTAVE
    }

    /// Steps between two sizes of a frame.
    pub fn steps_between(from: f32, to: f32) -> f32 {
        (to.max(1.0) / from.max(1.0)).log2() * STEPS_PER_OCTAVE
    }

    /// Step at which a frame begins: for its budget, and near the step of the last one.
    pub fn step(&self, key: bool, budget: Budget) -> f32 {
        let step = self.step_for(key, budget.aim);
        let Some(last) = self.step.filter(|_| !key) else { return step };
        // Below zero steps come in larger portions.
        let least = if last < 0.0 { STEPS_BELOW } else { FINER };
        let finer = ((step - last) * CATCH_UP).min(FINER_MOST).max(least);
        // Steady it is only as long as it fits.
        step.clamp(last - COARSER.max(least).max((last - step) * CATCH_UP), last + finer).min(self.step_for(key, 0.9 * budget.most))
    }

    /// A frame's bytes at a step, whether or not it is sent.
    pub fn learn(&mut self, key: bool, step: f32, bytes: f32) {
        let seen = bytes.max(1.0).log2() - step / STEPS_PER_OCTAVE;
        let level = &mut self.level[key as usize];
        *level = Some(level.map_or(seen, |l| match seen - l {
            more if more > 1.0 || key => l + 0.6 * more,
            // By the bytes and not their logarithm: so it is right on average.
            off => l + 0.25 * (off.exp2() - 1.0) / std::f32::consts::LN_2,
        }));
    }

    /// The frame that came is sent, coded at a step.
    pub fn sent(&mut self, key: bool, step: f32, bytes: usize) {
        // Much finer than the key frame they would first have to make up for what that one lacks: quality rises from there step by step.
        self.step = Some(if key { self.step.map_or(step, |s| s.min(step + ABOVE_KEY)) } else { step });
        self.debt += bytes as f64;
        self.sent.push_back((self.now.unwrap_or(0), bytes as f64));
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames whose bytes follow the model but for a factor of chance, at irregular times: no second is too full.
    #[test]
    fn no_second_holds_more_than_the_peak() {
        for (seed, fps) in [(1u32, 1u64), (2, 2), (3, 7), (4, 15), (5, 30), (6, 60), (7, 24)] {
            let mut x = seed;
            let mut chance = || {
                x = x.wrapping_mul(1664525).wrapping_add(1013904223);
                (x >> 8) as f64 / (1u32 << 24) as f64
            };
            let mut rate = Rate::new(400, (seed % 2 == 0).then_some(fps as f64), 1e5);
            rate.set_target(400, 150);
            let (mut time, mut all) = (0u64, Vec::new());
            for n in 0..400 {
                time += (SECOND / fps) * (50 + (chance() * 100.0) as u64) / 100;
                let key = n % 60 == 0 || chance() < 0.03;
                rate.arrive(Some(time));
                let budget = rate.budget(key, Some(60 - n % 60), 60);
                let bytes = (budget.aim as f64 * 4f64.powf(chance() * 2.0 - 1.0)).min(budget.most as f64).floor();
                rate.sent(key, 30.0, bytes as usize);
                all.push((time, bytes));
            }
            for (i, &(end, _)) in all.iter().enumerate() {
                let window: f64 = all[..=i].iter().filter(|f| end - f.0 < SECOND).map(|f| f.1).sum();
                assert!(window <= PEAK * 50_000.0, "{fps}/s: {window} bytes in the second that ends with frame {i}");
            }
        }
    }

    /// Nothing but key frames: each gets the same.
    #[test]
    fn key_frames_alone_are_alike() {
        let mut rate = Rate::new(400, Some(30.0), 1e5);
        rate.set_target(400, 150);
        for n in 0..90u64 {
            rate.arrive(Some(n * SECOND / 30));
            let aim = rate.budget(true, Some(60), 1).aim as f64;
            let share = aim / (50_000.0 / 30.0);
            assert!((0.8..1.2).contains(&share), "frame {n}: {share}");
            rate.sent(true, 30.0, aim as usize);
        }
    }

    /// Each frame gets what the target of its time has for it, from the first one on.
    #[test]
    fn a_target_that_changes() {
        let mut rate = Rate::new(400, Some(30.0), 1e5);
        for n in 0..120u64 {
            let target: u32 = [400, 100, 400, 1600][n as usize / 30];
            rate.set_target(target, 150);
            rate.arrive(Some(n * SECOND / 30));
            let aim = rate.budget(n == 0, None, 0).aim as f64;
            if n > 30 {
                let share = aim / (target as f64 * 125.0 / 30.0);
                assert!((0.7..1.3).contains(&share), "frame {n}: {share}");
            }
            rate.sent(n == 0, 30.0, aim as usize);
        }
    }

    /// With frames as planned the mean is the target, whatever the frame rate and the distance of key frames.
    #[test]
    fn the_mean_is_the_target() {
        for (fps, period) in [(1.0, 60), (2.0, 60), (5.0, 20), (10.0, 60), (15.0, 60), (30.0, 30), (30.0, 60), (60.0, 60), (30.0, 0)] {
            let mut rate = Rate::new(400, Some(fps), 1e5);
            rate.set_target(400, 150);
            let (mut bytes, frames) = (0.0, (fps * 60.0) as u32);
            for n in 0..frames {
                rate.arrive(Some((n as f64 * SECOND as f64 / fps) as u64));
                let (key, left) = if period > 0 { (n % period == 0, Some(period - n % period)) } else { (n == 0, None) };
                let budget = rate.budget(key, left, period);
                rate.sent(key, 30.0, budget.aim as usize);
                bytes += budget.aim as f64;
            }
            let mean = bytes / (frames as f64 / fps) / 50_000.0;
            assert!((0.97..1.03).contains(&mean), "{fps}/s, a key frame in {period}: {mean}");
        }
    }
}
