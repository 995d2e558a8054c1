//! How pictures are coded: the options that become properties of elements.

use super::source;
use super::{Images, To};
use crate::commands::Error;
use crate::inputs::Input;
use gst::prelude::*;
use lic_codec::{Effort, Settings, Task};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Options of `lic transcode`.
#[derive(Clone, Debug, clap::Args)]
pub struct Coder {
    /// 0 (smallest) to 100 (best); for mp4 and mkv x264's quality on the same scale
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub quality: u32,
    /// kbit/s instead of a constant quality
    #[arg(long, conflicts_with = "target_size")]
    pub bitrate: Option<u32>,
    /// Bytes of each output instead of a constant quality, for example 20M: the bit rate follows from the length
    #[arg(long, value_parser = bytes)]
    pub target_size: Option<u64>,
    /// Model pack: base, or lite for the weakest machines
    #[arg(long, default_value = "base")]
    pub model: String,
    /// Where networks run
    #[arg(long, default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    pub backend: String,
    /// How much time to take: max tries every vector and block, for a few percent
    #[arg(long, default_value = "default", value_parser = ["default", "max"])]
    pub effort: String,
    /// Most frames from key frame to key frame: what a reader decodes to reach any frame
    #[arg(long, default_value_t = 30)]
    pub gop: u32,
    /// Frames a second of folders of pictures without capture times
    #[arg(long, default_value = "30", value_parser = fraction)]
    pub fps: gst::Fraction,
    /// Colour of JPEG files: see docs/jpeg.md
    #[arg(long, default_value = "standard", value_parser = ["standard", "learned"])]
    pub colour: String,
    /// Who looks at JPEG files: classification, of .lic files of model lite
    #[arg(long, default_value = "none", value_parser = ["none", "classification"])]
    pub task: String,
    /// Of MCAP files and bags: only these topics (may be repeated); for --to mcap from elsewhere, the topic's name
    #[arg(long = "topic")]
    pub topics: Vec<String>,
    /// What cameras become in an MCAP file
    #[arg(long, default_value = "lic")]
    pub images: Images,
    /// Threads of each transcode [default: the cores, shared among --jobs]
    #[arg(long)]
    pub threads: Option<u32>,
}

/// 500k, 20M, 1.5G: powers of 1000.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.trim_end_matches(['b', 'B']).strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']) {
        Some(number) => (
            number,
            match text.trim_end_matches(['b', 'B']).to_lowercase().chars().last() {
                Some('k') => 1e3,
                Some('m') => 1e6,
                _ => 1e9,
            },
        ),
        None => (text.trim_end_matches(['b', 'B']), 1.0),
    };
    let value: f64 = number.parse().map_err(|_| "a size such as 500k, 20M or 1.5G".to_string())?;
    if value * unit >= 1.0 && value * unit < 1e18 { Ok((value * unit) as u64) } else { Err("a size above 0".into()) }
}

/// 30, 29.97 or 30000/1001.
pub fn fraction(text: &str) -> Result<gst::Fraction, String> {
    let wrong = || "frames a second, such as 30, 12.5 or 30000/1001".to_string();
    let parsed = match text.split_once('/') {
        Some((n, d)) => {
            n.parse().ok().zip(d.parse().ok()).filter(|(n, d): &(i32, i32)| *n > 0 && *d > 0).map(|(n, d)| gst::Fraction::new(n, d))
        }
        None => text.parse::<f64>().ok().filter(|f| *f > 0.0 && *f <= 1000.0).and_then(gst::Fraction::approximate_f64),
    };
    parsed.ok_or_else(wrong)
}

impl Coder {
    /// The same for the codec itself; without a size, which only elements keep.
    pub fn settings(&self) -> Settings {
        let bitrate = self.bitrate.unwrap_or(0);
        Settings {
            quality: if bitrate > 0 { 100.0 } else { self.quality as f32 },
            bitrate,
            key_int_max: self.gop,
            threads: self.threads.unwrap_or(0),
            effort: if self.effort == "max" { Effort::Max } else { Effort::Default },
            ..Settings::default()
        }
    }

    /// Who looks at JPEG files.
    pub fn task(&self) -> Task {
        if self.task == Task::Classification.name() { Task::Classification } else { Task::None }
    }

    /// Whether a device will do the work, which only elements ask.
    pub fn on_device(&self) -> bool {
        self.backend == "cuda" || self.backend == "auto" && lic_codec::Device::open(0, false).is_ok()
    }

    /// Sets up a licenc for an input.
    pub fn set(&self, licenc: &gst::Element, input: &Input) -> Result<(), Error> {
        licenc.set_property_from_str("model", &self.model);
        licenc.set_property_from_str("backend", &self.backend);
        licenc.set_property_from_str("effort", &self.effort);
        licenc.set_property_from_str("quality", &self.quality.to_string());
        licenc.set_property_from_str("key-int-max", &self.gop.to_string());
        licenc.set_property_from_str("threads", &self.threads.unwrap_or(0).to_string());
        let mut bitrate = self.bitrate.unwrap_or(0);
        if let Some(size) = self.target_size {
            let seconds = source::length(input, self.fps)
                .filter(|s| *s > 0.0)
                .ok_or("its length is not known: give --bitrate instead of --target-size")?;
            bitrate = (size as f64 * 0.008 / seconds).clamp(1.0, 1e6) as u32;
        }
        if bitrate > 0 {
            // The rate decides, not the quality.
            licenc.set_property_from_str("quality", "100");
            licenc.set_property_from_str("bitrate", &bitrate.to_string());
        }
        Ok(())
    }

    /// What tells whether an input has changed.
    pub fn from(&self, path: &Path) -> Result<String, Error> {
        let m = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(format!("{} bytes, modified {}.{:09}", m.len(), m.mtime(), m.mtime_nsec()))
    }

    /// What tells whether outputs were made alike.
    pub fn with(&self, to: To) -> String {
        let rate = match (self.target_size, self.bitrate) {
            (Some(size), _) => format!("target-size={size}"),
            (_, Some(rate)) => format!("bitrate={rate}"),
            _ => format!("quality={}", self.quality),
        };
        let mut out = format!(
            "lic {} {rate} model={} effort={} gop={} fps={}/{}",
            env!("CARGO_PKG_VERSION"),
            self.model,
            self.effort,
            self.gop,
            self.fps.numer(),
            self.fps.denom()
        );
        if to == To::Jpeg {
            out.push_str(&format!(" colour={}", self.colour));
            if self.task != "none" {
                out.push_str(&format!(" task={}", self.task));
            }
        }
        out
    }
}
