use super::Error;
use crate::inputs::{self, Kind};
use crate::live;
use crate::media::{self, Running};
use crate::network::Place;
use crate::stop::Stop;
use crate::transcode::source;
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Send a camera, a file or a test picture over the network.
///
/// What is sent is there for `lic receive`, for zenohsrc in any pipeline, and for any number of them. Ctrl-C ends it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic send                                              the first camera, for a receiver on this machine
  lic send /dev/video2 --size 1280x720 --fps 30 --connect tcp/HOST:7447
  lic send --listen tcp/0.0.0.0:7447 --stream-name front  the receiver connects to this machine
  lic send test --bitrate 500 --adaptive                a moving picture, at most 500 kbit/s, less where the network carries less
  lic send drive.mp4                                    a recording, in its own time; waits for a receiver first

A .lic file goes out as it is: nothing is decoded, and a receiver that comes later starts at its next key frame.
Several streams of one host need a --stream-name each, or a --key.")]
pub struct Args {
    /// A camera (/dev/videoN), a recording (whatever lic transcode reads), or `test` for a moving picture [default: the first camera]
    source: Option<PathBuf>,
    /// Key of the stream [default: lic/HOSTNAME/STREAM-NAME]
    #[arg(long)]
    key: Option<String>,
    /// Last part of the default key
    #[arg(long, conflicts_with = "key")]
    stream_name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// 0 (smallest) to 100 (best)
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    quality: u32,
    /// kbit/s instead of a constant quality; no second holds more than 1.1 times that
    #[arg(long)]
    bitrate: Option<u32>,
    /// Follow what the network carries; --bitrate is then the most
    #[arg(long)]
    adaptive: bool,
    /// Model pack: base, or lite for the weakest machines
    #[arg(long, default_value = "base")]
    model: String,
    /// Where networks run
    #[arg(long, default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    backend: String,
    /// Frames from key frame to key frame at most
    #[arg(long)]
    gop: Option<u32>,
    /// WIDTHxHEIGHT of a camera or the test picture [default: what the camera prefers; 640x480]
    #[arg(long, value_parser = size)]
    size: Option<(i32, i32)>,
    /// Frames a second of a camera, of the test picture, or of a folder of pictures [default: what the camera prefers; 30]
    #[arg(long, value_parser = crate::transcode::fraction)]
    fps: Option<gst::Fraction>,
    /// Take JPEG from the camera: many give large pictures only so
    #[arg(long)]
    mjpeg: bool,
    /// Of MCAP files and bags: the camera's topic
    #[arg(long)]
    topic: Vec<String>,
    /// Threads of the encoder [default: the cores]
    #[arg(long, default_value_t = 0)]
    threads: u32,
    /// End after so many frames
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    frames: Option<i32>,
    /// Do not wait for a receiver before the first frame of a recording
    #[arg(long)]
    no_wait: bool,
    /// Statistics at the end as one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// How long a recording waits for its first receiver, in nanoseconds: a day.
const WAIT: u64 = 86_400_000_000_000;

/// identity's eos-after for so many frames: the one that it counts last does not pass.
pub fn ended(frames: Option<i32>) -> i32 {
    frames.map_or(-1, |n| n.saturating_add(1))
}

/// WIDTHxHEIGHT.
fn size(text: &str) -> Result<(i32, i32), String> {
    let side = |t: &str| t.parse().ok().filter(|v| (1..=16384).contains(v));
    text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?))).ok_or("a size such as 1280x720".into())
}

/// What leads up to zenohsink.
struct Front {
    line: String,
    input: Option<inputs::Input>,
    /// Already coded.
    packets: bool,
}

/// Caps of a live source, as far as they are chosen.
fn caps(kind: &str, size: Option<(i32, i32)>, fps: Option<gst::Fraction>) -> String {
    let size = size.map(|(w, h)| format!(",width={w},height={h}")).unwrap_or_default();
    let fps = fps.map(|f| format!(",framerate={}/{}", f.numer(), f.denom())).unwrap_or_default();
    format!("{kind}{size}{fps}")
}

impl Args {
    fn front(&self) -> Result<Front, Error> {
        let named = self.source.as_deref();
        let live = |line: String| Front { line, input: None, packets: false };
        if named.is_some_and(|s| s.as_os_str() == "test" && !s.exists()) {
            let caps = caps("video/x-raw,format=I420", self.size.or(Some((640, 480))), self.fps.or(Some(gst::Fraction::new(30, 1))));
            return Ok(live(format!("videotestsrc is-live=true pattern=ball ! {caps}")));
        }
        if named.is_none_or(|s| s.starts_with("/dev")) {
            let device = named.unwrap_or(Path::new("/dev/video0"));
            media::element("v4l2src")?;
            if named.is_some() && !device.exists() {
                return Err(format!("{}: no such device; `lic doctor` lists cameras", device.display()).into());
            }
            if named.is_none()
                && !std::fs::read_dir("/dev").is_ok_and(|d| d.flatten().any(|e| e.file_name().to_string_lossy().starts_with("video")))
            {
                return Err("there is no camera (/dev/video*): name a file, or `test` for a moving picture".into());
            }
            let caps = |kind: &str| caps(kind, self.size, self.fps);
            let caps = if self.mjpeg { format!("{} ! jpegdec", caps("image/jpeg")) } else { caps("video/x-raw") };
            let name = if named.is_some() { " name=camera" } else { "" };
            return Ok(live(format!("v4l2src{name} ! {caps}")));
        }
        let named = named.expect("looked at above");
        let found = inputs::by_topic(inputs::find(&[named.to_path_buf()])?, &self.topic)?;
        let [input] = <[_; 1]>::try_from(found)
            .map_err(|all| format!("{} holds {} recordings; name one of them, or one camera with --topic", named.display(), all.len()))?;
        let packets = source::packets(&input)?;
        let line = match &packets {
            Some(line) => line.clone(),
            None => source::raw(&input)?,
        };
        Ok(Front { line, packets: packets.is_some(), input: Some(input) })
    }
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    media::init()?;
    let stop = Stop::listen()?;
    let front = args.front()?;
    let coder = if front.packets { String::new() } else { " ! licenc name=coder".into() };
    let running =
        Running::parse(&format!("{}{coder} ! identity name=count eos-after={} ! liczenohsink name=sink", front.line, ended(args.frames)))?;
    let _source = match &front.input {
        Some(input) => Some(source::Source::connect(&running, input, args.fps.unwrap_or(gst::Fraction::new(30, 1)))?),
        None => None,
    };
    if let Some(camera) = running.0.by_name("camera") {
        camera.set_property("device", args.source.as_deref().unwrap_or(Path::new("/dev/video0")).to_string_lossy().as_ref());
    }
    if let Some(coder) = running.0.by_name("coder") {
        args.code(&coder);
    }
    let sink = running.get("sink");
    args.place.set(&sink);
    for (name, value) in [("key-expr", &args.key), ("stream-name", &args.stream_name)] {
        if let Some(value) = value {
            sink.set_property(name, value);
        }
    }
    sink.set_property("adaptive-bitrate", args.adaptive);
    if front.input.is_some() {
        // A recording plays in its own time, and from its first frame on.
        sink.set_property("sync", true);
        if !args.no_wait {
            sink.set_property("wait-for-receiver", WAIT);
        }
    }
    let kind = front.input.as_ref().map(|i| i.kind);
    eprintln!("lic: sending {}; Ctrl-C ends it", describe(args.source.as_deref(), kind));
    let started =
        live::play(&running, &stop, || live::statistics(&sink)["sent"].as_u64() > Some(0), &mut |text, _| eprintln!("lic: {text}"));
    let stats = live::statistics(&sink);
    started?;
    let number = |name: &str| stats[name].as_u64().unwrap_or(0);
    eprintln!(
        "lic: {} frames, {} bytes sent on {}; {} before there was a network, {} given up for a slow one, {} lost on the way; {} receivers joined",
        number("sent"),
        number("bytes"),
        stats["key-expr"].as_str().unwrap_or("?"),
        number("discarded"),
        number("evicted"),
        number("lost"),
        number("joiners")
    );
    if args.json {
        println!("{}", serde_json::to_string_pretty(&stats)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(source: Option<&Path>, kind: Option<Kind>) -> String {
    match (source, kind) {
        (None, _) => "the first camera".into(),
        (Some(s), None) if s.as_os_str() == "test" => "a moving picture".into(),
        (Some(s), Some(Kind::Lic)) => format!("{} as it is", s.display()),
        (Some(s), _) => s.display().to_string(),
    }
}

impl Args {
    /// Sets up a licenc.
    fn code(&self, licenc: &gst::Element) {
        let quality = if self.bitrate.is_some() { 100 } else { self.quality };
        let set = |name: &str, value: String| licenc.set_property_from_str(name, &value);
        set("model", self.model.clone());
        set("backend", self.backend.clone());
        set("quality", quality.to_string());
        set("bitrate", self.bitrate.unwrap_or(0).to_string());
        set("threads", self.threads.to_string());
        if let Some(gop) = self.gop {
            set("key-int-max", gop.to_string());
        }
    }
}
