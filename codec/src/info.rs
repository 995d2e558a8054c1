//! What a stream says of its pictures.

/// Code points of ITU-T H.273; 2 means unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub primaries: u8,
    pub transfer: u8,
    pub matrix: u8,
    pub full_range: bool,
}

impl Colour {
    /// BT.709, limited range: what RGB input is converted to.
    pub const BT709: Colour = Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false };
    /// BT.601 (525 lines), limited range.
    pub const BT601: Colour = Colour { primaries: 6, transfer: 6, matrix: 6, full_range: false };
}

/// Properties of every picture between two key frames. They travel in every key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Luma samples a line, 1 to 65535.
    pub width: u32,
    /// Lines, 1 to 65535.
    pub height: u32,
    /// Frames a second as a fraction; 0/1 if unknown or variable.
    pub fps: (u32, u32),
    /// Pixel aspect ratio.
    pub par: (u32, u32),
    pub colour: Colour,
    /// The source had no chroma; decoders may give one plane.
    pub grey: bool,
}
