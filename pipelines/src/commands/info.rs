use super::Error;
use std::process::ExitCode;

/// Say what a file holds: streams, packs, sizes, damage.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Error> {
    Err(Error::from("not written yet"))
}
