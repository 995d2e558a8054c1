use super::Error;
use std::io;
use std::process::ExitCode;

/// Print the completions of a shell: `lic completions bash > ~/.local/share/bash-completion/completions/lic`.
#[derive(clap::Args)]
pub struct Args {
    shell: clap_complete::Shell,
}

pub fn run(args: Args, mut command: clap::Command) -> Result<ExitCode, Error> {
    clap_complete::generate(args.shell, &mut command, "lic", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}
