use super::Error;
use std::process::ExitCode;

/// Turn recordings into .lic, MCAP, Matroska, MP4 or JPEG files.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Error> {
    Err(Error::from("not written yet"))
}
