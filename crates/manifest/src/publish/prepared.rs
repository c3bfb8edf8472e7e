//! A publish of which only the commit is left.
//!
//! To fold `__manifest` and to write the rows takes as long as there are versions; the commit takes a few
//! milliseconds. While a table is ahead of its pin a client refuses to write to it, so whoever commits to
//! tables has the rest done before.
//!
//! Not here: what a publish changes (`changes`), and what is done when it comes too late (`publish`).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use lance::Dataset;
use lance::dataset::transaction::Operation;
use lance_table::format::Fragment;
use lance_table::io::deletion::relative_deletion_file_path;
use lancekeeper_model::{Branch, OperationId, Stamp, Version};
use lancekeeper_rewrite::journal::{StagedFile, discard};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::strict::{Change, CommitError, Signature, commit};
use lancekeeper_store::tables::version_of;

use super::{Changes, PinMove, PublishError, Published, merge};
use crate::graph::{Graph, GraphError, stamp_of};
use crate::lineage::{COMMITS, Commit, v4_rows};
use crate::row::encode;

/// A publish that is written and not committed. It holds for the version of `__manifest` that it was
/// made at, and for no other.
#[derive(Debug)]
pub struct PreparedPublish {
    branch: Branch,
    manifest: Dataset,
    /// `None` when there is nothing to commit: on v3 what changes nothing.
    change: Option<Change>,
    commit_row: Commit,
}

impl Graph {
    /// Does everything of a publish but its commit. The versions that pins are moved to need not be there
    /// yet ([`PinMove::ahead_of`]).
    ///
    /// # Errors
    ///
    /// As [`Graph::publish`]; nothing is visible in any case.
    ///
    /// # Cancel safety
    ///
    /// Nothing is visible; files may be left that nothing refers to.
    pub async fn prepare_publish(
        &self,
        branch: &Branch,
        moves: &[PinMove],
        actor: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<PreparedPublish, PublishError> {
        let changes = Changes { moves, ..Changes::default() };
        self.prepare(branch, &changes, &Commit::minted(actor, now, None)).await
    }

    /// Makes a prepared publish, in one attempt.
    ///
    /// # Errors
    ///
    /// [`PublishError::Commit`] with a conflict when anybody has published since it was prepared; then
    /// nothing is visible, and it is to be published anew. For the rest see [`Graph::publish`].
    ///
    /// # Cancel safety
    ///
    /// As [`Graph::publish`].
    pub async fn publish_prepared(
        &self,
        prepared: PreparedPublish,
        operation: &OperationId,
        step: &str,
    ) -> Result<Published, PublishError> {
        let (branch, commit_row) = (prepared.branch.clone(), prepared.commit_row.clone());
        let version = prepared.commit(operation, step).await.map_err(PublishError::Commit)?;
        self.with_commit_row(&branch, &commit_row, version, operation).await
    }

    pub(super) async fn prepare(
        &self,
        branch: &Branch,
        changes: &Changes<'_>,
        commit_row: &Commit,
    ) -> Result<PreparedPublish, PublishError> {
        let manifest = self.open_publishable(branch).await?;
        let folded = self.fold(&manifest, branch).await?;
        changes.check(&folded)?;
        let mut rows = changes.rows(branch, &folded)?;
        let is_nothing = rows.is_empty() && self.keeps_commits_apart();
        if !self.keeps_commits_apart() {
            let lands_at = version_of(&manifest).next();
            rows.extend(v4_rows(commit_row, branch, &folded, lands_at)?);
        }
        let change = match is_nothing {
            true => None,
            false => {
                let schema = Arc::new(arrow_schema::Schema::from(manifest.schema()));
                let batch = encode(&rows, &schema).map_err(|error| {
                    LanceFailure::new("failed to build the publish", error.into())
                })?;
                Some(merge(&manifest, batch).await?)
            }
        };
        let (branch, commit_row) = (branch.clone(), commit_row.clone());
        Ok(PreparedPublish { branch, manifest, change, commit_row })
    }
}

impl Graph {
    /// Refuses a branch to which nothing can be published, before anything is written for it: also one whose publish could
    /// not be written down, because its commit history cannot be opened.
    ///
    /// # Errors
    ///
    /// [`PublishError::SchemaVersion`], or when the branch or its history cannot be read.
    pub async fn check_publishable(&self, branch: &Branch) -> Result<(), PublishError> {
        self.open_publishable(branch).await?;
        if self.keeps_commits_apart() {
            let opened = self.tables.open(&self.root.address_of(COMMITS), branch).await;
            opened.map_err(GraphError::Open)?;
        }
        Ok(())
    }

    async fn open_publishable(&self, branch: &Branch) -> Result<Dataset, PublishError> {
        let manifest = self.open_manifest(branch).await?;
        let found = stamp_of(&manifest);
        if !self.schema.is_writable() || found != Stamp::Known(self.schema) {
            return Err(PublishError::SchemaVersion { branch: branch.clone(), found });
        }
        Ok(manifest)
    }
}

impl PreparedPublish {
    /// Commits on top of exactly the version that was folded. What lost the race is deleted.
    pub(super) async fn commit(
        self,
        operation: &OperationId,
        step: &str,
    ) -> Result<Version, CommitError> {
        let Some(change) = self.change else { return Ok(version_of(&self.manifest)) };
        let signature = Signature {
            operation: operation.clone(),
            table: Graph::manifest_ref(&self.branch),
            step: step.to_owned(),
        };
        let files = written(&self.manifest, &change.operation);
        let outcome = commit(&self.manifest, change, &signature).await;
        if let Err(CommitError::Conflict { .. }) = &outcome {
            discard_all(&self.manifest, &files).await;
        }
        Ok(version_of(&outcome?))
    }

    /// Gives it up: deletes what was written for it.
    ///
    /// # Cancel safety
    ///
    /// What is left nothing refers to; a cleanup collects it.
    pub async fn discard(self) {
        if let Some(change) = &self.change {
            discard_all(&self.manifest, &written(&self.manifest, &change.operation)).await;
        }
    }
}

/// The files that were written for a merge, which no version refers to before its commit.
fn written(manifest: &Dataset, operation: &Operation) -> Vec<StagedFile> {
    let Operation::Update { new_fragments, updated_fragments, .. } = operation else {
        return Vec::new();
    };
    let of_data = new_fragments.iter().flat_map(|fragment| &fragment.files);
    let data = of_data.filter(|file| file.base_id.is_none());
    let data = data.map(|file| format!("data/{}", file.path));
    let is_new = |fragment: &&Fragment| {
        let before = manifest.fragments().iter().find(|before| before.id == fragment.id);
        before.is_none_or(|before| before.deletion_file != fragment.deletion_file)
    };
    let deletions = updated_fragments.iter().filter(is_new).filter_map(|fragment| {
        let file = fragment.deletion_file.as_ref().filter(|file| file.base_id.is_none())?;
        Some(relative_deletion_file_path(fragment.id, file))
    });
    data.chain(deletions).map(|path| StagedFile { path, bytes: None }).collect()
}

async fn discard_all(manifest: &Dataset, files: &[StagedFile]) {
    if let Err(error) = discard(manifest, files).await {
        tracing::debug!(target: "lancekeeper::manifest", %error,
            "files of a publish that was not made stay until they are collected");
    }
}
