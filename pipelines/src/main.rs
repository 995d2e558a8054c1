//! The `lic` command. Each subcommand is a module of [`commands`]: its arguments and its `run`.

mod bag;
mod batch;
mod commands;
mod inputs;
mod media;
mod output;
mod survey;
mod transcode;

use clap::{CommandFactory, Parser, Subcommand};
use commands::{bench, compare, completions, doctor, info, list, man, models, receive, send, verify};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "lic",
    version,
    about = "Learned video compression for robots: recorded footage and live streams",
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Transcode(commands::transcode::Args),
    Info(info::Args),
    Verify(verify::Args),
    Compare(compare::Args),
    Bench(bench::Args),
    Send(send::Args),
    Receive(receive::Args),
    List(list::Args),
    Models(models::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Transcode(args) => commands::transcode::run(args),
        Command::Info(args) => info::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Send(args) => send::run(args),
        Command::Receive(args) => receive::run(args),
        Command::List(args) => list::run(args),
        Command::Models(args) => models::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::Man(args) => man::run(args, Cli::command()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("lic: {error}");
        ExitCode::from(commands::FAILED)
    })
}
