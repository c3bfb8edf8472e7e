//! The acceptance test: real clients read, write and repair what we optimized.
//!
//! The clients come from their registries and are kept in a cache, because building them takes long.
//! Every check is one row of the table that is printed at the end; a scenario ends at its first failure.

mod aftermath;
mod answers;
mod between;
mod blobs;
mod branch;
mod changes;
mod cleanup;
mod clients;
mod crash;
mod databases;
mod failpoints;
mod faults;
mod fixture_path;
mod formats;
mod graph;
mod graph_reader;
mod graphs;
mod index_uuids;
mod keeper;
mod killed;
mod kills;
mod layouts;
mod omnigraph;
mod pause;
mod process;
mod race;
mod random;
mod random_tables;
mod relocated;
mod report;
mod staged;
mod traps;
mod watched;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use xtask::cargo::output;
use xtask::{archive, cargo};

use clients::Clients;
pub(crate) use clients::newest_omnigraph;
use keeper::Keeper;
pub(crate) use omnigraph::Omnigraph;
use report::Report;

const CACHE_VARIABLE: &str = "LANCEKEEPER_INTEROP_CACHE";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the clients are kept [default: $LANCEKEEPER_INTEROP_CACHE, else target/interop-clients]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Try this binary instead of building one; all suites but `reads` need one with failpoints
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the archives are [default: tests/fixtures]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Only the omnigraph client of this version
    #[arg(long, value_name = "VERSION")]
    client: Option<String>,
    /// What to try; may be repeated
    #[arg(long, value_enum, default_value = "reads", value_name = "SUITE")]
    suite: Vec<Suite>,
    /// Only this failpoint, of `crash` and `pause`; may be repeated
    #[arg(long, value_name = "NAME")]
    failpoint: Vec<String>,
    /// Only this one of `traps`; may be repeated
    #[arg(long, value_enum, value_name = "TRAP")]
    trap: Vec<traps::Trap>,
    /// Brings the random moments of `crash`, `cleanup` and `traps` and the tables of `faults` back [default:
    /// 1], and the histories of `random` [default: new ones]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many runs `crash` kills at random moments, per client and fixture, and `kills`, per client
    #[arg(long, default_value_t = 50, value_name = "N")]
    kills: usize,
    /// How long `race` and `watch` take, per client, and how long `random` does
    #[arg(long, default_value_t = 5, value_name = "N")]
    minutes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Suite {
    /// What clients read and write before and after our runs
    Reads,
    /// Our runs killed at every failpoint and at random moments; takes long
    Crash,
    /// Our runs paused at every failpoint while a client works; takes long
    Pause,
    /// Our strictest cleanup, whole and killed, and what clients can do afterwards; takes long
    Cleanup,
    /// A client loads beside our runs in a loop while a reader looks on
    Race,
    /// What clients left when they were killed, recovered by us, also when we are killed; graphs at another place
    Recover,
    /// Graphs of old formats, migrated by us, also half-way and back
    Migrate,
    /// Graphs whose edges we give another order
    Layouts,
    /// Our runs killed in a loop while clients write; takes long
    Kills,
    /// What lost data elsewhere: forks, merges, dropped types, links, names, late writers
    Traps,
    /// Tables of the kinds that maintenance tools have failed at, under each of our verbs
    Faults,
    /// A client loads in a loop, alone and beside the watcher, for `--minutes`
    Watch,
    /// The property test of random tables, for `--minutes`; is not one of `all`
    Random,
    /// All of them
    All,
}

/// What every scenario needs.
struct Lab {
    clients: Clients,
    keeper: Keeper,
    fixtures: PathBuf,
    /// The names of all failpoints.
    failpoints: Vec<String>,
}

impl Suite {
    /// Whether it is about graphs, whose clients take long to install.
    fn needs_graph_clients(self) -> bool {
        !matches!(self, Self::Faults | Self::Random)
    }
}

impl Args {
    fn wants(&self, suite: Suite) -> bool {
        let is_all = self.suite.contains(&Suite::All) && suite != Suite::Random;
        is_all || self.suite.contains(&suite)
    }

    /// The seed of what is the same every time unless one asks for something else.
    fn fixed_seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    if args.wants(Suite::Random) {
        random_tables::run(root, args.minutes, args.seed)?;
        if args.suite == [Suite::Random] {
            return Ok(());
        }
    }
    let keeper = Keeper(match &args.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => cargo::build_lancekeeper(root)?,
    });
    let mut report = Report::default();
    let result = run_all(&mut report, root, keeper, args);
    // Whatever stopped us, what was checked until then was checked.
    println!("\n{report}");
    result?;
    match report.failed() {
        0 => Ok(()),
        failed => bail!("interop: {failed} checks failed"),
    }
}

fn run_all(report: &mut Report, root: &Path, keeper: Keeper, args: &Args) -> Result<()> {
    if args.wants(Suite::Faults) {
        let python = python(root, args.cache.as_deref())?;
        faults::run(report, &python, &keeper, args.fixed_seed())?;
    }
    if !args.suite.iter().any(|suite| suite.needs_graph_clients()) {
        return Ok(());
    }
    let clients = Clients::install(&cache(root, args.cache.as_deref())?, args.client.as_deref())?;
    if let Some(version) = &args.client {
        ensure!(!clients.omnigraph.is_empty(), "there is no client of version {version}");
    }
    let lab = Lab {
        clients,
        keeper,
        fixtures: args.fixtures.clone().unwrap_or_else(|| root.join(archive::FIXTURES)),
        failpoints: failpoints(root, args)?,
    };
    run_suites(report, &lab, args)
}

fn run_suites(report: &mut Report, lab: &Lab, args: &Args) -> Result<()> {
    let wanted = |suite| args.wants(suite);
    if wanted(Suite::Reads) {
        graphs::run(report, lab)?;
        changes::run(report, lab)?;
        blobs::run(report, lab)?;
        branch::run(report, lab)?;
        databases::run(report, lab)?;
    }
    if wanted(Suite::Crash) {
        crash::run(report, lab, args)?;
    }
    if wanted(Suite::Pause) {
        staged::run(report, lab)?;
        pause::run(report, lab)?;
    }
    if wanted(Suite::Cleanup) {
        cleanup::run(report, lab, args)?;
    }
    if wanted(Suite::Race) {
        between::run(report, lab)?;
        race::run(report, lab, args)?;
    }
    if wanted(Suite::Watch) {
        watched::run(report, lab, args)?;
    }
    if wanted(Suite::Recover) {
        relocated::run(report, lab)?;
        killed::run(report, lab)?;
    }
    if wanted(Suite::Migrate) {
        formats::run(report, lab)?;
    }
    if wanted(Suite::Layouts) {
        layouts::run(report, lab)?;
    }
    if wanted(Suite::Kills) {
        kills::run(report, lab, args)?;
    }
    if wanted(Suite::Traps) {
        traps::run(report, lab, args)?;
    }
    Ok(())
}

/// Those that were asked for, or all.
fn failpoints(root: &Path, args: &Args) -> Result<Vec<String>> {
    let all = failpoints::names(root)?;
    for name in &args.failpoint {
        ensure!(all.contains(name), "there is no failpoint {name}, but {}", all.join(", "));
    }
    Ok(if args.failpoint.is_empty() { all } else { args.failpoint.clone() })
}

/// A Python with the clients that are libraries.
pub(crate) fn python(root: &Path, cache_given: Option<&Path>) -> Result<PathBuf> {
    clients::install_python(&cache(root, cache_given)?)
}

/// Where the clients are kept.
pub(crate) fn cache(root: &Path, given: Option<&Path>) -> Result<PathBuf> {
    let named =
        given.map(Path::to_owned).or_else(|| std::env::var_os(CACHE_VARIABLE).map(PathBuf::from));
    match named {
        Some(dir) => Ok(std::path::absolute(dir)?),
        None => Ok(cargo::target_directory(root)?.join("interop-clients")),
    }
}
