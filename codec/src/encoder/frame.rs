//! One frame on its way through the encoder: motion and analysis once, then its slices at one step or, for a bit rate, at several.

use super::motion::{self, Layout, Moved, Plan, Prices, Strip};
use super::refresh::Band;
use super::slice::{Coded, Job};
use super::{Encoder, Inter};
use crate::error::Result;
use crate::held::HeldFrame;
use crate::motion::{Area, Kind};
use crate::prior::{Kernels, Prior, Shape};
use crate::slice::Walk;
use lic_kernels::motion::SearchPlane;

/// A slice without reference is tried again after this many frames, or when the slice with one gets this dear.
const TRY_NONE_EVERY: u32 = 8;
const TRY_NONE_ABOVE: f32 = 0.6;

/// A frame on its way.
pub(super) struct Work {
    pub layout: Layout,
    /// Of a frame of a refresh cycle.
    pub band: Option<Band>,
    /// The frame that slices may refer to.
    pub reference: Option<u32>,
    pub plan: Option<Plan>,
    /// Latents before gain, `[positions][channels]`: of the whole frame, or around the plan's candidates.
    y: Vec<f32>,
    whole: bool,
}

/// A slice on its way.
struct Part<'a> {
    walk: Walk<'a>,
    /// Latents and, with a plan, those of the compensated picture, in steps.
    y: Vec<f32>,
    base: Vec<f32>,
    plan: Option<&'a Plan>,
    anew: bool,
    /// Its positions in the frame.
    at: std::ops::Range<usize>,
    /// Of kinds `none`, `latent`, `motion`.
    lambda: [f32; 3],
    lambda_kind: f32,
    exchange: f32,
    excess: Vec<f32>,
}

impl Part<'_> {
    fn job(&self, lambda: f32) -> Job<'_> {
        Job { walk: self.walk, y: &self.y, lambda, lambda_kind: self.lambda_kind, exchange: self.exchange, excess: &self.excess }
    }

    fn none(&self) -> Coded {
        // Beside a slice that spares bits it must spare as many: otherwise the better picture that nobody asked for costs it the choice.
        // Where there is none, it is as good as a key frame, for the same reason: it will be copied for long.
        self.job(self.lambda[if self.plan.is_some() && !self.anew { 2 } else { 0 }]).none()
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
        };
        let tracks = frame.tracks(self.walk.prior.channels, self.walk.shape.width, self.at.start);
        self.job(self.lambda[2]).motion(prior, &tracks, &moved, distance)
    }
}

impl Encoder {
    /// Motion and analysis: what does not depend on the step.
    pub(super) fn prepare(&mut self, reference: Option<u32>, band: Option<Band>, likely_step: u8) -> Result<Work> {
        let layout = self.layout(band.as_ref());
        let pack = self.pack.clone();
        self.none_cost.resize(layout.rows.div_ceil(2), (f32::INFINITY, u32::MAX));
        let mut plan = None;
        if let (Some(number), Some(prior), Inter::Auto | Inter::Motion) = (reference, &pack.prior.motion, self.settings.inter) {
            self.held.picture(number, &mut self.networks, &pack.prior, layout.columns)?;
            let (frame, picture) = (self.held.get(number), self.held.made(number));
            if let (Some(frame), Some(picture)) = (frame, picture) {
                self.outcome.learn(self.kernels, number, &self.last_planes, picture);
                let prices = Prices { bit: prior.pixel_error[likely_step as usize] * prior.lambda[likely_step as usize] };
                let search = self.search.get_or_insert_with(|| SearchPlane::new(self.kernels, &picture.y, picture.width, picture.height));
                let kernels = Kernels { level: self.kernels, threads: self.threads };
                plan = Some(Plan::new(kernels, &self.planes, frame, picture, search, &layout, prices));
                if let Some(plan) = &mut plan {
                    plan.excess = self.outcome.excess(&plan.vectors, layout.columns);
                }
            }
        }
        // Slices that were close to being coded without reference are tried so again, and then need all latents.
        let early = plan.is_none() || layout.strips.iter().any(|s| !s.anew && self.none_cost(s).1 == 0);
        let mut work = Work { layout, band, reference, plan, y: Vec::new(), whole: false };
        if early {
            self.analyse_whole(&mut work)?;
        } else if let Some(plan) = &work.plan {
            work.y = motion::analyse_around(&mut self.networks, &pack, &self.planes, &plan.candidates, &work.layout)?;
        }
        if let Some(plan) = &mut work.plan {
            plan.analyse(&mut self.networks, &pack, &work.layout)?;
        }
        Ok(work)
    }

    fn analyse_whole(&mut self, work: &mut Work) -> Result<()> {
        if !work.whole {
            let kind = if work.plan.is_some() { Kind::Fast } else { Kind::Whole };
            // Latents alone are synthesised all together, wherever slices end.
            let parts = if work.plan.is_some() { work.layout.parts() } else { std::iter::once(0..work.layout.rows).collect() };
            let mut y = Vec::new();
            for rows in parts {
                let area = Area { x: 0, y: rows.start, width: work.layout.columns, height: rows.len() };
                y.extend(self.networks.analyse(kind, &self.planes, area, self.pack.prior.channels)?);
            }
            (work.y, work.whole) = (y, true);
        }
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

    pub(super) fn slices(&mut self, work: &mut Work, step: u8, groups: u8) -> Result<Vec<Coded>> {
        let pack = self.pack.clone();
        let prior = &pack.prior;
        let strips = work.layout.strips.clone();
        let Some(number) = work.reference else {
            let coded = crate::parallel(self.threads, strips.len(), |i| self.part(work, prior, i, step, groups).none());
            strips.iter().zip(&coded).for_each(|(s, c)| self.set_none_cost(s, c.cost));
            return Ok(coded);
        };
        // What the last frame needed is begun beside the other; whether it counts does not depend on the threads.
        let spare = self.threads > strips.len();
        let frame = self.held.get(number).expect("the reference is held");
        let distance = self.number.wrapping_sub(number) as u8;
        let before: Vec<(f32, u32)> = strips.iter().map(|s| self.none_cost(s)).collect();
        let first = crate::parallel(self.threads, strips.len(), |i| {
            let part = self.part(work, prior, i, step, groups);
            if strips[i].anew {
                return (part.none(), None);
            }
            let predicted = || part.predicted(frame, distance);
            if spare && work.whole && before[i].1 == 0 { crate::both(predicted, || part.none()) } else { (predicted(), None) }
        });
        let wanted: Vec<bool> = first
            .iter()
            .zip(before.iter().zip(&strips))
            .map(|((c, _), ((last, age), s))| !s.anew && (*age >= TRY_NONE_EVERY || c.cost >= TRY_NONE_ABOVE * last))
            .collect();
        let missing: Vec<bool> = first.iter().zip(&wanted).map(|((_, none), wanted)| *wanted && none.is_none()).collect();
        if missing.contains(&true) {
            self.analyse_whole(work)?;
        }
        let work = &*work;
        let mut second =
            crate::parallel(self.threads, strips.len(), |i| missing[i].then(|| self.part(work, prior, i, step, groups).none()));
        let mut out = Vec::with_capacity(first.len());
        for (i, (c, early)) in first.into_iter().enumerate() {
            let strip = &strips[i];
            let none = early.or_else(|| second[i].take()).filter(|_| wanted[i]);
            if let Some(none) = none {
                self.set_none_cost(strip, none.cost);
                out.push(if none.cost < c.cost { none } else { c });
                continue;
            }
            if !strip.anew {
                self.none_cost[strip.hyper_rows()].iter_mut().for_each(|row| row.1 = row.1.saturating_add(1));
            }
            out.push(c);
        }
        Ok(out)
    }

    /// One slice of the frame with all that it is coded from.
    fn part<'a>(&self, work: &'a Work, prior: &'a Prior, i: usize, step: u8, groups: u8) -> Part<'a> {
        let (w, m) = (work.layout.columns, prior.channels);
        let strip = &work.layout.strips[i];
        let rows = &strip.rows;
        let at = rows.start * w..rows.end * w;
        let gains = prior.gains(step);
        let in_steps = |v: &[f32]| -> Vec<f32> {
            v[at.start * m..at.end * m].chunks_exact(m).flat_map(|r| r.iter().zip(gains).map(|(v, g)| v * g)).collect()
        };
        let tables = [Some(&prior.lambda[0]), Some(&prior.lambda[1]), prior.motion.as_ref().map(|m| &m.lambda)];
        let lambda = tables.map(|l| l.filter(|_| self.settings.rdo).map_or(0.0, |l| l[step as usize]));
        Part {
            walk: Walk {
                kernels: Kernels { level: self.kernels, threads: (self.threads / work.layout.strips.len()).max(1) },
                prior,
                step,
                shape: Shape { width: w, height: rows.len() },
                groups,
            },
            y: in_steps(&work.y),
            base: work.plan.as_ref().map(|p| in_steps(&p.base)).unwrap_or_default(),
            plan: work.plan.as_ref(),
            anew: strip.anew,
            lambda,
            // Plain rounding errs alike in every kind: there the bytes decide.
            lambda_kind: if !self.settings.rdo { 1e6 } else { lambda[if work.plan.is_some() { 2 } else { 1 }] },
            exchange: prior.motion.as_ref().map_or(1.0, |m| m.pixel_error[step as usize]),
            excess: match &work.plan {
                Some(p) => p.excess[at.clone()].to_vec(),
                None => vec![1.0; at.len()],
            },
            at,
        }
    }
}
