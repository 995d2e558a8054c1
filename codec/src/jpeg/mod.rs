//! Decoded pictures -> JPEG files (ITU-T T.81, JFIF 1.02), by way of DCT coefficients; and back.
//!
//! ```text
//! planes -> full-range BT.601 samples, or learned colour -> forward DCT -> quantised coefficients -> Huffman-coded scans
//! ```
//!
//! Written here and not by a library because the quantiser knows the stream's step: its tables and its rounding are ours. Read by one.

mod annex_k;
mod enhance;
mod file;
mod huffman;
mod icc;
mod learned;
mod pair;
mod read;
mod samples;
mod scan;
mod segments;
mod symbols;
mod tables;
mod trellis;

use crate::error::{Error, Result};
use crate::{Colour, RawFormat, RawFrame};
pub use enhance::Enhancer;
use file::{Component, File};
use lic_kernels::Level;
pub use read::{Picture, read, read_enhanced};
use samples::{LearnedRows, Standard};
pub use segments::{Notes, SEGMENT_NAME};

/// What a file's components are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Components {
    /// YCbCr as JFIF has it: right in every reader.
    #[default]
    Standard,
    /// Learned: fewer bytes, or less error at as many, and false colours in readers that know neither the file's own segment nor its ICC
    /// profile. Three components, none subsampled; grey pictures stay as they are.
    Learned,
}

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
    pub components: Components,
    /// Of standard components; learned ones are never subsampled, and grey files have none.
    pub subsampling: Subsampling,
    /// DC first, then low and high frequencies of each component, instead of block after block.
    pub progressive: bool,
    /// Huffman codes made for the picture, instead of those of Annex K. Progressive files always have their own.
    pub optimise: bool,
    /// Rows of MCUs between restart markers; 0 for none.
    pub restart_rows: u16,
    /// 1 to 100: Annex K's tables, scaled as libjpeg scales them, or with learned components the four trained rates at 1, 34, 67 and 100
    /// and what is between. 0: tables and rounding that suit the stream's step.
    pub quality: u8,
    /// Where `quality` is 0: tables of so many steps more (finer, and larger files) or fewer, -32 to 32.
    pub finer: i8,
    /// Levels chosen by what they cost against what they mend, wherever tables are not Annex K's: fewer bytes, for several times the time.
    pub trellis: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            components: Components::default(),
            subsampling: Subsampling::default(),
            progressive: false,
            optimise: true,
            restart_rows: 0,
            quality: 0,
            finer: 0,
            trellis: true,
        }
    }
}

/// Writes `picture` of colour `colour` as one JPEG file. With standard components it is I420 or GRAY8, with learned ones also RGB.
///
/// Samples become full-range BT.601 YCbCr, as JFIF has it; primaries and transfer stay, and an ICC profile in `notes` may name them.
/// Learned components take red, green and blue as sRGB, and bring a profile of their own. `notes.step` chooses the tables where
/// `options.quality` is 0.
pub fn write(picture: &RawFrame, colour: Colour, options: &Options, notes: &Notes) -> Result<Vec<u8>> {
    let (format, level) = (picture.format, Level::best());
    let coloured = format != RawFormat::Gray8 && options.subsampling != Subsampling::Grey;
    let learned = options.components == Components::Learned && coloured;
    let grey = !coloured;
    match format {
        RawFormat::I420 | RawFormat::Gray8 => {}
        RawFormat::Rgb if learned => {}
        RawFormat::Rgb => {
            return Err(Error::Unsupported("JPEG files are written from RGB with learned components only: convert it to I420".into()));
        }
        other => return Err(Error::Unsupported(format!("JPEG files are written from I420 or GRAY8, not {other:?}"))),
    }
    if options.quality > 100 {
        return Err(Error::Unsupported(format!("JPEG quality {} is not within 0 to 100", options.quality)));
    }
    if learned && !notes.icc.is_empty() {
        return Err(Error::Unsupported("files with learned components carry an ICC profile of their own: give none".into()));
    }
    let most = if grey || learned || options.subsampling == Subsampling::Yuv444 { 1 } else { 2 };
    let (width, height) = (picture.width, picture.height);
    let size = (width.div_ceil(8 * most), height.div_ceil(8 * most));
    let components = (0..if grey { 1 } else { 3 }).map(|i| {
        let factor = if i == 0 { most } else { 1 };
        let samples = |n: usize| if i > 0 && most == 2 { n.div_ceil(2) } else { n };
        Component {
            id: if learned { b"RGB"[i] } else { i as u8 + 1 },
            h: factor,
            v: factor,
            columns: samples(width).div_ceil(8),
            rows: samples(height).div_ceil(8),
            stride: size.0 * factor,
            steps: if learned { i } else { i.min(1) },
            codes: i.min(1),
            blocks: Vec::new(),
            coded: Vec::new(),
        }
    });
    let step = i32::from(notes.step.min(63)) + i32::from(options.finer.clamp(-32, 32));
    let mut steps = if learned { tables::learned(options.quality, step) } else { tables::standard(options.quality, step) };
    steps.truncate(if grey { 1 } else { 3 });
    let trellis = options.trellis && (learned || options.quality == 0);
    let file = File { trellis, size, components: components.collect(), steps, options: *options, level };
    let mut out = Vec::with_capacity(width * height / 8 + 4096);
    let icc = if learned { icc::profile(&learned::inverse(&learned::parameters())?) } else { Vec::new() };
    segments::start(&mut out, notes, learned, if learned { &icc } else { &notes.icc });
    segments::quantisation(&mut out, &file.steps);
    segments::frame(&mut out, width, height, options.progressive, &file.components);
    if learned {
        file.write(&mut out, LearnedRows::new(picture, colour, learned::forward(), level));
    } else {
        let subsampling = if grey { Subsampling::Grey } else { options.subsampling };
        file.write(&mut out, Standard::new(picture, colour, subsampling, level));
    }
    out.extend_from_slice(&[0xFF, 0xD9]);
    Ok(out)
}
