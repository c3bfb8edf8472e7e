//! Why a window ended early.

use lancekeeper_manifest::{GraphError, SidecarError};
use lancekeeper_model::ErrorKind;
use lancekeeper_queue::QueueError;
use lancekeeper_store::failpoint::Injected;
use thiserror::Error;

use super::publish::PublishFailure;
use crate::root::OpenRootError;
use crate::run::ended::EndsRoot;

/// A window ended early. Tables that moved are covered by their sidecars.
#[derive(Debug, Error)]
pub(crate) enum WindowError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Open(#[from] OpenRootError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    #[error(transparent)]
    Publish(#[from] PublishFailure),
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl EndsRoot for WindowError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Queue(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}
