//! The project's own commands: `cargo xtask build | test | ci | tidy | demo | bench | interop`.
//!
//! Nothing here is shipped. What a check means is written in the module of that check.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool speaks to the terminal it was started from"
)]

mod archive;
mod bench;
mod cargo;
mod ci;
mod demo;
mod interop;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, check and try Lancekeeper")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the workspace, with the bundled protoc if PROTOC is not set
    Build {
        /// Passed on to `cargo build`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every test, those of the failpoints too
    Test {
        /// Passed on to `cargo nextest run`, or to `cargo test` where nextest is missing
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run everything a change must pass, and stop at the first failure
    Ci,
    /// Check what neither rustc nor clippy checks: arrows, names, sizes, catalogues
    Tidy,
    /// Optimize a small graph before your eyes
    Demo,
    /// Measure our verbs against others' on the same work
    Bench(bench::Args),
    /// Let the real clients read and write what we optimized
    Interop(interop::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().command, &root()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, root: &Path) -> Result<()> {
    match command {
        Command::Build { args } => cargo::build(root, &args),
        Command::Test { args } => cargo::test(root, &args),
        Command::Ci => ci::run(root),
        Command::Tidy => tidy::run(root),
        Command::Demo => demo::run(root),
        Command::Bench(args) => bench::run(root, &args),
        Command::Interop(args) => interop::run(root, &args),
    }
}

fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the workspace").to_owned()
}
