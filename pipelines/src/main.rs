//! The `lic` command. Each subcommand is a module of [`commands`]: its arguments and its `run`.

mod bag;
mod batch;
mod commands;
mod inputs;
mod live;
mod measure;
mod media;
mod metrics;
mod network;
mod outlet;
mod output;
mod plot;
mod probe;
mod recording;
mod stop;
mod survey;
mod transcode;

use clap::{CommandFactory, Parser, Subcommand};
use commands::{bench, compare, completions, doctor, info, list, man, models, receive, send, verify};
use std::process::ExitCode;

const AFTER: &str = "First steps:
  lic doctor                                          is everything here?
  lic transcode drive.mp4 --to lic --out drive.lic    a recording, small
  lic compare drive.mp4 drive.lic                     what it cost
  lic send                                            the camera, live
  lic receive                                         on the same machine: a window
  lic help send                                       every subcommand has examples

Exit status: 0 done, 1 something failed (said on standard error), 2 wrong arguments. With --json standard output holds one JSON document
(one object a line: lic receive) and nothing else.";

#[derive(Parser)]
#[command(
    name = "lic",
    version,
    about = "Learned video compression for robots: recorded footage and live streams",
    propagate_version = true,
    after_help = AFTER
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

/// Whoever reads our output may have had enough (`lic list | head -1`): then println! panics, and that is the end, without a word.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str().is_some_and(|s| s.starts_with("failed printing to stdout")) {
            std::process::exit(0);
        }
        usual(info);
    }));
}

fn main() -> ExitCode {
    end_with_the_reader();
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
