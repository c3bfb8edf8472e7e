//! P11: one process that optimizes 8 tables beside many rounds of appends and merges does not grow.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::archive;

use super::document::Row;
use super::lab::Lab;

const TABLES: usize = 8;
const ROUNDS: usize = 97;

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let rounds = lab.scaled(ROUNDS);
    let place = lab.work().join("rounds");
    archive::remove(&place)?;
    std::fs::create_dir(&place)?;
    let mut script = Command::new(&lab.python);
    script.arg(lab.script("rounds")).arg(&lab.binary).arg(&place);
    script.args([TABLES, rounds].map(|number| number.to_string()));
    let said: Value = serde_json::from_str(&xtask::cargo::output(&mut script)?)?;
    ensure!(said["is_whole"] == true, "rows were lost or doubled: {said}");
    ensure!(said["code"] == 0, "the watcher ended badly: {said}");
    let figure = |name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));

    let work = format!(
        "{rounds} rounds of append and merge on {TABLES} tables beside `lancekeeper watch`"
    );
    let mut row = Row::new("P11", work);
    row.bar("memory before the first round", figure("idle")?, 50.0, " MiB");
    row.bar("peak memory", figure("peak")?, 1024.0, " MiB");
    row.bar("memory 30 s after the last round", figure("rest")?, 300.0, " MiB");
    let growth = figure("second_half")? / figure("first_half")?;
    row.bar("memory in the second half of the rounds, of that from round 10 on", growth, 1.1, " ×");
    row.notes.push(format!("Fragments of a table, at most: {}.", figure("fragments")?));
    Ok(vec![row])
}
