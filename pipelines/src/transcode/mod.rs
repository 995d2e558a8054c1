//! One input -> one output.

mod coder;
mod lanes;
mod lic;
mod mcap;
mod pictures;
pub mod sink;
pub mod source;
mod video;

pub use coder::{Coder, fraction};

use crate::commands::Error;
use crate::inputs::Input;
use crate::output::Output;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What becomes of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum To {
    /// A .lic file: smallest, seekable
    Lic,
    /// A folder of JPEG files, one a frame
    Jpeg,
    /// Cameras as lic packets on ROS 2 topics
    Mcap,
    /// H.264 for every player
    Mp4,
    /// H.264 in Matroska
    Mkv,
}

impl To {
    /// Ending of the output; none for folders.
    pub fn ending(self) -> &'static str {
        match self {
            To::Lic => "lic",
            To::Mcap => "mcap",
            To::Jpeg => "",
            To::Mp4 => "mp4",
            To::Mkv => "mkv",
        }
    }
}

/// What cameras become in an MCAP file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Images {
    /// lic packets, on TOPIC/lic
    Lic,
    /// JPEG, on TOPIC/compressed
    Jpeg,
}

/// How a transcode comes along.
pub trait Progress: Sync {
    /// `length`: of the whole, if it is known.
    fn at(&self, position: Duration, length: Option<Duration>);
    /// Something that the user should know.
    fn warn(&self, text: &str);
}

/// What came of an input.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Done {
    pub frames: u64,
    /// Of the output.
    pub bytes: u64,
    /// Of the pictures, from the first to the end of the last.
    pub seconds: f64,
}

/// Transcodes one input. An output exists afterwards or, after an error, does not.
pub fn run(input: &Input, to: To, coder: &Coder, target: &Path, progress: &dyn Progress) -> Result<Done, Error> {
    crate::media::init()?;
    let output = Output::begin(target)?;
    let done = match to {
        To::Lic => lic::run(input, coder, output.part(), progress),
        To::Mcap => mcap::run(input, coder, output.part(), progress),
        To::Jpeg => pictures::run(input, coder, output.part(), progress),
        To::Mp4 | To::Mkv => video::run(input, to, coder, output.part(), progress),
    }?;
    if done.frames == 0 {
        return Err("there are no pictures in it".into());
    }
    output.finish()?;
    Ok(done)
}

/// Whether a finished output of an interrupted run can stay. An error: it is there, but made otherwise.
pub fn finished(input: &Input, to: To, coder: &Coder, target: &Path) -> Result<bool, Error> {
    if !target.exists() {
        return Ok(false);
    }
    let made = match to {
        To::Lic => lic::made(target),
        To::Jpeg => pictures::made(target),
        // They hold no such note: what has its name is whole, and that is all that is known.
        To::Mcap | To::Mp4 | To::Mkv => return Ok(true),
    };
    let now = (coder.from(&input.path)?, coder.with(to));
    match made {
        Some(made) if made == now => Ok(true),
        Some(made) if made.1 != now.1 => {
            Err(format!("{} was made with other settings ({}): --overwrite, or another folder", target.display(), made.1).into())
        }
        Some(_) => {
            Err(format!("{} was made of another version of {}: --overwrite, or another folder", target.display(), input.path.display())
                .into())
        }
        None => Err(format!("{} is there and does not say how it was made: --overwrite, or another folder", target.display()).into()),
    }
}
