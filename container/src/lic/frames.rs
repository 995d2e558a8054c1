//! The frames of a byte stream, one after the other, with what is between them counted.

use super::index::MAGIC;
use super::times::TimeReader;
use crate::Result;
use lic_codec::bitstream::{FrameHeader, MAX_FRAME, Scan, scan};
use std::io::Read;

/// A whole frame of a file.
#[derive(Clone, Debug)]
pub struct Frame {
    pub data: Vec<u8>,
    pub header: FrameHeader,
    /// Byte at which it begins.
    pub offset: u64,
    /// Nanoseconds, if the frame says so.
    pub time: Option<u64>,
}

/// Reads them. Holds one frame and what a read gives at once.
pub struct Frames<R> {
    from: R,
    held: Vec<u8>,
    /// What of `held` is done with.
    at: usize,
    /// Byte of the file at which `held` begins.
    base: u64,
    times: TimeReader,
    /// Bytes of no frame so far, and how often there were some.
    damage: (u64, u64),
    lost: bool,
    done: bool,
}

/// How much is read at once.
const CHUNK: usize = 1 << 16;

impl<R: Read> Frames<R> {
    /// `base`: the byte of the file at which `from` stands.
    pub fn new(from: R, base: u64) -> Frames<R> {
        Frames { from, held: Vec::new(), at: 0, base, times: TimeReader::default(), damage: (0, 0), lost: false, done: false }
    }

    /// Bytes that belong to no whole frame (nor to an index), and in how many places they lay, so far.
    pub fn damage(&self) -> (u64, u64) {
        self.damage
    }

    /// Byte behind the last frame.
    pub fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    #[allow(clippy::should_implement_trait)] // it can fail
    /// The next whole frame; None at the end.
    pub fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            let rest = &self.held[self.at..];
            if self.done && rest.is_empty() || rest.starts_with(&MAGIC) {
                return Ok(None);
            }
            let most = self.held.len() - self.at;
            match scan(rest) {
                Scan::Frame(header) => {
                    let data = rest[..header.length].to_vec();
                    let offset = self.position();
                    self.at += header.length;
                    self.lost = false;
                    let time = self.times.read(&data, &header);
                    return Ok(Some(Frame { data, header, offset, time }));
                }
                Scan::NeedMore(n) if !self.done && n <= MAX_FRAME => {
                    self.fill(n)?;
                    if most == self.held.len() - self.at {
                        self.done = true;
                    }
                }
                Scan::NeedMore(_) => self.skip(rest.iter().skip(1).position(|b| *b == rest[0]).map_or(most, |i| i + 1)),
                Scan::Skip(n) => {
                    // An index may be cut by what has been read so far.
                    if !self.done && rest.len() < MAGIC.len() && MAGIC.starts_with(rest) {
                        self.fill(MAGIC.len())?;
                        self.done |= most == self.held.len() - self.at;
                        continue;
                    }
                    let index = rest[1..n.min(rest.len())].windows(MAGIC.len()).position(|w| w == MAGIC).map(|i| i + 1);
                    self.skip(index.unwrap_or(n.min(most)));
                }
            }
        }
    }

    fn skip(&mut self, n: usize) {
        self.at += n;
        self.damage.0 += n as u64;
        self.damage.1 += !self.lost as u64;
        self.lost = true;
    }

    /// Until there are `n` bytes, or the end.
    fn fill(&mut self, n: usize) -> Result<()> {
        self.held.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        while self.held.len() < n {
            let before = self.held.len();
            self.held.resize(before + CHUNK, 0);
            let read = loop {
                match self.from.read(&mut self.held[before..]) {
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                    other => break other,
                }
            };
            self.held.truncate(before + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                break;
            }
        }
        Ok(())
    }
}
