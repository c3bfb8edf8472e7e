//! P12: how soon a watcher's job reads once there is a reason for it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::archive;

use super::document::Row;
use super::lab::Lab;

const TABLES: usize = 20;
const TRIGGERS: usize = 1_000;

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let triggers = lab.scaled(TRIGGERS);
    let place = lab.work().join("triggers");
    archive::remove(&place)?;
    std::fs::create_dir(&place)?;
    let mut script = Command::new(&lab.python);
    script.arg(lab.script("triggers")).arg(&lab.binary).arg(&place);
    script.args([TABLES, triggers].map(|number| number.to_string()));
    let said: Value = serde_json::from_str(&xtask::cargo::output(&mut script)?)?;
    ensure!(said["is_whole"] == true, "rows were lost or doubled: {said}");
    ensure!(said["code"] == 0, "the watcher ended badly: {said}");
    let reads = waits(&said, "reads")?;
    ensure!(reads.len() == triggers, "{} of {triggers} triggers were answered", reads.len());

    let work = format!(
        "{triggers} appends, each of which makes a job due, to {TABLES} tables beside `lancekeeper watch`"
    );
    let mut row = Row::new("P12", work);
    row.bar(
        "from a trigger to the job's first read of data, 99 of 100",
        percentile(&reads, 0.99),
        100.0,
        " ms",
    );
    let begins = waits(&said, "begins")?;
    row.notes.push(format!(
        "Half of the jobs read within {:.1} ms, the slowest within {:.1} ms; half had begun within {:.1} ms, 99 of 100 within \
         {:.1} ms.",
        percentile(&reads, 0.5),
        percentile(&reads, 1.0),
        percentile(&begins, 0.5),
        percentile(&begins, 0.99),
    ));
    Ok(vec![row])
}

/// Milliseconds, the shortest first.
fn waits(said: &Value, name: &str) -> Result<Vec<f64>> {
    let waits = said[name].as_array().with_context(|| format!("no {name} in {said}"))?;
    let mut waits: Vec<f64> = waits.iter().filter_map(Value::as_f64).collect();
    ensure!(!waits.is_empty(), "nothing of {name}");
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

/// The least value that so large a share of them does not exceed.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    // The counts are small: no precision is lost.
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| percentile(&values, share)),
            [1.0, 100.0, 198.0, 200.0]
        );
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }
}
