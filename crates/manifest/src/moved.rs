//! Rows of a v3 graph that name manifests of tables by absolute paths: its clients open tables by those, so a graph that
//! was moved has to say where they are now. Every version that was ever published has such a row, on every branch that
//! was cut since.
//!
//! # Crash consistency
//!
//! The rows of a branch change in one strict commit, followed by its commit row as every publish is. No pin moves.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lance::Dataset;
use lancekeeper_model::{Branch, OperationId, Version};
use lancekeeper_planner::cleanup::chain_dir;
use lancekeeper_planner::relocate::split_recorded;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failpoint;
use lancekeeper_store::files::identity_at;
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::strict::{CommitError, Signature, commit};
use lancekeeper_store::tables::version_of;

use crate::graph::{Graph, GraphError};
use crate::lineage::Commit;
use crate::publish::{PUBLISH_ATTEMPTS, PublishError, Published, merge};
use crate::row::{Row, TABLE, TABLE_VERSION, VersionMetadata, encode};

/// A row that names another place than the graph's own.
struct Moved<'r> {
    row: &'r Row,
    metadata: VersionMetadata,
    /// The manifest, relative to the root.
    file: String,
}

impl Graph {
    /// The manifests of tables that rows of a branch name at another place, as they name them. None but in graphs of v3.
    ///
    /// # Errors
    ///
    /// When the branch cannot be read.
    pub async fn rows_elsewhere(&self, branch: &Branch) -> Result<Vec<String>, GraphError> {
        match self.keeps_commits_apart() {
            true => self.named_elsewhere(&self.open_manifest(branch).await?).await,
            false => Ok(Vec::new()),
        }
    }

    /// The same of a branch that can be read only once its own manifest refers to this place: as with that one, which is
    /// given as the message alone.
    ///
    /// # Errors
    ///
    /// When the branch cannot be read even so.
    pub async fn rows_elsewhere_as(
        &self,
        branch: &Branch,
        manifest: &[u8],
    ) -> Result<Vec<String>, GraphError> {
        if !self.keeps_commits_apart() {
            return Ok(Vec::new());
        }
        let place = [MANIFEST_DIR, &chain_dir(branch)].join("/");
        let uri = self.root.address_of(place.trim_end_matches('/'));
        let manifest = self.tables.open_as(&uri, manifest).await.map_err(GraphError::Open)?;
        self.named_elsewhere(&manifest).await
    }

    async fn named_elsewhere(&self, manifest: &Dataset) -> Result<Vec<String>, GraphError> {
        let rows = self.rows(manifest).await?;
        let moved = self.moved(&rows).await;
        Ok(moved.into_iter().map(|moved| moved.metadata.manifest_path).collect())
    }

    /// Lets the rows of a branch name the manifests of tables where they are now; `None` if they do.
    ///
    /// # Errors
    ///
    /// When nothing was changed, or only the commit row is missing ([`PublishError::CommitRow`]).
    ///
    /// # Cancel safety
    ///
    /// All rows of the branch are changed, or none.
    pub async fn move_rows(
        &self,
        branch: &Branch,
        operation: &OperationId,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Published>, PublishError> {
        if !self.keeps_commits_apart() {
            return Ok(None);
        }
        let id = ulid::Ulid::generate().to_string();
        let commit_row =
            Commit { id, actor: Some(actor.to_owned()), created_at: now, merged: None };
        let mut attempt = 0;
        let manifest_version = loop {
            match self.try_move(branch, operation, attempt).await {
                Ok(Some(version)) => break version,
                Ok(None) => return Ok(None),
                Err(PublishError::Commit(source @ CommitError::Conflict { .. })) => {
                    attempt += 1;
                    if attempt == PUBLISH_ATTEMPTS {
                        return Err(PublishError::Contention { attempts: attempt, source });
                    }
                }
                Err(error) => return Err(error),
            }
        };
        let published = Published { manifest_version, commit_id: commit_row.id.clone() };
        // One that died in the making: no pin of it has moved, and there is nothing to write that down in.
        if self.needs_no_history(branch).await? {
            return Ok(Some(published));
        }
        let append = async {
            failpoint::cross_async(failpoint::PUBLISH_BEFORE_COMMIT_ROW).await?;
            self.append_v3_commit(branch, &commit_row, manifest_version, operation).await
        };
        append
            .await
            .map_err(|source| PublishError::CommitRow { published: published.clone(), source })?;
        Ok(Some(published))
    }

    async fn try_move(
        &self,
        branch: &Branch,
        operation: &OperationId,
        attempt: u32,
    ) -> Result<Option<Version>, PublishError> {
        let manifest = self.open_manifest(branch).await?;
        let rows = self.rows(&manifest).await?;
        let mut changed = Vec::new();
        let pins = self.snapshot_by(&rows, &manifest, branch)?.pins;
        let is_pinned = |row: &Row| {
            pins.iter().any(|pin| {
                pin.key.as_str() == row.table_key && Some(pin.version.0) == row.table_version
            })
        };
        for Moved { row, metadata, file } in self.moved(&rows).await {
            let size = self.root.files().size(&file).await.ok().flatten();
            // A version that was collected has no size any more; what was written down harms nobody, unless readers
            // are sent there.
            if size.is_none() && is_pinned(row) {
                return Err(PublishError::NotHere { branch: branch.clone(), file });
            }
            let metadata = VersionMetadata {
                manifest_path: key_of(&self.root.address_of(&file)),
                manifest_size: size.or(metadata.manifest_size),
                ..metadata
            };
            changed.push(Row { metadata: Some(serde_json::to_string(&metadata)?), ..row.clone() });
        }
        if changed.is_empty() {
            return Ok(None);
        }
        let schema = Arc::new(arrow_schema::Schema::from(manifest.schema()));
        let batch = encode(&changed, &schema)
            .map_err(|error| LanceFailure::new("failed to build the rows", error.into()))?;
        let change = merge(&manifest, batch).await?;
        let signature = Signature {
            operation: operation.clone(),
            table: Self::manifest_ref(branch),
            step: format!("relocate-{attempt}"),
        };
        let committed =
            commit(&manifest, change, &signature).await.map_err(PublishError::Commit)?;
        Ok(Some(version_of(&committed)))
    }

    /// The rows that name a manifest of their own table at another place. What names something else entirely is left
    /// alone: nobody knows where that is now.
    async fn moved<'r>(&self, rows: &'r [Row]) -> Vec<Moved<'r>> {
        let location_of = |key: &str| {
            let table = rows.iter().find(|row| row.object_type == TABLE && row.table_key == key);
            table.and_then(|row| row.location.as_deref())
        };
        let versions = rows.iter().filter(|row| row.object_type == TABLE_VERSION);
        let named = versions.filter_map(|row| {
            let metadata: VersionMetadata = serde_json::from_str(row.metadata.as_deref()?).ok()?;
            let (table, name) = metadata.manifest_path.split_once("/_versions/")?;
            let (root, below) = split_recorded(&format!("/{table}"), location_of(&row.table_key)?)?;
            let file = format!("{below}/_versions/{name}");
            Some((root, Moved { row, metadata, file }))
        });
        let (mut known, mut moved) = (HashMap::new(), Vec::new());
        for (root, row) in named {
            if !known.contains_key(&root) {
                let is_here = self.is_here(&root).await;
                known.insert(root.clone(), is_here);
            }
            if known.get(&root) == Some(&false) {
                moved.push(row);
            }
        }
        moved
    }

    /// Whether a path leads to this graph, however it is spelled.
    async fn is_here(&self, path: &str) -> bool {
        identity_at(path).await.ok().flatten() == Some(self.root.files().identity())
    }
}

/// An address as object stores name it: without scheme, and without the slash in front.
fn key_of(address: &str) -> String {
    let plain = address.strip_prefix("file://").unwrap_or(address);
    plain.trim_start_matches('/').to_owned()
}
