//! RawFrame -> Packet.

mod blank;
mod effort;
mod fit;
mod frame;
mod input;
mod lite;
mod motion;
mod rate;
mod refresh;
mod regions;
mod skip;
mod slice;

use crate::bitstream::{self, HeaderSource, STEPS, SliceKind, SliceSource};
use crate::device::{Device, Entropy};
use crate::error::{Error, Result};
use crate::held::{Held, HeldFrame, Picture};
use crate::model::{Pack, Runtime};
use crate::motion::{Networks, compensate};

use crate::threads::Threads;
use crate::{RawFrame, StreamInfo};
pub use effort::Effort;
pub use regions::Region;

use fit::{Fitted, Limits, Rung, SAFE};
use frame::Work;
use lic_kernels::Level;
use lic_kernels::motion::SearchPlane;
use lic_kernels::planes::Planes;
use lite::LiteState;
use motion::{Calm, Layout, Outcome, Reach, Strip};
use rate::{Budget, Rate};
use refresh::{Band, Refresh};
use slice::Coded;
use std::ops::Range;
use std::sync::Arc;

/// What a user may choose. All of it may change between frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// 0 (smallest) to 100 (best); the constant quality when `bitrate` is 0, else the ceiling.
    pub quality: f32,
    /// kbit/s; 0 for constant quality. No second of capture time holds more than 1.1 times that.
    pub bitrate: u32,
    /// Bytes that no frame exceeds, whatever quality and bit rate say; 0 for none. At least what [`Encoder::least_frame_bytes`] says.
    pub max_frame_bytes: u32,
    /// At most this many frames from key frame to key frame; 0 for the first frame only. Not used while `intra_refresh` is on.
    pub key_int_max: u32,
    /// Frames in which the whole picture is coded anew, a band of rows in each: no frame is as large as a key frame, and who joins or
    /// lost something has a picture after the next cycle. 0: off.
    pub intra_refresh: u32,
    /// Threads for networks and slices; 0 for all cores. Read when the encoder is made.
    pub threads: u32,
    /// Slices of a frame; 0 for a default by height.
    pub slices: u32,
    /// What slices may be predicted from.
    pub inter: Inter,
    /// Rate-distortion optimised quantisation (off: plain rounding and no skip map).
    pub rdo: bool,
    /// All frames at the quantiser step that `quality` says, without finer key frames and coarser others: dearer, for measuring.
    pub fixed_step: bool,
    pub effort: Effort,
}

/// What slices may be predicted from; each is still coded without where that is cheaper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inter {
    /// Nothing: every frame is a key frame.
    None,
    /// Latents of earlier frames.
    Latent,
    /// Pictures of earlier frames, shifted.
    Motion,
    /// Whatever is cheapest.
    #[default]
    Auto,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            quality: 50.0,
            bitrate: 0,
            max_frame_bytes: 0,
            key_int_max: 60,
            intra_refresh: 0,
            threads: 0,
            slices: 0,
            inter: Inter::Auto,
            rdo: true,
            fixed_step: false,
            effort: Effort::Default,
        }
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
    /// No key frame, but decoders may begin here: see [`Settings::intra_refresh`].
    pub recovery: bool,
    /// Frames that its slices refer to.
    pub references: Vec<u32>,
    /// How often it was coded until its bytes were right; 1 if neither a bit rate nor a limit asked for more.
    pub attempts: u32,
}

/// What is known of one frame beside its picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameParams {
    /// Refers to nothing before.
    pub key: bool,
    /// Parts of the picture that matter more or less than the rest. (Without [`Settings::rdo`] bits are weighed all the same.)
    pub regions: Vec<Region>,
}

/// Frames held for reference: enough to go on after the network dropped a few; and where frames refer to acknowledged ones alone, which
/// are a round trip old.
const HELD: u8 = 4;
const HELD_ACKNOWLEDGED: u8 = bitstream::MAX_HELD;
/// Rows of latents that a slice has by default.
const SLICE_ROWS: usize = 24;
/// What a header can count, less what a refresh may add.
const MAX_SLICES: usize = 252;
/// Steps by which key frames are finer than the rest, from a moving to a still camera: what stays is copied from them, so
/// every following frame gains. (The `ipratio` of x264 is about 7 of these steps.) With slices of kind `latent`, which copy only what
/// has not moved; and of kind `motion`, in which later frames pass on what they improve as well.
const KEY_FINER_LATENT: [f32; 2] = [1.0, 16.0];
const KEY_FINER_MOTION: [f32; 2] = [4.0, 8.0];
/// Steps by which frames of kind `motion` are coarser than `quality` says, between those key frames: a picture's quality then is about
/// what the same number gives without references.
const MOTION_COARSER: u8 = 8;

/// What a camera is taken for before it has shown anything.
const STILL_AT_FIRST: f32 = 0.1;

/// Codes the frames of one stream in order.
pub struct Encoder {
    pack: Arc<Pack>,
    networks: Networks,
    search: Option<SearchPlane>,
    /// Of lite packs alone.
    lite: Option<LiteState>,
    info: StreamInfo,
    settings: Settings,
    threads: Threads,
    kernels: Level,
    planes: Planes,
    /// The picture before, and how that turned out.
    last_planes: Planes,
    outcome: Outcome,
    calm: Calm,
    held: Held,
    /// Lost frames and what refers to them; only as long as they could be held.
    lost: Vec<u32>,
    /// See [`Encoder::set_acknowledged`].
    acknowledged: Option<Vec<u32>>,
    number: u32,
    since_key: u32,
    /// Share of copied positions in the last frames.
    still: f32,
    rate: Rate,
    refresh: Refresh,
    /// Of each hyper row: its share of what its slice without a reference cost when last tried, and frames since.
    none_cost: Vec<(f32, u32)>,
    /// Bytes of the smallest key frame; 0: not known.
    least: usize,
    /// What an error counts at each position of the frame that comes; empty: the same everywhere.
    weights: Vec<f32>,
}

impl Encoder {
    /// Builds the networks' sessions. Takes about 50 ms.
    pub fn new(pack: Arc<Pack>, runtime: &Runtime, info: StreamInfo, settings: Settings) -> Result<Encoder> {
        Encoder::on(pack, runtime, info, settings, None)
    }

    /// The same with networks on a device.
    pub fn on(pack: Arc<Pack>, runtime: &Runtime, info: StreamInfo, settings: Settings, device: Option<&Device>) -> Result<Encoder> {
        if !(1..=65535).contains(&info.width) || !(1..=65535).contains(&info.height) {
            return Err(Error::Unsupported(format!("pictures of {}x{}: sides are 1 to 65535", info.width, info.height)));
        }
        if info.width as u64 * info.height as u64 > crate::decoder::MAX_PIXELS {
            return Err(Error::Unsupported(format!(
                "pictures of {}x{}: at most {} pixels are coded; put videoscale before licenc",
                info.width,
                info.height,
                crate::decoder::MAX_PIXELS
            )));
        }
        let threads = Threads::new(settings.threads)?;
        let networks = Networks::for_encoder(runtime, &pack, Level::best(), threads.count(), device)?;
        let fps = (info.fps.0 > 0 && info.fps.1 > 0).then(|| info.fps.0 as f64 / info.fps.1 as f64);
        let rate = Rate::new(0, fps, (info.width * info.height) as f32);
        let lite = pack.lite.as_ref().map(|l| LiteState::new(l, Level::best()));
        let mut encoder = Encoder {
            lite,
            pack,
            networks,
            search: None,
            info,
            threads,
            kernels: Level::best(),
            planes: Planes::for_size(info.width as usize, info.height as usize),
            last_planes: Planes::for_size(info.width as usize, info.height as usize),
            outcome: Outcome::default(),
            calm: Calm::default(),
            held: Held::new(HELD),
            lost: Vec::new(),
            acknowledged: None,
            number: 0,
            since_key: 0,
            still: STILL_AT_FIRST,
            rate,
            refresh: Refresh::default(),
            none_cost: Vec::new(),
            least: 0,
            weights: Vec::new(),
            settings: Settings { bitrate: 0, max_frame_bytes: 0, ..settings.clone() },
        };
        encoder.set_settings(settings)?;
        Ok(encoder)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes effect at the next frame. If `max_frame_bytes` is too small for any frame, nothing changes and the error says what it has to be.
    pub fn set_settings(&mut self, settings: Settings) -> Result<()> {
        let most = settings.max_frame_bytes as usize;
        let before = std::mem::replace(&mut self.settings, settings);
        if most > 0 || self.settings.bitrate > 0 {
            let shape = |s: &Settings| (s.slices, s.intra_refresh);
            if self.least == 0 || shape(&before) != shape(&self.settings) {
                self.least = self.least_frame_bytes();
            }
            if (1..self.least).contains(&most) {
                let least = self.least;
                self.least = 0;
                self.settings = before;
                return Err(Error::Unsupported(format!(
                    "max-frame-bytes={most} for pictures of {}x{}: the smallest possible is {least} (fewer slices take less)",
                    self.info.width, self.info.height
                )));
            }
        }
        self.rate.set_target(self.settings.bitrate, self.least);
        Ok(())
    }

    /// The number that the next frame gets.
    pub fn next_number(&self) -> u32 {
        self.number
    }

    /// Numbers go on from here: for an encoder that takes over a stream at another size, or takes turns with others. Before the first frame,
    /// or before one that is to be a key frame.
    pub fn set_next_number(&mut self, number: u32) {
        self.number = number;
    }

    /// The network never sent this frame: later frames do not refer to it, nor to frames that refer to it.
    pub fn frame_lost(&mut self, number: u32) {
        self.lost.push(number);
        let lost = self.lost.clone();
        self.held.retain(|f| !lost.contains(&f.number) && !f.needs.iter().any(|n| lost.contains(n)));
        let newest = self.number;
        self.lost.retain(|n| newest.wrapping_sub(*n) <= 2 * bitstream::MAX_HELD as u32);
    }

    /// While `Some`, frames refer to none but these, which every receiver is known to have whole, or to a key frame of which nothing is known
    /// yet: whatever the network loses next, what arrives can be decoded. If no such frame is held, a key frame follows. A refresh rests
    /// meanwhile. (Reference picture selection by positive acknowledgement, as in H.263 annex N.)
    pub fn set_acknowledged(&mut self, frames: Option<Vec<u32>>) {
        self.acknowledged = frames;
    }

    /// Somebody waits for a picture: a refresh cycle begins with the next frame or, if one that was asked for still runs, after it.
    /// Does nothing unless [`Settings::intra_refresh`] is on.
    pub fn start_refresh(&mut self) {
        self.refresh.ask();
    }

    /// Codes one frame; its size must be the stream's.
    pub fn encode(&mut self, frame: &RawFrame, force_key: bool) -> Result<Packet> {
        self.encode_with(frame, &FrameParams { key: force_key, ..FrameParams::default() })
    }

    /// The same with regions of interest.
    pub fn encode_with(&mut self, frame: &RawFrame, params: &FrameParams) -> Result<Packet> {
        let threads = self.threads.clone();
        threads.run(|| self.encode_here(frame, params))
    }

    fn encode_here(&mut self, frame: &RawFrame, params: &FrameParams) -> Result<Packet> {
        if (frame.width, frame.height) != (self.info.width as usize, self.info.height as usize) {
            return Err(Error::Unsupported("a frame has another size than its stream".into()));
        }
        std::mem::swap(&mut self.planes, &mut self.last_planes);
        input::planes_of(frame, &mut self.planes);
        let (columns, rows) = crate::latent_size(&self.info);
        self.weights = regions::weights(&params.regions, columns, rows);
        let due = self.key_due_in() == Some(0);
        let reference = self.reference();
        let waited = self.settings.intra_refresh > 0 && self.acknowledged.is_some() && self.refresh.asked();
        let key = params.key || due || waited || self.settings.inter == Inter::None || reference.is_none();
        self.rate.arrive(frame.time.map(|t| t.as_nanos() as u64));
        let (rung, limits) = self.limits(key);
        let reference = reference.filter(|_| !key);
        let hyper_rows = rows.div_ceil(2);
        let band = reference.and_then(|r| self.refresh.next(self.refresh_length(), hyper_rows, self.number, r));
        let mut work = self.prepare(reference, band, self.fineness(rung))?;
        let fitted = match limits {
            Some(limits) => self.fit(&mut work, rung, limits)?,
            None => {
                let (step, coded) = self.slices(&mut work, self.fineness(rung))?;
                Fitted { rung, step, data: self.write(self.number, step, &coded, &work), coded, attempts: 1 }
            }
        };
        self.networks.entropy.as_ref().map_or(Ok(()), Entropy::check)?;
        Ok(self.finish(fitted, work))
    }

    /// The frame that the next one refers to.
    fn reference(&self) -> Option<u32> {
        let frame = match &self.acknowledged {
            None => self.held.newest(),
            Some(list) => self.held.newest_of(|f| f.needs.is_empty() || list.contains(&f.number)),
        };
        frame.map(|f| f.number)
    }

    /// [`Settings::intra_refresh`], unless it rests.
    fn refresh_length(&self) -> u32 {
        if self.acknowledged.is_some() { 0 } else { self.settings.intra_refresh }
    }

    /// Frames until the next key frame, 0: now; None: none is due.
    fn key_due_in(&self) -> Option<u32> {
        let most = self.settings.key_int_max;
        (self.settings.intra_refresh == 0 && most > 0).then(|| most.saturating_sub(self.since_key))
    }

    /// The rung to begin with, and what the frame's bytes have to be, if anything limits them.
    fn limits(&self, key: bool) -> (Rung, Option<Limits>) {
        let quality = if self.settings.quality.is_finite() { self.settings.quality.clamp(0.0, 100.0) } else { 50.0 };
        let quality = (quality / 100.0 * (STEPS - 1) as f32).round() as u8;
        let cap = if self.settings.max_frame_bytes == 0 { usize::MAX } else { self.settings.max_frame_bytes as usize };
        if !self.rate.is_constant() {
            let step = self.step_of_quality(quality, key);
            if cap == usize::MAX {
                return (Rung::of_step(step), None);
            }
            let (finest, goal) = (Rung::of_step(step), SAFE * cap as f32);
            // Where that is known to be too much already, no attempt is lost on it.
            let fits = self.rate.expected(key, step as f32) <= cap as f32;
            let rung = if fits { finest } else { Rung::near(self.rate.step_for(key, goal), finest) };
            return (rung, Some(Limits { most: cap, goal, enough: 0.75 * goal, finest }));
        }
        let period = match self.settings.key_int_max {
            _ if self.settings.inter == Inter::None => 1,
            _ if self.settings.intra_refresh > 0 => 0,
            frames => frames,
        };
        let budget = self.rate.budget(key, self.key_due_in(), period);
        let most = (budget.most as usize).min(cap);
        let budget = Budget { aim: budget.aim.min(SAFE * most as f32), most: most as f32 };
        // What a key frame saves is missing later; others settle over the next few.
        let (goal, enough) = if key { (budget.aim, 0.6 * budget.aim) } else { (SAFE * most as f32, 0.0) };
        let finest = Rung::of_step(quality);
        (Rung::near(self.rate.step(key, budget), finest), Some(Limits { most, goal, enough, finest }))
    }

    /// Whether slices of kind `motion` are to be had.
    fn moves(&self) -> bool {
        self.pack.lite.is_none() && self.pack.prior().motion.is_some() && matches!(self.settings.inter, Inter::Auto | Inter::Motion)
    }

    /// `band`: slices end where it does.
    fn layout(&self, band: Option<&Band>) -> Layout {
        let (columns, rows) = crate::latent_size(&self.info);
        let auto = ((rows + SLICE_ROWS / 2) / SLICE_ROWS).max(1);
        let slices = if self.settings.slices == 0 { auto } else { self.settings.slices as usize };
        let all = rows.div_ceil(2);
        let slices = slices.clamp(1, all.min(MAX_SLICES));
        let even = |part: Range<usize>, n: usize, anew: bool, reach: Option<usize>| -> Vec<Strip> {
            let end = |i: usize| part.start + i * part.len() / n;
            let strip = |i: usize| {
                let rows = 2 * end(i)..(2 * end(i + 1)).min(rows);
                let reach = reach.map(|lines| Reach { lines, end: 16 * rows.end });
                Strip { rows, anew, reach }
            };
            (0..n).map(strip).collect()
        };
        let Some(band) = band else { return Layout { columns, rows, strips: even(0..all, slices, false, None), alone: false } };
        // About as many slices as without.
        let share = |part: &Range<usize>| if part.is_empty() { 0 } else { ((part.len() * slices + all / 2) / all).max(1) };
        let (above, rest) = (0..band.rows.start, band.rows.end..all);
        let (n, m, b) = (share(&above), share(&rest), share(&band.rows));
        let strips =
            [even(above, n, false, Some(32 * band.rows.start)), even(band.rows.clone(), b, true, None), even(rest, m, false, None)];
        Layout { columns, rows, strips: strips.concat(), alone: true }
    }

    fn step_of_quality(&self, step: u8, key: bool) -> u8 {
        if self.settings.inter == Inter::None || self.settings.key_int_max == 1 || self.settings.fixed_step {
            return step;
        }
        if !key {
            // A refresh has no key frames to live on.
            if !self.moves() || self.settings.intra_refresh > 0 {
                return step;
            }
            let finer = self
                .settings
                .effort
                .thoroughness()
                .cascade
                .map_or(0, |(period, [fine, other])| if self.since_key.is_multiple_of(period) { fine } else { other });
            return step.saturating_sub(MOTION_COARSER).saturating_add_signed(finer).min(STEPS as u8 - 1);
        }
        let [moving, still] = if self.moves() { KEY_FINER_MOTION } else { KEY_FINER_LATENT };
        (step + (moving + (still - moving) * self.still).round() as u8).min(STEPS as u8 - 1)
    }

    /// In frames of a refresh cycle: hyper rows that are clean.
    fn clean(coded: &[Coded], work: &Work) -> Option<usize> {
        // Rows below the band that are coded without reference are clean as well.
        work.band.as_ref().map(|b| {
            let mut below = coded.iter().zip(&work.layout.strips).filter(|(_, s)| s.rows.start >= 2 * b.rows.end);
            if below.all(|(c, _)| c.kind == SliceKind::None) { work.layout.rows.div_ceil(2) } else { b.rows.end }
        })
    }

    /// How many frames are held from this one on.
    fn held_next(&self, key: bool) -> u8 {
        match (key, &self.acknowledged) {
            (false, _) => self.held.count(),
            (true, None) => HELD,
            (true, Some(_)) => HELD_ACKNOWLEDGED,
        }
    }

    /// The bytes of a frame.
    fn write(&self, number: u32, step: u8, coded: &[Coded], work: &Work) -> Vec<u8> {
        let key = coded.iter().all(|c| c.kind == SliceKind::None);
        let recovery = work.begins_cycle(key);
        let stream = (key || recovery).then(|| (&self.info, self.held_next(key), self.pack.short_id(), self.pack.name()));
        let sources = coded.iter().zip(&work.layout.strips).map(|(c, strip)| SliceSource {
            kind: c.kind,
            groups: c.groups,
            copies: c.copies,
            hyper_rows: strip.hyper_rows().len() as u32,
            payload: c.payload.as_slice().into(),
        });
        let slices: Vec<_> = sources.collect();
        let clean = Self::clean(coded, work).map(|n| n as u32);
        bitstream::write_frame(&HeaderSource { number, step, key, stream, clean, slices: &slices })
    }

    /// Slices -> packet; the frame becomes a reference.
    fn finish(&mut self, fitted: Fitted, mut work: Work) -> Packet {
        let Fitted { rung, step, coded, data, attempts } = fitted;
        let key = coded.iter().all(|c| c.kind == SliceKind::None);
        let asked = work.reference.is_none();
        let number = self.number;
        let mut latents = Vec::with_capacity(coded.len());
        let mut needs = Vec::new();
        let mut references = Vec::new();
        let expected: Vec<f32> = coded.iter().flat_map(|c| c.expected.iter().copied()).collect();
        self.outcome.expect(number, expected, work.plan.as_mut().map(|p| std::mem::take(&mut p.excess)));
        let clean = Self::clean(&coded, &work);
        let recovery = work.begins_cycle(key);
        for c in coded {
            if let Some(distance) = c.kind.distance() {
                let n = number.wrapping_sub(distance as u32);
                if !references.contains(&n) {
                    references.push(n);
                    needs.push(n);
                    needs.extend(self.held.get(n).iter().flat_map(|f| f.needs.iter().copied()));
                }
            }
            latents.push(c.latents);
        }
        let mut frame = HeldFrame { needs, ..HeldFrame::of(number, step, latents, self.pack.channels) };
        match &work.plan {
            Some(plan) => self.calm.learn(plan, &frame.skip),
            None => self.calm.clear(),
        }
        if let (Picture::Pending(p), false, Some(plan)) = (&mut frame.picture, frame.vectors.is_empty(), work.plan) {
            let parts = work.layout.parts();
            // Slices of other kinds have no vectors of their own, and those that copy everything have others than were found.
            p.prediction = if frame.vectors == plan.vectors {
                p.base = plan.base;
                Some(plan.prediction)
            } else {
                let reference = self.held.made(plan.reference);
                let slices: Vec<_> = parts.iter().map(|rows| (rows.clone(), reference)).collect();
                compensate(self.kernels, &slices, &frame.vectors, work.layout.alone, self.threads.count())
            };
            if work.layout.alone {
                p.alone = parts;
            }
        }
        if !frame.skip.is_empty() && self.held.newest().is_some() {
            let copied = frame.skip.iter().filter(|s| **s).count() as f32 / frame.skip.len() as f32;
            self.still = 0.8 * self.still + 0.2 * copied;
        }
        // Far ancestors cannot be reported lost any more.
        frame.needs.retain(|n| number.wrapping_sub(*n) <= 2 * bitstream::MAX_HELD as u32);
        frame.needs.sort_unstable();
        frame.needs.dedup();
        self.rate.sent(asked, rung.model_step(), data.len());
        if key {
            self.held.resize(self.held_next(true));
            self.held.clear();
            // One that came about because nothing before helped is coarse, and no reason to put off the next fine one.
            if asked {
                self.since_key = 0;
            }
            self.refresh.key();
        } else if let Some(clean) = clean {
            self.refresh.coded(number, clean);
        }
        if self.threads.count() > 1 && self.moves() {
            // The next frame will look there; until it comes there is time.
            frame.begin_picture(&self.networks, work.layout.columns, &self.threads);
        }
        self.held.insert(frame);
        self.since_key += 1;
        self.number = number.wrapping_add(1);
        Packet { data, number, key, recovery, references, attempts }
    }
}
