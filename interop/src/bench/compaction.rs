//! P1, P2 and P10: tables are compacted by ours, by pylance in both of its modes, by LanceDB, and by `cp`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::archive;

use super::document::Row;
use super::lab::{Lab, warm};
use super::runner::{Side, largest, one, take_turns};

const COPY_PAGES: &str = "compact_files(compaction_mode=\"try_binary_copy\")";

/// P1.
pub(super) fn large(lab: &Lab) -> Result<Vec<Row>> {
    let rows = lab.scaled(170_000);
    let table = lab.tables("with_vectors", 10, rows)?.join("table.lance");
    let before = lab.facts(&table)?;
    let copied = lab.work().join("plain-copy");
    // What no compaction that reads every byte and makes it durable can be much below.
    let plain = Side::new("`cp -r` and `sync`", || {
        let mut command = Command::new("sh");
        command.args(["-c", "cp -r \"$1\" \"$2\" && sync", "sh"]);
        command.arg(table.join("data")).arg(&copied);
        command
    });
    let sides = [
        lab.our_side(&table, &["optimize"]).checked_by(|_| lab.expect_compact(&table, before, 2)),
        lab.peer_side(&table, "reencode", "pylance", "compact_files()")?.at_most(0.28),
        lab.peer_side(&table, "copy_pages", "pylance", COPY_PAGES)?.at_most(0.5),
        lab.peer_side(&table, "lancedb_optimize", "lancedb", "optimize()")?.at_most(0.2),
        plain.prepared_by(|| archive::remove(&copied).and_then(|()| warm(&table))).at_most(1.2),
    ];
    let mut row = Row::new(
        "P1",
        format!("compact 10 fragments of {rows} rows (text, numbers, 128-d vectors)"),
    );
    row.lines = take_turns(lab, &sides)?;
    // A bar is about the slowest of 20; the others have run often enough.
    let ours = &mut row.lines[0].runs;
    while ours.len() < 4 * lab.runs {
        ours.push(one(lab, &sides[0])?);
    }
    let (count, slowest) = (ours.len(), largest(ours.iter().map(|run| run.wall)));
    row.notes.push(
        "Only `cp` and `sync` waits for the disk: Lance makes no file durable before it commits, so neither do its clients, nor we."
            .to_owned(),
    );
    row.bar_of_memory(250.0);
    row.bar(format!("slowest of {count} runs"), slowest, 5.0, " s");
    Ok(vec![row])
}

/// P2: the compaction, and a scan of what it made.
pub(super) fn many_small(lab: &Lab) -> Result<Vec<Row>> {
    let fragments = lab.scaled(2_000);
    let made = lab.tables("small", fragments, 500)?;
    let (table, written) = (made.join("table.lance"), made.join("fresh.lance"));
    let before = lab.facts(&table)?;
    let sides = [
        lab.our_side(&table, &["optimize"]).checked_by(|_| lab.expect_compact(&table, before, 1)),
        lab.peer_side(&table, "reencode", "pylance", "compact_files()")?.at_most(0.7),
        lab.peer_side(&table, "copy_pages", "pylance", COPY_PAGES)?.at_most(0.7),
    ];
    let work = format!("compact {fragments} fragments of 500 rows (text, numbers)");
    let mut compaction = Row::new("P2", work);
    compaction.lines = take_turns(lab, &sides)?;

    // What the last run left may be a peer's.
    one(lab, &sides[0])?;
    let compacted = lab.copy_of(&table);
    let scan = |name: &str, table: &'_ Path| {
        let (warmed, table) = (table.to_owned(), table.to_owned());
        Side::new(name, move || lab.peer("scan", &table))
            .prepared_by(move || warm(&warmed))
            .counted_by_call()
    };
    let sides = [
        scan("scan of what ours left", &compacted),
        scan("scan of the same rows written at once", &written).at_most(1.1),
    ];
    let mut scans = Row::new("P2 scan", "pylance scans all columns after that compaction");
    scans.lines = take_turns(lab, &sides)?;
    Ok(vec![compaction, scans])
}

/// P2, of a table with indexes: a large fragment that four of them cover, and small ones that none does.
pub(super) fn indexed(lab: &Lab) -> Result<Vec<Row>> {
    let fragments = 1 + lab.scaled(200);
    let table = lab.tables("indexed", fragments, 100)?.join("table.lance");
    let before = lab.facts(&table)?;
    let sides = [
        lab.our_side(&table, &["optimize"]).checked_by(|_| lab.expect_compact(&table, before, 2)),
        lab.peer_side(&table, "lancedb_optimize", "lancedb", "optimize()")?.at_most(0.3),
    ];
    let kinds = "IVF_PQ, full-text, B-tree and bitmap indexes";
    let work = format!("optimize {} rows in {fragments} fragments with {kinds}", before.rows);
    let mut row = Row::new("P2 indexed", work);
    row.lines = take_turns(lab, &sides)?;

    let answers = |side: &Side<'_>| -> Result<(f64, f64)> {
        one(lab, side)?;
        let report = lab.table_report(&lab.copy_of(&table), &["recall"])?;
        ensure!(report["indexes"] == 4, "an index is missing after {}", side.name);
        let figure = |name: &str| report[name].as_f64().with_context(|| format!("no {name}"));
        Ok((figure("recall")?, figure("unindexed")?))
    };
    let (recall, unindexed) = answers(&sides[0])?;
    let (their_recall, their_unindexed) = answers(&sides[1])?;
    row.bar("recall lost against LanceDB's result", their_recall - recall, 0.01, "");
    row.bar("rows outside of the indexes", unindexed, their_unindexed, " rows");
    row.notes.push(format!(
        "Recall@10 of 100 queries against a look at every row: {recall:.3} after ours, {their_recall:.3} after LanceDB's."
    ));
    Ok(vec![row])
}

/// P10.
pub(super) fn wide(lab: &Lab) -> Result<Vec<Row>> {
    let rows = lab.scaled(100);
    let table = lab.tables("wide", 40, rows)?.join("table.lance");
    let before = lab.facts(&table)?;
    let mut words = vec!["optimize", "--target-rows", "2000", "--target-bytes", "4GiB"];
    let has_limit = lab.has_option("optimize", "--memory-limit")?;
    if has_limit {
        words.extend(["--memory-limit", "512MiB"]);
    }
    let title = "compact_files(target_rows_per_fragment=2000)";
    let sides = [
        lab.our_side(&table, &words).checked_by(|_| lab.expect_compact(&table, before, 2)),
        lab.peer_side(&table, "reencode_wide", "pylance", title)?.at_most(0.8),
    ];
    let work = format!("compact 40 fragments of {rows} rows of 1 MB under a limit of 512 MiB");
    let mut row = Row::new("P10", work);
    row.lines = take_turns(lab, &sides)?;
    row.bar_of_memory(512.0 * 1.1);
    if !has_limit {
        row.notes.push("`optimize` has no `--memory-limit` yet: run without it.".to_owned());
    }
    Ok(vec![row])
}
