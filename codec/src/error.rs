//! What can go wrong, worded for the person who has to mend it.

/// Every failure of the codec.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ONNX Runtime is missing or refuses a model.
    #[error("{0}")]
    Runtime(String),
    /// A model pack is missing, unreadable or inconsistent.
    #[error("model pack: {0}")]
    Pack(String),
    /// The stream was made with a pack that this receiver does not have.
    #[error("the stream needs the model pack {name:?} (id {id}), which is not here: copy its folder into one of {searched}")]
    UnknownPack { name: String, id: String, searched: String },
    /// The device that was asked for does not compute.
    #[error("CUDA device: {0}")]
    Device(String),
    /// There is none.
    #[error("{0}")]
    NoDevice(String),
    /// A picture or setting that the codec does not take.
    #[error("{0}")]
    Unsupported(String),
    /// A stream whose pictures are larger than the receiver takes: see [`Decoder::set_max_pixels`](crate::Decoder::set_max_pixels).
    #[error("a picture of {width}x{height}: max-pixels allows {most} pixels")]
    TooLarge { width: u32, height: u32, most: u64 },
    /// Bytes that are no lic frame, or a damaged one. Nothing of it was decoded.
    #[error("damaged stream: {0}")]
    Damaged(String),
    /// The frame refers to one that is not held: wait for a key frame or ask for one.
    #[error("frame {number} refers to frame {reference}, which is not held; a key frame is needed")]
    MissingReference { number: u32, reference: u32 },
}

/// Result of the codec's functions.
pub type Result<T> = std::result::Result<T, Error>;
