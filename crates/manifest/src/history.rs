//! What a graph's branches and commits need of its tables: everything a cleanup has to know
//! before it may delete a version. Reading only.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::transaction::Operation;
use lancekeeper_model::{Branch, Snapshot, TableKey, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::tables::version_of;

use crate::fold::{FoldError, fold};
use crate::graph::{Graph, GraphError};
use crate::lineage::{COMMITS, moves_no_pin};
use crate::old_snapshots::OldSnapshots;
use crate::row::{CommitMetadata, GRAPH_COMMIT, Row, TABLE};

/// A branch that exists, whatever it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBranch {
    /// The branch.
    pub branch: Branch,
    /// The branch it was cut from; `None` for main.
    pub parent: Option<Branch>,
    /// The version of that one's `__manifest` it was cut at; `None` for main.
    pub parent_version: Option<Version>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphCommit {
    /// Its id.
    pub id: String,
    /// The branch it was made on.
    pub branch: Branch,
    /// Its version of that branch's `__manifest`.
    pub manifest_version: Version,
    /// Its parents, the merged one included.
    pub parents: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A version of a branch's `__manifest` that moved a pin and that no commit names: its publisher died
/// before it could write the commit down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnnamedPublish {
    /// The version.
    pub version: Version,
    /// When it was written, by the clock of its writer.
    pub written_at: DateTime<Utc>,
}

/// What one branch has: now, and in its past.
#[derive(Debug, Clone)]
pub struct BranchHistory {
    /// What its readers see now.
    pub snapshot: Snapshot,
    /// The commits it was made by, newest first.
    pub commits: Vec<GraphCommit>,
    /// Every table it ever had, with the place where it lies relative to the root.
    pub tables: BTreeMap<TableKey, String>,
}

impl Graph {
    /// Every branch that exists, main first, the internal ones included.
    ///
    /// # Errors
    ///
    /// When the branches cannot be listed.
    pub async fn live_branches(&self) -> Result<Vec<LiveBranch>, GraphError> {
        let main = self.open_manifest(&Branch::main()).await?;
        let listed = main
            .list_branches()
            .await
            .map_err(|source| LanceFailure::new("failed to list the graph's branches", source))?;
        let mut branches: Vec<LiveBranch> = listed
            .into_iter()
            .map(|(name, contents)| LiveBranch {
                branch: Branch::named(name),
                parent: Some(Branch::from(contents.parent_branch)),
                parent_version: Some(Version(contents.parent_version)),
            })
            .collect();
        branches.sort_by(|a, b| a.branch.cmp(&b.branch));
        branches
            .insert(0, LiveBranch { branch: Branch::main(), parent: None, parent_version: None });
        Ok(branches)
    }

    /// Whether the commit history that v3 keeps apart has a branch of that name.
    ///
    /// # Errors
    ///
    /// When its branches cannot be listed.
    pub async fn has_commit_branch(&self, branch: &Branch) -> Result<bool, GraphError> {
        if !self.keeps_commits_apart() {
            return Ok(false);
        }
        let uri = self.root.address_of(COMMITS);
        let main = self.tables.open(&uri, &Branch::main()).await.map_err(GraphError::Open)?;
        let listed = main.list_branches().await.map_err(|source| {
            LanceFailure::new("failed to list the branches of the commit history", source)
        })?;
        Ok(listed.contains_key(branch.label()))
    }

    /// The newest version of a branch's `__manifest`.
    ///
    /// # Errors
    ///
    /// When the branch cannot be opened.
    pub async fn head(&self, branch: &Branch) -> Result<Version, GraphError> {
        Ok(version_of(&self.open_manifest(branch).await?))
    }

    /// What a branch has now and had before.
    ///
    /// # Errors
    ///
    /// When the branch, or on v3 its commit history, cannot be read.
    pub async fn history(&self, branch: &Branch) -> Result<BranchHistory, GraphError> {
        let manifest = self.open_manifest(branch).await?;
        let rows = self.rows(&manifest).await?;
        let failed = |source| GraphError::Fold {
            uri: self.root.given.clone(),
            branch: branch.clone(),
            source,
        };
        let folded = fold(&rows).map_err(failed)?;
        let mut commits = if self.keeps_commits_apart() {
            self.v3_commits(branch).await?
        } else {
            v4_commits(&rows).map_err(failed)?
        };
        commits.sort_by(|a, b| rank(b).cmp(&rank(a)));
        let tables = rows
            .iter()
            .filter(|row| row.object_type == TABLE)
            .filter_map(|row| Some((TableKey::new(&row.table_key), row.location.clone()?)))
            .collect();
        Ok(BranchHistory {
            snapshot: Snapshot {
                branch: branch.clone(),
                manifest_version: version_of(&manifest),
                pins: folded.pins,
            },
            commits,
            tables,
        })
    }

    /// The publishes of a branch after a version of its `__manifest` that no commit names, oldest first.
    ///
    /// Of versions that were collected nothing is said, and of one whose predecessor was, what its own
    /// transaction says.
    ///
    /// # Errors
    ///
    /// When the branch or a version of it cannot be read.
    pub async fn unnamed_publishes(
        &self,
        branch: &Branch,
        after: Version,
        named: &BTreeSet<Version>,
    ) -> Result<Vec<UnnamedPublish>, GraphError> {
        let manifest = self.open_manifest(branch).await?;
        let failed = |source| LanceFailure::new("failed to list versions of __manifest", source);
        let listed = manifest.version_refs().await.map_err(failed)?;
        let there: BTreeSet<Version> = listed.iter().map(|of| Version(of.version)).collect();
        let mut snapshots = OldSnapshots::of(self);
        let mut unnamed = Vec::new();
        for version in there.iter().filter(|version| **version > after && !named.contains(version))
        {
            let before = Version(version.0 - 1);
            let stored = manifest.read_version_transaction(version.0).await.ok();
            let operation = stored.and_then(|stored| stored.transaction).map(|of| of.operation);
            let moved = match &operation {
                Some(operation) if moves_no_pin(operation) => false,
                Some(Operation::Clone { .. }) => false,
                _ if there.contains(&before) => {
                    let pins = snapshots.at(branch, before).await?.pins;
                    pins != snapshots.at(branch, *version).await?.pins
                }
                // Who writes rows here publishes.
                operation => operation.is_some(),
            };
            if moved {
                let at = self.open_manifest_at(branch, *version).await?;
                let written_at = at.version().timestamp;
                unnamed.push(UnnamedPublish { version: *version, written_at });
            }
        }
        Ok(unnamed)
    }

    async fn v3_commits(&self, branch: &Branch) -> Result<Vec<GraphCommit>, GraphError> {
        let uri = self.root.address_of(COMMITS);
        let commits = self.tables.open(&uri, branch).await.map_err(GraphError::Open)?;
        let columns = [
            "graph_commit_id",
            "manifest_branch",
            "manifest_version",
            "parent_commit_id",
            "merged_parent_commit_id",
            "created_at",
        ];
        let batches = scan(&commits, &columns).await?;
        Ok(batches.iter().flat_map(v3_rows).collect())
    }
}

/// The order in which the clients take the newest commit for the head.
fn rank(commit: &GraphCommit) -> (Version, DateTime<Utc>, &str) {
    (commit.manifest_version, commit.created_at, &commit.id)
}

fn v4_commits(rows: &[Row]) -> Result<Vec<GraphCommit>, FoldError> {
    let lacks = |row: &Row, column| FoldError::Lacks { object_id: row.object_id.clone(), column };
    rows.iter()
        .filter(|row| row.object_type == GRAPH_COMMIT)
        .map(|row| {
            let text = row.metadata.as_deref().ok_or_else(|| lacks(row, "metadata"))?;
            let metadata: CommitMetadata = serde_json::from_str(text).map_err(|error| {
                FoldError::Metadata { object_id: row.object_id.clone(), why: error.to_string() }
            })?;
            let version = row.table_version.ok_or_else(|| lacks(row, "table_version"))?;
            let parents = [metadata.parent_commit_id, metadata.merged_parent_commit_id];
            Ok(GraphCommit {
                id: row.object_id.clone(),
                branch: Branch::from(row.table_branch.clone()),
                manifest_version: Version(version),
                parents: parents.into_iter().flatten().collect(),
                created_at: DateTime::from_timestamp_micros(metadata.created_at)
                    .unwrap_or_default(),
            })
        })
        .collect()
}

fn v3_rows(batch: &RecordBatch) -> Vec<GraphCommit> {
    let text = |at: usize| batch.column(at).as_string::<i32>();
    let some = |column: usize, at: usize| {
        let column = text(column);
        (!column.is_null(at)).then(|| column.value(at).to_owned())
    };
    let versions = batch.column(2).as_primitive::<UInt64Type>();
    let times = batch.column(5).as_primitive::<TimestampMicrosecondType>();
    (0..batch.num_rows())
        .map(|at| GraphCommit {
            id: text(0).value(at).to_owned(),
            branch: Branch::from(some(1, at)),
            manifest_version: Version(versions.value(at)),
            parents: [some(3, at), some(4, at)].into_iter().flatten().collect(),
            created_at: DateTime::from_timestamp_micros(times.value(at)).unwrap_or_default(),
        })
        .collect()
}

pub(crate) async fn scan(
    table: &Dataset,
    columns: &[&str],
) -> Result<Vec<RecordBatch>, LanceFailure> {
    let failed = |source| LanceFailure::new(format!("failed to read {}", table.uri()), source);
    let mut scan = table.scan();
    scan.project(columns).map_err(failed)?;
    let stream = Box::pin(scan.try_into_stream()).await.map_err(failed)?;
    stream.try_collect().await.map_err(failed)
}
