//! Rate control: what a frame may take, and at which step that will be.
//!
//! A leaky bucket keeps the mean, as the buffer model of H.264 (ITU-T H.264, annex C) and x264's `vbv` do; beside it the bits of the last second are
//! counted by capture time, so that no window of one second, wherever it begins, holds more than [`OVERSHOOT`] times the target. A model of bits
//! by step, learnt from every frame, says which step to try.

use std::collections::VecDeque;
use std::time::Duration;

/// Steps that halve the bits, about: the start of the model.
const STEPS_PER_OCTAVE: f32 = 14.0;
/// Of the target: what a window of one second may hold.
pub(super) const OVERSHOOT: f32 = 1.1;
/// Of the target: what is left for frames that do not even fit at the coarsest step, and take a little all the same.
const FOR_NOTHING: f32 = 0.02;
/// Of what is left in the window: what a frame may take. The frames after it in the window need something too.
const SHARE_KEY: f32 = 0.7;
const SHARE: f32 = 0.5;
/// Of the target: the rate at which what was not used is caught up with.
const CATCH_UP: f32 = 1.03;
/// Steps by which a frame may be finer or coarser than the last of its sort, unless it would not fit: quality must not pump.
const FINER: f32 = 2.0;
const COARSER: f32 = 4.0;

/// Bits that a frame may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Budget {
    pub aim: f32,
    /// Never more.
    pub most: f32,
}

/// Chooses the step of each frame.
pub(super) struct Rate {
    /// Bits a second; 0: no limit.
    target: f32,
    /// Seconds from frame to frame, lately.
    period: f32,
    /// Bits in the bucket above what was drained; it drains at the target rate.
    full: f32,
    /// Capture time and bits of the frames of the last second.
    window: VecDeque<(f64, f32)>,
    now: Option<f64>,
    /// log2 of the bits that a frame would take at step 0, for other and key frames.
    level: [Option<f32>; 2],
    /// Steps of the last frames of both sorts.
    last: [Option<u8>; 2],
    pixels: f32,
}

impl Rate {
    /// `kbits` a second, 0 for no limit.
    pub fn new(kbits: u32, fps: f32, pixels: f32) -> Rate {
        Rate {
            target: kbits as f32 * 1000.0,
            period: 1.0 / fps,
            full: 0.0,
            window: VecDeque::new(),
            now: None,
            level: [None; 2],
            last: [None; 2],
            pixels,
        }
    }

    pub fn set_target(&mut self, kbits: u32) {
        self.target = kbits as f32 * 1000.0;
    }

    /// The next frame's capture time, if it is known; else it comes as expected.
    pub fn begin(&mut self, time: Option<Duration>) {
        let expected = self.now.map_or(0.0, |n| n + self.period as f64);
        let time = time.map_or(expected, |t| t.as_secs_f64());
        let passed = match self.now {
            // Time that goes back belongs to another clock.
            Some(now) if time <= now => {
                let back = time - expected;
                self.window.iter_mut().for_each(|w| w.0 += back);
                self.period
            }
            Some(now) => (time - now) as f32,
            None => 0.0,
        };
        if passed > 0.0 {
            let passed = passed.min(1.0);
            self.period += 0.2 * (passed - self.period);
            self.full = (self.full - self.target * passed).max(-0.5 * self.target);
        }
        self.now = Some(time);
        // A window of one second does not hold both its ends; clocks count in nanoseconds.
        while self.window.front().is_some_and(|w| w.0 <= time - 0.999_999_9) {
            self.window.pop_front();
        }
    }

    /// What the frame may take; `cap`: bits that it never may exceed, whatever the rate.
    pub fn budget(&self, key: bool, cap: Option<f32>) -> Budget {
        let cap = cap.unwrap_or(f32::INFINITY);
        if self.target == 0.0 {
            return Budget { aim: 0.95 * cap, most: cap };
        }
        let frame = self.target * self.period.min(1.0);
        let left = (OVERSHOOT - FOR_NOTHING) * self.target - self.window.iter().map(|w| w.1).sum::<f32>();
        // Of few frames in a second each needs more of what is left; one alone may fill it.
        let share = (1.15 * self.period / (OVERSHOOT - 1.0 + self.period)).clamp(if key { SHARE_KEY } else { SHARE }, 1.0);
        // The bucket holds half a second, or a frame; a frame aims at leaving it a quarter full.
        let bucket = (0.5 * self.target).max(1.05 * frame) - self.full;
        let room = bucket.max(0.25 * frame).min(share * left).min(cap).max(0.0);
        let aim = if key && self.period < 0.9 {
            0.7 * room
        } else {
            // More would have to be taken back when it is found in the window a second later, and again.
            let back = (0.15 * self.target - self.full) / (0.6 / self.period).max(2.0);
            (frame + back).clamp(0.2 * frame, CATCH_UP * frame)
        };
        Budget { aim: aim.min(0.95 * room), most: room }
    }

    /// Whether frames of this sort were seen.
    pub fn knows(&self, key: bool) -> bool {
        self.level[key as usize].is_some()
    }

    /// Step for a frame of about `bits`.
    pub fn step(&self, key: bool, bits: f32, ceiling: u8) -> u8 {
        // Before anything is known: a tenth of a bit a pixel at the coarsest step, a fifth of that between key frames.
        let level = self.level[key as usize].unwrap_or((self.pixels * if key { 0.08 } else { 0.03 }).log2());
        let step = (bits.max(1.0).log2() - level) * STEPS_PER_OCTAVE;
        let step = match self.last[key as usize] {
            // Much that was not used may be caught up with sooner.
            Some(last) => step.clamp(last as f32 - COARSER, last as f32 + if self.full < 0.0 { COARSER } else { FINER }),
            None => step,
        };
        step.clamp(0.0, ceiling as f32) as u8
    }

    /// A frame's bits at a step, whether or not it is sent.
    pub fn learn(&mut self, key: bool, step: u8, bits: f32) {
        let seen = bits.max(1.0).log2() - step as f32 / STEPS_PER_OCTAVE;
        let level = &mut self.level[key as usize];
        *level = Some(level.map_or(seen, |l| 0.4 * l + 0.6 * seen));
    }

    /// A frame is sent.
    pub fn sent(&mut self, key: bool, step: u8, bits: f32) {
        self.last[key as usize] = Some(step);
        if self.target > 0.0 {
            self.full += bits;
            self.window.push_back((self.now.unwrap_or_default(), bits));
        }
    }
}

/// Steps to try for one frame: down until it fits, up again if it then wastes what it may take.
pub(super) struct Search {
    budget: Budget,
    ceiling: u8,
    /// The finest step that fits and the coarsest that does not.
    fits: Option<u8>,
    over: Option<u8>,
    tries: u32,
}

/// What to do after a try.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Try(u8),
    /// The finest that was tried and fits.
    Take,
    /// Not even step 0 fits.
    Starve,
}

impl Search {
    /// Frames tried at most at one step each, before what fits is taken.
    const MOST: u32 = 6;

    pub fn new(budget: Budget, ceiling: u8) -> Search {
        Search { budget, ceiling, fits: None, over: None, tries: 0 }
    }

    /// A frame took `bits` at a step.
    pub fn saw(&mut self, step: u8, bits: f32, key: bool) -> Next {
        self.tries += 1;
        // Where bits / aim lies on the curve that the model has, from this point on.
        let towards = |aim: f32| step as f32 + (aim.max(1.0) / bits.max(1.0)).log2() * STEPS_PER_OCTAVE;
        if bits > self.budget.most {
            self.over = Some(self.over.map_or(step, |o| o.min(step)));
            if step == 0 {
                return if self.fits.is_some() { Next::Take } else { Next::Starve };
            }
            let low = self.fits.map_or(0, |f| f + 1);
            if self.fits.is_some() && (low >= step || self.tries >= Self::MOST) {
                return Next::Take;
            }
            let next = if self.tries + 2 >= Self::MOST { low as f32 } else { towards(self.budget.aim) };
            return Next::Try((next.max(0.0) as u8).clamp(low, step - 1));
        }
        self.fits = Some(self.fits.map_or(step, |f| f.max(step)));
        let high = self.over.map_or(self.ceiling, |o| o - 1);
        // A frame that had to come down far, and key frames, on which others live.
        let wasteful = bits < if self.over.is_some() { 0.6 } else { 0.5 } * self.budget.aim.min(self.budget.most);
        if !(wasteful && (key || self.over.is_some())) || step >= high || self.tries >= Self::MOST - 2 {
            return Next::Take;
        }
        Next::Try((towards(self.budget.aim) as u8).clamp(step + 1, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of `complexity` times 2^(step / 14) bits, a key frame every `gop`; bits by time.
    fn run(kbits: u32, times: &[f64], gop: usize, cap: Option<f32>, complexity: impl Fn(usize, bool) -> f32) -> Vec<(f64, f32, u8)> {
        let mut rate = Rate::new(kbits, 30.0, 640.0 * 480.0);
        let mut out = vec![];
        for (i, &t) in times.iter().enumerate() {
            let key = i % gop == 0;
            rate.begin(Some(Duration::from_secs_f64(t)));
            let budget = rate.budget(key, cap);
            let mut search = Search::new(budget, 63);
            let (mut step, mut fits) = (rate.step(key, budget.aim, 63), None);
            let (step, bits) = loop {
                let bits = complexity(i, key) * (step as f32 / 14.0).exp2();
                rate.learn(key, step, bits);
                let next = search.saw(step, bits, key);
                if bits <= budget.most && fits.is_none_or(|f: (u8, f32)| f.0 <= step) {
                    fits = Some((step, bits));
                }
                match next {
                    Next::Try(s) => step = s,
                    Next::Take => break fits.expect("something fits"),
                    // As good as nothing: what an encoder can always do.
                    Next::Starve => break (0, 160.0),
                }
            };
            rate.sent(key, step, bits);
            out.push((t, bits, step));
        }
        out
    }

    fn worst_window(frames: &[(f64, f32, u8)]) -> f32 {
        let sum = |from: f64| frames.iter().filter(|f| f.0 >= from && f.0 < from + 0.999_999_8).map(|f| f.1).sum::<f32>();
        frames.iter().map(|f| sum(f.0)).fold(0.0, f32::max)
    }

    #[test]
    fn no_second_holds_more() {
        let mut s = 1u32;
        let mut r = move || {
            s = s.wrapping_mul(1664525).wrapping_add(1013904223);
            (s >> 8) as f64 / (1u32 << 24) as f64
        };
        for fps in [1.0, 3.0, 15.0, 30.0, 60.0] {
            for kbits in [100u32, 1000] {
                for scene in 0..4 {
                    let times: Vec<f64> = (0..600).map(|i| (i as f64 + if scene == 3 { 0.8 * r() } else { 0.0 }) / fps).collect();
                    let noise: Vec<f32> = times.iter().map(|_| (r() as f32 * 2.0 - 1.0).exp2()).collect();
                    let frames = run(kbits, &times, 60, None, |i, key| {
                        let cut = scene >= 2 && i % 97 > 90;
                        3000.0 * if key || cut { 12.0 } else { 1.0 } * if scene == 0 { 1.0 } else { noise[i] }
                    });
                    let most = worst_window(&frames) / (1000.0 * kbits as f32);
                    assert!(most <= OVERSHOOT + 1e-4, "{fps}/s, {kbits} kbit/s, scene {scene}: {most}");
                    // Where the range of steps can do it: from 3 to 68 kbit a frame here.
                    if scene == 0 && (4.0..60.0).contains(&(kbits as f64 / fps)) {
                        let seconds = 540.0 / fps as f32;
                        let mean = frames[60..].iter().map(|f| f.1).sum::<f32>() / (1000.0 * kbits as f32 * seconds);
                        assert!((0.97..1.03).contains(&mean), "{fps}/s, {kbits} kbit/s: mean {mean}");
                    }
                }
            }
        }
    }

    #[test]
    fn steady_content_has_steady_steps() {
        let times: Vec<f64> = (0..300).map(|i| i as f64 / 30.0).collect();
        let frames = run(800, &times, 1000, None, |_, key| if key { 30000.0 } else { 3000.0 });
        let steps: Vec<i32> = frames[60..].iter().map(|f| f.2 as i32).collect();
        assert!(steps.windows(2).all(|s| (s[1] - s[0]).abs() <= 2), "{steps:?}");
    }

    #[test]
    fn a_cap_is_kept_and_used() {
        let times: Vec<f64> = (0..200).map(|i| i as f64 / 30.0).collect();
        for cap in [4000.0f32, 40000.0, 400000.0] {
            let frames = run(0, &times, 20, Some(cap), |i, key| if key { 20000.0 } else { 2000.0 + 300.0 * (i % 9) as f32 });
            assert!(frames.iter().all(|f| f.1 <= cap));
            let tight = frames.iter().filter(|f| f.2 > 0 && f.2 < 63);
            assert!(tight.clone().count() == 0 || tight.clone().map(|f| f.1).sum::<f32>() / tight.count() as f32 > 0.45 * cap);
        }
    }
}
