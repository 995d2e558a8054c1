//! The index behind the frames of a file: where each group of pictures begins, and what is known of the whole.

use crate::{Error, Result};
use lic_codec::bitstream::FrameHeader;
use std::collections::BTreeMap;

/// First bytes of an index.
pub const MAGIC: [u8; 8] = *b"licindex";
/// Last bytes of a file with one.
const END: [u8; 8] = *b"licend\r\n";
/// Size of the index, then [`END`].
pub(super) const FOOTER: usize = 16;
const VERSION: u8 = 1;
/// Largest index that is read: some ten million groups.
pub(super) const MAX_INDEX: u64 = 256 << 20;

/// Frames from one key frame to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Byte at which it begins.
    pub offset: u64,
    /// Frames.
    pub frames: u32,
    /// Time of its first frame in nanoseconds.
    pub time: u64,
}

/// Of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    pub groups: Vec<Group>,
    /// Byte behind the last frame.
    pub end: u64,
    /// What the file says of itself, by name.
    pub notes: BTreeMap<String, String>,
}

impl Index {
    pub fn frames(&self) -> u64 {
        self.groups.iter().map(|g| g.frames as u64).sum()
    }

    /// A frame of `bytes` comes behind those that are there.
    pub fn take(&mut self, h: &FrameHeader, time: u64, bytes: u64) {
        match self.groups.last_mut() {
            Some(group) if !h.key => group.frames += 1,
            _ => self.groups.push(Group { offset: self.end, frames: 1, time }),
        }
        self.end += bytes;
    }

    /// Group of frame `n` of the file, and its place in it.
    pub fn find(&self, n: u64) -> Option<(usize, u32)> {
        let mut first = 0;
        for (i, g) in self.groups.iter().enumerate() {
            if n < first + g.frames as u64 {
                return Some((i, (n - first) as u32));
            }
            first += g.frames as u64;
        }
        None
    }

    /// Index and footer as they stand at the end of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        number(&mut out, self.groups.len() as u64);
        let (mut offset, mut time) = (0, 0u64);
        for g in &self.groups {
            number(&mut out, g.offset - offset);
            number(&mut out, g.frames as u64);
            let d = g.time.wrapping_sub(time) as i64;
            number(&mut out, ((d << 1) ^ (d >> 63)) as u64);
            (offset, time) = (g.offset, g.time);
        }
        number(&mut out, self.end - offset);
        number(&mut out, self.notes.len() as u64);
        for text in self.notes.iter().flat_map(|(k, v)| [k, v]) {
            number(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend(crc.to_le_bytes());
        let size = out.len() as u64;
        out.extend(size.to_le_bytes());
        out.extend(END);
        out
    }

    /// Size of the index that a file's last bytes announce.
    pub(super) fn announced(footer: &[u8; FOOTER]) -> Option<u64> {
        let (size, end) = footer.split_at(8);
        let size = u64::from_le_bytes(size.try_into().expect("eight bytes"));
        (end == END && size <= MAX_INDEX).then_some(size)
    }

    /// An index without its footer, which begins at byte `at` of its file.
    pub fn parse(bytes: &[u8], at: u64) -> Result<Index> {
        let bad = || Error::Damaged("the index is damaged".into());
        let (body, crc) = bytes.split_at_checked(bytes.len().saturating_sub(4)).ok_or_else(bad)?;
        if crc != crc32c::crc32c(body).to_le_bytes() || !body.starts_with(&MAGIC) || body.get(8) != Some(&VERSION) {
            return Err(bad());
        }
        let mut rest = &body[9..];
        let count = take(&mut rest).ok_or_else(bad)?;
        // Three bytes a group at least.
        if count > rest.len() as u64 / 3 {
            return Err(bad());
        }
        let mut index = Index { groups: Vec::with_capacity(count as usize), ..Index::default() };
        let (mut offset, mut time) = (0u64, 0u64);
        for i in 0..count {
            let mut next = || take(&mut rest).ok_or_else(bad);
            let (step, frames, zigzag) = (next()?, next()?, next()?);
            offset = offset.checked_add(step).filter(|o| *o < at && (i == 0 || step > 0)).ok_or_else(bad)?;
            time = time.wrapping_add_signed((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            let frames = u32::try_from(frames).ok().filter(|f| *f > 0).ok_or_else(bad)?;
            index.groups.push(Group { offset, frames, time });
        }
        index.end = offset.checked_add(take(&mut rest).ok_or_else(bad)?).filter(|end| *end <= at).ok_or_else(bad)?;
        for _ in 0..take(&mut rest).ok_or_else(bad)? {
            let mut text = || -> Option<String> {
                let n = usize::try_from(take(&mut rest)?).ok()?;
                let (text, more) = rest.split_at_checked(n)?;
                rest = more;
                String::from_utf8(text.to_vec()).ok()
            };
            let (key, value) = (text().ok_or_else(bad)?, text().ok_or_else(bad)?);
            index.notes.insert(key, value);
        }
        Ok(index)
    }
}

/// LEB128 of 64 bits.
fn number(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut v = 0u64;
    for i in 0..10 {
        let (&b, rest) = from.split_first()?;
        *from = rest;
        v |= ((b & 0x7f) as u64).checked_shl(7 * i)?;
        if b < 0x80 {
            return (i < 9 || b < 2).then_some(v);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_change_is_found() {
        let group = |offset, frames, time| Group { offset, frames, time };
        let notes = [("source", "röbot.mp4"), ("tool", "lic")].map(|(k, v)| (k.to_string(), v.to_string()));
        let index =
            Index { groups: vec![group(0, 60, 5), group(70_000, 1, u64::MAX), group(70_001, 7, 0)], end: 90_000, notes: notes.into() };
        let bytes = index.to_bytes();
        let (body, footer) = bytes.split_at(bytes.len() - FOOTER);
        assert_eq!(Index::announced(footer.try_into().unwrap()), Some(body.len() as u64));
        assert_eq!(Index::parse(body, 90_000).unwrap(), index);
        assert_eq!((index.frames(), index.find(60), index.find(67), index.find(68)), (68, Some((1, 0)), Some((2, 6)), None));
        assert!(Index::parse(body, 89_999).is_err());
        for i in 0..body.len() {
            let mut changed = body.to_vec();
            changed[i] ^= 0x41;
            assert!(Index::parse(&changed, 90_000).is_err(), "byte {i}");
            assert!(Index::parse(&body[..i], 90_000).is_err());
        }
    }
}
