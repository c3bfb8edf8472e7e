//! P2, of a table with indexes: a large fragment that four of them cover, and small ones that none does.

use anyhow::{Context, Result, ensure};

use super::document::{Line, Row};
use super::lab::Lab;
use super::runner::{Side, one, take_turns};

/// The small fragments, and the rows of each; the large one has 2,000 times as many rows.
const APPENDED: (usize, usize) = (200, 100);
const INDEXES: u64 = 4;

/// What a table answers by its indexes.
struct Answers {
    recall: f64,
    unindexed: u64,
}

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let (fragments, rows) = (1 + lab.scaled(APPENDED.0), APPENDED.1);
    let table = lab.tables("indexed", fragments, rows)?.join("table.lance");
    let (before, place) = (lab.facts(&table)?, lab.copy_of(&table)?);
    let prepare = || Box::new(|| lab.fresh(&table).map(drop));
    let ours = Side {
        name: "`lancekeeper optimize`".to_owned(),
        prepare: prepare(),
        command: Box::new(|| {
            let mut command = lab.ours("optimize");
            command.arg(&place);
            command
        }),
        check: Box::new(|_| lab.expect_compact(&place, before, 1)),
    };
    let theirs = Side {
        name: format!("{} `optimize()`", lab.package("lancedb")?),
        prepare: prepare(),
        command: Box::new(|| lab.peer("lancedb_optimize", &place)),
        check: Box::new(|_| Ok(())),
    };
    let sides = [ours, theirs];
    let mut runs = take_turns(lab, &sides)?.into_iter();
    let mut answers = Vec::new();
    for side in &sides {
        one(lab, side)?;
        let report = lab.table_report(&place, &["recall"])?;
        let recall = report["recall"].as_f64().context("no recall")?;
        let unindexed = report["unindexed"].as_u64().context("no unindexed rows")?;
        ensure!(report["indexes"] == INDEXES, "an index is missing after {}", side.name);
        answers.push(Answers { recall, unindexed });
    }

    let mut row = Row::new(
        "P2 indexed",
        format!(
            "optimize {} rows in {fragments} fragments with IVF_PQ, full-text, B-tree and bitmap indexes",
            before.rows
        ),
    );
    row.lines.push(Line::new(&sides[0].name, runs.next().context("no runs")?));
    row.lines.push(Line::new(&sides[1].name, runs.next().context("no runs")?).at_most(0.3));
    let [ours, theirs] = &answers[..] else { unreachable!("one answer for each side") };
    row.bar("recall lost against LanceDB's result", theirs.recall - ours.recall, 0.01, "");
    row.bar("rows outside of the indexes", ours.unindexed as f64, theirs.unindexed as f64, "rows");
    row.notes.push(format!(
        "Recall@10 of 100 queries against a look at every row: {:.3} after ours, {:.3} after LanceDB's.",
        ours.recall, theirs.recall
    ));
    Ok(vec![row])
}
