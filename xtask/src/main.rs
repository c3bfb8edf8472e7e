//! The project's own commands: `cargo xtask build | install | test | chaos | ci | tidy | demo | bench | interop | soak`.
//!
//! Nothing here is shipped. What a check means is written in the module of that check. `bench`, `interop` and
//! `soak` are the package `interop`, which is built when one of them is asked for.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool speaks to the terminal it was started from"
)]

mod chaos;
mod ci;
mod demo;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::cargo;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, check and try Lancekeeper")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the workspace
    Build {
        /// Passed on to `cargo build`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build the binary as it is shipped and put it where cargo puts binaries
    Install {
        /// Passed on to `cargo install`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every test, those of the failpoints too
    Test {
        /// Passed on to `cargo nextest run`, or to `cargo test` where nextest is missing
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Let verbs, clients and random failpoints loose on a graph and a database, for as long as one likes
    Chaos(chaos::Args),
    /// Run everything a change must pass, and stop at the first failure
    Ci,
    /// Check what neither rustc nor clippy checks: arrows, names, sizes, catalogues
    Tidy,
    /// Optimize a small graph before your eyes
    Demo,
    /// Measure our verbs against others' on the same work
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on, `--help` too
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Let the real clients read and write what we optimized
    #[command(disable_help_flag = true)]
    Interop {
        /// Passed on, `--help` too
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Let the real clients write for minutes beside a watcher
    #[command(disable_help_flag = true)]
    Soak {
        /// Passed on, `--help` too
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
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
        Command::Build { args } => cargo::build(root, &args),
        Command::Install { args } => cargo::install(root, &args),
        Command::Test { args } => cargo::test(root, &args),
        Command::Chaos(args) => chaos::run(root, &args),
        Command::Ci => ci::run(root),
        Command::Tidy => tidy::run(root),
        Command::Demo => demo::run(root),
        Command::Bench { args } => hand_over(root, "bench", &args),
        Command::Interop { args } => hand_over(root, "interop", &args),
        Command::Soak { args } => hand_over(root, "soak", &args),
    }
}

/// Goes on as the other program, whose words and exit code are then all there are.
fn hand_over(root: &Path, command: &str, args: &[String]) -> Result<()> {
    let mut cargo = cargo::cargo(root)?;
    cargo.args(["run", "--quiet", "--package", "lancekeeper-interop", "--", command]).args(args);
    Err(cargo::hand_over(&mut cargo))
}
