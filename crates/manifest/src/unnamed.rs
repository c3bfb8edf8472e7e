//! Publishes of a v3 graph that its commit history does not name: a client writes `__manifest`
//! first and the row after it, and may die in between.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use lance::dataset::transaction::Operation;
use lancekeeper_model::{Branch, ErrorKind, OperationId, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::tables::version_of;

use crate::graph::{Graph, GraphError};
use crate::lineage::{Commit, LineageError, moves_no_pin};
use crate::old_snapshots::OldSnapshots;

/// A version of a branch's `__manifest` that moved a pin and that no commit names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnnamedPublish {
    /// The branch.
    pub branch: Branch,
    /// The version of its `__manifest`.
    pub version: Version,
    /// When it was written, by the clock of its writer.
    pub written_at: DateTime<Utc>,
}

impl Graph {
    /// The publishes of a branch that no row names, oldest first; none where commits are rows
    /// of `__manifest`, and none before the first that has one.
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
        let commits = match self.v3_commits(branch).await {
            // One that died in the making has no history, and needs none.
            Err(error) if is_not_there(&error) && self.is_untouched(branch).await? => Vec::new(),
            commits => commits?,
        };
        let named: BTreeSet<Version> =
            commits.iter().map(|commit| commit.manifest_version).collect();
        // Without any there is nothing that others follow.
        let Some(first) = named.first().copied() else { return Ok(Vec::new()) };
        self.publishes_but(branch, first, &named).await
    }

    /// The publishes of a branch after a version of its `__manifest`, but for those that commits name, oldest first.
    ///
    /// A publish is a version that pins other versions than the one before it: compactions, migrations and the like have
    /// no commit. Of versions that were collected nothing is said, and of one whose predecessor was, what its own
    /// transaction says.
    ///
    /// # Errors
    ///
    /// When the branch or a version of it cannot be read.
    pub(crate) async fn publishes_but(
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
        for &version in there.iter().filter(|version| **version > after && !named.contains(version))
        {
            let before = Version(version.0 - 1);
            let stored = manifest.read_version_transaction(version.0).await.ok();
            let transaction = stored.and_then(|stored| stored.transaction);
            let moved = match &transaction {
                Some(made) if moves_no_pin(made) => false,
                Some(made) if matches!(made.operation, Operation::Clone { .. }) => false,
                _ if there.contains(&before) => {
                    let pins = snapshots.at(branch, before).await?.pins;
                    pins != snapshots.at(branch, version).await?.pins
                }
                // Who writes rows here publishes.
                made => made.is_some(),
            };
            if moved {
                let at = self.open_manifest_at(branch, version).await?;
                let (branch, written_at) = (branch.clone(), at.version().timestamp);
                unnamed.push(UnnamedPublish { branch, version, written_at });
            }
        }
        Ok(unnamed)
    }

    /// Whether nothing was published to a branch since it was cut. Where versions were collected since, that cannot be
    /// told, and something may have been.
    ///
    /// # Errors
    ///
    /// When the branch or a version of it cannot be read.
    pub(crate) async fn is_untouched(&self, branch: &Branch) -> Result<bool, GraphError> {
        let manifest = self.open_manifest(branch).await?;
        let failed = |source| LanceFailure::new("failed to list versions of __manifest", source);
        let listed = manifest.version_refs().await.map_err(failed)?;
        let there: BTreeSet<u64> = listed.iter().map(|of| of.version).collect();
        let Some(first) = there.first().copied() else { return Ok(false) };
        let stored = manifest.read_version_transaction(first).await.ok();
        let made = stored.and_then(|stored| stored.transaction).map(|of| of.operation);
        let is_whole = matches!(made, Some(Operation::Clone { .. }))
            && (first..=version_of(&manifest).0).all(|version| there.contains(&version));
        let none = BTreeSet::new();
        Ok(is_whole && self.publishes_but(branch, Version(first), &none).await?.is_empty())
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
            created_at: publish.written_at,
            merged: None,
        };
        self.append_v3_commit(&publish.branch, &commit_row, publish.version, operation).await
    }
}

/// Whether what was to be read does not exist.
pub(crate) fn is_not_there(error: &GraphError) -> bool {
    matches!(error, GraphError::Open(error) if error.kind() == ErrorKind::NotFound)
}
