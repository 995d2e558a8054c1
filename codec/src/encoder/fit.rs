//! A frame that may not be larger than so many bytes: coded again, coarser, until it is not. Motion, analysis and the reference are
//! those of the first attempt; only symbols are chosen and coded anew.

use super::Encoder;
use super::frame::{Fineness, Work};
use super::rate::{Rate, STEPS_BELOW};
use super::regions;
use super::slice::Coded;
use crate::bitstream::GROUPS;
use crate::error::Result;

/// Attempts at a frame, at most; most frames need one, the first ones of new content three.
const ATTEMPTS: u32 = 5;
/// Share of its goal that a frame shall take, if it has been too large once.
const ENOUGH: f32 = 0.75;
/// Share of what a frame may take that is a safe goal.
pub(super) const SAFE: f32 = 0.87;

/// How finely a frame is coded, from coarse to fine. The upper ones are the quantiser's steps with all channel groups; below step 0 a bit
/// gets dearer from rung to rung, so that fewer blocks are coded and in these less, and then channel groups are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rung(u8);

/// Rungs below the step 0; the groups are cut in the last of them.
const BELOW: u8 = 14;
/// How many times dearer bits may become before motion is searched again: vectors cost bits as well.
const DEARER: f32 = 4.0;

impl Rung {
    /// The nearest for a step of the [model](Rate), at most `finest`.
    pub fn near(step: f32, finest: Rung) -> Rung {
        let rung = BELOW as f32 + if step < 0.0 { step / STEPS_BELOW } else { step };
        Rung(rung.round().clamp(0.0, finest.0 as f32) as u8)
    }

    pub fn of_step(step: u8) -> Rung {
        Rung(BELOW + step)
    }

    /// The other way.
    pub fn model_step(self) -> f32 {
        let above = self.0 as f32 - BELOW as f32;
        if above < 0.0 { STEPS_BELOW * above } else { above }
    }

    fn fineness(self) -> Fineness {
        let dearer = BELOW.saturating_sub(self.0);
        Fineness { step: self.0.saturating_sub(BELOW), groups: (GROUPS as u8).min(self.0 + 1), price: 2f32.powi(dearer as i32) }
    }
}

/// What a frame's bytes have to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Never more.
    pub most: usize,
    /// What another attempt aims at, if the first was too large or not enough.
    pub goal: f32,
    /// If the first attempt is less, and finer rungs are left, they are tried.
    pub enough: f32,
    pub finest: Rung,
}

/// A frame as it will be sent.
pub(super) struct Fitted {
    pub rung: Rung,
    pub step: u8,
    pub coded: Vec<Coded>,
    pub data: Vec<u8>,
    pub attempts: u32,
}

/// What was seen of the rungs: those from `fits` down are small enough, those from `above` up too large.
struct Search {
    fits: Option<Rung>,
    above: Rung,
}

impl Search {
    /// The rung to try after `rung` gave `bytes`; None: there is none between.
    fn next(&self, rung: Rung, bytes: usize, goal: f32, attempts: u32) -> Option<Rung> {
        let low = self.fits.map_or(0, |r| r.0 + 1);
        let high = self.above.0.checked_sub(1)?;
        if low > high {
            return None;
        }
        // Nothing fits and the attempts end: the last is the coarsest.
        if self.fits.is_none() && attempts + 1 >= ATTEMPTS {
            return Some(Rung(0));
        }
        let by_model = Rung::near(rung.model_step() + Rate::steps_between(bytes as f32, goal), Rung(high));
        let next = if attempts < 3 { by_model.0 } else { (low + high) / 2 };
        Some(Rung(next.clamp(low, high)))
    }
}

impl Encoder {
    /// How finely slices are coded at a rung. Below step 0 regions of interest get no finer step, so that the lowest rung stays what it is.
    pub(super) fn fineness(&self, rung: Rung) -> Fineness {
        if self.pack.lite.is_some() {
            // Bits have no price there: below step 0 groups are cut, evenly.
            let groups = ((rung.0 as usize + 1) * GROUPS).div_ceil(BELOW as usize + 1).min(GROUPS) as u8;
            return Fineness { groups, price: 1.0, ..rung.fineness() };
        }
        if rung.0 < BELOW { rung.fineness() } else { regions::finer(rung.fineness(), &self.weights, self.pack.prior()) }
    }

    /// Codes a frame from `rung` on until it is within the limits.
    pub(super) fn fit(&mut self, work: &mut Work, rung: Rung, limits: Limits) -> Result<Fitted> {
        let key = work.reference.is_none();
        let mut search = Search { fits: None, above: Rung(limits.finest.0 + 1) };
        let mut rung = rung.min(limits.finest);
        let mut best: Option<Fitted> = None;
        let before = self.none_cost.clone();
        let (mut attempts, mut enough) = (0, limits.enough);
        loop {
            attempts += 1;
            let (step, coded) = self.slices(work, self.fineness(rung))?;
            let data = self.write(self.number, step, &coded, work);
            let bytes = data.len();
            // What only copies tells nothing.
            if !coded.iter().all(|c| c.copies) {
                self.rate.learn(key, rung.model_step(), bytes as f32);
            }
            let fits = bytes <= limits.most;
            if fits {
                search.fits = Some(rung);
                best = Some(Fitted { rung, step, coded, data, attempts });
            } else {
                search.above = rung;
                if rung == Rung(0) {
                    return Ok(self.blanked(work, step, coded, limits.most, attempts));
                }
            }
            enough = if fits { enough } else { ENOUGH * limits.goal };
            let done = fits && (bytes as f32 >= enough || rung == limits.finest);
            let next = search.next(rung, bytes, limits.goal, attempts).filter(|_| !done && attempts < ATTEMPTS);
            match (next, best.take()) {
                (Some(next), found) => (rung, best) = (next, found),
                (None, Some(found)) => return Ok(Fitted { attempts, ..found }),
                // The attempts end with rung 0, which either fits or is blanked.
                (None, None) => rung = Rung(0),
            }
            // An attempt is not a frame more since slices were last tried without reference.
            self.none_cost.clone_from(&before);
            let fine = self.fineness(rung);
            if work.plan.is_some() && fine.price >= DEARER * work.price {
                *work = self.prepare(work.reference, work.band.clone(), fine)?;
            }
        }
    }

    /// The slices of rung 0, of which one after the other, the largest first, gives way to one that says nothing.
    fn blanked(&mut self, work: &Work, step: u8, mut coded: Vec<Coded>, most: usize, attempts: u32) -> Fitted {
        let mut order: Vec<usize> = (0..coded.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(coded[i].payload.len()));
        let mut data = self.write(self.number, step, &coded, work);
        for i in order {
            if data.len() <= most {
                break;
            }
            let blank = self.blank(work, i);
            if blank.payload.len() < coded[i].payload.len() {
                coded[i] = blank;
                data = self.write(self.number, step, &coded, work);
            }
        }
        Fitted { rung: Rung(0), step, coded, data, attempts }
    }

    /// A slice at rung 0 that says as little as can be said: a copy or, where there is nothing to copy, what the entropy model expects.
    fn blank(&self, work: &Work, i: usize) -> Coded {
        let pack = self.pack.clone();
        if pack.lite.is_some() {
            return self.lite_blank(work, i, self.fineness(Rung(0)));
        }
        let part = self.part(work, pack.prior(), i, Rung(0).fineness());
        match work.reference.and_then(|n| self.held.get(n)).filter(|_| !work.layout.strips[i].anew) {
            Some(frame) => part.copy(frame, self.number.wrapping_sub(frame.number) as u8),
            None => part.blank(),
        }
    }

    /// The smallest [`max_frame_bytes`](super::Settings::max_frame_bytes) that slices, refresh and size of the picture allow: a key frame
    /// that says nothing, the longest header included. No frame has to be larger.
    pub fn least_frame_bytes(&self) -> usize {
        self.threads.run(|| self.least_frame())
    }

    fn least_frame(&self) -> usize {
        let layout = self.layout(None);
        let work = Work::blank(layout, self.pack.channels);
        let coded = (0..work.layout.strips.len()).map(|i| self.blank(&work, i)).collect::<Vec<_>>();
        let least = self.write(u32::MAX, 0, &coded, &work).len();
        if self.settings.intra_refresh == 0 {
            return least;
        }
        // A frame of a cycle has up to two slices more, each with its rows, and other borders, across which nothing is predicted.
        least + least / 8 + 2 * 12 + 3 * work.layout.strips.len()
    }
}
