//! Why a root could not be made whole.

use lancekeeper_manifest::{GraphError, PublishError};
use lancekeeper_model::{Branch, ErrorKind, RootKind};
use lancekeeper_queue::QueueError;
use lancekeeper_reconciler::relocate::RelocateError;
use lancekeeper_store::failpoint::Injected;
use thiserror::Error;

use crate::root::OpenRootError;
use crate::run::ended::EndsRoot;
use crate::run::stop::Interrupted;

/// A root could not be made whole.
#[derive(Debug, Error)]
pub(crate) enum RelocateRootError {
    /// The root could not be opened.
    #[error(transparent)]
    Open(#[from] OpenRootError),
    /// It could not be looked at, or a manifest not be changed.
    #[error(transparent)]
    Relocate(#[from] RelocateError),
    /// `__manifest` could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Rows could not be changed.
    #[error("the manifests refer to the new place, but rows of branch {branch} do not: {source}")]
    Rows {
        /// The branch.
        branch: Branch,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The keys of tables could not be had.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Databases and tables have Lance branches, too, but nobody asked for those yet.
    #[error("{uri} is a {kind}: only graphs can be made whole at another place")]
    NotAGraph {
        /// The root.
        uri: String,
        /// What it is.
        kind: RootKind,
    },
    /// Something that it needs is not here.
    #[error("{uri} cannot be made whole: {first}{}", more(*count))]
    Incomplete {
        /// The root.
        uri: String,
        /// The first reason.
        first: String,
        /// How many there are.
        count: usize,
    },
    /// Others wrote at every look.
    #[error("{uri}: somebody writes to it, and what is written still refers to the old place")]
    Unsettled {
        /// The root.
        uri: String,
    },
    /// A run over it is under way.
    #[error("{uri}: a run over it is under way")]
    UnderWay {
        /// The root.
        uri: String,
    },
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
    /// The run was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

fn more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    }
}

impl EndsRoot for RelocateRootError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Relocate(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Rows { source, .. } => source.kind(),
            Self::Queue(error) => error.kind(),
            Self::NotAGraph { .. } => ErrorKind::Invalid,
            Self::Incomplete { .. } => ErrorKind::Refused,
            Self::Unsettled { .. } => ErrorKind::Conflict,
            Self::UnderWay { .. } => ErrorKind::Busy,
            Self::Injected(_) => ErrorKind::Internal,
            Self::Interrupted(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Incomplete { .. } => Some(
                "nothing was changed; bring what is missing from where the graph lay, or restore all of it from one backup",
            ),
            Self::Unsettled { .. } => Some("end what writes to it, and run again"),
            Self::Rows { .. } => Some("run again: what is done stays done"),
            _ => None,
        }
    }
}
