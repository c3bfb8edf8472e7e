//! Why a root cannot be opened, or not for writing, and what a person can do about it.

use lancekeeper_manifest::{GraphError, MigrateError, SchemaFilesError, SidecarError};
use lancekeeper_model::ErrorKind;
use lancekeeper_queue::{LockError, QueueError};
use lancekeeper_reconciler::SweepError;
use lancekeeper_rewrite::JournalError;
use lancekeeper_store::OpenError;
use lancekeeper_store::failure::hint_of;
use lancekeeper_store::root::RootError;
use lancekeeper_store::spelling::SpellingError;
use thiserror::Error;

use crate::run::ended::EndsRoot;

/// A root could not be opened, or not for writing.
#[derive(Debug, Error)]
pub enum OpenRootError {
    /// It is no root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Its table of pins cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Branches cannot be listed.
    #[error(transparent)]
    Spelling(#[from] SpellingError),
    /// A graph that is not of a version that is written, and cannot be made one.
    #[error("{uri}: {source}")]
    Migrate {
        /// The root.
        uri: String,
        /// Why not.
        #[source]
        source: MigrateError,
    },
    /// The root was moved or copied: its branches read from the old place.
    #[error("{uri} was moved or copied: it still refers to {elsewhere}")]
    Moved {
        /// The root.
        uri: String,
        /// Where its branches, or its pins, point.
        elsewhere: String,
    },
    /// Its branches spell its place in several ways: Lance would take them for strangers.
    #[error("{uri}: its branches refer to it in several spellings: {spellings}")]
    Spellings {
        /// The root.
        uri: String,
        /// The spellings.
        spellings: String,
    },
    /// A key of the queue could not be had.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A schema apply is running, or died.
    #[error("{verb} is unavailable while schema apply is in progress")]
    SchemaApply {
        /// The verb.
        verb: &'static str,
    },
    /// The schema files are not in order.
    #[error(transparent)]
    SchemaFiles(#[from] SchemaFilesError),
    /// Sidecars cannot be read.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// An unfinished operation of another writer, presumed dead, blocks the root.
    #[error(
        "{verb} requires a clean recovery state: in {uri}, {file} is an unfinished {writer_kind} of another writer over {tables}"
    )]
    RecoveryNeeded {
        /// The verb.
        verb: &'static str,
        /// The root.
        uri: String,
        /// The file.
        file: String,
        /// The kind of its writer.
        writer_kind: String,
        /// The tables it names.
        tables: String,
    },
    /// The sweep could not be finished.
    #[error("recovery failed: {0}")]
    Sweep(#[from] SweepError),
    /// The journal could not be settled.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lock is held, or could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The run was asked to stop while it waited for the lock.
    #[error("interrupted: the root is as it was")]
    Interrupted,
    /// The file system could not be asked.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl OpenRootError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Root(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Spelling(error) => error.kind(),
            Self::Migrate { source, .. } => source.kind(),
            Self::Moved { .. } | Self::Spellings { .. } | Self::SchemaApply { .. } => {
                ErrorKind::Refused
            }
            Self::Queue(error) => error.kind(),
            Self::SchemaFiles(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::RecoveryNeeded { .. } => ErrorKind::RecoveryNeeded,
            Self::Sweep(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Interrupted => ErrorKind::Interrupted,
            Self::Task(_) => ErrorKind::Internal,
        }
    }

    /// What a person can do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Root(error) => Some(error.hint()),
            Self::Graph(GraphError::Newer { .. }) => {
                Some("use a version of lancekeeper that knows this format")
            }
            // Unless the machine is to blame, what cannot be read is damaged. Never `__manifest`
            // alone: an older one over newer tables hides rows, and clients then write over what
            // it hides.
            Self::Graph(error) if hint_of(error).is_none() => Some(
                "nothing was changed; if its client cannot open it either, restore the whole graph from one backup",
            ),
            Self::Migrate { source, .. } => source.hint(),
            Self::Moved { .. } => Some(
                "move it back to where it was made, or export and load it there with its client",
            ),
            Self::SchemaApply { .. } => Some(
                "wait for it; if its process died, the branch __schema_apply_lock__ of __manifest is left over",
            ),
            Self::SchemaFiles(error) => Some(error.hint()),
            Self::RecoveryNeeded { .. } => Some(
                "open the graph for writing with the client that wrote it (any load or mutate), which recovers it; or name unaffected tables with --table",
            ),
            // The file may be all that is known of an unfinished write.
            Self::Sweep(SweepError::Stopped { .. }) => Some(
                "open the graph with the client that wrote the file; keep a copy before anything is done to it",
            ),
            Self::Sweep(error) if error.kind() == ErrorKind::Corrupt => Some(
                "a sidecar names a table that cannot be read; if its client cannot read it either, restore the whole graph from one backup",
            ),
            Self::Lock(LockError::Held { .. }) => Some("wait for the other run to end"),
            _ => None,
        }
    }
}

impl EndsRoot for OpenRootError {
    fn kind(&self) -> ErrorKind {
        Self::kind(self)
    }

    fn hint(&self) -> Option<&'static str> {
        Self::hint(self)
    }
}
