//! Frame headers, byte for byte as codec/BITSTREAM.md says.

use crate::error::{Error, Result};
use crate::info::{Colour, StreamInfo};

/// First two bytes of every frame.
pub const SYNC: [u8; 2] = [0x4c, 0xc5];
/// Version of the format that this library reads and writes.
pub const VERSION: u8 = 2;
/// Largest frame that a header may announce: what a parser will ever wait for.
pub const MAX_FRAME: usize = 64 << 20;
/// Most frames held for reference.
pub const MAX_HELD: u8 = 8;
/// Channel groups of a frame.
pub const GROUPS: usize = 8;
/// Quantiser steps.
pub const STEPS: usize = 64;

/// The part of a frame's header that anyone may want without decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the whole frame.
    pub length: usize,
    /// Number of the frame; wraps.
    pub number: u32,
    pub key: bool,
    /// Quantiser step, 0 (coarsest) to 63.
    pub step: u8,
    /// Frames referred to, each once.
    pub references: Vec<u32>,
    /// In key frames only.
    pub stream: Option<StreamInfo>,
    /// Name of the pack, in key frames only.
    pub pack: Option<String>,
    /// First 16 bytes of the pack's BLAKE3 hash, in key frames only.
    pub pack_id: Option<[u8; 16]>,
    /// How many frames are held, in key frames only.
    pub held: Option<u8>,
    pub slices: Vec<SliceHeader>,
}

/// What a slice is predicted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceKind {
    /// Nothing.
    None,
    /// Latents of the frame `distance` before this one (1 to 8).
    Latent { distance: u8 },
    /// The picture of the frame `distance` before this one, shifted block by block.
    Motion { distance: u8 },
}

impl SliceKind {
    /// How many frames before this one its reference is.
    pub fn distance(self) -> Option<u8> {
        match self {
            SliceKind::None => None,
            SliceKind::Latent { distance } | SliceKind::Motion { distance } => Some(distance),
        }
    }
}

/// One slice: its context and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceHeader {
    pub kind: SliceKind,
    /// Channel groups coded, 1 to 8.
    pub groups: u8,
    /// Copies all of its reference, as predicted: its payload holds no symbols.
    pub copies: bool,
    /// Bytes within the frame.
    pub range: std::ops::Range<usize>,
}

/// What stands at the start of a byte stream.
#[derive(Clone, Debug)]
pub enum Scan {
    /// A whole frame.
    Frame(FrameHeader),
    /// A frame begins here but at least this many bytes in all are needed.
    NeedMore(usize),
    /// No frame begins in the first n bytes (n >= 1): skip them.
    Skip(usize),
}

/// Bits of a slice header's first byte: it copies everything; its reference is the frame before.
const COPIES: u8 = 1 << 6;
const NEXT: u8 = 1 << 7;

/// Largest extension of a header, so that a header is always short.
const MAX_EXTENSION: usize = 1 << 16;

/// Looks for a frame at the start of `data` (for parsers of byte streams). A length is believed only once its header has
/// passed its CRC, so garbage never makes a parser wait for long.
pub fn scan(data: &[u8]) -> Scan {
    match parse(data) {
        Ok(h) if h.length <= data.len() => Scan::Frame(h),
        Ok(h) => Scan::NeedMore(h.length),
        Err(Fault::Short) => Scan::NeedMore((2 * data.len()).max(64)),
        Err(Fault::Bad(_)) => Scan::Skip(data.iter().skip(1).position(|&b| b == SYNC[0]).map_or(data.len().max(1), |i| i + 1)),
    }
}

/// Parses the header of one whole frame.
pub fn parse_header(data: &[u8]) -> Result<FrameHeader> {
    match parse(data) {
        Ok(h) if h.length == data.len() => Ok(h),
        Ok(_) => Err(Error::Damaged("the frame's length differs from its header's".into())),
        Err(Fault::Short) => Err(Error::Damaged("the frame's header is cut".into())),
        Err(Fault::Bad(e)) => Err(e),
    }
}

/// Why a header could not be read.
enum Fault {
    /// It goes on beyond the data.
    Short,
    Bad(Error),
}

impl From<Error> for Fault {
    fn from(e: Error) -> Fault {
        Fault::Bad(e)
    }
}

/// Parses a header; the payloads need not be there.
fn parse(data: &[u8]) -> std::result::Result<FrameHeader, Fault> {
    let short = || Fault::Short;
    let bad = |what: &str| Fault::Bad(Error::Damaged(what.into()));
    if !SYNC.starts_with(&data[..data.len().min(2)]) {
        return Err(bad("this is no lic frame"));
    }
    let flags = *data.get(2).ok_or_else(short)?;
    if flags >> 4 != VERSION {
        return Err(Error::Unsupported(format!("version {} of the lic format; this decoder reads {VERSION}", flags >> 4)).into());
    }
    let mut r = Reader { data, at: 3 };
    let length = r.varint().ok_or_else(short)? as usize;
    let length = r.at + length;
    if length > MAX_FRAME {
        return Err(bad("the frame is too long"));
    }
    let key = flags & 1 != 0;
    let number = r.varint().ok_or_else(short)?;
    let b = r.u8().ok_or_else(short)?;
    let (step, few) = (b & 63, b >> 6);
    let (mut stream, mut pack, mut pack_id, mut held) = (None, None, None, None);
    if key {
        let s = stream_block(&mut r).ok_or_else(short)??;
        (stream, held, pack_id, pack) = (Some(s.0), Some(s.1), Some(s.2), Some(s.3));
    }
    if flags & 2 != 0 {
        let n = r.varint().ok_or_else(short)? as usize;
        if n > MAX_EXTENSION {
            return Err(bad("the header's extension is too long"));
        }
        r.bytes(n).ok_or_else(short)?;
    }
    let count = if few < 3 { few as usize + 1 } else { r.u8().ok_or_else(short)? as usize + 1 };
    let mut slices = Vec::with_capacity(count);
    let mut references = Vec::new();
    let mut total = 0usize;
    for i in 0..count {
        let b = r.u8().ok_or_else(short)?;
        let kind = match b & 7 {
            0 if b & (COPIES | NEXT) == 0 => SliceKind::None,
            k @ 1..=2 if !key => {
                let distance = if b & NEXT != 0 { 1 } else { r.u8().ok_or_else(short)? };
                if !(1..=MAX_HELD).contains(&distance) {
                    return Err(bad("a slice refers to a frame that cannot be held"));
                }
                let n = number.wrapping_sub(distance as u32);
                if !references.contains(&n) {
                    references.push(n);
                }
                if k == 1 { SliceKind::Latent { distance } } else { SliceKind::Motion { distance } }
            }
            _ => return Err(bad("a slice's kind is unknown")),
        };
        let n = if i + 1 < count { r.varint().ok_or_else(short)? as usize } else { 0 };
        slices.push(SliceHeader { kind, groups: ((b >> 3) & 7) + 1, copies: b & COPIES != 0, range: total..total + n });
        total += n;
    }
    let crc = crc32c::crc32c(&data[..r.at]) as u16;
    if r.bytes(2).ok_or_else(short)? != crc.to_le_bytes() {
        return Err(bad("the frame's header fails its CRC"));
    }
    if flags & 0b1100 != 0 {
        return Err(bad("the frame's header has reserved values"));
    }
    let Some(last) = length.checked_sub(r.at + total) else {
        return Err(bad("the slices do not fit into the frame"));
    };
    slices.last_mut().expect("at least one").range.end += last;
    for s in &mut slices {
        s.range = s.range.start + r.at..s.range.end + r.at;
    }
    Ok(FrameHeader { length, number, key, step, references, stream, pack, pack_id, held, slices })
}

type StreamBlock = (StreamInfo, u8, [u8; 16], String);

/// None: cut; Some(Err): damaged.
fn stream_block(r: &mut Reader) -> Option<Result<StreamBlock>> {
    let (width, height) = (r.u16()? as u32, r.u16()? as u32);
    let fps = (r.varint()?, r.varint()?);
    let par = (r.varint()?, r.varint()?);
    let (primaries, transfer, matrix, flags, held) = (r.u8()?, r.u8()?, r.u8()?, r.u8()?, r.u8()?);
    let id: [u8; 16] = r.bytes(16)?.try_into().ok()?;
    let n = r.u8()? as usize;
    let name = String::from_utf8_lossy(r.bytes(n)?).into_owned();
    if width == 0 || height == 0 || fps.1 == 0 || par.0 == 0 || par.1 == 0 || !(1..=MAX_HELD).contains(&held) || flags > 3 {
        return Some(Err(Error::Damaged("the key frame's stream description is impossible".into())));
    }
    let colour = Colour { primaries, transfer, matrix, full_range: flags & 1 != 0 };
    Some(Ok((StreamInfo { width, height, fps, par, colour, grey: flags & 2 != 0 }, held, id, name)))
}

/// What a frame's header is written from.
pub struct HeaderSource<'a> {
    pub number: u32,
    pub step: u8,
    /// Present in key frames: description, frames held, pack id, pack name.
    pub key: Option<(&'a StreamInfo, u8, [u8; 16], &'a str)>,
    pub slices: &'a [SliceSource],
}

/// What a slice is written from.
pub struct SliceSource {
    pub kind: SliceKind,
    /// Channel groups coded, 1 to 8.
    pub groups: u8,
    /// See [`SliceHeader::copies`].
    pub copies: bool,
    pub payload: Vec<u8>,
}

/// Header and payloads -> one frame.
pub fn write_frame(h: &HeaderSource) -> Vec<u8> {
    let mut body = Vec::new();
    varint(&mut body, h.number);
    let few = (h.slices.len() - 1).min(3) as u8;
    body.push(h.step | few << 6);
    if let Some((s, held, id, name)) = h.key {
        body.extend_from_slice(&(s.width as u16).to_le_bytes());
        body.extend_from_slice(&(s.height as u16).to_le_bytes());
        for v in [s.fps.0, s.fps.1, s.par.0, s.par.1] {
            varint(&mut body, v);
        }
        body.extend_from_slice(&[s.colour.primaries, s.colour.transfer, s.colour.matrix]);
        body.extend_from_slice(&[s.colour.full_range as u8 | (s.grey as u8) << 1, held]);
        body.extend_from_slice(&id);
        let name = &name.as_bytes()[..name.len().min(255)];
        body.push(name.len() as u8);
        body.extend_from_slice(name);
    }
    if few == 3 {
        body.push((h.slices.len() - 1) as u8);
    }
    for (i, s) in h.slices.iter().enumerate() {
        let kind = match s.kind {
            SliceKind::None => 0,
            SliceKind::Latent { .. } => 1,
            SliceKind::Motion { .. } => 2,
        };
        let next = if s.kind.distance() == Some(1) { NEXT } else { 0 };
        body.push(kind | (s.groups - 1) << 3 | if s.copies { COPIES } else { 0 } | next);
        body.extend(s.kind.distance().filter(|d| *d != 1));
        if i + 1 < h.slices.len() {
            varint(&mut body, s.payload.len() as u32);
        }
    }
    let payload: usize = h.slices.iter().map(|s| s.payload.len()).sum();
    let mut out = Vec::with_capacity(body.len() + payload + 9);
    out.extend_from_slice(&[SYNC[0], SYNC[1], VERSION << 4 | h.key.is_some() as u8]);
    varint(&mut out, (body.len() + 2 + payload) as u32);
    out.extend_from_slice(&body);
    let crc = crc32c::crc32c(&out) as u16;
    out.extend_from_slice(&crc.to_le_bytes());
    for s in h.slices {
        out.extend_from_slice(&s.payload);
    }
    out
}

/// Hyper rows (two latent rows) of slice `i` of `n`.
pub fn slice_rows(hyper_rows: usize, i: usize, n: usize) -> std::ops::Range<usize> {
    i * hyper_rows / n..(i + 1) * hyper_rows / n
}

/// LEB128.
fn varint(out: &mut Vec<u8>, mut v: u32) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let b = self.data.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(b)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }

    fn varint(&mut self) -> Option<u32> {
        let mut v = 0u64;
        for i in 0..5 {
            let b = self.u8()?;
            v |= ((b & 0x7f) as u64) << (7 * i);
            if b < 0x80 {
                return u32::try_from(v).ok();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> StreamInfo {
        StreamInfo { width: 641, height: 479, fps: (30000, 1001), par: (4, 3), colour: Colour::BT709, grey: true }
    }

    fn none(groups: u8, payload: Vec<u8>) -> SliceSource {
        SliceSource { kind: SliceKind::None, groups, copies: false, payload }
    }

    fn key() -> Vec<u8> {
        let i = info();
        write_frame(&HeaderSource {
            number: 7,
            step: 31,
            key: Some((&i, 4, [9; 16], "tiny")),
            slices: &[none(8, vec![1, 2, 3]), none(3, vec![])],
        })
    }

    #[test]
    fn key_frame_round_trip() {
        let h = parse_header(&key()).unwrap();
        assert_eq!((h.number, h.step, h.key, h.held, h.stream), (7, 31, true, Some(4), Some(info())));
        assert_eq!((h.pack.as_deref(), h.pack_id), (Some("tiny"), Some([9; 16])));
        assert_eq!(h.slices[0].groups, 8);
        assert_eq!(&key()[h.slices[0].range.clone()], &[1, 2, 3]);
        assert!(h.slices[1].range.is_empty() && h.slices[1].groups == 3 && h.references.is_empty());
    }

    #[test]
    fn inter_frames_name_their_references_once() {
        let slice = |distance, copies| SliceSource { kind: SliceKind::Latent { distance }, groups: 8, copies, payload: vec![5] };
        for (count, distance) in [(1, 1), (2, 2), (3, 8), (4, 1), (9, 3)] {
            let slices: Vec<_> = (0..count).map(|i| slice(distance, i == 1)).collect();
            let f = write_frame(&HeaderSource { number: 1, step: 63, key: None, slices: &slices });
            let h = parse_header(&f).unwrap();
            assert_eq!((h.step, h.slices.len()), (63, count));
            assert_eq!(h.references, [1u32.wrapping_sub(distance as u32)]);
            for (i, s) in h.slices.iter().enumerate() {
                assert_eq!((s.kind, s.copies, &f[s.range.clone()]), (SliceKind::Latent { distance }, i == 1, &[5][..]));
            }
        }
    }

    #[test]
    fn every_change_and_cut_of_a_header_is_found() {
        let good = key();
        for i in 0..good.len() - 3 {
            for bit in 0..8 {
                let mut f = good.clone();
                f[i] ^= 1 << bit;
                assert!(parse_header(&f).is_err(), "byte {i} bit {bit}");
            }
            assert!(parse_header(&good[..i]).is_err());
        }
    }

    #[test]
    fn scan_finds_frames_in_garbage() {
        // The second one claims 32 MiB.
        let mut stream = vec![0x4c, 0, 0x4c, 0xc5, 0x10, 3, 9, 9, 9, 0x4c, 0xc5, 0x10, 0x80, 0x80, 0x80, 0x10];
        stream.extend([7; 80]);
        let at = stream.len();
        stream.extend(key());
        stream.extend(key());
        let (mut i, mut found) = (0, vec![]);
        while i < stream.len() {
            match scan(&stream[i..]) {
                Scan::Frame(h) => {
                    found.push(i);
                    i += h.length;
                }
                Scan::Skip(n) => i += n,
                Scan::NeedMore(n) => panic!("{n} at {i}"),
            }
        }
        assert_eq!(found, [at, at + key().len()]);
        assert!(matches!(scan(&key()[..2]), Scan::NeedMore(64)));
        assert!(matches!(scan(&key()[..key().len() - 1]), Scan::NeedMore(n) if n == key().len()));
    }
}
