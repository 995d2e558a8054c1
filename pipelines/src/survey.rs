//! What a .lic file holds, read from beginning to end without decoding a picture.

use crate::commands::Error;
use lic_codec::bitstream::FrameHeader;
use lic_codec::{Pack, StreamInfo};
use lic_container::lic::{Clock, Frames, Reader};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Seconds that the rate is told for, at most so many of them.
const SPANS: usize = 60;

/// Of one file.
#[derive(Serialize)]
pub struct Survey {
    pub file: PathBuf,
    pub bytes: u64,
    pub frames: u64,
    pub key_frames: u64,
    /// From the first frame to the end of the last.
    pub seconds: f64,
    /// Whether frames say their times; otherwise they follow the frame rate.
    pub timed: bool,
    /// Whether there is an index at the end that fits.
    pub indexed: bool,
    pub streams: Vec<Stream>,
    /// kbit/s over time, in equal parts of the file.
    pub rate: Vec<f64>,
    /// Longest group of pictures, in frames.
    pub longest_group: u64,
    pub notes: BTreeMap<String, String>,
    /// What is wrong with it.
    pub damage: Vec<String>,
}

/// Frames that one description holds for.
#[derive(Serialize)]
pub struct Stream {
    pub width: u32,
    pub height: u32,
    pub frame_rate: String,
    pub pack: String,
    pub pack_id: String,
    /// Whether that pack is here, so that the frames can be decoded.
    pub known: bool,
    /// Number of its first frame in the file, from 0.
    pub from: u64,
    #[serde(skip)]
    info: StreamInfo,
}

impl Stream {
    fn of(h: &FrameHeader, from: u64) -> Option<Stream> {
        let (info, id) = (h.stream?, h.pack_id?);
        Some(Stream {
            width: info.width,
            height: info.height,
            frame_rate: format!("{}/{}", info.fps.0, info.fps.1),
            pack: h.pack.clone().unwrap_or_default(),
            pack_id: id.iter().map(|b| format!("{b:02x}")).collect(),
            known: Pack::for_stream(h.pack.as_deref().unwrap_or_default(), &id).is_ok(),
            from,
            info,
        })
    }
}

/// Reads a file.
pub fn survey(path: &Path) -> Result<Survey, Error> {
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut file = File::open(path).map_err(|e| at(&e))?;
    let bytes = file.metadata()?.len();
    let (indexed, index) = match Reader::open(&mut file) {
        Ok(r) => (r.indexed(), r.index().clone()),
        Err(e) => return Err(at(&e).into()),
    };
    file.seek(SeekFrom::Start(0))?;
    let mut frames = Frames::new(&mut file, 0);
    let mut clock = Clock::default();
    let (mut out, mut sizes) = (Vec::<Stream>::new(), Vec::<(u64, u64)>::new());
    let (mut keys, mut timed, mut gaps, mut orphans, mut group, mut longest) = (0u64, true, 0u64, 0u64, 0u64, 0u64);
    let mut last: Option<u32> = None;
    while let Some(f) = frames.next().map_err(|e| at(&e))? {
        let n = sizes.len() as u64;
        if let Some(s) = Stream::of(&f.header, n).filter(|s| out.last().is_none_or(|o| (o.info, &o.pack_id) != (s.info, &s.pack_id))) {
            out.push(s);
        }
        keys += f.header.key as u64;
        group = if f.header.key { 1 } else { group + 1 };
        longest = longest.max(group);
        timed &= f.time.is_some();
        if f.header.key {
            last = None;
        }
        // Numbers that are missing, as far as a frame refers to them.
        if let Some(l) = last
            && f.header.references.iter().any(|r| r.wrapping_sub(l) as i32 > 0)
        {
            orphans += 1;
        }
        gaps += last.is_some_and(|l| f.header.number != l.wrapping_add(1)) as u64;
        last = Some(f.header.number);
        sizes.push((clock.time(&f.header, f.time), f.data.len() as u64));
    }
    let (lost, places) = frames.damage();
    let mut damage = Vec::new();
    if places > 0 {
        damage.push(format!("{lost} bytes in {places} places belong to no whole frame"));
    }
    if gaps > 0 {
        damage.push(format!("in {gaps} places frames are missing{}", if orphans > 0 { " that others refer to" } else { "" }));
    }
    if indexed && index.frames() != sizes.len() as u64 {
        damage.push(format!("the index says {} frames", index.frames()));
    }
    let step = if sizes.len() > 1 { (sizes[sizes.len() - 1].0 - sizes[0].0) as f64 / (sizes.len() - 1) as f64 } else { 33_333_333.0 };
    let seconds = sizes.len() as f64 * step * 1e-9;
    Ok(Survey {
        file: path.to_path_buf(),
        bytes,
        frames: sizes.len() as u64,
        key_frames: keys,
        seconds,
        timed,
        indexed,
        streams: out,
        rate: rate(&sizes, seconds),
        longest_group: longest,
        notes: index.notes,
        damage,
    })
}

/// kbit/s in equal parts.
fn rate(sizes: &[(u64, u64)], seconds: f64) -> Vec<f64> {
    let parts = (seconds.ceil() as usize).clamp(1, SPANS);
    let (first, span) = (sizes.first().map_or(0, |s| s.0), seconds * 1e9 / parts as f64);
    let mut out = vec![0.0; parts];
    for (time, bytes) in sizes {
        let part = (time.saturating_sub(first) as f64 / span.max(1.0)) as usize;
        out[part.min(parts - 1)] += *bytes as f64 * 8e6 / span.max(1.0);
    }
    out
}
