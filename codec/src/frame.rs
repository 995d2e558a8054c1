//! Raw pictures in and out, by reference.

use crate::error::{Error, Result};
use std::time::Duration;

/// Raw formats that the encoder reads. Names as in GStreamer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RawFormat {
    I420,
    Yv12,
    Nv12,
    Nv21,
    Yuy2,
    Uyvy,
    Gray8,
    Rgb,
    Bgr,
    Rgbx,
    Bgrx,
    Xrgb,
    Xbgr,
}

impl RawFormat {
    /// Number of planes, and for each the bytes of a line of `width` and the lines of `height`.
    pub fn planes(self, width: usize, height: usize) -> Vec<(usize, usize)> {
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        match self {
            RawFormat::I420 | RawFormat::Yv12 => vec![(width, height), (cw, ch), (cw, ch)],
            RawFormat::Nv12 | RawFormat::Nv21 => vec![(width, height), (2 * cw, ch)],
            RawFormat::Yuy2 | RawFormat::Uyvy => vec![(4 * cw, height)],
            RawFormat::Gray8 => vec![(width, height)],
            RawFormat::Rgb | RawFormat::Bgr => vec![(3 * width, height)],
            RawFormat::Rgbx | RawFormat::Bgrx | RawFormat::Xrgb | RawFormat::Xbgr => vec![(4 * width, height)],
        }
    }

    /// Whether samples are red, green and blue, which the encoder converts to BT.709 limited range.
    pub fn is_rgb(self) -> bool {
        !matches!(
            self,
            RawFormat::I420 | RawFormat::Yv12 | RawFormat::Nv12 | RawFormat::Nv21 | RawFormat::Yuy2 | RawFormat::Uyvy | RawFormat::Gray8
        )
    }
}

/// One raw picture: planes of bytes with their strides. A value that exists is large enough for its size.
#[derive(Clone, Debug)]
pub struct RawFrame<'a> {
    pub(crate) format: RawFormat,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) planes: Vec<(&'a [u8], usize)>,
    pub(crate) time: Option<Duration>,
}

impl<'a> RawFrame<'a> {
    pub fn format(&self) -> RawFormat {
        self.format
    }

    /// Pixels of a line.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Lines.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `planes`: bytes and stride (bytes between lines) of each plane in the format's order.
    pub fn new(format: RawFormat, width: u32, height: u32, planes: &[(&'a [u8], usize)]) -> Result<Self> {
        let (width, height) = (width as usize, height as usize);
        check(format, width, height, planes.iter().map(|p| (p.0.len(), p.1)))?;
        Ok(RawFrame { format, width, height, planes: planes.to_vec(), time: None })
    }

    /// When it was captured, by any clock that does not jump: what rate control counts seconds by. Without it frames come at the stream's rate.
    pub fn at(self, time: Duration) -> Self {
        RawFrame { time: Some(time), ..self }
    }
}

/// Where a decoded picture goes: I420, NV12, GRAY8, RGB or BGR planes with their strides.
pub struct PictureMut<'a> {
    pub(crate) format: RawFormat,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) planes: Vec<(&'a mut [u8], usize)>,
}

impl<'a> PictureMut<'a> {
    /// See [`RawFrame::new`]; `format` is I420, NV12, GRAY8, RGB (converted by the matrix that the stream names) or BGR.
    pub fn new(format: RawFormat, width: u32, height: u32, planes: Vec<(&'a mut [u8], usize)>) -> Result<Self> {
        if !matches!(format, RawFormat::I420 | RawFormat::Nv12 | RawFormat::Gray8 | RawFormat::Rgb | RawFormat::Bgr) {
            return Err(Error::Unsupported(format!("the decoder writes I420, NV12, GRAY8, RGB or BGR, not {format:?}")));
        }
        let (width, height) = (width as usize, height as usize);
        check(format, width, height, planes.iter().map(|p| (p.0.len(), p.1)))?;
        Ok(PictureMut { format, width, height, planes })
    }
}

fn check(format: RawFormat, width: usize, height: usize, planes: impl ExactSizeIterator<Item = (usize, usize)>) -> Result<()> {
    let need = format.planes(width, height);
    if width == 0 || height == 0 || width > 65535 || height > 65535 || need.len() != planes.len() {
        return Err(Error::Unsupported(format!("{format:?} {width}x{height} with {} planes", planes.len())));
    }
    for (i, ((line, lines), (len, stride))) in need.into_iter().zip(planes).enumerate() {
        if stride < line || len < stride * (lines - 1) + line {
            return Err(Error::Unsupported(format!(
                "plane {i} of {format:?} {width}x{height}: {len} bytes with stride {stride} are too few"
            )));
        }
    }
    Ok(())
}
