//! How a sweep can fail. What it did is `lancekeeper_model::RecoveredSidecar`.

use lancekeeper_manifest::{GraphError, LineageError, PublishError, SidecarError};
use lancekeeper_model::{ErrorKind, TableRef};
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

/// A sweep could not be finished.
#[derive(Debug, Error)]
pub enum SweepError {
    /// A sidecar cannot be understood: nothing may be written to this graph.
    #[error("{file} stops every write to this graph: {why}")]
    Stopped {
        /// The file, relative to the root.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A table left the branch while it was being recovered.
    #[error("{table} left its branch during recovery")]
    Vanished {
        /// The table.
        table: TableRef,
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
    /// A publish was not made.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A v3 commit row could not be added.
    #[error(transparent)]
    Lineage(#[from] LineageError),
    /// A sidecar could not be deleted.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl SweepError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Stopped { .. } => ErrorKind::RecoveryNeeded,
            Self::Vanished { .. } => ErrorKind::Conflict,
            Self::Graph(error) => error.kind(),
            // A table that a sidecar names and the branch pins: a missing one is damage.
            Self::Open(error) => match error.kind() {
                ErrorKind::NotFound => ErrorKind::Corrupt,
                kind => kind,
            },
            Self::Lance(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::Lineage(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}
