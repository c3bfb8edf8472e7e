//! Lancekeeper beside other programs: the suites with real clients, and measurements against others.
//!
//! A package of its own, because only `cargo xtask interop` and `cargo xtask bench` need it, and nothing
//! else should wait until it is built. How cargo is called and where the fixtures lie is in the library
//! of `xtask`; what our own tests show without any client is in `tests`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool speaks to the terminal it was started from"
)]

mod bench;
#[cfg(test)]
mod documented;
mod soak;
mod suites;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

// Named as what people type.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Try Lancekeeper beside others")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure our verbs against others' on the same work
    Bench(bench::Args),
    /// Let the real clients read and write what we optimized
    Interop(suites::Args),
    /// Let the real clients write for minutes beside a watcher
    Soak(soak::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().command, &xtask::root()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, root: &Path) -> Result<()> {
    match command {
        Command::Bench(args) => bench::run(root, &args),
        Command::Interop(args) => suites::run(root, &args),
        Command::Soak(args) => soak::run(root, &args),
    }
}
