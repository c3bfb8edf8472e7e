//! Ratios: a verb of ours against the same work done by others, both sides in one run on one machine.
//!
//! Absolute times say little about anybody else's machine, so a bar is a ratio of medians. Sides take
//! turns in going first, each run is a process of its own on a fresh copy, and the copy has just been
//! written, so both find it in memory. What each side left is compared with what was asked.

mod many_versions;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::cargo;

use crate::suites;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_enum)]
    work: Work,
    /// Measured runs of each side; one more before them is not counted
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Where the clients are kept, as for `interop`
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Measure this binary instead of building one with the release profile
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Work {
    /// Cleanup of 2,000 versions of up to 2,000 fragments against pylance
    P9,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    ensure!(args.rounds > 0, "no rounds, no figures");
    let binary = match &args.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => cargo::build_released(root)?,
    };
    let python = suites::python(root, args.cache.as_deref())?;
    let sides = match args.work {
        Work::P9 => many_versions::measure(&binary, &python, args.rounds)?,
    };
    print!("{sides}");
    Ok(())
}

/// What both sides took.
struct Sides {
    /// What was done.
    work: String,
    /// The largest ratio of medians that passes.
    bar: f64,
    /// Ours, whole process.
    ours: Vec<Duration>,
    /// The other's: only the call.
    theirs: Vec<Duration>,
}

impl std::fmt::Display for Sides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (ours, theirs) = (median(&self.ours), median(&self.theirs));
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let verdict = if ratio <= self.bar { "reached" } else { "missed" };
        writeln!(f, "{}", self.work)?;
        writeln!(f, "  ours   {}", runs(&self.ours))?;
        writeln!(f, "  theirs {}", runs(&self.theirs))?;
        writeln!(f, "  ratio of medians {ratio:.2}, bar {:.2}: {verdict}", self.bar)
    }
}

fn runs(times: &[Duration]) -> String {
    let each: Vec<String> = times.iter().map(|time| format!("{:.2}", time.as_secs_f64())).collect();
    format!("median {:.2} s of {}", median(times).as_secs_f64(), each.join(" "))
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// Copies a directory with all that is below it and when each file was written: cleaners ask that.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("failed to create {}", to.display()))?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
            let written = entry.metadata()?.modified()?;
            std::fs::File::options().write(true).open(&target)?.set_modified(written)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_the_bar_is_said_to_be_missed() {
        let seconds = |times: &[u64]| times.iter().map(|s| Duration::from_secs(*s)).collect();
        let sides = |ours: &[u64]| Sides {
            work: "work".to_owned(),
            bar: 0.5,
            ours: seconds(ours),
            theirs: seconds(&[4, 100, 3]),
        };
        assert!(
            sides(&[9, 1, 2]).to_string().ends_with("ratio of medians 0.50, bar 0.50: reached\n")
        );
        assert!(
            sides(&[9, 1, 3]).to_string().ends_with("ratio of medians 0.75, bar 0.50: missed\n")
        );
    }
}
