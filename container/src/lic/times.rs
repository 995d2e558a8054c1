//! When a frame is shown, in an extension of its header: exact to the nanosecond, a few bytes a frame, and dependent on nothing but the
//! last key frame.

use crate::Result;
use lic_codec::bitstream::{self, FrameHeader};

/// Items of an extension: a tag, a size and as many bytes.
const TIME: u8 = 1;
const DIFFERENCE: u8 = 2;

/// Where the times of a stream stand: those of frames between key frames are differences to what the frame rate says.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    number: u32,
    time: u64,
    /// Frames a second, as a fraction.
    fps: (u32, u32),
}

impl Anchor {
    /// When frame `number` should come.
    fn expected(&self, number: u32) -> u64 {
        let frames = number.wrapping_sub(self.number) as u128;
        let period = if self.fps.0 > 0 { frames * self.fps.1 as u128 * 1_000_000_000 / self.fps.0 as u128 } else { 0 };
        self.time.wrapping_add(period as u64)
    }

    fn of(h: &FrameHeader, time: u64) -> Option<Anchor> {
        h.stream.filter(|_| h.key).map(|s| Anchor { number: h.number, time, fps: s.fps })
    }
}

/// Writes times into frames.
#[derive(Clone, Debug, Default)]
pub struct TimeWriter {
    anchor: Option<Anchor>,
}

impl TimeWriter {
    /// The frame with its time in nanoseconds, in place of a time that it has.
    pub fn stamp(&mut self, frame: &[u8], time: u64) -> Result<Vec<u8>> {
        let h = bitstream::parse_header(frame)?;
        self.anchor = Anchor::of(&h, time).or(self.anchor);
        let mut extension: Vec<u8> = Vec::new();
        for (tag, bytes) in items(&frame[h.extension.clone()]).filter(|i| i.0 != TIME && i.0 != DIFFERENCE) {
            extension.extend([tag, bytes.len() as u8]);
            extension.extend_from_slice(bytes);
        }
        let difference = self.anchor.filter(|_| !h.key).map(|a| time.wrapping_sub(a.expected(h.number)) as i64);
        match difference {
            Some(d) if d.unsigned_abs() < 1 << 40 => {
                let mut zigzag = ((d << 1) ^ (d >> 63)) as u64;
                let mut bytes = Vec::new();
                while zigzag > 0 {
                    bytes.push(zigzag as u8);
                    zigzag >>= 8;
                }
                extension.extend([DIFFERENCE, bytes.len() as u8]);
                extension.extend(bytes);
            }
            _ => {
                extension.extend([TIME, 8]);
                extension.extend(time.to_le_bytes());
            }
        }
        Ok(bitstream::with_extension(frame, &extension)?)
    }
}

/// Reads them.
#[derive(Clone, Debug, Default)]
pub struct TimeReader {
    anchor: Option<Anchor>,
}

impl TimeReader {
    /// The time in nanoseconds that a frame says it has; None: it says none, or the key frame that it counts from is not known.
    pub fn read(&mut self, frame: &[u8], h: &FrameHeader) -> Option<u64> {
        let time = items(frame.get(h.extension.clone())?).find_map(|(tag, bytes)| match tag {
            TIME => Some(u64::from_le_bytes(bytes.try_into().ok()?)),
            DIFFERENCE if bytes.len() <= 8 => {
                let zigzag = bytes.iter().rev().fold(0u64, |v, b| v << 8 | *b as u64);
                let d = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                Some(self.anchor?.expected(h.number).wrapping_add_signed(d))
            }
            _ => None,
        });
        if h.key {
            self.anchor = time.and_then(|t| Anchor::of(h, t));
        }
        time
    }

    /// Frames follow that do not follow the last one.
    pub fn jump(&mut self) {
        self.anchor = None;
    }
}

/// Tags and bytes; what does not fit ends them.
fn items(mut extension: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&tag, rest) = extension.split_first()?;
        let (&size, rest) = rest.split_first()?;
        let bytes = rest.get(..size as usize)?;
        extension = &rest[size as usize..];
        Some((tag, bytes))
    })
}

/// Gives every frame a time: its own or, where it says none, one period of the last known frame rate behind the frame before.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    fps: Option<(u32, u32)>,
    next: u64,
}

impl Clock {
    /// Of the next frame in order, in nanoseconds; `time`: what it says itself.
    pub fn time(&mut self, h: &FrameHeader, time: Option<u64>) -> u64 {
        self.fps = h.stream.map(|s| s.fps).filter(|f| f.0 > 0 && f.1 > 0).or(self.fps);
        let time = time.unwrap_or(self.next);
        let (n, d) = self.fps.unwrap_or(UNKNOWN_RATE);
        self.next = time.saturating_add(1_000_000_000 * d as u64 / n as u64);
        time
    }
}

/// What a stream is taken for that does not say its frame rate.
const UNKNOWN_RATE: (u32, u32) = (30, 1);
