use super::Error;
use std::process::ExitCode;

/// Say what of lic's needs is here, and what to install.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Error> {
    Err(Error::from("not written yet"))
}
