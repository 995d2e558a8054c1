use super::{Error, FAILED};
use crate::media;
use crate::probe;
use lic_transport::Network;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

/// Say what of lic's needs is here, and what to install.
#[derive(clap::Args)]
#[command(
    after_help = "Each line is found (ok), missing without harm to the rest (--), or missing and necessary (!!): then the exit status is 1.
The line `speed` codes and decodes a moving test picture; whether a camera's modes are followed is reckoned from it."
)]
pub struct Args {
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Found,
    /// Something else does without.
    Absent,
    /// lic does not work.
    Missing,
}

/// One line.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub what: &'static str,
    pub state: State,
    /// What was found, or what to do.
    pub text: String,
}

impl Finding {
    fn found(what: &'static str, text: impl Into<String>) -> Finding {
        Finding { what, state: State::Found, text: text.into() }
    }

    fn absent(what: &'static str, text: impl Into<String>) -> Finding {
        Finding { what, state: State::Absent, text: text.into() }
    }

    fn missing(what: &'static str, text: impl Into<String>) -> Finding {
        Finding { what, state: State::Missing, text: text.into() }
    }
}

/// Elements of others: Debian's package, and what does not work without; nothing: lic itself.
const ELEMENTS: [(&str, &[&str], &str); 8] = [
    ("gstreamer1.0-plugins-base", &["videoconvert", "decodebin", "videotestsrc", "appsrc", "appsink"], ""),
    ("gstreamer1.0-plugins-good", &["v4l2src"], "cameras (lic send)"),
    ("gstreamer1.0-plugins-good", &["autovideosink"], "the window of lic receive"),
    (
        "gstreamer1.0-plugins-good",
        &["mp4mux", "qtdemux", "matroskamux", "matroskademux", "jpegenc", "jpegdec"],
        "MP4, Matroska, cameras with JPEG",
    ),
    ("gstreamer1.0-plugins-bad", &["h264parse", "jpegparse"], "H.264 and JPEG files"),
    ("gstreamer1.0-plugins-ugly", &["x264enc"], "writing MP4 and Matroska"),
    ("gstreamer1.0-libav", &["avdec_h264"], "reading H.264"),
    ("gstreamer1.0-plugins-bad", &["av1enc", "av1dec"], "AVIF in lic bench"),
];

pub fn run(args: Args) -> Result<ExitCode, Error> {
    let mut all = Vec::new();
    match media::init() {
        Ok(()) => {
            all.push(Finding::found("gstreamer", gst::version_string()));
            all.push(Finding::found("lic", format!("{}, elements within this program", env!("CARGO_PKG_VERSION"))));
            elements(&mut all);
        }
        Err(e) => all.push(Finding::missing("gstreamer", e.to_string())),
    }
    let runtime = runtime();
    let works = runtime.state == State::Found && all.iter().all(|f| f.state != State::Missing);
    all.push(runtime);
    let speed = if works { probe::speed() } else { Err("not tried".into()) };
    all.push(match &speed {
        Ok(s) => {
            Finding::found("speed", format!("640x480 moving picture: {:.0} frames/s coded, {:.0} decoded (quality 50)", s.encode, s.decode))
        }
        Err(e) => Finding::missing("speed", e.to_string()),
    });
    all.push(zenoh());
    all.push(cuda());
    // Without GStreamer nothing looks for cameras.
    if all[0].state == State::Found {
        cameras(&mut all, speed.ok().map(|s| s.encode * 640.0 * 480.0));
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        for f in &all {
            let mark = match f.state {
                State::Found => "ok",
                State::Absent => "--",
                State::Missing => "!!",
            };
            println!("{mark} {:9} {}", f.what, f.text);
        }
    }
    let bad = all.iter().any(|f| f.state == State::Missing);
    Ok(if bad { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn elements(all: &mut Vec<Finding>) {
    for (package, names, without) in ELEMENTS {
        let lacking: Vec<_> = names.iter().copied().filter(|n| gst::ElementFactory::find(n).is_none()).collect();
        if lacking.is_empty() {
            all.push(Finding::found("elements", names.join(", ")));
        } else {
            let text = format!("no {}: apt install {package}", lacking.join(", "));
            all.push(match without {
                "" => Finding::missing("elements", text),
                what => Finding::absent("elements", format!("{text} (for {what})")),
            });
        }
    }
}

fn runtime() -> Finding {
    match lic_codec::Runtime::find() {
        Ok(r) => {
            // By its file's name; a build says its commit alone.
            let name = r.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let version = name.split_once(".so.").map_or_else(|| r.build().to_string(), |(_, v)| v.to_string());
            Finding::found("onnx", format!("ONNX Runtime {version}, {}", r.path().display()))
        }
        Err(e) => Finding::missing("onnx", e.to_string()),
    }
}

fn zenoh() -> Finding {
    let at = Network::default().rendezvous();
    if std::net::TcpListener::bind(at).is_ok() {
        return Finding::found("zenoh", format!("port {} on this machine is free: lic send opens its meeting point there", at.port()));
    }
    let network = Network { connect: Some(format!("tcp/{at}")), ..Default::default() };
    match lic_transport::list("**", &network, Duration::from_secs(4), false) {
        Ok(l) if l.connected => Finding::found(
            "zenoh",
            format!("a router (zenoh's, or lic's own) answers at port {}, with {} streams of lic's", at.port(), l.streams.len()),
        ),
        _ => Finding::absent(
            "zenoh",
            format!(
                "something else holds port {} of this machine: end it, or set LIC_RENDEZVOUS_PORT to another port on both ends, or give --connect and --listen",
                at.port()
            ),
        ),
    }
}

fn cuda() -> Finding {
    match lic_codec::Device::open(0, false) {
        Ok(d) => Finding::found("cuda", d.name()),
        Err(e) => Finding::absent("cuda", format!("{e}; the CPU does everything (docs/cuda.md)")),
    }
}

/// `pixels`: what licenc codes in a second.
fn cameras(all: &mut Vec<Finding>, pixels: Option<f64>) {
    let found = probe::cameras();
    if found.is_empty() {
        all.push(Finding::absent("camera", "none (/dev/video*): lic send takes files, or `test`"));
    }
    for c in found {
        let modes: Vec<String> = (c.modes.iter())
            .map(|m| {
                let needs = m.width as f64 * m.height as f64 * m.rate;
                let note = match pixels {
                    Some(p) if p < needs => format!(" (licenc codes about {:.0} of them)", p / (m.width as f64 * m.height as f64)),
                    _ => String::new(),
                };
                format!("{} {}x{} at {:.0} frames/s{note}", m.format, m.width, m.height, m.rate)
            })
            .collect();
        all.push(Finding::found("camera", format!("{} {}: {}", c.device, c.name, modes.join("; "))));
    }
}
