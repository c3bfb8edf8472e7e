//! How a recovery can fail. What it did is in the rows of `recover`.

use lancekeeper_manifest::{
    GraphError, LineageError, PublishError, SchemaFilesError, SidecarError,
};
use lancekeeper_model::{ErrorKind, TableRef, Version};
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::strict::CommitError;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

/// An operation of another writer could not be recovered. What was done before is done.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// Somebody committed to a table after it was looked at: its writer is alive.
    #[error("somebody committed to {table} meanwhile: HEAD is {found}, not {looked_at}")]
    Meanwhile {
        /// The table.
        table: TableRef,
        /// HEAD when it was looked at.
        looked_at: Version,
        /// HEAD now.
        found: Version,
    },
    /// A table left the branch after it was looked at.
    #[error("{table} left its branch meanwhile")]
    Vanished {
        /// The table.
        table: TableRef,
    },
    /// A restored table has not the rows that its pin had. It is not published.
    #[error("{table} has {found} rows at {version}, but its pin has {pinned}: it is not published")]
    Rows {
        /// The table.
        table: TableRef,
        /// The restored version.
        version: Version,
        /// Its rows.
        found: u64,
        /// Those of the pin.
        pinned: u64,
    },
    /// The graph could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A table could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A table could not be read.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// A restore was not committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A publish was not made.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// It could not be written down.
    #[error(transparent)]
    Lineage(#[from] LineageError),
    /// A schema file could not be read, renamed or deleted.
    #[error(transparent)]
    SchemaFiles(#[from] SchemaFilesError),
    /// A sidecar could not be deleted.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// A background task failed.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl RecoverError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Meanwhile { .. } | Self::Vanished { .. } => ErrorKind::Conflict,
            Self::Rows { .. } => ErrorKind::Corrupt,
            Self::Graph(error) => error.kind(),
            // What the graph pins and a sidecar names: a missing one is damage.
            Self::Open(error) => match error.kind() {
                ErrorKind::NotFound => ErrorKind::Corrupt,
                kind => kind,
            },
            Self::Lance(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::Lineage(error) => error.kind(),
            Self::SchemaFiles(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::Task(_) | Self::Injected(_) => ErrorKind::Internal,
        }
    }
}
