//! Where the time goes between a camera and the decoded picture: both ends in this process, on loopback.
//!
//! ```text
//! lic-latency RAW WIDTH HEIGHT FPS FRAMES PORT      RAW: I420 frames, taken again from the start when they end
//! ```
//!
//! A frame is captured when it arrives at licenc, live, FPS a second. Prints one line per frame that was decoded: milliseconds in
//! licenc, from there to zenohsrc's pad, in licdec.

use gst::prelude::*;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Times = Arc<Mutex<Vec<Instant>>>;

/// When each buffer passes a pad.
fn watch(pipeline: &gst::Pipeline, element: &str, pad: &str) -> Result<Times, Box<dyn Error>> {
    let times = Times::default();
    let pad = pipeline.by_name(element).and_then(|e| e.static_pad(pad)).ok_or("no such pad")?;
    let out = times.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        out.lock().unwrap_or_else(|e| e.into_inner()).push(Instant::now());
        gst::PadProbeReturn::Ok
    });
    Ok(times)
}

fn launch(line: &str) -> Result<gst::Pipeline, Box<dyn Error>> {
    gst::parse::launch(line)?.downcast().map_err(|_| "not a pipeline".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [raw, width, height, fps, frames, port] = &words[..] else {
        return Err("usage: lic-latency RAW WIDTH HEIGHT FPS FRAMES PORT".into());
    };
    let (fps, frames): (u32, usize) = (fps.parse()?, frames.parse()?);
    gst::init()?;
    let key = format!("key-expr=lic/latency/{port}");
    let receiver =
        launch(&format!("zenohsrc name=received {key} connect=tcp/127.0.0.1:{port} ! licdec name=decoder ! fakesink sync=false"))?;
    let sender = launch(&format!(
        "multifilesrc location={raw} loop=true blocksize={} ! rawvideoparse width={width} height={height} format=i420 framerate={fps}/1 \
         ! clocksync ! licenc name=encoder ! zenohsink {key} listen=tcp/127.0.0.1:{port} wait-for-receiver=5000000000",
        width.parse::<usize>()? * height.parse::<usize>()? * 3 / 2
    ))?;
    let captured = watch(&sender, "encoder", "sink")?;
    let coded = watch(&sender, "encoder", "src")?;
    let received = watch(&receiver, "received", "src")?;
    let decoded = watch(&receiver, "decoder", "src")?;
    receiver.set_state(gst::State::Playing)?;
    sender.set_state(gst::State::Playing)?;
    let end = Instant::now() + Duration::from_secs(20 + frames as u64 / fps as u64 * 2);
    while decoded.lock().map_or(0, |d| d.len()) < frames {
        let error = [&sender, &receiver].into_iter().find_map(|p| p.bus()?.pop_filtered(&[gst::MessageType::Error]));
        if let Some(gst::MessageView::Error(e)) = error.as_ref().map(|m| m.view()) {
            return Err(e.error().to_string().into());
        }
        if Instant::now() > end {
            return Err("frames did not come".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for p in [&sender, &receiver] {
        p.set_state(gst::State::Null)?;
    }
    let all = [captured, coded, received, decoded].map(|t| t.lock().map(|t| t.clone()).unwrap_or_default());
    // Nothing is lost here: the n-th of each is one frame. A receiver that missed the first would break that.
    if all[1].len() < all[2].len() || all[2].len() < frames {
        return Err("frames were lost: times do not belong together".into());
    }
    let [captured, coded, received, decoded] = all;
    let stages = captured.iter().zip(&coded).zip(&received).zip(&decoded).take(frames);
    for (((captured, coded), received), decoded) in stages {
        let ms = |from: &Instant, to: &Instant| to.duration_since(*from).as_secs_f64() * 1e3;
        println!("{:.3} {:.3} {:.3}", ms(captured, coded), ms(coded, received), ms(received, decoded));
    }
    Ok(())
}
