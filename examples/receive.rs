//! Receives a stream in an application and measures how old each picture is when it is decoded.
//!
//! ```text
//! lic-receive [--count N] [--idle SECONDS] [--wait SECONDS] [--yuv FILE] [--log FILE] ELEMENT...
//! lic-receive zenohsrc ! licdec
//! ```
//!
//! ELEMENT... is a pipeline from a source to decoded pictures. The age is against the capture time that travels with each
//! frame (GstReferenceTimestampMeta, `timestamp/x-unix`), so both machines must agree on the time of day.
//! It ends with the stream, after N pictures, or when none came for so long (`--idle`; the first: `--wait`).
//! `--yuv` keeps the pictures as I420, `--log` one line per picture: capture time, age, coded bytes (ns, ns, bytes).

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use gst_video::prelude::*;

struct Options {
    yuv: Option<String>,
    log: Option<String>,
    count: usize,
    idle: Duration,
    wait: Duration,
    elements: String,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let (idle, wait) = (Duration::from_secs(3), Duration::from_secs(60));
    let mut out = Options { yuv: None, log: None, count: usize::MAX, idle, wait, elements: String::new() };
    let mut words = std::env::args().skip(1).peekable();
    while let Some(option) = words.next_if(|w| w.starts_with("--")) {
        let value = words.next().ok_or_else(|| format!("{option} wants a value"))?;
        match option.as_str() {
            "--yuv" => out.yuv = Some(value),
            "--log" => out.log = Some(value),
            "--count" => out.count = value.parse()?,
            "--idle" => out.idle = Duration::try_from_secs_f64(value.parse()?)?,
            "--wait" => out.wait = Duration::try_from_secs_f64(value.parse()?)?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    out.elements = words.collect::<Vec<_>>().join(" ");
    if out.elements.is_empty() {
        return Err("usage: lic-receive [--count N] [--idle SECONDS] [--wait SECONDS] [--yuv FILE] [--log FILE] ELEMENT...".into());
    }
    Ok(out)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

fn capture_time(buffer: &gst::BufferRef) -> Option<u64> {
    buffer
        .iter_meta::<gst::ReferenceTimestampMeta>()
        .find(|m| m.reference().structure(0).is_some_and(|s| s.name() == "timestamp/x-unix"))
        .map(|m| m.timestamp().nseconds())
}

/// A frame on its way through the decoder.
struct Coded {
    captured: u64,
    bytes: usize,
}

#[derive(Default)]
struct State {
    /// By time stamp, which every decoder passes on; what else a buffer carries some parsers lose.
    coded: HashMap<gst::ClockTime, Coded>,
    ages: Vec<u64>,
    pictures: usize,
    bytes: usize,
    last: Option<Instant>,
    yuv: Option<BufWriter<File>>,
    log: Option<BufWriter<File>>,
}

fn write_i420(out: &mut impl Write, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<(), Box<dyn Error>> {
    let caps = pad.current_caps().ok_or("pictures without caps")?;
    let info = gst_video::VideoInfo::from_caps(&caps)?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    for plane in 0..3 {
        let width = frame.comp_width(plane) as usize;
        let rows = frame.comp_height(plane) as usize;
        let stride = frame.plane_stride()[plane as usize] as usize;
        for row in frame.plane_data(plane)?.chunks(stride).take(rows) {
            out.write_all(&row[..width])?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let o = options()?;
    gst::init()?;
    let tail = "videoconvert ! video/x-raw,format=I420 ! fakesink name=pictures sync=false";
    let pipeline = gst::parse::launch(&format!("{} ! {tail}", o.elements))?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let source = pipeline.iterate_sources().into_iter().flatten().next().ok_or("no source element")?;
    let sink = pipeline.by_name("pictures").ok_or("no sink")?;
    let open = |path: &Option<String>| path.as_ref().map(File::create).transpose().map(|f| f.map(BufWriter::new));
    let state = Arc::new(Mutex::new(State { yuv: open(&o.yuv)?, log: open(&o.log)?, ..State::default() }));

    let shared = state.clone();
    source.static_pad("src").ok_or("the source has no pad yet")?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let (Some(buffer), Ok(mut s)) = (info.buffer(), shared.lock()) {
            s.bytes += buffer.size();
            if let Some((pts, captured)) = buffer.pts().zip(capture_time(buffer)) {
                s.coded.insert(pts, Coded { captured, bytes: buffer.size() });
            }
        }
        gst::PadProbeReturn::Ok
    });

    let shared = state.clone();
    sink.static_pad("sink").ok_or("no pad")?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let at = now();
        let (Some(buffer), Ok(mut s)) = (info.buffer(), shared.lock()) else { return gst::PadProbeReturn::Ok };
        s.last = Some(Instant::now());
        let coded = buffer.pts().and_then(|pts| s.coded.remove(&pts));
        if let Some(c) = coded {
            let age = at.saturating_sub(c.captured);
            s.ages.push(age);
            if let Some(out) = &mut s.log {
                let _ = writeln!(out, "{} {} {}", c.captured, age, c.bytes);
            }
        }
        s.pictures += 1;
        if s.pictures == 1 {
            println!("first picture after {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
        }
        if let Some(out) = &mut s.yuv
            && let Err(e) = write_i420(out, pad, buffer)
        {
            eprintln!("lic-receive: {e}");
            s.yuv = None;
        }
        gst::PadProbeReturn::Ok
    });

    pipeline.set_state(gst::State::Playing)?;
    println!("ready");
    let started = Instant::now();
    let bus = pipeline.bus().ok_or("no bus")?;
    let result = loop {
        if let Some(message) = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(100), &[gst::MessageType::Eos, gst::MessageType::Error])
        {
            match message.view() {
                gst::MessageView::Error(e) => break Err(format!("{} ({})", e.error(), e.debug().unwrap_or_default())),
                _ => break Ok(()),
            }
        }
        let s = state.lock().map_err(|_| "poisoned")?;
        match s.last {
            _ if s.pictures >= o.count => break Ok(()),
            Some(last) if last.elapsed() > o.idle => break Ok(()),
            None if started.elapsed() > o.wait => break Err("no picture came".into()),
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null)?;
    result?;
    let mut s = state.lock().map_err(|_| "poisoned")?;
    if s.pictures == 0 || (o.count < usize::MAX && s.pictures < o.count) {
        return Err(format!("the stream ended after {} pictures", s.pictures).into());
    }
    for file in [s.yuv.take(), s.log.take()].into_iter().flatten() {
        file.into_inner()?;
    }
    s.ages.sort_unstable();
    let ms = |part: f64| s.ages.get((s.ages.len() as f64 * part) as usize).map_or(f64::NAN, |ns| *ns as f64 / 1e6);
    println!("{} pictures, {} bytes, age when decoded: median {:.1} ms, 95% below {:.1} ms", s.pictures, s.bytes, ms(0.5), ms(0.95));
    Ok(())
}
