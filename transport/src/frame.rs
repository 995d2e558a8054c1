//! A frame as this crate sees it: bytes, and what the network must know of them.

/// The most frames that one frame may refer to.
pub const MAX_REFERENCES: usize = 8;

/// What travels beside the bytes of a frame. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameInfo {
    /// Decodable without any other frame.
    pub key: bool,
    /// Needs earlier frames.
    pub delta: bool,
    /// Needs them, but a receiver may begin here: the next frames bring the whole picture.
    pub recovery: bool,
    /// Stream headers rather than media.
    pub header: bool,
    /// The sender's stream jumps before this frame.
    pub discont: bool,
    /// The codec's own frame number, if it has one: then `references` is complete.
    pub number: Option<u32>,
    /// Numbers of the frames this one needs, at most [`MAX_REFERENCES`].
    pub references: Vec<u32>,
    /// Presentation time on the sender's running clock.
    pub pts: Option<u64>,
    /// Decoding time on the sender's running clock.
    pub dts: Option<u64>,
    pub duration: Option<u64>,
    /// When the picture was taken: unix time.
    pub capture: Option<i64>,
}

/// A frame to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    pub info: FrameInfo,
    pub payload: Vec<u8>,
}
