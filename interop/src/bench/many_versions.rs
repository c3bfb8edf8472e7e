//! P9: a table that was written in small batches is cleaned up to its newest version.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::cargo::output;

use super::{Sides, copy};

const VERSIONS: usize = 2_000;
const MAKE: &str = include_str!("versions.py");
const CLEAN_UP: &str = include_str!("cleanup.py");
const COUNT: &str = "import lance, sys; print(lance.dataset(sys.argv[1]).count_rows())";
/// Rows of each batch, as in `versions.py`.
const ROWS: usize = 10;

pub(super) fn measure(binary: &Path, python: &Path, rounds: usize) -> Result<Sides> {
    let place = tempfile::tempdir()?;
    let table = place.path().join("table.lance");
    eprintln!("making {VERSIONS} versions");
    output(Command::new(python).args(["-c", MAKE]).arg(&table).arg(VERSIONS.to_string()))?;
    let copied = place.path().join("copy.lance");
    let ours = || -> Result<Duration> {
        fresh(&table, &copied)?;
        let mut command = Command::new(binary);
        command.args(["cleanup", "--keep", "1", "--writer-window", "0s", "--confirm", "--quiet"]);
        let started = Instant::now();
        output(command.arg(&copied))?;
        let took = started.elapsed();
        expect_one_version(python, &copied)?;
        Ok(took)
    };
    let theirs = || -> Result<Duration> {
        fresh(&table, &copied)?;
        let took = output(Command::new(python).args(["-c", CLEAN_UP]).arg(&copied))?;
        expect_one_version(python, &copied)?;
        Ok(Duration::from_secs_f64(took.trim().parse().context("no time")?))
    };
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        eprintln!("round {round} of {rounds}");
        let (one, other) = if round % 2 == 0 {
            let one = ours()?;
            (one, theirs()?)
        } else {
            let other = theirs()?;
            (ours()?, other)
        };
        // The first is for warming up.
        if round > 0 {
            our_times.push(one);
            their_times.push(other);
        }
    }
    Ok(Sides {
        work: format!(
            "cleanup of {VERSIONS} versions of up to {VERSIONS} fragments: `lancekeeper cleanup` (whole process) against pylance `cleanup_old_versions` (the call alone)"
        ),
        bar: 0.5,
        ours: our_times,
        theirs: their_times,
    })
}

fn fresh(table: &Path, copied: &Path) -> Result<()> {
    if copied.exists() {
        fs::remove_dir_all(copied)?;
    }
    copy(table, copied)?;
    // Else whoever makes something durable first pays for our copying.
    output(&mut Command::new("sync")).map(drop)
}

fn expect_one_version(python: &Path, table: &Path) -> Result<()> {
    let count = |directory: &str, extension: &str| -> Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(table.join(directory))? {
            count += usize::from(entry?.path().extension().is_some_and(|e| e == extension));
        }
        Ok(count)
    };
    let (manifests, data) = (count("_versions", "manifest")?, count("data", "lance")?);
    let transactions = count("_transactions", "txn")?;
    ensure!(
        (manifests, data, transactions) == (1, VERSIONS, 1),
        "{manifests} versions, {data} files and {transactions} transactions are left"
    );
    let rows = output(Command::new(python).args(["-c", COUNT]).arg(table))?;
    ensure!(rows.trim() == (VERSIONS * ROWS).to_string(), "{rows} rows are left");
    Ok(())
}
