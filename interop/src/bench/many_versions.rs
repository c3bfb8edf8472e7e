//! P9: a table that was written in small batches is cleaned up to its newest version.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::document::{Line, Row};
use super::lab::{Facts, Lab};
use super::runner::{Side, take_turns};

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let versions = lab.scaled(2_000);
    let table = lab.tables("versions", versions, 10)?.join("table.lance");
    let (before, place) = (lab.facts(&table)?, lab.copy_of(&table)?);
    let prepare = || Box::new(|| lab.fresh(&table).map(drop));
    let check = || Box::new(|_: &_| expect_one_version(lab, &place, before));
    let ours = Side {
        name: "`lancekeeper cleanup --keep 1 --writer-window 0s`".to_owned(),
        prepare: prepare(),
        command: Box::new(|| {
            let mut command = lab.ours("cleanup");
            command.args(["--keep", "1", "--writer-window", "0s", "--confirm"]).arg(&place);
            command
        }),
        check: check(),
    };
    let theirs = Side {
        name: format!("{} `cleanup_old_versions(older_than=0)`", lab.package("pylance")?),
        prepare: prepare(),
        command: Box::new(|| lab.peer("cleanup", &place)),
        check: check(),
    };
    let names = [ours.name.clone(), theirs.name.clone()];
    let runs = take_turns(lab, &[ours, theirs])?;
    let mut row =
        Row::new("P9", format!("clean up {versions} versions of up to {versions} fragments"));
    let mut lines = names.into_iter().zip(runs).map(|(name, runs)| Line::new(name, runs));
    row.lines.extend(lines.next());
    row.lines.extend(lines.next().map(|theirs| theirs.at_most(0.15).counted_by_call()));
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
