//! P8: a database of 200 tables that was optimized already is optimized once more.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xtask::cargo::output;

use super::document::{Line, Row};
use super::lab::{Lab, committed, files, warm};
use super::runner::{Run, Side, median, take_turns};

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let tables = lab.scaled(200);
    let database = lab.fresh(&lab.tables("database", tables, 10)?)?;
    output(lab.ours("optimize").arg(&database))?;
    let before = table_files(&database)?;
    let check = |_: &Run| -> Result<()> {
        ensure!(table_files(&database)? == before, "something was written or deleted");
        Ok(())
    };
    let ours = Side {
        name: "`lancekeeper optimize`".to_owned(),
        prepare: Box::new(|| warm(&database)),
        command: Box::new(|| {
            let mut command = lab.ours("optimize");
            command.arg(&database);
            command
        }),
        check: Box::new(check),
    };
    let theirs = Side {
        name: format!("{} `compact_files()` of each", lab.package("pylance")?),
        prepare: Box::new(|| warm(&database)),
        command: Box::new(|| lab.peer("reencode_each", &database)),
        check: Box::new(check),
    };
    let names = [ours.name.clone(), theirs.name.clone()];
    let runs = take_turns(lab, &[ours, theirs])?;

    let mut row =
        Row::new("P8", format!("optimize an unchanged database of {tables} tables again"));
    row.lines = names.into_iter().zip(runs).map(|(name, runs)| Line::new(name, runs)).collect();
    let ours = &row.lines[0].runs;
    let (time, commits) =
        (median(ours.iter().map(|run| run.wall)), ours.iter().map(committed).sum::<u64>());
    let calls = ours.last().context("no runs")?.said["totals"]["store_calls"].as_u64();
    row.bar("commits", commits as f64, 0.0, "");
    row.bar("median time", time, 0.1, "s");
    row.notes.extend(calls.map(|calls| format!("Calls to the store: {calls}.")));
    Ok(vec![row])
}

/// The files of the tables; what the keeper notes down for itself lies beside them.
fn table_files(database: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let own = database.join("__maintenance");
    Ok(files(database)?.into_iter().filter(|(file, _)| !file.starts_with(&own)).collect())
}
