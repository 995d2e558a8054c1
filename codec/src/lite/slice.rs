//! Payload of a slice of a lite pack.

use super::Lite;
use super::map::{COUNTS, Map};
use super::rans4::Decoder4;
use crate::error::{Error, Result};
use crate::rans::{RansDecoder, RansEncoder};
use lic_kernels::Level;
use lic_kernels::lite::context::{LIMIT, Lines, Position, Row, SYMBOLS, Symbols, code_row, decode_position};
use lic_kernels::lite::{CHANNELS, GROUPS};

/// What a slice's payload is coded under: columns of positions, quantiser step, channel groups, latents of the reference (kind
/// `latent`), rescaled to this step.
#[derive(Clone, Copy)]
pub struct Slice<'a> {
    pub columns: usize,
    pub step: usize,
    pub groups: usize,
    pub reference: Option<&'a [i8]>,
}

/// What [`encode`] and [`decode`] keep between calls.
#[derive(Default)]
pub struct Scratch {
    lines: Lines,
    symbols: Symbols,
}

fn check(latents: &[i8]) -> u32 {
    // One buffer for crc32c, which takes bytes.
    let bytes: Vec<u8> = latents.iter().map(|&v| v as u8).collect();
    crc32c::crc32c(&bytes)
}

/// Codes `latents` (positions in raster order), which become what the decoder will hold; result: which positions are inter.
pub fn encode(lite: &Lite, level: Level, slice: &Slice, latents: &mut [i8], scratch: &mut Scratch, out: &mut Vec<u8>) -> Vec<bool> {
    let symbols = &mut scratch.symbols;
    symbols.maps.clear();
    symbols.entries.clear();
    symbols.escapes.clear();
    scratch.lines.begin(slice.columns);
    let row = slice.columns * CHANNELS;
    for (i, latents) in latents.chunks_exact_mut(row).enumerate() {
        let reference = slice.reference.map(|r| &r[i * row..][..row]);
        code_row(
            level,
            &lite.contexts,
            &mut Row { latents, reference, step: slice.step, groups: slice.groups },
            &mut scratch.lines,
            symbols,
        );
        scratch.lines.next();
    }
    let mut map = Map::new(if slice.reference.is_some() { &lite.map_latent } else { &lite.map_none }, slice.columns);
    let (mut coder, mut maps, mut escapes) = (RansEncoder::default(), vec![], vec![]);
    for (i, &value) in symbols.maps.iter().enumerate() {
        map.encode(i % slice.columns, value, &mut coder);
    }
    coder.finish(check(latents), &mut maps);
    write_escapes(&symbols.escapes, &mut escapes);
    crate::bitstream::varint(out, maps.len() as u32);
    crate::bitstream::varint(out, escapes.len() as u32);
    out.extend_from_slice(&maps);
    out.extend_from_slice(&escapes);
    if !symbols.entries.is_empty() {
        lite.histograms.encode(&symbols.entries, out);
    }
    symbols.maps.iter().map(|&m| m as usize >= COUNTS).collect()
}

/// The latents of `rows` rows that [`encode`] coded, and which positions are inter.
pub fn decode(lite: &Lite, slice: &Slice, rows: usize, payload: &[u8]) -> Result<(Vec<i8>, Vec<bool>)> {
    let damaged = || Error::Damaged("a slice of a lite pack does not decode".into());
    let (maps, rest) = length(payload).ok_or_else(damaged)?;
    let (escapes, rest) = length(rest).ok_or_else(damaged)?;
    let (maps, rest) = rest.split_at_checked(maps).ok_or_else(damaged)?;
    let (escapes, symbols) = rest.split_at_checked(escapes).ok_or_else(damaged)?;
    let mut map = Map::new(if slice.reference.is_some() { &lite.map_latent } else { &lite.map_none }, slice.columns);
    let (mut maps, mut coder, mut escapes) =
        (RansDecoder::new(maps), Decoder4::new(&lite.histograms, symbols), Bits { data: escapes, at: 0 });
    let (mut out, mut inters, mut any) = (vec![0i8; slice.columns * rows * CHANNELS], vec![], false);
    let mut lines = Lines::default();
    lines.begin(slice.columns);
    for (i, y) in out.chunks_exact_mut(CHANNELS).enumerate() {
        let (x, value) = (i % slice.columns, map.decode(i % slice.columns, &mut maps) as usize);
        let (inter, n) = (value >= COUNTS, value % COUNTS);
        if n > slice.groups || maps.overrun() || coder.overrun() && any {
            return Err(damaged());
        }
        any |= n > 0;
        inters.push(inter);
        let reference = slice.reference.map(|r| r[i * CHANNELS..][..CHANNELS].try_into().expect("whole"));
        let y: &mut [i8; CHANNELS] = y.try_into().expect("whole");
        decode_position(&lite.contexts, Position { x, n, inter, step: slice.step }, reference, &mut lines, y, |class, level| {
            let symbol = coder.next(class * lic_kernels::lite::context::LEVELS + level as usize);
            if symbol == SYMBOLS - 1 { escapes.escape() } else { symbol as i16 - LIMIT }
        });
        if x + 1 == slice.columns {
            lines.next();
        }
    }
    let whole = maps.finish(check(&out)) && if any { coder.finish() } else { symbols.is_empty() } && escapes.finish();
    if whole { Ok((out, inters)) } else { Err(damaged()) }
}

/// A varint, and what follows it.
fn length(data: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (i, b) in data.iter().enumerate().take(4) {
        value |= (*b as usize & 0x7f) << (7 * i);
        if *b < 0x80 {
            return Some((value, &data[i + 1..]));
        }
    }
    None
}

/// Bits of an escape's length field.
const LENGTH: u32 = 4;

/// Sign, four bits n, n bits b: |v| = LIMIT + 2^n + b. Bits from the least significant on.
fn write_escapes(values: &[i16], out: &mut Vec<u8>) {
    let (mut bits, mut have) = (0u64, 0);
    for &v in values {
        let e = v.unsigned_abs() as u32 - LIMIT as u32;
        let n = 31 - e.leading_zeros();
        let code = (v < 0) as u64 | (n as u64) << 1 | ((e - (1 << n)) as u64) << (1 + LENGTH);
        bits |= code << have;
        have += 1 + LENGTH + n;
        while have >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            have -= 8;
        }
    }
    if have > 0 {
        out.push(bits as u8);
    }
}

/// Reads bits; those beyond the end are 0.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, n: u32) -> u32 {
        (0..n).fold(0, |v, i| {
            let bit = self.data.get(self.at / 8).map_or(0, |b| b >> (self.at % 8) & 1) as u32;
            self.at += 1;
            v | bit << i
        })
    }

    fn escape(&mut self) -> i16 {
        let negative = self.take(1) == 1;
        // What no encoder writes stays within the range of a difference.
        let n = self.take(LENGTH).min(9);
        let v = LIMIT + (1i16 << n) + self.take(n) as i16;
        if negative { -v } else { v }
    }

    fn finish(&self) -> bool {
        self.at.div_ceil(8) == self.data.len()
    }
}

const _: () = assert!(GROUPS + 1 == COUNTS);
