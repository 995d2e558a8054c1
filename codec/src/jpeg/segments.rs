//! Marker segments (T.81, B.2), and what is said in them of a picture: docs/jpeg.md.

use super::file::Component;
use super::huffman::Table;
use super::learned;
use super::read::Own;
use super::tables::Steps;
use crate::error::Result;
use lic_kernels::jpeg::ZIGZAG;
use std::ops::{ControlFlow, RangeInclusive};

/// First bytes of our own segment, an APP9.
pub const SEGMENT_NAME: &[u8; 4] = b"lic\0";
/// Of its layout.
pub const VERSION: u8 = 1;

/// What a file says beside its picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// When it was captured, nanoseconds since 1970.
    pub time: Option<u64>,
    /// Frame number in its stream.
    pub number: u32,
    /// First 16 bytes of the hash of the pack that decoded it.
    pub pack: [u8; 16],
    /// Quantiser step of the frame, 0 (coarsest) to 63.
    pub step: u8,
    /// Parts of it are made up: the frame was damaged.
    pub concealed: bool,
    /// EXIF's orientation, 1 to 8; 0 and 1 are left out.
    pub orientation: u8,
    /// An ICC profile; empty for none.
    pub icc: Vec<u8>,
}

/// The body must be shorter than 65534 bytes.
fn segment(out: &mut Vec<u8>, marker: u8, body: &[&[u8]]) {
    let length: usize = 2 + body.iter().map(|b| b.len()).sum::<usize>();
    out.extend_from_slice(&[0xFF, marker]);
    out.extend_from_slice(&(length as u16).to_be_bytes());
    body.iter().for_each(|b| out.extend_from_slice(b));
}

/// Start of image, JFIF or Adobe's, EXIF, ICC and our own. `learned`: colour is, and `icc` says what it looks like.
pub fn start(out: &mut Vec<u8>, notes: &Notes, learned: bool, icc: &[u8]) {
    out.extend_from_slice(&[0xFF, 0xD8]);
    if !learned {
        segment(out, 0xE0, &[b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"]);
    }
    if (2..=8).contains(&notes.orientation) {
        // One entry, Orientation, of one SHORT, in a big-endian TIFF.
        let tiff = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0";
        segment(out, 0xE1, &[b"Exif\0\0", tiff, &[notes.orientation, 0, 0, 0, 0, 0, 0]]);
    }
    let chunks = icc.chunks(65519);
    let count = chunks.len();
    for (i, chunk) in (1..).zip(chunks) {
        segment(out, 0xE2, &[b"ICC_PROFILE\0", &[i, count as u8], chunk]);
    }
    let flags = notes.time.is_some() as u8 | (notes.concealed as u8) << 1;
    let time = notes.time.unwrap_or(0).to_be_bytes();
    let parameters = if learned { &learned::parameters()[..] } else { &[] };
    let fixed: &[u8] = &[VERSION, flags, learned as u8, notes.step];
    segment(out, 0xE9, &[SEGMENT_NAME, fixed, &notes.number.to_be_bytes(), &time, &notes.pack, parameters]);
    if learned {
        // Version 100, no flags, transform 0: components are red, green and blue, as far as readers know.
        segment(out, 0xEE, &[b"Adobe\0\x64\0\0\0\0\0"]);
    }
}

pub fn quantisation(out: &mut Vec<u8>, steps: &[Steps]) {
    for (i, s) in (0..).zip(steps) {
        segment(out, 0xDB, &[&[i], &s.table]);
    }
}

pub fn frame(out: &mut Vec<u8>, width: usize, height: usize, progressive: bool, components: &[Component]) {
    let (w, h) = ((width as u16).to_be_bytes(), (height as u16).to_be_bytes());
    let list: Vec<u8> = components.iter().flat_map(|c| [c.id, (c.h << 4 | c.v) as u8, c.steps as u8]).collect();
    segment(out, if progressive { 0xC2 } else { 0xC0 }, &[&[8], &h, &w, &[components.len() as u8], &list]);
}

pub fn restart_interval(out: &mut Vec<u8>, mcus: u16) {
    segment(out, 0xDD, &[&mcus.to_be_bytes()]);
}

/// `class` 0 is DC, 1 AC.
pub fn huffman(out: &mut Vec<u8>, class: usize, table: usize, codes: &Table) {
    segment(out, 0xC4, &[&[(class << 4 | table) as u8], &codes.counts, &codes.symbols]);
}

/// `components`: number and codes of each.
pub fn scan(out: &mut Vec<u8>, components: impl ExactSizeIterator<Item = (u8, usize)>, spectrum: &RangeInclusive<u8>) {
    let count = components.len() as u8;
    let list: Vec<u8> = components.flat_map(|(id, codes)| [id, (codes << 4 | codes) as u8]).collect();
    segment(out, 0xDA, &[&[count], &list, &[*spectrum.start(), *spectrum.end(), 0]]);
}

/// What lic's own segment says, if a file has one before its first scan; and whether the file ends with that scan's end or later.
pub(super) fn own(file: &[u8]) -> Result<(Option<Own>, bool)> {
    let (mut own, mut ended) = (None, false);
    let walked = walk(file, |marker, body, after| {
        match marker {
            0xE9 if body.starts_with(SEGMENT_NAME) && own.is_none() => match Own::parse(body) {
                Ok(o) => own = Some(o),
                Err(e) => return ControlFlow::Break(e),
            },
            // No byte of ones in coded data is followed by this one.
            0xDA => ended = after.windows(2).rev().any(|w| w == [0xFF, 0xD9]),
            _ => (),
        }
        ControlFlow::Continue(())
    });
    match walked {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok((own, ended)),
    }
}

/// Shows the segments up to and with the first scan's: marker, body, and what follows the marker.
fn walk<B>(file: &[u8], mut show: impl FnMut(u8, &[u8], &[u8]) -> ControlFlow<B>) -> ControlFlow<B> {
    let mut rest = file.get(2..).unwrap_or(&[]);
    // Markers may be preceded by any number of FF.
    while let [0xFF, marker, after @ ..] = rest {
        if *marker == 0xFF {
            rest = &rest[1..];
            continue;
        }
        let Some((length, _)) = after.split_first_chunk() else { break };
        let length = u16::from_be_bytes(*length) as usize;
        let Some(body) = after.get(2..length) else { break };
        show(*marker, body, after)?;
        if *marker == 0xDA {
            break;
        }
        rest = &after[length..];
    }
    ControlFlow::Continue(())
}

/// How a file's components were quantised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tables {
    /// In raster order, each at least 1; of grey files twice the same.
    pub luma: [u16; 64],
    pub chroma: [u16; 64],
    /// Chroma has half of luma's columns and rows.
    pub halved: bool,
}

/// None where a table that a component names is not there before the first scan, or components are not one or three.
pub(super) fn tables(file: &[u8]) -> Option<Tables> {
    let (mut found, mut components) = ([None; 4], Vec::new());
    let _ = walk(file, |marker, body, _| {
        match marker {
            0xDB => {
                let mut rest = body;
                // Precision and number, then entries of one byte or two.
                while let [head, entries @ ..] = rest {
                    let size = 1 + (head >> 4 != 0) as usize;
                    let Some(t) = entries.get(..64 * size) else { break };
                    let mut table = [1; 64];
                    for (i, e) in t.chunks_exact(size).enumerate() {
                        table[ZIGZAG[i] as usize] = e.iter().fold(0, |v, b| v << 8 | *b as u16).max(1);
                    }
                    found[(head & 3) as usize] = Some(table);
                    rest = &entries[64 * size..];
                }
            }
            // SOF0, 1 and 2: each component's number, sampling factors, table.
            0xC0..=0xC2 => components = body.get(6..).unwrap_or(&[]).chunks_exact(3).map(|c| (c[1], c[2])).collect(),
            _ => (),
        }
        ControlFlow::<()>::Continue(())
    });
    let table = |i: usize| found[(components[i].1 & 3) as usize];
    match components.len() {
        1 => table(0).map(|t| Tables { luma: t, chroma: t, halved: false }),
        3 => Some(Tables { luma: table(0)?, chroma: table(1)?, halved: components.iter().map(|c| c.0).eq([0x22, 0x11, 0x11]) }),
        _ => None,
    }
}
