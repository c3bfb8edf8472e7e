//! P3 to P6: tables are laid out by ours, by delta-rs and by duckdb; which share of its fragments a query
//! touches then, and what a small append costs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::document::Row;
use super::lab::{Facts, Lab};
use super::runner::{Side, one, take_turns};

/// Fragments of the table whose boxes are measured, by its rows.
const FRAGMENTS: usize = 60;

/// P3.
pub(super) fn curves(lab: &Lab) -> Result<Vec<Row>> {
    let rows = lab.scaled(100_000);
    let made = lab.tables("points", 10, rows)?;
    let (table, delta) = (made.join("table.lance"), made.join("delta"));
    let before = lab.facts(&table)?;
    let mut all = Vec::new();
    for curve in ["zorder", "hilbert"] {
        let layout = format!("{curve}:a,b");
        let words = ["optimize", "--layout", &layout];
        let same = |_: &_| expect_same_rows(lab.facts(&lab.copy_of(&table))?, before);
        let theirs =
            lab.peer_side(&delta, "delta_z_order", "deltalake", "optimize.z_order(['a', 'b'])")?;
        let sides =
            [lab.our_side(&table, &words).checked_by(same), theirs.counted_by_call().at_most(0.4)];
        let work = format!("lay out 10 fragments of {rows} rows along a curve ({curve})");
        let mut row = Row::new("P3", work);
        row.lines = take_turns(lab, &sides)?;
        all.push(row);
    }
    Ok(all)
}

/// P4.
pub(super) fn sorted(lab: &Lab) -> Result<Vec<Row>> {
    let rows = lab.scaled(1_000_000);
    let made = lab.tables("sortable", 10, rows)?;
    let table = made.join("table.lance");
    let before = lab.facts(&table)?;
    let words = ["optimize", "--layout", "sort:k", "--memory-limit", "1GiB"];
    let out = lab.work().join("sorted.parquet");
    let theirs = Side::new("duckdb `copy (select * … order by k)` under 1 GB", || {
        let mut command = lab.peer("duckdb_sort", &made.join("parquet"));
        command.arg(&out);
        command
    });
    let check = |_: &_| {
        expect_same_rows(lab.facts(&lab.copy_of(&table))?, before)?;
        let report = lab.table_report(&lab.copy_of(&table), &["is_sorted"])?;
        ensure!(report["is_sorted"] == true, "the rows are not in order");
        Ok(())
    };
    let sides = [lab.our_side(&table, &words).checked_by(check), theirs.at_most(1.2)];
    let mut row = Row::new("P4", format!("sort 10 fragments of {rows} rows by a number"));
    row.lines = take_turns(lab, &sides)?;
    row.bar_of_memory(1024.0);
    Ok(vec![row, queried(lab, &table)?])
}

/// What LanceDB reads of the table for a range of 1 % of the column, before and after.
fn queried(lab: &Lab, table: &Path) -> Result<Row> {
    let before = lab.table_report(table, &["query"])?;
    let after = lab.table_report(&lab.copy_of(table), &["query"])?;
    let figure = |report: &Value, what: &str| {
        report["query"][what].as_f64().with_context(|| format!("no {what} of a query in {report}"))
    };
    let mut row = Row::new("P4 queries", "LanceDB reads 1 % of the rows by a range of the column");
    let share = figure(&after, "bytes")? / figure(&before, "bytes")?;
    row.bar("bytes read after, as a share of those before", share, 0.05, "");
    for (when, report) in [("before", &before), ("after", &after)] {
        let (bytes, calls, seconds) =
            (figure(report, "bytes")?, figure(report, "calls")?, figure(report, "seconds")?);
        let mib = bytes / 1_048_576.0;
        row.notes
            .push(format!("{when}: {mib:.1} MiB in {calls:.0} calls, {:.0} ms", seconds * 1000.0));
    }
    Ok(row)
}

/// P5 and P6.
pub(super) fn touched(lab: &Lab) -> Result<Vec<Row>> {
    let rows = lab.scaled(60_000);
    let table = lab.tables("points", 10, rows)?.join("table.lance");
    let target = (rows * 10 / FRAGMENTS).to_string();
    let mut all = Vec::new();
    for (layout, range, cell) in [("hilbert:a,b", 0.2, 0.08), ("zorder:a,b", 0.3, 0.1)] {
        let words = ["optimize", "--layout", layout, "--target-rows", &target];
        let side = lab.our_side(&table, &words);
        one(lab, &side)?;
        let place = lab.copy_of(&table);
        let seen = lab.table_report(&place, &["touched"])?;
        let mut row = Row::new("P5", format!("{layout}: {FRAGMENTS} fragments of {target} rows"));
        row.bar("ranges of 1 % of a", share(&seen, "a")?, range, "");
        row.bar("ranges of 1 % of b", share(&seen, "b")?, range, "");
        row.bar("boxes of 10 % × 10 %", share(&seen, "boxes")?, cell, "");
        all.push(row);

        let mut again = Command::new(&lab.python);
        again.arg(lab.script("tables")).arg("more_points").arg(&place);
        xtask::cargo::output(again.args(["1".to_owned(), (rows / 10).to_string()]))?;
        let files = lab.table_report(&place, &["files"])?;
        let mut command = lab.ours("optimize");
        xtask::cargo::output(command.args(["--target-rows", &target]).arg(&place))?;
        let after = lab.table_report(&place, &["touched"])?;
        let written = written_since(&files, &lab.table_report(&place, &["files"])?)?;
        let mut row =
            Row::new("P6", format!("{layout}: the same after 1 % more rows were appended"));
        row.bar("bytes rewritten, as a share of the table", written, 0.05, "");
        row.bar("boxes of 10 % × 10 %", share(&after, "boxes")?, cell * 1.25, "");
        all.push(row);
    }
    all.push(shapes(lab)?);
    Ok(all)
}

/// Columns of the shapes that decide whether a layout is of use.
fn shapes(lab: &Lab) -> Result<Row> {
    let rows = lab.scaled(300_000);
    let mut script = Command::new(&lab.python);
    script.arg(lab.script("shapes")).arg(&lab.binary).arg(lab.work()).arg(rows.to_string());
    let report: Value = serde_json::from_str(&xtask::cargo::output(&mut script)?)?;
    let work = format!("{rows} rows of five shapes in {FRAGMENTS} fragments: shares touched");
    let mut row = Row::new("P5 shapes", work);
    row.notes
        .push("Each: ranges of 1 % of a, ranges of 1 % of b, boxes of 10 % × 10 %.".to_owned());
    for (shape, layouts) in report.as_object().context("no shapes")? {
        let percent =
            |share: &Value| format!("{:.1} %", share.as_f64().unwrap_or(f64::NAN) * 100.0);
        let told = layouts.as_object().into_iter().flatten().map(|(layout, shares)| {
            let shares: Vec<String> =
                shares.as_array().into_iter().flatten().map(percent).collect();
            format!("`{layout}` {}", shares.join(", "))
        });
        row.notes.push(format!("{shape}: {}", told.collect::<Vec<_>>().join("; ")));
    }
    Ok(row)
}

fn share(report: &Value, what: &str) -> Result<f64> {
    report["touched"][what].as_f64().with_context(|| format!("no share of {what} in {report}"))
}

/// The share of a table's bytes that lie in files which were not there before.
fn written_since(before: &Value, after: &Value) -> Result<f64> {
    let files = |report: &Value| report["files"].as_object().cloned().context("no files");
    let (before, after) = (files(before)?, files(after)?);
    let bytes = |size: &Value| size.as_f64().unwrap_or_default();
    let new = after.iter().filter(|(path, _)| !before.contains_key(*path));
    let new: f64 = new.map(|(_, size)| bytes(size)).sum();
    Ok(new / before.values().map(bytes).sum::<f64>())
}

fn expect_same_rows(after: Facts, before: Facts) -> Result<()> {
    let is_same = (after.rows, after.checksum) == (before.rows, before.checksum);
    ensure!(is_same, "other rows than before: {after:?}, not {before:?}");
    Ok(())
}
