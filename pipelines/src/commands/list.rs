use super::Error;
use crate::network::Place;
use lic_transport::Listed;
use std::process::ExitCode;
use std::time::Duration;

/// List the streams on the network.
///
/// Each stream's format comes with its frames, so one second of each stream is received; --no-format does without.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic list                                    on this machine
  lic list --connect tcp/ROBOT:7447           where a sender listens, or a router
  lic list --key 'lic/robot-7/**' --json")]
pub struct Args {
    /// Only keys that match
    #[arg(long, default_value = "**")]
    key: String,
    #[command(flatten)]
    place: Place,
    /// Seconds to look for streams
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    time: f64,
    /// Receive no frame
    #[arg(long)]
    no_format: bool,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|s| (0.1..=600.0).contains(s)).ok_or("seconds, 0.1 to 600".into())
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    crate::media::init()?;
    let listing = lic_transport::list(&args.key, &args.place.network(), Duration::from_secs_f64(args.time), !args.no_format)?;
    if let Some(trouble) = listing.trouble.filter(|_| !listing.connected) {
        return Err(trouble.into());
    }
    if args.json {
        let all: Vec<_> = listing.streams.iter().map(json).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else if listing.streams.is_empty() {
        eprintln!("lic: no stream on {} (of another machine: --connect tcp/HOST:7447)", args.key);
    } else {
        let width = listing.streams.iter().map(|s| s.key.chars().count()).max().unwrap_or(0);
        for s in &listing.streams {
            let receivers = if s.receivers == 1 { "1 receiver".into() } else { format!("{} receivers", s.receivers) };
            println!("{:width$}  {}  {receivers}", s.key, format(s));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The host's part of a key of the usual form.
fn host(key: &str) -> Option<&str> {
    key.strip_prefix("lic/")?.split_once('/').map(|(host, _)| host)
}

fn json(s: &Listed) -> serde_json::Value {
    serde_json::json!({
        "key": s.key, "host": host(&s.key), "stream": format!("{:016x}", s.stream), "receivers": s.receivers, "caps": s.caps,
    })
}

/// Caps in a few words.
fn format(s: &Listed) -> String {
    let Some(text) = &s.caps else { return "format unknown".into() };
    let parsed = text.parse::<gst::Caps>().ok();
    let Some(c) = parsed.as_ref().and_then(|c| c.structure(0)) else { return text.clone() };
    let kind = c.name().trim_start_matches("video/x-").trim_start_matches("image/");
    let size = c.get::<i32>("width").ok().zip(c.get::<i32>("height").ok()).map(|(w, h)| format!(" {w}x{h}")).unwrap_or_default();
    let rate = c.get::<gst::Fraction>("framerate").ok().filter(|f| f.numer() > 0);
    let rate = rate.map(|f| format!(" {:.4} frames/s", f.numer() as f64 / f.denom() as f64)).unwrap_or_default();
    // 30.0000 is 30.
    let rate = rate.replace(".0000 ", " ");
    format!("{kind}{size}{rate}")
}
