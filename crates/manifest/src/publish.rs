//! Publishing: moving the pins of several tables in one strict merge-insert.
//!
//! # Protocol
//!
//! Every attempt opens `__manifest` afresh, folds it, and checks that each table's pin is
//! still the one the caller expects; then it merges the new `table_version` rows (on v4
//! together with the commit's own rows) and commits strictly on top of exactly the version
//! that was folded. A conflict leads to another attempt, bounded; a pin that moved is
//! [`PublishError::Stale`] and is never retried here: what it means is the caller's decision.
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
use lance_table::io::commit::ManifestNamingScheme;
use lancekeeper_model::{Branch, ErrorKind, InternalSchema, OperationId, Stamp, TableKey, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failpoint;
use lancekeeper_store::strict::{Change, CommitError, Signature, commit};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::fold::Folded;
use crate::graph::{Graph, GraphError, stamp_of};
use crate::lineage::{Commit, LineageError, v4_rows};
use crate::row::{Row, TABLE_VERSION, VersionMetadata, encode, version_row_id};

/// Attempts at one publish. Each lost attempt is one publish of somebody else, and giving up
/// leaves committed tables behind for recovery: worth more patience than a client's five.
const PUBLISH_ATTEMPTS: u32 = 20;

/// One pin to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinMove {
    /// The table.
    pub key: TableKey,
    /// The version that must be pinned now.
    pub expected: Version,
    /// The version to pin: one of ours.
    pub to: Version,
    /// Live rows at that version.
    pub rows: u64,
    manifest_path: String,
    manifest_size: Option<u64>,
    naming_scheme: &'static str,
}

impl PinMove {
    /// Moves a table's pin to the version a handle stands at.
    ///
    /// # Errors
    ///
    /// When the rows cannot be counted.
    pub async fn to_version_of(
        key: TableKey,
        expected: Version,
        table: &Dataset,
    ) -> Result<Self, LanceFailure> {
        let rows = table.count_rows(None).await.map_err(|source| {
            LanceFailure::new(format!("failed to count rows of {key}"), source)
        })?;
        let location = table.manifest_location();
        Ok(Self {
            key,
            expected,
            to: version_of(table),
            rows: rows as u64,
            manifest_path: location.path.to_string(),
            manifest_size: location.size,
            naming_scheme: match location.naming_scheme {
                ManifestNamingScheme::V1 => "V1",
                ManifestNamingScheme::V2 => "V2",
            },
        })
    }
}

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
    /// A version is already published, though no pin says so.
    #[error("version {version} of {key} already has a row that the fold does not show")]
    Duplicate {
        /// The table.
        key: TableKey,
        /// The version.
        version: Version,
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
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Stale { .. } | Self::Contention { .. } => ErrorKind::Conflict,
            Self::SchemaVersion { .. } => ErrorKind::Refused,
            Self::Duplicate { .. } => ErrorKind::Corrupt,
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
        let commit_row = Commit {
            id: ulid::Ulid::generate().to_string(),
            actor: actor.map(ToOwned::to_owned),
            created_at: now,
        };
        let mut attempt = 0;
        let manifest_version = loop {
            match self.try_publish(branch, moves, operation, step, attempt, &commit_row).await {
                Ok(version) => break version,
                Err(PublishError::Commit(source @ CommitError::Conflict { .. })) => {
                    attempt += 1;
                    if attempt == PUBLISH_ATTEMPTS {
                        return Err(PublishError::Contention { attempts: attempt, source });
                    }
                    tracing::debug!(operation_id = %operation, attempt, "publish lost a race, retrying");
                }
                Err(error) => return Err(error),
            }
        };
        let published = Published { manifest_version, commit_id: commit_row.id.clone() };
        if self.keeps_commits_apart() {
            let append = async {
                failpoint::cross_async(failpoint::PUBLISH_BEFORE_COMMIT_ROW).await?;
                self.append_v3_commit(branch, &commit_row, manifest_version, operation).await
            };
            append.await.map_err(|source| PublishError::CommitRow {
                published: published.clone(),
                source,
            })?;
        }
        Ok(published)
    }

    async fn try_publish(
        &self,
        branch: &Branch,
        moves: &[PinMove],
        operation: &OperationId,
        step: &str,
        attempt: u32,
        commit_row: &Commit,
    ) -> Result<Version, PublishError> {
        let manifest = self.open_manifest(branch).await?;
        let found = stamp_of(&manifest);
        if !self.schema.is_writable() || found != Stamp::Known(self.schema) {
            return Err(PublishError::SchemaVersion { branch: branch.clone(), found });
        }
        let folded = self.fold(&manifest, branch).await?;
        check_expected(moves, &folded)?;
        let mut rows =
            moves.iter().map(|m| version_row(m, branch)).collect::<Result<Vec<_>, _>>()?;
        if !self.keeps_commits_apart() {
            let lands_at = version_of(&manifest).next();
            rows.extend(v4_rows(commit_row, branch, &folded, lands_at)?);
        }
        let schema = Arc::new(arrow_schema::Schema::from(manifest.schema()));
        let batch = encode(&rows, &schema)
            .map_err(|error| LanceFailure::new("failed to build the publish", error.into()))?;
        let change = merge(&manifest, batch).await?;
        let signature = Signature {
            operation: operation.clone(),
            table: Self::manifest_ref(branch),
            step: format!("{step}-{attempt}"),
        };
        let published =
            commit(&manifest, change, &signature).await.map_err(PublishError::Commit)?;
        Ok(version_of(&published))
    }

    /// Whether commit rows lie in a dataset of their own.
    pub(crate) fn keeps_commits_apart(&self) -> bool {
        self.schema < InternalSchema::V4
    }
}

fn check_expected(moves: &[PinMove], folded: &Folded) -> Result<(), PublishError> {
    let mut stale = Vec::new();
    for pin_move in moves {
        let current = folded.pins.iter().find(|pin| pin.key == pin_move.key).map(|pin| pin.version);
        if current != Some(pin_move.expected) {
            let (key, expected) = (pin_move.key.clone(), pin_move.expected);
            stale.push(StalePin { key, expected, current });
        }
    }
    if !stale.is_empty() {
        return Err(PublishError::Stale { pins: stale });
    }
    for pin_move in moves {
        if folded.object_ids.contains(&version_row_id(pin_move.key.as_str(), pin_move.to)) {
            let (key, version) = (pin_move.key.clone(), pin_move.to);
            return Err(PublishError::Duplicate { key, version });
        }
    }
    Ok(())
}

fn version_row(pin_move: &PinMove, branch: &Branch) -> Result<Row, serde_json::Error> {
    let metadata = VersionMetadata {
        manifest_path: pin_move.manifest_path.clone(),
        manifest_size: pin_move.manifest_size,
        e_tag: None,
        naming_scheme: Some(pin_move.naming_scheme.to_owned()),
    };
    Ok(Row {
        object_id: version_row_id(pin_move.key.as_str(), pin_move.to),
        object_type: TABLE_VERSION.to_owned(),
        location: None,
        metadata: Some(serde_json::to_string(&metadata)?),
        table_key: pin_move.key.as_str().to_owned(),
        table_version: Some(pin_move.to.0),
        table_branch: branch.name().map(ToOwned::to_owned),
        row_count: Some(pin_move.rows),
    })
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
