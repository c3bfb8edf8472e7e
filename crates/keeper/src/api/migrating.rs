//! `migrate` over several roots, and what is composed for it: data files of another version are the work of
//! `optimize`, which does nothing else then.

use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{
    IndexMode, MigrateGoal, MigrateOptions, MigratedTable, NoProgress, OptimizeOptions,
    RewriteCheck, RootMigrateReport, StorageVersion, TableOptimizeStats, TableStep,
};

use crate::migrate;
use crate::optimize::optimize_root;
use crate::run::Context;
use crate::run::budget::Budget;

/// Migrates one root. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// As the verb's.
pub(super) fn migrate_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a MigrateOptions,
) -> BoxFuture<'a, RootMigrateReport> {
    async move {
        let mut report = migrate::migrate_root(context, uri.clone(), options).await;
        if let MigrateGoal::Tables(TableStep::StorageVersion(version)) = options.goal
            && report.error.is_none()
        {
            rewrite(context, uri, options, version, &mut report).await;
        }
        report
    }
    .boxed()
}

/// Writes the data files of the tables anew that were told of the version, and says what came of it by looking at
/// them again.
async fn rewrite(
    context: &Context,
    uri: String,
    options: &MigrateOptions,
    version: StorageVersion,
    report: &mut RootMigrateReport,
) {
    let is_open = |row: &&mut MigratedTable| row.changed && row.error.is_none();
    let tables: Vec<String> =
        report.tables.iter_mut().filter(is_open).map(|row| row.table_key.to_string()).collect();
    if tables.is_empty() {
        return;
    }
    let options_there = OptimizeOptions {
        tables,
        index: IndexMode::Keep,
        storage_version: Some(version),
        // All of each table is read once more, because all of it is written anew.
        verify: RewriteCheck::Content,
        ..OptimizeOptions::default()
    };
    let budget = Budget::of(&options_there, Instant::now());
    let run = Box::pin(optimize_root(context, &uri, &options_there, &budget, &NoProgress));
    let done = run.await.report;
    report.body.warnings.extend(done.warnings.iter().cloned());
    if let Some(failure) = done.failure() {
        report.fail(failure);
    }
    let now = migrate::plan_root(context, uri, options).await;
    for row in report.body.tables.iter_mut().filter(|row| row.changed && row.error.is_none()) {
        let (key, branch) = (row.table_key.clone(), row.branch.clone());
        if let Some(stats) = done.tables.iter().find(|stats| stats.table_key == key) {
            take_over(row, stats);
        }
        let of = |found: &&MigratedTable| found.table_key == key && found.branch == branch;
        let Some(found) = now.tables.iter().find(of) else { continue };
        row.file_versions.clone_from(&found.file_versions);
        row.versions = found.versions;
        if found.changed && row.error.is_none() {
            row.reason = format!("some is left: {}", found.reason);
        }
    }
}

/// What became of the rewriting of a table.
fn take_over(row: &mut MigratedTable, stats: &TableOptimizeStats) {
    if let Some(error) = &stats.error {
        (row.error, row.error_kind) = (Some(error.clone()), stats.error_kind);
    } else if !stats.committed && row.bytes > 0 {
        let skipped = stats.skipped.as_ref().map_or("", |token| token.as_str());
        let why = if stats.reason.is_empty() { skipped } else { &stats.reason };
        row.error = Some(format!("its data files are as they were: {why}"));
        row.error_kind = Some(lancekeeper_model::ErrorKind::Conflict);
    }
}
