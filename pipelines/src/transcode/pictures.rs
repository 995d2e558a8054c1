//! To folders of JPEG files.

use super::sink::{self, END};
use super::source::{self, Source};
use super::{Coder, Done, Progress, To};
use crate::commands::Error;
use crate::inputs::Input;
use crate::media::Running;
use gst::prelude::*;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Name of the file in a folder that says how the others were made.
const NOTE: &str = "lic.json";

#[derive(Default)]
struct State {
    done: Done,
    times: Vec<u64>,
}

pub fn run(input: &Input, coder: &Coder, part: &Path, progress: &dyn Progress) -> Result<Done, Error> {
    let front = match source::packets(input)? {
        Some(front) => front.to_string(),
        None => format!("{} ! licenc name=coder", source::raw(input)?),
    };
    let running = Running::parse(&format!("{front} ! lictojpeg name=jpeg ! {END}"))?;
    if let Some(licenc) = running.0.by_name("coder") {
        coder.set(&licenc, input)?;
    }
    running.get("jpeg").set_property_from_str("colour", &coder.colour);
    running.get("jpeg").set_property_from_str("task", &coder.task);
    let source = Source::connect(&running, input, coder.fps)?;
    fs::create_dir(part).map_err(|e| format!("{}: {e}", part.display()))?;
    let folder = part.to_path_buf();
    let state = sink::collect(running, &source, progress, State::default(), move |state, sample| write(state, &folder, sample))?;
    source.left_out("a folder of JPEG files", progress);
    let note = serde_json::json!({
        "source": input.path.file_name().unwrap_or_default().to_string_lossy(),
        "made-from": coder.from(&input.path)?,
        "made-with": coder.with(To::Jpeg),
        "notes": source.notes(),
        "times": state.times,
    });
    fs::write(part.join(NOTE), serde_json::to_string(&note)?)?;
    Ok(state.done)
}

fn write(state: &mut State, folder: &Path, sample: &gst::Sample) -> Result<(), Error> {
    let buffer = sample.buffer().ok_or("a sample without a buffer")?;
    let data = buffer.map_readable()?;
    let time = sink::time(sample)?;
    let path = folder.join(format!("frame{:06}.jpg", state.done.frames));
    fs::write(&path, &data).map_err(|e| format!("{}: {e}", path.display()))?;
    if let Some(captured) = capture_time(&data) {
        let _ =
            File::options().write(true).open(&path).and_then(|f| f.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(captured)));
    }
    let first = *state.times.first().unwrap_or(&time);
    state.times.push(time);
    state.done.frames += 1;
    state.done.bytes += data.len() as u64;
    state.done.seconds = (time.saturating_sub(first) + buffer.duration().unwrap_or_default().nseconds()) as f64 * 1e-9;
    Ok(())
}

/// How a folder says that it was made.
pub fn made(folder: &Path) -> Option<(String, String)> {
    let note = note(folder)?;
    Some((note["made-from"].as_str()?.to_string(), note["made-with"].as_str()?.to_string()))
}

fn note(folder: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(folder.join(NOTE)).ok()?).ok()
}

/// Capture time of a JPEG file of lictojpeg's: bytes 16 to 23 of its APP9 segment (docs/jpeg.md).
fn capture_time(jpeg: &[u8]) -> Option<u64> {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        let size = u16::from_be_bytes([high, low]) as usize;
        if marker == 0xe9 && jpeg.get(at + 4..at + 8) == Some(b"lic\0") {
            let known = jpeg.get(at + 9)? & 1 != 0;
            return known.then(|| jpeg.get(at + 16..at + 24)?.try_into().ok().map(u64::from_be_bytes)).flatten();
        }
        if !(0xe0..=0xef).contains(&marker) {
            return None;
        }
        at += 2 + size;
    }
    None
}

/// Times of all files in nanoseconds, if they rise: those that a folder made here says, or those of capture, if all files say one.
pub fn times(files: &[PathBuf]) -> Option<Vec<u64>> {
    let rising = |times: Vec<u64>| (times.len() == files.len() && times.is_sorted_by(|a, b| a < b)).then_some(times);
    let noted = files.first().and_then(|f| note(f.parent()?)).and_then(|n| serde_json::from_value(n["times"].clone()).ok());
    if let Some(times) = noted.and_then(rising) {
        return Some(times);
    }
    let time = |path: &PathBuf| {
        let mut head = Vec::new();
        File::open(path).ok()?.take(4096).read_to_end(&mut head).ok()?;
        capture_time(&head)
    };
    let captured: Option<Vec<u64>> = files.iter().map(time).collect();
    // Since the first.
    captured.and_then(rising).map(|t| t.iter().map(|v| v - t[0]).collect())
}
