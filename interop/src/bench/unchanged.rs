//! P8: a database of 200 tables that was optimized already is optimized once more.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::cargo::output;

use super::document::Row;
use super::lab::{Lab, committed, files, warm};
use super::runner::{Run, take_turns};

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let tables = lab.scaled(200);
    let made = lab.tables("database", tables, 10)?;
    let database = lab.fresh(&made)?;
    output(lab.ours("optimize").arg(&database))?;
    let before = table_files(&database)?;
    let prepare = || warm(&database);
    let check = |_: &Run| {
        ensure!(table_files(&database)? == before, "something was written or deleted");
        Ok(())
    };
    let ours = lab.our_side(&made, &["optimize"]);
    let theirs =
        lab.peer_side(&made, "reencode_each", "pylance", "compact_files()  # of each table")?;
    let sides = [ours, theirs].map(|side| side.prepared_by(prepare).checked_by(check));

    let mut row =
        Row::new("P8", format!("optimize an unchanged database of {tables} tables again"));
    row.lines = take_turns(lab, &sides)?;
    let (time, ours) = (row.lines[0].seconds(), &row.lines[0].runs);
    let commits = ours.iter().map(committed).sum::<u64>();
    row.bar("commits", commits as f64, 0.0, "");
    row.bar("median time", time, 0.1, " s");
    row.notes.push(format!("Requests to the store: {}.", requests(lab, &database)?));
    Ok(vec![row])
}

/// What a run asks of the store, of all kinds. Only who asks for it has them counted.
fn requests(lab: &Lab, database: &Path) -> Result<String> {
    let said: Value = serde_json::from_str(&output(lab.ours("optimize").arg("-v").arg(database))?)?;
    let kinds = said["requests"].as_object().context("the report says no requests")?;
    let counts = kinds.iter().filter(|(_, count)| count.is_u64());
    Ok(counts.map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", "))
}

/// The files of the tables; what the keeper notes down for itself lies beside them.
fn table_files(database: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let own = database.join("__maintenance");
    Ok(files(database)?.into_iter().filter(|(file, _)| !file.starts_with(&own)).collect())
}
