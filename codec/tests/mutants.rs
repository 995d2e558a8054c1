//! Damaged and malicious frames: no panic, no endless work, no memory beyond what the picture in the header takes, and never a wrong
//! picture. Half of the mutants are signed anew: their headers have the right CRC, and their payloads are taken whatever their
//! checksum, as if whoever made them had signed those too.

#[path = "common/allocations.rs"]
mod allocations;
mod common;
#[path = "common/mutate.rs"]
mod mutate;

use allocations::peak;
use common::{Camera, golden, runtime, tiny, tiny_motion};
use lic_codec::bitstream::{self, FrameHeader, HeaderSource, Scan, SliceKind, SliceSource};
use lic_codec::decoder::MAX_PIXELS;
use lic_codec::{Decoder, Error, Inter, Pack, PictureMut, RawFormat, Settings};
use mutate::{Random, change};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bytes that decoding, rendering or concealing one frame may hold at most beside what was held before: for each pixel of the picture (whole
/// blocks of 16x16 of it), and for what does not follow the picture.
const BYTES_A_PIXEL: usize = 24;
const BYTES: usize = 1 << 20;

struct Stream {
    frames: Vec<Vec<u8>>,
    /// Of each frame.
    latents: Vec<u32>,
}

fn decoder() -> Decoder {
    // One thread: all that a frame takes is then held by the one that counts.
    Decoder::new(&runtime(), 1).unwrap()
}

/// The golden streams and small ones of every kind of frame.
fn streams() -> Vec<Stream> {
    let from_file = |name: &str| {
        let data = std::fs::read(golden(&format!("{name}.lic"))).unwrap();
        let (mut at, mut out) = (0, vec![]);
        while let Scan::Frame(h) = bitstream::scan(&data[at..]) {
            out.push(data[at..at + h.length].to_vec());
            at += h.length;
        }
        out
    };
    let fresh = |pack: Arc<Pack>, width, height, s: Settings| -> Vec<Vec<u8>> {
        let camera = Camera { width, height, noise: 2, pan: 3 };
        let mut e = camera.encoder_with(pack, Settings { threads: 1, ..s });
        (0..10).map(|t| camera.encode(&mut e, t, false).data).collect()
    };
    let s = Settings::default;
    let mut all: Vec<_> = ["static", "moving", "shifted"].map(from_file).to_vec();
    all.extend([
        fresh(tiny(), 48, 80, Settings { inter: Inter::Latent, slices: 2, quality: 80.0, ..s() }),
        fresh(tiny_motion(), 80, 64, Settings { inter: Inter::Motion, quality: 90.0, ..s() }),
        fresh(tiny_motion(), 64, 130, Settings { inter: Inter::Auto, slices: 2, intra_refresh: 4, ..s() }),
        fresh(tiny_motion(), 17, 33, Settings { inter: Inter::Latent, intra_refresh: 2, ..s() }),
    ]);
    let with_latents = |frames: Vec<Vec<u8>>| {
        let mut d = decoder();
        let latents = frames.iter().map(|f| d.decode(f).unwrap().latents_crc).collect();
        Stream { frames, latents }
    };
    all.into_iter().map(with_latents).collect()
}

/// Bytes of the header, CRC included.
fn header_length(frame: &[u8]) -> usize {
    bitstream::parse_header(frame).unwrap().slices[0].range.start
}

/// The frame with the length and the CRC that its header of `end` bytes should have.
fn signed(frame: &[u8], end: usize) -> Vec<u8> {
    let skip = frame.iter().skip(3).position(|b| b & 0x80 == 0).unwrap_or(0) + 4;
    if end < skip + 2 || end > frame.len() {
        return frame.to_vec();
    }
    let mut out = frame[..3].to_vec();
    let mut n = frame.len() - skip;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(&frame[skip..end - 2]);
    let crc = crc32c::crc32c(&out) as u16;
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&frame[end..]);
    out
}

/// Some bytes changed; `sign`: and the header signed anew.
fn changed(r: &mut Random, frame: &[u8], other: &[u8], sign: bool) -> Vec<u8> {
    let mut f = frame.to_vec();
    let mut end = header_length(frame);
    for _ in 0..1 + r.next(3) {
        // Headers are short: without a preference hardly any would change, and unsigned ones go no further.
        let in_header = r.once_in(if sign { 3 } else { 5 });
        let within = if in_header { 2..end.saturating_sub(2).max(3) } else { end..f.len().max(end + 1) };
        let c = change(r, &mut f, within, other);
        if c.at < end {
            end = end.saturating_add_signed(c.longer).min(f.len());
        }
    }
    if sign { signed(&f, end) } else { f }
}

/// A frame written anew: fields of its header changed, slices from elsewhere, bytes of payloads changed.
fn rewritten(r: &mut Random, frame: &[u8], other: &[u8]) -> Vec<u8> {
    let (h, from) = (bitstream::parse_header(frame).unwrap(), bitstream::parse_header(other).unwrap());
    let source = |f: &[u8], h: &FrameHeader, i: usize| {
        let s = &h.slices[i];
        let hyper_rows = s.hyper_rows.unwrap_or(1);
        SliceSource { kind: s.kind, groups: s.groups, copies: s.copies, hyper_rows, payload: f[s.range.clone()].to_vec().into() }
    };
    let mut slices: Vec<SliceSource> = (0..h.slices.len()).map(|i| source(frame, &h, i)).collect();
    let (mut number, mut step, mut clean) = (h.number, h.step, h.clean);
    let mut stream = h.stream.map(|i| (i, h.held.unwrap(), h.pack_id.unwrap(), h.pack.clone().unwrap()));
    for _ in 0..1 + r.next(4) {
        let i = r.next(slices.len());
        match r.next(14) {
            0 => step = r.next(64) as u8,
            1 => number = number.wrapping_add(r.next(4) as u32).wrapping_sub(1),
            2 => slices[i].groups = 1 + r.next(8) as u8,
            3 => slices[i].copies = !slices[i].copies && slices[i].kind != SliceKind::None,
            4 => {
                let distance = 1 + r.next(3) as u8;
                slices[i].kind = match r.next(3) {
                    0 => SliceKind::None,
                    1 => SliceKind::Latent { distance },
                    _ => SliceKind::Motion { distance },
                };
            }
            5 => slices[i] = source(other, &from, r.next(from.slices.len())),
            6 => slices.insert(i, source(other, &from, r.next(from.slices.len()))),
            7 if slices.len() > 1 => drop(slices.remove(i)),
            8 => clean = if r.once_in(3) { None } else { Some(r.next(6) as u32) },
            9 => slices[i].hyper_rows = 1 + r.next(4) as u32,
            10 => {
                if let Some((info, held, ..)) = &mut stream {
                    *held = 1 + r.next(8) as u8;
                    let (w, h) = (&mut info.width, &mut info.height);
                    *if r.once_in(2) { w } else { h } = 1 + if r.once_in(40) { r.next(65535) } else { r.next(160) } as u32;
                }
            }
            _ => {
                let all = 0..slices[i].payload.len();
                let _ = change(r, slices[i].payload.to_mut(), all, other);
            }
        }
    }
    let stream = stream.as_ref().map(|(info, held, id, name)| (info, *held, *id, &name[..]));
    bitstream::write_frame(&HeaderSource { number, step, key: h.key, stream, clean, slices: &slices })
}

/// What became of mutants.
#[derive(Clone, Copy, Default)]
struct Tally {
    all: u32,
    signed: u32,
    /// Their symbols were decoded, whatever the checksum said then.
    decoded: u32,
    /// Taken as frames.
    taken: u32,
    rendered: u32,
    concealed: u32,
    /// Bytes.
    peak: usize,
}

struct Mutator<'a> {
    r: Random,
    tally: Tally,
    /// Says that this thread still moves: the generator's state before the mutant that it is at.
    pulse: &'a AtomicU64,
}

impl Mutator<'_> {
    fn guarded<T>(&mut self, pixels: u64, what: &str, mutant: &[u8], f: impl FnOnce() -> T) -> T {
        let about = |state| format!("{what}, state {state:#x}, mutant {mutant:02x?}");
        let state = self.pulse.load(Relaxed);
        let (result, held) = peak(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)));
        assert!(held <= BYTES + BYTES_A_PIXEL * pixels as usize, "{held} bytes for {pixels} pixels; {}", about(state));
        self.tally.peak = self.tally.peak.max(held);
        result.unwrap_or_else(|_| panic!("a panic; {}", about(state)))
    }

    /// Some mutants of frame `n` of a stream, at a decoder that has those before.
    fn burst(&mut self, streams: &[Stream], stream: &Stream, n: usize, d: &mut Decoder) {
        let warm = |d: &mut Decoder| {
            d.reset();
            d.trust_payloads(false);
            let taken = |f: &Vec<u8>| d.decode(f).map(|d| d.latents_crc).unwrap();
            assert_eq!(stream.frames[..n].iter().map(taken).collect::<Vec<_>>(), stream.latents[..n]);
        };
        let blocks = |(w, h): (u32, u32)| w.next_multiple_of(16) as u64 * h.next_multiple_of(16) as u64;
        let own = bitstream::parse_header(&stream.frames[0]).unwrap().stream.unwrap();
        let mut size = (own.width, own.height);
        warm(d);
        for _ in 0..64 {
            self.pulse.store(self.r.0, Relaxed);
            let r = &mut self.r;
            let from = &streams[r.next(streams.len())];
            let (frame, other) = (&stream.frames[n], &from.frames[r.next(from.frames.len())]);
            let sign = r.once_in(2);
            let m = match r.next(8) {
                0..=3 if sign => rewritten(r, frame, other),
                // As it is, but not in its place.
                7 => other.clone(),
                _ => changed(r, frame, other, sign),
            };
            let header = bitstream::parse_header(&m);
            let mut pixels = blocks(size);
            if let Some(s) = header.as_ref().ok().and_then(|h| h.stream).filter(|s| s.width as u64 * s.height as u64 <= MAX_PIXELS) {
                size = (s.width, s.height);
                pixels = pixels.max(blocks(size));
            }
            // Symbols of large pictures, out of a few bytes, take their time: those are not trusted, and end early.
            let trusted = sign && pixels <= 1 << 16;
            d.trust_payloads(trusted);
            self.tally.all += 1;
            self.tally.signed += sign as u32;
            let result = self.guarded(pixels, "decoding", &m, || d.decode(&m));
            d.trust_payloads(false);
            match result {
                Ok(decoded) => {
                    (self.tally.decoded, self.tally.taken) = (self.tally.decoded + 1, self.tally.taken + 1);
                    // Headers may have been signed anew; under the same header there is one truth.
                    let same = header.is_ok_and(|h| frame.starts_with(&m[..h.slices[0].range.start]));
                    assert!(
                        !same || trusted || !decoded.whole || decoded.latents_crc == stream.latents[n],
                        "wrong latents; state {:#x}",
                        self.r.0
                    );
                    self.go_on(stream, n, d, &m, size);
                    size = (own.width, own.height);
                    warm(d);
                }
                // Said of a slice when it was walked.
                Err(Error::Damaged(what)) if what.contains("fails its CRC") && header.is_ok() => {
                    self.tally.decoded += 1;
                    if n > 0 && self.r.once_in(4) {
                        self.tally.concealed += self.shown(size, &m, |d, out| d.conceal(&m, out), d) as u32;
                    }
                    if self.r.once_in(4) {
                        size = (own.width, own.height);
                        warm(d);
                    }
                }
                Err(_) => {}
            }
        }
    }

    /// The picture of a mutant that was taken, and the frames after it on top of it.
    fn go_on(&mut self, stream: &Stream, n: usize, d: &mut Decoder, m: &[u8], size: (u32, u32)) {
        if self.r.once_in(2) {
            self.tally.rendered += self.shown(size, m, |d, out| d.render(out), d) as u32;
        }
        let after = self.r.next(3).min(stream.frames.len() - 1 - n);
        for f in &stream.frames[n + 1..n + 1 + after] {
            let pixels = size.0.next_multiple_of(16) as u64 * size.1.next_multiple_of(16) as u64;
            d.trust_payloads(pixels <= 1 << 16);
            // Whatever becomes of it.
            let _ = self.guarded(pixels.max(1 << 16), "decoding what follows", m, || d.decode(f));
        }
    }

    fn shown(
        &mut self,
        (width, height): (u32, u32),
        m: &[u8],
        f: impl FnOnce(&mut Decoder, &mut PictureMut) -> lic_codec::error::Result<()>,
        d: &mut Decoder,
    ) -> bool {
        let mut sample = vec![0; width as usize * height as usize];
        let planes = vec![(&mut sample[..], width as usize)];
        let mut out = PictureMut::new(RawFormat::Gray8, width, height, planes).unwrap();
        let pixels = width.next_multiple_of(16) as u64 * height.next_multiple_of(16) as u64;
        self.guarded(pixels, "showing", m, || f(d, &mut out)).is_ok()
    }
}

fn run(seed: u64, rounds: u32, pulse: &AtomicU64) -> Tally {
    let streams = streams();
    let mut decoders: Vec<Decoder> = streams.iter().map(|_| decoder()).collect();
    // What is made once, with the first picture.
    for (s, d) in streams.iter().zip(&mut decoders) {
        let i = bitstream::parse_header(&s.frames[0]).unwrap().stream.unwrap();
        let mut sample = vec![0; i.width as usize * i.height as usize];
        d.decode(&s.frames[0]).unwrap();
        let planes = vec![(&mut sample[..], i.width as usize)];
        d.render(&mut PictureMut::new(RawFormat::Gray8, i.width, i.height, planes).unwrap()).unwrap();
    }
    let mut m = Mutator { r: Random(seed), tally: Tally::default(), pulse };
    while m.tally.all < rounds {
        let i = m.r.next(streams.len());
        let n = m.r.next(streams[i].frames.len());
        m.burst(&streams, &streams[i], n, &mut decoders[i]);
    }
    m.tally
}

/// Ends the program, and says where it was, if a thread is at one mutant for minutes; milliseconds would do.
fn watch(pulses: &[AtomicU64], done: &AtomicBool) {
    let mut last = vec![0; pulses.len()];
    for second in 1u64.. {
        std::thread::sleep(Duration::from_secs(1));
        if done.load(Relaxed) {
            return;
        }
        if second % 180 == 0 {
            for (l, p) in last.iter_mut().zip(pulses) {
                let now = p.load(Relaxed);
                if now == *l && now != u64::MAX {
                    eprintln!("a mutant does not end: state {now:#x}");
                    std::process::abort();
                }
                *l = now;
            }
        }
    }
}

fn check(rounds: u32, seed: u64) {
    let pulses = [AtomicU64::new(0), AtomicU64::new(0)];
    let done = AtomicBool::new(false);
    println!("seed {seed}");
    let tallies: Vec<Tally> = std::thread::scope(|s| {
        s.spawn(|| watch(&pulses, &done));
        let one = |(i, pulse)| {
            s.spawn(move || {
                let tally = run(seed + i, rounds / 2, pulse);
                pulse.store(u64::MAX, Relaxed);
                tally
            })
        };
        let threads: Vec<_> = (0u64..).zip(&pulses).map(one).collect();
        let results: Vec<_> = threads.into_iter().map(|t| t.join()).collect();
        done.store(true, Relaxed);
        results.into_iter().map(|t| t.unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    let sum = |f: fn(&Tally) -> u32| tallies.iter().map(f).sum::<u32>();
    let (all, decoded) = (sum(|t| t.all), sum(|t| t.decoded));
    println!(
        "{all} mutants, {} signed anew; {:.1}% reached entropy decoding, {} were taken as frames, {} shown, {} concealed; at most {} KiB held",
        sum(|t| t.signed),
        100.0 * decoded as f64 / all as f64,
        sum(|t| t.taken),
        sum(|t| t.rendered),
        sum(|t| t.concealed),
        tallies.iter().map(|t| t.peak).max().unwrap() >> 10
    );
    assert!(decoded as u64 * 10 >= all as u64 * 3, "{decoded} of {all} reached entropy decoding");
}

#[test]
fn a_hundred_thousand_mutants() {
    check(100_000, 1);
}

/// `make soak`: others than the test's, a million.
#[test]
#[ignore = "minutes; make soak"]
fn a_million_mutants() {
    let seed = std::env::var("SOAK_SEED").map_or(1000, |s| s.parse().expect("SOAK_SEED is a number"));
    check(1_000_000, seed);
}

/// A key frame of `pack` that says it has so many pixels, with a payload of `bytes`.
fn key_frame(pack: &Pack, width: u32, height: u32, payload: Vec<u8>) -> Vec<u8> {
    let info = Camera { width: width as usize, height: height as usize, noise: 0, pan: 0 }.info();
    let id = pack.id()[..16].try_into().unwrap();
    let slice = SliceSource { kind: SliceKind::None, groups: 8, copies: false, hyper_rows: 1, payload: payload.into() };
    let stream = Some((&info, 4, id, pack.name()));
    bitstream::write_frame(&HeaderSource { number: 0, step: 40, key: true, stream, clean: None, slices: &[slice] })
}

/// What a header says is not paid for before there are symbols for it.
#[test]
fn a_large_picture_of_a_few_bytes_takes_no_memory() {
    let mut r = Random(5);
    for pack in [tiny(), tiny_motion(), Pack::open("base").unwrap()] {
        for (width, height) in [(4096, 2304), (65535, 144), (144, 65535)] {
            let garbage = (0..100).map(|_| r.next(256) as u8).collect();
            let frame = key_frame(&pack, width, height, garbage);
            let mut d = decoder();
            let (result, held) = peak(|| d.decode(&frame));
            println!("{}: {} bytes that claim {width}x{height} hold {} KiB", pack.name(), frame.len(), held >> 10);
            assert!(matches!(result, Err(Error::Damaged(_))), "{result:?}");
            assert!(held <= width as usize * height as usize, "{held} bytes");
        }
        for (width, height, most) in
            [(4096, 2305, u64::MAX), (65535, 65535, MAX_PIXELS), (4096, 2304, MAX_PIXELS - 1), (640, 480, 640 * 479)]
        {
            let frame = key_frame(&pack, width, height, vec![0; 100]);
            let mut d = decoder();
            d.set_max_pixels(most);
            let (result, held) = peak(|| d.decode(&frame));
            assert!(matches!(result, Err(Error::TooLarge { .. })) && held < 1 << 16, "{held} bytes, {result:?}");
        }
    }
}

/// Frames of every kind, all of whose symbols are there, and garbage.
#[test]
fn garbage_takes_what_its_pixels_do() {
    let (width, height) = (1024, 576);
    let pixels = width as usize * height as usize;
    for pack in [tiny(), tiny_motion(), Pack::open("base").unwrap()] {
        let mut r = Random(6);
        let mut garbage = |n: usize| (0..n).map(|_| r.next(256) as u8).collect::<Vec<u8>>();
        let mut d = decoder();
        d.trust_payloads(true);
        let mut check = |what: &str, f: &mut dyn FnMut(&mut Decoder)| {
            let ((), held) = peak(|| f(&mut d));
            println!("{}: {width}x{height}, {what}: {} KiB, {:.1} bytes a pixel", pack.name(), held >> 10, held as f64 / pixels as f64);
            assert!(held <= BYTES + BYTES_A_PIXEL * pixels, "{held} bytes for {pixels} pixels");
        };
        let frame = key_frame(&pack, width, height, garbage(1 << 20));
        check("kind none", &mut |d| assert!(d.decode(&frame).is_ok()));
        let kinds = [("kind latent", SliceKind::Latent { distance: 1 }), ("kind motion", SliceKind::Motion { distance: 1 })];
        for (number, (what, kind)) in (1..).zip(kinds).take(if pack.name() == "tiny" { 1 } else { 2 }) {
            let slices = [SliceSource { kind, groups: 8, copies: false, hyper_rows: 1, payload: garbage(1 << 20).into() }];
            let frame = bitstream::write_frame(&HeaderSource { number, step: 40, key: false, stream: None, clean: None, slices: &slices });
            check(what, &mut |d| assert!(d.decode(&frame).is_ok()));
            let mut y = vec![0; pixels];
            let planes = vec![(&mut y[..], width as usize)];
            let mut out = PictureMut::new(RawFormat::Gray8, width, height, planes).unwrap();
            check("its picture", &mut |d| d.render(&mut out).unwrap());
        }
    }
}
