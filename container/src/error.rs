//! What can be wrong with a file.

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Mcap(#[from] mcap::McapError),
    #[error("{0}")]
    Codec(#[from] lic_codec::Error),
    #[error("there is no frame {n}: the file has {of}")]
    NoFrame { n: u64, of: u64 },
    /// The file is no lic stream, or there is nothing whole in it.
    #[error("{0}")]
    Damaged(String),
}

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
