//! Writing the history of a branch into its `__manifest`, and reading it back.
//!
//! Up to v3 nobody but a migration writes commits there, so those that are there and that the history has not are of an
//! attempt that was taken back: it made them up for publishes that the history did not name yet. They go; others are
//! refused before anything is written.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::DeleteBuilder;
use lancekeeper_model::{Branch, InternalSchema, Stamp, Version};
use lancekeeper_planner::migrate::Refusal;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::strict::{Change, CommitError, Signature, commit};
use lancekeeper_store::tables::version_of;

use super::history::{Commit, rebuilt_id};
use super::rows::{head_of, rows_of};
use crate::graph::{Graph, stamp_of};
use crate::lineage::HISTORY_STEP;
use crate::migrate::{MigrateError, Migration};
use crate::publish::merge;
use crate::row::{CommitMetadata, GRAPH_COMMIT, Row, encode};

/// Attempts at one copy. Each lost one is a publish of somebody who opened the graph before.
const COPY_ATTEMPTS: u32 = 20;
/// Versions of the migration that are looked through for the last one that is not.
const VERSIONS_MAX: u64 = 64;

/// Takes the commits away that are no commits of the history, in one commit, and adds the rows that are not there
/// yet, in another.
///
/// # Cancel safety
///
/// Each of the two is done or not; the next run goes on.
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
        let there = migration.graph.rows(&manifest).await?;
        let strays = strays(&there, &wanted);
        let missing = missing(&there, &wanted);
        let (change, step) = match (strays.as_slice(), missing.as_slice()) {
            ([], []) => return Ok(()),
            ([], missing) => (added(&manifest, missing).await?, "on"),
            (strays, _) => (without(&manifest, strays).await?, "without-on"),
        };
        let signature = Signature {
            operation: migration.operation.clone(),
            table: Graph::manifest_ref(branch),
            step: format!("{HISTORY_STEP}{step}-{}", version_of(&manifest)),
        };
        match commit(&manifest, change, &signature).await {
            Ok(_) if strays.is_empty() => return Ok(()),
            Ok(_) if attempt < COPY_ATTEMPTS => attempt += 1,
            Ok(_) => return Err(MigrateError::Unsettled { plans: COPY_ATTEMPTS }),
            Err(CommitError::Conflict { .. }) if attempt < COPY_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Refuses a branch of which the rows have commits that are not in its history, unless an attempt that was taken back
/// made them up: such a branch is of v4, or its history is not the one that it had. A branch that is stamped v4 gets
/// no history.
///
/// # Errors
///
/// [`Refusal::Stray`].
pub(super) async fn check_rows(
    graph: &Graph,
    branch: &Branch,
    commits: &[Commit],
) -> Result<(), MigrateError> {
    let manifest = graph.open_manifest(branch).await?;
    if stamp_of(&manifest) == Stamp::Known(InternalSchema::V4) {
        return Ok(());
    }
    let there = graph.rows(&manifest).await?;
    let wanted = rows_of(branch, commits)?;
    match strays(&there, &wanted).into_iter().find(|row| !is_made_up(row)) {
        None => Ok(()),
        Some(row) => {
            let (branch, commit) = (branch.clone(), row.object_id.clone());
            Err(Refusal::Stray { branch, commit }.into())
        }
    }
}

/// Whether a row is of a commit that was made up for a publish: its id follows from the rest.
fn is_made_up(row: &Row) -> bool {
    let metadata = row.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let (Some(version), Some(CommitMetadata { created_at, .. })) = (row.table_version, metadata)
    else {
        return false;
    };
    row.object_id == rebuilt_id(&Branch::from(row.table_branch.clone()), version, created_at)
}

async fn added(manifest: &Dataset, missing: &[Row]) -> Result<Change, MigrateError> {
    let schema = Arc::new(arrow_schema::Schema::from(manifest.schema()));
    let batch = encode(missing, &schema)
        .map_err(|error| LanceFailure::new("failed to build the history", error.into()))?;
    Ok(merge(manifest, batch).await?)
}

async fn without(manifest: &Dataset, strays: &[&Row]) -> Result<Change, MigrateError> {
    let ids: Vec<String> =
        strays.iter().map(|row| format!("'{}'", row.object_id.replace('\'', "''"))).collect();
    let which = format!("object_type = '{GRAPH_COMMIT}' AND object_id IN ({})", ids.join(", "));
    let deletion = DeleteBuilder::new(Arc::new(manifest.clone()), which);
    let deleted = Box::pin(deletion.execute_uncommitted()).await.map_err(|source| {
        LanceFailure::new("failed to take commits away that are not in the history", source)
    })?;
    let operation = deleted.transaction.operation;
    Ok(Change { operation, affected_rows: deleted.affected_rows })
}

/// Commits among rows that are not wanted.
fn strays<'r>(there: &'r [Row], wanted: &[Row]) -> Vec<&'r Row> {
    let wanted: BTreeSet<&str> = wanted.iter().map(|row| row.object_id.as_str()).collect();
    let is_stray =
        |row: &&Row| row.object_type == GRAPH_COMMIT && !wanted.contains(row.object_id.as_str());
    there.iter().filter(is_stray).collect()
}

/// The rows that are not there as they should be.
fn missing(there: &[Row], wanted: &[Row]) -> Vec<Row> {
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
    missing
}

/// Whether a branch has the whole history and no commit besides, folds to its head, and pins what it pinned before.
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
    let there = graph.rows(&manifest).await?;
    if let Some(row) = missing(&there, &wanted).first() {
        return Err(otherwise(format!("{} is not there", row.object_id)));
    }
    if let Some(row) = strays(&there, &wanted).first() {
        return Err(otherwise(format!("{} is no commit of its history", row.object_id)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commits_that_the_history_has_not_are_strays() {
        let row = |id: &str, object_type: &str| Row {
            object_id: id.to_owned(),
            object_type: object_type.to_owned(),
            ..Row::default()
        };
        let wanted = [row("A", GRAPH_COMMIT), row("graph_head:work", "graph_head")];
        let there = [
            row("A", GRAPH_COMMIT),
            row("R", GRAPH_COMMIT),
            row("graph_head:main", "graph_head"),
            row("node:A", "table"),
        ];
        assert_eq!(strays(&there, &wanted), [&there[1]]);
        let missing = missing(&there, &wanted);
        assert_eq!(missing, wanted[1..]);
    }

    #[test]
    fn a_commit_that_was_made_up_is_known_by_its_row_and_one_that_was_written_down_is_not_taken_for_it()
     {
        let (work, created_at) = (Branch::named("work"), 1_795_172_497_100_997);
        let row = |id: String, version| Row {
            object_id: id,
            object_type: GRAPH_COMMIT.to_owned(),
            metadata: Some(format!("{{\"created_at\":{created_at}}}")),
            table_version: Some(version),
            table_branch: Some("work".to_owned()),
            ..Row::default()
        };
        let id = rebuilt_id(&work, 5, created_at);
        assert!(is_made_up(&row(id.clone(), 5)));
        assert!(!is_made_up(&row(id, 6)));
        assert!(!is_made_up(&row(rebuilt_id(&Branch::main(), 5, created_at), 5)));
        assert!(!is_made_up(&row("01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), 5)));
    }
}
