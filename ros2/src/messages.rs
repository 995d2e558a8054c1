//! The two messages of a compressed camera, as ros2/common_interfaces defines them in `sensor_msgs/msg`.

use crate::cdr::{CdrError, Reader, Writer};

const SECOND: i64 = 1_000_000_000;

/// `std_msgs/msg/Header`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Seconds since 1970; may be negative.
    pub sec: i32,
    /// Nanoseconds after `sec`, below 1e9.
    pub nanosec: u32,
    pub frame_id: String,
}

impl Header {
    /// `stamp`: nanoseconds since 1970, held within what 32 bits of seconds count (1901 to 2038).
    #[must_use]
    pub fn new(stamp: i64, frame_id: &str) -> Self {
        let sec = stamp.div_euclid(SECOND).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        Self { sec, nanosec: stamp.rem_euclid(SECOND) as u32, frame_id: frame_id.into() }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn stamp(&self) -> i64 {
        i64::from(self.sec) * SECOND + i64::from(self.nanosec)
    }

    fn write(&self, out: &mut Writer) {
        out.i32(self.sec);
        out.u32(self.nanosec);
        out.text(&self.frame_id);
    }

    fn read(from: &mut Reader) -> Result<Self, CdrError> {
        Ok(Self { sec: from.i32()?, nanosec: from.u32()?, frame_id: from.text()?.into() })
    }
}

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompressedImage {
    pub header: Header,
    /// `jpeg`, or as image_transport writes it, `rgb8; jpeg compressed bgr8`.
    pub format: String,
    pub data: Vec<u8>,
}

impl CompressedImage {
    #[must_use]
    pub fn to_cdr(&self) -> Vec<u8> {
        let mut out = Writer::new(self.data.len() + self.header.frame_id.len() + self.format.len() + 32);
        self.header.write(&mut out);
        out.text(&self.format);
        out.bytes(&self.data);
        out.finish()
    }

    /// # Errors
    /// What makes `message` none.
    pub fn from_cdr(message: &[u8]) -> Result<Self, CdrError> {
        let mut from = Reader::new(message)?;
        let image = Self { header: Header::read(&mut from)?, format: from.text()?.into(), data: from.bytes()?.into() };
        from.finish()?;
        Ok(image)
    }
}

/// `sensor_msgs/msg/RegionOfInterest`, pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionOfInterest {
    pub x_offset: u32,
    pub y_offset: u32,
    pub height: u32,
    pub width: u32,
    pub do_rectify: bool,
}

/// `sensor_msgs/msg/CameraInfo`. Matrices are row by row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CameraInfo {
    pub header: Header,
    pub height: u32,
    pub width: u32,
    /// `plumb_bob`, `rational_polynomial`, `equidistant`.
    pub distortion_model: String,
    /// Distortion, as many as the model has.
    pub d: Vec<f64>,
    /// Intrinsic matrix, 3x3.
    pub k: [f64; 9],
    /// Rectification, 3x3.
    pub r: [f64; 9],
    /// Projection, 3x4.
    pub p: [f64; 12],
    pub binning_x: u32,
    pub binning_y: u32,
    pub roi: RegionOfInterest,
}

impl CameraInfo {
    #[must_use]
    pub fn to_cdr(&self) -> Vec<u8> {
        let mut out = Writer::new(512 + 8 * self.d.len());
        self.header.write(&mut out);
        out.u32(self.height);
        out.u32(self.width);
        out.text(&self.distortion_model);
        out.u32(u32::try_from(self.d.len()).unwrap_or(u32::MAX));
        [&self.d[..], &self.k, &self.r, &self.p].into_iter().for_each(|values| out.f64s(values));
        out.u32(self.binning_x);
        out.u32(self.binning_y);
        let RegionOfInterest { x_offset, y_offset, height, width, do_rectify } = self.roi;
        [x_offset, y_offset, height, width].into_iter().for_each(|value| out.u32(value));
        out.bool(do_rectify);
        out.finish()
    }

    /// # Errors
    /// What makes `message` none.
    pub fn from_cdr(message: &[u8]) -> Result<Self, CdrError> {
        let mut from = Reader::new(message)?;
        let info = Self {
            header: Header::read(&mut from)?,
            height: from.u32()?,
            width: from.u32()?,
            distortion_model: from.text()?.into(),
            d: from.f64s()?,
            k: from.array()?,
            r: from.array()?,
            p: from.array()?,
            binning_x: from.u32()?,
            binning_y: from.u32()?,
            roi: RegionOfInterest {
                x_offset: from.u32()?,
                y_offset: from.u32()?,
                height: from.u32()?,
                width: from.u32()?,
                do_rectify: from.bool()?,
            },
        };
        from.finish()?;
        Ok(info)
    }
}

/// `sensor_msgs/msg/Image`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    pub header: Header,
    /// Lines, and pixels of a line.
    pub height: u32,
    pub width: u32,
    /// `rgb8`, `mono8` and so on: `sensor_msgs/image_encodings.hpp`.
    pub encoding: String,
    pub is_bigendian: u8,
    /// Bytes from line to line.
    pub step: u32,
    pub data: Vec<u8>,
}

impl Image {
    #[must_use]
    pub fn to_cdr(&self) -> Vec<u8> {
        let mut out = Writer::new(self.data.len() + self.header.frame_id.len() + self.encoding.len() + 48);
        self.header.write(&mut out);
        out.u32(self.height);
        out.u32(self.width);
        out.text(&self.encoding);
        out.u8(self.is_bigendian);
        out.u32(self.step);
        out.bytes(&self.data);
        out.finish()
    }

    /// # Errors
    /// What makes `message` none.
    pub fn from_cdr(message: &[u8]) -> Result<Self, CdrError> {
        let mut from = Reader::new(message)?;
        let image = Self {
            header: Header::read(&mut from)?,
            height: from.u32()?,
            width: from.u32()?,
            encoding: from.text()?.into(),
            is_bigendian: from.u8()?,
            step: from.u32()?,
            data: from.bytes()?.into(),
        };
        from.finish()?;
        Ok(image)
    }
}
