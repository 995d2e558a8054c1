//! What a receiver sees of a live stream over a bad link: both ends in this process, the link between two UDP ports (lic-link).
//!
//! ```text
//! lic-loss RAW WIDTH HEIGHT FPS FRAMES CONNECT LISTEN [encoder: NAME=VALUE]... [-- sink: NAME=VALUE]... [-- src: NAME=VALUE]...
//! ```
//!
//! The encoder is licenc or, if its options begin with codec=h264, x264enc; then nothing is decoded and frames count as shown when they arrive.
//!
//! RAW: I420 frames, back and forth so that nothing jumps. CONNECT, LISTEN: zenoh endpoints of sender and receiver. A frame is shown if its
//! whole picture is there by the time a synchronised sink would show it; it is right if it is, to the bit, the picture that the same stream
//! gives without losses. Prints a line per second (time, bytes sent, frames sent, frames shown, worst delay in ms) and a line of totals.

use gst::prelude::*;
use std::collections::HashMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

const UNIX_TIME: &str = "timestamp/x-unix";

/// What is known of each frame; its capture time says which it is.
#[derive(Clone, Debug, Default)]
struct Frame {
    captured: Option<Instant>,
    size: usize,
    key: bool,
    /// How far back its reference is.
    distance: u32,
    truth: Option<u64>,
    shown: Option<(u64, Instant)>,
    corrupted: bool,
    late: bool,
}

type Frames = Arc<Mutex<HashMap<u64, Frame>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn number(buffer: &gst::BufferRef) -> Option<u64> {
    let meta = buffer.iter_meta::<gst::ReferenceTimestampMeta>();
    let of_ours = |m: &gst::MetaRef<gst::ReferenceTimestampMeta>| m.reference().structure(0).is_some_and(|s| s.name() == UNIX_TIME);
    meta.into_iter().find(of_ours).map(|m| m.timestamp().nseconds() / 1_000_000_000)
}

fn probe(
    pipeline: &gst::Pipeline,
    element: &str,
    pad: &str,
    mut each: impl FnMut(&mut gst::Buffer) + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let pad = pipeline.by_name(element).and_then(|e| e.static_pad(pad)).ok_or("no such pad")?;
    let each = Mutex::new(move |buffer: &mut gst::Buffer| each(buffer));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            lock(&each)(buffer);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn hash(buffer: &gst::BufferRef) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Ok(map) = buffer.map_readable() {
        hasher.write(&map);
    }
    hasher.finish()
}

/// What a synchronised sink behind the decoder would wait. (One that is not, as here, does not ask for it.)
fn latency_of(pipeline: &gst::Pipeline) -> gst::ClockTime {
    let mut latency = gst::query::Latency::new();
    let asked = pipeline.by_name("decoder").and_then(|e| e.static_pad("src")).is_some_and(|pad| pad.query(&mut latency));
    if asked { latency.result().1 } else { gst::ClockTime::ZERO }
}

fn launch(line: &str) -> Result<gst::Pipeline, Box<dyn Error>> {
    gst::parse::launch(line)?.downcast().map_err(|_| "not a pipeline".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [raw, width, height, fps, frames, connect, listen, rest @ ..] = &words[..] else {
        return Err("usage: lic-loss RAW WIDTH HEIGHT FPS FRAMES CONNECT LISTEN [licenc options] [-- sink options] [-- src options]".into());
    };
    let (fps, frames): (u64, u64) = (fps.parse()?, frames.parse()?);
    let options: Vec<String> = rest.split(|w| w == "--").map(|part| part.join(" ")).collect();
    let of = |n: usize| options.get(n).cloned().unwrap_or_default();
    gst::init()?;
    let size = width.parse::<usize>()? * height.parse::<usize>()? * 3 / 2;
    let file = std::fs::read(raw)?;
    let pictures: Vec<&[u8]> = file.chunks_exact(size).collect();
    let seen = Frames::default();

    let (encoder, lic) = match of(0).strip_prefix("codec=h264") {
        Some(rest) => (format!("x264enc name=encoder tune=zerolatency speed-preset=veryfast {rest} ! video/x-h264,profile=main"), false),
        None => (format!("licenc name=encoder {}", of(0)), true),
    };
    let (decoder, truth) = if lic {
        (
            "licdec name=decoder ! video/x-raw,format=I420",
            "t. ! queue ! licdec name=truth ! video/x-raw,format=I420 ! fakesink sync=false async=false",
        )
    } else {
        ("identity name=decoder", "")
    };
    let receiver =
        launch(&format!("zenohsrc name=src key-expr=lic/loss listen={listen} {} ! queue ! {decoder} ! fakesink sync=false", of(2)))?;
    let sender = launch(&format!(
        "appsrc name=camera is-live=true do-timestamp=true format=time \
         caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 \
         ! queue leaky=downstream max-size-buffers=1 ! {encoder} ! tee name=t \
         t. ! zenohsink name=sink key-expr=lic/loss connect={connect} {} {truth}",
        of(1)
    ))?;
    let note = seen.clone();
    probe(&sender, "encoder", "src", move |buffer| {
        let Some(n) = number(buffer) else { return };
        let mut seen = lock(&note);
        let frame = seen.entry(n).or_default();
        frame.size = buffer.size();
        if let Ok(meta) = gst::meta::CustomMeta::from_buffer(buffer, "LicFrameMeta") {
            let s = meta.structure();
            frame.key = s.get("key").unwrap_or(false);
            let number: u32 = s.get("number").unwrap_or(0);
            let references = s.get::<gst::Array>("references").ok();
            let far = references.iter().flat_map(|r| r.iter()).filter_map(|r| r.get::<u32>().ok()).map(|r| number.wrapping_sub(r)).max();
            frame.distance = far.unwrap_or(0);
        }
    })?;
    let note = seen.clone();
    if lic {
        probe(&sender, "truth", "src", move |buffer| {
            if let Some(n) = number(buffer) {
                let hash = hash(buffer);
                lock(&note).entry(n).or_default().truth = Some(hash);
            }
        })?;
    }
    let (note, pipeline, mut latency) = (seen.clone(), receiver.downgrade(), None);
    probe(&receiver, "decoder", "src", move |buffer| {
        let (Some(n), Some(pipeline)) = (number(buffer), pipeline.upgrade()) else { return };
        let hash = hash(buffer);
        let now = pipeline.current_running_time();
        let latency = *latency.get_or_insert_with(|| latency_of(&pipeline));
        let due = buffer.pts().map(|pts| pts + latency);
        let mut seen = lock(&note);
        let frame = seen.entry(n).or_default();
        frame.corrupted = buffer.flags().contains(gst::BufferFlags::CORRUPTED);
        frame.late = now.zip(due).is_some_and(|(now, due)| now > due);
        frame.shown = Some((hash, Instant::now()));
    })?;
    receiver.set_state(gst::State::Playing)?;
    sender.set_state(gst::State::Playing)?;
    let camera = sender.by_name("camera").ok_or("no camera")?;
    let sink = sender.by_name("sink").ok_or("no sink")?;
    let src = receiver.by_name("src").ok_or("no source")?;
    let unix = gst::Caps::new_empty_simple(UNIX_TIME);
    let trouble = || [&sender, &receiver].into_iter().find_map(|p| p.bus()?.pop_filtered(&[gst::MessageType::Error]));
    // Counted from the first receiver on.
    let (mut first, mut n, start) = (None, 0u64, Instant::now());
    let began = loop {
        let due = start + Duration::from_nanos(n * 1_000_000_000 / fps);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let back_and_forth = n as usize % (2 * pictures.len() - 2).max(1);
        let at = if back_and_forth < pictures.len() { back_and_forth } else { 2 * pictures.len() - 2 - back_and_forth };
        let mut buffer = gst::Buffer::from_slice(pictures[at].to_vec());
        if let Some(buffer) = buffer.get_mut() {
            gst::ReferenceTimestampMeta::add(buffer, &unix, gst::ClockTime::from_seconds(n), gst::ClockTime::NONE);
        }
        lock(&seen).entry(n).or_default().captured = Some(Instant::now());
        let _ = camera.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        if first.is_none() && lock(&seen).values().any(|f| f.shown.is_some()) {
            first = Some((n + 1, Instant::now()));
        }
        n += 1;
        if let Some((first, began)) = first
            && n >= first + frames
        {
            break began;
        }
        if first.is_none() && start.elapsed() > Duration::from_secs(60) {
            return Err("no picture came in a minute".into());
        }
        if let Some(message) = trouble()
            && let gst::MessageView::Error(e) = message.view()
        {
            return Err(e.error().to_string().into());
        }
    };
    std::thread::sleep(Duration::from_secs(1));
    let stats = |element: &gst::Element| element.property::<gst::Structure>("stats").to_string();
    let (sent_stats, received_stats) = (stats(&sink), stats(&src));
    for p in [&sender, &receiver] {
        p.set_state(gst::State::Null)?;
    }
    let all = lock(&seen).clone();
    let from = n - frames;
    let counted: Vec<&Frame> = (from..n).filter_map(|n| all.get(&n)).filter(|f| f.size > 0).collect();
    for second in 0..frames / fps {
        let of: Vec<&&Frame> =
            counted.iter().filter(|f| f.captured.is_some_and(|c| c.saturating_duration_since(began).as_secs() == second)).collect();
        let delays = of.iter().filter_map(|f| Some(f.shown?.1.duration_since(f.captured?).as_secs_f64() * 1e3));
        let bytes: usize = of.iter().map(|f| f.size).sum();
        let shown = of.iter().filter(|f| f.shown.is_some()).count();
        println!("second {second} {bytes} {} {shown} {:.0}", of.len(), delays.fold(0.0, f64::max));
    }
    let whole = |f: &&&Frame| f.shown.is_some() && !f.corrupted && !f.late;
    let shown = counted.iter().filter(whole).count();
    let wrong = counted.iter().filter(|f| f.shown.is_some_and(|(hash, _)| !f.corrupted && lic && f.truth != Some(hash))).count();
    let late = counted.iter().filter(|f| f.late && !f.corrupted).count();
    let corrupted = counted.iter().filter(|f| f.corrupted).count();
    let mean = |sizes: Vec<usize>| if sizes.is_empty() { 0 } else { sizes.iter().sum::<usize>() / sizes.len() };
    let sizes = |pick: &dyn Fn(&Frame) -> bool| counted.iter().filter(|f| pick(f)).map(|f| f.size).collect::<Vec<_>>();
    let (near, far, keys) = (sizes(&|f| !f.key && f.distance == 1), sizes(&|f| !f.key && f.distance > 1), sizes(&|f| f.key));
    println!(
        "total captured {frames} coded {} whole {shown} wrong {wrong} late {late} corrupted {corrupted} \
         near {} of {} far {} of {} keys {} of {}",
        counted.len(),
        near.len(),
        mean(near.clone()),
        far.len(),
        mean(far.clone()),
        keys.len(),
        mean(keys.clone())
    );
    println!("sink {sent_stats}\nsrc {received_stats}");
    Ok(())
}
