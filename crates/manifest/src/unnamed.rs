//! Publishes of a v3 graph that its commit history does not name: a client writes `__manifest`
//! first and the row after it, and may die in between.

use chrono::{DateTime, Utc};
use lance::dataset::transaction::Operation;
use lancekeeper_model::{Branch, OperationId, Version};
use lancekeeper_store::tables::version_of;

use crate::graph::{Graph, GraphError};
use crate::history::GraphCommit;
use crate::lineage::{Commit, LineageError};

/// Versions without a row that are looked at, the newest first: most are compactions of
/// `__manifest`, and there may be one for every run that ever was.
const LOOKS_MAX: usize = 1_000;

/// A publish that no row of the commit history names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnnamedPublish {
    /// The branch.
    pub branch: Branch,
    /// The version of its `__manifest`.
    pub manifest_version: Version,
    /// When it was made.
    pub published_at: DateTime<Utc>,
}

impl Graph {
    /// The publishes of a branch that no row names, oldest first; none where commits are rows
    /// of `__manifest`. A publish is a version that pins other versions than the one before it:
    /// compactions and the like have no row. Versions that were collected are left out.
    ///
    /// # Errors
    ///
    /// When the branch or its history cannot be read.
    pub async fn unnamed_publishes(
        &self,
        branch: &Branch,
    ) -> Result<Vec<UnnamedPublish>, GraphError> {
        if !self.keeps_commits_apart() {
            return Ok(Vec::new());
        }
        let commits = self.v3_commits(branch).await?;
        let Some(first) = commits.iter().map(|commit| commit.manifest_version).min() else {
            // Without any there is nothing that others follow.
            return Ok(Vec::new());
        };
        let is_named = |version: Version| {
            let names = |commit: &GraphCommit| commit.manifest_version == version;
            commits.iter().any(names)
        };
        let head = self.open_manifest(branch).await?;
        let mut unnamed = Vec::new();
        let newest = version_of(&head);
        let versions = (first.0 + 1..=newest.0).rev().map(Version);
        for version in versions.filter(|version| !is_named(*version)).take(LOOKS_MAX) {
            let Ok(found) = head.read_version_transaction(version.0).await else { continue };
            let operation = found.transaction.map(|transaction| transaction.operation);
            // What a merge of rows is stored as.
            let adds_rows =
                matches!(operation, Some(Operation::Update { .. } | Operation::Append { .. }));
            if adds_rows && self.moved_pins(branch, version).await? {
                let (branch, published_at) = (branch.clone(), found.timestamp);
                unnamed.push(UnnamedPublish { branch, manifest_version: version, published_at });
            }
        }
        unnamed.reverse();
        Ok(unnamed)
    }

    /// Whether a version of `__manifest` pins something else than the one before.
    async fn moved_pins(&self, branch: &Branch, version: Version) -> Result<bool, GraphError> {
        let before = self.snapshot_at(branch, Version(version.0 - 1)).await?;
        Ok(before.pins != self.snapshot_at(branch, version).await?.pins)
    }

    /// Adds the row of a publish that none names. Its parent is the newest commit before it.
    ///
    /// # Errors
    ///
    /// When the row could not be appended.
    ///
    /// # Cancel safety
    ///
    /// The row is there or not.
    pub async fn name_publish(
        &self,
        publish: &UnnamedPublish,
        operation: &OperationId,
        actor: &str,
    ) -> Result<(), LineageError> {
        let commit_row = Commit {
            id: ulid::Ulid::generate().to_string(),
            actor: Some(actor.to_owned()),
            created_at: publish.published_at,
            merged: None,
        };
        self.append_v3_commit(&publish.branch, &commit_row, publish.manifest_version, operation)
            .await
    }
}
