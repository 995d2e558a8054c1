use super::Error;
use std::process::ExitCode;

/// Print the completions of a shell: `lic completions bash > ~/.local/share/bash-completion/completions/lic`.
#[derive(clap::Args)]
pub struct Args {
    shell: clap_complete::Shell,
}

pub fn run(args: Args, mut command: clap::Command) -> Result<ExitCode, Error> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lic", &mut text);
    print!("{}", String::from_utf8_lossy(&text));
    Ok(ExitCode::SUCCESS)
}
