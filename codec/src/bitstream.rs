//! Frame headers, byte for byte as codec/BITSTREAM.md says.

use crate::error::{Error, Result};
use crate::info::{Colour, StreamInfo};
use std::borrow::Cow;
use std::ops::Range;

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
    /// No key frame, but the first of a refresh cycle: a decoder may begin here, and has the whole picture when the cycle ends.
    pub recovery: bool,
    /// Quantiser step, 0 (coarsest) to 63.
    pub step: u8,
    /// Frames referred to, each once.
    pub references: Vec<u32>,
    /// In key frames and recovery points only, like the three after it.
    pub stream: Option<StreamInfo>,
    /// Name of the pack.
    pub pack: Option<String>,
    /// First 16 bytes of the pack's BLAKE3 hash.
    pub pack_id: Option<[u8; 16]>,
    /// How many frames are held.
    pub held: Option<u8>,
    /// In frames of a refresh cycle: hyper rows, from the top, that depend on nothing before the cycle.
    pub clean: Option<u32>,
    pub slices: Vec<SliceHeader>,
    /// Where the extension lies in the frame; empty: there is none, and this is where one would begin.
    pub extension: Range<usize>,
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
    pub range: Range<usize>,
    /// Hyper rows, in frames of a refresh cycle; the last slice has what is left of the picture.
    pub hyper_rows: Option<u32>,
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

impl FrameHeader {
    /// Rows of latents of each slice, in a picture of `rows` of them.
    pub fn slice_rows(&self, rows: usize) -> Result<Vec<Range<usize>>> {
        let (all, count) = (rows.div_ceil(2), self.slices.len());
        if count > all {
            return Err(Error::Damaged(format!("{count} slices in {rows} rows of latents")));
        }
        let ends: Vec<usize> = if self.clean.is_none() {
            (1..=count).map(|i| i * all / count).collect()
        } else {
            let given = self.slices.iter().filter_map(|s| s.hyper_rows);
            let mut ends: Vec<usize> = given
                .scan(0, |end, n| {
                    Some({
                        *end += n as usize;
                        *end
                    })
                })
                .collect();
            if ends.last().is_some_and(|end| *end >= all) {
                return Err(Error::Damaged("slices of more rows than the picture has".into()));
            }
            ends.push(all);
            ends
        };
        let starts = std::iter::once(0).chain(ends.iter().copied());
        Ok(starts.zip(&ends).map(|(start, end)| 2 * start..(2 * end).min(rows)).collect())
    }
}

/// Bits of the flags.
const KEY: u8 = 1;
const EXTENDED: u8 = 1 << 1;
const RECOVERY: u8 = 1 << 2;
const REFRESH: u8 = 1 << 3;

/// Bits of a slice header's first byte: it copies everything; its reference is the frame before.
const COPIES: u8 = 1 << 6;
const NEXT: u8 = 1 << 7;

/// Largest extension of a header, so that a header is always short.
const MAX_EXTENSION: usize = 1 << 16;

/// Hyper rows of the highest picture.
const MAX_HYPER_ROWS: u32 = 1 << 11;

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
    let mut r = Reader { data, at: 3, broken: false };
    match header(&mut r) {
        Err(Fault::Short) if r.broken => Err(Error::Damaged("a number in the frame's header is too large".into()).into()),
        other => other,
    }
}

/// The header that `r`, behind the flags, reads.
fn header(r: &mut Reader) -> std::result::Result<FrameHeader, Fault> {
    let data = r.data;
    let short = || Fault::Short;
    let bad = |what: &str| Fault::Bad(Error::Damaged(what.into()));
    if !SYNC.starts_with(&data[..data.len().min(2)]) {
        return Err(bad("this is no lic frame"));
    }
    let flags = *data.get(2).ok_or_else(short)?;
    if flags >> 4 != VERSION {
        return Err(Error::Unsupported(format!("version {} of the lic format; this decoder reads {VERSION}", flags >> 4)).into());
    }
    let length = r.varint().ok_or_else(short)? as usize;
    let length = r.at + length;
    if length > MAX_FRAME {
        return Err(bad("the frame is too long"));
    }
    let (key, recovery, refresh) = (flags & KEY != 0, flags & RECOVERY != 0, flags & REFRESH != 0);
    let number = r.varint().ok_or_else(short)?;
    let b = r.u8().ok_or_else(short)?;
    let (step, few) = (b & 63, b >> 6);
    let (mut stream, mut pack, mut pack_id, mut held) = (None, None, None, None);
    if key || recovery {
        let s = stream_block(r).ok_or_else(short)??;
        (stream, held, pack_id, pack) = (Some(s.0), Some(s.1), Some(s.2), Some(s.3));
    }
    let mut extension = r.at..r.at;
    if flags & EXTENDED != 0 {
        let n = r.varint().ok_or_else(short)? as usize;
        if n > MAX_EXTENSION {
            return Err(bad("the header's extension is too long"));
        }
        r.bytes(n).ok_or_else(short)?;
        extension = r.at - n..r.at;
    }
    let clean = if refresh { Some(r.varint().ok_or_else(short)?) } else { None };
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
        let hyper_rows = if refresh && i + 1 < count { Some(r.varint().ok_or_else(short)?) } else { None };
        if hyper_rows.is_some_and(|n| !(1..=MAX_HYPER_ROWS).contains(&n)) {
            return Err(bad("a slice has an impossible number of rows"));
        }
        slices.push(SliceHeader { kind, groups: ((b >> 3) & 7) + 1, copies: b & COPIES != 0, range: total..total + n, hyper_rows });
        total += n;
    }
    let crc = crc32c::crc32c(&data[..r.at]) as u16;
    if r.bytes(2).ok_or_else(short)? != crc.to_le_bytes() {
        return Err(bad("the frame's header fails its CRC"));
    }
    if recovery && (key || clean.is_none_or(|n| n == 0)) || clean.is_some_and(|n| n > MAX_HYPER_ROWS) {
        return Err(bad("the frame's header says two things of the refresh"));
    }
    let Some(last) = length.checked_sub(r.at + total) else {
        return Err(bad("the slices do not fit into the frame"));
    };
    slices.last_mut().expect("at least one").range.end += last;
    for s in &mut slices {
        s.range = s.range.start + r.at..s.range.end + r.at;
    }
    Ok(FrameHeader { length, number, key, recovery, step, references, stream, pack, pack_id, held, clean, slices, extension })
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
    pub key: bool,
    /// Of key frames and recovery points: description, frames held, pack id, pack name.
    pub stream: Option<(&'a StreamInfo, u8, [u8; 16], &'a str)>,
    /// See [`FrameHeader::clean`].
    pub clean: Option<u32>,
    pub slices: &'a [SliceSource<'a>],
}

/// What a slice is written from.
pub struct SliceSource<'a> {
    pub kind: SliceKind,
    /// Channel groups coded, 1 to 8.
    pub groups: u8,
    /// See [`SliceHeader::copies`].
    pub copies: bool,
    /// Written in frames of a refresh cycle only.
    pub hyper_rows: u32,
    pub payload: Cow<'a, [u8]>,
}

/// Header and payloads -> one frame.
pub fn write_frame(h: &HeaderSource) -> Vec<u8> {
    let mut body = Vec::new();
    varint(&mut body, h.number);
    let few = (h.slices.len() - 1).min(3) as u8;
    body.push(h.step | few << 6);
    if let Some((s, held, id, name)) = h.stream {
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
    if let Some(n) = h.clean {
        varint(&mut body, n);
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
            if h.clean.is_some() {
                varint(&mut body, s.hyper_rows);
            }
        }
    }
    let payload: usize = h.slices.iter().map(|s| s.payload.len()).sum();
    let mut out = Vec::with_capacity(body.len() + payload + 9);
    let set = |on: bool, bit: u8| if on { bit } else { 0 };
    let flags = set(h.key, KEY) | set(!h.key && h.stream.is_some(), RECOVERY) | set(h.clean.is_some(), REFRESH);
    out.extend_from_slice(&[SYNC[0], SYNC[1], VERSION << 4 | flags]);
    varint(&mut out, (body.len() + 2 + payload) as u32);
    out.extend_from_slice(&body);
    let crc = crc32c::crc32c(&out) as u16;
    out.extend_from_slice(&crc.to_le_bytes());
    for s in h.slices {
        out.extend_from_slice(&s.payload);
    }
    out
}

/// A whole frame with an extension of its header (at most 64 KiB) in place of the one that it has, or without any if it is empty.
pub fn with_extension(frame: &[u8], extension: &[u8]) -> Result<Vec<u8>> {
    let h = parse_header(frame)?;
    if extension.len() > MAX_EXTENSION {
        return Err(Error::Unsupported(format!("a header's extension of {} bytes: {MAX_EXTENSION} at most", extension.len())));
    }
    let mut r = Reader { data: frame, at: 3, broken: false };
    r.varint();
    let (start, flags) = (r.at, frame[2]);
    // The size of the one that is there stands before it.
    let before = if flags & EXTENDED == 0 {
        h.extension.start
    } else {
        let mut size = Vec::new();
        varint(&mut size, h.extension.len() as u32);
        let before = h.extension.start - size.len();
        if frame[before..h.extension.start] != size {
            return Err(Error::Damaged("the size of the header's extension is written in too many bytes".into()));
        }
        before
    };
    let payload = h.slices[0].range.start;
    let mut body = frame[start..before].to_vec();
    if !extension.is_empty() {
        varint(&mut body, extension.len() as u32);
        body.extend_from_slice(extension);
    }
    body.extend_from_slice(&frame[h.extension.end..payload - 2]);
    let length = body.len() + 2 + frame.len() - payload;
    let mut out = vec![SYNC[0], SYNC[1], if extension.is_empty() { flags & !EXTENDED } else { flags | EXTENDED }];
    varint(&mut out, length as u32);
    out.extend_from_slice(&body);
    let crc = crc32c::crc32c(&out) as u16;
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&frame[payload..]);
    if out.len() > MAX_FRAME {
        return Err(Error::Unsupported("the frame is too long for an extension".into()));
    }
    Ok(out)
}

/// LEB128.
pub(crate) fn varint(out: &mut Vec<u8>, mut v: u32) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    /// A number was met that more data cannot make whole.
    broken: bool,
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
                self.broken |= v > u32::MAX as u64;
                return u32::try_from(v).ok();
            }
        }
        self.broken = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> StreamInfo {
        StreamInfo { width: 641, height: 479, fps: (30000, 1001), par: (4, 3), colour: Colour::BT709, grey: true }
    }

    fn none(groups: u8, payload: &'static [u8]) -> SliceSource<'static> {
        SliceSource { kind: SliceKind::None, groups, copies: false, hyper_rows: 1, payload: payload.into() }
    }

    fn key() -> Vec<u8> {
        let i = info();
        write_frame(&HeaderSource {
            number: 7,
            step: 31,
            key: true,
            stream: Some((&i, 4, [9; 16], "tiny")),
            clean: None,
            slices: &[none(8, &[1, 2, 3]), none(3, &[])],
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
    fn extensions_come_and_go() {
        for size in [1, 3, 200] {
            let extension: Vec<u8> = (0..size).map(|i| i as u8).collect();
            let extended = with_extension(&key(), &extension).unwrap();
            let h = parse_header(&extended).unwrap();
            assert_eq!(&extended[h.extension.clone()], extension);
            assert_eq!(&extended[h.slices[0].range.clone()], &[1, 2, 3]);
            assert_eq!(parse_header(&with_extension(&extended, &[7; 9]).unwrap()).unwrap().extension.len(), 9);
            assert_eq!(with_extension(&extended, &[]).unwrap(), key());
        }
        assert!(with_extension(&key(), &[0; 70_000]).is_err() && with_extension(&key()[1..], &[]).is_err());
    }

    #[test]
    fn inter_frames_name_their_references_once() {
        let slice = |distance, copies| SliceSource {
            kind: SliceKind::Latent { distance },
            groups: 8,
            copies,
            hyper_rows: 1,
            payload: Cow::Borrowed(&[5]),
        };
        for (count, distance) in [(1, 1), (2, 2), (3, 8), (4, 1), (9, 3)] {
            let slices: Vec<_> = (0..count).map(|i| slice(distance, i == 1)).collect();
            let f = write_frame(&HeaderSource { number: 1, step: 63, key: false, stream: None, clean: None, slices: &slices });
            let h = parse_header(&f).unwrap();
            assert_eq!((h.step, h.slices.len()), (63, count));
            assert_eq!(h.references, [1u32.wrapping_sub(distance as u32)]);
            for (i, s) in h.slices.iter().enumerate() {
                assert_eq!((s.kind, s.copies, &f[s.range.clone()]), (SliceKind::Latent { distance }, i == 1, &[5][..]));
            }
        }
    }

    #[test]
    fn recovery_points_describe_the_stream_and_say_where_their_slices_lie() {
        let (i, kind) = (info(), SliceKind::Motion { distance: 1 });
        let write = |clean, rows: &[u32], recovery: bool| {
            let slices: Vec<_> = rows
                .iter()
                .map(|&hyper_rows| SliceSource { kind, groups: 8, copies: false, hyper_rows, payload: Cow::Borrowed(&[7]) })
                .collect();
            let stream = recovery.then_some((&i, 4, [9; 16], "tiny"));
            write_frame(&HeaderSource { number: 9, step: 3, key: false, stream, clean: Some(clean), slices: &slices })
        };
        let h = parse_header(&write(2, &[2, 1, 12], true)).unwrap();
        assert!(h.recovery && !h.key && h.stream == Some(info()) && h.clean == Some(2) && h.references == [8]);
        assert_eq!(h.slice_rows(30).unwrap(), [0..4, 4..6, 6..30]);
        assert_eq!(h.slice_rows(7).unwrap(), [0..4, 4..6, 6..7]);
        assert!(h.slice_rows(6).is_err() && h.slice_rows(4).is_err());
        let h = parse_header(&write(15, &[14, 1], false)).unwrap();
        assert!(!h.recovery && h.stream.is_none());
        // A recovery point with nothing to recover from, and slices without rows.
        assert!(parse_header(&write(0, &[2, 1], true)).is_err() && parse_header(&write(0, &[2, 1], false)).is_ok());
        assert!(parse_header(&write(2, &[0, 1], true)).is_err());
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
        let mut stream = vec![0x4c, 0, 0x4c, 0xc5, 0x20, 3, 9, 9, 9, 0x4c, 0xc5, 0x20, 0x80, 0x80, 0x80, 0x10];
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
        // Numbers that no more data mends are not waited for.
        for n in [[0xff; 5], [0xff, 0xff, 0xff, 0xff, 0x10]] {
            assert!(matches!(scan(&[&[0x4c, 0xc5, 0x20][..], &n].concat()), Scan::Skip(_)));
        }
        assert!(matches!(scan(&key()[..2]), Scan::NeedMore(64)));
        assert!(matches!(scan(&key()[..key().len() - 1]), Scan::NeedMore(n) if n == key().len()));
    }
}
