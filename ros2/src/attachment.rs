//! The 33 bytes beside each sample, without which rmw_zenoh drops it.

/// Its length in bytes.
pub const BYTES: usize = 33;
const GID_BYTES: u8 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    /// From 1.
    pub sequence: i64,
    /// When it was published, nanoseconds since 1970.
    pub time: i64,
    /// Of the publisher: [`crate::graph::gid`].
    pub gid: [u8; 16],
}

impl Attachment {
    #[must_use]
    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time.to_le_bytes());
        bytes[16] = GID_BYTES;
        bytes[17..].copy_from_slice(&self.gid);
        bytes
    }

    /// `None` if it is none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok().filter(|bytes: &&[u8; BYTES]| bytes[16] == GID_BYTES)?;
        let number = |from: usize| bytes[from..from + 8].try_into().ok().map(i64::from_le_bytes);
        Some(Self { sequence: number(0)?, time: number(8)?, gid: bytes[17..].try_into().ok()? })
    }
}
