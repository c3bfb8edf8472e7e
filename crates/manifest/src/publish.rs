//! Publishing: moving the pins of several tables in one strict merge-insert.
//!
//! # Protocol
//!
//! Every attempt opens `__manifest` afresh, folds it, and checks that each table's pin is
//! still the one the caller expects; then it merges the new `table_version` rows (on v4
//! together with the commit's own rows) and commits strictly on top of exactly the version
//! that was folded. A conflict leads to another attempt, bounded; a pin that moved is
//! [`PublishError::Stale`] and is never retried here: what it means is the caller's decision.
//! All but the commit can be done ahead (`prepared`), for a caller whose tables must not be ahead of
//! their pins for long.
//!
//! # Crash consistency
//!
//! A publish is visible as a whole or not at all. On v3 the commit row follows in a dataset
//! of its own; a crash in between leaves history one row short, which
//! [`Graph::mend_commit_row`] repairs.

use std::sync::Arc;

use arrow_array::RecordBatch;
use chrono::{DateTime, Utc};
use lance::Dataset;
use lance::dataset::{MergeInsertBuilder, WhenMatched, WhenNotMatched};
use lancekeeper_model::{Branch, ErrorKind, InternalSchema, OperationId, Stamp, TableKey, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failpoint;
use lancekeeper_store::strict::{Change, CommitError};
use thiserror::Error;

use crate::graph::{Graph, GraphError};
use crate::lineage::{Commit, LineageError};

mod changes;
mod prepared;

pub use changes::{Changes, NewTable, PinMove, Tombstone};
pub use prepared::PreparedPublish;

/// Attempts at one publish. Each lost attempt is one publish of somebody else, and giving up
/// leaves committed tables behind for recovery: worth more patience than a client's five.
pub(crate) const PUBLISH_ATTEMPTS: u32 = 20;

/// A publish that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The version of `__manifest` it became.
    pub manifest_version: Version,
    /// The graph commit.
    pub commit_id: String,
}

/// A pin that is not where the caller expected it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalePin {
    /// The table.
    pub key: TableKey,
    /// What the caller expected.
    pub expected: Version,
    /// What is pinned; `None` when the branch no longer has the table.
    pub current: Option<Version>,
}

/// A publish was not made.
#[derive(Debug, Error)]
pub enum PublishError {
    /// Pins moved since the caller looked. Nothing was published.
    #[error("stale view of {}: expected version {} but {} is published", pins[0].key, pins[0].expected, pins[0].current.map_or_else(|| "no version".to_owned(), |v| v.to_string()))]
    Stale {
        /// Every pin that moved; at least one.
        pins: Vec<StalePin>,
    },
    /// Other publishers won every attempt. Nothing was published.
    #[error("gave up publishing after {attempts} attempts against concurrent publishers")]
    Contention {
        /// How often it was tried.
        attempts: u32,
        /// The last conflict.
        #[source]
        source: CommitError,
    },
    /// The graph is of a version we do not write, or its branch is of another than its main.
    #[error(
        "branch {branch} is at internal schema {found}, which this version of lancekeeper does not write"
    )]
    SchemaVersion {
        /// The branch.
        branch: Branch,
        /// Its stamp.
        found: Stamp,
    },
    /// A table is to be made known at another place than it is known at.
    #[error("{key} is known at {known}, not at {location}")]
    Elsewhere {
        /// The table.
        key: TableKey,
        /// Where it is known.
        known: String,
        /// Where it was to be made known.
        location: String,
    },
    /// A version is already published, though no pin says so.
    #[error("version {version} of {key} already has a row that the fold does not show")]
    Duplicate {
        /// The table.
        key: TableKey,
        /// The version.
        version: Version,
    },
    /// What readers see is not where rows are to send them.
    #[error("branch {branch} reads {file}, which is not here: no row was changed")]
    NotHere {
        /// The branch.
        branch: Branch,
        /// The manifest of the table, relative to the root.
        file: String,
    },
    /// `__manifest` could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The rows could not be written.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// The commit failed, or its outcome is unknown.
    #[error(transparent)]
    Commit(CommitError),
    /// The publish was made, its v3 commit row was not.
    #[error("published, but the commit row is missing until the next open: {source}")]
    CommitRow {
        /// What was published.
        published: Published,
        /// Why the row is missing.
        #[source]
        source: LineageError,
    },
    /// A row could not be encoded.
    #[error("failed to encode a row of the publish: {0}")]
    Encode(#[from] serde_json::Error),
}

impl PublishError {
    /// Whether readers see what was to be published all the same: only its line in v3's history
    /// is missing.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        matches!(self, Self::CommitRow { .. })
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Stale { .. } | Self::Contention { .. } => ErrorKind::Conflict,
            Self::SchemaVersion { .. } => ErrorKind::Refused,
            Self::Elsewhere { .. } | Self::Duplicate { .. } | Self::NotHere { .. } => {
                ErrorKind::Corrupt
            }
            Self::Graph(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::CommitRow { source, .. } => source.kind(),
            Self::Encode(_) => ErrorKind::Internal,
        }
    }
}

impl Graph {
    /// Moves pins of one branch, all or none.
    ///
    /// `step` names this publish within the operation.
    ///
    /// # Errors
    ///
    /// [`PublishError::Stale`] when a pin is not where it is expected; see the type for the
    /// rest. Only after [`PublishError::CommitRow`] and an unknown commit may something be
    /// visible.
    ///
    /// # Cancel safety
    ///
    /// The publish is visible as a whole or not at all; the caller's sidecars say which
    /// tables it was about.
    pub async fn publish(
        &self,
        branch: &Branch,
        moves: &[PinMove],
        operation: &OperationId,
        step: &str,
        actor: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Published, PublishError> {
        let changes = Changes { moves, ..Changes::default() };
        self.publish_changes(branch, &changes, operation, step, actor, now).await
    }

    /// The same for everything that a publish can change, all or none. On v3, what changes
    /// nothing is a commit row at the version that `__manifest` has.
    ///
    /// # Errors
    ///
    /// As [`Graph::publish`]; and when a table would be made known at another place.
    ///
    /// # Cancel safety
    ///
    /// As [`Graph::publish`].
    pub async fn publish_changes(
        &self,
        branch: &Branch,
        changes: &Changes<'_>,
        operation: &OperationId,
        step: &str,
        actor: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Published, PublishError> {
        let commit_row = Commit::minted(actor, now, changes.merged);
        let mut attempt = 0;
        let manifest_version = loop {
            let prepared = self.prepare(branch, changes, &commit_row).await?;
            match prepared.commit(operation, &format!("{step}-{attempt}")).await {
                Ok(version) => break version,
                Err(source @ CommitError::Conflict { .. }) => {
                    attempt += 1;
                    if attempt == PUBLISH_ATTEMPTS {
                        return Err(PublishError::Contention { attempts: attempt, source });
                    }
                    tracing::debug!(operation_id = %operation, attempt, "publish lost a race, retrying");
                }
                Err(error) => return Err(PublishError::Commit(error)),
            }
        };
        self.with_commit_row(branch, &commit_row, manifest_version, operation).await
    }

    /// Writes down on v3 what was published, in its history.
    async fn with_commit_row(
        &self,
        branch: &Branch,
        commit_row: &Commit,
        manifest_version: Version,
        operation: &OperationId,
    ) -> Result<Published, PublishError> {
        let published = Published { manifest_version, commit_id: commit_row.id.clone() };
        if self.keeps_commits_apart() {
            let append = async {
                failpoint::cross_async(failpoint::PUBLISH_BEFORE_COMMIT_ROW).await?;
                self.append_v3_commit(branch, commit_row, manifest_version, operation).await
            };
            append.await.map_err(|source| PublishError::CommitRow {
                published: published.clone(),
                source,
            })?;
        }
        Ok(published)
    }

    /// Whether commit rows lie in a dataset of their own.
    pub(crate) fn keeps_commits_apart(&self) -> bool {
        self.schema < InternalSchema::V4
    }
}

/// The merge-insert of rows, written but not committed.
pub(crate) async fn merge(manifest: &Dataset, batch: RecordBatch) -> Result<Change, LanceFailure> {
    let failed = |source| LanceFailure::new("failed to write the publish", source);
    let mut builder =
        MergeInsertBuilder::try_new(Arc::new(manifest.clone()), vec!["object_id".to_owned()])
            .map_err(failed)?;
    let job = builder
        .when_matched(WhenMatched::UpdateAll)
        .when_not_matched(WhenNotMatched::InsertAll)
        .conflict_retries(0)
        .use_index(false)
        .skip_auto_cleanup(true)
        .try_build()
        .map_err(failed)?;
    let merged = Box::pin(job.execute_uncommitted_batches(vec![batch])).await.map_err(failed)?;
    Ok(Change { operation: merged.transaction.operation, affected_rows: merged.affected_rows })
}
