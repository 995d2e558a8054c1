//! RawFrame -> Packet.

mod input;
mod rate;
mod skip;
mod slice;

use crate::bitstream::{self, GROUPS, HeaderSource, STEPS, SliceKind};
use crate::error::{Error, Result};
use crate::held::{Held, HeldFrame};
use crate::model::{Network, Pack, Runtime};
use crate::prior::Shape;
use crate::slice::Walk;
use crate::{RawFrame, StreamInfo};
use lic_kernels::planes::Planes;
use lic_kernels::{Level, shuffle};
use rate::Rate;
use slice::{Coded, Job};
use std::sync::Arc;

/// What a user may choose. All of it may change between frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// 0 (smallest) to 100 (best); the constant quality when `bitrate` is 0, else the ceiling.
    pub quality: f32,
    /// kbit/s over about one second; 0 for constant quality.
    pub bitrate: u32,
    /// At most this many frames from key frame to key frame; 0 for the first frame only.
    pub key_int_max: u32,
    /// Threads for networks and slices; 0 for all cores. Read when the encoder is made.
    pub threads: u32,
    /// Slices of a frame; 0 for a default by height.
    pub slices: u32,
    /// Use other frames as context (off: every frame is a key frame).
    pub inter: bool,
    /// Rate-distortion optimised quantisation (off: plain rounding and no skip map).
    pub rdo: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { quality: 50.0, bitrate: 0, key_int_max: 60, threads: 0, slices: 0, inter: true, rdo: true }
    }
}

/// One coded frame.
#[derive(Clone, Debug)]
pub struct Packet {
    pub data: Vec<u8>,
    /// Number of the frame in its stream; wraps.
    pub number: u32,
    /// No slice refers to anything.
    pub key: bool,
    /// Frames that its slices refer to.
    pub references: Vec<u32>,
}

/// Frames held for reference: enough to go on after the network dropped a few.
const HELD: u8 = 4;
/// Rows of latents that a slice has by default.
const SLICE_ROWS: usize = 24;
/// A slice without reference is tried again after this many frames, or when the slice with one gets this dear.
const TRY_NONE_EVERY: u32 = 8;
const TRY_NONE_ABOVE: f32 = 0.6;

/// Steps by which key frames are finer than the rest, from a moving to a still camera: what stays is copied from them, so
/// every following frame gains. (The `ipratio` of x264 is about 7 of these steps.)
const KEY_FINER: [f32; 2] = [1.0, 16.0];

/// What a camera is taken for before it has shown anything.
const STILL_AT_FIRST: f32 = 0.2;

/// Codes the frames of one stream in order.
pub struct Encoder {
    pack: Arc<Pack>,
    analysis: Network,
    info: StreamInfo,
    settings: Settings,
    threads: usize,
    kernels: Level,
    planes: Planes,
    packed: Vec<f32>,
    held: Held,
    /// Lost frames and what refers to them; only as long as they could be held.
    lost: Vec<u32>,
    number: u32,
    since_key: u32,
    /// Share of copied positions in the last frames.
    still: f32,
    rate: Rate,
    /// Of each slice: cost without a reference when last tried, and frames since.
    none_cost: Vec<(f32, u32)>,
}

impl Encoder {
    /// Builds the analysis session. Takes about 100 ms.
    pub fn new(pack: Arc<Pack>, runtime: &Runtime, info: StreamInfo, settings: Settings) -> Result<Encoder> {
        if !(1..=65535).contains(&info.width) || !(1..=65535).contains(&info.height) {
            return Err(Error::Unsupported(format!("pictures of {}x{}: sides are 1 to 65535", info.width, info.height)));
        }
        if info.width as u64 * info.height as u64 > crate::decoder::MAX_PIXELS {
            return Err(Error::Unsupported(format!(
                "pictures of {}x{}: at most {} pixels are coded",
                info.width,
                info.height,
                crate::decoder::MAX_PIXELS
            )));
        }
        let threads = crate::threads(settings.threads);
        let analysis = Network::new(runtime, &pack.analysis, threads)?;
        let fps = if info.fps.0 > 0 && info.fps.1 > 0 { info.fps.0 as f32 / info.fps.1 as f32 } else { 30.0 };
        let rate = Rate::new(settings.bitrate, fps, (info.width * info.height) as f32);
        Ok(Encoder {
            pack,
            analysis,
            info,
            threads,
            kernels: Level::best(),
            planes: Planes::for_size(info.width as usize, info.height as usize),
            packed: Vec::new(),
            held: Held::new(HELD),
            lost: Vec::new(),
            number: 0,
            since_key: 0,
            still: STILL_AT_FIRST,
            rate,
            none_cost: Vec::new(),
            settings,
        })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes effect at the next frame.
    pub fn set_settings(&mut self, settings: Settings) {
        self.rate.set_target(settings.bitrate);
        self.settings = settings;
    }

    /// The network never sent this frame: later frames do not refer to it, nor to frames that refer to it.
    pub fn frame_lost(&mut self, number: u32) {
        self.lost.push(number);
        let lost = self.lost.clone();
        self.held.retain(|f| !lost.contains(&f.number) && !f.needs.iter().any(|n| lost.contains(n)));
        let newest = self.number;
        self.lost.retain(|n| newest.wrapping_sub(*n) <= 2 * bitstream::MAX_HELD as u32);
    }

    /// Codes one frame; its size must be the stream's.
    pub fn encode(&mut self, frame: &RawFrame, force_key: bool) -> Result<Packet> {
        if (frame.width, frame.height) != (self.info.width as usize, self.info.height as usize) {
            return Err(Error::Unsupported("a frame has another size than its stream".into()));
        }
        let y = self.analyse(frame)?;
        let due = self.settings.key_int_max > 0 && self.since_key >= self.settings.key_int_max;
        let key = force_key || due || !self.settings.inter || self.held.newest().is_none();
        let quality = if self.settings.quality.is_finite() { self.settings.quality.clamp(0.0, 100.0) } else { 50.0 };
        let ceiling = (quality / 100.0 * (STEPS - 1) as f32).round() as u8;
        let (step, coded) = if self.settings.bitrate == 0 {
            let step = self.step_of_quality(ceiling, key);
            (step, self.slices(&y, step, key, GROUPS as u8))
        } else {
            self.within_budget(&y, key, ceiling)
        };
        Ok(self.finish(step, coded))
    }

    /// Picture -> latents before gain, `[positions][channels]`.
    fn analyse(&mut self, frame: &RawFrame) -> Result<Vec<f32>> {
        input::planes_of(frame, &mut self.planes);
        shuffle::pack(&self.planes, &mut self.packed);
        let (w, h) = crate::latent_size(&self.info);
        let (m, n) = (self.pack.prior.channels, w * h);
        self.analysis.run(&self.packed, 96, 2 * h, 2 * w, |t| {
            if t.len() != m * n {
                return Err(Error::Pack("analysis gives a tensor of another size".into()));
            }
            let mut y = vec![0f32; m * n];
            for (c, plane) in t.chunks_exact(n).enumerate() {
                for (p, &v) in plane.iter().enumerate() {
                    y[p * m + c] = v;
                }
            }
            Ok(y)
        })?
    }

    fn step_of_quality(&self, step: u8, key: bool) -> u8 {
        if !key || !self.settings.inter || self.settings.key_int_max == 1 {
            return step;
        }
        let [moving, still] = KEY_FINER;
        (step + (moving + (still - moving) * self.still).round() as u8).min(STEPS as u8 - 1)
    }

    /// Tries steps until the frame fits; then cuts channel groups.
    fn within_budget(&mut self, y: &[f32], key: bool, ceiling: u8) -> (u8, Vec<Coded>) {
        let (aim, most) = self.rate.budget(key);
        let mut step = self.rate.step(key, aim, ceiling);
        let mut groups = GROUPS as u8;
        let mut tries = 0;
        loop {
            let coded = self.slices(y, step, key, groups);
            let bits: f32 = coded.iter().map(|c| c.payload.len() as f32 * 8.0).sum();
            if groups == GROUPS as u8 {
                self.rate.learn(key, step, bits);
            }
            tries += 1;
            let wasteful = key && bits < 0.5 * aim && step < ceiling && tries < 3;
            if (bits <= most && !wasteful) || groups == 1 {
                return (step, coded);
            }
            if step > 0 {
                let next = self.rate.step(key, aim, ceiling);
                step = if wasteful { next.max(step + 1) } else { next.min(step - 1) };
                if tries > 4 && !wasteful {
                    step = 0;
                }
            } else if wasteful {
                step = self.rate.step(key, aim, ceiling).max(1);
            } else {
                groups -= 1;
            }
        }
    }

    fn slices(&mut self, y: &[f32], step: u8, key: bool, groups: u8) -> Vec<Coded> {
        let (w, h) = crate::latent_size(&self.info);
        let hyper_rows = h.div_ceil(2);
        let auto = ((h + SLICE_ROWS / 2) / SLICE_ROWS).max(1);
        let count = if self.settings.slices == 0 { auto } else { self.settings.slices as usize }.clamp(1, hyper_rows.min(256));
        self.none_cost.resize(count, (f32::INFINITY, u32::MAX));
        let prior = &self.pack.prior;
        let m = prior.channels;
        let gains = prior.gains(step);
        let lambda = prior.lambda.map(|l| if self.settings.rdo { l[step as usize] } else { 0.0 });
        // Plain rounding errs alike in every kind: there the bytes decide.
        let lambda_kind = if self.settings.rdo { lambda[1] } else { 1e6 };
        let reference = if key { None } else { self.held.newest() };
        let (none_cost, kernels, number) = (&self.none_cost, self.kernels, self.number);
        let spare = self.threads > count;
        let coded = crate::parallel(self.threads, count, |i| {
            let rows = crate::slice_latent_rows(h, i, count);
            let shape = Shape { width: w, height: rows.len() };
            let at = rows.start * w..rows.end * w;
            let y: Vec<f32> = y[at.start * m..at.end * m].chunks_exact(m).flat_map(|r| r.iter().zip(gains).map(|(v, g)| v * g)).collect();
            let walk = Walk { kernels, prior, step, shape, groups };
            let none = || Job { walk, y: &y, lambda: lambda[0], lambda_kind }.none();
            let Some(frame) = reference else { return (none(), true) };
            let distance = number.wrapping_sub(frame.number) as u8;
            let latent = || Job { walk, y: &y, lambda: lambda[1], lambda_kind }.latent(frame, distance, at);
            let (last, age) = none_cost[i];
            // What the last frame needed is begun beside the other; whether it counts does not depend on the threads.
            let (latent, early) = if spare && age == 0 { crate::both(latent, none) } else { (latent(), None) };
            if age < TRY_NONE_EVERY && latent.cost < TRY_NONE_ABOVE * last {
                return (latent, false);
            }
            let none = early.unwrap_or_else(none);
            (if none.cost < latent.cost { none } else { latent }, true)
        });
        let mut out = Vec::with_capacity(count);
        for (slot, (c, tried)) in self.none_cost.iter_mut().zip(coded) {
            if c.kind == SliceKind::None {
                *slot = (c.cost, 0);
            } else if tried {
                // Not the price without reference, but a lower bound of it: it was tried and lost.
                *slot = (slot.0.max(c.cost), 0);
            } else {
                slot.1 = slot.1.saturating_add(1);
            }
            out.push(c);
        }
        out
    }

    /// Slices -> packet; the frame becomes a reference.
    fn finish(&mut self, step: u8, coded: Vec<Coded>) -> Packet {
        let key = coded.iter().all(|c| c.kind == SliceKind::None);
        let number = self.number;
        let mut frame = HeldFrame { number, latents: Vec::new(), skip: Vec::new(), needs: Vec::new() };
        let mut slices = Vec::with_capacity(coded.len());
        let mut references = Vec::new();
        for c in coded {
            if let SliceKind::Latent { distance } = c.kind {
                let n = number.wrapping_sub(distance as u32);
                if !references.contains(&n) {
                    references.push(n);
                    frame.needs.push(n);
                    frame.needs.extend(self.held.get(n).iter().flat_map(|f| f.needs.iter().copied()));
                }
            }
            frame.latents.extend_from_slice(&c.latents.values);
            frame.skip.extend_from_slice(&c.latents.skip);
            slices.push((c.kind, c.groups, c.payload));
        }
        if !frame.skip.is_empty() && self.held.newest().is_some() {
            let copied = frame.skip.iter().filter(|s| **s).count() as f32 / frame.skip.len() as f32;
            self.still = 0.8 * self.still + 0.2 * copied;
        }
        // Far ancestors cannot be reported lost any more.
        frame.needs.retain(|n| number.wrapping_sub(*n) <= 2 * bitstream::MAX_HELD as u32);
        frame.needs.sort_unstable();
        frame.needs.dedup();
        let header = key.then(|| (&self.info, HELD, self.pack.short_id(), self.pack.name()));
        let data = bitstream::write_frame(&HeaderSource { number, step, key: header, slices: &slices });
        if self.settings.bitrate > 0 {
            self.rate.sent(data.len() as f32 * 8.0);
        }
        if key {
            self.held.clear();
            self.since_key = 0;
        }
        self.held.insert(frame);
        self.since_key += 1;
        self.number = number.wrapping_add(1);
        Packet { data, number, key, references }
    }
}
