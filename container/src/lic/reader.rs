//! File -> frames, from the beginning or from anywhere.

use super::frames::{Frame, Frames};
use super::index::{FOOTER, Group, Index};
use super::times::Clock;
use crate::{Error, Result};
use std::io::{Read, Seek, SeekFrom};

/// An open file.
pub struct Reader<R> {
    file: R,
    index: Index,
    indexed: bool,
}

impl<R: Read + Seek> Reader<R> {
    /// By the file's index or, where there is none or it is damaged, by reading all of it.
    pub fn open(mut file: R) -> Result<Reader<R>> {
        if let Some(index) = stored(&mut file)? {
            return Ok(Reader { file, index, indexed: true });
        }
        let index = scanned(&mut file)?;
        Ok(Reader { file, index, indexed: false })
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether the file has an index.
    pub fn indexed(&self) -> bool {
        self.indexed
    }

    /// The frames from a group on.
    pub fn frames(&mut self, group: usize) -> Result<Frames<std::io::Take<&mut R>>> {
        let offset = self.index.groups.get(group).map_or(self.index.end, |g| g.offset);
        self.file.seek(SeekFrom::Start(offset))?;
        Ok(Frames::new((&mut self.file).take(self.index.end - offset), offset))
    }

    /// What is needed to decode frame `n` (from 0): it, last, and those of its group before it. Reads nothing else.
    pub fn up_to(&mut self, n: u64) -> Result<Vec<Frame>> {
        let (group, place) = self.index.find(n).ok_or_else(|| Error::NoFrame { n, of: self.index.frames() })?;
        let mut frames = self.frames(group)?;
        let mut out = Vec::new();
        while out.len() <= place as usize {
            out.push(frames.next()?.ok_or_else(|| Error::Damaged("the file is shorter than its index says; make the index anew".into()))?);
        }
        Ok(out)
    }
}

/// The index at the end; None: there is none that can be trusted.
fn stored(file: &mut (impl Read + Seek)) -> Result<Option<Index>> {
    let size = file.seek(SeekFrom::End(0))?;
    let Some(at) = size.checked_sub(FOOTER as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(at))?;
    let mut footer = [0; FOOTER];
    file.read_exact(&mut footer)?;
    let Some((length, begin)) = Index::announced(&footer).and_then(|n| Some((n, at.checked_sub(n)?))) else { return Ok(None) };
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    Ok(Index::parse(&bytes, begin).ok())
}

/// The index that the file should have.
fn scanned(file: &mut (impl Read + Seek)) -> Result<Index> {
    file.seek(SeekFrom::Start(0))?;
    let mut frames = Frames::new(file, 0);
    let (mut index, mut clock) = (Index::default(), Clock::default());
    while let Some(f) = frames.next()? {
        // Frames before the first key frame cannot be decoded.
        if index.groups.is_empty() && !f.header.key {
            continue;
        }
        let time = clock.time(&f.header, f.time);
        match index.groups.last_mut() {
            Some(g) if !f.header.key => g.frames += 1,
            _ => index.groups.push(Group { offset: f.offset, frames: 1, time }),
        }
        index.end = frames.position();
    }
    if index.groups.is_empty() {
        return Err(Error::Damaged("no key frame in it: this is no .lic file".into()));
    }
    Ok(index)
}
