//! What a codec takes and gives on a clip in memory, in this process.

use crate::commands::Error;
use crate::inputs::Input;
use crate::media::Running;
use crate::metrics;
use crate::outlet::{END, Outlet};
use crate::transcode::source::{self, Source};
use gst::prelude::*;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of raw pictures that are held at most.
const MOST_BYTES: usize = 768 << 20;

/// Raw pictures.
pub struct Clip {
    pub frames: Vec<gst::Buffer>,
    pub caps: gst::Caps,
    pub width: u32,
    pub height: u32,
    /// Frames a second.
    pub rate: f64,
}

/// What one direction took.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Cost {
    /// Frames a second.
    pub rate: f64,
    /// Of all cores, a frame.
    pub cpu_ms: f64,
}

/// A coded clip.
pub struct Coded {
    pub packets: Vec<gst::Buffer>,
    pub caps: gst::Caps,
    pub bytes: u64,
    pub cost: Cost,
}

impl Clip {
    /// A ball on a moving ground of circles: no real clip, but something moves.
    pub fn synthetic(width: u32, height: u32, frames: u32) -> Result<Clip, Error> {
        let line = format!(
            "videotestsrc pattern=zone-plate kx2=20 ky2=20 kt=1 num-buffers={frames} ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 ! {END}"
        );
        Clip::take(Outlet::start(Running::parse(&line)?)?, frames as usize)
    }

    /// The first frames of a recording.
    pub fn open(input: &Input, frames: usize) -> Result<Clip, Error> {
        let running = Running::parse(&format!("{} ! video/x-raw,format=I420 ! {END}", source::raw(input)?))?;
        let _source = Source::connect(&running, input, gst::Fraction::new(30, 1))?;
        Clip::take(Outlet::start(running)?, frames)
    }

    fn take(outlet: Outlet, most: usize) -> Result<Clip, Error> {
        let first = outlet.next()?.ok_or("no picture in it")?;
        let mut caps = first.caps_owned().ok_or("a picture without caps")?;
        let info = gst_video::VideoInfo::from_caps(&caps)?;
        if info.fps().numer() == 0 {
            caps.make_mut().set("framerate", gst::Fraction::new(30, 1));
        }
        let fps = gst_video::VideoInfo::from_caps(&caps)?.fps();
        let mut frames: Vec<gst::Buffer> = first.buffer_owned().into_iter().collect();
        while frames.len() < most && (frames.len() + 1) * info.size() <= MOST_BYTES {
            let Some(sample) = outlet.next()? else { break };
            frames.extend(sample.buffer_owned());
        }
        // Times of their own, so that every codec gets the same.
        let step = |n: usize| gst::ClockTime::SECOND.mul_div_floor(n as u64 * fps.denom() as u64, fps.numer() as u64);
        for (n, b) in frames.iter_mut().enumerate() {
            let (pts, next) = (step(n), step(n + 1));
            // A copy only where something else still holds it.
            let b = b.make_mut();
            b.set_pts(pts);
            b.set_dts(gst::ClockTime::NONE);
            b.set_duration(next.zip(pts).map(|(n, p)| n - p));
        }
        let rate = fps.numer() as f64 / fps.denom() as f64;
        Ok(Clip { frames, caps, width: info.width(), height: info.height(), rate })
    }
}

/// CPU time of this process.
fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Everything through some elements. The cost is that from the first to the last: what starts up is no part of it.
fn through(
    buffers: &[gst::Buffer],
    caps: &gst::Caps,
    elements: &str,
    mut each: impl FnMut(usize, &gst::Sample) -> Result<(), Error>,
) -> Result<Cost, Error> {
    let running = Running::parse(&format!("appsrc name=pushed format=time ! {elements} ! {END}"))?;
    let pushed = running.get("pushed").downcast::<gst_app::AppSrc>().expect("an appsrc");
    pushed.set_caps(Some(caps));
    let mut list: VecDeque<gst::Buffer> = buffers.iter().cloned().collect();
    let need_data = move |to: &gst_app::AppSrc, _| match list.pop_front() {
        Some(b) => drop(to.push_buffer(b)),
        None => drop(to.end_of_stream()),
    };
    pushed.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(need_data).build());
    let outlet = Outlet::start(running)?;
    let (mut n, mut begun, mut ended) = (0, None, None);
    while let Some(sample) = outlet.next()? {
        let now = (Instant::now(), cpu());
        begun.get_or_insert(now);
        ended = Some(now);
        each(n, &sample)?;
        n += 1;
    }
    let (Some(begun), Some(ended)) = (begun, ended) else { return Err("nothing came out".into()) };
    let (wall, used, more) = ((ended.0 - begun.0).as_secs_f64(), ended.1.saturating_sub(begun.1).as_secs_f64(), (n - 1) as f64);
    Ok(Cost { rate: more / wall.max(1e-9), cpu_ms: 1e3 * used / more.max(1.0) })
}

/// Codes a clip with some elements.
pub fn encode(clip: &Clip, encoder: &str) -> Result<Coded, Error> {
    let (mut packets, mut caps, mut bytes) = (Vec::new(), None, 0);
    let cost = through(&clip.frames, &clip.caps, encoder, |_, sample| {
        let buffer = sample.buffer_owned().ok_or("a sample without a buffer")?;
        bytes += buffer.size() as u64;
        packets.push(buffer);
        caps = sample.caps_owned();
        Ok(())
    })?;
    Ok(Coded { packets, caps: caps.ok_or("coded without caps")?, bytes, cost })
}

/// Decodes it again; with `compare` says the PSNR of every frame's Y, U and V, and the cost is then of no use.
pub fn decode(
    packets: &[gst::Buffer],
    caps: &gst::Caps,
    decoder: &str,
    clip: &Clip,
    compare: bool,
) -> Result<(Vec<[f64; 3]>, Cost), Error> {
    let (mut frames, mut count) = (Vec::new(), 0);
    let convert = if compare { " ! videoconvert ! video/x-raw,format=I420" } else { "" };
    let cost = through(packets, caps, &format!("{decoder}{convert}"), |n, sample| {
        count += 1;
        if !compare {
            return Ok(());
        }
        let original = clip.frames.get(n).ok_or("more pictures than were coded")?;
        let original = gst::Sample::builder().buffer(original).caps(&clip.caps).build();
        frames.push(metrics::planes(&original, |a| metrics::planes(sample, |b| metrics::psnr(&a, &b)))??);
        Ok(())
    })?;
    if compare && count != clip.frames.len() {
        return Err(format!("{count} of {} frames came back", clip.frames.len()).into());
    }
    Ok((frames, cost))
}
