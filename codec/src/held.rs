//! The reference rule: a key frame evicts all, any other frame n evicts what is `held` or more numbers older than n + 1.

use crate::error::Result;
use crate::motion::{Mode, Pending};
use crate::slice::{Latents, Tracks};
use crate::threads::Begun;
use lic_kernels::motion::Quarters;
use lic_kernels::planes::Planes;
use std::sync::Arc;

/// A decoded frame.
#[derive(Default)]
pub(crate) struct HeldFrame {
    pub number: u32,
    /// `[positions][channels]` in 1/65536; in slices of kind `motion` the track that stands for them.
    pub latents: Arc<Vec<i32>>,
    /// Its skip map; all false in slices without reference.
    pub skip: Vec<bool>,
    /// Magnitudes of recent differences, as `latents`, and vectors by position; both empty in frames without slices of kind `motion`.
    pub recent: Vec<i32>,
    pub vectors: Vec<Quarters>,
    /// Made when somebody asks for it.
    pub picture: Picture,
    /// At a decoder that began within a refresh cycle: hyper rows from the top that it knows. None: all.
    pub known: Option<usize>,
    /// At the encoder: frames without which this one cannot be decoded.
    pub needs: Vec<u32>,
}

/// Planes of a frame, or what they are made from.
pub(crate) enum Picture {
    Made(Planes),
    /// Being made.
    Begun(Begun<Result<Planes>>),
    Pending(Pending),
}

impl Default for Picture {
    fn default() -> Picture {
        Picture::Pending(Pending::default())
    }
}

impl HeldFrame {
    /// A frame out of its slices, each of whole rows; `m`: channels. Its compensated picture is still missing.
    pub fn of(number: u32, step: u8, slices: Vec<Latents>, m: usize) -> HeldFrame {
        let moves = slices.iter().any(|s| s.motion.is_some());
        let mut f = HeldFrame { number, ..HeldFrame::default() };
        let values = slices.iter().map(|s| s.values.len()).sum();
        let (mut p, mut latents) = (Pending { step, ..Pending::default() }, Vec::with_capacity(values));
        if moves {
            f.recent.reserve_exact(values);
        }
        for s in slices {
            let first = f.skip.len();
            let n = s.skip.len();
            latents.extend_from_slice(&s.values);
            f.skip.extend_from_slice(&s.skip);
            if let Some(x) = s.motion {
                f.recent.extend_from_slice(&x.recent);
                f.vectors.extend(x.blocks.iter().map(|b| b.vectors));
                p.modes.extend(x.blocks.iter().map(|b| b.mode));
                p.coded.positions.extend(x.coded.iter().map(|p| p + first as u32));
                p.coded.difference.extend_from_slice(&x.difference);
            } else if moves {
                f.recent.resize(f.recent.len() + n * m, 0);
                f.vectors.resize(first + n, Quarters::default());
                p.modes.resize(first + n, Mode::Own);
            }
        }
        f.latents = Arc::new(latents);
        f.picture = Picture::Pending(p);
        f
    }

    /// What a slice of kind `motion`, of `columns` and from position `first` on, is predicted from.
    pub fn tracks(&self, m: usize, columns: usize, first: usize) -> Tracks<'_> {
        Tracks {
            latents: &self.latents,
            recent: &self.recent,
            copied: &self.skip,
            vectors: &self.vectors,
            rows: self.latents.len() / m / columns,
            first_row: first / columns,
        }
    }
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

    pub fn count(&self) -> u8 {
        self.count
    }

    pub fn resize(&mut self, count: u8) {
        self.count = count;
    }

    /// Evicts all.
    pub fn clear(&mut self) -> Vec<HeldFrame> {
        std::mem::take(&mut self.frames)
    }

    /// Takes a frame and evicts those that no later frame may refer to.
    pub fn insert(&mut self, frame: HeldFrame) -> Vec<HeldFrame> {
        let (n, count) = (frame.number, self.count as u32);
        let evicted = self.frames.extract_if(.., |f| !(1..count).contains(&n.wrapping_sub(f.number))).collect();
        self.frames.push(frame);
        evicted
    }

    pub fn get(&self, number: u32) -> Option<&HeldFrame> {
        self.frames.iter().find(|f| f.number == number)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut HeldFrame> {
        self.frames.iter_mut().find(|f| f.number == number)
    }

    /// Removes frames for which `f` is false.
    pub fn retain(&mut self, f: impl Fn(&HeldFrame) -> bool) {
        self.frames.retain(f);
    }

    /// The newest frame for which `f` is true.
    pub fn newest_of(&self, f: impl Fn(&HeldFrame) -> bool) -> Option<&HeldFrame> {
        self.frames.iter().rev().find(|frame| f(frame))
    }

    /// The newest frame.
    pub fn newest(&self) -> Option<&HeldFrame> {
        self.frames.last()
    }
}
