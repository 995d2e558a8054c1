use super::Error;
use std::process::ExitCode;

/// Receive a stream into a window or a file.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Error> {
    Err(Error::from("not written yet"))
}
