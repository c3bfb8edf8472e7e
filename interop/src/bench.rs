//! Ratios: our verbs against the same work done by others, both sides in one go on one machine.
//!
//! Absolute times say little about anybody else's machine, so most bars are ratios of medians. A module per
//! family of rows says what is measured; `runner` starts the processes and counts, `lab` has the data, and
//! `document` writes docs/benchmarks.md. It works on Linux, whose kernel counts what a process used.

mod appends;
mod clustering;
mod compaction;
mod document;
mod graph;
mod lab;
mod many_versions;
mod planning;
mod rounds;
mod runner;
mod triggers;
mod unchanged;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xtask::cargo;

use crate::suites;
use document::Row;
use lab::Lab;

/// Where the rows are kept, from the root.
const DOCUMENT: &str = "docs/benchmarks.md";
/// With fewer runs a median says little.
const LEAST_RUNS: usize = 5;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure [default: everything]
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<Work>,
    /// Measured runs of each side; with fewer than 5 the document stays as it is
    #[arg(long, default_value_t = LEAST_RUNS, value_name = "N")]
    runs: usize,
    /// Where the clients and the data are kept, as for `interop`
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Measure this binary instead of building one with the release profile
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Take a debug build, too; the document stays as it is
    #[arg(long)]
    allow_debug: bool,
    /// Make the data so much smaller, to work on the bench itself; the document stays as it is
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    scale: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
enum Work {
    /// Compaction of 1 GB against pylance, LanceDB and cp
    P1,
    /// Compaction of 2,000 small fragments, a scan afterwards, and a table with indexes
    P2,
    /// Tables along a curve against delta-rs
    P3,
    /// A sorted table against duckdb
    P4,
    /// What queries touch of a table along a curve, and what a small append costs
    P5,
    /// A writer beside an optimize
    P7,
    /// A second optimize of an unchanged database
    P8,
    /// Cleanup of 2,000 versions against pylance
    P9,
    /// Rows of 1 MB under a limit of memory
    P10,
    /// Many rounds in one process
    P11,
    /// From a reason for a job to its first read, beside a watcher
    P12,
    /// A graph of 20 tables against omnigraph
    P13,
    /// The plan of a million fragments
    P14,
    /// The client's queries after either side's maintenance
    P15,
}

impl Work {
    fn measure(self, lab: &Lab) -> Result<Vec<Row>> {
        match self {
            Self::P1 => compaction::large(lab),
            Self::P2 => {
                let mut rows = compaction::many_small(lab)?;
                rows.extend(compaction::indexed(lab)?);
                Ok(rows)
            }
            Self::P3 => clustering::curves(lab),
            Self::P4 => clustering::sorted(lab),
            Self::P5 => clustering::touched(lab),
            Self::P7 => appends::measure(lab),
            Self::P8 => unchanged::measure(lab),
            Self::P9 => many_versions::measure(lab),
            Self::P10 => compaction::wide(lab),
            Self::P11 => rounds::measure(lab),
            Self::P12 => triggers::measure(lab),
            Self::P13 => graph::maintain(lab),
            Self::P14 => planning::measure(lab),
            Self::P15 => graph::query(lab),
        }
    }
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "no runs, no figures");
    ensure!(args.scale > 0.0 && args.scale <= 1.0, "the scale is a share: above 0, at most 1");
    let binary = match &args.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => cargo::build_released(root)?,
    };
    let is_debug = lab::is_debug_build(&binary)?;
    ensure!(!is_debug || args.allow_debug, "{} is a debug build", binary.display());
    let cache = suites::cache(root, args.cache.as_deref())?;
    let python = suites::python(root, args.cache.as_deref())?;
    let mut lab = Lab::new(root, &cache, binary, python, suites::newest_omnigraph(&cache))?;
    (lab.runs, lab.scale) = (args.runs, args.scale);

    let remark = match (is_debug, args.scale < 1.0) {
        (true, _) => Some("a debug build, whose figures mean nothing"),
        (false, true) => Some("less data than the bars are about"),
        (false, false) => None,
    };
    let is_kept = remark.is_none() && args.runs >= LEAST_RUNS;
    let conditions = document::conditions(root, args.runs, remark)?;
    let every: &[Work] = clap::ValueEnum::value_variants();
    for work in every.iter().filter(|work| args.only.is_empty() || args.only.contains(work)) {
        let rows = work.measure(&lab)?;
        let sections = document::sections(&rows, &conditions);
        println!("{}", sections.join("\n"));
        // After every row: what was measured is not lost when a later one fails.
        if is_kept {
            let file = root.join(DOCUMENT);
            let old = fs::read_to_string(&file).unwrap_or_default();
            fs::write(&file, document::updated(&old, &sections))
                .with_context(|| format!("failed to write {DOCUMENT}"))?;
        }
    }
    Ok(())
}
