//! Frames of a lite pack: no networks, no search; one pass over the picture and one over its latents.

use super::Encoder;
use super::frame::{Fineness, Work};
use super::motion::Strip;
use super::slice::Coded;
use crate::bitstream::SliceKind;
use crate::lite::{self, CHANNELS, Picture, Samples, Sensor};
use crate::slice::Latents;
use std::sync::Arc;

/// What the encoder keeps for a lite pack.
pub(super) struct LiteState {
    sensor: Sensor,
    scratch: lite::Scratch,
}

impl LiteState {
    pub fn new(lite: &Arc<lite::Lite>, level: lic_kernels::Level) -> LiteState {
        LiteState { sensor: Sensor::new(lite.clone(), level), scratch: lite::Scratch::default() }
    }
}

impl Encoder {
    /// All slices at a step: from the reference where there is one, position by position what is cheaper.
    pub(super) fn lite_slices(&mut self, work: &Work, fine: Fineness) -> Vec<Coded> {
        let mut state = self.lite.take().expect("asked for lite packs alone");
        let p = &self.planes;
        let samples = |data, width, height| Samples { data, stride: width, width, height };
        let chroma = |data| samples(data, p.width / 2, p.height / 2);
        let picture = Picture { y: samples(&p.y, p.width, p.height), uv: [chroma(&p.u), chroma(&p.v)] };
        let reference = self.lite_reference(work, fine);
        let mut y = vec![];
        state.sensor.latents(&picture, fine.step as usize, fine.groups as usize, reference.as_deref(), &mut y);
        let coded = self.lite_code(work, fine, &work.layout.strips, reference.as_deref(), &mut y, &mut state.scratch);
        self.lite = Some(state);
        coded
    }

    /// One slice that says as little as can be said: a copy, or a grey area.
    pub(super) fn lite_blank(&self, work: &Work, i: usize, fine: Fineness) -> Coded {
        let strip = &work.layout.strips[i];
        let reference = self.lite_reference(work, fine).filter(|_| !strip.anew);
        let mut y = reference.clone().unwrap_or_else(|| vec![0; work.layout.rows * work.layout.columns * CHANNELS]);
        let strips = std::slice::from_ref(strip);
        self.lite_code(work, fine, strips, reference.as_deref(), &mut y, &mut lite::Scratch::default()).remove(0)
    }

    /// The reference's latents at this step.
    fn lite_reference(&self, work: &Work, fine: Fineness) -> Option<Vec<i8>> {
        let lite = self.pack.lite.as_ref()?;
        Some(lite.latents(fine.step as usize, &self.held.get(work.reference?)?.latents))
    }

    fn lite_code(
        &self,
        work: &Work,
        fine: Fineness,
        strips: &[Strip],
        reference: Option<&[i8]>,
        y: &mut [i8],
        scratch: &mut lite::Scratch,
    ) -> Vec<Coded> {
        let Some(lite) = &self.pack.lite else { unreachable!("asked for lite packs alone") };
        let (columns, step, groups) = (work.layout.columns, fine.step as usize, fine.groups as usize);
        let row = columns * CHANNELS;
        let held = work.reference.and_then(|n| self.held.get(n));
        let mut code = |s: &Strip| {
            let at = s.rows.start * row..s.rows.end * row;
            let of = held.filter(|_| !s.anew).zip(reference).zip(work.reference);
            let of = of.map(|((f, r), n)| (&r[at.clone()], &f.latents[at.clone()], self.number.wrapping_sub(n) as u8));
            let slice = lite::Slice { columns, step, groups, reference: of.map(|o| o.0) };
            let (y, mut payload) = (&mut y[at], vec![]);
            let inter = lite::encode(lite, self.kernels, &slice, y, scratch, &mut payload);
            let v = lite.values(step, y, &inter, of.map(|o| (o.0, o.1)));
            let kind = of.map_or(SliceKind::None, |o| SliceKind::Latent { distance: o.2 });
            let cost = 8.0 * payload.len() as f32;
            let latents = Latents { values: v.values, skip: v.copied, motion: None };
            Coded { kind, groups: fine.groups, copies: false, payload, latents, cost, expected: vec![] }
        };
        strips.iter().map(&mut code).collect()
    }
}
