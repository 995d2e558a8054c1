//! Decoded pictures -> JPEG files (ITU-T T.81, JFIF 1.02), by way of DCT coefficients.
//!
//! ```text
//! planes -> full-range BT.601 samples -> forward DCT -> quantised coefficients -> Huffman-coded scans
//! ```
//!
//! Written here and not by a library because the quantiser knows the stream's step: its tables and its rounding are ours.

mod annex_k;
mod dct;
mod huffman;
mod samples;
mod scan;
mod segments;
mod tables;

use crate::error::{Error, Result};
use crate::{Colour, RawFormat, RawFrame};
pub use segments::{Notes, SEGMENT_NAME};

/// Chroma samples of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subsampling {
    /// Half of luma's columns and rows, as the codec's pictures have them.
    #[default]
    Yuv420,
    /// As many as luma's, interpolated.
    Yuv444,
    /// None.
    Grey,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub subsampling: Subsampling,
    /// DC first, then low and high frequencies of each component, instead of block after block.
    pub progressive: bool,
    /// Huffman codes made for the picture, instead of those of Annex K. Progressive files always have their own.
    pub optimise: bool,
    /// Rows of MCUs between restart markers; 0 for none.
    pub restart_rows: u16,
    /// 1 to 100: Annex K's tables, scaled as libjpeg scales them. 0: tables and rounding that suit the stream's step.
    pub quality: u8,
}

impl Default for Options {
    fn default() -> Self {
        Options { subsampling: Subsampling::default(), progressive: false, optimise: true, restart_rows: 0, quality: 0 }
    }
}

/// One component's quantised coefficients.
struct Component {
    /// Sampling factors.
    h: usize,
    v: usize,
    /// Blocks of a line and lines of blocks that hold samples of the picture: what scans of one component code.
    columns: usize,
    rows: usize,
    /// Blocks of a line in memory: whole MCUs.
    stride: usize,
    /// Which tables: 0 luma, 1 chroma.
    table: usize,
    /// `[rows][stride]` blocks, each in zigzag order.
    blocks: Vec<[i16; 64]>,
}

/// Writes `picture` (I420 or GRAY8) of colour `colour` as one JPEG file.
///
/// Samples become full-range BT.601 YCbCr, as JFIF has it; primaries and transfer function stay, and an ICC profile in `notes` may name them.
/// `notes.step` chooses the tables where `options.quality` is 0.
pub fn write(picture: &RawFrame, colour: Colour, options: &Options, notes: &Notes) -> Result<Vec<u8>> {
    let grey = match picture.format {
        RawFormat::Gray8 => true,
        RawFormat::I420 => options.subsampling == Subsampling::Grey,
        other => return Err(Error::Unsupported(format!("JPEG files are written from I420 or GRAY8, not {other:?}"))),
    };
    if options.quality > 100 {
        return Err(Error::Unsupported(format!("JPEG quality {} is not within 0 to 100", options.quality)));
    }
    let quantiser = tables::quantiser(options.quality, notes.step);
    let planes = samples::planes(picture, colour, options.subsampling, grey);
    let most = if grey || options.subsampling == Subsampling::Yuv444 { 1 } else { 2 };
    let (width, height) = (picture.width, picture.height);
    let (columns, rows) = (width.div_ceil(8 * most), height.div_ceil(8 * most));
    let components: Vec<Component> = planes
        .iter()
        .enumerate()
        .map(|(i, plane)| {
            let factor = if i == 0 { most } else { 1 };
            let table = (i > 0) as usize;
            let (stride, lines) = (columns * factor, rows * factor);
            let blocks = dct::blocks(plane, stride, lines, &quantiser[table]);
            let (columns, rows) = (plane.width.div_ceil(8), plane.height.div_ceil(8));
            Component { h: factor, v: factor, columns, rows, stride, table, blocks }
        })
        .collect();

    let mut out = Vec::with_capacity(width * height / 8 + 4096);
    segments::start(&mut out, notes);
    segments::quantisation(&mut out, &quantiser[..if grey { 1 } else { 2 }]);
    segments::frame(&mut out, width, height, options.progressive, &components);
    scan::write(&mut out, &components, (columns, rows), options);
    out.extend_from_slice(&[0xFF, 0xD9]);
    Ok(out)
}
