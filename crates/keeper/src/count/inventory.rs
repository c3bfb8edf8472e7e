//! The facts of `count-rows`: each table at the version that readers of a branch see.

use futures::{FutureExt, StreamExt};
use lancekeeper_model::{Branch, CountOptions, TableCount, TableRef, Version};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::count::report;
use crate::root::ReadRoot;
use crate::root::{Target, TargetError, is_dropped, seen_targets};
use crate::run::Context;
use crate::run::concurrency::in_order;

/// A table could not be counted.
#[derive(Debug, Error)]
enum TableError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
}

/// The rows of all tables asked for, branch by branch. A table that cannot be read gets a row
/// that says so.
pub(crate) async fn tables(
    context: &Context,
    read: &ReadRoot,
    options: &CountOptions,
) -> Result<Vec<TableCount>, TargetError> {
    let mut all = seen_targets(read, &options.tables, &options.branches).await?;
    // What is known to hold no rows has no number of them either.
    all.retain(|(_, target)| target.left_alone.is_none());
    let at_once = context.tables_at_once(None, all.len());
    let rows = all.into_iter().map(|(branch, target)| row(read, branch, target).boxed()).collect();
    let rows: Vec<Option<TableCount>> = in_order(rows, at_once).collect().await;
    Ok(rows.into_iter().flatten().collect())
}

/// The row of a table; none of one that somebody dropped meanwhile.
async fn row(read: &ReadRoot, branch: Branch, target: Target) -> Option<TableCount> {
    // The branch that was asked for, which may read the table from another one.
    let seen = TableRef { branch, ..target.table.clone() };
    match count(read, &target).await {
        Ok((version, rows)) => Some(report::counted(&seen, version, rows)),
        Err(_) if is_dropped(read, &target).await => None,
        Err(error) => Some(report::failed(&seen, target.pin, text_with_hint(&error))),
    }
}

async fn count(read: &ReadRoot, target: &Target) -> Result<(Version, u64), TableError> {
    let table = target.visible(read).await?;
    let failed = |source| LanceFailure::new(format!("failed to count {}", target.table), source);
    let rows = table.count_rows(None).await.map_err(failed)?;
    Ok((version_of(&table), rows as u64))
}
