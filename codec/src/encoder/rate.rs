//! Constant bit rate over about a second: a leaky bucket, and a model of bytes by step that learns from each frame.

/// Steps that halve the bytes, about: the start of the model.
const STEPS_PER_OCTAVE: f32 = 14.0;

/// Chooses the step of each frame.
pub(super) struct Rate {
    /// Bits a second.
    target: f32,
    fps: f32,
    /// Bits in the bucket above what was drained; it drains at the target rate.
    full: f32,
    /// log2 of the bits that a frame would take at step 0, for key and other frames.
    level: [Option<f32>; 2],
    pixels: f32,
}

impl Rate {
    pub fn new(kbits: u32, fps: f32, pixels: f32) -> Rate {
        Rate { target: kbits as f32 * 1000.0, fps, full: 0.0, level: [None; 2], pixels }
    }

    pub fn set_target(&mut self, kbits: u32) {
        self.target = kbits as f32 * 1000.0;
    }

    /// Bits that the next frame should take, and the most it may.
    pub fn budget(&self, key: bool) -> (f32, f32) {
        let frame = self.target / self.fps;
        // The bucket holds half a second; a frame aims at leaving it a quarter full.
        let room = (0.5 * self.target - self.full).max(0.25 * frame);
        let aim =
            if key { room * 0.7 } else { (frame + (0.15 * self.target - self.full) / (0.4 * self.fps).max(2.0)).clamp(0.2 * frame, room) };
        (aim.min(room), room)
    }

    /// Step for a frame of about `bits`.
    pub fn step(&self, key: bool, bits: f32, ceiling: u8) -> u8 {
        // Before anything is known: a tenth of a bit a pixel at the coarsest step, a fifth of that between key frames.
        let level = self.level[key as usize].unwrap_or((self.pixels * if key { 0.08 } else { 0.03 }).log2());
        ((bits.max(1.0).log2() - level) * STEPS_PER_OCTAVE).clamp(0.0, ceiling as f32) as u8
    }

    /// A frame's bits at a step, whether or not it is sent.
    pub fn learn(&mut self, key: bool, step: u8, bits: f32) {
        let seen = bits.max(1.0).log2() - step as f32 / STEPS_PER_OCTAVE;
        let level = &mut self.level[key as usize];
        *level = Some(level.map_or(seen, |l| 0.4 * l + 0.6 * seen));
    }

    /// A frame is sent.
    pub fn sent(&mut self, bits: f32) {
        self.full = (self.full + bits - self.target / self.fps).max(-0.1 * self.target);
    }
}
