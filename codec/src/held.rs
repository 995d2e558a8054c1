//! The reference rule: a key frame evicts all, any other frame n evicts what is `held` or more numbers older than n + 1.

/// Latents of a decoded frame.
pub(crate) struct HeldFrame {
    pub number: u32,
    /// `[positions][channels]` in 1/65536.
    pub latents: Vec<i32>,
    /// Its skip map; all false in slices without reference.
    pub skip: Vec<bool>,
    /// At the encoder: frames without which this one cannot be decoded.
    pub needs: Vec<u32>,
}

/// The frames that later ones may refer to, the same set at encoder and decoder whatever was lost between them.
pub(crate) struct Held {
    count: u8,
    frames: Vec<HeldFrame>,
}

impl Held {
    /// `count`: 1 to 8.
    pub fn new(count: u8) -> Held {
        Held { count, frames: Vec::new() }
    }

    pub fn resize(&mut self, count: u8) {
        self.count = count;
    }

    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// Takes a frame and evicts those that no later frame may refer to.
    pub fn insert(&mut self, frame: HeldFrame) {
        let (n, count) = (frame.number, self.count as u32);
        self.frames.retain(|f| (1..count).contains(&n.wrapping_sub(f.number)));
        self.frames.push(frame);
    }

    pub fn get(&self, number: u32) -> Option<&HeldFrame> {
        self.frames.iter().find(|f| f.number == number)
    }

    /// Removes frames for which `f` is false.
    pub fn retain(&mut self, f: impl Fn(&HeldFrame) -> bool) {
        self.frames.retain(f);
    }

    /// The newest frame.
    pub fn newest(&self) -> Option<&HeldFrame> {
        self.frames.last()
    }
}
