//! Frames that must fit: first coarser steps, then dearer bits, at last nothing but what is free.

use super::Encoder;
use super::frame::Work;
use super::rate::{Next, Search};
use super::slice::Coded;
use crate::bitstream::{GROUPS, SliceKind};
use crate::error::{Error, Result};
use crate::motion::Base;

/// Powers of two by which bits get dearer at step 0.
const DEARER: std::ops::Range<u32> = 1..12;
/// A bit is worth any error: every symbol is what the entropy model expects most. What is left has the same size for every picture.
pub(super) const ANY_PRICE: f32 = 1e12;

impl Encoder {
    /// Whether frames have to fit into anything.
    pub(super) fn is_limited(&self) -> bool {
        self.settings.bitrate > 0 || self.settings.max_frame_bytes > 0
    }

    pub(super) fn cap(&self) -> Option<f32> {
        (self.settings.max_frame_bytes > 0).then_some(self.settings.max_frame_bytes as f32 * 8.0)
    }

    /// The step to begin with; `ceiling`: the finest.
    pub(super) fn first_step(&self, key: bool, ceiling: u8) -> u8 {
        let ceiling = self.finest(key, ceiling);
        if self.settings.bitrate == 0 && !self.rate.knows(key) {
            return ceiling;
        }
        self.rate.step(key, self.rate.budget(key, self.cap()).aim, ceiling)
    }

    /// With a bit rate `quality` is the limit of all frames, else what each sort of frames has without limits.
    fn finest(&self, key: bool, ceiling: u8) -> u8 {
        if self.settings.bitrate > 0 { ceiling } else { self.step_of_quality(ceiling, key) }
    }

    /// The frame at the finest step that fits, about; its step.
    pub(super) fn within_budget(&mut self, work: &mut Work, ceiling: u8) -> Result<(u8, Vec<Coded>)> {
        let key = work.reference.is_none();
        let budget = self.rate.budget(key, self.cap());
        let mut step = self.first_step(key, ceiling);
        let mut search = Search::new(budget, self.finest(key, ceiling));
        let mut fits: Option<(u8, u8, Vec<Coded>)> = None;
        loop {
            let (at, coded) = self.slices(work, step, GROUPS as u8)?;
            let bits = self.most_bits(&coded, work.band.is_some());
            self.rate.learn(key, step, bits);
            let next = search.saw(step, bits, key);
            if bits <= budget.most && fits.as_ref().is_none_or(|f| f.0 <= step) {
                fits = Some((step, at, coded));
            }
            match (next, fits.take()) {
                (Next::Try(s), best) => (step, fits) = (s, best),
                (_, Some((_, at, coded))) => return Ok((at, coded)),
                (_, None) => return self.starved(work, budget.most),
            }
        }
    }

    /// The frame at step 0 with bits so dear that it fits, with the vectors it has and then without any; else the least that is possible.
    fn starved(&mut self, work: &mut Work, most: f32) -> Result<(u8, Vec<Coded>)> {
        if let Some(fits) = self.dearest(work, most)? {
            return Ok(fits);
        }
        if let Some(number) = work.plan.as_ref().map(|p| p.reference) {
            if let (Some(plan), Some(picture)) = (&mut work.plan, self.held.made(number)) {
                plan.stand_still(self.kernels, &self.planes, picture, &work.layout, self.threads.count());
            }
            self.analyse_candidates(work)?;
            if let Some(fits) = self.dearest(work, most)? {
                return Ok(fits);
            }
        }
        work.dearer = ANY_PRICE;
        self.slices(work, 0, 1)
    }

    /// Halves the range of prices until the lowest at which the frame fits is found.
    fn dearest(&mut self, work: &mut Work, most: f32) -> Result<Option<(u8, Vec<Coded>)>> {
        let (mut range, mut fits) = (DEARER, None);
        while !range.is_empty() {
            let power = range.start + (range.end - range.start) / 2;
            work.dearer = (power as f32).exp2();
            let (at, coded) = self.slices(work, 0, GROUPS as u8)?;
            if self.most_bits(&coded, work.band.is_some()) <= most {
                (range.end, fits) = (power, Some((at, coded)));
            } else {
                range.start = power + 1;
            }
        }
        Ok(fits)
    }

    /// Bits of a frame of these slices, header and all, or a few more. `recovery`: it may be a point where decoders begin.
    fn most_bits(&self, coded: &[Coded], recovery: bool) -> f32 {
        let described = recovery || coded.iter().all(|c| c.kind == SliceKind::None);
        let header = 24 + if described { 56 + self.pack.name().len() } else { 0 };
        let slices: usize = coded.iter().map(|c| c.payload.len() + 10).sum();
        8.0 * (header + slices) as f32
    }

    /// The least that every frame can be made to fit into, in bytes.
    fn least_frame_bytes(&self) -> u32 {
        let pack = self.pack.clone();
        let layout = self.layout(None);
        let n = layout.columns * layout.rows * pack.prior.channels;
        let mut work = Work::new(layout, None, None, None);
        work.y = Base { values: vec![0.0; n], known: Vec::new() };
        work.dearer = ANY_PRICE;
        // A refresh cycle adds slices.
        let more = if self.settings.intra_refresh > 0 { 3 } else { 0 };
        let coded: Vec<Coded> = (0..work.layout.strips.len()).map(|i| self.part(&work, &pack.prior, i, 0, 1).none()).collect();
        let each = coded.iter().map(|c| c.payload.len() + 10).max().unwrap_or(0);
        (self.most_bits(&coded, true) / 8.0) as u32 + (more * each) as u32
    }

    /// Refuses a cap that some frame could not be made to fit into.
    pub(super) fn check_cap(&self) -> Result<()> {
        let cap = self.settings.max_frame_bytes;
        if cap == 0 {
            return Ok(());
        }
        let least = self.threads.run(|| self.least_frame_bytes());
        if cap < least {
            let (w, h) = (self.info.width, self.info.height);
            return Err(Error::Unsupported(format!(
                "max-frame-bytes={cap} for pictures of {w}x{h}: the smallest possible is {least} (fewer slices take less)"
            )));
        }
        Ok(())
    }
}
