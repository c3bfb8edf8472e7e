//! Writing the history of a branch into its `__manifest`, and reading it back.

use std::collections::HashMap;
use std::sync::Arc;

use lance::Dataset;
use lancekeeper_model::{Branch, InternalSchema, Stamp, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::strict::{CommitError, Signature, commit};
use lancekeeper_store::tables::version_of;

use super::history::Commit;
use super::rows::{head_of, rows_of};
use crate::graph::{Graph, stamp_of};
use crate::migrate::{MigrateError, Migration};
use crate::publish::merge;
use crate::row::{Row, encode};

/// Attempts at one copy. Each lost one is a publish of somebody who opened the graph before.
const COPY_ATTEMPTS: u32 = 20;
/// Versions of the migration that are looked through for the last one that is not.
const VERSIONS_MAX: u64 = 64;

/// Adds the rows that are not there yet, in one commit.
///
/// # Cancel safety
///
/// They are there, all or none.
pub(super) async fn copy(
    migration: &Migration<'_>,
    branch: &Branch,
    commits: &[Commit],
) -> Result<(), MigrateError> {
    let wanted = rows_of(branch, commits)?;
    let mut attempt = 1;
    loop {
        let manifest = migration.graph.open_manifest(branch).await?;
        let found = stamp_of(&manifest);
        if found != Stamp::Migrating {
            return Err(MigrateError::Changed { branch: branch.clone(), found });
        }
        let missing = missing(migration.graph, &manifest, &wanted).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let schema = Arc::new(arrow_schema::Schema::from(manifest.schema()));
        let batch = encode(&missing, &schema)
            .map_err(|error| LanceFailure::new("failed to build the history", error.into()))?;
        let change = merge(&manifest, batch).await?;
        let signature = Signature {
            operation: migration.operation.clone(),
            table: Graph::manifest_ref(branch),
            step: format!("history-on-{}", version_of(&manifest)),
        };
        match commit(&manifest, change, &signature).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict { .. }) if attempt < COPY_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The rows that are not there as they should be.
async fn missing(
    graph: &Graph,
    manifest: &Dataset,
    wanted: &[Row],
) -> Result<Vec<Row>, MigrateError> {
    let there = graph.rows(manifest).await?;
    let there: HashMap<&str, &Row> =
        there.iter().map(|row| (row.object_id.as_str(), row)).collect();
    let mut missing = Vec::new();
    for row in wanted {
        match there.get(row.object_id.as_str()) {
            Some(found) if *found == row => {}
            // What differs is of an attempt that was taken back: until v4, the history apart is what counts.
            Some(_) | None => missing.push(row.clone()),
        }
    }
    Ok(missing)
}

/// Whether a branch has the whole history, folds to its head, and pins what it pinned before.
///
/// # Errors
///
/// [`MigrateError::Otherwise`] when not.
pub(super) async fn check(
    migration: &Migration<'_>,
    branch: &Branch,
    commits: &[Commit],
) -> Result<(), MigrateError> {
    let otherwise = |what: String| MigrateError::Otherwise { branch: branch.clone(), what };
    let graph = migration.graph;
    let manifest = graph.open_manifest(branch).await?;
    let wanted = rows_of(branch, commits)?;
    if let Some(row) = missing(graph, &manifest, &wanted).await?.first() {
        return Err(otherwise(format!("{} is not there", row.object_id)));
    }
    let folded = graph.fold(&manifest, branch).await?;
    let head = head_of(commits).map(|head| head.id.clone());
    if folded.head_commit != head {
        let [found, wanted] =
            [&folded.head_commit, &head].map(|id| id.clone().unwrap_or_else(|| "none".to_owned()));
        return Err(otherwise(format!("its head is {found}, not {wanted}")));
    }
    let before = graph.snapshot_at(branch, newest_before(graph, &manifest).await?).await?;
    if before.pins != folded.pins {
        let at = before.manifest_version;
        return Err(otherwise(format!("it pins other versions than at version {at}")));
    }
    Ok(())
}

/// The newest version that the migration did not make; the oldest that is there, if it made all. What a keeper
/// committed under a stamp of before is a publish, which moves pins like any other: only under the stamps of a
/// migration does nobody but a migration commit.
async fn newest_before(graph: &Graph, manifest: &Dataset) -> Result<Version, MigrateError> {
    let (branch, head) = (Branch::from(manifest.manifest().branch.clone()), version_of(manifest));
    let mut version = head;
    for _ in 0..VERSIONS_MAX {
        let before = Version(version.0.saturating_sub(1));
        match owners_between(manifest, before, version).await.first() {
            Some(Owner::Ours(_)) => {
                let at = graph.open_manifest_at(&branch, version).await?;
                if !matches!(stamp_of(&at), Stamp::Migrating | Stamp::Known(InternalSchema::V4)) {
                    return Ok(version);
                }
            }
            Some(Owner::Foreign) => return Ok(version),
            // Collected: what came after it is the oldest there is.
            Some(Owner::Unreadable(_)) | None => return Ok(version.next().min(head)),
        }
        version = before;
    }
    Ok(version)
}
