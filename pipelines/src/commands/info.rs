use super::{Error, FAILED};
use crate::output::Output;
use crate::survey::{Survey, survey};
use indicatif::HumanBytes;
use lic_container::lic::{Clock, Reader};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say what .lic files hold: streams, packs, sizes, rate over time, damage.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic info drive.lic
  lic info --reindex cut.lic     a file that a crash or a filesink left without an index gets one, and loses what is damaged")]
pub struct Args {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the index anew, by reading all frames
    #[arg(long)]
    reindex: bool,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    let mut failed = false;
    let mut all = Vec::new();
    for file in &args.files {
        if args.reindex {
            reindex(file)?;
        }
        match survey(file) {
            Ok(s) => all.push(s),
            Err(e) => {
                eprintln!("lic: {e}");
                failed = true;
            }
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        all.iter().for_each(say);
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn say(s: &Survey) {
    let kbit = if s.seconds > 0.0 { s.bytes as f64 * 0.008 / s.seconds } else { 0.0 };
    println!("{}: {} in {:.3} s, {kbit:.0} kbit/s", s.file.display(), HumanBytes(s.bytes), s.seconds);
    for stream in &s.streams {
        let known = if stream.known { "" } else { ", which is not here" };
        println!(
            "  from frame {}: {}x{}, {} frames/s, pack {} ({}){known}",
            stream.from, stream.width, stream.height, stream.frame_rate, stream.pack, stream.pack_id
        );
    }
    let index = if s.indexed { "indexed" } else { "no index (lic info --reindex writes one)" };
    let times = if s.timed { "times of their own" } else { "times by the frame rate" };
    println!(
        "  {} frames, {} of them key frames, at most {} from one to the next; {times}; {index}",
        s.frames, s.key_frames, s.longest_group
    );
    let most = s.rate.iter().copied().fold(0.0, f64::max);
    let bars: String =
        s.rate.iter().map(|r| ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][((r / most.max(1e-9) * 7.99) as usize).min(7)]).collect();
    println!("  {bars} up to {most:.0} kbit/s");
    s.notes.iter().for_each(|(k, v)| println!("  {k}: {v}"));
    s.damage.iter().for_each(|d| println!("  damaged: {d}"));
}

/// Writes the whole frames of a file and their index in its place.
fn reindex(path: &Path) -> Result<(), Error> {
    let at = |e: &dyn std::fmt::Display| Error::from(format!("{}: {e}", path.display()));
    let mut reader = Reader::open(File::open(path).map_err(|e| at(&e))?).map_err(|e| at(&e))?;
    let output = Output::begin(path)?;
    let mut to = File::create(output.part()).map_err(|e| at(&e))?;
    let mut index = reader.index().clone();
    let mut frames = reader.frames(0).map_err(|e| at(&e))?;
    (index.end, index.groups) = (0, Vec::new());
    let mut clock = Clock::default();
    while let Some(f) = frames.next().map_err(|e| at(&e))? {
        index.take(&f.header, clock.time(&f.header, f.time), f.data.len() as u64);
        io::Write::write_all(&mut to, &f.data).map_err(|e| at(&e))?;
    }
    io::Write::write_all(&mut to, &index.to_bytes()).map_err(|e| at(&e))?;
    output.finish()
}
