use super::{Error, FAILED};
use crate::batch::{self, Batch};
use crate::inputs;
use crate::transcode::{Coder, To};
use std::path::PathBuf;
use std::process::ExitCode;

/// Turn recordings into .lic, MCAP, MP4, Matroska or JPEG files.
///
/// Inputs are video files of any kind that GStreamer opens, .lic files, MCAP files and ROS 2 bags of them, folders of JPEG or PNG pictures, or folders of all of these. Each
/// becomes one output of the same name in the folder --out, which gets its name only when it is whole. Inputs are only read.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic transcode drive.mp4 --to lic --out drive.lic
  lic transcode recordings/ --to lic --out archive/ --jobs 2 --resume
  lic transcode drive.lic --to jpeg --out frames/
  lic transcode lite.lic --to jpeg --task classification --out frames/     for networks; of --model lite
  lic transcode drive.lic --to mp4 --out drive.mp4
  lic transcode bag.mcap --to mcap --out small.mcap        cameras on TOPIC/lic, other topics untouched
  lic transcode small.mcap --to mcap --images jpeg --out readable.mcap
  lic transcode bag.mcap --to lic --topic /camera/image_raw/compressed --out camera.lic
  lic transcode drive.mp4 --to lic --target-size 20M --out small.lic

A batch goes on when an input is broken: what failed is listed at the end, and the exit status is 1. After an interruption the same command
with --resume does what is missing; the outputs are the same, byte for byte, as if nothing had happened.")]
pub struct Args {
    /// Files and folders
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    #[arg(long)]
    to: To,
    /// A folder or, for one input, a file
    #[arg(long, short)]
    out: PathBuf,
    #[command(flatten)]
    coder: Coder,
    /// Inputs at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    jobs: u32,
    /// Keep what an interrupted run has finished
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Write outputs anew that are there
    #[arg(long)]
    overwrite: bool,
    /// One JSON document about all of it on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(mut args: Args) -> Result<ExitCode, Error> {
    let mut inputs = inputs::find(&args.inputs)?;
    if args.to != To::Mcap {
        inputs = inputs::by_topic(inputs, &args.coder.topics)?;
    }
    let targets = inputs::targets(&inputs, &args.out, args.to.ending())?;
    if !args.resume
        && !args.overwrite
        && let Some(there) = targets.iter().find(|t| t.exists())
    {
        return Err(format!("{} is there already: --resume keeps what is finished, --overwrite writes it anew", there.display()).into());
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    args.coder.threads.get_or_insert((cores / args.jobs).max(1));
    let batch = Batch { to: args.to, coder: args.coder, resume: args.resume, jobs: args.jobs as usize };
    let report = batch::run(&batch, inputs.into_iter().zip(targets).collect());
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.say();
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
