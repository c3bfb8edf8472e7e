//! P9: a table that was written in small batches is cleaned up to its newest version.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::document::Row;
use super::lab::{Facts, Lab};
use super::runner::{Run, take_turns};

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let versions = lab.scaled(2_000);
    let table = lab.tables("versions", versions, 10)?.join("table.lance");
    let before = lab.facts(&table)?;
    let words = ["cleanup", "--keep", "1", "--writer-window", "0s", "--confirm"];
    let title = "cleanup_old_versions(older_than=timedelta(0))";
    let check = |_: &Run| expect_one_version(lab, &lab.copy_of(&table), before);
    let sides = [
        lab.our_side(&table, &words),
        lab.peer_side(&table, "cleanup", "pylance", title)?.counted_by_call().at_most(0.15),
    ];
    let work = format!("clean up {versions} versions of up to {versions} fragments");
    let mut row = Row::new("P9", work);
    row.lines = take_turns(lab, &sides.map(|side| side.checked_by(check)))?;
    Ok(vec![row])
}

fn expect_one_version(lab: &Lab, table: &Path, before: Facts) -> Result<()> {
    let count = |directory: &str, extension: &str| -> Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(table.join(directory))? {
            count += u64::from(entry?.path().extension().is_some_and(|e| e == extension));
        }
        Ok(count)
    };
    let (manifests, data) = (count("_versions", "manifest")?, count("data", "lance")?);
    let transactions = count("_transactions", "txn")?;
    ensure!(
        (manifests, data, transactions) == (1, before.fragments, 1),
        "{manifests} versions, {data} files and {transactions} transactions are left"
    );
    ensure!(lab.facts(table)? == before, "other rows than before");
    Ok(())
}
