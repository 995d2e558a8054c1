use super::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the man pages, one a subcommand, into a folder.
#[derive(clap::Args)]
pub struct Args {
    folder: PathBuf,
}

pub fn run(args: Args, command: clap::Command) -> Result<ExitCode, Error> {
    clap_mangen::generate_to(command, &args.folder)?;
    Ok(ExitCode::SUCCESS)
}
