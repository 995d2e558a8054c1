//! One frame on its way through the encoder: motion and analysis once, then its slices at one step or, for a bit rate, at several.

use super::Encoder;
use super::motion::{Layout, Moved, Plan, Prices, Strip};
use super::refresh::Band;
use super::slice::{Coded, Job};
use crate::error::Result;
use crate::held::HeldFrame;
use crate::motion::Base;
use crate::prior::{Kernels, Prior, Shape};
use crate::slice::Walk;
use lic_kernels::motion::SearchPlane;

/// A slice without reference is tried again after this many frames, or when the slice with one gets this dear.
const TRY_NONE_EVERY: u32 = 24;
const TRY_NONE_ABOVE: f32 = 0.8;

/// A vector's bits are worth less than others' in the frame that pays them: later frames copy what it finds.
const VECTOR_PRICE: f32 = 0.5;

/// A frame on its way.
pub(super) struct Work {
    pub layout: Layout,
    /// Of a frame of a refresh cycle.
    pub band: Option<Band>,
    /// The frame that slices may refer to.
    pub reference: Option<u32>,
    pub plan: Option<Plan>,
    /// How much dearer a bit is taken to be in the search for vectors than its step says.
    pub price: f32,
    /// Latents before gain: of the whole frame, or at the plan's candidates.
    y: Base,
    whole: bool,
}

impl Work {
    /// Of a picture without content.
    pub fn blank(layout: Layout, channels: usize) -> Work {
        let y = Base { values: vec![0.0; layout.columns * layout.rows * channels], known: Vec::new() };
        Work { layout, band: None, reference: None, plan: None, price: 1.0, y, whole: true }
    }

    /// Whether decoders may begin with it although it is no key frame.
    pub fn begins_cycle(&self, key: bool) -> bool {
        !key && self.band.as_ref().is_some_and(|b| b.first)
    }
}

/// How finely slices are coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fineness {
    pub step: u8,
    /// Channel groups coded.
    pub groups: u8,
    /// How many times dearer a bit is than the step says.
    pub price: f32,
}

/// A slice on its way.
pub(super) struct Part<'a> {
    walk: Walk<'a>,
    /// Latents and, with a plan, those of the compensated picture, in steps.
    y: Vec<f32>,
    base: Vec<f32>,
    plan: Option<&'a Plan>,
    /// Its positions in the frame.
    at: std::ops::Range<usize>,
    /// Of kinds `none`, `latent`, `motion`.
    lambda: [f32; 3],
    lambda_kind: f32,
    /// See [`Fineness::price`].
    price: f32,
    weights: &'a [f32],
    exchange: f32,
    excess: Vec<f32>,
    not_worth_again: f32,
}

impl Part<'_> {
    fn job(&self, lambda: f32) -> Job<'_> {
        Job {
            walk: self.walk,
            y: &self.y,
            lambda,
            lambda_kind: self.lambda_kind,
            price: self.price,
            weights: self.weights,
            exchange: self.exchange,
            excess: &self.excess,
        }
    }

    fn none(&self) -> Coded {
        self.job(self.lambda[0]).none()
    }

    /// Without reference and content.
    pub fn blank(&self) -> Coded {
        self.job(0.0).blank()
    }

    /// All of a held frame as it is, without motion.
    pub fn copy(&self, frame: &HeldFrame, distance: u8) -> Coded {
        let tracks = frame.tracks(self.walk.prior.channels, self.walk.shape.width, self.at.start);
        match (self.plan, &self.walk.prior.motion) {
            (Some(plan), Some(prior)) => self.job(0.0).copy_motion(prior, &tracks, &plan.copy_error[self.at.clone()], distance),
            _ => self.job(0.0).copy_latent(frame, distance, self.at.clone()),
        }
    }

    /// Without reference beside slices that have one: as sparing as they are, or the better picture that nobody asked for costs it the choice.
    fn none_among_others(&self) -> Coded {
        self.job(self.lambda[if self.plan.is_some() { 2 } else { 0 }]).none()
    }

    /// To be compared with slices at another step of this frame: a bit is worth the same error there and here.
    fn priced_at(mut self, prior: &Prior, step: u8) -> Self {
        if self.plan.is_some() && self.walk.step != step {
            self.lambda_kind = self.price * prior.price(step) / self.exchange;
        }
        self
    }

    /// From a held frame: its picture if there is a plan, else its latents.
    fn predicted(&self, frame: &HeldFrame, distance: u8) -> Coded {
        let (Some(plan), Some(prior)) = (self.plan, &self.walk.prior.motion) else {
            return self.job(self.lambda[1]).latent(frame, distance, self.at.clone());
        };
        let moved = Moved {
            vectors: &plan.vectors[self.at.clone()],
            base: &self.base,
            copy_error: &plan.copy_error[self.at.clone()],
            candidates: &plan.candidates[self.at.clone()],
            not_worth_again: self.not_worth_again,
        };
        let tracks = frame.tracks(self.walk.prior.channels, self.walk.shape.width, self.at.start);
        self.job(self.lambda[2]).motion(prior, &tracks, &moved, distance)
    }
}

impl Encoder {
    /// Motion and analysis: what hardly depends on the step.
    pub(super) fn prepare(&mut self, reference: Option<u32>, band: Option<Band>, likely: Fineness) -> Result<Work> {
        let layout = self.layout(band.as_ref());
        let pack = self.pack.clone();
        if pack.lite.is_some() {
            return Ok(Work { layout, band, reference, plan: None, price: 1.0, y: Base::default(), whole: true });
        }
        self.none_cost.resize(layout.rows.div_ceil(2), (f32::INFINITY, u32::MAX));
        let mut plan = None;
        if let Some(number) = reference.filter(|_| self.moves()) {
            // How blocks turn out is seen in the newest frame, whatever the reference is; its picture is begun where there are threads for it.
            let newest = self.held.newest().map(|f| f.number).filter(|&n| n != number && self.threads.count() > 1);
            if let Some(newest) = newest {
                self.held.picture(newest, &mut self.networks, layout.columns)?;
                if let Some(picture) = self.held.made(newest) {
                    self.outcome.learn(self.kernels, newest, &self.last_planes, picture);
                }
            }
            self.held.picture(number, &mut self.networks, layout.columns)?;
            let (frame, picture) = (self.held.get(number), self.held.made(number));
            if let (Some(frame), Some(picture)) = (frame, picture) {
                self.outcome.learn(self.kernels, number, &self.last_planes, picture);
                let bit = pack.prior().price(likely.step);
                let prices = Prices { bit, vector_bit: likely.price * VECTOR_PRICE * bit };
                let search = self.search.get_or_insert_with(|| SearchPlane::new(self.kernels, &picture.y, picture.width, picture.height));
                let kernels = Kernels { level: self.kernels, threads: self.threads.count() };
                let effort = self.settings.effort.thoroughness();
                if effort.remembers {
                    self.calm.next(layout.columns * layout.rows);
                } else {
                    self.calm.clear();
                }
                plan = Some(Plan::new(kernels, &self.planes, frame, picture, search, &self.calm, &layout, prices, &effort));
                if let Some(plan) = &mut plan {
                    plan.excess = self.outcome.excess(&plan.vectors, layout.columns);
                }
            }
        }
        // Slices that were close to being coded without reference are tried so again, and then need all latents.
        let early = plan.is_none() || layout.strips.iter().any(|s| !s.anew && self.none_cost(s).1 == 0);
        let mut work = Work { layout, band, reference, plan, price: likely.price, y: Base::default(), whole: false };
        if early {
            self.analyse_whole(&mut work)?;
        }
        if let Some(plan) = &mut work.plan {
            let (layout, y, exact, planes) = (&work.layout, &mut work.y, &self.networks.exact, &self.planes);
            let candidates = plan.candidates.clone();
            let own = || layout.parts().into_iter().try_for_each(|rows| exact.analyse_at(planes, rows, &candidates, y));
            let (own, base) = crate::threads::both(self.threads.count(), own, || plan.analyse(exact, layout));
            own.and(base)?;
        }
        Ok(work)
    }

    fn analyse_whole(&mut self, work: &mut Work) -> Result<()> {
        if work.whole {
            return Ok(());
        }
        if work.plan.is_some() {
            let all = vec![true; work.layout.columns * work.layout.rows];
            for rows in work.layout.parts() {
                self.networks.exact.analyse_at(&self.planes, rows, &all, &mut work.y)?;
            }
        } else {
            work.y.values = self.networks.analyse(&self.planes)?;
        }
        work.whole = true;
        Ok(())
    }

    /// What a slice without reference cost here when it was last tried, and the most frames since.
    fn none_cost(&self, s: &Strip) -> (f32, u32) {
        self.none_cost[s.hyper_rows()].iter().fold((0.0, 0), |(cost, age), row| (cost + row.0, age.max(row.1)))
    }

    fn set_none_cost(&mut self, s: &Strip, cost: f32) {
        let rows = &mut self.none_cost[s.hyper_rows()];
        let each = cost / rows.len() as f32;
        rows.fill((each, 0));
    }

    /// All slices as finely as said, or without reference at a coarser step: that step, and they.
    pub(super) fn slices(&mut self, work: &mut Work, fine: Fineness) -> Result<(u8, Vec<Coded>)> {
        let step = fine.step;
        let pack = self.pack.clone();
        if pack.lite.is_some() {
            return Ok((step, self.lite_slices(work, fine)));
        }
        let prior = pack.prior();
        let strips = work.layout.strips.clone();
        let Some(number) = work.reference else {
            let coded = crate::threads::parallel(self.threads.count(), strips.len(), |i| self.part(work, prior, i, fine).none());
            strips.iter().zip(&coded).for_each(|(s, c)| self.set_none_cost(s, c.cost));
            return Ok((step, coded));
        };
        let alone = if work.plan.is_some() && self.settings.rdo { prior.step_alone(step) } else { step };
        // What the last frame needed is begun beside the other; whether it counts does not depend on the threads.
        let spare = self.threads.count() > strips.len();
        let frame = self.held.get(number).expect("the reference is held");
        let distance = self.number.wrapping_sub(number) as u8;
        let before: Vec<(f32, u32)> = strips.iter().map(|s| self.none_cost(s)).collect();
        let first = crate::threads::parallel(self.threads.count(), strips.len(), |i| {
            let part = self.part(work, prior, i, fine);
            if strips[i].anew {
                return (part.none(), None);
            }
            let predicted = || part.predicted(frame, distance);
            if spare && work.whole && before[i].1 == 0 {
                let (predicted, none) = crate::threads::both(self.threads.count(), predicted, || {
                    self.part(work, prior, i, Fineness { step: alone, ..fine }).priced_at(prior, step).none()
                });
                (predicted, Some(none))
            } else {
                (predicted(), None)
            }
        });
        let (mut out, mut early): (Vec<_>, Vec<_>) = first.into_iter().unzip();
        // A frame without references ends all others: not where these are what is known to have arrived.
        let may = self.acknowledged.is_none();
        let dear = |c: &Coded, (last, age): (f32, u32)| may && (age >= TRY_NONE_EVERY || c.cost >= TRY_NONE_ABOVE * last);
        let wanted: Vec<bool> = (0..strips.len()).map(|i| !strips[i].anew && dear(&out[i], before[i])).collect();
        let missing: Vec<bool> = early.iter().zip(&wanted).map(|(none, wanted)| *wanted && none.is_none()).collect();
        if missing.contains(&true) {
            self.analyse_whole(work)?;
        }
        let work = &*work;
        let late = crate::threads::parallel(self.threads.count(), strips.len(), |i| {
            missing[i].then(|| self.part(work, prior, i, Fineness { step: alone, ..fine }).priced_at(prior, step).none())
        });
        early.iter_mut().zip(late).for_each(|(e, l)| *e = e.take().or(l));
        let mut cheaper = vec![false; strips.len()];
        for (i, strip) in strips.iter().enumerate() {
            if let Some(none) = early[i].as_ref().filter(|_| wanted[i]) {
                self.set_none_cost(strip, none.cost);
                cheaper[i] = none.cost < out[i].cost;
                continue;
            }
            if !strip.anew {
                self.none_cost[strip.hyper_rows()].iter_mut().for_each(|row| row.1 = row.1.saturating_add(1));
            }
        }
        if alone == step {
            for ((c, none), _) in out.iter_mut().zip(early).zip(cheaper).filter(|(_, cheaper)| *cheaper) {
                *c = none.expect("it was compared");
            }
            return Ok((step, out));
        }
        let sum = |c: &mut dyn Iterator<Item = &Coded>| c.map(|c| c.cost).sum::<f32>();
        if cheaper.contains(&true) && wanted.iter().all(|w| *w) && sum(&mut early.iter().flatten()) < sum(&mut out.iter()) {
            return Ok((alone, early.into_iter().flatten().collect()));
        }
        // A frame has one step: beside predicted slices those without reference get it too.
        let again = crate::threads::parallel(self.threads.count(), strips.len(), |i| {
            cheaper[i].then(|| self.part(work, prior, i, fine).none_among_others())
        });
        for (c, none) in out.iter_mut().zip(again) {
            match none {
                Some(none) if none.cost < c.cost => *c = none,
                _ => {}
            }
        }
        Ok((step, out))
    }

    /// One slice of the frame with all that it is coded from.
    pub(super) fn part<'a>(&'a self, work: &'a Work, prior: &'a Prior, i: usize, fine: Fineness) -> Part<'a> {
        let Fineness { step, groups, price } = fine;
        let (w, m) = (work.layout.columns, prior.channels);
        let strip = &work.layout.strips[i];
        let rows = &strip.rows;
        let at = rows.start * w..rows.end * w;
        let gains = prior.gains(step);
        let in_steps = |v: &[f32]| -> Vec<f32> {
            let mut out = Vec::with_capacity(at.len() * m);
            v[at.start * m..at.end * m].chunks_exact(m).for_each(|row| out.extend(row.iter().zip(gains).map(|(v, g)| v * g)));
            out
        };
        let tables = [Some(&prior.lambda[0]), Some(&prior.lambda[1]), prior.motion.as_ref().map(|m| &m.lambda)];
        let plain = !self.settings.rdo && price == 1.0;
        let lambda = tables.map(|l| l.filter(|_| !plain).map_or(0.0, |l| price * l[step as usize]));
        Part {
            walk: Walk {
                kernels: Kernels { level: self.kernels, threads: self.threads.count() },
                prior,
                step,
                shape: Shape { width: w, height: rows.len() },
                groups,
                device: self.networks.entropy.as_ref(),
            },
            y: in_steps(&work.y.values),
            base: work.plan.as_ref().map(|p| in_steps(&p.base.values)).unwrap_or_default(),
            plan: work.plan.as_ref(),
            lambda,
            price,
            weights: self.weights.get(at.clone()).unwrap_or_default(),
            // Plain rounding errs alike in every kind: there the bytes decide.
            lambda_kind: if plain { 1e6 } else { lambda[if work.plan.is_some() { 2 } else { 1 }] },
            exchange: prior.motion.as_ref().map_or(1.0, |m| m.pixel_error[step as usize]),
            not_worth_again: self.settings.effort.thoroughness().not_worth_again,
            excess: match &work.plan {
                Some(p) => p.excess[at.clone()].to_vec(),
                None => vec![1.0; at.len()],
            },
            at,
        }
    }
}
