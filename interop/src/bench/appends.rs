//! P7: a writer that appends all the time beside an optimize is neither refused nor kept waiting.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::cargo::output;

use super::document::Row;
use super::lab::Lab;
use super::runner::{largest, median};

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let (fragments, rows) = (10, lab.scaled(170_000));
    let table = lab.tables("with_vectors", fragments, rows)?.join("table.lance");
    let (mut alone, mut beside, mut refused) = (Vec::new(), Vec::new(), 0);
    let (mut holds, mut held) = (Value::Null, Vec::new());
    for run in 0..=lab.runs {
        eprintln!("  round {run} of {}", lab.runs);
        let place = lab.fresh(&table)?;
        output(&mut Command::new("sync"))?;
        let mut appender = Command::new(&lab.python);
        appender.arg(lab.script("appender")).arg(&place);
        let optimize = lab.ours("optimize");
        appender.arg(optimize.get_program()).args(optimize.get_args()).arg(&place);
        let said: Value = serde_json::from_str(&output(&mut appender)?)?;
        ensure!(said["is_whole"] == true, "rows were lost or doubled: {said}");
        if run > 0 {
            alone.extend(milliseconds(&said, "alone")?);
            beside.extend(milliseconds(&said, "beside")?);
            refused += said["refused"].as_array().map_or(0, Vec::len);
            holds = found(&said["report"], "queue_holds").cloned().unwrap_or_default();
            held.extend(holds["p999_ms"].as_f64());
        }
    }

    let mut row = Row::new(
        "P7",
        format!(
            "append a row every 20 ms beside `lancekeeper optimize` of the table of P1 ({rows} rows each)"
        ),
    );
    ensure!(!beside.is_empty(), "the optimize ended before anything was appended");
    let middle = |latencies: &[f64]| median(latencies.iter().copied());
    let ratio = middle(&beside) / middle(&alone);
    row.bar("median latency beside ours, of that alone", ratio, 1.5, "×");
    row.bar("longest append beside ours", largest(beside.iter().copied()), 100.0, " ms");
    row.bar("refused appends", f64::from(u32::try_from(refused)?), 0.0, " appends");
    ensure!(held.len() == lab.runs, "a report does not say how long keys of the queue were held");
    let held = largest(held);
    row.bar("a key of our queue held, 999 of 1,000, in the slowest run", held, 50.0, " ms");
    row.notes.push(format!(
        "pylance, alone: {} appends, median {:.1} ms, longest {:.1} ms; beside ours: {}, {:.1} ms, {:.1} ms.",
        alone.len(),
        middle(&alone),
        largest(alone.iter().copied()),
        beside.len(),
        middle(&beside),
        largest(beside.iter().copied())
    ));
    if !holds.is_null() {
        row.notes.push(format!("`queue_holds` of the last run's report: `{holds}`."));
    }
    Ok(vec![row])
}

fn milliseconds(said: &Value, name: &str) -> Result<Vec<f64>> {
    let seconds = said[name].as_array().with_context(|| format!("no latencies {name}"))?;
    Ok(seconds.iter().filter_map(Value::as_f64).map(|seconds| seconds * 1e3).collect())
}

/// The first value of that name, wherever in the report it stands.
fn found<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    match report {
        Value::Object(fields) => {
            fields.get(name).or_else(|| fields.values().find_map(|value| found(value, name)))
        }
        Value::Array(values) => values.iter().find_map(|value| found(value, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_wherever_it_stands() {
        let report = serde_json::json!({ "roots": [{ "a": 1 }, { "queue_holds": { "max": 2 } }] });
        assert_eq!(found(&report, "queue_holds"), Some(&serde_json::json!({ "max": 2 })));
        assert_eq!(found(&report, "b"), None);
    }
}
