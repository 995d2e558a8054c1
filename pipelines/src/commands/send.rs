use super::Error;
use std::process::ExitCode;

/// Send a camera, a file or a test picture over the network.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Error> {
    Err(Error::from("not written yet"))
}
