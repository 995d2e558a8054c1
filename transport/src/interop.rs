//! The attachment of gst-plugin-zenoh (crates.io 0.3.2, `src/metadata.rs`): UTF-8, one `key=value` a line.
//!
//! A publisher for its `zenohsrc` attaches [`Metadata::encode`] to the bare payload; a subscriber that meets an attachment which
//! is not lic's own asks [`Metadata::decode`]. Times are nanoseconds. `gst.compression` is read, so that a compressed payload,
//! which is that plugin's optional feature, is not taken for a frame.

/// What that plugin writes.
const VERSION: &str = "1.1";
/// Longest attachment that is read, as for lic's own caps.
const MAX_BYTES: usize = 1 << 16;

/// Flags of a buffer by their names on the wire; unknown ones are passed over.
pub const FLAGS: [&str; 9] = ["live", "discont", "delta", "header", "gap", "droppable", "marker", "corrupted", "non-droppable"];

/// What travels beside a payload. Fields that are absent are not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Caps as GStreamer prints them.
    pub caps: Option<String>,
    pub pts: Option<u64>,
    pub dts: Option<u64>,
    pub duration: Option<u64>,
    pub offset: Option<u64>,
    pub offset_end: Option<u64>,
    /// Names out of [`FLAGS`].
    pub flags: Vec<&'static str>,
    /// The payload's compression, if it is compressed.
    pub compression: Option<String>,
}

impl Metadata {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut lines = vec![format!("gst.version={VERSION}")];
        let mut line = |key: &str, value: Option<String>| lines.extend(value.map(|value| format!("{key}={}", value.replace('\n', "\\n"))));
        line("gst.caps", self.caps.clone());
        for (key, value) in self.numbers() {
            line(key, value.map(|value| value.to_string()));
        }
        line("gst.flags", (!self.flags.is_empty()).then(|| self.flags.join(",")));
        line("gst.compression", self.compression.clone());
        lines.join("\n").into_bytes()
    }

    /// `None` if it is not that plugin's: no UTF-8, too long, a line without `=`, no version.
    #[must_use]
    pub fn decode(attachment: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(attachment).ok().filter(|text| text.len() <= MAX_BYTES)?;
        let (mut metadata, mut versioned) = (Self::default(), false);
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=')?;
            let value = value.replace("\\n", "\n");
            match key {
                "gst.version" => versioned = true,
                "gst.caps" => metadata.caps = Some(value),
                "gst.pts" => metadata.pts = value.parse().ok(),
                "gst.dts" => metadata.dts = value.parse().ok(),
                "gst.duration" => metadata.duration = value.parse().ok(),
                "gst.offset" => metadata.offset = value.parse().ok(),
                "gst.offset-end" => metadata.offset_end = value.parse().ok(),
                "gst.flags" => {
                    metadata.flags = FLAGS.into_iter().filter(|flag| value.split(',').any(|part| part.trim() == *flag)).collect()
                }
                "gst.compression" => metadata.compression = Some(value),
                _ => {}
            }
        }
        versioned.then_some(metadata)
    }

    fn numbers(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("gst.pts", self.pts),
            ("gst.dts", self.dts),
            ("gst.duration", self.duration),
            ("gst.offset", self.offset),
            ("gst.offset-end", self.offset_end),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines and their order are those of `MetadataBuilder::build` in gst-plugin-zenoh 0.3.2.
    const VECTOR: &str = "gst.version=1.1\ngst.caps=image/jpeg, width=(int)64\ngst.pts=1000000000\ngst.dts=900000000\n\
                          gst.duration=33333333\ngst.offset=7\ngst.flags=discont,delta";

    fn vector() -> Metadata {
        Metadata {
            caps: Some("image/jpeg, width=(int)64".into()),
            pts: Some(1_000_000_000),
            dts: Some(900_000_000),
            duration: Some(33_333_333),
            offset: Some(7),
            flags: vec!["discont", "delta"],
            ..Default::default()
        }
    }

    #[test]
    fn equals_the_other_plugins_lines_both_ways() {
        assert_eq!(String::from_utf8(vector().encode()).unwrap(), VECTOR);
        assert_eq!(Metadata::decode(VECTOR.as_bytes()).unwrap(), vector());
    }

    #[test]
    fn unknown_lines_and_bad_numbers_are_passed_over_as_there() {
        let read = Metadata::decode(b"user.x=1\n\ngst.version=9\ngst.pts=no\ngst.flags=new, live\ngst.compression=zstd").unwrap();
        assert_eq!(read, Metadata { flags: vec!["live"], compression: Some("zstd".into()), ..Default::default() });
    }

    #[test]
    fn other_attachments_are_not_taken_for_it() {
        for other in [&b""[..], b"\xff\xfe", b"no equals sign", b"a=b"] {
            assert_eq!(Metadata::decode(other), None);
        }
        assert_eq!(Metadata::decode(&[b"gst.version=1.1\nx=".as_slice(), &[b'a'; MAX_BYTES]].concat()), None);
    }
}
