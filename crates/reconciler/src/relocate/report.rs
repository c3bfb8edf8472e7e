//! How it can fail that a root is made whole. What was done is `lancekeeper_model::RelocateBody`.

use lancekeeper_manifest::GraphError;
use lancekeeper_model::ErrorKind;
use lancekeeper_store::FilesError;
use lancekeeper_store::failpoint::Injected;
use thiserror::Error;

use crate::cleanup::CleanupError;
use crate::cleanup::StoredError;

/// A root could not be looked at, or not be made whole.
#[derive(Debug, Error)]
pub enum RelocateError {
    /// A file could not be listed, read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A manifest could not be read.
    #[error("{file}: {source}")]
    Manifest {
        /// The file, relative to the root.
        file: String,
        /// What is wrong with it.
        #[source]
        source: StoredError,
    },
    /// What readers see cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// What a manifest refers to cannot be told.
    #[error(transparent)]
    Read(#[from] CleanupError),
    /// A manifest is another than the one that was looked at.
    #[error("{file} was changed or deleted meanwhile")]
    Changed {
        /// The file, relative to the root.
        file: String,
    },
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl RelocateError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Manifest { .. } => ErrorKind::Corrupt,
            Self::Graph(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::Changed { .. } => ErrorKind::Conflict,
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}
