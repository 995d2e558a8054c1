use super::Error;
use std::process::ExitCode;

/// Measure this machine: speed, CPU time and bytes beside x264, AVIF and JPEG.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Error> {
    Err(Error::from("not written yet"))
}
