//! The attachment of a frame, byte for byte as in `docs/transport.md`, and the little messages beside the stream.

use crate::frame::{FrameInfo, MAX_REFERENCES};

/// First bytes of every attachment, so that other publishers' attachments are told apart.
pub const MAGIC: [u8; 3] = *b"LIC";
/// Version of the layout. Fields may be appended without changing it.
pub const VERSION: u8 = 1;
/// The longest caps string, in bytes; its length field has 16 bits.
pub const MAX_CAPS: usize = u16::MAX as usize;

const FIXED: usize = 24;

const KEY: u16 = 1 << 0;
const DELTA: u16 = 1 << 1;
const HEADER: u16 = 1 << 2;
const DISCONT: u16 = 1 << 3;
const HAS_NUMBER: u16 = 1 << 4;
const HAS_PTS: u16 = 1 << 5;
const HAS_DTS: u16 = 1 << 6;
const HAS_DURATION: u16 = 1 << 7;
const HAS_CAPTURE: u16 = 1 << 8;
const HAS_CAPS: u16 = 1 << 9;
const CAPS_FOLLOW: u16 = 1 << 10;
const RECOVERY: u16 = 1 << 11;
const ACKNOWLEDGE: u16 = 1 << 12;

/// Why an attachment is not ours or is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the frame has no lic attachment")]
    Foreign,
    #[error("attachment of version {0}; this receiver reads version {VERSION}")]
    Version(u8),
    #[error("attachment ends after {0} bytes")]
    Short(usize),
    #[error("{0} references; at most {MAX_REFERENCES} are possible")]
    References(u8),
    #[error("the caps are no UTF-8 text")]
    CapsText,
    #[error("caps of {0} bytes; at most {MAX_CAPS} can be sent")]
    CapsLength(usize),
}

/// Everything that travels with a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Drawn at random when a publisher starts: tells a restarted sender from the one before.
    pub stream: u64,
    /// Counts every frame given to the publisher, sent or evicted.
    pub sequence: u64,
    pub info: FrameInfo,
    /// GStreamer caps, when this frame carries them.
    pub caps: Option<String>,
    /// The sender sends caps: one who has none yet should wait for them.
    pub caps_follow: bool,
    /// The sender wants to know that this frame arrived.
    pub acknowledge: bool,
}

impl Header {
    /// The attachment. Fails on more than [`MAX_REFERENCES`] references or [`MAX_CAPS`] bytes of caps.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let info = &self.info;
        if info.references.len() > MAX_REFERENCES {
            return Err(WireError::References(info.references.len().min(255) as u8));
        }
        let caps = self.caps.as_deref().unwrap_or_default();
        if caps.len() > MAX_CAPS {
            return Err(WireError::CapsLength(caps.len()));
        }
        let mut flags = 0;
        for (set, bit) in [
            (info.key, KEY),
            (info.delta, DELTA),
            (info.header, HEADER),
            (info.discont, DISCONT),
            (info.number.is_some(), HAS_NUMBER),
            (info.pts.is_some(), HAS_PTS),
            (info.dts.is_some(), HAS_DTS),
            (info.duration.is_some(), HAS_DURATION),
            (info.capture.is_some(), HAS_CAPTURE),
            (self.caps.is_some(), HAS_CAPS),
            (self.caps_follow, CAPS_FOLLOW),
            (info.recovery, RECOVERY),
            (self.acknowledge, ACKNOWLEDGE),
        ] {
            if set {
                flags |= bit;
            }
        }
        let mut out = Vec::with_capacity(FIXED + 36 + 4 * info.references.len() + 2 + caps.len());
        out.extend(MAGIC);
        out.push(VERSION);
        out.extend(self.stream.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend(flags.to_le_bytes());
        out.push(info.references.len() as u8);
        out.push(0);
        if let Some(number) = info.number {
            out.extend(number.to_le_bytes());
        }
        for time in [info.pts, info.dts, info.duration].into_iter().flatten() {
            out.extend(time.to_le_bytes());
        }
        if let Some(capture) = info.capture {
            out.extend(capture.to_le_bytes());
        }
        for reference in &info.references {
            out.extend(reference.to_le_bytes());
        }
        if self.caps.is_some() {
            out.extend((caps.len() as u16).to_le_bytes());
            out.extend(caps.as_bytes());
        }
        Ok(out)
    }

    /// Reads an attachment from the network. Bytes after the last known field belong to a later sender and are skipped.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.get(..3) != Some(MAGIC.as_slice()) {
            return Err(WireError::Foreign);
        }
        let mut reader = Reader { bytes, at: 3 };
        let [version] = reader.take()?;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        let stream = u64::from_le_bytes(reader.take()?);
        let sequence = u64::from_le_bytes(reader.take()?);
        let flags = u16::from_le_bytes(reader.take()?);
        let [references, _reserved] = reader.take()?;
        if references as usize > MAX_REFERENCES {
            return Err(WireError::References(references));
        }
        let has = |bit: u16| flags & bit != 0;
        let info = FrameInfo {
            key: has(KEY),
            delta: has(DELTA),
            recovery: has(RECOVERY),
            header: has(HEADER),
            discont: has(DISCONT),
            number: if has(HAS_NUMBER) { Some(u32::from_le_bytes(reader.take()?)) } else { None },
            pts: if has(HAS_PTS) { Some(u64::from_le_bytes(reader.take()?)) } else { None },
            dts: if has(HAS_DTS) { Some(u64::from_le_bytes(reader.take()?)) } else { None },
            duration: if has(HAS_DURATION) { Some(u64::from_le_bytes(reader.take()?)) } else { None },
            capture: if has(HAS_CAPTURE) { Some(i64::from_le_bytes(reader.take()?)) } else { None },
            references: (0..references).map(|_| reader.take().map(u32::from_le_bytes)).collect::<Result<_, _>>()?,
        };
        let caps = if has(HAS_CAPS) {
            let length = u16::from_le_bytes(reader.take()?) as usize;
            let text = reader.slice(length)?;
            Some(std::str::from_utf8(text).map_err(|_| WireError::CapsText)?.to_string())
        } else {
            None
        };
        Ok(Self { stream, sequence, info, caps, caps_follow: has(CAPS_FOLLOW), acknowledge: has(ACKNOWLEDGE) })
    }
}

/// Frames that an [`Acknowledgement`] speaks of.
pub const ACKNOWLEDGED: u64 = 64;

/// What arrived at a receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    pub receiver: u64,
    /// The highest sequence number that arrived.
    pub newest: u64,
    /// Bit n: frame `newest - n` arrived, or was sent before this receiver began.
    pub arrived: u64,
    /// Bit n: it can be decoded, for all that it refers to can.
    pub whole: u64,
    /// When `newest` arrived, in nanoseconds of the receiver's clock: only differences mean something.
    pub at: u64,
    /// How late a frame that is sent again may still come, in milliseconds; 0: not at all.
    pub playout: u16,
}

impl Acknowledgement {
    /// What `bits`, [`Self::arrived`] or [`Self::whole`], say of a frame. `None`: nothing, for it is above the newest; of one that is too old to
    /// have a bit, false.
    pub(crate) fn bit(&self, bits: u64, sequence: u64) -> Option<bool> {
        let back = self.newest.checked_sub(sequence)?;
        Some(back < ACKNOWLEDGED && bits >> back & 1 == 1)
    }

    /// Whether a frame arrived; what is too old to be spoken of is not missed. `None`: nothing is known of it.
    pub(crate) fn has(&self, sequence: u64) -> Option<bool> {
        self.bit(self.arrived, sequence).map(|bit| bit || self.newest - sequence >= ACKNOWLEDGED)
    }
}

/// What a receiver says to a publisher, on the request key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Send a key frame as soon as possible.
    KeyFrame {
        /// Who asks; 0 if it does not say.
        receiver: u64,
    },
    Acknowledge(Acknowledgement),
}

impl Request {
    /// Version, kind, fields.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::KeyFrame { receiver } => [&[VERSION, 1][..], &receiver.to_le_bytes()].concat(),
            Self::Acknowledge(a) => {
                let mut out = vec![VERSION, 2];
                [a.receiver, a.newest, a.arrived, a.whole, a.at].iter().for_each(|field| out.extend(field.to_le_bytes()));
                out.extend(a.playout.to_le_bytes());
                out
            }
        }
    }

    /// `None` for kinds and versions this side does not know, and for what ends early.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let [version, kind] = reader.take().ok()?;
        let mut number = || reader.take().ok().map(u64::from_le_bytes);
        match (version, kind) {
            (VERSION, 1) => Some(Self::KeyFrame { receiver: number().unwrap_or(0) }),
            (VERSION, 2) => {
                let [receiver, newest, arrived, whole, at] = [number()?, number()?, number()?, number()?, number()?];
                let playout = u16::from_le_bytes(reader.take().ok()?);
                Some(Self::Acknowledge(Acknowledgement { receiver, newest, arrived, whole, at, playout }))
            }
            _ => None,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let found = self.bytes.get(self.at..self.at + length).ok_or(WireError::Short(self.bytes.len()))?;
        self.at += length;
        Ok(found)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(N)?);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Header {
        Header {
            stream: 0x1122_3344_5566_7788,
            sequence: 41,
            info: FrameInfo {
                key: false,
                delta: true,
                recovery: false,
                header: false,
                discont: true,
                number: Some(7),
                references: vec![6, 5],
                pts: Some(1_000_000_000),
                dts: Some(2),
                duration: Some(33_333_333),
                capture: Some(-1),
            },
            caps: Some("video/x-lic".into()),
            caps_follow: true,
            acknowledge: false,
        }
    }

    #[test]
    fn bytes_are_those_of_the_specification() {
        #[rustfmt::skip]
        let expected: &[u8] = &[
            b'L', b'I', b'C', 1,
            0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
            41, 0, 0, 0, 0, 0, 0, 0,
            0b1111_1010, 0b0000_0111, 2, 0,
            7, 0, 0, 0,
            0x00, 0xca, 0x9a, 0x3b, 0, 0, 0, 0,
            2, 0, 0, 0, 0, 0, 0, 0,
            0x55, 0xa0, 0xfc, 0x01, 0, 0, 0, 0,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            6, 0, 0, 0, 5, 0, 0, 0,
            11, 0, b'v', b'i', b'd', b'e', b'o', b'/', b'x', b'-', b'l', b'i', b'c',
        ];
        assert_eq!(full().encode().unwrap(), expected);
    }

    #[test]
    fn the_specification_shows_these_bytes() {
        let example = include_str!("../../docs/transport.md").split("Example:").nth(1).unwrap();
        let lines = example.lines().skip(1).skip_while(|line| !line.starts_with("    ")).take_while(|line| line.starts_with("    "));
        let bytes: Vec<u8> = lines.flat_map(str::split_whitespace).map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect();
        assert_eq!(bytes, full().encode().unwrap());
    }

    #[test]
    fn round_trips() {
        let bare = Header { stream: 1, ..Header::default() };
        let empty_caps = Header { caps: Some(String::new()), ..Header::default() };
        let mut recovery = full();
        recovery.info.recovery = true;
        recovery.acknowledge = true;
        for header in [full(), bare, empty_caps, recovery] {
            assert_eq!(Header::decode(&header.encode().unwrap()).unwrap(), header);
        }
    }

    #[test]
    fn later_fields_are_skipped() {
        let mut bytes = full().encode().unwrap();
        bytes.extend([1, 2, 3]);
        assert_eq!(Header::decode(&bytes).unwrap(), full());
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = full().encode().unwrap();
        for length in 0..bytes.len() {
            assert!(Header::decode(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn hostile_fields_are_errors() {
        let mut bytes = full().encode().unwrap();
        bytes[22] = 9;
        assert_eq!(Header::decode(&bytes), Err(WireError::References(9)));
        let mut bytes = full().encode().unwrap();
        bytes[3] = 2;
        assert_eq!(Header::decode(&bytes), Err(WireError::Version(2)));
        let mut bytes = full().encode().unwrap();
        *bytes.last_mut().unwrap() = 0xff;
        assert_eq!(Header::decode(&bytes), Err(WireError::CapsText));
        assert_eq!(Header::decode(b"gst.version=1.1\n"), Err(WireError::Foreign));
        assert!(Header { caps: Some("x".repeat(MAX_CAPS + 1)), ..full() }.encode().is_err());
        assert!(Header { info: FrameInfo { references: vec![0; 9], ..Default::default() }, ..full() }.encode().is_err());
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut state = 1u64;
        for round in 0..20_000u32 {
            let mut bytes = full().encode().unwrap();
            for _ in 0..1 + round % 8 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 24) as u8;
            }
            bytes.truncate((state >> 40) as usize % (bytes.len() + 1));
            if let Ok(header) = Header::decode(&bytes) {
                assert!(header.info.references.len() <= MAX_REFERENCES);
            }
            let _ = Request::decode(&bytes);
        }
    }

    #[test]
    fn requests_round_trip() {
        let ack = Acknowledgement { receiver: 0x0102_0304_0506_0708, newest: 9, arrived: 0b101, whole: 1, at: 1 << 40, playout: 150 };
        for request in [Request::KeyFrame { receiver: 7 }, Request::Acknowledge(ack)] {
            let bytes = request.encode();
            assert_eq!(Request::decode(&bytes), Some(request));
            assert_eq!(Request::decode(&[&bytes[..], &[1, 2]].concat()), Some(request));
        }
        // Receivers before acknowledgements did not say who they are.
        assert_eq!(Request::decode(&[VERSION, 1]), Some(Request::KeyFrame { receiver: 0 }));
        assert_eq!(Request::decode(&Request::Acknowledge(ack).encode()[..43]), None);
        assert_eq!(Request::decode(&[VERSION, 200]), None);
        assert_eq!(Request::decode(&[]), None);
    }
}
