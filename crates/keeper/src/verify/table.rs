//! One table: its versions, branch by branch, the newest first.

use std::time::Instant;

use lance::Dataset;
use lancekeeper_model::{Branch, Finding, FindingKind, TableRef, TableVerification, Version};
use lancekeeper_planner::cleanup::chain_dir;
use lancekeeper_planner::verify::{TableToCheck, VersionToCheck};
use lancekeeper_store::OpenError;
use lancekeeper_store::root::MANIFEST_DIR;

use super::fragments::Fragments;
use super::indexes::Indexes;
use super::ledger::{At, Ledger, unreadable};
use super::listing::{files_of, versions};
use super::run::Run;
use crate::run::millis;

/// Checks a table: a row for each of its branches, and what was found.
pub(super) async fn check(run: Run<'_>, table: TableToCheck) -> (Vec<TableVerification>, Ledger) {
    let mut checking = Checking {
        run,
        table: &table,
        fragments: Fragments::default(),
        indexes: Indexes::default(),
        ledger: Ledger::default(),
    };
    let mut rows = Vec::new();
    for (branch, versions) in &table.branches {
        let started = Instant::now();
        let table = TableRef { key: table.key.clone(), branch: branch.clone() };
        let mut row = TableVerification::of(&table);
        checking.fragments.next_branch();
        for version in versions {
            if run.context.stop.is_requested() {
                break;
            }
            checking.version(&table, version, &mut row).await;
        }
        row.duration_ms = millis(started);
        rows.push(row);
    }
    rows.iter_mut().for_each(|row| checking.ledger.count(row));
    (rows, checking.ledger)
}

struct Checking<'a> {
    run: Run<'a>,
    table: &'a TableToCheck,
    fragments: Fragments,
    indexes: Indexes,
    ledger: Ledger,
}

impl Checking<'_> {
    async fn version(
        &mut self,
        table: &TableRef,
        wanted: &VersionToCheck,
        row: &mut TableVerification,
    ) {
        let at = At { table: table.clone(), version: Some(wanted.version) };
        let opened = match self.open(&table.branch, wanted.version).await {
            Ok(opened) => opened,
            Err(error) => return self.unopened(&at, wanted, &error).await,
        };
        row.versions += 1;
        let run = self.run;
        let seen = self.fragments.check(run, &opened, &at, &mut self.ledger, row).await;
        if let Some(rows) = seen.rows {
            self.declared(&at, wanted, rows);
        }
        self.indexes.check(run, &opened, &at, &seen.healthy, &mut self.ledger, row).await;
    }

    /// Opens a version by the place of its branch, so that damage to main hides no other branch.
    async fn open(&self, branch: &Branch, version: Version) -> Result<Dataset, OpenError> {
        let mut uri = self.run.root.address_of(&self.table.location);
        if !branch.is_main() {
            uri = format!("{uri}/{}", chain_dir(branch));
        }
        let mut opened = self.run.context.tables.open_at(&uri, &Branch::main(), version).await;
        if let Err(error) = &mut opened {
            error.branch = branch.clone();
        }
        opened
    }

    /// A version that cannot be opened is damage, unless somebody deleted it and what named it.
    async fn unopened(&mut self, at: &At, wanted: &VersionToCheck, error: &OpenError) {
        if self.is_gone(at, wanted).await {
            self.ledger.unchecked(at, "the version", "it was deleted meanwhile");
            return;
        }
        let hint = "restore its manifest, and what it refers to, from a backup; \
                    `cleanup` takes old versions away that nobody needs";
        let mut finding = unreadable(at, FindingKind::VersionUnreadable, error, hint);
        let named_by = wanted.named_by();
        if !named_by.is_empty() {
            finding.message = format!("{} (named by {named_by})", finding.message);
        }
        self.ledger.found(at, finding);
    }

    async fn is_gone(&self, at: &At, wanted: &VersionToCheck) -> bool {
        let root = self.run.root;
        let listed = |location: String, branch: Branch| async move {
            versions(&files_of(root, &location).await?, &branch).await
        };
        let here = listed(self.table.location.clone(), at.table.branch.clone()).await;
        if !here.is_ok_and(|here| !here.contains(&wanted.version)) {
            return false;
        }
        if !wanted.tags.is_empty() {
            return false;
        }
        // Whatever pins it goes before it does.
        for ((branch, _), version) in &wanted.pins {
            let there = listed(MANIFEST_DIR.to_owned(), branch.clone()).await;
            if !there.is_ok_and(|there| !there.contains(version)) {
                return false;
            }
        }
        wanted.is_listed || !wanted.pins.is_empty()
    }

    /// Compares the rows of a version with what those say who pin it.
    fn declared(&mut self, at: &At, wanted: &VersionToCheck, rows: u64) {
        for (branch, version, declared) in wanted.contradicting(rows) {
            let message = format!(
                "it has {rows} rows, and version {version} of {MANIFEST_DIR} on {branch} says {declared}"
            );
            let mut finding = Finding::new(&at.table, FindingKind::DeclaredRows, message);
            let hint =
                "restore the table or its pin from a backup: one of them is not what was published";
            finding.hint = Some(hint.to_owned());
            self.ledger.found(at, finding);
        }
    }
}
