//! `linekeep`, the client: asks a linekeep server whether lines are in its lists.

use clap::{Parser, Subcommand};
use linekeep::command::lookup;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "linekeep", version, about = "Ask a linekeep server whether exact lines are in its lists")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Lookup(lookup::Arguments),
}

fn main() -> ExitCode {
    match Program::parse().command {
        Command::Lookup(arguments) => lookup::run(&arguments),
    }
}
