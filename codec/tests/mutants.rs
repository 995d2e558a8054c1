//! Damaged and malicious frames: no panic, no endless work, no memory beyond what the header's picture takes, and never a wrong picture.

mod common;

use common::{golden, runtime, tiny};
use lic_codec::{Decoder, Error, bitstream};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(by: isize) {
    // While a thread ends there is nothing to count in any more.
    let _ = HELD.try_with(|h| {
        h.set(h.get() + by);
        let _ = PEAK.try_with(|p| p.set(p.get().max(h.get())));
    });
}

// SAFETY: everything is the system's allocator; counting touches thread-local numbers only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        count(l.size() as isize);
        // SAFETY: the caller's.
        unsafe { System.alloc(l) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        count(-(l.size() as isize));
        // SAFETY: the caller's.
        unsafe { System.dealloc(p, l) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that decoding may hold at once: for each pixel of the picture, and at least.
const BYTES_A_PIXEL: isize = 96;
const BYTES: isize = 8 << 20;

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        // Numerical Recipes' 64-bit LCG, upper bits.
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % below.max(1)
    }
}

fn streams() -> Vec<Vec<Vec<u8>>> {
    let frames = |name: &str| {
        let data = std::fs::read(golden(&format!("{name}.lic"))).unwrap();
        let (mut at, mut out) = (0, vec![]);
        while let bitstream::Scan::Frame(h) = bitstream::scan(&data[at..]) {
            out.push(data[at..at + h.length].to_vec());
            at += h.length;
        }
        out
    };
    // Where decoders find their packs.
    tiny();
    ["static", "moving", "shifted"].map(frames).to_vec()
}

/// The frame anew with the length and the CRC that its header should have; `end`: of the header, CRC included.
fn repaired(frame: &[u8], end: usize) -> Vec<u8> {
    let skip = frame[3..].iter().position(|b| b & 0x80 == 0).unwrap_or(0) + 4;
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

fn mutant(r: &mut Random, frame: &[u8], other: &[u8]) -> Vec<u8> {
    let mut f = frame.to_vec();
    let mut end = bitstream::parse_header(frame).unwrap().slices[0].range.start;
    let repair = r.next(2) == 0;
    for _ in 0..1 + r.next(3) {
        // Headers are short: without a preference hardly any would change.
        let in_header = r.next(3) == 0;
        let at = if in_header { 2 + r.next(end.saturating_sub(4)) } else { end + r.next(f.len().saturating_sub(end)) };
        let at = at.min(f.len().saturating_sub(1));
        match r.next(8) {
            0..=2 => f[at] ^= 1 << r.next(8),
            3 | 4 => f[at] = r.next(256) as u8,
            5 => {
                let n = 1 + r.next(12.min(f.len() - at));
                f.drain(at..at + n);
                if at < end {
                    end = end.saturating_sub(n).max(6);
                }
                if f.is_empty() {
                    return f;
                }
            }
            6 => {
                let n = 1 + r.next(12);
                let from = r.next(other.len());
                let bytes: Vec<u8> = other[from..].iter().copied().take(n).collect();
                if at < end {
                    end += bytes.len();
                }
                f.splice(at..at, bytes);
            }
            _ => {
                let from = r.next(other.len());
                let n = (1 + r.next(40)).min(other.len() - from).min(f.len() - at);
                f[at..at + n].copy_from_slice(&other[from..from + n]);
            }
        }
    }
    if repair { repaired(&f, end) } else { f }
}

/// What became of mutants.
#[derive(Default, Debug)]
struct Tally {
    all: u32,
    /// Their symbols were decoded, whatever the checksum said then.
    decoded: u32,
    /// Taken as whole frames.
    taken: u32,
    peak: isize,
}

fn run(seed: u64, rounds: u32) -> Tally {
    let streams = streams();
    let mut tally = Tally::default();
    let mut r = Random(seed);
    while tally.all < rounds {
        let stream = &streams[r.next(streams.len())];
        let n = r.next(stream.len());
        let mut d = Decoder::new(&runtime(), 1).unwrap();
        let warm = |d: &mut Decoder| stream[..n].iter().for_each(|f| assert!(d.decode(f).is_ok()));
        warm(&mut d);
        let truth = {
            let mut d = Decoder::new(&runtime(), 1).unwrap();
            warm(&mut d);
            d.decode(&stream[n]).unwrap().latents_crc
        };
        for _ in 0..200 {
            let from = &streams[r.next(streams.len())];
            let other = &from[r.next(from.len())];
            let (m, state) = (mutant(&mut r, &stream[n], other), r.0);
            tally.all += 1;
            let header = bitstream::parse_header(&m);
            let pixels = header.as_ref().ok().and_then(|h| h.stream).map_or(0, |s| s.width as isize * s.height as isize);
            let pixels = pixels.min(lic_codec::decoder::MAX_PIXELS as isize).max(175 * 143);
            let before = HELD.get();
            PEAK.set(before);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| d.decode(&m)));
            let peak = PEAK.get() - before;
            tally.peak = tally.peak.max(peak);
            let about = || format!("seed {seed}, state {state}, mutant {m:02x?}");
            assert!(peak <= BYTES + BYTES_A_PIXEL * pixels, "{peak} bytes for {pixels} pixels; {}", about());
            match result {
                Err(_) => panic!("a panic; {}", about()),
                Ok(Ok(decoded)) => {
                    (tally.decoded, tally.taken) = (tally.decoded + 1, tally.taken + 1);
                    // What a header says of itself may have been changed and signed anew; the same header must mean the same latents.
                    let same = m.len() >= 3
                        && header.is_ok_and(|h| m[..h.slices[0].range.start] == stream[n][..h.slices[0].range.start.min(stream[n].len())]);
                    assert!(!same || decoded.latents_crc == truth, "a wrong picture; {}", about());
                    // It may have been a key frame, or of another number.
                    d = Decoder::new(&runtime(), 1).unwrap();
                    warm(&mut d);
                }
                Ok(Err(Error::Damaged(what))) if what.contains("slice") && header.is_ok() => tally.decoded += 1,
                Ok(Err(_)) => {}
            }
        }
    }
    tally
}

fn check(rounds: u32, seed: u64) {
    let tallies: Vec<Tally> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..2).map(|i| s.spawn(move || run(seed + i, rounds / 2))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    let sum = |f: fn(&Tally) -> u32| tallies.iter().map(f).sum::<u32>();
    let (all, decoded) = (sum(|t| t.all), sum(|t| t.decoded));
    let peak = tallies.iter().map(|t| t.peak).max().unwrap();
    println!(
        "{all} mutants, {:.0}% reached entropy decoding, {} taken as frames, at most {} KiB held",
        100.0 * decoded as f64 / all as f64,
        sum(|t| t.taken),
        peak >> 10
    );
    assert!(decoded * 10 >= all * 3, "{decoded} of {all} reached entropy decoding");
}

#[test]
fn a_hundred_thousand_mutants() {
    check(100_000, 1);
}

/// `make soak`: others than the test's, a million.
#[test]
#[ignore = "minutes"]
fn a_million_mutants() {
    check(1_000_000, 1000);
}
