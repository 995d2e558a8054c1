use super::Error;
use crate::live;
use crate::media::{self, Running};
use crate::network::Place;
use crate::output::Output;
use crate::recording;
use crate::stop::Stop;
use gst::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Receive a stream into a window or a file.
///
/// Waits for a stream, and for it to come back. Ctrl-C ends it and closes the file.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic receive                                           whatever this machine sends, in a window
  lic receive --listen tcp/0.0.0.0:7447                 the sender connects here: lic send --connect tcp/THIS-HOST:7447
  lic receive --connect tcp/ROBOT:7447 --key lic/robot/front
  lic receive --to drive.lic                            as it came, nothing decoded: fewest bytes, seekable
  lic receive --to drive.mp4 --frames 300               ten seconds for any player (.mkv likewise)
  lic receive --to frames/                              a folder of JPEG files
  lic receive --playout-delay 150                       over a link that loses frames: they are sent again
  lic receive --sink 'fakesink' --json                  the pictures go into elements of your own

A .lic file is written under its own name and reads up to its last whole frame even after a power cut; MP4, Matroska and folders get
their name when they are whole.")]
pub struct Args {
    /// Key of the stream, * and ** match any [default: lic/**]: of several one is received (`lic list` shows all)
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    place: Place,
    /// A file (.lic, .mp4, .mkv) or a folder for JPEG files (ending in /, or there already) instead of a window
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// GStreamer elements that take the pictures instead of a window
    #[arg(long, value_name = "ELEMENTS", conflicts_with = "to")]
    sink: Option<String>,
    /// Write over a file that is there
    #[arg(long)]
    overwrite: bool,
    /// End after so many frames
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    frames: Option<i32>,
    /// Milliseconds that a frame may wait for one lost before it, which is then sent again
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    playout_delay: u32,
    /// Show nothing of frames with damaged parts, instead of what conceals them
    #[arg(long)]
    no_conceal: bool,
    /// Where networks run
    #[arg(long, default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    backend: String,
    /// One JSON object a line on standard output: what happens, then the statistics
    #[arg(long)]
    json: bool,
}

/// What becomes of the stream.
enum To {
    Elements(String),
    Lic(PathBuf),
    Video(PathBuf),
    Folder(PathBuf),
}

impl Args {
    fn to(&self) -> Result<To, Error> {
        let Some(path) = &self.to else {
            if let Some(sink) = &self.sink {
                return Ok(To::Elements(sink.clone()));
            }
            if ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|v| std::env::var_os(v).is_none_or(|s| s.is_empty())) {
                return Err(
                    "there is no screen here ($DISPLAY and $WAYLAND_DISPLAY are not set): --to FILE records, --sink ELEMENTS shows \
                            otherwise, for example with --sink 'videoconvert ! kmssink'"
                        .into(),
                );
            }
            media::element("autovideosink")?;
            return Ok(To::Elements("videoconvert ! autovideosink".into()));
        };
        let folder = path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/');
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let to = match ending.as_str() {
            _ if folder => To::Folder(path.clone()),
            "lic" => To::Lic(path.clone()),
            "mp4" | "mkv" => To::Video(path.clone()),
            _ => return Err(format!("{}: .lic, .mp4, .mkv, or a folder with / at its end", path.display()).into()),
        };
        let filled = |p: &Path| fs::read_dir(p).is_ok_and(|mut d| d.next().is_some());
        if !self.overwrite && (if folder { filled(path) } else { path.exists() }) {
            return Err(format!("{} is there already: --overwrite replaces it", path.display()).into());
        }
        Ok(to)
    }

    /// The pipeline behind zenohsrc.
    fn line(&self, to: &To, output: Option<&Output>) -> Result<String, Error> {
        let count = format!("identity name=count eos-after={}", super::send::ended(self.frames));
        let part = |o: Option<&Output>| o.map(|o| o.part().to_path_buf()).unwrap_or_default();
        Ok(match to {
            To::Elements(sink) => format!("licdec name=decoder ! {count} ! {sink}"),
            To::Lic(_) => format!("{count} ! {}", recording::END),
            To::Video(path) => {
                let mp4 = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("mp4"));
                for needed in ["x264enc", "h264parse", if mp4 { "mp4mux" } else { "matroskamux" }] {
                    media::element(needed)?;
                }
                let muxer = if mp4 { "mp4mux" } else { "matroskamux" };
                format!(
                    "licdec name=decoder ! {count} ! videoconvert ! x264enc tune=zerolatency ! h264parse ! {muxer} ! filesink name=file"
                )
            }
            To::Folder(_) => {
                fs::create_dir(part(output))?;
                format!("{count} ! lictojpeg ! multifilesink name=file")
            }
        })
    }
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    media::init()?;
    let stop = Stop::listen()?;
    let to = args.to()?;
    let output = match &to {
        To::Video(path) | To::Folder(path) => Some(Output::begin(path)?),
        _ => None,
    };
    let running = Running::parse(&format!("liczenohsrc name=source ! {}", args.line(&to, output.as_ref())?))?;
    let source = running.get("source");
    if let Some(key) = &args.key {
        source.set_property("key-expr", key);
    }
    args.place.set(&source);
    source.set_property("playout-delay", args.playout_delay);
    if let Some(decoder) = running.0.by_name("decoder") {
        decoder.set_property("conceal", !args.no_conceal);
        decoder.set_property_from_str("backend", &args.backend);
    }
    if let (Some(file), Some(o)) = (running.0.by_name("file"), &output) {
        let location = if matches!(to, To::Folder(_)) { o.part().join("frame%06d.jpg") } else { o.part().to_path_buf() };
        file.set_property("location", location.to_string_lossy().as_ref());
    }
    let recorder = match &to {
        To::Lic(path) => Some(recording::Recorder::begin(&running, path)?),
        _ => None,
    };
    let frames = count(&running.get("count"));

    let played = live::play(&running, &stop, || frames.load(Ordering::Relaxed) > 0, &mut |text, value| {
        if args.json {
            println!("{value}");
        }
        if !text.is_empty() {
            eprintln!("lic: {text}");
        }
    });
    let stats = live::statistics(&source);
    drop(running);
    let n = frames.load(Ordering::Relaxed);
    // What has come is kept, whatever ended it.
    let written = match recorder {
        Some(recorder) => recorder.finish(),
        None if n > 0 => output.map_or(Ok(()), Output::finish),
        None => Ok(()),
    };
    let number = |name: &str| stats[name].as_u64().unwrap_or(0);
    eprintln!(
        "lic: {n} frames; {} bytes received, {} frames lost, {} of them sent again in time, {} too late for a slow pipeline",
        number("bytes"),
        number("lost") + number("recovered"),
        number("recovered"),
        number("overflowed")
    );
    if args.json {
        println!("{}", serde_json::json!({ "event": "end", "frames": n, "statistics": stats }));
    }
    written?;
    played.map_err(|e| match e.to_string() {
        text if text.contains("not-negotiated") => format!("{text}: is the stream one of lic's? `lic list` says what it is").into(),
        _ => e,
    })?;
    if n == 0 && args.to.is_some() {
        return Err("no frame came: nothing was written".into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Frames that went through an element.
fn count(element: &gst::Element) -> Arc<AtomicU64> {
    let n = Arc::new(AtomicU64::new(0));
    let counted = n.clone();
    let pad = element.static_pad("src").expect("identity has it");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    n
}
