//! A message -> a picture.

use crate::commands::Error;
use lic_codec::{RawFormat, RawFrame};
use lic_ros2::{CompressedImage, Header, Image};

/// Out of a camera's topic.
pub struct Message {
    pub header: Header,
    /// Nanoseconds since 1970: of the header or, where it has none, of the recording.
    pub time: u64,
    pub content: Content,
}

/// What it holds.
pub enum Content {
    /// Lines of `step` bytes.
    Raw {
        format: RawFormat,
        width: u32,
        height: u32,
        step: usize,
        data: Vec<u8>,
    },
    Jpeg(Vec<u8>),
    Lic(Vec<u8>),
    /// What lic cannot code: by name.
    Other(String),
}

/// Largest picture, as licenc's.
const MAX_PIXELS: u64 = 4096 * 2304;

impl Content {
    pub fn of_compressed(c: CompressedImage) -> Content {
        let format = c.format.to_lowercase();
        if format == "lic" || format.starts_with("lic;") {
            Content::Lic(c.data)
        } else if c.data.starts_with(&[0xff, 0xd8, 0xff]) && !format.contains("compresseddepth") {
            Content::Jpeg(c.data)
        } else {
            Content::Other(c.format)
        }
    }

    pub fn of_image(i: Image) -> Content {
        let format = match i.encoding.as_str() {
            "rgb8" => RawFormat::Rgb,
            "bgr8" => RawFormat::Bgr,
            "rgba8" => RawFormat::Rgbx,
            "bgra8" => RawFormat::Bgrx,
            "mono8" | "8UC1" => RawFormat::Gray8,
            "yuv422" | "uyvy" => RawFormat::Uyvy,
            "yuv422_yuy2" | "yuyv" => RawFormat::Yuy2,
            _ => return Content::Other(i.encoding),
        };
        Content::Raw { format, width: i.width, height: i.height, step: i.step as usize, data: i.data }
    }

    /// f(picture); lic packets have none before they are decoded.
    pub fn with_picture<T>(&self, f: impl FnOnce(RawFrame) -> Result<T, Error>) -> Result<T, Error> {
        match self {
            Content::Raw { format, width, height, step, data } => f(RawFrame::new(*format, *width, *height, &[(data, *step)])?),
            Content::Jpeg(file) => {
                let p = lic_codec::jpeg::read(file, MAX_PIXELS)?;
                let (format, step) = if p.grey { (RawFormat::Gray8, p.width as usize) } else { (RawFormat::Rgb, 3 * p.width as usize) };
                f(RawFrame::new(format, p.width, p.height, &[(&p.samples, step)])?)
            }
            Content::Lic(_) => Err("a lic packet: it has to be decoded".into()),
            Content::Other(what) => Err(format!("pictures of the kind {what:?} are not read").into()),
        }
    }
}
