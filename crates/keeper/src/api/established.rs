//! The names embedders of the graph's own client know, over [`Keeper`].

use std::error::Error;
use std::sync::Arc;

use chrono::TimeDelta;
use lancekeeper_model::{
    BranchReconcileStats, CleanupBody, CleanupOptions, CleanupPolicyOptions, ErrorKind,
    InternalSchema, OptimizeOptions, Progress, RootFailure, TableCleanupStats, TableOptimizeStats,
};
use thiserror::Error;

use super::Keeper;

/// The newest internal schema version that is written.
pub const INTERNAL_MANIFEST_SCHEMA_VERSION: u32 = InternalSchema::NEWEST.number();

/// A root could not be optimized as a whole.
#[derive(Debug, Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct OptimizeError {
    /// What went wrong, causes included.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// What a caller can do about it.
    pub kind: ErrorKind,
    /// The error itself, with what caused it.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
    /// What was done all the same. Whoever caches what is published has been told of it by
    /// the observer before this error came back.
    pub tables: Vec<TableOptimizeStats>,
}

/// Optimizes all tables of one root. `observer` hears of every pin that moved
/// ([`lancekeeper_model::ProgressEvent::TablePublished`]) before this returns, also when it
/// returns an error: drop caches of that table then, and rebuild topology if its key
/// [is an edge table](lancekeeper_model::TableKey::is_edge)'s.
///
/// # Errors
///
/// [`OptimizeError`] when the root failed as a whole. What went wrong with one table stands
/// in its row.
///
/// # Cancel safety
///
/// As [`Keeper::optimize`].
pub async fn optimize_all_tables(
    keeper: &Keeper,
    root: &str,
    options: &OptimizeOptions,
    observer: Arc<dyn Progress>,
) -> Result<Vec<TableOptimizeStats>, OptimizeError> {
    let mut report = keeper.optimize([root], options, observer).await;
    let Some(root) = report.roots.pop() else { return Ok(Vec::new()) };
    match root.failure() {
        None => Ok(root.body.tables),
        Some(RootFailure { message, hint, kind, cause }) => {
            Err(OptimizeError { message, hint, kind, cause, tables: root.body.tables })
        }
    }
}

/// A root could not be cleaned up as a whole.
#[derive(Debug, Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct CleanupError {
    /// What went wrong, causes included.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// What a caller can do about it.
    pub kind: ErrorKind,
    /// The error itself, with what caused it.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
    /// What was done all the same.
    pub tables: Vec<TableCleanupStats>,
}

/// Deletes the old versions, orphaned forks and litter of one root that nothing needs and the
/// policy lets go.
///
/// # Errors
///
/// [`CleanupError`] when the policy is empty, or the root failed as a whole. What went wrong
/// with one table stands in its row.
///
/// # Cancel safety
///
/// As [`Keeper::cleanup`].
pub async fn cleanup_all_tables(
    keeper: &Keeper,
    root: &str,
    policy: CleanupPolicyOptions,
) -> Result<Vec<TableCleanupStats>, CleanupError> {
    let options = CleanupOptions { policy, ..CleanupOptions::default() };
    Ok(cleanup(keeper, root, &options).await?.tables)
}

/// Deletes the orphaned forks of one graph, and no version or file of anything else.
///
/// # Errors
///
/// [`CleanupError`] when the root failed as a whole. A branch that could not be read is a
/// failure in the result.
///
/// # Cancel safety
///
/// As [`Keeper::cleanup`].
pub async fn reconcile_orphaned_branches(
    keeper: &Keeper,
    root: &str,
) -> Result<BranchReconcileStats, CleanupError> {
    let policy = CleanupPolicyOptions { keep_versions: Some(u32::MAX), older_than: None };
    let options = CleanupOptions {
        policy,
        // Longer than anything has been lying there.
        min_age: TimeDelta::days(100 * 366),
        ..CleanupOptions::default()
    };
    Ok(cleanup(keeper, root, &options).await?.reconciled)
}

async fn cleanup(
    keeper: &Keeper,
    root: &str,
    options: &CleanupOptions,
) -> Result<CleanupBody, CleanupError> {
    let mut report = keeper.cleanup([root], options).await;
    let Some(root) = report.roots.pop() else { return Ok(CleanupBody::default()) };
    match root.failure() {
        None => Ok(root.body),
        Some(RootFailure { message, hint, kind, cause }) => {
            Err(CleanupError { message, hint, kind, cause, tables: root.body.tables })
        }
    }
}
