//! How something with files can fail.

use std::io;
use std::path::Path;

use lancekeeper_model::ErrorKind;
use thiserror::Error;

use crate::failure::{full_text, os_error};

/// Directories below each other that are followed before it is taken for a mistake.
pub(super) const DEPTH_MAX: usize = 32;

/// Files could not be listed, read, written or deleted.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The file system failed.
    #[error("failed to {action} {place}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The store failed otherwise.
    #[error("failed to {action} {place}: {}", full_text(source))]
    Store {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        place: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// A file that was there is not there any more.
    #[error("failed to read {place}: it is gone")]
    Gone {
        /// The file.
        place: String,
    },
    /// More directories below each other than any table has.
    #[error("{place} lies more than {DEPTH_MAX} directories deep")]
    TooDeep {
        /// The directory.
        place: String,
    },
    /// Somebody wrote it since it was listed.
    #[error("{place} is not the file that was looked at: somebody wrote meanwhile; run again")]
    Changed {
        /// The file.
        place: String,
    },
    /// A path that leads out of its directory.
    #[error("{path:?} is no path below a table")]
    Outside {
        /// The path.
        path: String,
    },
    /// A file system call could not be run.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl FilesError {
    pub(super) fn io(action: &'static str, place: &Path) -> impl FnOnce(io::Error) -> Self {
        let place = place.display().to_string();
        move |source| Self::Io { action, place, source }
    }

    /// What the system said is said in its own words, whatever the store wraps around it.
    pub(super) fn of_store(
        action: &'static str,
        place: String,
        source: object_store::Error,
    ) -> Self {
        match os_error(&source) {
            Some(source) => Self::Io { action, place, source },
            None => Self::Store { action, place, source },
        }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Store { .. } | Self::Gone { .. } => ErrorKind::Unavailable,
            Self::Changed { .. } => ErrorKind::Conflict,
            Self::TooDeep { .. } => ErrorKind::Refused,
            Self::Outside { .. } | Self::Task(_) => ErrorKind::Internal,
        }
    }
}
