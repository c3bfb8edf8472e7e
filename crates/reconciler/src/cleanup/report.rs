//! How a cleanup can fail.

use lancekeeper_manifest::GraphError;
use lancekeeper_model::{ErrorKind, SkipReason};
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::strict::CommitError;
use lancekeeper_store::{FilesError, LanceFailure, OpenError};
use thiserror::Error;

use crate::cleanup::stored::StoredError;

/// A dataset could not be cleaned up. Nothing is deleted that its list does not name.
#[derive(Debug, Error)]
pub enum CleanupError {
    /// The graph could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The dataset could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its manifests, branches or tags could not be read.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// It could not be listed, a file not be read or deleted, or the list or the record not be
    /// written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Some files of the list are still there.
    #[error("{count} of {of} files could not be deleted, as {first}")]
    Left {
        /// How many.
        count: usize,
        /// Of how many.
        of: usize,
        /// The first.
        #[source]
        first: FilesError,
    },
    /// Its directory lies elsewhere.
    #[error("{location} leads out of the root, to {target}: clean it up where it lies")]
    OutsideOfRoot {
        /// The dataset, relative to the root.
        location: String,
        /// Where it leads.
        target: String,
    },
    /// It is another dataset of the root under a second name.
    #[error("{location} is another name of {other}, and is cleaned up under that one")]
    SamePlace {
        /// The dataset, relative to the root.
        location: String,
        /// What it is called otherwise.
        other: lancekeeper_model::TableKey,
    },
    /// It uses a feature this Lance does not know: what it refers to cannot be told.
    #[error(
        "nothing of {location} is deleted: of {features}, which version {version} uses, it is not known which files it means"
    )]
    UnknownFeatures {
        /// The dataset, relative to the root.
        location: String,
        /// The version.
        version: u64,
        /// Which.
        features: String,
    },
    /// It names a file in a way that is not known: which one is meant cannot be told.
    #[error(
        "nothing of {location} is deleted: version {version} names a data file {path:?}, which is no plain path"
    )]
    PathForm {
        /// The dataset, relative to the root.
        location: String,
        /// The version.
        version: u64,
        /// The name.
        path: String,
    },
    /// A base is written in a way that is not known: it may lead here.
    #[error("nothing is deleted: a base is written {path:?}, and where that leads is not known")]
    BaseForm {
        /// The base.
        path: String,
    },
    /// A manifest is not as Lance writes it.
    #[error("failed to read {file}: {source}")]
    Manifest {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: Box<StoredError>,
    },
    /// A version refers to a base that it does not define.
    #[error("version {version} of {location} refers to base {base}, which it does not define")]
    UnknownBase {
        /// The dataset, relative to the root.
        location: String,
        /// The version.
        version: u64,
        /// The number of the base.
        base: u32,
    },
    /// The version without rows could not be committed to a dropped table.
    #[error("failed to empty a table that no branch has any more: {0}")]
    Empty(#[from] CommitError),
    /// The plan refused it.
    #[error("nothing of it was deleted: {why}")]
    Refused {
        /// Why.
        why: String,
    },
    /// A list could not be encoded.
    #[error("failed to encode a list of deletions: {0}")]
    Encode(#[from] serde_json::Error),
    /// A list of an earlier run cannot be read.
    #[error("{file} is not readable: {why}")]
    List {
        /// The file, relative to the root.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Writers changed the graph's branches or the table's tags at every attempt, or while it was deleted.
    #[error("branches, tags or pins changed meanwhile: what was not deleted yet stays; run again")]
    Unsettled,
    /// It could not be told which tables are beside it.
    #[error("failed to look for tables beside it: {0}")]
    Beside(String),
    /// The run was asked to stop.
    #[error("interrupted: the next cleanup goes on where this one stopped")]
    Interrupted,
    /// Somebody asked for the end of the job.
    #[error("cancelled: the next cleanup goes on where this one stopped")]
    Cancelled,
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl CleanupError {
    /// The token of a state in which nothing is wrong and nothing is to be done here.
    #[must_use]
    pub fn skip_reason(&self) -> Option<SkipReason> {
        match self {
            Self::SamePlace { .. } => Some(SkipReason::AnotherName),
            Self::OutsideOfRoot { .. } => Some(SkipReason::OutsideOfRoot),
            _ => None,
        }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Graph(error) => error.kind(),
            Self::Open(error) => match error.kind() {
                // Its directory was named by an authority: what is missing is damage.
                ErrorKind::NotFound => ErrorKind::Corrupt,
                kind => kind,
            },
            Self::Lance(error) => error.kind(),
            Self::Files(error) => error.kind(),
            Self::Left { first, .. } => first.kind(),
            Self::OutsideOfRoot { .. }
            | Self::SamePlace { .. }
            | Self::UnknownFeatures { .. }
            | Self::PathForm { .. }
            | Self::BaseForm { .. }
            | Self::Refused { .. } => ErrorKind::Refused,
            Self::Empty(error) => error.kind(),
            Self::Manifest { .. } | Self::UnknownBase { .. } | Self::List { .. } => {
                ErrorKind::Corrupt
            }
            Self::Unsettled => ErrorKind::Conflict,
            Self::Beside(_) => ErrorKind::Unavailable,
            Self::Interrupted | Self::Cancelled => ErrorKind::Interrupted,
            Self::Encode(_) | Self::Injected(_) => ErrorKind::Internal,
        }
    }
}
