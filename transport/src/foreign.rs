//! Frames of gst-plugin-zenoh as frames of this crate's, and the other way. That plugin has no stream names, sequence numbers or tokens: a
//! key is a stream, what is lost is not noticed, and nobody is asked for a key frame.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::frame::FrameInfo;
use crate::interop::Metadata;
use crate::sync::lock;
use crate::wire::Header;

/// Keys that are counted at a time.
const MOST: usize = 1024;

/// What a receiver counts for publishers that do not.
#[derive(Debug, Default)]
pub(crate) struct Foreign(Mutex<BTreeMap<String, u64>>);

impl Foreign {
    /// `None`: not of that plugin, or compressed, or more keys than are counted.
    pub(crate) fn header(&self, key: &str, attachment: &[u8]) -> Option<Header> {
        let metadata = Metadata::decode(attachment).filter(|metadata| metadata.compression.is_none())?;
        let mut keys = lock(&self.0);
        if keys.len() >= MOST && !keys.contains_key(key) {
            return None;
        }
        let next = keys.entry(key.to_string()).or_default();
        let sequence = *next;
        *next += 1;
        let has = |flag| metadata.flags.contains(&flag);
        let info = FrameInfo {
            key: !has("delta"),
            delta: has("delta"),
            header: has("header"),
            discont: has("discont"),
            pts: metadata.pts,
            dts: metadata.dts,
            duration: metadata.duration,
            ..FrameInfo::default()
        };
        // One stream a key, whatever its publisher is called: 0 is never drawn for one of lic's.
        Some(Header { stream: 0, sequence, info, caps_follow: true, caps: metadata.caps, acknowledge: false })
    }
}

/// What that plugin would attach.
pub(crate) fn attachment(header: &Header) -> Vec<u8> {
    let info = &header.info;
    let flags = [("discont", info.discont), ("delta", info.delta), ("header", info.header)];
    let flags = flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    Metadata { caps: header.caps.clone(), pts: info.pts, dts: info.dts, duration: info.duration, flags, ..Metadata::default() }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_comes_back() {
        let foreign = Foreign::default();
        let info = FrameInfo { delta: true, discont: true, pts: Some(7), duration: Some(3), ..FrameInfo::default() };
        let sent = Header { stream: 99, sequence: 5, info, caps: Some("image/jpeg".into()), caps_follow: true, acknowledge: true };
        for sequence in 0..3 {
            let read = foreign.header("a", &attachment(&sent)).unwrap();
            assert_eq!(read, Header { stream: 0, sequence, acknowledge: false, ..sent.clone() });
        }
        assert_eq!(foreign.header("b", &attachment(&sent)).unwrap().sequence, 0, "another key counts anew");
    }

    #[test]
    fn what_is_not_read_is_not_taken() {
        let foreign = Foreign::default();
        assert!(foreign.header("a", b"LIC").is_none());
        assert!(foreign.header("a", b"gst.version=1.1\ngst.compression=zstd").is_none());
        (0..MOST).for_each(|i| assert!(foreign.header(&i.to_string(), b"gst.version=1.1").is_some()));
        assert!(foreign.header("one more", b"gst.version=1.1").is_none());
        assert!(foreign.header("7", b"gst.version=1.1").is_some());
    }
}
