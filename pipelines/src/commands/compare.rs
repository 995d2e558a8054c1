use super::Error;
use std::process::ExitCode;

/// Measure two recordings against each other: PSNR, MS-SSIM, bytes.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Error> {
    Err(Error::from("not written yet"))
}
