//! The facts of `count-rows`: each table at the version that readers of a branch see.

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper_model::{
    Branch, BranchSelection, CountOptions, ErrorKind, OptimizeOptions, TableCount, Version,
};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::concurrency::{in_order, tables_at_once};
use crate::count::report;
use crate::open::ReadRoot;
use crate::optimize::{Target, TargetError, branch_views, targets};

/// The tables asked for could not be found out.
#[derive(Debug, Error)]
pub(crate) enum CountError {
    /// No such table or branch, or they cannot be listed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A branch of something that is no graph.
    #[error("branches are asked for by --branch and --all-branches in graphs only")]
    NoGraph,
}

impl CountError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Target(error) => error.kind(),
            Self::NoGraph => ErrorKind::Invalid,
        }
    }
}

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
    read: &ReadRoot,
    options: &CountOptions,
) -> Result<Vec<TableCount>, CountError> {
    let chosen = OptimizeOptions { tables: options.tables.clone(), ..OptimizeOptions::default() };
    let mut all: Vec<(Branch, Target)> = Vec::new();
    match &read.graph {
        Some(graph) => {
            for view in branch_views(graph, &options.branches).await? {
                let branch = view.snapshot.branch.clone();
                let targets = targets(read, Some(&view), &chosen).await?;
                all.extend(targets.into_iter().map(|target| (branch.clone(), target)));
            }
        }
        None if options.branches != BranchSelection::Main => return Err(CountError::NoGraph),
        None => {
            let targets = targets(read, None, &chosen).await?;
            // What is known to hold no rows has no number of them either.
            let counted = targets.into_iter().filter(|target| target.left_alone.is_none());
            all.extend(counted.map(|target| (Branch::main(), target)));
        }
    }
    let at_once = tables_at_once(None, all.len());
    let rows = all.into_iter().map(|(branch, target)| row(read, branch, target).boxed()).collect();
    Ok(in_order(rows, at_once).collect().await)
}

async fn row(read: &ReadRoot, branch: Branch, target: Target) -> TableCount {
    match count(read, &target).await {
        Ok((version, rows)) => report::table(&target, branch, version, rows),
        Err(error) => report::failed(&target, branch, text_with_hint(&error)),
    }
}

async fn count(read: &ReadRoot, target: &Target) -> Result<(Version, u64), TableError> {
    let table = visible(read, target).await?;
    let failed = |source| LanceFailure::new(format!("failed to count {}", target.table), source);
    let rows = table.count_rows(None).await.map_err(failed)?;
    Ok((version_of(&table), rows as u64))
}

/// The table at the version readers see.
async fn visible(read: &ReadRoot, target: &Target) -> Result<Dataset, OpenError> {
    let uri = read.root.address_of(&target.location);
    let branch = &target.table.branch;
    match target.pin {
        Some(pin) => read.tables.open_at(&uri, branch, pin).await,
        None => read.tables.open(&uri, branch).await,
    }
}
