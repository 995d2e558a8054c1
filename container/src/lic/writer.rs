//! Frames -> file.

use super::index::Index;
use super::times::TimeWriter;
use crate::{Error, Result};
use lic_codec::bitstream;
use std::collections::BTreeMap;
use std::io::Write;

/// Writes a file: [`Writer::push`] for every frame, [`Writer::finish`] for the index. A file without an index is whole as well, up to its
/// last frame.
pub struct Writer<W> {
    to: W,
    index: Index,
    times: TimeWriter,
}

impl<W: Write> Writer<W> {
    pub fn new(to: W) -> Writer<W> {
        Writer { to, index: Index::default(), times: TimeWriter::default() }
    }

    /// The next frame, shown at `time` nanoseconds. The first must be a key frame.
    pub fn push(&mut self, frame: &[u8], time: u64) -> Result<()> {
        let header = bitstream::parse_header(frame)?;
        if self.index.groups.is_empty() && !header.key {
            return Err(Error::Damaged("a .lic file begins with a key frame".into()));
        }
        let stamped = self.times.stamp(frame, time)?;
        self.to.write_all(&stamped)?;
        self.index.take(&header, time, stamped.len() as u64);
        Ok(())
    }

    /// Bytes of frames so far.
    pub fn bytes(&self) -> u64 {
        self.index.end
    }

    /// Frames so far.
    pub fn frames(&self) -> u64 {
        self.index.frames()
    }

    /// Ends the file with its index; `notes`: what it says of itself.
    pub fn finish(mut self, notes: BTreeMap<String, String>) -> Result<W> {
        self.index.notes = notes;
        self.to.write_all(&self.index.to_bytes())?;
        self.to.flush()?;
        Ok(self.to)
    }
}
