//! To .lic files.

use super::lanes::{Lanes, Packet};
use super::sink::{self, END};
use super::source::{self, Source};
use super::{Coder, Done, Progress, To};
use crate::commands::Error;
use crate::inputs::Input;
use crate::media::Running;
use lic_container::lic::{Reader, Writer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// What is written, and when frames were.
struct State {
    writer: Writer<BufWriter<File>>,
    first: Option<u64>,
    last: u64,
    step: u64,
}

/// All packets of an input, one after the other, with their times and durations.
pub fn packets<T: Send + 'static>(
    input: &Input,
    coder: &Coder,
    progress: &dyn Progress,
    state: T,
    each: impl Fn(&mut T, Packet) -> Result<(), Error> + Send + Sync + Clone + 'static,
) -> Result<(T, Source), Error> {
    let settings = coder.settings();
    if coder.target_size.is_some() || !Lanes::suit(&settings) || coder.on_device() {
        let running = Running::parse(&format!("{} ! licenc name=coder ! {END}", source::raw(input)?))?;
        coder.set(&running.get("coder"), input)?;
        let source = Source::connect(&running, input, coder.fps)?;
        let state = sink::collect(running, &source, progress, state, move |state, sample| {
            let buffer = sample.buffer().ok_or("a sample without a buffer")?;
            let duration = buffer.duration().map(|d| d.nseconds());
            each(state, (buffer.map_readable()?.to_vec(), sink::time(sample)?, duration))
        })?;
        return Ok((state, source));
    }
    let running = Running::parse(&format!("{} ! video/x-raw,format={{I420,GRAY8}} ! {END}", source::raw(input)?))?;
    let source = Source::connect(&running, input, coder.fps)?;
    let (lanes, push) = (Lanes::new(&coder.model, settings)?, each.clone());
    let (mut state, mut lanes) = sink::collect(running, &source, progress, (state, lanes), move |(state, lanes), sample| {
        lanes.push(sample, sink::time(sample)?)?.into_iter().try_for_each(|p| push(state, p))
    })?;
    lanes.finish()?.into_iter().try_for_each(|p| each(&mut state, p))?;
    Ok((state, source))
}

pub fn run(input: &Input, coder: &Coder, part: &Path, progress: &dyn Progress) -> Result<Done, Error> {
    let file = File::create(part).map_err(|e| format!("{}: {e}", part.display()))?;
    let state = State { writer: Writer::new(BufWriter::new(file)), first: None, last: 0, step: 0 };
    let (state, source) = packets(input, coder, progress, state, |state, (data, time, duration)| {
        state.writer.push(&data, time)?;
        state.first.get_or_insert(time);
        state.step = duration.unwrap_or(time.saturating_sub(state.last));
        state.last = time;
        Ok(())
    })?;
    source.left_out("a .lic file", progress);
    let frames = state.writer.frames();
    let mut notes: BTreeMap<String, String> = source.notes();
    notes.insert("tool".into(), format!("lic {}", env!("CARGO_PKG_VERSION")));
    notes.insert("source".into(), input.path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    notes.insert("made-from".into(), coder.from(&input.path)?);
    notes.insert("made-with".into(), coder.with(To::Lic));
    let file = state.writer.finish(notes)?.into_inner().map_err(|e| e.into_error())?;
    let seconds = (state.last + state.step - state.first.unwrap_or(0)) as f64 * 1e-9;
    Ok(Done { frames, bytes: file.metadata()?.len(), seconds })
}

fn open(path: &Path) -> Option<Reader<File>> {
    Reader::open(File::open(path).ok()?).ok()
}

/// How a file says that it was made.
pub fn made(path: &Path) -> Option<(String, String)> {
    let reader = open(path)?;
    let notes = &reader.index().notes;
    Some((notes.get("made-from")?.clone(), notes.get("made-with")?.clone()))
}

/// Length of a file in seconds.
pub fn length(path: &Path) -> Option<f64> {
    let reader = open(path)?;
    let groups = &reader.index().groups;
    let (first, last) = (groups.first()?, groups.last()?);
    let before: u64 = groups[..groups.len() - 1].iter().map(|g| g.frames as u64).sum();
    let step = if before > 0 { last.time.saturating_sub(first.time) as f64 / before as f64 } else { 1e9 / 30.0 };
    Some((step * (before + last.frames as u64) as f64) * 1e-9)
}
