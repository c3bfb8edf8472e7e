//! The acceptance test: real clients read, write and repair what we optimized.
//!
//! The clients come from their registries and are kept in a cache, because building them takes long.
//! Every check is one row of the table that is printed at the end; a scenario ends at its first failure.

mod answers;
mod clients;
mod databases;
mod fixture_path;
mod graphs;
mod omnigraph;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::{archive, cargo};
use clients::Clients;
use report::Report;

const CACHE_VARIABLE: &str = "LANCEKEEPER_INTEROP_CACHE";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the clients are kept [default: $LANCEKEEPER_INTEROP_CACHE, else target/interop-clients]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Try this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the archives are [default: tests/fixtures]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let keeper = Keeper(match &args.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => cargo::build_lancekeeper(root)?,
    });
    let clients = Clients::install(&cache(root, args)?)?;
    let fixtures = args.fixtures.clone().unwrap_or_else(|| root.join(archive::FIXTURES));
    let mut report = Report::default();
    graphs::run(&mut report, &clients.omnigraph, &keeper, &fixtures)?;
    databases::run(&mut report, &clients.python, &keeper, &fixtures)?;
    println!("\n{report}");
    match report.failed() {
        0 => Ok(()),
        failed => bail!("interop: {failed} checks failed"),
    }
}

fn cache(root: &Path, args: &Args) -> Result<PathBuf> {
    let named = args.cache.clone().or_else(|| std::env::var_os(CACHE_VARIABLE).map(PathBuf::from));
    match named {
        Some(dir) => Ok(std::path::absolute(dir)?),
        None => Ok(cargo::target_directory(root)?.join("interop-clients")),
    }
}

/// The binary under test.
struct Keeper(PathBuf);

impl Keeper {
    fn optimize(&self, root: &Path) -> Result<()> {
        output(Command::new(&self.0).arg("optimize").arg(root)).map(drop)
    }
}

/// What a command printed, or what it said when it failed.
fn output(command: &mut Command) -> Result<String> {
    let line = cargo::command_line(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("failed to start {line}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {}: {}", output.status, said.trim());
    String::from_utf8(output.stdout).with_context(|| format!("{line}: the output is not UTF-8"))
}
