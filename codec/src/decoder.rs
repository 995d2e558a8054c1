//! Packet -> latents -> picture.

mod conceal;
pub(crate) mod rgb;

use crate::bitstream::{self, FrameHeader, SliceHeader, SliceKind};
use crate::device::{Device, Entropy};
use crate::error::{Error, Result};
use crate::held::{Held, HeldFrame, Picture};
use crate::lite::{self, Lite};
use crate::model::{Pack, Runtime, Task};
use crate::motion::field::{Block, FlagIo};
use crate::motion::{self, Networks};
use crate::prior::{Heads, Kernels, MAX_LATENT, Shape, Tables};
use crate::rans::RansDecoder;
use crate::slice::{Latents, Reference, SymbolIo, Walk, latents_crc};
use crate::threads::{Threads, parallel};
use crate::{Colour, PictureMut, RawFormat, StreamInfo};
use lic_kernels::Level;
use lic_kernels::planes::{self, Planes};
use std::ops::Range;
use std::sync::Arc;

/// Largest picture that is coded, and the largest that a header may ask for unless the receiver takes less, in pixels.
pub const MAX_PIXELS: u64 = 4096 * 2304;

/// What [`Decoder::decode`] found.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub info: StreamInfo,
    pub number: u32,
    pub key: bool,
    /// False while a decoder that began with a recovery point does not know all rows yet: nothing to render, and nothing to ask for.
    pub whole: bool,
    /// CRC-32C over all latents: equal on every machine, of whole frames.
    pub latents_crc: u32,
    /// What the frame's symbols cost, if [`Decoder::count_bits`] asked for it.
    pub shares: Shares,
}

/// Bits by what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Skip maps and modes.
    pub maps: f64,
    pub vectors: f64,
    pub hyper: f64,
    pub latents: f64,
}

/// A frame's latents, for whoever computes on them instead of on pictures.
pub struct LatentsView<'a> {
    /// Positions of 16x16 pixels in a row, and rows.
    pub columns: usize,
    pub rows: usize,
    pub channels: usize,
    /// `[rows][columns][channels]` in 1/65536 of what synthesis takes.
    pub values: &'a [i32],
    /// `[rows][columns]`: whether the position copies a reference.
    pub skip: &'a [bool],
}

/// Decodes the frames of one stream; frames may be missing, repeated or damaged.
pub struct Decoder {
    threads: Threads,
    sessions: Sessions,
    reading: Reading<'static>,
    max_pixels: u64,
    stream: Option<Stream>,
}

/// The networks of a stream's pack, made when first needed; they outlive a change of size.
struct Sessions {
    runtime: Runtime,
    kernels: Level,
    device: Option<Device>,
    task: Task,
    made: Option<(Arc<Pack>, Networks)>,
}

impl Sessions {
    fn of(&mut self, pack: &Arc<Pack>, threads: usize) -> Result<&mut Networks> {
        if !self.made.as_ref().is_some_and(|(p, _)| Arc::ptr_eq(p, pack)) {
            let synthesis = pack.synthesis_for(self.task)?;
            let networks = Networks::for_decoder(&self.runtime, pack, synthesis, self.kernels, threads, self.device.as_ref())?;
            self.made = Some((pack.clone(), networks));
        }
        Ok(&mut self.made.as_mut().expect("made above").1)
    }
}

/// How slices are read.
#[derive(Clone, Copy, Default)]
struct Reading<'a> {
    /// Counts what symbols cost.
    counting: bool,
    /// See [`Decoder::trust_payloads`].
    trusting: bool,
    /// What else than the CPU computes the entropy model.
    device: Option<&'a Entropy>,
}

struct Stream {
    info: StreamInfo,
    pack: Arc<Pack>,
    held: Held,
    /// The frame to render.
    last: Option<u32>,
    /// The newest whole frame, and the frame itself if it is held no more: what a damaged one can be made from.
    whole: Option<u32>,
    past: Option<HeldFrame>,
}

impl Decoder {
    /// threads: 0 for all cores.
    pub fn new(runtime: &Runtime, threads: u32) -> Result<Decoder> {
        Ok(Decoder {
            threads: Threads::new(threads)?,
            sessions: Sessions { runtime: runtime.clone(), kernels: Level::best(), device: None, task: Task::None, made: None },
            reading: Reading::default(),
            max_pixels: MAX_PIXELS,
            stream: None,
        })
    }

    /// Which twins of the integer kernels compute the prior. All give the same latents.
    pub fn set_kernels(&mut self, level: Level) {
        self.sessions.kernels = level;
    }

    /// Pictures are made on a device, to the bit as on the CPU. From the next frame on.
    pub fn set_device(&mut self, device: Option<Device>) {
        self.sessions.device = device;
        self.sessions.made = None;
    }

    /// Pictures for whoever looks at them, by the pack's synthesis tuned for that; to be called before the first frame. A stream whose pack has
    /// none is an error of [`decode`](Decoder::decode).
    pub fn set_task(&mut self, task: Task) {
        self.sessions.task = task;
        self.sessions.made = None;
    }

    /// Largest picture to decode, in pixels; at most [`MAX_PIXELS`]. What a header asks for is compared with it before anything is allocated.
    pub fn set_max_pixels(&mut self, pixels: u64) {
        self.max_pixels = pixels.min(MAX_PIXELS);
    }

    /// Whether to count what symbols cost.
    pub fn count_bits(&mut self, on: bool) {
        self.reading.counting = on;
    }

    /// For tests of hostile input: takes slices whose checksum does not hold, or whose payload is too long or too short, as if their sender
    /// had made them so. He could.
    #[doc(hidden)]
    pub fn trust_payloads(&mut self, on: bool) {
        self.reading.trusting = on;
    }

    /// Entropy-decodes one frame (exactly one, as `Packet::data`). On error nothing of it is held and the picture before
    /// stays renderable. A decoder may begin with a key frame, or with a recovery point: see [`Decoded::whole`].
    pub fn decode(&mut self, data: &[u8]) -> Result<Decoded> {
        let threads = self.threads.clone();
        threads.run(|| self.decode_here(data))
    }

    fn decode_here(&mut self, data: &[u8]) -> Result<Decoded> {
        let header = bitstream::parse_header(data)?;
        if let Some(info) = header.stream
            && let Err(e) = self.start(&header, info)
        {
            // The frames after it belong to a stream that is not decoded here.
            if header.key {
                self.reset();
            }
            return Err(e);
        }
        let (threads, kernels) = (self.threads.count(), self.sessions.kernels);
        let Some(stream) = &mut self.stream else {
            let reference = header.references.first().copied().unwrap_or(header.number.wrapping_sub(1));
            return Err(Error::MissingReference { number: header.number, reference });
        };
        let entropy = match self.sessions.device {
            Some(_) => self.sessions.of(&stream.pack, threads).map(|n| n.entropy.as_ref()),
            None => Ok(None),
        };
        let decoded = entropy.and_then(|device| stream.decode(data, &header, threads, kernels, Reading { device, ..self.reading }));
        let shares = decoded.as_ref().map_or(Shares::default(), |d| d.1);
        let frame = match decoded.map(|d| d.0) {
            // The pictures that it is compensated from are made now: later they may be gone.
            Ok(f) if f.vectors.is_empty() => Ok(f),
            Ok(f) => self.sessions.of(&stream.pack, threads).and_then(|n| stream.compensate(f, &header, n, threads, kernels)),
            e => e,
        };
        let frame = match frame {
            Ok(f) => f,
            Err(e) => {
                if header.key {
                    // What was held before a key frame may not be referred to after it.
                    stream.clear();
                }
                return Err(e);
            }
        };
        let latents_crc = latents_crc(&frame.latents);
        if header.key {
            stream.clear();
        }
        let whole = frame.known.is_none();
        let evicted = stream.held.insert(frame);
        stream.keep(evicted);
        stream.last = whole.then_some(header.number);
        if whole {
            (stream.whole, stream.past) = (stream.last, None);
        }
        Ok(Decoded { info: stream.info, number: header.number, key: header.key, whole, latents_crc, shares })
    }

    /// A key frame or recovery point: takes over its description.
    fn start(&mut self, header: &FrameHeader, info: StreamInfo) -> Result<()> {
        let (width, height, most) = (info.width, info.height, self.max_pixels);
        if width as u64 * height as u64 > most {
            return Err(Error::TooLarge { width, height, most });
        }
        let id = header.pack_id.expect("a description has a pack id");
        let held = header.held.expect("a description says how many frames are held");
        match &mut self.stream {
            Some(s) if s.pack.short_id() == id => {
                if (s.info.width, s.info.height) != (info.width, info.height) {
                    s.forget();
                }
                s.info = info;
                s.held.resize(held);
            }
            _ => {
                let pack = Pack::for_stream(header.pack.as_deref().unwrap_or(""), &id)?;
                pack.synthesis_for(self.sessions.task)?;
                self.stream = Some(Stream { info, pack, held: Held::new(held), last: None, whole: None, past: None });
            }
        }
        Ok(())
    }

    /// Synthesises the picture of the last frame decoded; its size must be the stream's.
    pub fn render(&mut self, out: &mut PictureMut) -> Result<()> {
        let threads = self.threads.clone();
        threads.run(|| self.render_here(out))
    }

    fn render_here(&mut self, out: &mut PictureMut) -> Result<()> {
        let s = self.stream.as_mut().ok_or_else(|| Error::Unsupported("nothing was decoded yet".into()))?;
        let frame = s.last.and_then(|n| s.held.get(n)).ok_or_else(|| Error::Unsupported("no whole picture was decoded yet".into()))?;
        if (out.width, out.height) != (s.info.width as usize, s.info.height as usize) {
            return Err(Error::Unsupported("the picture to write has another size than the stream".into()));
        }
        let number = frame.number;
        let networks = self.sessions.of(&s.pack, self.threads.count())?;
        let columns = crate::latent_size(&s.info).0;
        let picture = s.held.picture(number, networks, columns)?.expect("held, as seen above");
        write_picture(picture, s.info.colour, out);
        Ok(())
    }

    /// Latents of the last frame decoded.
    pub fn latents(&self) -> Option<LatentsView<'_>> {
        let s = self.stream.as_ref()?;
        let frame = s.held.get(s.last?)?;
        let (columns, rows) = crate::latent_size(&s.info);
        Some(LatentsView { columns, rows, channels: s.pack.channels, values: &frame.latents, skip: &frame.skip })
    }

    /// Forgets every held frame (flush, seek).
    pub fn reset(&mut self) {
        if let Some(s) = &mut self.stream {
            s.forget();
        }
    }
}

fn write_picture(from: &Planes, colour: Colour, out: &mut PictureMut) {
    let (w, h) = (out.width, out.height);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    if out.format.is_rgb() {
        let order = if out.format == RawFormat::Rgb { [0, 1, 2] } else { [2, 1, 0] };
        let (plane, stride) = &mut out.planes[0];
        return planes::to_rgb(from, rgb::matrix(colour), order, plane, *stride, w, h);
    }
    let mut planes = out.planes.iter_mut();
    let (y, stride) = planes.next().expect("checked when it was made");
    planes::copy(&from.y, from.width, y, *stride, w, h);
    match (out.format, planes.next(), planes.next()) {
        (RawFormat::I420, Some((pu, su)), Some((pv, sv))) => {
            planes::copy(&from.u, from.width / 2, pu, *su, cw, ch);
            planes::copy(&from.v, from.width / 2, pv, *sv, cw, ch);
        }
        (RawFormat::Nv12, Some((uv, s)), _) => planes::interleave(&from.u, &from.v, from.width / 2, uv, *s, cw, ch),
        _ => {} // GRAY8: chroma is dropped
    }
}

impl Stream {
    /// What a key frame does.
    fn clear(&mut self) {
        let evicted = self.held.clear();
        self.keep(evicted);
    }

    fn keep(&mut self, evicted: Vec<HeldFrame>) {
        self.past = evicted.into_iter().find(|f| Some(f.number) == self.whole).or(self.past.take());
    }

    fn forget(&mut self) {
        self.held.clear();
        (self.last, self.whole, self.past) = (None, None, None);
    }

    fn decode(&self, data: &[u8], header: &FrameHeader, threads: usize, kernels: Level, reading: Reading) -> Result<(HeldFrame, Shares)> {
        let m = self.pack.channels;
        let (w, h) = crate::latent_size(&self.info);
        let (count, rows) = (header.slices.len(), header.slice_rows(h)?);
        let known = self.known(header, &rows)?;
        let kernels = Kernels { level: kernels, threads };
        let decode = |i: usize| -> Result<(Latents, Shares)> {
            let (s, rows) = (&header.slices[i], &rows[i]);
            if !knows(known, rows) {
                let moves = matches!(s.kind, SliceKind::Motion { .. });
                return Ok((Latents::unknown(rows.len() * w, m, moves), Shares::default()));
            }
            self.slice_of(data, header, i, rows, kernels, reading)
        };
        let slices = parallel(threads, count, decode);
        reading.device.map_or(Ok(()), Entropy::check)?;
        let mut shares = Shares::default();
        let mut latents = Vec::with_capacity(count);
        for slice in slices {
            let (l, s) = slice?;
            latents.push(l);
            shares.maps += s.maps;
            shares.vectors += s.vectors;
            shares.hyper += s.hyper;
            shares.latents += s.latents;
        }
        let mut frame = HeldFrame { known, ..HeldFrame::of(header.number, header.step, latents, m) };
        if let (Picture::Pending(p), true) = (&mut frame.picture, header.clean.is_some()) {
            p.alone = rows.into_iter().filter(|r| knows(known, r)).collect();
        }
        Ok((frame, shares))
    }

    /// Hyper rows that can be decoded with what is held, from the top; None: all.
    fn known(&self, header: &FrameHeader, rows: &[Range<usize>]) -> Result<Option<usize>> {
        let reference = |s: &SliceHeader| Some(header.number.wrapping_sub(s.kind.distance()? as u32));
        let held = |n: u32, rows: usize| self.held.get(n).is_some_and(|f| f.known.is_none_or(|known| rows <= known));
        let mut references = header.slices.iter().filter_map(reference);
        let Some(missing) = references.find(|&n| !held(n, usize::MAX)) else { return Ok(None) };
        // A cycle of which everything was received so far: its rows need no others.
        let clean = header.clean.unwrap_or(0) as usize;
        let slices: Vec<_> = header.slices.iter().zip(rows).filter(|(_, r)| r.end.div_ceil(2) <= clean).collect();
        let needed = slices.iter().rev().find(|(s, _)| reference(s).is_some()).map_or(0, |(_, r)| r.end.div_ceil(2));
        match slices.last() {
            Some((_, last)) if slices.iter().all(|(s, _)| reference(s).is_none_or(|n| held(n, needed))) => {
                Ok((slices.len() < rows.len()).then_some(last.end.div_ceil(2)))
            }
            _ => Err(Error::MissingReference { number: header.number, reference: missing }),
        }
    }

    /// Fills in the compensated picture of a frame with slices of kind `motion`.
    fn compensate(
        &mut self,
        mut frame: HeldFrame,
        header: &FrameHeader,
        networks: &mut Networks,
        threads: usize,
        kernels: Level,
    ) -> Result<HeldFrame> {
        let (w, h) = crate::latent_size(&self.info);
        let number = header.number;
        let rows = header.slice_rows(h)?;
        let known = frame.known;
        let of = |(s, rows): (&SliceHeader, &Range<usize>)| match s.kind {
            SliceKind::Motion { distance } if knows(known, rows) => Some(number.wrapping_sub(distance as u32)),
            _ => None,
        };
        for reference in header.slices.iter().zip(&rows).filter_map(of) {
            let made = self.held.picture(reference, networks, w)?;
            made.ok_or(Error::MissingReference { number, reference })?;
        }
        let slices: Vec<_> = header.slices.iter().zip(&rows).map(|s| (s.1.clone(), of(s).and_then(|n| self.held.made(n)))).collect();
        let prediction = motion::compensate(kernels, &slices, &frame.vectors, header.clean.is_some(), threads);
        // No slice that is known refers to anything.
        let prediction = prediction.or_else(|| Some(Planes::for_size(16 * w, 16 * h)));
        if let Picture::Pending(p) = &mut frame.picture {
            p.prediction = prediction;
        }
        Ok(frame)
    }

    /// Slice `i` of a frame, in these rows of latents.
    fn slice_of(
        &self,
        data: &[u8],
        header: &FrameHeader,
        i: usize,
        rows: &Range<usize>,
        kernels: Kernels,
        reading: Reading,
    ) -> Result<(Latents, Shares)> {
        let (s, w) = (&header.slices[i], crate::latent_size(&self.info).0);
        let shape = Shape { width: w, height: rows.len() };
        if let Some(lite) = &self.pack.lite {
            return Ok((self.lite_slice(lite, data, header, s, rows)?, Shares::default()));
        }
        let walk = Walk { kernels, prior: self.pack.prior(), step: header.step, shape, groups: s.groups, device: reading.device };
        self.slice(&walk, s, &data[s.range.clone()], header.number, rows.start * w..rows.end * w, reading)
    }

    /// A slice of a lite pack.
    fn lite_slice(&self, lite: &Lite, data: &[u8], header: &FrameHeader, s: &SliceHeader, rows: &Range<usize>) -> Result<Latents> {
        let (number, columns) = (header.number, crate::latent_size(&self.info).0);
        let at = rows.start * columns * lite::CHANNELS..rows.end * columns * lite::CHANNELS;
        let values = match s.kind {
            SliceKind::None => None,
            SliceKind::Latent { distance } => {
                let reference = number.wrapping_sub(distance as u32);
                let frame = self.held.get(reference).ok_or(Error::MissingReference { number, reference })?;
                Some(&frame.latents[at])
            }
            SliceKind::Motion { .. } => return Err(Error::Damaged("a slice of kind motion with a lite pack".into())),
        };
        let (step, groups) = (header.step as usize, s.groups as usize);
        let latents = values.map(|v| lite.latents(step, v));
        let slice = lite::Slice { columns, step, groups, reference: latents.as_deref() };
        let (y, inter) = lite::decode(lite, &slice, rows.len(), &data[s.range.clone()])?;
        let v = lite.values(step, &y, &inter, latents.as_deref().zip(values));
        Ok(Latents { values: v.values, skip: v.copied, motion: None })
    }

    fn slice(
        &self,
        walk: &Walk,
        s: &SliceHeader,
        data: &[u8],
        number: u32,
        positions: Range<usize>,
        reading: Reading,
    ) -> Result<(Latents, Shares)> {
        let mut io = Reader {
            tables: &walk.prior.tables,
            rans: RansDecoder::new(data),
            nothing: s.copies,
            reading,
            in_vectors: false,
            shares: Shares::default(),
        };
        let latents = match s.kind {
            SliceKind::None => walk.none(&mut io),
            SliceKind::Latent { distance } => {
                let reference = number.wrapping_sub(distance as u32);
                let frame = self.held.get(reference).ok_or(Error::MissingReference { number, reference })?;
                let m = walk.prior.channels;
                let latents = &frame.latents[positions.start * m..positions.end * m];
                let in_steps = walk.prior.in_steps(latents, walk.step);
                walk.latent(&Reference { latents, skip: &frame.skip[positions], in_steps: &in_steps }, &mut io)
            }
            SliceKind::Motion { distance } => {
                let reference = number.wrapping_sub(distance as u32);
                let frame = self.held.get(reference).ok_or(Error::MissingReference { number, reference })?;
                let Some(prior) = &walk.prior.motion else {
                    return Err(Error::Damaged("a slice of kind motion with a pack that has no prior for it".into()));
                };
                walk.motion(&frame.tracks(walk.prior.channels, walk.shape.width, positions.start), &prior.inter, &mut io)
            }
        };
        let shares = io.shares;
        if !io.rans.finish(latents.crc()) && !reading.trusting {
            return Err(Error::Damaged(format!("a slice of frame {number} fails its CRC")));
        }
        Ok((latents, shares))
    }
}

/// Whether rows of latents lie within the hyper rows that are known.
fn knows(known: Option<usize>, rows: &Range<usize>) -> bool {
    known.is_none_or(|n| rows.end.div_ceil(2) <= n)
}

struct Reader<'a> {
    tables: &'a Tables,
    rans: RansDecoder<'a>,
    /// The slice copies all of its reference.
    nothing: bool,
    reading: Reading<'a>,
    in_vectors: bool,
    shares: Shares,
}

impl Reader<'_> {
    fn values(&mut self, mean: &[i16], scale: &[u8], out: &mut [i16]) -> f64 {
        for ((o, &m), &s) in out.iter_mut().zip(mean).zip(scale) {
            *o = self.tables.decode(&mut self.rans, m, s).clamp(-MAX_LATENT, MAX_LATENT) as i16;
        }
        if !self.reading.counting {
            return 0.0;
        }
        out.iter().zip(mean).zip(scale).map(|((&k, &m), &s)| self.tables.bits(k as i32, m, s) as f64).sum()
    }
}

impl FlagIo for Reader<'_> {
    fn flag(&mut self, p: u32, _: bool) -> bool {
        if self.nothing {
            return true;
        }
        let f = self.rans.peek() < p;
        let (start, freq) = if f { (0, p) } else { (p, 32768 - p) };
        self.rans.advance(start, freq);
        if self.reading.counting {
            let share = if self.in_vectors { &mut self.shares.vectors } else { &mut self.shares.maps };
            *share -= (freq as f64 / 32768.0).log2();
        }
        f
    }

    fn vectors(&mut self, on: bool) {
        self.in_vectors = on;
    }
}

impl SymbolIo for Reader<'_> {
    fn exhausted(&self) -> bool {
        !self.reading.trusting && self.rans.overrun()
    }

    fn wanted(&self, _: usize) -> Block {
        Block::default()
    }

    fn hyper(&mut self, _: usize, mean: &[i16], scale: &[u8], out: &mut [i16]) {
        if !self.exhausted() {
            self.shares.hyper += self.values(mean, scale, out);
        }
    }

    fn latents(&mut self, positions: &[usize], heads: &Heads, m: usize, n: usize, values: &mut [i16]) {
        for (row, &p) in positions.iter().enumerate() {
            if self.exhausted() {
                return;
            }
            let at = row * m..row * m + n;
            self.shares.latents += self.values(&heads.mean[at.clone()], &heads.scale[at], &mut values[p * m..p * m + n]);
        }
    }
}
