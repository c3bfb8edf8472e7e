//! Why a step was not taken with the tables of a root, or with one of them.

use lancekeeper_model::{ErrorKind, RootKind, TableRef, Version};
use lancekeeper_planner::migrate::tables::TableRefusal;
use lancekeeper_rewrite::check::RowsError;
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::strict::CommitError;
use lancekeeper_store::{FilesError, LanceFailure, OpenError};
use thiserror::Error;

use crate::run::ended::EndsRoot;

/// A step was not begun.
#[derive(Debug, Error)]
pub(crate) enum TablesError {
    /// Tables of a graph are made as its clients read them.
    #[error(
        "{uri} is a graph: its clients read its tables as they made them, and may not read them in another form"
    )]
    Graph {
        /// The root.
        uri: String,
    },
    /// Only graphs have an internal schema.
    #[error("{uri} is a {kind}: only graphs have an internal schema version")]
    NotAGraph {
        /// The root.
        uri: String,
        /// What it is.
        kind: RootKind,
    },
    /// Names would be changed under somebody.
    #[error(
        "{uri}: manifests are not given new names: whoever has a table open to write goes on under the old ones, and what they commit is lost or keeps everybody from opening the table"
    )]
    NotAlone {
        /// The root.
        uri: String,
    },
    /// Every table that it would change refuses it.
    #[error("{uri}: nothing was done: what would have to be changed may not be")]
    NothingAllowed {
        /// The root.
        uri: String,
    },
    /// No such table.
    #[error("there is no table {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl EndsRoot for TablesError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Graph { .. } | Self::NotAlone { .. } | Self::NothingAllowed { .. } => {
                ErrorKind::Refused
            }
            Self::NotAGraph { .. } | Self::Unknown { .. } => ErrorKind::Invalid,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAlone { .. } => Some(
                "stop every program that writes to it, run this with --assume-alone, and start them again afterwards",
            ),
            Self::Graph { .. } => Some("migrate without these options is about graphs"),
            Self::NothingAllowed { .. } => Some("each table says why"),
            Self::NotAGraph { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// A step was not taken with one table, or not to its end.
#[derive(Debug, Error)]
pub(crate) enum TableError {
    /// A rule forbids it.
    #[error(transparent)]
    Refused(#[from] TableRefusal),
    /// The store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Lance failed.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// A commit was not made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A test wanted it to fail.
    #[error(transparent)]
    Injected(#[from] Injected),
    /// It has other rows afterwards.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A version has a manifest under each name, and they are not the same.
    #[error(
        "{table}: version {version} was committed twice, by somebody under the old names of manifests and by somebody under the new ones: {old} and {new} differ, and both are left alone"
    )]
    Twice {
        /// The table.
        table: TableRef,
        /// The version.
        version: Version,
        /// One file.
        old: String,
        /// The other.
        new: String,
    },
    /// Somebody does not stop.
    #[error("{table}: somebody goes on committing under the old names of manifests")]
    NotAlone {
        /// The table.
        table: TableRef,
    },
    /// Afterwards there are not the versions that were there.
    #[error(
        "{table}: {missing} of its versions cannot be read any more, the first of them version {first}"
    )]
    Missing {
        /// The table.
        table: TableRef,
        /// How many.
        missing: usize,
        /// The first of them.
        first: Version,
    },
}

impl EndsRoot for TableError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) => ErrorKind::Refused,
            Self::Files(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Rows(error) => error.kind(),
            Self::Twice { .. } | Self::Missing { .. } => ErrorKind::Corrupt,
            Self::NotAlone { .. } => ErrorKind::Conflict,
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}
