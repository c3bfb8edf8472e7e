//! How the repair of a table, or of a branch, can fail. What it did is `lancekeeper_model::TableRepairStats`.

use lancekeeper_manifest::{GraphError, LineageError, PublishError};
use lancekeeper_model::{ErrorKind, TableRef, Version};
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::strict::CommitError;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

/// A table or a branch could not be repaired.
#[derive(Debug, Error)]
pub enum RepairError {
    /// A table could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A table could not be read, or not be tagged.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// Its newest version is older than what is published.
    #[error("{table}: {why}")]
    Broken {
        /// The table.
        table: TableRef,
        /// What is wrong.
        why: String,
    },
    /// The pinned version was not committed on top of HEAD.
    #[error(transparent)]
    Restore(#[from] CommitError),
    /// The version that was committed has other rows than the one that was to be restored.
    #[error(
        "{table}: version {restored} was to have the {expected} rows of {pin} and has {found}; it was not published"
    )]
    OtherRows {
        /// The table.
        table: TableRef,
        /// The version committed.
        restored: Version,
        /// The pinned version.
        pin: Version,
        /// Its rows.
        expected: u64,
        /// Those that are there.
        found: u64,
    },
    /// The branch could not be published.
    #[error("failed to publish: {0}")]
    Publish(#[from] PublishError),
    /// It was published, but somebody published another version right after it.
    #[error("{table}: version {to} was published, and readers see {}", current.map_or_else(|| "no version".to_owned(), |v| v.to_string()))]
    Buried {
        /// The table.
        table: TableRef,
        /// What was published.
        to: Version,
        /// What readers see.
        current: Option<Version>,
    },
    /// The graph could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A v3 commit row could not be added.
    #[error(transparent)]
    Lineage(#[from] LineageError),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl RepairError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            // The graph pins it: a missing one is damage.
            Self::Open(error) => match error.kind() {
                ErrorKind::NotFound => ErrorKind::Corrupt,
                kind => kind,
            },
            Self::Lance(error) => error.kind(),
            Self::Broken { .. } | Self::OtherRows { .. } => ErrorKind::Corrupt,
            Self::Restore(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::Buried { .. } => ErrorKind::Conflict,
            Self::Graph(error) => error.kind(),
            Self::Lineage(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}
