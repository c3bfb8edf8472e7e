//! How something with jobs can fail.

use lancekeeper::OpenRootError;
use lancekeeper_model::{ErrorKind, JobDocumentError};
use lancekeeper_store::{FilesError, RootError};
use thiserror::Error;

/// Jobs could not be read or written.
#[derive(Debug, Error)]
pub enum JobsError {
    /// The store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A document cannot be used.
    #[error("the job at {place} cannot be used: {source}")]
    Document {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        #[source]
        source: JobDocumentError,
    },
    /// A document has another name than its job.
    #[error("{place} is about job {id}: somebody renamed it")]
    Renamed {
        /// Where it stands.
        place: String,
        /// The job.
        id: String,
    },
    /// There is no job of that id.
    #[error("{root} has no job {id}")]
    Unknown {
        /// The root as given.
        root: String,
        /// What was asked for.
        id: String,
    },
    /// The root was not recognised.
    #[error(transparent)]
    Root(#[from] RootError),
    /// It cannot be found out who works on the root.
    #[error(transparent)]
    Open(#[from] OpenRootError),
    /// The root could not be looked at in the background.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl JobsError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Document { source, .. } => source.kind(),
            Self::Renamed { .. } => ErrorKind::Corrupt,
            Self::Unknown { .. } => ErrorKind::Invalid,
            Self::Root(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Task(_) => ErrorKind::Internal,
        }
    }

    /// What a person can do about it, where this error itself knows.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => Some("`lancekeeper jobs list ROOT` shows every job"),
            Self::Document { source: JobDocumentError::Newer { .. }, .. } => {
                Some("use the version of lancekeeper that wrote it, or a later one")
            }
            Self::Root(error) => Some(error.hint()),
            Self::Open(error) => error.hint(),
            _ => None,
        }
    }
}
