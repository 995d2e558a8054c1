//! What a network adds: one end in this process, the other in another one of this machine.
//!
//! ```text
//! lic-delay send "SOURCE ! identity name=stamp ! SINK"      until its standard input ends
//! lic-delay receive "SOURCE ! fakesink name=out" FRAMES     prints milliseconds from stamp to sink, a line for each frame
//! ```
//!
//! The time when a buffer leaves `stamp` takes the place of its first eight bytes: any way of transport that keeps buffers whole can
//! be compared.

use gst::prelude::*;
use std::error::Error;
use std::io::Read;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the first frame, and a pause between two, may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

fn pad(pipeline: &gst::Pipeline, element: &str, pad: &str) -> Result<gst::Pad, Box<dyn Error>> {
    pipeline.by_name(element).and_then(|e| e.static_pad(pad)).ok_or_else(|| format!("no element named {element}").into())
}

fn send(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    pad(pipeline, "stamp", "src")?.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer_mut()
            && let Ok(mut map) = buffer.make_mut().map_writable()
            && map.len() >= 8
        {
            map[..8].copy_from_slice(&now().to_le_bytes());
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing)?;
    std::io::stdin().read_to_end(&mut vec![])?;
    Ok(())
}

fn receive(pipeline: &gst::Pipeline, frames: usize) -> Result<(), Box<dyn Error>> {
    let (delays, arrived) = channel();
    pad(pipeline, "out", "sink")?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let arrival = now();
        if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok())
            && let Some(stamp) = map.first_chunk::<8>()
        {
            let _ = delays.send(arrival.saturating_sub(u64::from_le_bytes(*stamp)));
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing)?;
    for _ in 0..frames {
        let delay = arrived.recv_timeout(PATIENCE).map_err(|_| "no frame comes")?;
        println!("{:.3}", delay as f64 / 1e6);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    gst::init()?;
    let launch = |line: &str| gst::parse::launch(line).map(|e| e.downcast::<gst::Pipeline>().expect("more than one element"));
    let (pipeline, done) = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", line] => launch(line).map(|pipeline| (pipeline.clone(), send(&pipeline)))?,
        ["receive", line, frames] => {
            let frames = frames.parse()?;
            launch(line).map(|pipeline| (pipeline.clone(), receive(&pipeline, frames)))?
        }
        _ => return Err("usage: lic-delay send LINE | lic-delay receive LINE FRAMES".into()),
    };
    pipeline.set_state(gst::State::Null)?;
    done
}
