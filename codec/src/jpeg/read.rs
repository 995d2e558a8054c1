//! JPEG files -> pictures: any file, by zune-jpeg, and those with learned colour through its inverse.

use super::enhance::{Enhancer, Samples};
use super::learned::{self, Inverse};
use super::segments::{self, Notes};
use crate::error::{Error, Result};
use lic_kernels::Level;
use lic_kernels::jpeg::colour;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// A picture out of a file.
#[derive(Clone, Debug)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// One sample a pixel; else three: red, green and blue.
    pub grey: bool,
    /// Lines from the top, no bytes between them.
    pub samples: Vec<u8>,
    /// What the file says of it, if lic wrote it.
    pub notes: Option<Notes>,
}

/// Reads a file of at most `max_pixels` pixels: red, green and blue, or grey. Colour is as the file has it, unless it is learned: then sRGB.
/// Neither orientation nor an ICC profile is applied.
///
/// # Errors
/// `Damaged`: no JPEG file, or not a whole one. `Unsupported`: a segment of lic's that a newer version wrote, or a kind of JPEG that is not
/// read (12 bits, lossless, arithmetic codes). `TooLarge`: more pixels, and no memory was taken for them.
pub fn read(file: &[u8], max_pixels: u64) -> Result<Picture> {
    read_with(file, max_pixels, None)
}

/// The same, restored: see [`Enhancer`]. Files whose components are not YCbCr or grey (learned colour, red, green and blue) are read as they are.
///
/// # Errors
/// As of [`read`], and `Runtime`.
pub fn read_enhanced(file: &[u8], max_pixels: u64, enhancer: &mut Enhancer) -> Result<Picture> {
    read_with(file, max_pixels, Some(enhancer))
}

fn read_with(file: &[u8], max_pixels: u64, enhancer: Option<&mut Enhancer>) -> Result<Picture> {
    let (own, ended) = segments::own(file)?;
    // Incomplete files are errors, not half grey. Of those that end early the decoder lets some pass.
    if !ended {
        return Err(Error::Damaged("not a whole JPEG file: its end is missing".into()));
    }
    let options = DecoderOptions::new_fast().set_max_width(65535).set_max_height(65535).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let damaged = |e: &dyn std::fmt::Debug| Error::Damaged(format!("not a whole JPEG file: {e:?}"));
    decoder.decode_headers().map_err(|e| damaged(&e))?;
    let info = decoder.info().ok_or_else(|| damaged(&"no header"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(Error::TooLarge { width, height, most: max_pixels });
    }
    let grey = info.components == 1;
    let inverse = own.as_ref().and_then(|o| o.inverse.as_ref());
    if inverse.is_some() && decoder.input_colorspace() != Some(ColorSpace::RGB) {
        return Err(Error::Damaged("learned colour without the three components that it is made of".into()));
    }
    // What is restored are the file's own components.
    let enhanced = enhancer
        .filter(|_| grey || decoder.input_colorspace() == Some(ColorSpace::YCbCr))
        .and_then(|e| segments::tables(file).map(|t| (e, t)));
    let colour = if enhanced.is_some() { ColorSpace::YCbCr } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(if grey { ColorSpace::Luma } else { colour }));
    let mut samples = vec![0; width as usize * height as usize * if grey { 1 } else { 3 }];
    // A decoder that wants more would write less than all of it.
    if decoder.output_buffer_size() != Some(samples.len()) {
        return Err(Error::Unsupported(format!("a JPEG file of {} components", info.components)));
    }
    decoder.decode_into(&mut samples).map_err(|e| damaged(&e))?;
    if let Some((enhancer, tables)) = enhanced {
        let (width, height) = (width as usize, height as usize);
        samples = enhancer.restore(&Samples { width, height, grey, values: &samples }, &tables)?;
    }
    if let Some(inverse) = inverse {
        colour::inverse(Level::best(), &inverse.table(), &mut samples);
    }
    Ok(Picture { width, height, grey, samples, notes: own.map(|o| o.notes) })
}

/// What lic's own segment says.
pub(super) struct Own {
    pub notes: Notes,
    /// Of learned colour.
    pub inverse: Option<Inverse>,
}

impl Own {
    /// The segment's body, its name included.
    pub fn parse(body: &[u8]) -> Result<Own> {
        let damaged = || Error::Damaged("lic's segment in the JPEG file is too short".into());
        let unknown = |what: &str, n: u8, known: u8| {
            Error::Unsupported(format!("the JPEG file's lic segment is of {what} {n}, and this lic knows none above {known}: update it"))
        };
        let version = *body.get(4).ok_or_else(damaged)?;
        if version != segments::VERSION {
            return Err(unknown("version", version, segments::VERSION));
        }
        let fixed: &[u8; 36] = body.first_chunk().ok_or_else(damaged)?;
        let inverse = match fixed[6] {
            0 => None,
            1 => Some(learned::inverse(&body[36..])?),
            colour => return Err(unknown("colour", colour, 1)),
        };
        let flags = fixed[5];
        let part = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| fixed[at + i]));
        let notes = Notes {
            time: (flags & 1 != 0).then_some(part(12)),
            number: (part(8) >> 32) as u32,
            pack: std::array::from_fn(|i| fixed[20 + i]),
            step: fixed[7],
            concealed: flags & 2 != 0,
            ..Notes::default()
        };
        Ok(Own { notes, inverse })
    }
}
