//! A migration was not carried out, or not to its end.

use lancekeeper_model::{Branch, ErrorKind, Stamp};
use lancekeeper_planner::migrate::Refusal;
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::strict::CommitError;
use lancekeeper_store::{FilesError, LanceFailure, OpenError};
use thiserror::Error;

use super::MIGRATION_NOTE;
use crate::graph::GraphError;

/// A migration was not carried out, or not to its end.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// Something forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// `__manifest` could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The history that v3 keeps apart could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Lance could not do it.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// A commit failed, or its outcome is unknown.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The note could not be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The note makes no sense.
    #[error("{MIGRATION_NOTE} is not readable: {why}")]
    Note {
        /// What is wrong.
        why: String,
    },
    /// The note is of a newer version.
    #[error(
        "upgrade lancekeeper first: {MIGRATION_NOTE} has schema {found}, newer than {known}, the newest that this version of lancekeeper knows"
    )]
    NewerNote {
        /// Its version.
        found: u64,
        /// Ours.
        known: u32,
    },
    /// A row could not be encoded.
    #[error("failed to encode a row of the history: {0}")]
    Encode(#[from] serde_json::Error),
    /// The graph is not as it was when it was planned.
    #[error("branch {branch} was changed meanwhile: it is stamped {found}")]
    Changed {
        /// The branch.
        branch: Branch,
        /// Its stamp.
        found: Stamp,
    },
    /// Others changed the graph again and again.
    #[error("the graph was changed by others at each of {plans} looks")]
    Unsettled {
        /// How often it was looked at.
        plans: u32,
    },
    /// What was written is not what was to be written.
    #[error("branch {branch} after the migration: {what}")]
    Otherwise {
        /// The branch.
        branch: Branch,
        /// What is wrong.
        what: String,
    },
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl MigrateError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(refusal) => refusal.kind(),
            Self::Graph(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Files(error) => error.kind(),
            Self::Note { .. } | Self::Otherwise { .. } => ErrorKind::Corrupt,
            Self::NewerNote { .. } => ErrorKind::Refused,
            Self::Changed { .. } => ErrorKind::Conflict,
            // Not a conflict any more: nobody tries again.
            Self::Unsettled { .. } => ErrorKind::Unavailable,
            Self::Encode(_) | Self::Injected(_) => ErrorKind::Internal,
        }
    }

    /// What a person can do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => Some(refusal.hint()),
            Self::NewerNote { .. } => Some("use the version of lancekeeper that began it"),
            Self::Note { .. } => Some(
                "`lancekeeper migrate ROOT --restamp N` looks whether every branch is of version N and, with --confirm, takes the note away",
            ),
            Self::Otherwise { .. } => {
                Some("`lancekeeper migrate ROOT --abort --confirm` takes it back to v3")
            }
            _ => None,
        }
    }
}
