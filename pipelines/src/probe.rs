//! What this machine has and can do.

use crate::commands::Error;
use crate::measure::{self, Clip, Coded};
use gst::prelude::*;

/// Frames a second of a moving 640x480 picture.
pub struct Speed {
    pub encode: f64,
    pub decode: f64,
}

/// Codes and decodes some frames.
pub fn speed() -> Result<Speed, Error> {
    let clip = Clip::synthetic(640, 480, 30)?;
    let Coded { packets, caps, cost, .. } = measure::encode(&clip, "licenc")?;
    let (_, back) = measure::decode(&packets, &caps, "licdec", &clip, false)?;
    Ok(Speed { encode: cost.rate, decode: back.rate })
}

/// A camera by GStreamer's device monitor.
pub struct Camera {
    pub device: String,
    pub name: String,
    pub modes: Vec<Mode>,
}

/// The best rate of one format and size.
pub struct Mode {
    pub format: String,
    pub width: i32,
    pub height: i32,
    pub rate: f64,
}

/// More sizes than that of a camera are left out, the smallest first.
const MODES: usize = 12;

pub fn cameras() -> Vec<Camera> {
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some("Video/Source"), None);
    if monitor.start().is_err() {
        return Vec::new();
    }
    let mut out: Vec<Camera> = monitor.devices().iter().filter_map(camera).collect();
    monitor.stop();
    out.sort_by(|a, b| a.device.cmp(&b.device));
    out.dedup_by(|a, b| a.device == b.device);
    out
}

fn camera(device: &gst::Device) -> Option<Camera> {
    let properties = device.properties()?;
    let path = ["device.path", "api.v4l2.path"].iter().find_map(|n| properties.get::<String>(*n).ok())?;
    let mut modes: Vec<Mode> = device.caps().iter().flat_map(|c| c.iter().filter_map(mode).collect::<Vec<_>>()).collect();
    modes.sort_by_key(|m| std::cmp::Reverse((m.width as i64 * m.height as i64, (m.rate * 1000.0) as i64)));
    modes.dedup_by(|a, b| (&a.format, a.width, a.height) == (&b.format, b.width, b.height));
    modes.truncate(MODES);
    Some(Camera { device: path, name: device.display_name().into(), modes })
}

fn mode(s: &gst::StructureRef) -> Option<Mode> {
    let format = s.get::<String>("format").unwrap_or_else(|_| s.name().trim_start_matches("image/").to_uppercase());
    let (width, height) = (s.get::<i32>("width").ok()?, s.get::<i32>("height").ok()?);
    let f = |f: gst::Fraction| f.numer() as f64 / f.denom() as f64;
    let rate = (s.get::<gst::Fraction>("framerate").ok().map(f))
        .or_else(|| s.get::<gst::FractionRange>("framerate").ok().map(|r| f(r.max())))
        .or_else(|| {
            let list = s.get::<gst::List>("framerate").ok()?;
            list.iter().filter_map(|v| v.get::<gst::Fraction>().ok()).map(f).max_by(f64::total_cmp)
        })?;
    Some(Mode { format, width, height, rate })
}
